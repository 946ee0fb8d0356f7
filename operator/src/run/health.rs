//! `/livez`, `/readyz` and `/metrics` of the operator.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::Metrics;

/// What is told over HTTP.
#[derive(Clone, Debug)]
pub struct Health {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    is_ready: Arc<AtomicBool>,
}

impl Health {
    /// Not ready yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, is_ready: Arc::default() }
    }

    /// The caches are filled.
    pub fn ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(self, address: SocketAddr) -> std::io::Result<()> {
        let listener = listen(address).await?;
        let router = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self);
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "health and metrics are served no more");
            }
        });
        Ok(())
    }
}

/// All addresses of a machine are `[::]`; where it has no IPv6, those of IPv4 are all of them.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match (TcpListener::bind(address).await, address.ip()) {
        (Err(error), IpAddr::V6(Ipv6Addr::UNSPECIFIED))
            if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        (bound, _) => bound,
    }
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the caches are being filled\n")
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    const FORM: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match health.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, FORM)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
