//! The same HTTP stack doing nothing: our accept loop, routing and body reading, and an answer of the same size.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use logstore_api::Code;
use logstore_store::http::answer::{Refusal, json, put_text};
use logstore_store::http::server::Server;
use logstore_store::http::{InPath, body};
use logstore_store::metrics::Metrics;
use serde_json::json;

/// Serves until the process is ended.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("null server: listening on http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/namespaces/{ns}/records", post(nothing));
        let (_never, draining) = tokio::sync::watch::channel(false);
        Server::new(listener, routes, uuid::Uuid::nil(), Metrics::new()).run(draining).await;
    });
}

async fn nothing(InPath(name): InPath, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    body::read(&headers, body, 16 * 1024 * 1024, Code::RecordTooLarge).await?;
    let answer = json!({
        "offset": 1_000_000, "count": 1, "partition": 0, "end": 1_000_001, "durable_end": 1_000_000,
        "durability": "written", "time": "2026-01-01T00:00:00.000000Z", "duplicate": false,
    });
    let mut response = json(StatusCode::OK, &answer);
    put_text(&mut response, "location", &format!("/v1/namespaces/{name}/records/1000000"));
    Ok(response)
}
