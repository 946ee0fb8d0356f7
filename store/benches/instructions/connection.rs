//! One connection to a store, with server and client on one thread, so that they take turns in the same way every time.

use std::sync::Arc;

use logstore_store::http::server::Server;
use logstore_store::http::{App, routes};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::store::{NAMESPACE, Store, directory, do_jobs};

/// More than any answer; it never grows, which would be counted.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// So much of an answer's end tells that it is whole.
const END_BYTES: usize = 16;

/// A connection, and the store at its other end.
pub(crate) struct Connection {
    runtime: Runtime,
    stream: TcpStream,
    answer: Vec<u8>,
    pub(crate) store: Store,
    /// The server stops when this goes.
    _drain: watch::Sender<bool>,
    _root: TempDir,
}

/// A request, and the end of its answer, which is always the same: so the client takes a whole answer without taking it
/// apart, and is hardly counted.
pub(crate) struct Exchange {
    request: Vec<u8>,
    end: Vec<u8>,
}

impl Connection {
    /// A connection to a new store.
    pub(crate) fn open() -> Self {
        let root = directory();
        let store = Store::open(root.path());
        let sync_pool = Arc::clone(&store.sync_pool);
        // When all wait, somebody waits for the disk, or for the kernel to carry bytes.
        let runtime =
            Builder::new_current_thread().enable_all().on_thread_park(move || do_jobs(&sync_pool)).build().unwrap();
        let (drain, draining) = watch::channel(false);
        let app = App {
            engine: Arc::clone(&store.engine),
            budgets: Arc::default(),
            pages: Arc::default(),
            draining: draining.clone(),
        };
        let stream = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let metrics = Arc::clone(&store.engine.metrics);
            tokio::spawn(Server::new(listener, routes(app), store.engine.node, metrics).run(draining));
            TcpStream::connect(address).await.unwrap()
        });
        stream.set_nodelay(true).unwrap();
        Self { runtime, stream, answer: Vec::with_capacity(ANSWER_BYTES_MAX), store, _drain: drain, _root: root }
    }

    /// Sends a request of the records of the namespace for the first time, to learn how its answer ends.
    pub(crate) fn rehearse(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Exchange {
        let head = format!(
            "{method} /v1/namespaces/{NAMESPACE}/records{path} HTTP/1.1\r\nHost: store\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        self.exchange(&request, |answer| {
            let body_at = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
            let head = std::str::from_utf8(&answer[..body_at]).unwrap().to_lowercase();
            let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            (answer.len() == body_at + len.parse::<usize>().unwrap()).then_some(())
        });
        Exchange { request, end: self.answer[self.answer.len() - END_BYTES..].to_vec() }
    }

    /// Sends the request again, and takes its answer.
    pub(crate) fn repeat(&mut self, exchange: &Exchange) {
        self.exchange(&exchange.request, |answer| answer.ends_with(&exchange.end).then_some(()));
    }

    fn exchange(&mut self, request: &[u8], whole: impl Fn(&[u8]) -> Option<()>) {
        let Self { runtime, stream, answer, .. } = self;
        answer.clear();
        runtime.block_on(async {
            stream.write_all(request).await.unwrap();
            while whole(answer).is_none() {
                assert_ne!(stream.read_buf(answer).await.unwrap(), 0, "the server has closed the connection");
            }
        });
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
    }
}
