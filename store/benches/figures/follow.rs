//! A thousand followers of one log, against a server that does nothing but write each record to each socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::tool::load_one;

const ROUNDS: usize = 3;
const FOLLOWERS: usize = 1_000;
const RECORD_BYTES: usize = 100;
/// Records that the reference writes to each of its sockets.
const REFERENCE_RECORDS: usize = 500;
const TIME: &str = "2s";
/// So long without an event, a follower has had all.
const QUIET: Duration = Duration::from_secs(1);
const ABOUT: &str = "Records of 100 B that one connection appends one after the other, `written`, and that come to each of \
    1,000 followers; deliveries of all of them. The reference is a server on the same runtime that reads a record, writes \
    it to each of 1,000 sockets with one write each, and then reads the next. Followers and readers share one thread. Long \
    polls: `logstore bench follow`, which verifies each record. Events: a reader that counts them.";

/// Both ways to follow, and the reference.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("A thousand followers", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let server = Server::store(&dir.path().join("store"));
    let follow = || {
        let line = format!(
            "follow --followers {FOLLOWERS} --record-size {RECORD_BYTES} --durability written --warm-up 500ms --duration {TIME}"
        );
        let work = load_one(server.address, &line);
        eprintln!("long polls: p50 {:.0} µs, p99 {:.0} µs", work.latency_us.p50, work.latency_us.p99);
        work.operations_per_second
    };
    server.put_namespace("events", r#"{"durability":"written"}"#);
    let [reference, polls, events] =
        rounds("follow", ROUNDS, [&mut reference, &mut || follow(), &mut || events(server.address)]);
    let reference = section.rate("one write per record and socket", &reference);
    let polls = section.rate("long polls", &polls);
    let events = section.rate("server-sent events", &events);
    section.judge("long polls / reference", polls / reference, "", Bound::AtLeast(1.0));
    section.judge("server-sent events / reference", events / reference, "", Bound::AtLeast(1.0));
    section
}

/// Deliveries per second of the reference, up to the last byte that a reader has taken.
fn reference() -> f64 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let servers = Builder::new_multi_thread().enable_all().build().unwrap();
    let writing = servers.spawn(write_to_each(listener));
    let taken = one_thread().block_on(async {
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..FOLLOWERS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            readers.spawn(async move {
                let (mut buffer, mut left) = (vec![0; 16 * 1024], REFERENCE_RECORDS * RECORD_BYTES);
                while left > 0 {
                    left -= stream.read(&mut buffer).await.unwrap();
                }
            });
        }
        let begun = Instant::now();
        readers.join_all().await;
        begun.elapsed()
    });
    servers.block_on(writing).unwrap();
    (FOLLOWERS * REFERENCE_RECORDS) as f64 / taken.as_secs_f64()
}

/// The server of the reference: its records come from an appender that waits for each to be written.
async fn write_to_each(listener: std::net::TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let mut sockets = Vec::new();
    while sockets.len() < FOLLOWERS {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        sockets.push(socket);
    }
    let (appender, taker) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (mut appender, mut taker) = (appender.unwrap(), taker.unwrap().0);
    let appending = tokio::spawn(async move {
        for _ in 0..REFERENCE_RECORDS {
            appender.write_all(&[b'x'; RECORD_BYTES]).await.unwrap();
            appender.read_u8().await.unwrap();
        }
    });
    let mut record = [0; RECORD_BYTES];
    for _ in 0..REFERENCE_RECORDS {
        taker.read_exact(&mut record).await.unwrap();
        taker.write_u8(1).await.unwrap();
        for socket in &mut sockets {
            socket.write_all(&record).await.unwrap();
        }
    }
    appending.await.unwrap();
}

/// Deliveries per second to readers of events, up to the last one.
fn events(address: SocketAddr) -> f64 {
    let (counted, mut counts) = mpsc::unbounded_channel();
    one_thread().block_on(async {
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..FOLLOWERS {
            let stream = subscribe(address).await;
            let counted = counted.clone();
            readers.spawn(count_events(stream, counted));
        }
        drop(counted);
        let appending = tokio::task::spawn_blocking(move || {
            let line = format!(
                "append --connections 1 --namespace events --record-size {RECORD_BYTES} --durability written --duration {TIME}"
            );
            load_one(address, &line)
        });
        readers.join_all().await;
        appending.await.unwrap();
    });
    let (mut count, mut first, mut last) = (0, None, None);
    while let Ok(Followed { events, began, ended }) = counts.try_recv() {
        count += events;
        first = first.min(Some(began)).or(Some(began));
        last = last.max(Some(ended));
    }
    count as f64 / last.unwrap().duration_since(first.unwrap()).as_secs_f64()
}

/// What one reader has had.
struct Followed {
    events: usize,
    /// When the first came, and the last.
    began: Instant,
    ended: Instant,
}

/// Asks for the events to come, and reads the head of the answer.
async fn subscribe(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/namespaces/events/records?from=end HTTP/1.1\r\nHost: bench\r\nAccept: {}\r\n\r\n",
        logstore_api::MEDIA_EVENTS
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream
}

/// Counts events until none comes any more. In each stand two colons: records hold none.
async fn count_events(mut stream: TcpStream, counted: mpsc::UnboundedSender<Followed>) {
    let (mut buffer, mut colons) = (vec![0; 16 * 1024], 0);
    let (mut began, mut ended) = (None, None);
    loop {
        let patience = if began.is_none() { QUIET * 10 } else { QUIET };
        let Ok(read) = tokio::time::timeout(patience, stream.read(&mut buffer)).await else { break };
        let read = read.unwrap();
        assert!(read > 0, "the store has closed a follower's connection");
        colons += buffer[..read].iter().filter(|byte| **byte == b':').count();
        began = began.or(Some(Instant::now()));
        ended = Some(Instant::now());
    }
    let (began, ended) = began.zip(ended).expect("a follower has had events");
    counted.send(Followed { events: colons / 2, began, ended }).unwrap();
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
