//! `POST /v1/namespaces/{ns}/records`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use logstore_api::frame::{Producer, Salt};
use logstore_api::limits::{ENVELOPES_BYTES_MAX, RECORD_BYTES_MAX};
use logstore_api::record::{AppendAnswer, AppendEnvelope};
use logstore_api::{Code, Durability, MEDIA_ENVELOPES, NamespaceName, Problem};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::{Refusal, json, put_text};
use super::budget::Share;
use super::query::Query;
use super::read::opened;
use super::{App, InPath, blocking, body, producer};
use crate::engine::batch::{Attributes, Batch, Ready};
use crate::engine::namespace::{Namespace, Rules, check_partition};
use crate::engine::placement::Placement;
use crate::log::work::{Done, What, Work};

/// Bodies up to this are parsed on the thread that serves the connection.
pub const PARSE_INLINE_MAX: usize = 256 * 1024;

/// What stays as it is in a path: the unreserved characters of RFC 3986.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Everything a request says besides its body.
#[derive(Clone, Debug)]
struct Request {
    form: Form,
    attributes: Attributes,
    partition: Option<u32>,
    durability: Option<Durability>,
    producer: Option<Producer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The whole body is one record.
    One,
    /// Each line is one.
    Lines,
    /// Each line is an envelope.
    Envelopes,
}

/// Appends one record, or a batch that is stored whole or not at all.
pub async fn append(
    State(app): State<App>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let request = Request::parse(&uri, &headers);
    let (max, too_large) = match request.as_ref().map_or(Form::One, |request| request.form) {
        Form::One => (RECORD_BYTES_MAX, Code::RecordTooLarge),
        Form::Lines => (RECORD_BYTES_MAX, Code::BatchTooLarge),
        Form::Envelopes => (ENVELOPES_BYTES_MAX, Code::BatchTooLarge),
    };
    let share = app.budgets.append(body::declared_len(&headers).unwrap_or(max)).await?;
    let body = body::read(&headers, body, max, too_large).await?;
    // Only now: a sender that is still sending may not come to reading a refusal.
    let request = request?;
    let durability = request.durability;
    let namespace = namespace_for_append(&app, &name, &request, &body).await?;
    let rules = namespace.rules();
    let (partition, ready) = if body.len() <= PARSE_INLINE_MAX {
        request.batch(&body, &rules)?
    } else {
        blocking(move || request.batch(&body, &rules)).await?
    };
    let partition = partition.unwrap_or_else(|| namespace.next_partition());
    let (count, stored) = store(&app, namespace, partition, ready, durability, share).await?;
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
                request.batch(&body, &Rules::of(&engine.config().namespace_defaults, Salt::WIRE))?;
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
            What::Trimmed { .. } | What::Placed { .. } => None,
        }
    }
}

