//! A server that keeps every request, and answers with the next reply of its script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use logstore_client::{Store, Timeouts};

use super::server::{Handler, Reply, Server};

pub(crate) struct Script {
    server: Server,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Script {
    /// When the script is over, the server never answers.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let handler: Handler = Arc::new(move |request| {
            kept.lock().unwrap().push(request);
            let reply = replies.lock().unwrap().pop_front();
            Box::pin(async move {
                match reply {
                    Some(reply) => reply,
                    None => std::future::pending().await,
                }
            })
        });
        Self { server: Server::start(handler).await, requests }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn store(&self) -> Store {
        let request = std::time::Duration::from_millis(500);
        Store::with_timeouts(&self.url(), Timeouts { request, ..Timeouts::default() }).unwrap()
    }

    /// `METHOD path?query` of each request so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |request: &Request<Bytes>| format!("{} {}", request.method(), request.uri());
        self.requests.lock().unwrap().iter().map(line).collect()
    }

    pub(crate) fn header(&self, index: usize, name: &str) -> Option<String> {
        let requests = self.requests.lock().unwrap();
        requests[index].headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub(crate) fn body(&self, index: usize) -> Bytes {
        self.requests.lock().unwrap()[index].body().clone()
    }
}
