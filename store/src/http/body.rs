//! Bodies: bounded in size, in time, and in memory by what has arrived of them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use logstore_api::{Code, Problem};
use tokio::sync::Semaphore;

use super::budget::{Budgets, Growing, Share};

/// The longest silence of a sender.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest time for a whole body: the slowest sender of the largest body needs 55 KiB/s.
const TIME_MAX: Duration = Duration::from_secs(300);
/// What is still taken from a sender whose body is too large, so that it comes to reading the answer.
const DISCARD_MAX: usize = 64 * 1024 * 1024;
/// And for how long.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// The share of a body before anything of it has arrived; after that it is at most twice what has.
const FIRST_SHARE: usize = 64 * 1024;

/// How large a body says it is.
#[must_use]
fn declared_len(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The largest body, and what a larger one is refused with.
pub type Bound = (usize, Code);

/// Reads a whole body that is small at most, so that it needs no share.
pub async fn read(headers: &HeaderMap, body: Body, max: usize, too_large: Code) -> Result<Bytes, Problem> {
    let bound = (max, too_large);
    let body = check_declared(headers, body, bound)?;
    in_time(read_all(headers, body, bound, None)).await
}

/// Reads a whole body, and takes a share for it, of a namespace's budget too where there is one. The share grows with what
/// arrives: who declares much and sends nothing keeps nobody from appending.
pub async fn read_sharing(
    headers: &HeaderMap,
    body: Body,
    bound: Bound,
    budgets: &Budgets,
    namespace: Option<&Arc<Semaphore>>,
) -> Result<(Bytes, Share), Problem> {
    let body = check_declared(headers, body, bound)?;
    let first = declared_len(headers).unwrap_or(bound.0).min(FIRST_SHARE);
    let mut share = budgets.append(namespace, first).await?;
    let body = in_time(read_all(headers, body, bound, Some(&mut share))).await?;
    Ok((body, share.into_share()))
}

async fn in_time(reading: impl Future<Output = Result<Bytes, Problem>>) -> Result<Bytes, Problem> {
    within(TIME_MAX, reading).await.unwrap_or_else(|| Err(too_slow(TIME_MAX)))
}

/// What comes in time. The clock is asked only where it is not there already, as most small bodies are.
async fn within<T>(time: Duration, coming: impl Future<Output = T>) -> Option<T> {
    let mut coming = pin!(coming);
    match poll_fn(|context| Poll::Ready(coming.as_mut().poll(context))).await {
        Poll::Ready(come) => Some(come),
        Poll::Pending => tokio::time::timeout(time, coming).await.ok(),
    }
}

/// Refuses a body that says itself that it is too large.
fn check_declared(headers: &HeaderMap, body: Body, (max, too_large): Bound) -> Result<Body, Problem> {
    let Some(len) = declared_len(headers).filter(|len| *len > max) else { return Ok(body) };
    // One that waits to be told to go on has sent nothing yet.
    if !headers.contains_key(EXPECT) {
        tokio::spawn(discard(body));
    }
    Err(over(too_large, max, Some(len)))
}

async fn read_all(
    headers: &HeaderMap,
    mut body: Body,
    (max, too_large): Bound,
    mut share: Option<&mut Growing<'_>>,
) -> Result<Bytes, Problem> {
    let len_max = declared_len(headers).unwrap_or(max).min(max);
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(chunk) = next(&mut body).await? {
        let arrived = first.len() + whole.len() + chunk.len();
        if arrived > max {
            tokio::spawn(discard(body));
            return Err(over(too_large, max, None));
        }
        let mut room = arrived.saturating_mul(2).min(len_max).max(arrived);
        if let Some(share) = &mut share {
            if share.bytes() < arrived
                && let Err(refused) = share.grow_to(room).await
            {
                tokio::spawn(discard(body));
                return Err(refused);
            }
            room = room.min(share.bytes());
        }
        if first.is_empty() && whole.is_empty() {
            // Most bodies come in one piece, and need not be copied.
            first = chunk;
            continue;
        }
        if whole.capacity() < arrived {
            whole.reserve_exact(room - whole.len());
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&chunk);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let Some(frame) = within(SILENCE_MAX, body.frame()).await else { return Err(too_slow(SILENCE_MAX)) };
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

/// Takes what still comes and keeps nothing of it, beside the answer, which leaves at once.
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
