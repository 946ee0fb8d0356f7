//! The status of a `LogStore`, from facts: a pure function, so that every outcome has one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use logstore_crds::{
    CopyEndpoint, Endpoints, FAILING_MAX, FailingNamespace, LogStoreStatus, NamespacesStatus, RETAINED_MAX,
};

use crate::build::{Applied, Children, CopyName};
use crate::conditions::{NamespacesSynced, Ready, Reason, Reconciling, Stalled};
use crate::plan::Held;
use crate::settle::{Removal, Settled, Standing};
use crate::validate::{InvalidSpec, ValidatedStore};

/// Characters of a condition's message; what is longer is cut. Kubernetes allows 32,768.
const MESSAGE_MAX: usize = 4096;
/// Characters of the message of one namespace.
const NAMESPACE_MESSAGE_MAX: usize = 1024;
/// Namespaces that a condition's message names; the status lists more.
const NAMED_MAX: usize = 3;

/// What there is to say, gathered where it is known.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The spec that is followed.
    pub store: &'a ValidatedStore,
    /// Its generation.
    pub generation: u64,
    /// A later spec that cannot be followed.
    pub rejected: Option<&'a InvalidSpec>,
    /// The children that were carried out last; none at first.
    pub applied: Option<AppliedFacts<'a>>,
    /// Why carrying them out has failed.
    pub failure: Option<&'a str>,
    /// The store of each copy.
    pub copies: &'a [CopyFacts],
    /// Pods that wait to be replaced.
    pub held: &'a [Held],
    /// What the last pass over the namespaces has come to; none before the first.
    pub settled: Option<&'a Settled>,
}

/// Children that were carried out.
#[derive(Clone, Copy, Debug)]
pub struct AppliedFacts<'a> {
    /// Of which generation they are.
    pub generation: u64,
    /// The children.
    pub children: &'a Children<Applied>,
}

/// The store of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFacts {
    /// The copy.
    pub copy: CopyName,
    /// Its HTTP API.
    pub url: String,
    /// Whether it serves.
    pub is_ready: bool,
    /// Whether it runs what it should run.
    pub is_current: bool,
    /// What went wrong with it.
    pub trouble: Option<String>,
}

/// The status that says it all. Times of transition are kept from `previous` where nothing has changed.
#[must_use]
pub fn compute(facts: &Facts<'_>, previous: Option<&LogStoreStatus>, now: Timestamp) -> LogStoreStatus {
    let generation = i64::try_from(facts.generation).ok();
    let conditions = vec![
        condition(ready(facts, previous), generation, previous, now),
        condition(reconciling(facts, previous), generation, previous, now),
        condition(stalled(facts), generation, previous, now),
        condition(namespaces_synced(facts), generation, previous, now),
    ];
    LogStoreStatus {
        observed_generation: generation,
        conditions,
        copies: u32::from(facts.store.copies()),
        pods: count(facts.applied.map_or(0, |applied| applied.children.stateful_sets.len())),
        ready_pods: count(facts.copies.iter().filter(|copy| copy.is_ready).count()),
        endpoints: Endpoints { copies: facts.copies.iter().map(endpoint).collect() },
        namespaces: namespaces(facts),
    }
}

type Said<R> = (R, String);

