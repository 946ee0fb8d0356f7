//! The status of a `LogStore`, from facts: a pure function, so that every outcome has one.

mod facts;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use logstore_crds::{
    CopyEndpoint, Endpoints, FAILING_MAX, FailingNamespace, LogStoreStatus, NamespacesStatus, RETAINED_MAX,
};

use crate::build::service;
use crate::conditions::{NamespacesSynced, Paused, Ready, Reason, Reconciling, Stalled, Truth};
use crate::settle::{Removal, Settled, Standing};
use crate::validate::Mode;

pub use self::facts::{CopyFacts, Facts, Lasting, Obstacle, Refused, Trouble};

/// Characters of a condition's message; what is longer is cut. Kubernetes allows 32,768.
const MESSAGE_MAX: usize = 4096;
/// Characters of the message of one namespace.
const NAMESPACE_MESSAGE_MAX: usize = 1024;
/// Namespaces that a condition's message names; the status lists more.
const NAMED_MAX: usize = 3;

/// The status that says it all. Times of transition are kept from `previous` where nothing has changed.
#[must_use]
pub fn compute(facts: &Facts<'_>, previous: Option<&LogStoreStatus>, now: Timestamp) -> LogStoreStatus {
    let generation = observed_generation(facts, previous);
    let conditions = vec![
        condition(ready(facts, previous), generation, previous, now),
        condition(reconciling(facts, previous), generation, previous, now),
        condition(stalled(facts, previous), generation, previous, now),
        namespaces_condition(facts, generation, previous, now),
        condition(paused(facts), i64::try_from(facts.generation).ok(), previous, now),
    ];
    LogStoreStatus {
        observed_generation: generation,
        conditions,
        copies: u32::from(facts.store.copies()),
        pods: pods(facts, previous),
        ready_pods: ready_pods(facts.copies),
        image: image(facts, previous),
        endpoints: Endpoints {
            http: service::client_url(facts.store),
            copies: facts.copies.iter().map(endpoint).collect(),
        },
        namespaces: namespaces(facts, previous),
    }
}

/// The status of a refused spec: what was said of the stores stays, except for what is seen of their pods.
#[must_use]
pub fn refuse(
    refused: &Refused<'_>,
    generation: Option<i64>,
    previous: Option<&LogStoreStatus>,
    now: Timestamp,
) -> LogStoreStatus {
    let Refused { invalid, is_paused, ready_pods } = *refused;
    let goes_on = || "the spec cannot be followed, see Stalled; the stores go on as they are".to_owned();
    let kept = |name: &str| previous.and_then(|status| find(status, name)).cloned();
    let unasked = || (NamespacesSynced::NotSynced, "the spec cannot be followed".to_owned());
    LogStoreStatus {
        observed_generation: generation,
        conditions: vec![
            condition((Ready::InvalidSpec, goes_on()), generation, previous, now),
            condition((Reconciling::Settled, goes_on()), generation, previous, now),
            condition((Stalled::InvalidSpec, invalid.to_string()), generation, previous, now),
            kept(NamespacesSynced::CONDITION).unwrap_or_else(|| condition(unasked(), generation, previous, now)),
            condition(
                if is_paused { (Paused::HeldBySpec, held_by_spec()) } else { not_paused() },
                generation,
                previous,
                now,
            ),
        ],
        ready_pods,
        ..previous.cloned().unwrap_or_default()
    }
}

