//! HTTP/1.1 to one address: a pool of connections, one request on each at a time, and answers read whole.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use logstore_api::limits::READ_BYTES_MAX;
use logstore_api::{MEDIA_PROBLEM, Problem};

use crate::Error;
use crate::base_url::BaseUrl;
use crate::query::Query;

/// The largest answer that is read: JSON writes one byte of data as up to six, and metadata stands beside it.
const ANSWER_BYTES_MAX: usize = 8 * READ_BYTES_MAX;
/// What is shown of an answer that is not one of a store.
const SHOWN_CHARS_MAX: usize = 200;

/// How long a store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is there.
    pub connect: Duration,
    /// From the first byte of a request to the last one of its answer. A long poll adds its wait.
    pub request: Duration,
}

impl Default for Timeouts {
    /// 5 s and 30 s.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_secs(30) }
    }
}

/// One address and the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    base: BaseUrl,
    client: Client<HttpConnector, Full<Bytes>>,
    timeouts: Timeouts,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Query,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// What a long poll adds to the time a store may take.
    wait: Duration,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let (query, headers) = (Query::default(), Vec::new());
        Self { method, path: path.into(), query, headers, body: Bytes::new(), wait: Duration::ZERO }
    }

    pub(crate) fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn body(mut self, media_type: &'static str, body: Bytes) -> Self {
        self.body = body;
        self.header(CONTENT_TYPE, HeaderValue::from_static(media_type))
    }

    pub(crate) fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Its body, where it is the JSON of a `T`.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.bad(error.to_string()))
    }

    /// A header that holds a number.
    pub(crate) fn number(&self, name: &str) -> Result<u64, Error> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        value.ok_or_else(|| self.bad(format!("the header {name} holds no number")))
    }

    /// The answer is not what a store sends.
    pub(crate) fn bad(&self, what: impl Into<String>) -> Error {
        Error::BadAnswer { url: self.url.clone(), what: what.into() }
    }

    /// The answer was an error of the store's after all.
    pub(crate) fn failed(&self, problem: Problem) -> Error {
        Error::from_problem(self.url.clone(), problem, None)
    }
}

impl Http {
    pub(crate) fn new(base: BaseUrl, timeouts: Timeouts) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeouts.connect));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(connector);
        Self { base, client, timeouts }
    }

    pub(crate) fn base(&self) -> &str {
        self.base.as_str()
    }

    /// Sends a request and reads its answer; anything but a success is an error.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, Error> {
        let url = format!("{}{}", self.base, call.path);
        let after = self.timeouts.request + call.wait;
        let exchange = self.exchange(call, &url);
        let Ok(answer) = tokio::time::timeout(after, exchange).await else {
            return Err(Error::TimedOut { url, after });
        };
        answer.and_then(successful)
    }

    async fn exchange(&self, call: Call, url: &str) -> Result<Answer, Error> {
        let request = self
            .request(call)
            .map_err(|error| Error::InvalidRequest { url: url.to_owned(), what: error.to_string() })?;
        let response = self.client.request(request).await.map_err(|error| {
            let (url, connect) = (url.to_owned(), error.is_connect());
            let source = error.into();
            if connect { Error::Unreachable { url, source } } else { Error::Interrupted { url, source } }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|source| {
            let url = url.to_owned();
            if source.is::<LengthLimitError>() {
                return Error::BadAnswer { url, what: format!("it is longer than {ANSWER_BYTES_MAX} bytes") };
            }
            Error::Interrupted { url, source }
        })?;
        Ok(Answer { url: url.to_owned(), status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, http::Error> {
        let Call { method, path, query, headers, body, wait: _ } = call;
        let uri = format!("{}{path}{}", self.base, query.as_str());
        let mut request = Request::builder().method(method).uri(uri).body(Full::new(body))?;
        request.headers_mut().extend(headers);
        Ok(request)
    }
}

/// Separates answers from errors, which are answers of another form.
fn successful(answer: Answer) -> Result<Answer, Error> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let is_problem = answer.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == MEDIA_PROBLEM.as_bytes());
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) if is_problem => Err(Error::from_problem(answer.url, problem, retry_after(&answer.headers))),
        _ => {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(SHOWN_CHARS_MAX).collect();
            Err(answer.bad(format!("status {} with {text:?}", answer.status)))
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
