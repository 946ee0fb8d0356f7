//! A read: where from, how much, and what comes back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use logstore_api::read::{Level, Order};
use logstore_api::record::{Envelope, MissingRecord};
use logstore_api::{NamespaceName, Problem, Timestamp, header};
use serde::Deserialize;

use crate::Error;
use crate::http::Answer;
use crate::query::{Query, namespace_path};

const TIME_PREFIX: &str = "time:";

/// Where a read begins, or ends where it comes newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the first record that is still there.
    Start,
    /// Behind the last one.
    End,
    /// At this offset.
    Offset(u64),
    /// At the last so many records, or the start where there are fewer.
    Last(u64),
    /// At the first record of this time or later; the end where there is none.
    Time(Timestamp),
}

/// Where a read ends: at the first record that it does not bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadUntil {
    /// At this offset.
    Offset(u64),
    /// At the first record of this time or later.
    Time(Timestamp),
}

/// A text that says no place to read from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no place to read from; give an offset, start, end, -N for the last N records, or time:2026-01-31T12:00:00Z"
)]
pub struct InvalidReadFrom(String);

impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::End => f.write_str("end"),
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Last(count) => write!(f, "-{count}"),
            Self::Time(time) => write!(f, "{TIME_PREFIX}{time}"),
        }
    }
}

impl fmt::Display for ReadUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Time(time) => write!(f, "{TIME_PREFIX}{time}"),
        }
    }
}

impl FromStr for ReadFrom {
    type Err = InvalidReadFrom;

    fn from_str(text: &str) -> Result<Self, InvalidReadFrom> {
        let number = |digits: &str| {
            let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| all_digits).ok_or_else(|| InvalidReadFrom(text.to_owned()))
        };
        match (text, text.strip_prefix('-'), text.strip_prefix(TIME_PREFIX)) {
            ("start", ..) => Ok(Self::Start),
            ("end", ..) => Ok(Self::End),
            (_, Some(digits), _) => number(digits).map(Self::Last),
            (_, _, Some(time)) => time.parse().map(Self::Time).map_err(|_| InvalidReadFrom(text.to_owned())),
            (digits, None, None) => number(digits).map(Self::Offset),
        }
    }
}

/// How much a read brings, and how long it waits for it. What is left out is the store's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The partition; may be left out where there is one.
    pub partition: Option<u32>,
    /// Records, at most.
    pub limit: Option<u64>,
    /// Bytes of data, at most; one record always comes.
    pub max_bytes: Option<u64>,
    /// How long to wait for a first record; only oldest first.
    pub wait: Option<Duration>,
    /// Where it ends; the log's end where left out.
    pub until: Option<ReadUntil>,
    /// Which records come first.
    pub order: Order,
    /// Which records are there.
    pub level: Level,
    /// With reserved length, partition and producer.
    pub all_meta: bool,
    /// Only records whose tags fit an expression such as `a AND NOT (b OR c)`.
    pub tags: Option<String>,
    /// Only records whose value of an index lies in a range.
    pub index: Option<IndexRange>,
}

/// A range of a declared index, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexRange {
    /// The index.
    pub name: String,
    /// The lowest value.
    pub min: Option<i64>,
    /// The highest value. A read that waits holds until it has been passed.
    pub max: Option<i64>,
}

/// What a read brought.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadAnswer {
    /// The records, in the order that was asked for.
    pub records: Vec<Envelope>,
    /// Where to go on: the next read begins here; newest first it ends here.
    pub next: u64,
    /// The first offset that is still there.
    pub start: u64,
    /// The offset that the next record gets, as readers see it.
    pub end: u64,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
    /// What stopped the answer behind its last record.
    pub stopped: Option<Problem>,
}

/// A line of an answer that is not a record.
#[derive(Deserialize)]
struct ErrorLine {
    error: Problem,
}

pub(super) fn path(name: &NamespaceName) -> String {
    namespace_path(name, "/records")
}