/// Hands a batch to the log and waits for its answer.
pub async fn store(
    app: &App,
    namespace: Arc<Namespace>,
    partition: u32,
    ready: Ready,
    durability: Option<Durability>,
    share: Share,
) -> Result<(u32, Stored), Problem> {
    namespace.check_unordered()?;
    namespace.check_append()?;
    let Ready { draft, producer } = ready;
    let (count, payload_bytes) = (draft.record_count(), draft.payload_bytes);
    let durability = durability.unwrap_or_else(|| namespace.config().durability);
    let partition = opened(&namespace, partition).await?;
    let work = |reply| Work::Append { draft, producer, durability, reply };
    let answer = partition.submit_with(Some(share.into_permit()), work);
    let done = answer.await.map_err(|_| outcome_unknown())?.map_err(|problem| *problem)?;
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
        What::Trimmed { .. } | What::Placed { .. } => (None, None, false),
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

impl Request {
    fn parse(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let raw = uri.query();
        if let Some(index) = raw.into_iter().flat_map(|raw| raw.split('&')).find(|pair| pair.starts_with("index.")) {
            let name = index.trim_start_matches("index.").split('=').next().unwrap_or_default();
            return Err(no_such_index(name));
        }
        let query = Query::parse(raw, &["split", "tag", "key", "alloc", "partition", "durability"])?;
        let partition = query.partition()?;
        let attributes = Attributes {
            key: query.one("key")?.map(str::to_owned),
            tags: query.all("tag"),
            alloc: query.number("alloc", u64::MAX)?,
        };
        let form = form_of(headers, query.one("split")?)?;
        if form == Form::Envelopes
            && (attributes.key.is_some() || !attributes.tags.is_empty() || attributes.alloc.is_some())
        {
            let detail = "tag, key and alloc stand in the envelopes, not in the query, when the body is envelopes";
            return Err(Problem::new(Code::InvalidArgument, detail).field("tag"));
        }
        let (durability, producer) = (query.durability()?, producer::parse(headers)?);
        Ok(Self { form, attributes, partition, durability, producer })
    }

    /// The records as a frame, and the partition they go to; `None` leaves it to the store.
    fn batch(&self, body: &[u8], rules: &Rules) -> Result<(Option<u32>, Ready), Problem> {
        if let Some(partition) = self.partition {
            check_partition(partition, rules.partitions)?;
        }
        let mut batch = Batch::new(self.producer, rules.salt, body.len());
        let mut placement = Placement::new(rules.partitions, self.partition);
        match self.form {
            Form::One => {
                placement.see(self.attributes.key.as_deref())?;
                batch.push(body, self.attributes.clone())?;
            }
            Form::Lines => {
                placement.see(self.attributes.key.as_deref())?;
                for line in lines(body) {
                    batch.push(line, self.attributes.clone())?;
                }
            }
            Form::Envelopes => {
                for (number, line) in lines(body).enumerate() {
                    let mut push = || {
                        let (payload, attributes) = envelope(line)?;
                        placement.see(attributes.key.as_deref())?;
                        batch.push(&payload, attributes)
                    };
                    push().map_err(|problem| at_line(problem, number + 1))?;
                }
            }
        }
        Ok((placement.choose(self.producer.is_some())?, batch.finish()?))
    }
}

fn form_of(headers: &HeaderMap, split: Option<&str>) -> Result<Form, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/vnd.logstore.frames") {
        let detail = "this release does not take binary frames; send envelopes, lines or one record";
        return Err(Problem::new(Code::UnsupportedMediaType, detail).field("Content-Type").got(media));
    }
    let envelopes = media.eq_ignore_ascii_case(MEDIA_ENVELOPES);
    match split {
        None => Ok(if envelopes { Form::Envelopes } else { Form::One }),
        Some("lines") if !envelopes => Ok(Form::Lines),
        Some(other) => {
            let detail = format!("split={other} cannot be had with this body; give split=lines with a body of lines");
            Err(Problem::new(Code::InvalidArgument, detail).field("split").expected("lines").got(other))
        }
    }
}

/// The lines of a body, without their ends (`\n` or `\r\n`). A last line without an end counts; nothing after a last
/// end does not.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

fn envelope(line: &[u8]) -> Result<(Vec<u8>, Attributes), Problem> {
    let malformed = |error: &dyn std::fmt::Display| {
        Problem::new(Code::MalformedBody, format!("the envelope is not understood: {error}; nothing was stored"))
    };
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(malformed(&"it is no JSON object"));
    }
    let mut envelope: AppendEnvelope = serde_json::from_slice(line).map_err(|error| malformed(&error))?;
    let payload = envelope.take_payload().map_err(|error| malformed(&error))?;
    let AppendEnvelope { data: _, data_b64: _, key, tags, indices, alloc } = envelope;
    match indices.keys().next() {
        Some(index) => Err(no_such_index(index)),
        None => Ok((payload, Attributes { key, tags, alloc })),
    }
}

fn at_line(problem: Problem, line: usize) -> Problem {
    let detail = format!("line {line}: {}", problem.detail);
    Problem { detail, ..problem }.with("line", line)
}

fn no_such_index(name: &str) -> Problem {
    let detail = format!("the namespace declares no index {name:?}");
    Problem::new(Code::NoSuchIndex, detail).field(format!("indices.{name}")).got(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_people_end_them() {
        let split = |body: &'static [u8]| lines(body).collect::<Vec<_>>();
        assert_eq!(split(b"a\nb\r\n\nc"), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(split(b"a\n"), [b"a"]);
        assert_eq!(split(b"\n"), [b""]);
        assert_eq!(split(b""), Vec::<&[u8]>::new());
    }
}
