//! Closed-loop load over plain TCP: each connection sends the next request when it has the answer to the last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What to send.
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// To which path.
    pub(crate) path: String,
    /// On how many connections.
    pub(crate) connections: usize,
    /// How much.
    pub(crate) record_bytes: usize,
    /// For how long.
    pub(crate) time: Duration,
}

/// Sends, and gives the answers per second. An answer that is no 200 ends the benchmark.
pub(crate) fn run(load: &Load) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request: Arc<[u8]> = [
            format!("POST {} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n", load.path, load.record_bytes)
                .into_bytes(),
            vec![b'x'; load.record_bytes],
        ]
        .concat()
        .into();
        let done = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let until = begun + load.time;
        let tasks: Vec<_> = (0..load.connections)
            .map(|_| tokio::spawn(drive(load.address, Arc::clone(&request), Arc::clone(&done), until)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
    })
}

async fn drive(address: SocketAddr, request: Arc<[u8]>, done: Arc<AtomicU64>, until: Instant) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 4096];
    while Instant::now() < until {
        stream.write_all(&request).await.unwrap();
        let mut len = 0;
        loop {
            let read = stream.read(&mut buffer[len..]).await.unwrap();
            assert!(read > 0, "the server closed the connection");
            len += read;
            if whole(&buffer[..len]) {
                break;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..len]));
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether head and body of an answer are there.
fn whole(bytes: &[u8]) -> bool {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let name = b"content-length: ";
    let at =
        bytes[..head].windows(name.len()).position(|window| window.eq_ignore_ascii_case(name)).unwrap() + name.len();
    let digits = bytes[at..head].iter().take_while(|byte| byte.is_ascii_digit());
    let len = digits.fold(0, |len, digit| len * 10 + usize::from(digit - b'0'));
    bytes.len() >= head + 4 + len
}
