//! `GET /v1/namespaces/{ns}/records/{offset}`: one record, raw.

use std::sync::Arc;

use std::fmt;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_RANGES, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use logstore_api::frame::Meta;
use logstore_api::{Code, Problem, Timestamp, header};
use uuid::Uuid;

use super::answer::{Refusal, ascii_json, put_number, put_text};
use super::budget::Share;
use super::query::Query;
use super::read::print::{named_indices, text_or_base64};
use super::read::{damaged, opened, trimmed};
use super::{App, InPath, OffsetInPath, blocking, body};
use crate::log::modify::{Version, erased};
use crate::log::read::{Ended, Flow, Range};
use crate::log::shared::Published;

/// One record's bytes, with the rest in headers.
pub async fn record(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    OffsetInPath(offset): OffsetInPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let partition = Query::parse(uri.query(), &["partition"])?.partition()?;
    let namespace = app.engine.get(&name)?;
    namespace.check_read()?;
    let partition = opened(&namespace, namespace.partition_named(partition)?).await?;
    let published = *partition.published().borrow();
    check_there(offset, published)?;
    let (number, indices, incarnation) = (partition.number(), namespace.indices(), namespace.incarnation());
    let found = blocking(move || {
        let mut found = None;
        let range = Range { from: offset, until: offset + 1 };
        let ended = partition.read(range, |record| {
            found = Some(Found {
                data: record.data().to_vec(),
                time: record.time,
                meta: record.meta(),
                version: record.patched_by(),
            });
            Flow::Stop
        });
        let Ended { next, damaged_until, begins_at } =
            ended.map_err(|error| namespace.internal("read the log", &error))?;
        if let Some(start) = begins_at {
            return Err(trimmed(offset, Published { start, ..published }));
        }
        found.ok_or_else(|| match damaged_until {
            Some(until) => damaged(next, until),
            // The reading went past it.
            None => erased(offset),
        })
    })
    .await?;
    // Before all other conditions (RFC 9110, 13.2.2).
    let wanted = ETag::versions(&headers, IF_MATCH, incarnation, offset);
    if wanted.is_some_and(|versions| !versions.contains(&found.version)) {
        let detail = "the record is not the one that If-Match names; read it without to see what it is now";
        return Err(Problem::new(Code::PreconditionFailed, detail).field("If-Match").into());
    }
    let etag = ETag::of(incarnation, offset, found.version).to_string();
    let share = app.budgets.read(found.data.len()).await?;
    let mut response = found.answer(&headers, &etag, &indices, share)?;
    put_number(&mut response, header::PARTITION, u64::from(number));
    Ok(response)
}

/// Refuses an offset before the start or behind the end.
pub fn check_there(offset: u64, published: Published) -> Result<(), Problem> {
    let Published { start, end, .. } = published;
    if offset < start {
        return Err(trimmed(offset, published).field("offset"));
    }
    if offset >= end {
        let detail = format!("there is no record {offset} yet; the log ends at {end}");
        return Err(Problem::new(Code::RecordNotFound, detail).field("offset").got(offset).with("end", end));
    }
    Ok(())
}

/// What tells a state of a record from others: `"INCARNATION-OFFSET"`, and `-FRAME` of the last patch behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag {
    incarnation: Uuid,
    offset: u64,
    version: Version,
}

impl ETag {
    /// The tag of a record.
    #[must_use]
    pub fn of(incarnation: Uuid, offset: u64, version: Version) -> Self {
        Self { incarnation, offset, version }
    }

    /// The states of a record that a header names; `None` where it is missing, or names any.
    #[must_use]
    pub fn versions(headers: &HeaderMap, name: HeaderName, incarnation: Uuid, offset: u64) -> Option<Vec<Version>> {
        let given: Vec<&str> = headers
            .get_all(&name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','))
            .collect();
        if !headers.contains_key(&name) || given.iter().any(|tag| tag.trim() == "*") {
            return None;
        }
        Some(given.iter().filter_map(|tag| Self::version_in(tag.trim(), incarnation, offset)).collect())
    }

    fn version_in(tag: &str, incarnation: Uuid, offset: u64) -> Option<Version> {
        let whole = Self::of(incarnation, offset, None).to_string();
        let rest = tag.strip_prefix(whole.strip_suffix('"')?)?.strip_suffix('"')?;
        match rest.strip_prefix('-') {
            Some(frame) => frame.parse().ok().map(Some),
            None => rest.is_empty().then_some(None),
        }
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { incarnation, offset, version } = self;
        match version {
            None => write!(f, "\"{}-{offset}\"", incarnation.simple()),
            Some(frame) => write!(f, "\"{}-{offset}-{frame}\"", incarnation.simple()),
        }
    }
}

struct Found {
    data: Vec<u8>,
    time: Timestamp,
    meta: Meta,
    version: Version,
}

