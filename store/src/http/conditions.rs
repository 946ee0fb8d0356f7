//! Conditions of a request: what a call does not know is refused by name, so that none is passed over in silence.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName};
use logstore_api::{Code, Problem};

/// All there are, and how they are written.
const CONDITIONS: [(HeaderName, &str); 5] = [
    (IF_MATCH, "If-Match"),
    (IF_NONE_MATCH, "If-None-Match"),
    (IF_MODIFIED_SINCE, "If-Modified-Since"),
    (IF_UNMODIFIED_SINCE, "If-Unmodified-Since"),
    (IF_RANGE, "If-Range"),
];

/// Refuses conditions that a call which changes something does not know.
pub fn check(headers: &HeaderMap, known: &[HeaderName]) -> Result<(), Problem> {
    let strange = |name: &HeaderName| headers.contains_key(name) && !known.contains(name);
    match CONDITIONS.iter().find(|(name, _)| strange(name)) {
        None => Ok(()),
        Some((_, name)) => Err(unknown(name, known)),
    }
}

fn unknown(name: &str, known: &[HeaderName]) -> Problem {
    let known: Vec<_> = CONDITIONS.iter().filter(|(name, _)| known.contains(name)).map(|(_, name)| *name).collect();
    let hint = match known.as_slice() {
        [] => "no condition is".to_owned(),
        known => format!("{} is", known.join(" or ")),
    };
    let detail = format!("{name} is not known here, {hint}; nothing was changed");
    Problem::new(Code::InvalidArgument, detail).field(name).expected(known)
}
