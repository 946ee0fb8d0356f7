//! `GET /v1/status`: the store about itself.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};

use super::App;
use super::answer::{Refusal, json};
use super::query::Query;

/// What the store is, and how it is. Touches no disk.
pub async fn status(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Refusal> {
    Query::parse(uri.query(), &[])?;
    Ok(json(StatusCode::OK, &app.engine.status()))
}
