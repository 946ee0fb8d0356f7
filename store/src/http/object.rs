//! Bodies that are JSON objects, and nothing else.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use axum::body::Body;
use http::HeaderMap;
use logstore_api::{Code, Problem};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::body;

/// Characters of what a parser says that are kept at each end.
const SAID_CHARS: usize = 200;

/// Reads a body of at most `max` bytes that is an object; `example` tells who sent something else what to send.
pub async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    max: usize,
    example: &str,
) -> Result<T, Problem> {
    parse(&body::read(headers, body, max, Code::BatchTooLarge).await?, example)
}

/// An empty body as an empty object, where everything may be left out.
#[must_use]
pub fn or_empty(body: &[u8]) -> &[u8] {
    if body.trim_ascii().is_empty() { b"{}" } else { body }
}

/// Parses a body that is an object.
pub fn parse<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Problem> {
    let Object(value) = serde_json::from_slice(body).map_err(|error| not_understood(&error, example))?;
    Ok(value)
}

/// The same into a map, each of whose members may be given once, and theirs.
pub fn parse_map(body: &[u8], example: &str) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
    let map = parse(body, example)?;
    check_members_once(body).map_err(|error| not_understood(&error, example))?;
    Ok(map)
}

fn not_understood(error: &serde_json::Error, example: &str) -> Problem {
    let detail = format!("the body is not understood: {}; send {example}", shortened(error.to_string()));
    Problem::new(Code::MalformedBody, detail).with("line", error.line())
}

/// Refuses members that are given twice, however deep: a parser into a map takes the last of them.
pub fn check_members_once(json: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice(json).map(|Once| ())
}

/// Any JSON whose members have names of their own.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            names.insert(name);
            members.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// What a parser says, without most of what it quotes where that is long.
fn shortened(said: String) -> String {
    let starts: Vec<usize> = said.char_indices().map(|(at, _)| at).collect();
    match starts.len().checked_sub(2 * SAID_CHARS) {
        None | Some(0) => said,
        Some(left_out) => {
            let (head, tail) = (&said[..starts[SAID_CHARS]], &said[starts[SAID_CHARS + left_out]..]);
            format!("{head}… ({left_out} more) …{tail}")
        }
    }
}

/// A value that came as an object: a derived `Deserialize` takes an array for a struct too, field by field, and read
/// `[0,1]` as a trim.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfObject(PhantomData))
    }
}

struct OfObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use logstore_api::namespace::{SealRequest, TrimRequest};

    use super::*;

    fn detail(body: &str) -> String {
        parse::<TrimRequest>(body.as_bytes(), r#"{"before":7}"#).unwrap_err().detail
    }

    #[test]
    fn whatever_is_no_object_is_refused_by_its_kind_with_an_example() {
        let expected = |what: &str, column: usize| {
            format!(
                "the body is not understood: invalid type: {what}, expected a JSON object at line 1 column {column}; \
                 send {{\"before\":7}}"
            )
        };
        assert_eq!(detail("[0,1]"), expected("sequence", 0));
        assert_eq!(detail("7"), expected("integer `7`", 1));
        assert_eq!(detail("null"), expected("null", 4));
        assert_eq!(detail("\"before\""), expected("string \"before\"", 8));
    }

    #[test]
    fn what_is_wrong_inside_is_told_with_its_place() {
        assert!(detail("{\n\"before\":-1}").contains("invalid value: integer `-1`, expected u64 at line 2 column 11"));
        assert!(detail("{\"befor\":1}").contains("unknown field `befor`, expected `partition` or `before` at line 1"));
        assert!(detail("{\"before\":1} 2").contains("trailing characters at line 1 column 14"));
        assert!(detail("{}").contains("missing field `before` at line 1 column 2"));
        assert!(detail("").contains("EOF while parsing a value at line 1 column 0"));
        let problem = parse::<TrimRequest>(b"{\n\"before\":-1}", "").unwrap_err();
        assert_eq!(problem.more["line"], 2);
    }

    #[test]
    fn members_are_given_once_however_deep() {
        let once = |json: &str| check_members_once(json.as_bytes()).map_err(|error| error.to_string());
        let all = r#"{"a":[{"b":null,"c":-1},{"b":1.5,"c":true}],"b":{"a":"x\n","c":18446744073709551615}}"#;
        assert_eq!(once(all), Ok(()));
        let twice = |name: &str, column: usize| Err(format!("duplicate field `{name}` at line 1 column {column}"));
        assert_eq!(once(r#"{"a":1,"a":1}"#), twice("a", 10));
        assert_eq!(once(r#"{"a":1,"\u0061":1}"#), twice("a", 15));
        assert_eq!(once(r#"[{"a":{"b":1,"b":2}}]"#), twice("b", 16));
    }

    #[test]
    fn what_is_quoted_is_cut_where_it_is_long() {
        let body = format!("\"{}\"", "ä".repeat(1_000_000));
        let said = detail(&body);
        assert!(
            said.len() < 2_000 && said.starts_with("the body is not understood: invalid type: string \"ää"),
            "{said}"
        );
        assert!(said.contains("more) …") && said.contains("ä\", expected a JSON object at line 1 column"), "{said}");
    }

    #[test]
    fn an_empty_body_says_nothing_only_where_that_is_enough() {
        assert_eq!(parse::<SealRequest>(or_empty(b" \n"), "").unwrap(), SealRequest { partition: None });
        assert!(parse::<TrimRequest>(or_empty(b""), "").unwrap_err().detail.contains("missing field `before`"));
    }
}