fn ready(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Said<Ready> {
    if facts.rejected.is_some() {
        return (Ready::InvalidSpec, goes_on(facts));
    }
    if let Some(trouble) = pods_trouble(facts) {
        let reason = if has_been_up(previous) { Ready::PodsNotReady } else { Ready::Initializing };
        return (reason, trouble);
    }
    // Whoever waits for Ready waits for this generation of the pods.
    if let Some(rollout) = rollout(facts) {
        return (Ready::PodsNotReady, rollout);
    }
    match namespaces_synced(facts) {
        (NamespacesSynced::AllSynced, _) => (Ready::AllPodsReady, everything_is_there(facts)),
        (NamespacesSynced::NotSynced | NamespacesSynced::StoresUnreachable, why) => (Ready::NamespacesNotSynced, why),
    }
}

fn reconciling(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Said<Reconciling> {
    if facts.rejected.is_some() {
        return (Reconciling::Settled, goes_on(facts));
    }
    if let Some(failure) = facts.failure {
        return (Reconciling::Retrying, failure.to_owned());
    }
    if facts.applied.is_none_or(|applied| applied.generation != facts.generation) {
        return (Reconciling::NewGeneration, format!("generation {} is begun", facts.generation));
    }
    if let Some(rollout) = rollout(facts) {
        return (Reconciling::RollingUpdate, rollout);
    }
    if let Some(trouble) = pods_trouble(facts) {
        let has_failed = facts.copies.iter().any(|copy| copy.trouble.is_some());
        // What starts without trouble, and not for the first time, takes the place of another.
        let starting = if has_been_up(previous) { Reconciling::RollingUpdate } else { Reconciling::Creating };
        return (if has_failed { Reconciling::Retrying } else { starting }, trouble);
    }
    match (namespaces_synced(facts), is_failing(facts)) {
        ((NamespacesSynced::AllSynced, _), _) => (Reconciling::Settled, everything_is_there(facts)),
        ((_, why), true) => (Reconciling::Retrying, why),
        ((_, why), false) => (Reconciling::SyncingNamespaces, why),
    }
}

fn stalled(facts: &Facts<'_>) -> Said<Stalled> {
    match facts.rejected {
        Some(invalid) => (Stalled::InvalidSpec, invalid.to_string()),
        None => (Stalled::NotStalled, "nothing waits for a person".to_owned()),
    }
}

fn namespaces_synced(facts: &Facts<'_>) -> Said<NamespacesSynced> {
    let Some(settled) = facts.settled.filter(|settled| settled.revision == facts.generation) else {
        return (NamespacesSynced::NotSynced, "the stores have not been asked yet".to_owned());
    };
    let failing = failing(settled);
    if let Some(why) = named(&failing, "cannot be as declared") {
        return (NamespacesSynced::NotSynced, why);
    }
    if let Some((copy, why)) = settled.silent.first_key_value() {
        return (NamespacesSynced::StoresUnreachable, format!("copy {copy} cannot be asked: {why}"));
    }
    match named(&waiting(settled), "not yet as declared") {
        Some(why) => (NamespacesSynced::NotSynced, why),
        None => (NamespacesSynced::AllSynced, synced(settled.declared.len())),
    }
}

/// What keeps pods from being ready.
fn pods_trouble(facts: &Facts<'_>) -> Option<String> {
    if let Some(failure) = facts.failure {
        return Some(failure.to_owned());
    }
    if facts.applied.is_none() && facts.copies.is_empty() {
        return Some("the stores are not started yet".to_owned());
    }
    let troubles: Vec<String> = facts.copies.iter().filter(|copy| !copy.is_ready).map(trouble).collect();
    (!troubles.is_empty()).then(|| troubles.join("; "))
}

fn trouble(copy: &CopyFacts) -> String {
    let why = copy.trouble.as_deref().unwrap_or("it is starting");
    format!("copy {} is not ready: {why}", copy.copy)
}

fn rollout(facts: &Facts<'_>) -> Option<String> {
    let old: Vec<String> =
        facts.copies.iter().filter(|copy| !copy.is_current).map(|copy| copy.copy.to_string()).collect();
    if let Some(held) = facts.held.first() {
        return Some(held.to_string());
    }
    (!old.is_empty()).then(|| format!("copy {} is being replaced", old.join(", ")))
}

fn has_been_up(previous: Option<&LogStoreStatus>) -> bool {
    let ready = previous.and_then(|status| find(status, Ready::CONDITION));
    ready.is_some_and(|condition| condition.reason != Ready::Initializing.name())
}

fn is_failing(facts: &Facts<'_>) -> bool {
    facts.settled.is_some_and(|settled| !failing(settled).is_empty())
}

fn goes_on(facts: &Facts<'_>) -> String {
    format!("the spec cannot be followed, see Stalled; the stores go on with generation {}", facts.generation)
}

fn everything_is_there(facts: &Facts<'_>) -> String {
    let stores = match facts.copies.len() {
        1 => "the store is ready".to_owned(),
        many => format!("all {many} stores are ready"),
    };
    format!("{stores}, {}", synced(facts.store.namespaces().len()))
}

fn synced(declared: usize) -> String {
    match declared {
        0 => "no namespace is declared".to_owned(),
        1 => "the declared namespace is there".to_owned(),
        many => format!("all {many} declared namespaces are there"),
    }
}

fn namespaces(facts: &Facts<'_>) -> NamespacesStatus {
    let desired = count(facts.store.namespaces().len());
    let Some(settled) = facts.settled else { return NamespacesStatus { desired, ..NamespacesStatus::default() } };
    let is_current = settled.revision == facts.generation;
    let synced = settled.declared.values().filter(|standing| is_current && **standing == Standing::Synced).count();
    let listed = |(name, why): (String, &String)| FailingNamespace { name, message: cut(why, NAMESPACE_MESSAGE_MAX) };
    let retained = || settled.removed.iter().filter(|(_, removal)| **removal == Removal::Retained);
    NamespacesStatus {
        desired,
        synced: count(synced),
        failing: failing(settled).into_iter().take(FAILING_MAX).map(listed).collect(),
        retained: retained().take(RETAINED_MAX).map(|(name, _)| name.to_string()).collect(),
        retained_count: count(retained().count()),
    }
}

fn failing(settled: &Settled) -> Vec<(String, &String)> {
    let declared = settled.declared.iter().filter_map(|(name, standing)| match standing {
        Standing::Failing(why) => Some((name.to_string(), why)),
        Standing::Synced | Standing::Waiting(_) => None,
    });
    let removed = settled.removed.iter().filter_map(|(name, removal)| match removal {
        Removal::Failing(why) => Some((name.to_string(), why)),
        Removal::Retained | Removal::Waiting(_) => None,
    });
    declared.chain(removed).collect()
}

fn waiting(settled: &Settled) -> Vec<(String, &String)> {
    let declared = settled.declared.iter().filter_map(|(name, standing)| match standing {
        Standing::Waiting(why) => Some((name.to_string(), why)),
        Standing::Synced | Standing::Failing(_) => None,
    });
    let removed = settled.removed.iter().filter_map(|(name, removal)| match removal {
        Removal::Waiting(why) => Some((name.to_string(), why)),
        Removal::Retained | Removal::Failing(_) => None,
    });
    declared.chain(removed).collect()
}

/// The first few of some namespaces, each with its reason.
fn named(namespaces: &[(String, &String)], what: &str) -> Option<String> {
    let first = namespaces.iter().take(NAMED_MAX).map(|(name, why)| format!("{name:?}: {why}"));
    let first: Vec<String> = first.collect();
    (!first.is_empty()).then(|| match namespaces.len() {
        1 => format!("1 namespace {what}: {}", first.join("; ")),
        many => format!("{many} namespaces {what}: {}", first.join("; ")),
    })
}

fn endpoint(copy: &CopyFacts) -> CopyEndpoint {
    CopyEndpoint { name: copy.copy.to_string(), url: copy.url.clone() }
}

fn condition<R: Reason>(
    (reason, message): Said<R>,
    generation: Option<i64>,
    previous: Option<&LogStoreStatus>,
    now: Timestamp,
) -> Condition {
    let status = reason.truth().to_string();
    let before = previous.and_then(|status| find(status, R::CONDITION)).filter(|before| before.status == status);
    Condition {
        type_: R::CONDITION.to_owned(),
        reason: reason.name().to_owned(),
        message: cut(&message, MESSAGE_MAX),
        last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
        observed_generation: generation,
        status,
    }
}

/// A condition of a status.
#[must_use]
pub fn find<'a>(status: &'a LogStoreStatus, condition: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|found| found.type_ == condition)
}

fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max.saturating_sub(1)) {
        Some((end, _)) if text.chars().count() > max => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
