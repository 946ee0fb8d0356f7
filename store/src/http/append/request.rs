//! What an append says besides its body.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Uri};
use logstore_api::frame::Producer;
use logstore_api::limits::{ENVELOPES_BYTES_MAX, RECORD_BYTES_MAX};
use logstore_api::{Code, Durability, MEDIA_ENVELOPES, MEDIA_FRAMES, Problem};

use super::{COPIED_INLINE_MAX, JSON_INLINE_MAX};
use crate::http::query::{self, Query};
use crate::http::{conditions, producer};

/// Parameters that say something of each record; records of their own say it themselves.
const OF_EACH_RECORD: [&str; 4] = ["tag", "key", "alloc", "index.NAME"];

/// An append, as its query and headers say.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// How records stand in the body.
    pub(super) form: Form,
    /// Of each record, where the body does not say it itself.
    pub(super) key: Option<String>,
    /// Of each record.
    pub(super) tags: Vec<String>,
    /// Of each record, by the names of indices.
    pub(super) indices: Vec<(String, i64)>,
    /// Of each record.
    pub(super) alloc: Option<u64>,
    /// Where it goes.
    pub(super) partition: Option<u32>,
    /// The offset that the first record must get.
    pub(super) expect_offset: Option<u64>,
    /// The level to reach.
    pub(super) durability: Option<Durability>,
    /// Who sends it.
    pub(super) producer: Option<Producer>,
}

/// How records stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The whole body is one record.
    One,
    /// Each line is one.
    Lines,
    /// Each line is an envelope.
    Envelopes,
    /// Lengths, metadata and data.
    Binary,
}

impl Form {
    /// The largest body, and the refusal of a larger one.
    #[must_use]
    pub(super) fn bound(self) -> (usize, Code) {
        match self {
            Self::One => (RECORD_BYTES_MAX, Code::RecordTooLarge),
            Self::Lines => (RECORD_BYTES_MAX, Code::BatchTooLarge),
            Self::Envelopes | Self::Binary => (ENVELOPES_BYTES_MAX, Code::BatchTooLarge),
        }
    }

    /// Bodies up to this are taken apart on the thread that serves the connection.
    pub(super) fn inline_max(self) -> usize {
        match self {
            Self::One | Self::Lines | Self::Binary => COPIED_INLINE_MAX,
            Self::Envelopes => JSON_INLINE_MAX,
        }
    }

    fn of(headers: &HeaderMap, split: Option<&str>) -> Result<Self, Problem> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let whole = match media {
            media if media.eq_ignore_ascii_case(MEDIA_ENVELOPES) => Self::Envelopes,
            media if media.eq_ignore_ascii_case(MEDIA_FRAMES) => Self::Binary,
            _ => Self::One,
        };
        match split {
            None => Ok(whole),
            Some("lines") if whole == Self::One => Ok(Self::Lines),
            Some(other) => {
                let detail =
                    format!("split={other} cannot be had with this body; give split=lines with a body of lines");
                Err(Problem::new(Code::InvalidArgument, detail).field("split").expected("lines").got(other))
            }
        }
    }
}

impl Request {
    /// Takes a request apart.
    pub(super) fn parse(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let known = ["split", "tag", "key", "alloc", "index.NAME", "partition", "expect_offset", "durability"];
        let query = Query::parse(uri.query(), &known)?;
        conditions::check(headers, &[])?;
        let request = Self {
            form: Form::of(headers, query.one("split")?)?,
            key: query.one("key")?.map(str::to_owned),
            tags: query.all("tag"),
            indices: indices(&query)?,
            alloc: query.number("alloc", u64::MAX)?,
            partition: query.partition()?,
            expect_offset: query.number("expect_offset", u64::MAX)?,
            durability: query.durability()?,
            producer: producer::parse(headers)?,
        };
        request.check_records_of_their_own()?;
        Ok(request)
    }

    fn check_records_of_their_own(&self) -> Result<(), Problem> {
        let given = [!self.tags.is_empty(), self.key.is_some(), self.alloc.is_some(), !self.indices.is_empty()];
        match OF_EACH_RECORD.iter().zip(given).find(|(_, given)| *given) {
            Some((name, _)) if matches!(self.form, Form::Envelopes | Form::Binary) => {
                let detail = format!("{name} stands beside each record in a body of this type, not in the query");
                Err(Problem::new(Code::InvalidArgument, detail).field(*name))
            }
            _ => Ok(()),
        }
    }

    /// What binds the append to one partition, where something does.
    #[must_use]
    pub(super) fn needs_one_partition(&self) -> Option<&'static str> {
        let producer = self.producer.is_some().then_some("a producer's sequence counts");
        producer.or(self.expect_offset.map(|_| "expect_offset counts"))
    }
}

fn indices(query: &Query<'_>) -> Result<Vec<(String, i64)>, Problem> {
    let names = query.names_from("index.");
    let value = |name: &str| {
        let parameter = format!("index.{name}");
        let text = query.one(&parameter)?.unwrap_or_default();
        query::integer(text, &parameter).map(|value| (name.to_owned(), value))
    };
    names.into_iter().map(value).collect()
}