impl Found {
    fn answer(self, request: &HeaderMap, etag: &str, indices: &[String], share: Share) -> Result<Response, Problem> {
        let Self { data, time, meta: Meta { indices: values, key, tags }, version: _ } = self;
        let given = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        // A proxy may have weakened the tag; for this comparison that is the same (RFC 9110, 13.1.2).
        let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
        let unchanged = given(IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| same(tag.trim())));
        let fresh = given(IF_RANGE).is_none_or(|tag| tag == etag);
        let mut response = if unchanged {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            match given(RANGE).filter(|_| fresh).and_then(ByteRange::parse) {
                None => body::held(data, share).into_response(),
                Some(range) => partial(&data, range, share)?,
            }
        };
        put_text(&mut response, "etag", etag);
        put_text(&mut response, header::TIME, &time.to_string());
        if !tags.is_empty() {
            let tags: Vec<String> = tags.into_iter().map(text_or_base64).collect();
            put_text(&mut response, header::TAGS, &ascii_json(&tags));
        }
        if let Some(key) = key {
            put_text(&mut response, header::KEY, &ascii_json(&text_or_base64(key)));
        }
        for (name, value) in named_indices(indices, values) {
            put_index(&mut response, name, value);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Ok(response)
    }
}

fn put_index(response: &mut Response, name: &str, value: i64) {
    // Names of indices are such that this is a header's name.
    if let Ok(name) = HeaderName::try_from(format!("{}{name}", header::INDEX_PREFIX)) {
        response.headers_mut().insert(name, HeaderValue::from(value));
    }
}

/// A range of bytes, RFC 9110, 14.1.2. Only single ranges are understood; others get the whole record, as the RFC allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteRange {
    /// From a byte to a byte, inclusive.
    From(usize, Option<usize>),
    /// The last bytes.
    Last(usize),
}

impl ByteRange {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| text.trim().parse::<usize>().ok();
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self::From(first, Some(last))),
            (Some(first), None) if last.trim().is_empty() => Some(Self::From(first, None)),
            (None, Some(count)) if first.trim().is_empty() => Some(Self::Last(count)),
            _ => None,
        }
    }

    /// The bytes of a record of this length; `None` where there are none.
    fn within(self, len: usize) -> Option<std::ops::Range<usize>> {
        let range = match self {
            Self::From(first, last) => first..last.map_or(len, |last| last.saturating_add(1).min(len)),
            Self::Last(count) => len.saturating_sub(count)..len,
        };
        (!range.is_empty()).then_some(range)
    }
}

fn partial(data: &[u8], range: ByteRange, share: Share) -> Result<Response, Problem> {
    let len = data.len();
    let Some(bytes) = range.within(len) else {
        let detail = format!("the record has {len} bytes; the range lies outside");
        return Err(Problem::new(Code::BeyondEnd, detail).field("Range").expected(format!("bytes */{len}")));
    };
    let content_range = format!("bytes {}-{}/{len}", bytes.start, bytes.end - 1);
    let mut response = (StatusCode::PARTIAL_CONTENT, body::held(data[bytes].to_vec(), share)).into_response();
    put_text(&mut response, "content-range", &content_range);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_states_of_a_record() {
        let incarnation = Uuid::from_u128(7);
        let versions = |tags: &[&str]| {
            let mut headers = HeaderMap::new();
            for tag in tags {
                headers.append("if-match", tag.parse().unwrap());
            }
            ETag::versions(&headers, http::header::IF_MATCH, incarnation, 5)
        };
        let [plain, patched] = [None, Some(9)].map(|version| ETag::of(incarnation, 5, version).to_string());
        assert_eq!(versions(&[]), None);
        assert_eq!(versions(&["*"]), None);
        assert_eq!(versions(&[&plain]), Some(vec![None]));
        assert_eq!(versions(&[&format!("{plain} , {patched}")]), Some(vec![None, Some(9)]));
        assert_eq!(versions(&[&plain, &patched]), Some(vec![None, Some(9)]));
        let other = ETag::of(incarnation, 51, None).to_string();
        let weak = format!("W/{plain}");
        for tag in [&other, &weak, &ETag::of(Uuid::nil(), 5, None).to_string(), "\"\"", "x"] {
            assert_eq!(versions(&[tag]), Some(vec![]), "{tag}");
        }
    }

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let bytes = |text: &str, len| ByteRange::parse(text).map(|range| range.within(len));
        assert_eq!(bytes("bytes=0-1", 5), Some(Some(0..2)));
        assert_eq!(bytes("bytes=3-", 5), Some(Some(3..5)));
        assert_eq!(bytes("bytes=3-99", 5), Some(Some(3..5)));
        assert_eq!(bytes("bytes=-2", 5), Some(Some(3..5)));
        assert_eq!(bytes("bytes=-9", 5), Some(Some(0..5)));
        assert_eq!(bytes("bytes=5-", 5), Some(None));
        assert_eq!(bytes("bytes=-0", 5), Some(None));
        for odd in ["bytes=2-1", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=-"] {
            assert_eq!(bytes(odd, 5), None, "{odd}");
        }
    }
}
