//! The same HTTP stack doing nothing: a store that takes a record, and answers without having appended it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use logstore_api::record::AppendAnswer;
use logstore_api::{Code, Durability, Timestamp};
use logstore_store::disk::RealDisk;
use logstore_store::engine::Engine;
use logstore_store::http::answer::{Refusal, json, put_text};
use logstore_store::http::server::Server;
use logstore_store::http::{App, InPath, body, routes};

/// Serves until the process is ended. What a load asks before it begins is answered as a store does.
pub(crate) fn serve(root: PathBuf) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let engine = Engine::start(Arc::new(RealDisk), root, Default::default()).unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("null server: listening on http://{}", listener.local_addr().unwrap());
        let (_never, draining) = tokio::sync::watch::channel(false);
        let (node, metrics) = (engine.node, Arc::clone(&engine.metrics));
        let store = routes(App { engine, budgets: Arc::default(), pages: Arc::default(), draining: draining.clone() });
        let routes = Router::new().route("/v1/namespaces/{ns}/records", post(nothing)).fallback_service(store);
        Server::new(listener, routes, node, metrics).run(draining).await;
    });
}

async fn nothing(InPath(name): InPath, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    body::read(&headers, body, 64 * 1024 * 1024, Code::RecordTooLarge).await?;
    let answer = AppendAnswer {
        offset: Some(1_000_000),
        count: 1,
        partition: 0,
        end: 1_000_001,
        durable_end: 1_000_000,
        durability: Durability::Written,
        time: Some(Timestamp(1_780_000_000_000_000)),
        duplicate: false,
    };
    let mut response = json(StatusCode::OK, &answer);
    put_text(&mut response, "location", &format!("/v1/namespaces/{name}/records/1000000"));
    Ok(response)
}
