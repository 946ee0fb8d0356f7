//! What a reader asks for.

use std::time::Duration;

use http::{HeaderMap, Uri};
use logstore_api::limits::{
    READ_BYTES_DEFAULT, READ_BYTES_MAX, READ_RECORDS_DEFAULT, READ_RECORDS_MAX, WAIT_SECONDS_MAX,
};
use logstore_api::read::{Level, Order};
use logstore_api::{Code, Problem, Timestamp};

use super::select::Select;
use super::{beyond_end, trimmed};
use crate::http::accept::Form;
use crate::http::query::{self, Query};
use crate::log::find::ordinals::Direction;
use crate::log::read::Range;
use crate::log::shared::Published;

const PARAMETERS: [&str; 9] = ["from", "until", "partition", "limit", "max_bytes", "wait", "order", "level", "meta"];
const EVENTS_PARAMETERS: [&str; 3] = ["from", "partition", "level"];
const LAST_EVENT_ID: &str = "Last-Event-ID";

/// A read, as its query and headers say.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first record wanted.
    pub from: Place,
    /// The first record not wanted any more; the end where left out.
    pub until: Option<Place>,
    /// The partition; may be left out where there is one.
    pub partition: Option<u32>,
    /// Which come first.
    pub order: Order,
    /// Which are there.
    pub level: Level,
    /// Records, at most.
    pub limit: usize,
    /// What they have to be; all where left out.
    pub select: Option<Select>,
    /// Bytes of data, at most; one record is always sent.
    pub max_bytes: usize,
    /// How long to wait for a first record.
    pub wait: Duration,
    /// How they are printed.
    pub form: Form,
    /// With everything that is known of them.
    pub all_meta: bool,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first record that is there.
    Start,
    /// Behind the last.
    End,
    /// An offset.
    Offset(u64),
    /// Behind the last event that a reader has had, who is told what is gone of it since and goes on.
    Behind(u64),
    /// So many records before the end.
    Last(u64),
    /// The first record of this time or later.
    Time(Timestamp),
    /// The same, looked up; `None` where there is none so late.
    Found(Option<u64>),
}

impl Request {
    /// Takes a request apart.
    pub fn parse(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let form = Form::negotiate(headers, Form::OF_A_READ)?;
        let known = match form {
            // A stream has no end, no pages and no order but one.
            Form::Events => &EVENTS_PARAMETERS[..],
            _ => &PARAMETERS,
        };
        let query = Query::parse(uri.query(), &[known, &Select::PARAMETERS].concat())?;
        let limit = query.number("limit", READ_RECORDS_MAX as u64)?.unwrap_or(READ_RECORDS_DEFAULT as u64);
        let max_bytes = query.number("max_bytes", READ_BYTES_MAX as u64)?.unwrap_or(READ_BYTES_DEFAULT as u64);
        let from = query.one("from")?.map_or(Ok(Place::Start), Place::parse_from)?;
        let request = Self {
            from: if form == Form::Events { last_event(headers)?.unwrap_or(from) } else { from },
            until: query.one("until")?.map(Place::parse_until).transpose()?,
            partition: query.partition()?,
            order: query.choice("order", &Order::WORDS)?.unwrap_or(Order::OldestFirst),
            level: level(&query)?,
            limit: usize::try_from(limit).unwrap_or(READ_RECORDS_MAX),
            select: Select::parse(&query)?,
            max_bytes: usize::try_from(max_bytes).unwrap_or(READ_BYTES_MAX),
            wait: query.duration("wait", Duration::from_secs(WAIT_SECONDS_MAX))?.unwrap_or_default(),
            form,
            all_meta: query.choice("meta", &[("all", ())])?.is_some(),
        };
        request.check_wait()?;
        Ok(request)
    }

    fn check_wait(&self) -> Result<(), Problem> {
        let holds = self.select.as_ref().is_some_and(Select::waits_for_max);
        if self.order == Order::OldestFirst || self.wait.is_zero() || holds {
            return Ok(());
        }
        let detail = "wait is for records that are to come, and order=desc begins with the last that is there; leave one of them out";
        Err(Problem::new(Code::InvalidArgument, detail).field("wait"))
    }

    /// The request with offsets in the place of times.
    pub fn with_times_found<E>(self, offset_at: impl Fn(Timestamp) -> Result<Option<u64>, E>) -> Result<Self, E> {
        let find = |place| match place {
            Place::Time(time) => offset_at(time).map(Place::Found),
            place => Ok(place),
        };
        Ok(Self { from: find(self.from)?, until: self.until.map(find).transpose()?, ..self })
    }

