//! Answers: JSON, problems, and the headers that carry numbers.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use logstore_api::error::Retry;
use logstore_api::{MEDIA_PROBLEM, Problem};
use serde::Serialize;

/// Answers to appends fit without growing.
const JSON_BYTES: usize = 256;

/// A problem as an HTTP answer.
#[derive(Debug)]
pub struct Refusal(pub Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Box<Problem>> for Refusal {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

/// The code of an error, left on its answer so that it can be counted.
#[derive(Clone, Debug)]
pub struct ProblemCode(pub String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let mut response = json(status(problem.status), &*problem);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_PROBLEM));
        if let Some(seconds) = retry_after(&problem) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(ProblemCode(problem.code));
        response
    }
}

/// In how many seconds a refused request may come again; `None` where waiting does not help.
#[must_use]
pub fn retry_after(problem: &Problem) -> Option<u64> {
    let said = || problem.more.get("retry_after_seconds").and_then(serde_json::Value::as_u64);
    (problem.retry == Retry::Later).then(|| said().unwrap_or(1))
}

/// A status of ours; they are all valid.
#[must_use]
pub fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(JSON_BYTES);
    if serde_json::to_writer(&mut body, value).is_err() {
        // Our types are JSON; were one not, an empty object would be the smaller evil.
        body = b"{}".to_vec();
    }
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Puts a number into a header.
pub fn put_number(response: &mut Response, name: &'static str, number: u64) {
    response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(number));
}

/// Puts a text into a header, where it can stand there.
pub fn put_text(response: &mut Response, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// JSON in ASCII alone, so that it can stand in a header.
#[must_use]
pub fn ascii_json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut ascii = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            ' '..='~' => ascii.push(letter),
            letter => {
                let mut utf16 = [0; 2];
                for unit in letter.encode_utf16(&mut utf16) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    ascii
}

/// Removes the list of methods from answers that are no 405: axum puts it on every fallback.
pub fn tidy(response: &mut Response) {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().remove(ALLOW);
    }
}

#[cfg(test)]
mod tests {
    use logstore_api::Code;

    use super::*;

    #[test]
    fn who_may_try_again_later_is_told_when() {
        for code in Code::ALL.iter().copied() {
            let response = Refusal::from(Problem::new(code, "x")).into_response();
            assert_eq!(response.headers().contains_key(RETRY_AFTER), code.retry() == Retry::Later, "{code}");
        }
        let problem = Problem::new(Code::QuotaExceeded, "x").with("retry_after_seconds", 7);
        assert_eq!(Refusal::from(problem).into_response().headers()[RETRY_AFTER], "7");
    }

    #[test]
    fn header_json_is_ascii_and_reads_back() {
        let tags = ["a", "ü\"", "\u{1f600}\n"];
        let ascii = ascii_json(&tags);
        assert!(ascii.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{ascii}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&ascii).unwrap(), tags);
    }
}
