//! `/v1/fence`, `/v1/place`, `/v1/frames`: between writers and copies.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use logstore_api::fence::{FenceRequest, FramesQuery, PlaceAnswer, PlaceQuery};
use logstore_api::frame::{Salt, reseal};
use logstore_api::limits::PLACE_BYTES_MAX;
use logstore_api::{Code, MEDIA_WIRE_FRAMES, Problem};

use super::answer::{Refusal, json};
use super::append::{COPIED_INLINE_MAX, outcome_unknown};
use super::query::{self, Query};
use super::read::{beyond_end, opened};
use super::{App, blocking, body, namespace_name, object};
use crate::log::Partition;
use crate::log::place::{self, Place};
use crate::log::work::{Done, What, Work};

const FENCE_BODY_MAX: usize = 16 * 1024;
const FENCE_EXAMPLE: &str = r#"{"namespace":NAME,"reign":{"epoch":1,"writer":UUID,"label":TEXT}}"#;

/// `GET /v1/fence?namespace=`: whose reign is in force, and where the log ends.
pub async fn look(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Refusal> {
    let query = Query::parse(uri.query(), &["namespace"])?;
    let Some(name) = query.one("namespace")? else {
        let detail = "namespace is missing; say which";
        return Err(Problem::new(Code::InvalidArgument, detail).field("namespace").into());
    };
    let name = namespace_name(name)?;
    let answer = blocking(move || app.engine.look(&name)).await?;
    Ok(json(StatusCode::OK, &answer))
}

/// `POST /v1/fence`: a promise to take nothing from earlier reigns, on the disk before it is answered.
pub async fn fence(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    Query::parse(uri.query(), &[])?;
    let request: FenceRequest = object::read(&headers, body, FENCE_BODY_MAX, FENCE_EXAMPLE).await?;
    let answer = blocking(move || app.engine.fence(request)).await?;
    Ok(json(StatusCode::OK, &answer))
}

/// `POST /v1/place`: these frames, at exactly these numbers.
pub async fn place(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Refusal> {
    let bound = (PLACE_BYTES_MAX, Code::BatchTooLarge);
    let (body, share) = body::read_sharing(&headers, body, bound, &app.budgets, None).await?;
    let PlaceQuery { namespace, partition, incarnation, epoch, writer, frame, previous, confirmed, durability } =
        query::typed(&uri)?;
    let namespace = app.engine.get(&namespace)?;
    if namespace.incarnation() != incarnation {
        let here = namespace.incarnation();
        let detail = format!("the namespace is in incarnation {here} here, not {incarnation}");
        return Err(Problem::new(Code::PreconditionFailed, detail)
            .field("incarnation")
            .got(incarnation.to_string())
            .into());
    }
    namespace.check_partition(partition)?;
    namespace.check_append()?;
    let salt = namespace.salt();
    let frames = if body.len() <= COPIED_INLINE_MAX {
        place::parse_frames(&body, salt)?
    } else {
        blocking(move || place::parse_frames(&body, salt)).await?
    };
    let records: u64 = frames.iter().map(|frame| frame.draft.view().header().offset_count()).sum();
    let place = Place { epoch, writer, frame, previous, confirmed, durability, frames };
    let partition = opened(&namespace, partition).await?;
    let done = partition.enqueue(Some(share.into_permit()), |reply| Work::Place { place, reply }).answered().await;
    let Done { what, .. } = done.map_err(|_| outcome_unknown())?.map_err(|problem| *problem)?;
    app.engine.metrics.records.inc_by(records);
    match what {
        What::Placed { next_frame, confirmed } => Ok(json(StatusCode::OK, &PlaceAnswer { next_frame, confirmed })),
        What::Appended { .. } | What::Trimmed { .. } | What::Patched { .. } | What::Erased { .. } => {
            Err(outcome_unknown().into())
        }
    }
}

/// `GET /v1/frames`: wire frames from a number on.
pub async fn frames(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Refusal> {
    let FramesQuery { namespace, partition, from, until } = query::typed(&uri)?;
    let namespace = app.engine.get(&namespace)?;
    let share = app.budgets.read(PLACE_BYTES_MAX).await?;
    let log = opened(&namespace, partition).await?;
    let bytes = blocking(move || {
        let failed = |error: std::io::Error| namespace.internal("read the log", &error);
        let tail = log.tail().map_err(failed)?;
        if from > tail.next_frame {
            return Err(beyond_end("from", from, tail.next_frame));
        }
        if from < tail.first_frame {
            let detail = format!("frame {from} is gone; the log begins at frame {}", tail.first_frame);
            return Err(Problem::new(Code::Trimmed, detail).field("from").got(from).with("start", tail.first_frame));
        }
        let until = until.unwrap_or(u64::MAX).min(tail.next_frame);
        wire_frames(&log, from, until, namespace.salt()).map_err(failed)
    })
    .await?;
    let mut response = body::held(bytes, share).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_WIRE_FRAMES));
    Ok(response)
}

/// As many as one place may carry, but at least one where there is one.
fn wire_frames(log: &Arc<Partition>, from: u64, until: u64, salt: Salt) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if from >= until {
        return Ok(bytes);
    }
    let mut next = from;
    log.frames(from, |frame, position| {
        let mut wire: Vec<u8> = frame.bytes().to_vec();
        let room = bytes.is_empty() || bytes.len() + wire.len() <= PLACE_BYTES_MAX;
        // A frame that is out of turn stands behind a hole, and does not come next.
        let in_turn = frame.header().numbers.number == next;
        if !room || !in_turn || next >= until || reseal(&mut wire, (salt, position), (Salt::WIRE, 0)).is_err() {
            return false;
        }
        bytes.append(&mut wire);
        next += 1;
        next < until
    })?;
    Ok(bytes)
}