    /// Whether a time has to be looked up.
    #[must_use]
    pub fn names_a_time(&self) -> bool {
        [Some(self.from), self.until].iter().flatten().any(|place| matches!(place, Place::Time(_)))
    }

    /// The log as this reader sees it.
    #[must_use]
    pub fn view(&self, published: Published) -> Published {
        view(self.level, published)
    }

    /// The first record wanted of what is there.
    pub fn first(&self, view: Published) -> Result<u64, Problem> {
        let Published { start, end, .. } = view;
        match self.from {
            Place::Start => Ok(start),
            Place::Last(count) => Ok(end.saturating_sub(count).max(start)),
            Place::Offset(offset) | Place::Behind(offset) if offset > end => Err(beyond_end("from", offset, end)),
            Place::Offset(offset) if offset < start => Err(trimmed(offset, view)),
            Place::Offset(offset) | Place::Behind(offset) => Ok(offset),
            // What is older than all that is there begins where the log does.
            Place::Found(Some(offset)) => Ok(offset.clamp(start, end)),
            Place::End | Place::Found(None) | Place::Time(_) => Ok(end),
        }
    }

    /// Where the records end that are wanted, though they may not be there yet.
    #[must_use]
    pub fn until(&self) -> u64 {
        match self.until {
            Some(Place::Offset(offset) | Place::Found(Some(offset))) => offset,
            _ => u64::MAX,
        }
    }

    /// Everything that is wanted, from the first record on.
    #[must_use]
    pub fn whole_range(&self, first: u64, view: Published) -> Range {
        let until = view.end.min(self.until()).max(first);
        Range { from: first, until: if self.limit == 0 { first } else { until } }
    }

    /// What is read for this answer, from the first record wanted: no more offsets than records may come.
    #[must_use]
    pub fn range(&self, first: u64, view: Published) -> Range {
        let (limit, until) = (self.limit as u64, view.end.min(self.until()).max(first));
        match self.order {
            Order::OldestFirst => Range { from: first, until: until.min(first.saturating_add(limit)) },
            Order::NewestFirst => Range { from: first.max(until.saturating_sub(limit)), until },
        }
    }
}

impl Place {
    fn parse_from(text: &str) -> Result<Self, Problem> {
        let parsed = match (text, text.strip_prefix('-'), text.strip_prefix("time:")) {
            ("start", ..) => Some(Self::Start),
            ("end", ..) => Some(Self::End),
            (_, Some(count), _) => query::number(count, "from", u64::MAX).ok().map(Self::Last),
            (_, _, Some(time)) => time.parse().ok().map(Self::Time),
            (offset, None, None) => query::number(offset, "from", u64::MAX).ok().map(Self::Offset),
        };
        let expected = "an offset, start, end, -N for the last N, or time:2026-01-31T12:00:00Z";
        parsed.ok_or_else(|| no_place("from", text, expected))
    }

    fn parse_until(text: &str) -> Result<Self, Problem> {
        let parsed = match text.strip_prefix("time:") {
            Some(time) => time.parse().ok().map(Self::Time),
            None => query::number(text, "until", u64::MAX).ok().map(Self::Offset),
        };
        parsed.ok_or_else(|| no_place("until", text, "an offset, or time:2026-01-31T12:00:00Z"))
    }
}

fn no_place(field: &str, text: &str, expected: &str) -> Problem {
    // In a query a plus stands for a space, and zones are written with one.
    let hint = if text.starts_with("time:") && text.contains(' ') { "; write the + of a zone as %2B" } else { "" };
    let detail = format!("{field} is {text:?}; give {expected}{hint}");
    Problem::new(Code::InvalidArgument, detail).field(field).expected(expected).got(text)
}

/// The way through the log.
#[must_use]
pub fn direction(order: Order) -> Direction {
    match order {
        Order::OldestFirst => Direction::Up,
        Order::NewestFirst => Direction::Down,
    }
}

/// The log as it is seen at a level: the end is the level's.
#[must_use]
pub fn view(level: Level, published: Published) -> Published {
    let Published { end, durable_end, written_end, .. } = published;
    let end = match level {
        Level::Confirmed => end,
        Level::Durable => end.min(durable_end),
        Level::Unconfirmed => end.max(written_end),
    };
    Published { end, start: published.start.min(end), ..published }
}

/// Where a reader of events goes on that was cut off.
fn last_event(headers: &HeaderMap) -> Result<Option<Place>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let offset = query::number(text, LAST_EVENT_ID, u64::MAX - 1)?;
    Ok(Some(Place::Behind(offset + 1)))
}

