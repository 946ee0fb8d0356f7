//! Mending what can be mended without a running store: what a start does, and what is derived from sound frames.
//!
//! Nothing is deleted: what is cut off or written over is in quarantine first. Damaged records stay damaged.

pub mod config;
mod unserved;

use std::path::Path;
use std::sync::Arc;

use logstore_api::NamespaceName;

use self::unserved::unserved;
use super::root::{OfflineError, Rehearsal, StoppedRoot, quietly, rehearse};
use super::verify::describe;
use crate::engine::Engine;

/// What was done, or would be.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each change of the files.
    pub acts: Vec<String>,
    /// Changes that were to be made, and could not be.
    pub undone: Vec<String>,
    /// What cannot be mended, and why.
    pub failures: Vec<String>,
}

/// What a repair of one namespace, or of all, would do. Changes nothing.
pub fn plan(root: &StoppedRoot, only: Option<&NamespaceName>) -> Result<Report, OfflineError> {
    let unserved = unserved(&**root.disk(), root.path(), only)?;
    let (acts, failures) = rehearsed(&root.rehearse()?, root.path(), only, unserved)?;
    Ok(Report { acts, failures, undone: Vec::new() })
}

fn rehearsed(
    rehearsal: &Rehearsal,
    root: &Path,
    only: Option<&NamespaceName>,
    unserved: Vec<String>,
) -> Result<(Vec<String>, Vec<String>), OfflineError> {
    let failures = quietly(|| mend(&rehearsal.engine, only, unserved))?;
    let acts = rehearsal.acts().into_iter().filter_map(|act| describe(&act, root)).collect();
    Ok((acts, failures))
}

/// Does it, and ends as an orderly stop does.
pub fn repair(root: StoppedRoot, only: Option<&NamespaceName>) -> Result<Report, OfflineError> {
    let (disk, path) = (Arc::clone(root.disk()), root.path().to_owned());
    let unserved = unserved(&*disk, &path, only)?;
    let planned = plan(&root, only)?;
    if only.is_some() && !unserved.is_empty() {
        return Ok(Report { acts: Vec::new(), ..planned });
    }
    let engine = root.start()?;
    let failures = mend(&engine, only, unserved.clone());
    engine.stop();
    // What a disk did not take would have to be done again. The engine has the lock until then.
    let (left, _) = rehearsed(&rehearse(&disk, &path)?, &path, only, unserved)?;
    drop(engine);
    let (undone, acts) = planned.acts.into_iter().partition(|act| left.contains(act));
    Ok(Report { acts, undone, failures: failures? })
}

/// Mends the logs of one namespace, or of all; what cannot be mended, behind what was known before.
fn mend(
    engine: &Arc<Engine>,
    only: Option<&NamespaceName>,
    mut failures: Vec<String>,
) -> Result<Vec<String>, OfflineError> {
    let namespaces: Vec<_> =
        engine.namespaces().into_iter().filter(|one| only.is_none_or(|only| only == one.name())).collect();
    if let Some(only) = only.filter(|_| namespaces.is_empty() && failures.is_empty()) {
        return Err(OfflineError::Refused(format!(
            "there is no namespace {:?} whose configuration can be read",
            only.as_str()
        )));
    }
    for namespace in namespaces {
        for number in 0..namespace.partition_count() {
            let mended = namespace
                .partition(number)
                .map_err(|problem| problem.detail)
                .and_then(|partition| partition.mend().map_err(|error| error.to_string()));
            if let Err(why) = mended {
                failures.push(format!("partition {number} of {:?}: {why}", namespace.name().as_str()));
            }
        }
    }
    Ok(failures)
}
