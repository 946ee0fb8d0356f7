//! `GET /v1/namespaces/{ns}/records`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};
use logstore_api::limits::{
    READ_BYTES_DEFAULT, READ_BYTES_MAX, READ_RECORDS_DEFAULT, READ_RECORDS_MAX, WAIT_SECONDS_MAX,
};
use logstore_api::record::{Envelope, ProducerInfo};
use logstore_api::{Code, Problem, header};
use uuid::Uuid;

use super::accept::Form;
use super::answer::{Refusal, put_number};
use super::budget::Share;
use super::query::{self, Query};
use super::server::drain_begun;
use super::{App, InPath, blocking};
use crate::engine::namespace::Namespace;
use crate::log::Partition;
use crate::log::cursor::LogRecord;
use crate::log::read::{Ended, Flow, Range};
use crate::log::shared::Published;

/// What a reader asks for.
#[derive(Clone, Copy, Debug)]
struct Request {
    from: From,
    until: u64,
    limit: usize,
    max_bytes: usize,
    wait: Duration,
    form: Form,
    all_meta: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Start,
    End,
    Offset(u64),
    Last(u64),
}

/// Reads forward from a place, whole records only.
pub async fn read(
    State(app): State<App>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = Request::parse(&uri, &headers)?;
    let namespace = app.engine.get(&name)?;
    namespace.check_read()?;
    let partition = opened(&namespace).await?;
    let (range, published) = range_when_ready(&app, &partition, &request).await?;
    let share =
        app.budgets.read(partition.bytes_at_most(range).unwrap_or(request.max_bytes).min(request.max_bytes)).await?;
    let (ended, body) = blocking(move || records(&namespace, &partition, range, &request)).await?;
    if let Some(start) = ended.begins_at {
        return Err(trimmed(range.from, Published { start, ..published }).into());
    }
    if let Some(until) = ended.damaged_until
        && ended.next == range.from
    {
        return Err(damaged(ended.next, until).into());
    }
    Ok(answer(request.form, body, ended.next, published, share))
}

/// The log, opened off the threads that serve connections where it was not open.
pub async fn opened(namespace: &Arc<Namespace>) -> Result<Arc<Partition>, Problem> {
    match namespace.opened() {
        Some(partition) => Ok(Arc::clone(partition)),
        None => {
            let namespace = Arc::clone(namespace);
            blocking(move || namespace.partition().cloned()).await
        }
    }
}

/// Where to read, once there is something, or the time is over, or the store stops.
async fn range_when_ready(app: &App, partition: &Partition, request: &Request) -> Result<(Range, Published), Problem> {
    let mut updates = partition.published();
    let mut published = *updates.borrow_and_update();
    let from = request.first(published)?;
    if from == published.end && from < request.until && !request.wait.is_zero() {
        let mut draining = app.draining.clone();
        let more = async { updates.wait_for(|published| published.end > from).await.map(|published| *published) };
        tokio::select! {
            result = tokio::time::timeout(request.wait, more) => {
                if let Ok(Ok(now)) = result {
                    published = now;
                }
            }
            () = drain_begun(&mut draining) => {}
        }
    }
    if from < published.start {
        return Err(trimmed(from, published));
    }
    let until = published.end.min(request.until).min(from.saturating_add(request.limit as u64)).max(from);
    Ok((Range { from, until }, published))
}

impl Request {
    fn parse(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let known = ["from", "until", "partition", "limit", "max_bytes", "wait", "meta"];
        let query = Query::parse(uri.query(), &known)?;
        query.partition()?;
        let limit = query.number("limit", READ_RECORDS_MAX as u64)?.unwrap_or(READ_RECORDS_DEFAULT as u64);
        let max_bytes = query.number("max_bytes", READ_BYTES_MAX as u64)?.unwrap_or(READ_BYTES_DEFAULT as u64);
        let all_meta = match query.one("meta")? {
            None => false,
            Some("all") => true,
            Some(other) => {
                let detail = format!("meta is {other:?}; give all, or leave it out");
                return Err(Problem::new(Code::InvalidArgument, detail).field("meta").expected("all").got(other));
            }
        };
        Ok(Self {
            from: query.one("from")?.map_or(Ok(From::Start), From::parse)?,
            until: query.number("until", u64::MAX)?.unwrap_or(u64::MAX),
            limit: usize::try_from(limit).unwrap_or(READ_RECORDS_MAX),
            max_bytes: usize::try_from(max_bytes).unwrap_or(READ_BYTES_MAX),
            wait: query.duration("wait", Duration::from_secs(WAIT_SECONDS_MAX))?.unwrap_or_default(),
            form: Form::negotiate(headers)?,
            all_meta,
        })
    }

