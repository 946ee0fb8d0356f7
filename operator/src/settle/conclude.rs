//! What a pass has come to, from what was decided and what was answered.

use std::collections::BTreeMap;

use logstore_api::NamespaceName;

use super::carry_out::Failure;
use super::decide::{Decision, Farewell, Verdict};
use super::view::View;
use super::{Removal, Settled, Standing};
use crate::build::CopyName;

/// Sums up a pass.
pub(super) fn conclude(
    revision: u64,
    decision: Decision,
    views: &BTreeMap<CopyName, View>,
    failures: &[Failure],
) -> Settled {
    let silent = silent(views);
    let Decision { calls: _, declared, removed } = decision;
    let declared = declared.into_iter().map(|(name, verdict)| {
        let standing = standing(&name, verdict, &silent, failures);
        (name, standing)
    });
    let removed =
        removed.into_iter().filter_map(|(name, farewell)| Some((name.clone(), removal(&name, farewell, failures)?)));
    Settled { revision, declared: declared.collect(), removed: removed.collect(), silent }
}

fn silent(views: &BTreeMap<CopyName, View>) -> BTreeMap<CopyName, String> {
    let why = |(copy, view): (&CopyName, &View)| match view {
        View::Silent(why) => Some((*copy, why.clone())),
        View::Seen(_) => None,
    };
    views.iter().filter_map(why).collect()
}

fn standing(
    name: &NamespaceName,
    verdict: Verdict,
    silent: &BTreeMap<CopyName, String>,
    failures: &[Failure],
) -> Standing {
    match (verdict, worst(name, failures), silent.first_key_value()) {
        (Verdict::Conflicts(why), _, _) => Standing::Failing(why),
        (Verdict::Waits(why), _, _) => Standing::Waiting(why),
        (Verdict::Follows, Some(failure), _) if failure.is_transient => Standing::Waiting(said(failure)),
        (Verdict::Follows, Some(failure), _) => Standing::Failing(said(failure)),
        (Verdict::Follows, None, Some((copy, why))) => Standing::Waiting(format!("copy {copy} cannot be asked: {why}")),
        (Verdict::Follows, None, None) => Standing::Synced,
    }
}

/// None where it is gone.
fn removal(name: &NamespaceName, farewell: Farewell, failures: &[Failure]) -> Option<Removal> {
    match (farewell, worst(name, failures)) {
        (Farewell::Waits(why), _) => Some(Removal::Waiting(why)),
        (_, Some(failure)) if failure.is_transient => Some(Removal::Waiting(said(failure))),
        (_, Some(failure)) => Some(Removal::Failing(said(failure))),
        (Farewell::Retained, None) => Some(Removal::Retained),
        (Farewell::Deleted, None) => None,
    }
}

/// The failure that says most: one that does not go away by itself, else the first.
fn worst<'a>(name: &NamespaceName, failures: &'a [Failure]) -> Option<&'a Failure> {
    let of_name = || failures.iter().filter(|failure| failure.name == *name);
    of_name().find(|failure| !failure.is_transient).or_else(|| of_name().next())
}

fn said(failure: &Failure) -> String {
    format!("copy {}: {}", failure.copy, failure.why)
}
