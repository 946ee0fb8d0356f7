//! What the status says in each case; and that every reason of the table has a case.

use std::collections::{BTreeMap, BTreeSet};

use logstore_api::NamespaceName;

use super::*;
use crate::build::CopyName;
use crate::conditions::TABLE;
use crate::plan::{Held, Predicate};
use crate::validate::{InvalidSpec, ValidatedStore};
use crate::{test_support, validate};

/// A LogStore with two copies and two namespaces, at generation 3.
struct World {
    store: ValidatedStore,
    applied: Option<u64>,
    rejected: Option<InvalidSpec>,
    obstacle: Option<Obstacle>,
    growing: Option<String>,
    copies: Vec<CopyFacts>,
    held: Vec<Held>,
    settled: Option<Settled>,
}

const GENERATION: u64 = 3;
const NAMESPACES: [&str; 2] = ["orders", "audit"];

fn store() -> ValidatedStore {
    test_support::store("copies: 2, namespaces: [{name: orders}, {name: audit}]")
}

fn name(text: &str) -> NamespaceName {
    NamespaceName::parse(text).unwrap()
}

fn copies() -> [CopyName; 2] {
    CopyName::first(2).collect::<Vec<_>>().try_into().unwrap()
}

impl World {
    /// Where everything is as it should be.
    fn settled() -> Self {
        let store = store();
        let ready = |copy: CopyName| CopyFacts {
            copy,
            url: format!("http://{copy}:8000"),
            is_running: true,
            is_ready: true,
            is_current: true,
            trouble: None,
        };
        let declared = NAMESPACES.map(|text| (name(text), Standing::Synced)).into();
        Self {
            store,
            applied: Some(GENERATION),
            rejected: None,
            obstacle: None,
            growing: None,
            copies: copies().map(ready).into(),
            held: Vec::new(),
            settled: Some(Settled { revision: GENERATION, declared, ..Settled::default() }),
        }
    }

    fn pass(&mut self) -> &mut Settled {
        self.settled.as_mut().unwrap()
    }

    fn status(&self, previous: Option<&LogStoreStatus>) -> LogStoreStatus {
        self.status_at(previous, 1)
    }

    fn status_at(&self, previous: Option<&LogStoreStatus>, second: i64) -> LogStoreStatus {
        let facts = Facts {
            store: &self.store,
            generation: GENERATION,
            revision: GENERATION,
            rejected: self.rejected.as_ref(),
            applied: self.applied,
            obstacle: self.obstacle.as_ref(),
            image: None,
            growing: self.growing.as_deref(),
            copies: &self.copies,
            held: &self.held,
            settled: self.settled.as_ref(),
        };
        compute(&facts, previous, Timestamp::from_second(second).unwrap())
    }

    /// After it has been ready once.
    fn later(&self) -> LogStoreStatus {
        self.status(Some(&Self::settled().status(None)))
    }
}

fn reasons(status: &LogStoreStatus) -> Vec<String> {
    status.conditions.iter().map(|condition| format!("{}={}", condition.type_, condition.reason)).collect()
}

fn said<'a>(status: &'a LogStoreStatus, condition: &str) -> &'a str {
    &find(status, condition).unwrap().message
}

#[test]
fn a_settled_store_is_ready() {
    let status = World::settled().status(None);
    assert_eq!(
        reasons(&status),
        [
            "Ready=AllPodsReady",
            "Reconciling=Settled",
            "Stalled=NotStalled",
            "NamespacesSynced=AllSynced",
            "Paused=NotPaused"
        ]
    );
    assert_eq!(said(&status, "Ready"), "all 2 stores are ready, all 2 declared namespaces are there");
    assert_eq!((status.copies, status.pods, status.ready_pods), (2, 2, 2));
    assert_eq!((status.namespaces.desired, status.namespaces.synced), (2, 2));
    assert_eq!(status.endpoints.copies[1].url, "http://b:8000");
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
}

#[test]
fn a_first_start_is_told_from_a_store_that_went_away() {
    let mut world = World::settled();
    world.copies[1].is_ready = false;
    let first = world.status(None);
    assert_eq!(reasons(&first)[..2], ["Ready=Initializing", "Reconciling=Creating"]);
    assert_eq!(said(&first, "Ready"), "copy b is not ready: it is starting");
    assert_eq!(reasons(&world.status(Some(&first)))[..2], ["Ready=Initializing", "Reconciling=Creating"]);
    world.copies[1].trouble = Some(Trouble::passing("it was ended by signal 9".to_owned()));
    let later = world.later();
    assert_eq!(reasons(&later)[..2], ["Ready=PodsNotReady", "Reconciling=Retrying"]);
    assert_eq!(said(&later, "Ready"), "copy b is not ready: it was ended by signal 9");
}

