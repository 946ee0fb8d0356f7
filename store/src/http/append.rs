//! `POST /v1/namespaces/{ns}/records`.

mod records;
mod request;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use logstore_api::frame::Salt;
use logstore_api::record::AppendAnswer;
use logstore_api::{Code, Durability, NamespaceName, Problem};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::records::batch;
use self::request::{Form, Request};
use super::answer::{Refusal, json, put_text};
use super::budget::Share;
use super::read::opened;
use super::{App, InPath, blocking, body};
use crate::engine::batch::Ready;
use crate::engine::namespace::{Namespace, Rules};
use crate::log::work::{Done, What, Work};

/// Bodies up to this whose bytes are only copied and summed are taken apart on the thread that serves the connection: less
/// than a millisecond of work, which is not worth waking another thread.
pub const COPIED_INLINE_MAX: usize = 2 * 1024 * 1024;
/// The same of JSON, which takes ten times as long.
const JSON_INLINE_MAX: usize = 256 * 1024;

/// What stays as it is in a path: the unreserved characters of RFC 3986.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends one record, or a batch that is stored whole or not at all.
pub async fn append(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request = Request::parse(&uri, &headers);
    let bound = request.as_ref().map_or(Form::One, |request| request.form).bound();
    let known = app.engine.get(&name).ok();
    let budget = known.as_ref().map(|namespace| namespace.in_flight());
    let (body, share) = body::read_sharing(&headers, body, bound, &app.budgets, budget).await?;
    // Only now: a sender that is still sending may not come to reading a refusal.
    let request = request?;
    let (durability, expect_offset) = (request.durability, request.expect_offset);
    let namespace = namespace_for_append(&app, &name, &request, &body).await?;
    let rules = namespace.rules();
    let (partition, ready) = if body.len() <= request.form.inline_max() {
        batch(&request, &body, &rules)?
    } else {
        blocking(move || batch(&request, &body, &rules)).await?
    };
    let partition = partition.unwrap_or_else(|| namespace.next_partition());
    let terms = Terms { partition, durability, expect_offset };
    let (count, stored) = store(&app, namespace, ready, terms, share).await?;
    Ok(answer(&name, partition, count, &stored))
}

/// The namespace, created if that is on. The body is looked through before, so that a bad one creates nothing.
async fn namespace_for_append(
    app: &App,
    name: &NamespaceName,
    request: &Request,
    body: &Bytes,
) -> Result<Arc<Namespace>, Problem> {
    match app.engine.get(name) {
        Err(_) if app.engine.auto_creates() => {
            let (engine, name, request, body) = (Arc::clone(&app.engine), name.clone(), request.clone(), body.clone());
            blocking(move || {
                batch(&request, &body, &Rules::of(&engine.config().namespace_defaults, Salt::WIRE))?;
                engine.get_or_create(&name)
            })
            .await
        }
        result => result,
    }
}

/// What was stored, and what was waited for.
#[derive(Debug)]
pub struct Stored {
    done: Done,
    durability: Durability,
}

impl Stored {
    /// Offset of the first record.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self.done.what {
            What::Appended { offset, .. } => offset,
            What::Trimmed { .. } | What::Patched { .. } | What::Erased { .. } | What::Placed { .. } => None,
        }
    }
}

/// How a batch is appended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Where it goes.
    pub partition: u32,
    /// The level to reach; the namespace's where left out.
    pub durability: Option<Durability>,
    /// The offset that the first record must get.
    pub expect_offset: Option<u64>,
}

/// Hands a batch to the log and waits for its answer.
pub async fn store(
    app: &App,
    namespace: Arc<Namespace>,
    ready: Ready,
    terms: Terms,
    share: Share,
) -> Result<(u32, Stored), Problem> {
    namespace.check_unordered()?;
    namespace.check_append()?;
    let Ready { draft, producer } = ready;
    let (count, payload_bytes) = (draft.record_count(), draft.payload_bytes);
    let Terms { partition, durability, expect_offset } = terms;
    let durability = durability.unwrap_or_else(|| namespace.durability());
    let partition = opened(&namespace, partition).await?;
    let work = |reply| Work::Append { draft, producer, expect_offset, durability, reply };
    let answer = partition.enqueue(Some(share.into_permit()), work).answered().await;
    let done = answer.map_err(|_| outcome_unknown())?.map_err(|problem| *problem)?;
    app.engine.metrics.records.inc_by(u64::from(count));
    app.engine.metrics.payload_bytes.inc_by(payload_bytes);
    Ok((count, Stored { done, durability }))
}

/// The answer of one whose request was lost on its way; only the end of the process does that.
#[must_use]
pub fn outcome_unknown() -> Problem {
    let detail = "the store stopped while the append was in it; it may be stored or not";
    Problem::new(Code::OutcomeUnknown, detail)
}

fn answer(name: &NamespaceName, partition: u32, count: u32, stored: &Stored) -> Response {
    let Stored { done: Done { what, end, durable_end }, durability } = stored;
    let (offset, time, duplicate) = match what {
        What::Appended { offset, time, duplicate } => (*offset, *time, *duplicate),
        What::Trimmed { .. } | What::Patched { .. } | What::Erased { .. } | What::Placed { .. } => (None, None, false),
    };
    let body = AppendAnswer {
        offset,
        count: u64::from(count),
        partition,
        end: *end,
        durable_end: *durable_end,
        durability: *durability,
        time,
        duplicate,
    };
    let mut response = json(StatusCode::OK, &body);
    if let Some(offset) = offset {
        let name = utf8_percent_encode(name.as_str(), IN_PATH);
        let query = if partition == 0 { String::new() } else { format!("?partition={partition}") };
        put_text(&mut response, "location", &format!("/v1/namespaces/{name}/records/{offset}{query}"));
    }
    response
}
