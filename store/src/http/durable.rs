//! `GET /v1/namespaces/{ns}/durable`: whether a record survives a power loss by now, and waiting until it does.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use logstore_api::limits::WAIT_SECONDS_MAX;
use logstore_api::record::DurableAnswer;
use logstore_api::{Code, Problem};
use tokio::sync::watch;

use super::answer::{Refusal, json};
use super::query::Query;
use super::read::{beyond_end, check_still_readable, opened};
use super::server::drain_begun;
use super::{App, InPath};
use crate::engine::namespace::Namespace;
use crate::log::Partition;
use crate::log::shared::Published;
use crate::log::work::frozen;

/// Answers as soon as the record at `after` is on the disk, or at the end of `wait` with what is then.
pub async fn durable(State(app): State<Arc<App>>, InPath(name): InPath, uri: Uri) -> Result<Response, Refusal> {
    let query = Query::parse(uri.query(), &["after", "partition", "wait"])?;
    let Some(after) = query.number("after", u64::MAX)? else {
        let detail = "after is missing; give the offset of the record that should be on the disk";
        return Err(Problem::new(Code::InvalidArgument, detail).field("after").into());
    };
    let wait = query.duration("wait", Duration::from_secs(WAIT_SECONDS_MAX))?.unwrap_or_default();
    let namespace = app.engine.get(&name)?;
    namespace.check_read()?;
    let partition = opened(&namespace, namespace.partition_named(query.partition()?)?).await?;
    let mut updates = partition.published();
    let end = updates.borrow().end;
    if after > end {
        return Err(beyond_end("after", after, end).into());
    }
    let mut draining = app.draining.clone();
    tokio::select! {
        waited = tokio::time::timeout(wait, synced(&app, &namespace, &partition, &mut updates, after)) => waited.unwrap_or(Ok(()))?,
        () = drain_begun(&mut draining) => {}
    }
    let Published { end, durable_end, .. } = *partition.published().borrow();
    Ok(json(StatusCode::OK, &DurableAnswer { partition: partition.number(), durable_end, end }))
}

/// Waits until the record is on the disk, and asks for the sync that brings it there.
async fn synced(
    app: &App,
    namespace: &Namespace,
    partition: &Arc<Partition>,
    updates: &mut watch::Receiver<Published>,
    after: u64,
) -> Result<(), Problem> {
    while updates.borrow_and_update().durable_end <= after {
        if partition.is_frozen() {
            return Err(frozen());
        }
        // Only the pool's threads touch the disk. A sync under way may be too early for this record: it is asked for
        // again when that one has ended.
        partition.sync_in_background();
        if updates.changed().await.is_err() {
            return Ok(());
        }
        check_still_readable(app, namespace)?;
    }
    Ok(())
}
