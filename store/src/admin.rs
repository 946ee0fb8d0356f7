//! The admin port: `/livez`, `/readyz`, `/metrics`, the release of the reserve, on a thread of its own, so that it answers whatever the disk does.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use logstore_api::{Code, Problem};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::engine::Engine;
use crate::http::answer::{self, Refusal};
use crate::http::blocking;
use crate::http::server::Server;
use crate::metrics::Metrics;

#[derive(Clone, Debug)]
struct Admin {
    engine: Arc<Engine>,
    draining: watch::Receiver<bool>,
}

/// Serves the admin port on a thread of its own until the process ends.
pub fn start(
    listener: std::net::TcpListener,
    engine: &Arc<Engine>,
    draining: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _guard = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let admin = Admin { engine: Arc::clone(engine), draining };
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .route("/v1/reserve/release", post(release_reserve))
        .with_state(admin);
    // It answers until the very end, so that probes see a store that drains.
    let (never, never_draining) = watch::channel(false);
    let server = Server::new(listener, routes, engine.node, Metrics::new());
    std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        runtime.block_on(server.run(never_draining));
        drop(never);
    })?;
    Ok(())
}

async fn livez() -> Response {
    answer::json(StatusCode::OK, &json!({"live": true}))
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if *admin.draining.borrow() {
        return answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"ready": false, "reason": "draining"}));
    }
    // A full disk stops appends alone: reads and trims need the traffic.
    answer::json(StatusCode::OK, &json!({"ready": true}))
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    let form = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(CONTENT_TYPE, form)], admin.engine.metrics.text()).into_response()
}

async fn release_reserve(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let released = blocking(move || {
        let space = &admin.engine.space;
        space.reserve().release().map_err(|error| {
            tracing::error!(%error, "failed to release the reserve");
            Problem::new(Code::Internal, "failed to release the reserve; the store's log says why")
        })
    });
    let bytes = released.await?;
    tracing::warn!(bytes, "the reserve was released; it is made again when there is plenty of room");
    Ok(answer::json(StatusCode::OK, &json!({"released_bytes": bytes})))
}
