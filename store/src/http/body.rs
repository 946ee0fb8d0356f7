//! Bodies: bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use logstore_api::{Code, Problem};

use super::budget::Share;

/// The longest silence of a sender.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest time for a whole body: the slowest sender of the largest body needs 55 KiB/s.
const TIME_MAX: Duration = Duration::from_secs(300);
/// What is still taken from a sender whose body is too large, so that it comes to reading the answer.
const DISCARD_MAX: usize = 64 * 1024 * 1024;
/// And for how long.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// How large a body says it is.
#[must_use]
pub fn declared_len(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a whole body of at most `max` bytes; a larger one is refused with `too_large`.
pub async fn read(headers: &HeaderMap, body: Body, max: usize, too_large: Code) -> Result<Bytes, Problem> {
    match tokio::time::timeout(TIME_MAX, read_all(headers, body, max, too_large)).await {
        Ok(result) => result,
        Err(_) => Err(too_slow(TIME_MAX)),
    }
}

async fn read_all(headers: &HeaderMap, mut body: Body, max: usize, too_large: Code) -> Result<Bytes, Problem> {
    if let Some(len) = declared_len(headers).filter(|len| *len > max) {
        // One that waits to be told to go on has sent nothing yet.
        if !headers.contains_key(EXPECT) {
            discard(body).await;
        }
        return Err(over(too_large, max, Some(len)));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(chunk) = next(&mut body).await? {
        if first.len() + whole.len() + chunk.len() > max {
            discard(body).await;
            return Err(over(too_large, max, None));
        }
        if first.is_empty() && whole.is_empty() {
            // Most bodies come in one piece, and need not be copied.
            first = chunk;
        } else {
            if whole.is_empty() {
                whole.reserve(declared_len(headers).unwrap_or(0).max(first.len() + chunk.len()).min(max));
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&chunk);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
            Ok(frame) => frame,
            Err(_) => return Err(too_slow(SILENCE_MAX)),
        };
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                let detail = format!("the body ended early: {error}; nothing was stored");
                return Err(Problem::new(Code::MalformedBody, detail));
            }
        }
    }
}

fn too_slow(waited: Duration) -> Problem {
    let detail = format!("the body did not come within {} s; nothing was stored", waited.as_secs());
    Problem::new(Code::RequestTimeout, detail)
}

async fn discard(mut body: Body) {
    let reading = async {
        let mut left = DISCARD_MAX;
        while let Ok(Some(chunk)) = next(&mut body).await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

fn over(code: Code, max: usize, len: Option<usize>) -> Problem {
    let problem = match len {
        Some(len) => Problem::new(code, format!("a body of {len} bytes is too large; send at most {max}")).got(len),
        None => Problem::new(code, format!("the body is larger than {max} bytes; send at most that")),
    };
    problem.expected(max)
}

/// The bytes of an answer, which hold their share of the budget until the last of them has left or the connection is gone.
/// A body would not do: hyper drops it when it has taken what it holds, however slow the reader is.
struct Held<T> {
    bytes: T,
    _share: Share,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// A whole body that holds its share until it has left.
pub fn held(bytes: impl AsRef<[u8]> + Send + 'static, share: Share) -> Body {
    Body::from(held_bytes(bytes, share))
}

/// A piece of a body that holds its share until it has left.
pub fn held_bytes(bytes: impl AsRef<[u8]> + Send + 'static, share: Share) -> Bytes {
    Bytes::from_owner(Held { bytes, _share: share })
}