    fn first(&self, published: Published) -> Result<u64, Problem> {
        let Published { start, end, .. } = published;
        match self.from {
            From::Start => Ok(start),
            From::End => Ok(end),
            From::Last(count) => Ok(end.saturating_sub(count).max(start)),
            From::Offset(offset) if offset > end => Err(beyond_end("from", offset, end)),
            From::Offset(offset) if offset < start => Err(trimmed(offset, published)),
            From::Offset(offset) => Ok(offset),
        }
    }
}

impl From {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            text => {
                let parsed = match text.strip_prefix('-') {
                    Some(count) => query::number(count, "from", u64::MAX).map(Self::Last),
                    None => query::number(text, "from", u64::MAX).map(Self::Offset),
                };
                parsed.map_err(|_| {
                    let expected = "an offset, start, end, or -N for the last N";
                    let detail = format!("from is {text:?}; give {expected}");
                    Problem::new(Code::InvalidArgument, detail).field("from").expected(expected).got(text)
                })
            }
        }
    }
}

/// Reads and prints; blocking.
fn records(
    namespace: &Namespace,
    partition: &Partition,
    range: Range,
    request: &Request,
) -> Result<(Ended, Vec<u8>), Problem> {
    let mut body = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    let ended = partition
        .read(range, |record| {
            let len = record.body_len();
            if count > 0 && bytes + len > request.max_bytes {
                return Flow::StopBefore;
            }
            print(&mut body, record, request);
            count += 1;
            bytes += len;
            // JSON may write six bytes for one.
            let full = count >= request.limit || body.len() >= READ_BYTES_MAX;
            if full { Flow::Stop } else { Flow::Continue }
        })
        .map_err(|error| namespace.internal("read the log", &error))?;
    Ok((ended, body))
}

fn print(body: &mut Vec<u8>, record: &LogRecord<'_>, request: &Request) {
    match request.form {
        Form::Octets => body.extend_from_slice(record.data()),
        Form::Text => {
            body.extend_from_slice(record.data());
            body.push(b'\n');
        }
        Form::Envelopes => {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut *body, &envelope(record, request.all_meta));
            body.push(b'\n');
        }
    }
}

fn envelope(record: &LogRecord<'_>, all_meta: bool) -> Envelope {
    let mut envelope = Envelope::of(record.offset, record.time, record.data());
    let meta = record.meta();
    envelope.key = meta.key.map(text_or_base64);
    envelope.tags = meta.tags.into_iter().map(text_or_base64).collect();
    if all_meta {
        envelope.alloc = Some(u64::from(record.alloc_len()));
        envelope.partition = Some(0);
        envelope.producer = record.producer.map(|producer| ProducerInfo {
            id: Uuid::from_u128(producer.id),
            epoch: producer.epoch,
            seq: producer.seq,
        });
    }
    envelope
}

/// Keys and tags are text; bytes that a dialect stored and that are none are shown as base64.
pub fn text_or_base64(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| BASE64.encode(error.as_bytes()))
}

fn answer(form: Form, body: Vec<u8>, next: u64, published: Published, share: Share) -> Response {
    // The share is given back when the answer has left.
    let body = axum::body::Body::new(super::body::Held::new(body, share));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    put_number(&mut response, header::NEXT, next);
    put_ends(&mut response, published);
    response
}

/// The headers that say where the log begins and ends.
pub fn put_ends(response: &mut Response, published: Published) {
    let Published { start, end, durable_end } = published;
    put_number(response, header::START, start);
    put_number(response, header::END, end);
    put_number(response, header::DURABLE_END, durable_end);
}

/// The refusal of an offset that is gone.
#[must_use]
pub fn trimmed(offset: u64, published: Published) -> Problem {
    let Published { start, end, .. } = published;
    let detail = format!("offset {offset} is gone; the log begins at {start}");
    let problem = Problem::new(Code::Trimmed, detail).field("from").got(offset);
    problem.with("start", start).with("end", end).with("next", start)
}

/// The refusal of an offset that is not there yet.
#[must_use]
pub fn beyond_end(field: &str, offset: u64, end: u64) -> Problem {
    let detail = format!("offset {offset} is beyond the end {end}; read from {end} with wait= for what comes");
    Problem::new(Code::BeyondEnd, detail).field(field).got(offset).with("end", end)
}

/// The refusal of a damaged range.
#[must_use]
pub fn damaged(from: u64, until: u64) -> Problem {
    let detail = format!("the records from {from} up to {until} are damaged on disk; read on from {until}");
    Problem::new(Code::Damaged, detail).with("from", from).with("until", until).with("next", until)
}