pub(super) fn query(from: ReadFrom, options: &ReadOptions) -> Query {
    let ReadOptions { partition, limit, max_bytes, wait, until, order, level, all_meta, tags, index } = options;
    let query = Query::default()
        .with("from", from)
        .with_some("partition", *partition)
        .with_some("limit", *limit)
        .with_some("max_bytes", *max_bytes)
        .with_some("wait", wait.map(|wait| format!("{}ms", wait.as_millis())))
        .with_some("until", *until)
        .with_some("order", Some(order).filter(|order| **order != Order::default()))
        .with_some("level", Some(level).filter(|level| **level != Level::default()))
        .with_some("meta", all_meta.then_some("all"))
        .with_some("tags", tags.as_deref());
    match index {
        Some(IndexRange { name, min, max }) => query.with("index", name).with_some("min", *min).with_some("max", *max),
        None => query,
    }
}

pub(super) fn parse(answer: &Answer, order: Order) -> Result<ReadAnswer, Error> {
    let mut records: Vec<Envelope> = Vec::new();
    let mut stopped = None;
    for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(error) => match serde_json::from_slice::<ErrorLine>(line) {
                Ok(line) => stopped = Some(line.error),
                Err(_) => return Err(answer.bad(format!("a line is no record: {error}"))),
            },
        }
    }
    if let (Some(problem), true) = (&stopped, records.is_empty()) {
        return Err(answer.failed(problem.clone()));
    }
    let next = match (&stopped, records.last()) {
        // The header was sent before it was known that the answer would stop.
        (Some(_), Some(last)) if order == Order::NewestFirst => last.offset,
        (Some(_), Some(last)) => last.offset + 1,
        _ => answer.number(header::NEXT)?,
    };
    let (start, end) = (answer.number(header::START)?, answer.number(header::END)?);
    Ok(ReadAnswer { records, next, start, end, durable_end: answer.number(header::DURABLE_END)?, stopped })
}

/// What came for an offset that was asked for by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// The record.
    Record(Envelope),
    /// Why there is none.
    Missing(MissingRecord),
}

/// Takes the answer of `records/get` apart: one entry for each offset, in the order asked for.
pub(super) fn parse_got(answer: &Answer, offsets: &[u64]) -> Result<Vec<Got>, Error> {
    let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entries: Vec<Got> = lines.map(|line| got(answer, line)).collect::<Result<_, _>>()?;
    let came = entries.iter().map(|entry| match entry {
        Got::Record(record) => record.offset,
        Got::Missing(missing) => missing.offset,
    });
    if came.eq(offsets.iter().copied()) {
        Ok(entries)
    } else {
        Err(answer.bad("the entries are not those that were asked for"))
    }
}

fn got(answer: &Answer, line: &[u8]) -> Result<Got, Error> {
    if let Ok(missing) = serde_json::from_slice::<MissingRecord>(line) {
        return Ok(Got::Missing(missing));
    }
    let record = serde_json::from_slice(line);
    record.map(Got::Record).map_err(|error| answer.bad(format!("a line is no record: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_read_from_are_read_back_as_they_are_written() {
        for (text, from) in [
            ("start", ReadFrom::Start),
            ("end", ReadFrom::End),
            ("0", ReadFrom::Offset(0)),
            ("18446744073709551615", ReadFrom::Offset(u64::MAX)),
            ("-3", ReadFrom::Last(3)),
            ("time:2023-11-14T22:13:20.000042Z", ReadFrom::Time(Timestamp(1_700_000_000_000_042))),
        ] {
            assert_eq!(text.parse(), Ok(from));
            assert_eq!(from.to_string(), text);
        }
        for text in ["", "-", "+1", "--1", "1.5", "beginning", "18446744073709551616", "time:", "time:noon"] {
            assert!(text.parse::<ReadFrom>().is_err(), "{text:?}");
        }
    }
}
