//! A full scan of what is in the page cache, against a loopback copy of the same bytes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::ROUNDS;
use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::tool::{load, load_one};

const LOG_BYTES: usize = 256 * 1024 * 1024;
/// What a reader asks for at once, as `logstore bench scan` does.
const PAGE_BYTES: usize = 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// How often a side reads everything in a round.
const PASSES: usize = 3;
const ABOUT: &str = "Everything in a log of 256 MiB, page by page of 1 MiB, in binary, over one connection; each record is \
    verified by the store before it leaves. The reader takes the bytes and looks at none but those of the head. The \
    reference sends as many bytes from memory to the same reader. `logstore bench scan` reads the same, and verifies each \
    record once more.";

/// Records of 1 KiB, then of 100 B.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Full scan", ABOUT);
    for (size, record_bytes, bound) in [("1 KiB", 1024, Bound::AtLeast(0.8)), ("100 B", 100, Bound::None)] {
        let dir = tempfile::tempdir_in(scratch()).unwrap();
        let server = Server::store(&dir.path().join("store"));
        fill(&server, record_bytes);
        let bytes = vec![7; scan(&server)];
        let [copy, scanned, checked] = rounds(
            &format!("scan, {size}"),
            ROUNDS,
            [&mut || per_second(|| copy(&bytes)), &mut || per_second(|| scan(&server)), &mut || {
                load_one(server.address, "scan --connections 1").payload_bytes_per_second
            }],
        );
        let copy = section.throughput(&format!("{size}: loopback copy"), &copy);
        let scanned = section.throughput(&format!("{size}: scan, bytes of the answers"), &scanned);
        section.throughput(&format!("{size}: `logstore bench scan`, bytes of payload"), &checked);
        section.judge(&format!("{size}: scan / loopback copy"), scanned / copy, "", bound);
    }
    section
}

/// Writes the log, in batches of about 1 MiB.
fn fill(server: &Server, record_bytes: usize) {
    let batch = PAGE_BYTES / record_bytes;
    let operations = LOG_BYTES / (batch * record_bytes);
    let line = format!(
        "batch --batch {batch} --record-size {record_bytes} --operations {operations} --connections 1 --durability written"
    );
    load(server.address, &line);
}

/// Bytes per second of something that says how many bytes it has moved.
fn per_second(pass: impl Fn() -> usize) -> f64 {
    let begun = Instant::now();
    let bytes: usize = (0..PASSES).map(|_| pass()).sum();
    bytes as f64 / begun.elapsed().as_secs_f64()
}

/// Sends bytes to a reader that does nothing with them.
fn copy(bytes: &[u8]) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| listener.accept().unwrap().0.write_all(bytes).unwrap());
        Reader::new(TcpStream::connect(address).unwrap()).pass_by(bytes.len());
    });
    bytes.len()
}

/// Reads everything once; bytes of the bodies.
fn scan(server: &Server) -> usize {
    let mut reader = Reader::new(TcpStream::connect(server.address).unwrap());
    let (mut from, mut bytes) = (0, 0);
    loop {
        let path = format!("/v1/namespaces/bench/records?from={from}&limit=100000&max_bytes={PAGE_BYTES}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: {}\r\n\r\n", logstore_api::MEDIA_FRAMES);
        reader.stream.write_all(request.as_bytes()).unwrap();
        let head = reader.head();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let number = |name: &str| -> usize {
            let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.expect(name).parse().unwrap()
        };
        let (len, next) = (number("content-length"), number(logstore_api::header::NEXT));
        if next == from {
            return bytes;
        }
        reader.pass_by(len);
        (from, bytes) = (next, bytes + len);
    }
}

/// Takes bytes from a connection.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Received and not taken yet.
    unread: std::ops::Range<usize>,
}

impl Reader {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; BUFFER_BYTES], unread: 0..0 }
    }

    /// The head of an answer, in lower case.
    fn head(&mut self) -> String {
        loop {
            let unread = &self.buffer[self.unread.clone()];
            if let Some(len) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&unread[..len]).to_lowercase();
                self.unread.start += len + 4;
                return head;
            }
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            let read = self.stream.read(&mut self.buffer[self.unread.end..]).unwrap();
            assert!(read > 0, "the store has closed the connection");
            self.unread.end += read;
        }
    }

    fn pass_by(&mut self, len: usize) {
        let there = len.min(self.unread.len());
        self.unread.start += there;
        let mut left = len - there;
        while left > 0 {
            let most = left.min(BUFFER_BYTES);
            let read = self.stream.read(&mut self.buffer[..most]).unwrap();
            assert!(read > 0, "the other side has closed the connection");
            left -= read;
        }
    }
}
