//! Requests to a store in memory: nothing that a client sends may be answered as the store's own fault.

use std::sync::Arc;
use std::sync::LazyLock;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use logstore_api::MEDIA_ENVELOPES;
use logstore_api::config::StoreConfig;
use logstore_store::disk::memory::MemoryDisk;
use logstore_store::http::{App, routes};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower_service::Service;

use crate::local::{Append, append, engine, namespace};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

/// A store that was stopped, with three records in one namespace.
static DISK: LazyLock<MemoryDisk> = LazyLock::new(|| {
    let disk = MemoryDisk::default();
    let engine = engine(&disk, StoreConfig::default()).expect("a store starts");
    let tagged = Append { tags: vec!["a".into()], ..Append::of(&[b"one", b"two"]) };
    append(&namespace(&engine, "n"), 0, &tagged).expect("it is appended");
    append(&namespace(&engine, "n"), 0, &Append { alloc: Some(99), ..Append::of(&[b"three"]) })
        .expect("it is appended");
    engine.stop();
    disk
});

/// Which body it is, then the body.
pub(crate) fn bodies(bytes: &[u8]) {
    let Some((which, body)) = bytes.split_first() else { return };
    let (method, path, content_type) = match which % 8 {
        0 => (Method::POST, "/v1/namespaces/n/records", "text/plain"),
        1 => (Method::POST, "/v1/namespaces/n/records?split=lines", "text/plain"),
        2 | 3 => (Method::POST, "/v1/namespaces/n/records", MEDIA_ENVELOPES),
        4 => (Method::PUT, "/v1/namespaces/m", "application/json"),
        5 => (Method::POST, "/v1/namespaces/n/trim", "application/json"),
        6 => (Method::POST, "/v1/fence", "application/json"),
        _ => (Method::POST, "/v1/namespaces/n/records/get", "application/json"),
    };
    let request = request(method, path, body).header("content-type", content_type);
    let status = answer(request.body(Body::from(body.to_vec())).expect("a request"));
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
}

/// Which call, then its query, and behind a line end its body.
pub(crate) fn queries(bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else { return };
    let (method, path) = match which % 8 {
        0 => (Method::POST, "/v1/namespaces/n/records"),
        1 => (Method::GET, "/v1/namespaces"),
        2 => (Method::GET, "/v1/namespaces/n/records/1"),
        3 => (Method::PATCH, "/v1/namespaces/n/records/2"),
        4 => (Method::DELETE, "/v1/namespaces/n"),
        5 => (Method::POST, "/v1/place"),
        6 => (Method::GET, "/v1/frames"),
        _ => (Method::GET, "/v1/namespaces/n/records"),
    };
    if let Some(status) = ask(method, path, rest) {
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}

/// The same for rochefort's calls, whose every failure is a 500.
pub(crate) fn rochefort(bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else { return };
    let path = ["/append", "/get", "/getMulti"][usize::from(which % 3)];
    ask(Method::POST, path, rest);
}

fn ask(method: Method, path: &str, rest: &[u8]) -> Option<StatusCode> {
    let (query, body) = rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    let body = body.get(1..).unwrap_or_default();
    let query = std::str::from_utf8(query).ok()?;
    let request = request(method, &format!("{path}?{query}"), body).body(Body::from(body.to_vec())).ok()?;
    Some(answer(request))
}

fn request(method: Method, path: &str, body: &[u8]) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("content-length", body.len())
}

/// Sends a request to a store of its own; what it is answered with.
fn answer(request: Request<Body>) -> StatusCode {
    let engine = engine(&DISK.fork(), StoreConfig::default()).expect("a store starts");
    // As of a store that stops, so that nobody waits.
    let draining = watch::channel(true).1;
    let app = App { engine: Arc::clone(&engine), budgets: Arc::default(), pages: Arc::default(), draining };
    let mut router = routes(app);
    let response = RUNTIME.block_on(router.call(request)).unwrap_or_else(|never| match never {});
    response.status()
}
