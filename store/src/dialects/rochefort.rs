//! rochefort v1: `/append`, `/get`, `/getMulti`, byte for byte what its clients read.
//!
//! An address is the byte offset that the record would have in rochefort's single file: 20 bytes of header and the
//! reserved length for each record before it. [`mod@file`] computes that file's bytes; nothing of it is stored.
//! Any method will do, every failure of the original's is a 500 with plain text, and reads of a namespace that does not
//! exist find an empty one, which is not created.

pub mod file;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use logstore_api::frame::Salt;
use logstore_api::limits::RECORD_BYTES_MAX;
use logstore_api::{Code, NamespaceName, Problem};
use tokio::sync::mpsc;

use self::file::{File, Unreadable};
use super::go;
use crate::engine::batch::{Attributes, Batch, Ready};
use crate::engine::namespace::{Namespace, Rules};
use crate::http::answer::{retry_after, status};
use crate::http::append::{Stored, Terms, store};
use crate::http::read::opened;
use crate::http::{App, blocking, body};

/// The original knows one log per namespace: it is the first.
const PARTITION: u32 = 0;
/// A getMulti body: offsets of eight bytes each.
const OFFSETS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a getMulti answer that are sent at once, and how many such pieces may wait for a slow reader.
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNKS_WAITING: usize = 2;
/// Addresses that are looked up before it is asked again whether somebody still waits.
const PIECE_ADDRESSES: usize = 1024;

/// What went wrong, as text.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    text: String,
    /// Seconds until it may go, where that is known.
    retry_after: Option<u64>,
}

impl Failure {
    fn of_go(text: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, text: text.into(), retry_after: None }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let retry_after = retry_after(&problem);
        Self { status: status(problem.status), text: problem.detail, retry_after }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut response = (self.status, [(CONTENT_TYPE, content_type)], self.text).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Appends a blob; answers with its address.
pub async fn append(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let name = namespace_name(uri.query());
    let known = name.as_ref().ok().and_then(|name| app.engine.get(name).ok());
    let budget = known.as_ref().map(|namespace| namespace.in_flight());
    let bound = (RECORD_BYTES_MAX, Code::RecordTooLarge);
    let (data, share) = body::read_sharing(&headers, body, bound, &app.budgets, budget).await?;
    let name = name?;
    let attributes =
        Attributes { tags: tags(uri.query()), alloc: Some(alloc_size(uri.query())?), ..Attributes::default() };
    let namespace = namespace_for_append(&app, name, &data, &attributes).await?;
    let ready = batch(&data, attributes, &namespace.rules())?;
    let (_, stored) =
        store(&app, Arc::clone(&namespace), ready, Terms { partition: PARTITION, ..Terms::default() }, share).await?;
    let address = address_of(namespace, &stored).await?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], format!("{{\"offset\":{address}}}")).into_response())
}

/// `allocSize`, cut to 32 bits as the original does it.
fn alloc_size(query: Option<&str>) -> Result<u64, Failure> {
    let text = go::first_value(query, "allocSize");
    if text.is_empty() {
        return Ok(0);
    }
    let alloc = go::parse_uint(&text).map_err(Failure::of_go)?;
    Ok(alloc & u64::from(u32::MAX))
}

/// Tags as the original keeps them: letters, digits and underscores, in the order given, doubles and all.
fn tags(query: Option<&str>) -> Vec<String> {
    let list = go::first_value(query, "tags");
    let pieces = list.split(|byte| *byte == b',').filter(|piece| !piece.is_empty());
    let kept = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    pieces.map(|piece| piece.iter().copied().filter(kept).map(char::from).collect()).collect()
}

fn namespace_name(query: Option<&str>) -> Result<NamespaceName, Failure> {
    let bytes = go::first_value(query, "namespace");
    let text = if bytes.is_empty() { b"default".to_vec() } else { bytes };
    let invalid = |text: String| Failure { status: StatusCode::BAD_REQUEST, text, retry_after: None };
    let text = String::from_utf8(text).map_err(|_| invalid("a namespace name is not UTF-8".to_owned()))?;
    NamespaceName::parse(&text).map_err(|error| invalid(error.to_string()))
}