/// While paused, the status speaks of the spec that was followed before.
fn observed_generation(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Option<i64> {
    match facts.store.mode() {
        Mode::Paused => previous.and_then(|status| status.observed_generation),
        Mode::Running | Mode::Stopped => i64::try_from(facts.generation).ok(),
    }
}

/// The status that goes on speaking of the spec before, while this one is held back.
fn held<'a>(facts: &Facts<'_>, previous: Option<&'a LogStoreStatus>) -> Option<&'a LogStoreStatus> {
    previous.filter(|_| facts.store.mode() == Mode::Paused)
}

fn pods(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> u32 {
    match (held(facts, previous), facts.store.mode()) {
        (Some(held), _) => held.pods,
        (None, Mode::Stopped) => 0,
        (None, Mode::Running | Mode::Paused) => u32::from(facts.store.copies()),
    }
}

fn image(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Option<String> {
    held(facts, previous).map_or_else(|| facts.image.map(str::to_owned), |held| held.image.clone())
}

fn ready_pods(copies: &[CopyFacts]) -> u32 {
    count(copies.iter().filter(|copy| copy.is_ready).count())
}

type Said<R> = (R, String);

fn ready(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Said<Ready> {
    if facts.rejected.is_some() {
        return (Ready::InvalidSpec, goes_on(facts));
    }
    if facts.store.mode() == Mode::Paused {
        return (Ready::Paused, held_by_spec());
    }
    if let Some(trouble) = pods_trouble(facts) {
        let reason = if has_been_up(previous) { Ready::PodsNotReady } else { Ready::Initializing };
        return (reason, trouble);
    }
    if facts.store.mode() == Mode::Stopped {
        return (Ready::Stopped, stopped());
    }
    // Whoever waits for Ready waits for this generation of the pods.
    if let Some(rollout) = rollout(facts) {
        return (Ready::PodsNotReady, rollout);
    }
    match namespaces_synced(facts, previous) {
        (NamespacesSynced::AllSynced, _) => (Ready::AllPodsReady, everything_is_there(facts)),
        (NamespacesSynced::StoresUnreachable, why) => (Ready::StoresUnreachable, why),
        (NamespacesSynced::NotSynced | NamespacesSynced::Stopped, why) => (Ready::NamespacesNotSynced, why),
    }
}

fn reconciling(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Said<Reconciling> {
    if facts.rejected.is_some() {
        return (Reconciling::Settled, goes_on(facts));
    }
    if facts.store.mode() == Mode::Paused {
        return (Reconciling::Paused, held_by_spec());
    }
    // Whoever waits by kstatus takes what is still reconciling for something that may yet succeed.
    if let (lasting, why) = stalled(facts, previous)
        && lasting.truth() == Truth::True
    {
        return (Reconciling::Blocked, why);
    }
    if let Some(obstacle) = facts.obstacle {
        return (obstacle.reconciling, obstacle.why.clone());
    }
    if facts.applied != Some(facts.generation) {
        return (Reconciling::NewGeneration, format!("generation {} is begun", facts.generation));
    }
    if facts.store.mode() == Mode::Stopped {
        let reason = if is_any_running(facts) { Reconciling::Scaling } else { Reconciling::Settled };
        return (reason, pods_trouble(facts).unwrap_or_else(stopped));
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
    match (namespaces_synced(facts, previous), is_failing(facts)) {
        ((NamespacesSynced::AllSynced, _), _) => match facts.growing {
            Some(growing) => (Reconciling::Resizing, growing.to_owned()),
            None => (Reconciling::Settled, everything_is_there(facts)),
        },
        ((_, why), true) => (Reconciling::Retrying, why),
        ((_, why), false) => (Reconciling::SyncingNamespaces, why),
    }
}

fn stalled(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Said<Stalled> {
    if let Some(invalid) = facts.rejected {
        return (Stalled::InvalidSpec, invalid.to_string());
    }
    if let Some((stalled, obstacle)) = facts.obstacle.and_then(|obstacle| Some((obstacle.stalled?, obstacle))) {
        return (stalled, obstacle.why.clone());
    }
    let troubles = facts.copies.iter().filter_map(|copy| Some((copy, copy.trouble.as_ref()?)));
    let lasting = troubles.filter_map(|(copy, trouble)| Some((trouble.stalled(previous)?, copy, trouble))).next();
    match lasting {
        Some((stalled, copy, trouble)) => (stalled, format!("copy {}: {}", copy.copy, trouble.why)),
        None => (Stalled::NotStalled, "nothing waits for a person".to_owned()),
    }
}

fn paused(facts: &Facts<'_>) -> Said<Paused> {
    match facts.store.mode() {
        Mode::Paused => (Paused::HeldBySpec, held_by_spec()),
        Mode::Running | Mode::Stopped => not_paused(),
    }
}

fn not_paused() -> Said<Paused> {
    (Paused::NotPaused, "changes of the spec are followed".to_owned())
}

fn held_by_spec() -> String {
    "spec.paused is true: nothing is changed until it is false".to_owned()
}

fn stopped() -> String {
    "spec.stopped is true: no store runs; everything else is kept".to_owned()
}

fn is_any_running(facts: &Facts<'_>) -> bool {
    facts.copies.iter().any(|copy| copy.is_running)
}

/// While paused nobody is asked, so what was said last stays.
fn namespaces_condition(
    facts: &Facts<'_>,
    generation: Option<i64>,
    previous: Option<&LogStoreStatus>,
    now: Timestamp,
) -> Condition {
    let kept = previous.and_then(|status| find(status, NamespacesSynced::CONDITION));
    match (facts.store.mode(), kept) {
        (Mode::Paused, Some(kept)) => kept.clone(),
        _ => condition(namespaces_synced(facts, previous), generation, previous, now),
    }
}

fn namespaces_synced(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> Said<NamespacesSynced> {
    if facts.store.mode() == Mode::Stopped {
        return (NamespacesSynced::Stopped, "no store runs, so none can be asked".to_owned());
    }
    if let Some(said) = said_before(facts, previous) {
        return (
            NamespacesSynced::AllSynced,
            find(said, NamespacesSynced::CONDITION).map(|found| found.message.clone()).unwrap_or_default(),
        );
    }
    let Some(settled) = facts.settled.filter(|settled| settled.revision == facts.revision) else {
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

/// The status that an operator before this one gave the same spec, as long as this one has asked no store: a restart of
/// the operator alone changes nothing.
fn said_before<'a>(facts: &Facts<'_>, previous: Option<&'a LogStoreStatus>) -> Option<&'a LogStoreStatus> {
    let previous = previous.filter(|status| facts.settled.is_none() && is_of(status, facts.generation))?;
    let synced = find(previous, NamespacesSynced::CONDITION)?;
    (synced.reason == NamespacesSynced::AllSynced.name()).then_some(previous)
}

fn is_of(status: &LogStoreStatus, generation: u64) -> bool {
    status.observed_generation.is_some() && status.observed_generation == i64::try_from(generation).ok()
}

/// What keeps pods from being as the spec asks for: ready, or gone.
fn pods_trouble(facts: &Facts<'_>) -> Option<String> {
    if let Some(obstacle) = facts.obstacle {
        return Some(obstacle.why.clone());
    }
    if facts.applied.is_none() && facts.copies.is_empty() {
        return Some("the stores are not started yet".to_owned());
    }
    let troubles: Vec<String> = match facts.store.mode() {
        Mode::Stopped => {
            let running = facts.copies.iter().filter(|copy| copy.is_running);
            running.map(|copy| format!("copy {} is being stopped", copy.copy)).collect()
        }
        Mode::Running | Mode::Paused => facts.copies.iter().filter(|copy| !copy.is_ready).map(trouble).collect(),
    };
    (!troubles.is_empty()).then(|| troubles.join("; "))
}

fn trouble(copy: &CopyFacts) -> String {
    let nothing = if copy.is_running {
        "it is starting"
    } else {
        "it has no pod yet; kubectl describe statefulset tells why if that lasts"
    };
    let why = copy.trouble.as_ref().map_or(nothing, |trouble| trouble.why.as_str());
    format!("copy {} is not ready: {why}", copy.copy)
}

fn rollout(facts: &Facts<'_>) -> Option<String> {
    let old: Vec<String> = facts
        .copies
        .iter()
        .filter(|copy| copy.is_running && !copy.is_current)
        .map(|copy| copy.copy.to_string())
        .collect();
    if let Some(held) = facts.held.first() {
        return Some(held.to_string());
    }
    (!old.is_empty()).then(|| format!("copy {} is being replaced", old.join(", ")))
}

fn has_been_up(previous: Option<&LogStoreStatus>) -> bool {
    let reason = |status: &LogStoreStatus| find(status, Ready::CONDITION).map(|condition| condition.reason.clone());
    previous.is_some_and(|status| match reason(status).as_deref() {
        None | Some("Initializing") => false,
        // These tell nothing of the stores.
        Some("Paused" | "InvalidSpec") => status.ready_pods > 0,
        Some(_) => true,
    })
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

fn namespaces(facts: &Facts<'_>, previous: Option<&LogStoreStatus>) -> NamespacesStatus {
    if let Some(previous) = held(facts, previous).or_else(|| said_before(facts, previous)) {
        return previous.namespaces.clone();
    }
    let desired = count(facts.store.namespaces().len());
    let Some(settled) = facts.settled else { return NamespacesStatus { desired, ..NamespacesStatus::default() } };
    let is_current = settled.revision == facts.revision;
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
