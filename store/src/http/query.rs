//! Query strings, strictly: what is not known is refused by name, so that a typo never passes silently.

use std::borrow::Cow;
use std::time::Duration;

use http::Uri;
use logstore_api::{Code, Durability, Problem};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

/// The parameters of one request, borrowed from it where nothing in them is encoded.
#[derive(Debug)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Takes a query apart; only parameters in `known` may stand there. One that ends in `NAME` stands for all that begin
    /// like it.
    pub fn parse(raw: Option<&'a str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.iter().any(|known| is_meant(known, &name)) {
                return Err(unknown(&name, known));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// A parameter that may be given once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| &**value);
        let value = values.next();
        if values.next().is_some() {
            let detail = format!("{name} is given more than once");
            return Err(Problem::new(Code::InvalidArgument, detail).field(name));
        }
        Ok(value)
    }

    /// A parameter that may be given often.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.to_string()).collect()
    }

    /// The rests of names that begin so, each once.
    pub fn names_from(&self, prefix: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self.pairs.iter().filter_map(|(key, _)| key.strip_prefix(prefix)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A number up to `max`.
    pub fn number(&self, name: &str, max: u64) -> Result<Option<u64>, Problem> {
        self.one(name)?.map(|text| number(text, name, max)).transpose()
    }

    /// The partition, where one is named.
    pub fn partition(&self) -> Result<Option<u32>, Problem> {
        let number = self.number("partition", u64::from(u32::MAX))?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    /// A duration such as `5s` or `250ms`, up to `max`.
    pub fn duration(&self, name: &str, max: Duration) -> Result<Option<Duration>, Problem> {
        self.one(name)?.map(|text| duration(text, name, max)).transpose()
    }

    /// One of a few words, and what it stands for.
    pub fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(given) = self.one(name)? else { return Ok(None) };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
            return Ok(Some(*value));
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let detail = format!("{name} is {given:?}; give {}, or leave it out", words.join(" or "));
        Err(Problem::new(Code::InvalidArgument, detail).field(name).expected(words).got(given))
    }

    /// `synced` or `written`.
    pub fn durability(&self) -> Result<Option<Durability>, Problem> {
        self.choice("durability", &[("synced", Durability::Synced), ("written", Durability::Written)])
    }
}

/// All parameters as one of our own types, between our own parts.
pub fn typed<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let parsed = axum::extract::Query::<T>::try_from_uri(uri);
    parsed.map(|query| query.0).map_err(|rejection| {
        let detail = format!("the query is not understood: {}", rejection.body_text());
        Problem::new(Code::InvalidArgument, detail)
    })
}

/// Whether each `%` begins an escape.
#[must_use]
pub fn is_well_escaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    let escape = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| escape(at))
}

fn decode(text: &str) -> Result<Cow<'_, str>, Problem> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    if !is_well_escaped(text) {
        let detail = format!("the query holds {text:?}, in which a % begins no escape; write %25 for a percent sign");
        return Err(Problem::new(Code::InvalidArgument, detail).got(text));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned()));
    decoded.map_err(|_| Problem::new(Code::InvalidArgument, format!("the query holds {text:?}, which is not UTF-8")))
}

fn is_meant(known: &str, name: &str) -> bool {
    known == name || known.strip_suffix("NAME").is_some_and(|prefix| name.starts_with(prefix))
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let detail = match known {
        [] => format!("there is no parameter {name:?} here; this call takes none"),
        known => format!("there is no parameter {name:?} here; there are {}", known.join(", ")),
    };
    Problem::new(Code::UnknownParameter, detail).field(name).expected(known.to_vec())
}

/// A decimal number without sign, up to `max`.
pub fn number(text: &str, name: &str, max: u64) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && number <= max => Ok(number),
        _ => {
            let expected = format!("a number from 0 to {max}");
            let detail = format!("{name} is {text:?}; give {expected}");
            Err(Problem::new(Code::InvalidArgument, detail).field(name).expected(expected).got(text))
        }
    }
}

/// A decimal number of 64 bits, with a sign where it is negative.
pub fn integer(text: &str, name: &str) -> Result<i64, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or_else(|| {
        let expected = format!("a whole number from {} to {}", i64::MIN, i64::MAX);
        let detail = format!("{name} is {text:?}; give {expected}");
        Problem::new(Code::InvalidArgument, detail).field(name).expected(expected).got(text)
    })
}

fn duration(text: &str, name: &str, max: Duration) -> Result<Duration, Problem> {
    let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => number(digits, name, u64::MAX).ok().map(Duration::from_millis),
        (None, Some(digits)) => number(digits, name, u64::MAX).ok().map(Duration::from_secs),
        (None, None) => None,
    };
    parsed.filter(|duration| *duration <= max).ok_or_else(|| {
        let expected = format!("a duration such as 250ms or 5s, at most {}s", max.as_secs());
        let detail = format!("{name} is {text:?}; give {expected}");
        Problem::new(Code::InvalidArgument, detail).field(name).expected(expected).got(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<impl std::fmt::Debug, Problem>) -> (String, Option<String>) {
        let problem = result.unwrap_err();
        (problem.code, problem.field)
    }

    #[test]
    fn parameters_are_decoded_and_unknown_ones_refused_by_name() {
        let query = Query::parse(Some("tag=a+b&tag=%C3%BC&limit=5"), &["tag", "limit"]).unwrap();
        assert_eq!(query.all("tag"), ["a b", "ü"]);
        assert_eq!(query.number("limit", 10), Ok(Some(5)));
        assert_eq!(code(query.number("limit", 4)), ("invalid_argument".into(), Some("limit".into())));
        assert_eq!(code(query.one("tag")), ("invalid_argument".into(), Some("tag".into())));
        let typo = Query::parse(Some("form=1"), &["from"]);
        assert_eq!(code(typo), ("unknown_parameter".into(), Some("form".into())));
        assert!(Query::parse(Some("tag=%ff"), &["tag"]).is_err());
        let query = Query::parse(Some("index.size=1&index.price=2&index.size=3"), &["index.NAME"]).unwrap();
        assert_eq!(query.names_from("index."), ["price", "size"]);
        assert!(Query::parse(Some("inde=1"), &["index.NAME"]).is_err());
    }

    #[test]
    fn numbers_and_durations_are_plain() {
        for text in ["", "-1", "+1", "1_0", "0x1", " 1", "18446744073709551616"] {
            assert!(number(text, "n", u64::MAX).is_err(), "{text:?}");
        }
        for text in ["", "-", "+1", "--1", "1.0", "9223372036854775808"] {
            assert!(integer(text, "n").is_err(), "{text:?}");
        }
        assert_eq!(integer("-9223372036854775808", "n"), Ok(i64::MIN));
        let max = Duration::from_secs(60);
        assert_eq!(duration("250ms", "wait", max), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s", "wait", max), Ok(Duration::from_secs(5)));
        for text in ["5", "5m", "-5s", "s", "61s", "ms"] {
            assert!(duration(text, "wait", max).is_err(), "{text:?}");
        }
    }
}