async fn namespace_for_append(
    app: &App,
    name: NamespaceName,
    data: &Bytes,
    attributes: &Attributes,
) -> Result<Arc<Namespace>, Problem> {
    if let Ok(namespace) = app.engine.get(&name) {
        return Ok(namespace);
    }
    // What is refused creates nothing.
    batch(data, attributes.clone(), &Rules::of(&app.engine.config().namespace_defaults, Salt::WIRE))?;
    let engine = Arc::clone(&app.engine);
    blocking(move || engine.get_or_create(&name)).await
}

fn batch(data: &[u8], attributes: Attributes, rules: &Rules) -> Result<Ready, Problem> {
    let mut batch = Batch::new(None, rules.salt, data.len()).with_max_record_bytes(rules.max_record_bytes);
    batch.push(data, attributes)?;
    batch.finish()
}

async fn address_of(namespace: Arc<Namespace>, stored: &Stored) -> Result<u64, Problem> {
    let offset = stored.offset().unwrap_or_default();
    blocking(move || {
        let partition = namespace.partition(PARTITION)?;
        let address =
            file::address_of(partition, offset).map_err(|error| namespace.internal("read the log", &error))?;
        address.ok_or_else(|| crate::http::read::damaged(offset, offset + 1))
    })
    .await
}

/// Reads the blob at an address.
pub async fn get(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Failure> {
    let address = go::parse_uint(&go::first_value(uri.query(), "offset")).map_err(Failure::of_go)?;
    let name = namespace_name(uri.query())?;
    let Some(file) = open(&app, &name).await? else {
        return Err(Unreadable::Eof.into());
    };
    let blob = blocking(move || Ok(file.read(address))).await??;
    let share = app.budgets.read(blob.len()).await?;
    Ok(octets(body::held(blob, share)))
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::of_go(unreadable.to_string())
    }
}

/// Reads many: `u32le` length and blob for each address that can be read.
pub async fn get_multi(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let name = namespace_name(uri.query())?;
    let bound = (OFFSETS_BYTES_MAX, Code::BatchTooLarge);
    let (addresses, asked) = body::read_sharing(&headers, body, bound, &app.budgets, None).await?;
    if !addresses.len().is_multiple_of(8) {
        return Err(Failure::of_go(format!("incomplete read: {} is not multiple of 8", addresses.len())));
    }
    let Some(file) = open(&app, &name).await? else {
        return Ok(octets(Bytes::new()));
    };
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    tokio::spawn(async move {
        send_all(&app, file, addresses, sender).await;
        drop(asked);
    });
    Ok(octets(Body::new(Chunks(receiver))))
}

/// Reads and sends until all is sent or the reader has gone. A slow reader holds no thread meanwhile.
async fn send_all(app: &App, file: File, mut addresses: Bytes, sender: mpsc::Sender<Bytes>) {
    let file = Arc::new(file);
    while !addresses.is_empty() && !sender.is_closed() {
        let (reading, asked) = (Arc::clone(&file), addresses.clone());
        let Ok((taken, piece)) = blocking(move || Ok(next_piece(&reading, &asked))).await else { return };
        addresses.advance(taken);
        if piece.is_empty() {
            continue;
        }
        let Some(share) = app.budgets.follow(piece.len()).await else { return };
        if sender.send(body::held_bytes(piece, share)).await.is_err() {
            return;
        }
    }
}

/// A piece of the answer, and how many bytes of the addresses it is for.
fn next_piece(file: &File, addresses: &[u8]) -> (usize, Bytes) {
    let mut piece = BytesMut::new();
    let mut taken = 0;
    for address in addresses.as_chunks::<8>().0.iter().take(PIECE_ADDRESSES) {
        // What cannot be read is passed over in silence, as the original does it.
        if let Ok(blob) = file.read(u64::from_le_bytes(*address)) {
            piece.put_u32_le(u32::try_from(blob.len()).unwrap_or(u32::MAX));
            piece.extend_from_slice(&blob);
        }
        taken += address.len();
        if piece.len() >= CHUNK_BYTES {
            break;
        }
    }
    (taken, piece.freeze())
}

/// The pieces of an answer, as they come.
struct Chunks(mpsc::Receiver<Bytes>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(http_body::Frame::data(chunk))))
    }
}

async fn open(app: &App, name: &NamespaceName) -> Result<Option<File>, Problem> {
    let Ok(namespace) = app.engine.get(name) else { return Ok(None) };
    namespace.check_read()?;
    let partition = opened(&namespace, PARTITION).await?;
    Ok(Some(File::new(name.clone(), partition)))
}

fn octets(body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