fn level(query: &Query<'_>) -> Result<Level, Problem> {
    if query.one("level")? == Some("latest") {
        let detail = "level is \"latest\", which asks several copies, and this is one store; give confirmed, durable or unconfirmed";
        let words: Vec<&str> = Level::WORDS.iter().map(|(word, _)| *word).collect();
        return Err(Problem::new(Code::InvalidArgument, detail).field("level").expected(words).got("latest"));
    }
    Ok(query.choice("level", &Level::WORDS)?.unwrap_or(Level::Confirmed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Published = Published { start: 10, end: 50, durable_end: 40, written_end: 60 };

    fn parse(query: &str) -> Result<Request, Problem> {
        let uri: Uri = format!("/records?{query}").parse().unwrap();
        Request::parse(&uri, &HeaderMap::new())
    }

    fn range(query: &str) -> Result<(u64, u64), Problem> {
        let request = parse(query)?;
        let view = request.view(LOG);
        let Range { from, until } = request.range(request.first(view)?, view);
        Ok((from, until))
    }

    #[test]
    fn a_range_lies_between_start_and_end_and_is_no_longer_than_the_limit() {
        assert_eq!(range(""), Ok((10, 50)));
        assert_eq!(range("from=20&until=99"), Ok((20, 50)));
        assert_eq!(range("from=20&limit=5"), Ok((20, 25)));
        assert_eq!(range("from=20&until=15"), Ok((20, 20)), "one that ends before it begins is empty");
        assert_eq!(range("from=-5"), Ok((45, 50)));
        assert_eq!(range("from=-99"), Ok((10, 50)));
        assert_eq!(range("order=desc"), Ok((10, 50)));
        assert_eq!(range("order=desc&limit=5"), Ok((45, 50)));
        assert_eq!(range("order=desc&until=30&limit=5"), Ok((25, 30)));
        assert_eq!(range("order=desc&from=27&until=30&limit=5"), Ok((27, 30)));
        assert_eq!(range("order=desc&from=-3"), Ok((47, 50)));
        assert_eq!(range("order=desc&from=20&until=15"), Ok((20, 20)));
        assert_eq!(range("order=desc&from=51").unwrap_err().code, "beyond_end");
        assert_eq!(range("order=desc&from=9").unwrap_err().code, "trimmed");
    }

    #[test]
    fn a_level_moves_the_end() {
        assert_eq!(range("level=durable"), Ok((10, 40)));
        assert_eq!(range("level=unconfirmed&from=-5"), Ok((55, 60)));
        assert_eq!(range("level=durable&from=45").unwrap_err().code, "beyond_end");
        let latest = range("level=latest").unwrap_err();
        assert_eq!((latest.code.as_str(), latest.field.as_deref()), ("invalid_argument", Some("level")));
        assert_eq!(latest.expected.unwrap(), serde_json::json!(["confirmed", "durable", "unconfirmed"]));
        assert_eq!(range("level=best").unwrap_err().field.as_deref(), Some("level"));
    }

    #[test]
    fn times_become_offsets_that_are_there() {
        let find = |query: &str, found| {
            let request = parse(query).unwrap();
            assert!(request.names_a_time());
            let request = request.with_times_found(|_| Ok::<_, Problem>(found)).unwrap();
            let Range { from, until } = request.range(request.first(LOG).unwrap(), LOG);
            (from, until)
        };
        let since = "from=time:2026-01-31T12:00:00Z";
        assert_eq!(find(since, Some(20)), (20, 50));
        assert_eq!(find(since, Some(3)), (10, 50), "older than the log");
        assert_eq!(find(since, Some(55)), (50, 50), "not there for this reader yet");
        assert_eq!(find(since, None), (50, 50), "the future");
        let until = "until=time:2026-01-31T12:00:00.5%2B02:00";
        assert_eq!(find(until, Some(20)), (10, 20));
        assert_eq!(find(until, None), (10, 50));
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        let field = |query: &str| parse(query).unwrap_err().field.unwrap();
        assert_eq!(field("wait=5s&order=desc"), "wait");
        assert_eq!(field("order=newest"), "order");
        for bad in ["time:now", "time:", "time:2026-01-31", "1:2"] {
            assert_eq!(field(&format!("from={bad}")), "from");
        }
        for bad in ["start", "end", "-5", "time:soon"] {
            assert_eq!(field(&format!("until={bad}")), "until");
        }
        assert_eq!(field("meta=some"), "meta");
        let plus = parse("from=time:2026-01-31T12:00:00+02:00").unwrap_err();
        assert!(plus.detail.contains("%2B"), "{}", plus.detail);
    }
}
