//! `PATCH` and `DELETE /v1/namespaces/{ns}/records/{offset}`: bytes of a record replaced, and a record erased.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::IF_MATCH;
use http::{HeaderMap, StatusCode, Uri};
use logstore_api::limits::PATCH_BYTES_MAX;
use logstore_api::record::{EraseAnswer, PatchAnswer};
use logstore_api::{Code, Durability, Problem};

use super::answer::{Refusal, json, put_text};
use super::append::outcome_unknown;
use super::query::{self, Query};
use super::read::{damaged, opened, trimmed};
use super::record::{ETag, check_there};
use super::{App, InPath, OffsetInPath, blocking, body, conditions};
use crate::engine::namespace::Namespace;
use crate::log::Partition;
use crate::log::modify::{At, EraseRequest, PatchRequest, Target, erased};
use crate::log::work::{Done, What, Work};

/// Where a patch goes, and what is waited for.
struct Request {
    at: At,
    partition: Option<u32>,
    durability: Option<Durability>,
}

impl Request {
    fn parse(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let query = Query::parse(uri.query(), &["at", "partition", "durability"])?;
        conditions::check(headers, &[IF_MATCH])?;
        Ok(Self { at: parse_at(query.one("at")?)?, partition: query.partition()?, durability: query.durability()? })
    }
}

fn parse_at(text: Option<&str>) -> Result<At, Problem> {
    let expected = "a byte of the payload from 0, or end";
    let wrong = |detail: String| Problem::new(Code::InvalidArgument, detail).field("at").expected(expected);
    match text {
        Some("end") => Ok(At::End),
        Some(text) => query::number(text, "at", u64::MAX)
            .map(At::Byte)
            .map_err(|_| wrong(format!("at is {text:?}; give {expected}")).got(text)),
        None => Err(wrong(format!("at is missing; give {expected}"))),
    }
}

/// Replaces bytes of a record, inside what it has reserved.
pub async fn patch(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    OffsetInPath(offset): OffsetInPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request = Request::parse(&uri, &headers);
    let bound = (PATCH_BYTES_MAX, Code::RecordTooLarge);
    let (bytes, share) = body::read_sharing(&headers, body, bound, &app.budgets, None).await?;
    // Only now: a sender that is still sending may not come to reading a refusal.
    let Request { at, partition, durability } = request?;
    let namespace = app.engine.get(&name)?;
    namespace.check_unordered()?;
    namespace.check_append()?;
    let durability = durability.unwrap_or_else(|| namespace.durability());
    let partition = opened(&namespace, namespace.partition_named(partition)?).await?;
    let (data_len, alloc_len) = match target(&namespace, &partition, offset).await? {
        Target::Standing { data_len, alloc_len } => (data_len, alloc_len),
        Target::Erased => return Err(erased(offset).into()),
        Target::Damaged => return Err(damaged(offset, offset + 1).into()),
    };
    let if_match = ETag::versions(&headers, IF_MATCH, namespace.incarnation(), offset);
    let request = PatchRequest { offset, data_len, alloc_len, at, bytes, if_match };
    let work = |reply| Work::Patch { request, durability, reply };
    let answer = partition.enqueue(Some(share.into_permit()), work).answered().await;
    let Done { what, end, durable_end } = answer.map_err(|_| outcome_unknown())??;
    let What::Patched { data_len, frame, time } = what else { return Err(outcome_unknown().into()) };
    let (partition, data_len) = (partition.number(), u64::from(data_len));
    let answer = PatchAnswer { offset, partition, data_len, end, durable_end, durability, time };
    let mut response = json(StatusCode::OK, &answer);
    put_text(&mut response, "etag", &ETag::of(namespace.incarnation(), offset, Some(frame)).to_string());
    Ok(response)
}

/// Hides a record at once; its bytes are gone from the files within the time that the store's configuration says.
pub async fn erase(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    OffsetInPath(offset): OffsetInPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = Query::parse(uri.query(), &["partition", "durability"])?;
    conditions::check(&headers, &[IF_MATCH])?;
    let (number, durability) = (query.partition()?, query.durability()?);
    let namespace = app.engine.get(&name)?;
    namespace.check_unordered()?;
    let durability = durability.unwrap_or_else(|| namespace.durability());
    let partition = opened(&namespace, namespace.partition_named(number)?).await?;
    let (time, end, durable_end) = match target(&namespace, &partition, offset).await? {
        Target::Damaged => return Err(damaged(offset, offset + 1).into()),
        // Its bytes are gone already.
        Target::Erased => {
            let published = *partition.published().borrow();
            (None, published.end, published.durable_end)
        }
        Target::Standing { .. } => {
            let if_match = ETag::versions(&headers, IF_MATCH, namespace.incarnation(), offset);
            let request = EraseRequest { offset, if_match };
            let answer = partition.submit(|reply| Work::Erase { request, durability, reply }).await;
            let Done { what, end, durable_end } = answer.map_err(|_| outcome_unknown())??;
            let What::Erased { time } = what else { return Err(outcome_unknown().into()) };
            (time, end, durable_end)
        }
    };
    Ok(json(StatusCode::OK, &EraseAnswer { offset, partition: partition.number(), end, durable_end, durability, time }))
}

/// The record as it was appended. Its reservation never changes, so that the leader need not read it again.
async fn target(namespace: &Arc<Namespace>, partition: &Arc<Partition>, offset: u64) -> Result<Target, Problem> {
    let published = *partition.published().borrow();
    check_there(offset, published)?;
    let (namespace, partition) = (Arc::clone(namespace), Arc::clone(partition));
    let target =
        blocking(move || partition.target(offset).map_err(|error| namespace.internal("read the log", &error))).await?;
    target.ok_or_else(|| trimmed(offset, published))
}
