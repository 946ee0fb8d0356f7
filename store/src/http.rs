//! The HTTP port: the native API under `/v1`, and the dialects of the predecessors beside it.
//!
//! ```text
//! server (connections) → routes → handler: parse everything → engine → answer
//! ```
//! A handler parses its request into types, calls the engine, and prints. Errors are [`Problem`]s from beginning to end.

pub mod accept;
pub mod answer;
pub mod append;
pub mod body;
pub mod budget;
pub mod conditions;
pub mod durable;
pub mod fence;
pub mod get;
pub mod modify;
pub mod namespaces;
pub mod object;
pub mod producer;
pub mod query;
pub mod read;
pub mod record;
pub mod server;
pub mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::routing::{any, get, post};
use http::request::Parts;
use http::{Method, Uri};
use logstore_api::{Code, NamespaceName, Problem};
use tokio::sync::watch;

use self::answer::Refusal;
use self::budget::Budgets;
use self::read::pages::Pages;
use crate::dialects::rochefort;
use crate::engine::Engine;

/// What every handler has.
#[derive(Debug)]
pub struct App {
    /// The data.
    pub engine: Arc<Engine>,
    /// Bytes in flight.
    pub budgets: Arc<Budgets>,
    /// Pages that several readers want.
    pub pages: Arc<Pages>,
    /// Becomes true when the store stops: long polls end then.
    pub draining: watch::Receiver<bool>,
}

/// All paths.
pub fn routes(app: App) -> Router {
    Router::new()
        .route("/v1/namespaces", get(namespaces::list))
        .route("/v1/namespaces/{ns}", get(namespaces::describe).put(namespaces::put).delete(namespaces::delete))
        .route("/v1/namespaces/{ns}/trim", post(namespaces::trim))
        .route("/v1/namespaces/{ns}/seal", post(namespaces::seal))
        .route("/v1/namespaces/{ns}/durable", get(durable::durable))
        .route("/v1/namespaces/{ns}/records", get(read::read).post(append::append))
        .route("/v1/namespaces/{ns}/records/get", post(get::get))
        .route("/v1/namespaces/{ns}/records/{offset}", get(record::record).patch(modify::patch).delete(modify::erase))
        .route("/v1/status", get(status::status))
        .route("/v1/fence", get(fence::look).post(fence::fence))
        .route("/v1/place", post(fence::place))
        .route("/v1/frames", get(fence::frames))
        .route("/append", any(rochefort::append))
        .route("/get", any(rochefort::get))
        .route("/getMulti", any(rochefort::get_multi))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::new(app))
}

async fn no_such_path(uri: Uri) -> Refusal {
    let path = uri.path();
    let detail = format!("there is no {path}; the API is under /v1, and a slash in a namespace's name is written %2F");
    Problem::new(Code::NoSuchPath, detail).got(path).into()
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let detail = format!("{} does not know {method}; the Allow header names what it knows", uri.path());
    Problem::new(Code::MethodNotAllowed, detail).got(method.as_str()).into()
}

/// The namespace in the path, percent-decoded.
#[derive(Debug)]
pub struct InPath(pub NamespaceName);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        path_parameter(parts, state, "ns").await.and_then(|text| namespace_name(&text)).map(Self)
    }
}

/// The offset in the path.
#[derive(Debug)]
pub struct OffsetInPath(pub u64);

impl<S: Send + Sync> FromRequestParts<S> for OffsetInPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = path_parameter(parts, state, "offset").await?;
        query::number(&text, "offset", u64::MAX).map(Self).map_err(Into::into)
    }
}

async fn path_parameter<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, Refusal> {
    let field = if name == "ns" { "namespace" } else { name };
    if !query::is_well_escaped(parts.uri.path()) {
        let detail = "the path holds a % that begins no escape; write %25 for a percent sign";
        return Err(Problem::new(Code::InvalidArgument, detail).field(field).got(parts.uri.path()).into());
    }
    let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(|rejection| {
        let detail = format!("the path cannot be decoded: {}", rejection.body_text());
        Problem::new(Code::InvalidArgument, detail).field(field)
    })?;
    let found = parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(|| Problem::new(Code::NoSuchPath, format!("the path has no {name}")).into())
}

/// Parses a namespace's name.
pub fn namespace_name(text: &str) -> Result<NamespaceName, Refusal> {
    NamespaceName::parse(text)
        .map_err(|invalid| Problem::new(Code::InvalidArgument, invalid.to_string()).field("namespace").got(text).into())
}

/// Runs what may touch the disk off the threads that serve connections.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "a request's work ended abnormally");
            Err(Problem::new(Code::Internal, "the request's work ended abnormally; the store's log says why"))
        }
    }
}
