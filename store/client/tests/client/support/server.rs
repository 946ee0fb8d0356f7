//! An HTTP server that can hang up instead of answering, and go away.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use logstore_api::{MEDIA_PROBLEM, Problem};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of a request.
pub(crate) enum Reply {
    Answer(Response<Full<Bytes>>),
    HangUp,
}

type Handling = Pin<Box<dyn Future<Output = Reply> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Request<Bytes>) -> Handling + Send + Sync>;

pub(crate) struct Server {
    address: SocketAddr,
    away: Arc<AtomicBool>,
    /// Changes when all connections are to end.
    cut: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (away, cut) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(()));
        let accepting = tokio::spawn(accept(listener, handler, Arc::clone(&away), cut.clone()));
        Self { address, away, cut, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts all connections, and each new one at once. The port stays taken, lest another test gets it.
    pub(crate) fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
        self.cut_connections();
    }

    pub(crate) fn come_back(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    pub(crate) fn cut_connections(&self) {
        self.cut.send_replace(());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_connections();
    }
}

async fn accept(listener: TcpListener, handler: Handler, away: Arc<AtomicBool>, cut: watch::Sender<()>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if away.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(serve(stream, Arc::clone(&handler), cut.subscribe()));
    }
}

async fn serve(stream: TcpStream, handler: Handler, mut cut: watch::Receiver<()>) {
    let hang_up = Arc::new(tokio::sync::Notify::new());
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (handler, hang_up) = (Arc::clone(&handler), Arc::clone(&hang_up));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            match handler(Request::from_parts(head, body)).await {
                Reply::Answer(response) => Ok::<_, Infallible>(response),
                Reply::HangUp => {
                    hang_up.notify_one();
                    std::future::pending().await
                }
            }
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        () = hang_up.notified() => {}
        _ = cut.changed() => {}
    }
}

pub(crate) fn json(status: u16, body: &impl serde::Serialize) -> Reply {
    answer(status, "application/json", serde_json::to_vec(body).unwrap())
}

pub(crate) fn problem(problem: &Problem) -> Reply {
    answer(problem.status, MEDIA_PROBLEM, serde_json::to_vec(problem).unwrap())
}

pub(crate) fn answer(status: u16, media_type: &str, body: impl Into<Bytes>) -> Reply {
    let response = Response::builder().status(status).header("content-type", media_type);
    Reply::Answer(response.body(Full::new(body.into())).unwrap())
}
