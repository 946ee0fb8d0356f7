//! Connections: our own accept loop, so that they are bounded and a stop lets what is under way finish.
//!
//! hyper's `pipeline_flush` is off: with it, the answer to a head that cannot be parsed never leaves. Half-closed
//! connections get their answers, because many simple clients close their side when they have said all.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use logstore_api::header;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use super::answer::{ProblemCode, tidy};
use crate::limits::{STALLED_READER_MAX, connections_max};
use crate::metrics::Metrics;

/// How long the head of a request may take, and a kept connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a stop waits for requests under way.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);
/// How long the accept loop rests after it ran out of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What answers requests on one port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    answering: Answering,
}

/// What answers requests.
#[derive(Debug)]
struct Answering {
    routes: Router,
    node: HeaderValue,
    metrics: Arc<Metrics>,
    requests: AtomicU64,
}

impl Server {
    /// A server that listens already.
    #[must_use]
    pub fn new(listener: TcpListener, routes: Router, node: uuid::Uuid, metrics: Arc<Metrics>) -> Self {
        let node = HeaderValue::from_str(&node.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { listener, answering: Answering { routes, node, metrics, requests: AtomicU64::new(0) } }
    }

    /// Serves until `draining` becomes true, then until requests under way are answered, within bounds.
    pub async fn run(self, draining: watch::Receiver<bool>) {
        let Self { listener, answering } = self;
        let (server, max) = (Arc::new(answering), connections_max());
        let connections = Arc::new(Semaphore::new(max));
        let mut stop = draining.clone();
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain_begun(&mut stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (server, draining) = (Arc::clone(&server), draining.clone());
                    tokio::spawn(async move {
                        server.metrics.connections.inc();
                        server.serve(stream, peer, draining).await;
                        server.metrics.connections.dec();
                        drop(permit);
                    });
                }
                Err(error) => {
                    // A connection that was gone before it was taken is nothing; no descriptors left is for a while.
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        // Who comes now is refused at once and finds another store, or this one when it is back.
        drop(listener);
        let all = u32::try_from(max).unwrap_or(u32::MAX);
        if tokio::time::timeout(DRAIN_TIME_MAX, connections.acquire_many(all)).await.is_err() {
            tracing::warn!(after = ?DRAIN_TIME_MAX, "requests are still under way; stopping without them");
        }
    }
}

impl Answering {
    async fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, mut draining: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| self.answer(request));
        let connection = http1::Builder::new()
            .half_close(true)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .serve_connection(TokioIo::new(Box::pin(patient(stream))), service);
        tokio::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = drain_begun(&mut draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let call = call_of(&request);
        let mut response = self.routes.clone().call(request).await?;
        tidy(&mut response);
        let outcome = response.extensions_mut().remove::<ProblemCode>();
        self.metrics.count(call, outcome.as_ref().map_or("ok", |ProblemCode(code)| code));
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static(header::NODE), self.node.clone());
        headers.insert(HeaderName::from_static(header::REQUEST_ID), HeaderValue::from(number));
        Ok(response)
    }
}

/// One whose writes fail when the other side has taken nothing for too long.
fn patient(stream: TcpStream) -> TimeoutStream<TcpStream> {
    let mut patient = TimeoutStream::new(stream);
    patient.set_write_timeout(Some(STALLED_READER_MAX));
    patient
}

/// Waits until the store stops; one whose end cannot be told any more stops too.
pub async fn drain_begun(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

/// What a request is counted as: a closed list, whatever paths there are.
fn call_of(request: &Request<Incoming>) -> &'static str {
    let path = request.uri().path();
    match path.strip_prefix("/v1/") {
        Some("fence") => "fence",
        Some("place") => "place",
        Some("frames") => "frames",
        Some(rest) if rest.starts_with("namespaces/") && rest.contains("/records") => match request.method().as_str() {
            "GET" | "HEAD" => "read",
            // The offsets of many records do not fit into a path, so that they are asked for with a body.
            _ if rest.ends_with("/records/get") => "read",
            "PATCH" => "patch",
            "DELETE" => "erase",
            _ => "append",
        },
        Some(_) => "namespaces",
        None => match path {
            "/append" | "/get" | "/getMulti" => "rochefort",
            _ => "other",
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const ANSWER_LEN: usize = 64 * 1024 * 1024;

    /// A connection that has asked for a large answer, and what counts it.
    async fn asked() -> (TcpStream, Arc<Metrics>, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", axum::routing::get(|| async { vec![0_u8; ANSWER_LEN] }));
        let metrics = Metrics::new();
        let (stop, draining) = watch::channel(false);
        tokio::spawn(Server::new(listener, routes, uuid::Uuid::nil(), Arc::clone(&metrics)).run(draining));
        let mut reader = TcpStream::connect(address).await.unwrap();
        reader.write_all(b"GET / HTTP/1.1\r\nhost: store\r\n\r\n").await.unwrap();
        reader.readable().await.unwrap();
        assert_eq!(metrics.connections.get(), 1);
        (reader, metrics, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_let_go() {
        let (_reader, metrics, _stop) = asked().await;
        tokio::time::sleep(STALLED_READER_MAX / 2).await;
        assert_eq!(metrics.connections.get(), 1);
        tokio::time::sleep(STALLED_READER_MAX).await;
        assert_eq!(metrics.connections.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_slow_gets_all() {
        let (mut reader, metrics, _stop) = asked().await;
        let (mut taken, mut bytes) = (0, vec![0; ANSWER_LEN / 16]);
        while taken < ANSWER_LEN {
            tokio::time::sleep(STALLED_READER_MAX - Duration::from_secs(1)).await;
            let read = reader.read_exact(&mut bytes).await.unwrap();
            taken += read;
        }
        assert_eq!(metrics.connections.get(), 1);
    }
}