/// What cannot be created, for a quota or a policy, was called a rolling update.
#[test]
fn a_copy_without_a_pod_is_being_created_not_replaced() {
    let mut world = World::settled();
    let copy = &mut world.copies[0];
    (copy.is_running, copy.is_ready, copy.is_current) = (false, false, false);
    let first = world.status(None);
    assert_eq!(reasons(&first)[..2], ["Ready=Initializing", "Reconciling=Creating"]);
    assert_eq!(
        said(&first, "Ready"),
        "copy a is not ready: it has no pod yet; kubectl describe statefulset tells why if that lasts"
    );
}

#[test]
fn a_new_generation_is_not_ready_before_it_is_followed() {
    let mut world = World::settled();
    world.applied = Some(GENERATION - 1);
    world.pass().revision = GENERATION - 1;
    let status = world.later();
    assert_eq!(reasons(&status)[..2], ["Ready=NamespacesNotSynced", "Reconciling=NewGeneration"]);
    assert_eq!(status.namespaces.synced, 0, "what was confirmed is what was declared before");
    world.applied = Some(GENERATION);
    assert_eq!(reasons(&world.later())[1], "Reconciling=SyncingNamespaces");
}

#[test]
fn a_rollout_names_what_it_waits_for() {
    let mut world = World::settled();
    let [a, b] = copies();
    world.copies.iter_mut().for_each(|copy| copy.is_current = false);
    world.held = vec![Held { copy: b, waits_for: Predicate::SiblingReady(a) }];
    let status = world.later();
    assert_eq!(reasons(&status)[..2], ["Ready=PodsNotReady", "Reconciling=RollingUpdate"]);
    assert_eq!(said(&status, "Reconciling"), "copy b has an old template and is replaced when copy a is ready");
    // The last one has been replaced and starts.
    let mut world = World::settled();
    world.copies[1].is_ready = false;
    assert_eq!(reasons(&world.later())[..2], ["Ready=PodsNotReady", "Reconciling=RollingUpdate"]);
}

#[test]
fn an_invalid_spec_says_everything_and_the_stores_go_on() {
    let mut world = World::settled();
    world.rejected = Some(validate::text(&test_support::document("", "copies: 9, colour: blue")).unwrap_err());
    let status = world.later();
    assert_eq!(
        reasons(&status),
        [
            "Ready=InvalidSpec",
            "Reconciling=Settled",
            "Stalled=InvalidSpec",
            "NamespacesSynced=AllSynced",
            "Paused=NotPaused"
        ]
    );
    let message = said(&status, "Stalled");
    assert!(
        message.contains("spec.copies: 9 is out of range; give 1 to 5") && message.contains("spec.colour"),
        "{message}"
    );
    assert!(said(&status, "Ready").contains("go on with generation 3"));
    assert_eq!(status.ready_pods, 2);
}

#[test]
fn a_step_that_failed_is_said() {
    let mut world = World::settled();
    world.obstacle = Some(Obstacle::passing("failed to write /state/store.json: no space left on device".to_owned()));
    let status = world.later();
    assert_eq!(reasons(&status)[..2], ["Ready=PodsNotReady", "Reconciling=Retrying"]);
    assert!(said(&status, "Reconciling").contains("no space left"));
}

#[test]
fn namespaces_that_fail_are_named_with_their_reasons() {
    let mut world = World::settled();
    let conflict = Standing::Failing("copy b does not have it".to_owned());
    world.pass().declared.insert(name("orders"), conflict);
    let status = world.later();
    assert_eq!(
        reasons(&status)[..4],
        ["Ready=NamespacesNotSynced", "Reconciling=Retrying", "Stalled=NotStalled", "NamespacesSynced=NotSynced"]
    );
    assert_eq!(said(&status, "Ready"), "1 namespace cannot be as declared: \"orders\": copy b does not have it");
    assert_eq!(status.namespaces.failing[0].name, "orders");
    assert_eq!(status.namespaces.synced, 1);
}

