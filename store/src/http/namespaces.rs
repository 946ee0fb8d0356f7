//! `/v1/namespaces`: list, create, configure, describe, delete, trim.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::IF_NONE_MATCH;
use http::{HeaderMap, StatusCode, Uri};
use logstore_api::limits::LIST_MAX;
use logstore_api::namespace::{PutNamespace, SealRequest, TrimRequest};
use logstore_api::{Code, NamespaceConfig, Problem, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::{self, Refusal};
use super::query::Query;
use super::read::opened;
use super::{App, InPath, blocking, body, conditions, object};
use crate::log::work::{Done, What, Work};

/// A configuration is small.
const BODY_MAX: usize = 64 * 1024;
/// Namespaces in a page where the request does not say.
const LIST_DEFAULT: u64 = 1_000;

/// `GET /v1/namespaces`.
pub async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Refusal> {
    let query = Query::parse(uri.query(), &["prefix", "limit", "after"])?;
    let limit = query.number("limit", LIST_MAX as u64)?.unwrap_or(LIST_DEFAULT);
    let limit = usize::try_from(limit).unwrap_or(LIST_MAX).max(1);
    let list = app.engine.list(query.one("prefix")?.unwrap_or_default(), query.one("after")?, limit);
    Ok(answer::json(StatusCode::OK, &list))
}

/// `GET /v1/namespaces/{ns}`.
pub async fn describe(State(app): State<Arc<App>>, InPath(name): InPath, uri: Uri) -> Result<Response, Refusal> {
    Query::parse(uri.query(), &[])?;
    let namespace = app.engine.get(&name)?;
    let info = blocking(move || namespace.describe()).await?;
    Ok(answer::json(StatusCode::OK, &info))
}

/// `PUT /v1/namespaces/{ns}`.
pub async fn put(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    Query::parse(uri.query(), &[])?;
    conditions::check(&headers, &[IF_NONE_MATCH])?;
    let only_create = match headers.get(IF_NONE_MATCH) {
        None => false,
        Some(value) if value == "*" => true,
        Some(value) => {
            let got = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let detail = format!("If-None-Match is {got:?}; give * to create only, or leave it out");
            return Err(Problem::new(Code::InvalidArgument, detail)
                .field("If-None-Match")
                .expected("*")
                .got(got)
                .into());
        }
    };
    let body = body::read(&headers, body, BODY_MAX, Code::BatchTooLarge).await?;
    let given = object::parse_map(object::or_empty(&body), r#"{"durability":"synced"}"#)?;
    let put = PutNamespace::parse(&body, &app.engine.config().namespace_defaults)
        .map_err(|error| not_understood(&given, &error))?;
    let (created, info) = blocking(move || {
        let (created, namespace) = app.engine.put(&name, put, only_create)?;
        Ok((created, namespace.describe()?))
    })
    .await?;
    Ok(answer::json(if created { StatusCode::CREATED } else { StatusCode::OK }, &info))
}

fn not_understood(given: &Map<String, Value>, error: &serde_json::Error) -> Problem {
    let detail = format!("the configuration is not understood: {error}; nothing was changed");
    let problem = Problem::new(Code::InvalidArgument, detail);
    match field_at_fault(given) {
        Some((field, got)) => problem.field(field).got(got),
        None => problem,
    }
}

/// The first field that cannot be had, by itself, with its value.
fn field_at_fault(given: &Map<String, Value>) -> Option<(String, Value)> {
    let fails = |config: Value| serde_json::from_value::<NamespaceConfig>(config).is_err();
    for (name, value) in given.iter().filter(|(name, _)| *name != "internal") {
        if !fails(json!({ name: value })) {
            continue;
        }
        let inner =
            value.as_object().into_iter().flatten().find(|(inner, value)| fails(json!({ name: { *inner: value } })));
        return Some(match inner {
            // An unknown group fails whatever is in it, and is at fault itself.
            Some((inner, value)) if !fails(json!({ name: {} })) => (format!("{name}.{inner}"), value.clone()),
            _ => (name.clone(), value.clone()),
        });
    }
    None
}

/// `DELETE /v1/namespaces/{ns}`; `incarnation=` deletes only that life of the name.
pub async fn delete(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = Query::parse(uri.query(), &["incarnation"])?;
    conditions::check(&headers, &[])?;
    let incarnation = query.one("incarnation")?.map(parse_uuid).transpose()?;
    blocking(move || app.engine.delete(&name, incarnation)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn parse_uuid(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| {
        Problem::new(Code::InvalidArgument, format!("incarnation is {text:?}; give a UUID"))
            .field("incarnation")
            .got(text)
    })
}

/// `POST /v1/namespaces/{ns}/trim`.
pub async fn trim(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    Query::parse(uri.query(), &[])?;
    conditions::check(&headers, &[])?;
    let TrimRequest { partition, before } =
        object::read(&headers, body, BODY_MAX, r#"{"partition":0,"before":OFFSET}"#).await?;
    let namespace = app.engine.get(&name)?;
    namespace.check_unordered()?;
    let partition = opened(&namespace, namespace.partition_named(partition)?).await?;
    let done = partition.submit(|reply| Work::Trim { before, reply }).await;
    let Done { what, .. } = done.map_err(|_| super::append::outcome_unknown())?.map_err(|problem| *problem)?;
    let start = match what {
        What::Trimmed { start } => start,
        What::Appended { .. } | What::Patched { .. } | What::Erased { .. } | What::Placed { .. } => before,
    };
    let answer = blocking(move || {
        // The records are gone already; their files follow now, so that the room is there when the answer is.
        partition.drop_segments(Timestamp::now());
        Ok(partition.trim_answer(start))
    })
    .await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// `POST /v1/namespaces/{ns}/seal`. Where segments end is each copy's own matter.
pub async fn seal(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    Query::parse(uri.query(), &[])?;
    conditions::check(&headers, &[])?;
    let body = body::read(&headers, body, BODY_MAX, Code::BatchTooLarge).await?;
    let SealRequest { partition } = object::parse(object::or_empty(&body), r#"{"partition":0}"#)?;
    let namespace = app.engine.get(&name)?;
    namespace.check_read()?;
    let partition = opened(&namespace, namespace.partition_named(partition)?).await?;
    let sealed = blocking(move || partition.seal()).await?;
    Ok(answer::json(StatusCode::OK, &sealed))
}
