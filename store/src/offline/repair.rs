//! Mending what can be mended without a running store: what a start does, and what is derived from sound frames.
//!
//! Nothing is deleted: what is cut off or written over is in quarantine first. Damaged records stay damaged.

pub mod config;

use std::sync::Arc;

use logstore_api::NamespaceName;

use super::root::{OfflineError, StoppedRoot, quietly};
use super::verify::describe;
use crate::engine::Engine;

/// What was done, or would be.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each change of the files.
    pub acts: Vec<String>,
    /// Logs that cannot be opened, and why.
    pub failures: Vec<String>,
}

/// What a repair of one namespace, or of all, would do. Changes nothing.
pub fn plan(root: &StoppedRoot, only: Option<&NamespaceName>) -> Result<Report, OfflineError> {
    let rehearsal = root.rehearse()?;
    let failures = quietly(|| mend(&rehearsal.engine, only))?;
    let acts = rehearsal.acts().into_iter().filter_map(|act| describe(&act, root.path())).collect();
    Ok(Report { acts, failures })
}

/// Does it, and ends as an orderly stop does.
pub fn repair(root: StoppedRoot, only: Option<&NamespaceName>) -> Result<Report, OfflineError> {
    let Report { acts, .. } = plan(&root, only)?;
    let engine = root.start()?;
    let failures = mend(&engine, only);
    engine.stop();
    Ok(Report { acts, failures: failures? })
}

fn mend(engine: &Arc<Engine>, only: Option<&NamespaceName>) -> Result<Vec<String>, OfflineError> {
    let namespaces: Vec<_> =
        engine.namespaces().into_iter().filter(|one| only.is_none_or(|only| only == one.name())).collect();
    if let Some(only) = only.filter(|_| namespaces.is_empty()) {
        return Err(OfflineError::Refused(format!(
            "there is no namespace {:?} whose configuration can be read",
            only.as_str()
        )));
    }
    let mut failures = Vec::new();
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