#[test]
fn a_copy_that_cannot_be_asked_leaves_it_unknown() {
    let mut world = World::settled();
    world.pass().silent.insert(copies()[1], "connection refused".to_owned());
    let status = world.later();
    assert_eq!(reasons(&status)[3], "NamespacesSynced=StoresUnreachable");
    assert_eq!(find(&status, "NamespacesSynced").unwrap().status, "Unknown");
    assert_eq!(reasons(&status)[0], "Ready=StoresUnreachable");
    assert_eq!(find(&status, "Ready").unwrap().status, "Unknown");
}

/// An operator that was only started again knows nothing of the stores for a moment. Saying so would be a write for each
/// LogStore of the cluster, and an alarm.
#[test]
fn what_was_said_of_the_namespaces_holds_until_the_stores_are_asked() {
    let before = World::settled().status(None);
    let mut world = World::settled();
    world.settled = None;
    assert_eq!(world.status_at(Some(&before), 2), before);
    let other_generation = LogStoreStatus { observed_generation: Some(2), ..before };
    assert_eq!(reasons(&world.status(Some(&other_generation)))[3], "NamespacesSynced=NotSynced");
}

fn with_mode(mode: &str) -> World {
    let spec = format!("copies: 2, {mode}: true, namespaces: [{{name: orders}}, {{name: audit}}]");
    World { store: test_support::store(&spec), ..World::settled() }
}

#[test]
fn a_paused_store_speaks_of_the_spec_before() {
    let before = LogStoreStatus { observed_generation: Some(2), ..World::settled().status(None) };
    let mut world = with_mode("paused");
    world.settled = None;
    let status = world.status(Some(&before));
    assert_eq!(
        reasons(&status),
        ["Ready=Paused", "Reconciling=Paused", "Stalled=NotStalled", "NamespacesSynced=AllSynced", "Paused=HeldBySpec"]
    );
    assert_eq!(status.observed_generation, Some(2), "whoever waits for this generation goes on waiting");
    assert_eq!(status.namespaces, before.namespaces);
}

#[test]
fn a_stopped_store_is_ready_when_the_last_pod_is_gone() {
    let mut world = with_mode("stopped");
    world.copies[0].is_ready = false;
    world.copies[0].is_running = false;
    let status = world.later();
    assert_eq!(reasons(&status)[..2], ["Ready=PodsNotReady", "Reconciling=Scaling"]);
    assert_eq!(said(&status, "Ready"), "copy b is being stopped");
    world.copies.iter_mut().for_each(|copy| (copy.is_running, copy.is_ready) = (false, false));
    let status = world.later();
    assert_eq!(reasons(&status)[..2], ["Ready=Stopped", "Reconciling=Settled"]);
    assert_eq!((status.pods, status.ready_pods), (0, 0));
}

#[test]
fn what_waits_for_a_person_is_said_with_its_copy() {
    let mut world = World::settled();
    let why = "image a cannot be pulled".to_owned();
    let trouble = Trouble { lasts: Lasting::Yes(Stalled::ImagePullFailed), why };
    (world.copies[1].is_ready, world.copies[1].trouble) = (false, Some(trouble));
    let status = world.later();
    assert_eq!(reasons(&status)[..3], ["Ready=PodsNotReady", "Reconciling=Blocked", "Stalled=ImagePullFailed"]);
    assert_eq!(said(&status, "Stalled"), "copy b: image a cannot be pulled");
    // The kubelet tries again, which looks like the first time, and must not look like progress.
    world.copies[1].trouble.as_mut().unwrap().lasts = Lasting::IfSaidBefore(Stalled::ImagePullFailed);
    assert_eq!(world.status(Some(&status)), status);
    assert_eq!(reasons(&world.later())[2], "Stalled=NotStalled");
}

#[test]
fn a_refused_spec_leaves_what_was_said_of_the_stores() {
    let before = World::settled().status(None);
    let invalid = InvalidSpec::of_document("spec.copies: is wrong");
    let refused = Refused { invalid: &invalid, is_paused: true, ready_pods: 1 };
    let status = refuse(&refused, Some(4), Some(&before), Timestamp::from_second(9).unwrap());
    assert_eq!(reasons(&status)[4], "Paused=HeldBySpec");
    assert_eq!(reasons(&status)[..3], ["Ready=InvalidSpec", "Reconciling=Settled", "Stalled=InvalidSpec"]);
    assert_eq!((status.observed_generation, status.ready_pods, status.pods), (Some(4), 1, 2));
    assert_eq!((status.namespaces, status.endpoints), (before.namespaces, before.endpoints));
}

