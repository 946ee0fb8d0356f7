//! The status for others: as YAML on standard output whenever it has changed, and over HTTP on loopback at any time.

use std::io::Write;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use kube::Resource;
use logstore_crds::{LogStore, LogStoreStatus};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::validate::ValidatedStore;
use crate::yaml;

/// The status port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for the status; choose another address with --status-listen")]
pub struct StatusListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// Publishes the status.
#[derive(Debug)]
pub struct Publisher {
    address: SocketAddr,
    document: watch::Sender<Value>,
    serving: JoinHandle<()>,
}

impl Publisher {
    /// Listens. There is nothing to be had before the first status.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(address: SocketAddr) -> Result<Self, StatusListenError> {
        let failed = |source| StatusListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (document, seen) = watch::channel(Value::Null);
        let router = Router::new().route("/", get(as_yaml)).route("/json", get(as_json)).with_state(seen);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the status is served no more");
            }
        });
        Ok(Self { address, document, serving })
    }

    /// Where the status is served.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes a status that has changed.
    pub fn publish(&self, store: &ValidatedStore, status: &LogStoreStatus) {
        let document = document(store, status);
        print(&document);
        self.document.send_replace(document);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The status in the form of the resource, so that what reads `kubectl get -o yaml` reads this.
fn document(store: &ValidatedStore, status: &LogStoreStatus) -> Value {
    json!({
        "apiVersion": LogStore::api_version(&()),
        "kind": LogStore::kind(&()),
        "metadata": {"name": store.name()},
        "status": status,
    })
}

/// Where nobody reads the output, the stores go on all the same.
fn print(document: &Value) {
    match yaml::to_string(document) {
        Ok(text) => {
            let mut output = std::io::stdout().lock();
            let _ = write!(output, "---\n{text}").and_then(|()| output.flush());
        }
        Err(error) => tracing::error!(%error, "the status cannot be printed"),
    }
}

async fn as_yaml(State(seen): State<watch::Receiver<Value>>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    let text = yaml::to_string(&*seen.borrow()).unwrap_or_default();
    ([(CONTENT_TYPE, "application/yaml")], text)
}

async fn as_json(State(seen): State<watch::Receiver<Value>>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/json")], seen.borrow().to_string())
}