#[test]
fn lists_are_bounded_and_their_counts_are_not() {
    let mut world = World::settled();
    for number in 0..300 {
        world.pass().removed.insert(name(&format!("kept{number:03}")), Removal::Retained);
        world.pass().declared.insert(name(&format!("bad{number:03}")), Standing::Failing("x".repeat(2000)));
    }
    let NamespacesStatus { failing, retained, retained_count, .. } = world.later().namespaces;
    assert_eq!((failing.len(), retained.len(), retained_count), (FAILING_MAX, RETAINED_MAX, 300));
    assert_eq!(failing[0].message.chars().count(), NAMESPACE_MESSAGE_MAX);
    let status = world.later();
    let message = said(&status, "NamespacesSynced");
    assert!(message.starts_with("300 namespaces cannot be as declared: ") && message.chars().count() == MESSAGE_MAX);
}

#[test]
fn a_transition_has_the_time_of_the_change() {
    let second =
        |status: &LogStoreStatus, condition| find(status, condition).unwrap().last_transition_time.0.as_second();
    let world = World::settled();
    let first = world.status_at(None, 1);
    let again = world.status_at(Some(&first), 2);
    assert_eq!(again, first, "nothing has changed, so nothing is written");
    let mut world = World::settled();
    world.copies[0].is_ready = false;
    let down = world.status_at(Some(&first), 3);
    assert_eq!((second(&down, "Ready"), second(&down, "Stalled")), (3, 1));
}

const LASTING: [Stalled; 7] = [
    Stalled::ClaimDeleted,
    Stalled::StorageClassNotExpandable,
    Stalled::QuotaExceeded,
    Stalled::Forbidden,
    Stalled::ForeignVolume,
    Stalled::ForeignObject,
    Stalled::ImagePullFailed,
];

/// By kstatus, what is reconciling may yet succeed: `helm --wait` sat out its whole time on what a person had to mend.
#[test]
fn what_is_stalled_is_not_reconciling() {
    for stalled in LASTING {
        let mut world = World::settled();
        world.obstacle = Some(Obstacle::lasting(stalled, "no".to_owned()));
        let status = world.later();
        assert_eq!(reasons(&status)[1], "Reconciling=Blocked");
        assert_eq!(find(&status, "Stalled").unwrap().status, "True");
    }
}

/// A reason that no case leads to is one that nobody can see.
#[test]
fn every_reason_has_a_case() {
    let mut worlds = vec![World::settled()];
    let mut with = |change: fn(&mut World)| {
        let mut world = World::settled();
        change(&mut world);
        worlds.push(world);
    };
    with(|world| world.copies[0].is_ready = false);
    with(|world| {
        (world.copies[0].is_ready, world.copies[0].trouble) = (false, Some(Trouble::passing("it ended".to_owned())))
    });
    with(|world| world.copies[0].is_current = false);
    with(|world| world.applied = None);
    with(|world| world.settled = None);
    with(|world| drop(world.pass().silent.insert(copies()[0], "away".to_owned())));
    with(|world| world.rejected = Some(InvalidSpec::of_document("no YAML")));
    with(|world| world.growing = Some("claim a has 1Gi of 2Gi".to_owned()));
    with(|world| *world = with_mode("paused"));
    with(|world| *world = with_mode("stopped"));
    with(|world| {
        *world = with_mode("stopped");
        world.copies.iter_mut().for_each(|copy| (copy.is_running, copy.is_ready) = (false, false));
    });
    for stalled in LASTING {
        let mut world = World::settled();
        world.obstacle = Some(Obstacle::lasting(stalled, "no".to_owned()));
        worlds.push(world);
    }
    let seen: BTreeSet<(String, String, String)> = worlds
        .iter()
        .flat_map(|world| [world.status(None), world.later()])
        .flat_map(|status| status.conditions)
        .map(|condition| (condition.type_, condition.reason, condition.status))
        .collect();
    let table: BTreeSet<(String, String, String)> =
        TABLE.iter().map(|row| (row.condition.to_owned(), row.reason.to_owned(), row.truth.to_string())).collect();
    assert_eq!(seen, table);
}

#[test]
fn reasons_are_unique_within_a_condition() {
    let mut rows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in TABLE {
        assert!(rows.entry(row.condition).or_default().insert(row.reason), "{row:?}");
        assert!(row.meaning.ends_with('.'), "{row:?}");
    }
}
