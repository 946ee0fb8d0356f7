//! One pass over one `LogStore`: observe → validate → build → plan → apply → settle → status. Nothing in it waits for
//! anything but the API server: what is not there yet touches the `LogStore` when it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use logstore_crds::LogStoreStatus;

use super::api::{APPLIED_ANNOTATION, ApiServer};
use super::belonging::{self, Belonging};
use super::caches::Caches;
use super::carry_out::{Carried, Carrier};
use super::claims;
use super::drift::covers;
use super::memory::Memory;
use super::observe::{self, Existing, Observation};
use super::pods;
use super::resource::{StoredObject, shown};
use super::settlers::{Answer, Settlers, Wanted};
use crate::build::{Child, ChildId, Children, Desired, namespaces, stateful_set};
use crate::conditions::Reconciling;
use crate::plan::{Observed, Plan, Predicate, plan};
use crate::status::{self, CopyFacts, Facts, Obstacle};
use crate::validate::{self, InvalidSpec, Mode, ValidatedStore};

/// When something is looked at again that no watch tells of: an object of others, a budget.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// What passes work with.
pub struct Context {
    /// What the API server holds.
    pub caches: Caches,
    /// Calls to it.
    pub api: ApiServer,
    /// What goes on inside the stores.
    pub settlers: Settlers,
    /// What is remembered from one pass to the next.
    pub memory: Memory,
    /// The operator's own image.
    pub own_image: String,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Settled,
    /// Something is on its way.
    Progressing,
    /// Something is waited for that no watch may tell of.
    Waiting,
    /// A person must act.
    Refused,
    /// Something has failed and is tried again.
    Failed,
    /// It has failed a moment ago; nothing was done.
    Resting,
}

/// One `LogStore` in one pass.
struct Pass<'a> {
    context: &'a Context,
    object: &'a StoredObject,
    reference: ObjectRef<StoredObject>,
    previous: Option<LogStoreStatus>,
}

impl Context {
    /// Makes a pass.
    pub async fn pass(&self, object: &StoredObject) -> (Outcome, Action) {
        let reference = ObjectRef::from_obj(object);
        if object.metadata.deletion_timestamp.is_some() {
            // Owner references do the work.
            self.forget(&reference);
            return (Outcome::Settled, Action::await_change());
        }
        if let Some(rest) = self.memory.rests(&reference, object.generation()) {
            return (Outcome::Resting, Action::requeue(rest));
        }
        let previous = self.memory.status(object);
        let pass = Pass { context: self, object, reference, previous };
        let (outcome, said) = match validate::stored(object.document()) {
            Ok(store) => pass.follow(&store).await,
            Err(invalid) => pass.refuse(&invalid).await,
        };
        pass.conclude(outcome, said)
    }

    /// It is gone.
    pub fn forget(&self, object: &ObjectRef<StoredObject>) {
        self.settlers.forget(object);
        self.memory.forget(object);
    }
}

impl Pass<'_> {
    /// Brings everything to what the spec says.
    async fn follow(&self, store: &ValidatedStore) -> (Outcome, Result<(), Obstacle>) {
        let caches = &self.context.caches;
        let desired = observe::desired(caches, store, &self.context.own_image);
        let observation = Observation::gather(caches, store, &desired);
        if store.mode() == Mode::Paused {
            self.context.settlers.forget(&self.reference);
            let said = self.publish(&self.facts(store, &desired, &observation, &Carried::default())).await;
            return (Outcome::Settled, said);
        }
        let planned = self.observed(store, &desired, &observation);
        let plan = plan(&desired, &planned);
        if let Err(obstacle) = self.announce(store, &desired, &observation, &plan).await {
            return (Outcome::Failed, Err(obstacle));
        }
        let Context { api, memory, .. } = self.context;
        let carrier = Carrier { api, memory, reference: &self.reference, store, observation: &observation };
        let carried = carrier.carry_out(plan).await;
        if let Some(obstacle) = &carried.obstacle {
            tracing::warn!("{}: {}", shown(&self.reference), obstacle.why);
        }
        self.settle(store, &observation);
        let facts = self.facts(store, &desired, &observation, &carried);
        let outcome = outcome(&facts);
        (outcome, self.publish(&facts).await)
    }

    /// Says that the spec cannot be followed, and touches nothing.
    async fn refuse(&self, invalid: &InvalidSpec) -> (Outcome, Result<(), Obstacle>) {
        // What the stores shall have is not known, and where their pods are is not looked at.
        self.context.settlers.forget(&self.reference);
        let refused = status::Refused {
            invalid,
            is_paused: self.object.is_paused(),
            ready_pods: observe::ready_pods(&self.context.caches, &self.reference),
        };
        let status = status::refuse(&refused, self.object.generation(), self.previous.as_ref(), Timestamp::now());
        (Outcome::Refused, self.write(status).await)
    }

    fn conclude(&self, outcome: Outcome, said: Result<(), Obstacle>) -> (Outcome, Action) {
        let memory = &self.context.memory;
        let outcome = match said {
            Ok(()) => outcome,
            Err(obstacle) => {
                tracing::warn!("{}: {}", shown(&self.reference), obstacle.why);
                Outcome::Failed
            }
        };
        let action = match outcome {
            Outcome::Failed | Outcome::Resting => {
                Action::requeue(memory.failed(&self.reference, self.object.generation()))
            }
            Outcome::Refused | Outcome::Waiting => Action::requeue(LOOK_AGAIN),
            Outcome::Settled | Outcome::Progressing => Action::await_change(),
        };
        if outcome != Outcome::Failed {
            memory.succeeded(&self.reference);
        }
        (outcome, action)
    }

    /// What there is, as the plan sees it: a child counts as applied when its mark says so and nobody has changed it since.
    fn observed(&self, store: &ValidatedStore, desired: &Children<Desired>, observation: &Observation) -> Observed {
        let applied = |child: Child<'_>| {
            let (id, existing) = observation.children.get_key_value(&child.id())?;
            self.is_as_applied(store, child, id, existing).then(|| (id.clone(), child.fingerprint()))
        };
        let children = desired.in_apply_order().into_iter().filter_map(applied).collect();
        let pods = if store.mode() == Mode::Stopped { BTreeMap::new() } else { pods::observed(observation) };
        Observed { children, pods, hold: self.hold(store, observation) }
    }

    /// Of several copies none that serves is taken away before all that serve were asked, and while one of them lacks what
    /// another has. Stores that cannot be reached hold nothing: whoever forbids the operator to reach them may still roll out.
    fn hold(&self, store: &ValidatedStore, observation: &Observation) -> Option<Predicate> {
        let serving = pods::serving(store, observation).into_iter();
        let lives: BTreeMap<_, _> = serving.map(|(copy, server)| (copy, server.life)).collect();
        let answer = self.context.settlers.answer(&self.reference);
        let is_asked = |answer: &Answer| answer.lives == lives && answer.settled.revision == store.revision();
        let may_go = answer.filter(is_asked).is_some_and(|answer| !answer.settled.has_failures());
        (store.copies() > 1 && !may_go).then_some(Predicate::Namespaces)
    }

    fn is_as_applied(&self, store: &ValidatedStore, child: Child<'_>, id: &ChildId, existing: &Existing) -> bool {
        let mark = existing.metadata.annotations.as_ref().and_then(|annotations| annotations.get(APPLIED_ANNOTATION));
        let is_ours = belonging::of_child(&existing.metadata, store) == Belonging::Ours;
        let is_marked = mark.is_some_and(|mark| *mark == child.fingerprint().to_string());
        let version = existing.metadata.resource_version.as_deref();
        is_ours
            && is_marked
            && (self.context.memory.is_applied(&self.reference, id, version)
                || covers(&existing.value, &serde_json::to_value(child).unwrap_or_default()))
    }

    /// Before a new generation changes anything, its status says so: whoever waits for Ready must not find that of the old.
    async fn announce(
        &self,
        store: &ValidatedStore,
        desired: &Children<Desired>,
        observation: &Observation,
        plan: &Plan<'_>,
    ) -> Result<(), Obstacle> {
        let observed = self.previous.as_ref().and_then(|status| status.observed_generation);
        let is_new = observed != self.object.generation() || self.object.generation().is_none();
        let is_work = !plan.steps.is_empty() || !claims::plan(store, observation).is_empty();
        if !(is_new && is_work) {
            return Ok(());
        }
        let carried = Carried::default();
        let facts = self.facts(store, desired, observation, &carried);
        // Of the first generation there is no other to be told from, and what is said now can stay.
        let applied = facts.generation_applied(observed);
        let facts = Facts { applied, ..facts.facts() };
        self.write(status::compute(&facts, self.previous.as_ref(), Timestamp::now())).await
    }

    /// Tells the task beside the workers what the stores shall have, and where they are.
    fn settle(&self, store: &ValidatedStore, observation: &Observation) {
        let settlers = &self.context.settlers;
        let serving = pods::serving(store, observation);
        if store.mode() == Mode::Stopped {
            settlers.forget(&self.reference);
            return;
        }
        let copies = pods::facts(store, observation, &BTreeSet::new()).into_iter().map(|facts| {
            let CopyFacts { copy, trouble, .. } = facts;
            let why = || trouble.map_or_else(|| "it is starting".to_owned(), |trouble| trouble.why);
            (copy, serving.get(&copy).cloned().ok_or_else(why))
        });
        let desired = namespaces::build(store, store.namespace(), store.revision());
        settlers.want(&self.reference, Wanted { desired, copies: copies.collect() });
    }

    fn facts<'f>(
        &self,
        store: &'f ValidatedStore,
        desired: &Children<Desired>,
        observation: &Observation,
        carried: &'f Carried,
    ) -> OwnedFacts<'f> {
        OwnedFacts {
            store,
            generation: self.object.generation().and_then(|generation| u64::try_from(generation).ok()).unwrap_or(0),
            image: image(desired),
            growing: claims::growing(observation),
            copies: pods::facts(store, observation, &carried.changed),
            carried,
            settled: self.context.settlers.answer(&self.reference).map(|answer| answer.settled),
        }
    }

    async fn publish(&self, facts: &OwnedFacts<'_>) -> Result<(), Obstacle> {
        self.write(status::compute(&facts.facts(), self.context.memory.status(self.object).as_ref(), Timestamp::now()))
            .await
    }

    /// Writes a status where it differs from what is there.
    async fn write(&self, status: LogStoreStatus) -> Result<(), Obstacle> {
        if self.context.memory.status(self.object).as_ref() == Some(&status) {
            return Ok(());
        }
        let version = self.context.api.write_status(self.object, &status).await?;
        self.context.memory.wrote(self.object, status, version);
        Ok(())
    }
}

/// What a status is made of, gathered in one pass.
struct OwnedFacts<'a> {
    store: &'a ValidatedStore,
    generation: u64,
    image: Option<String>,
    growing: Option<String>,
    copies: Vec<CopyFacts>,
    carried: &'a Carried,
    settled: Option<crate::settle::Settled>,
}

impl OwnedFacts<'_> {
    /// What is said of the generation that was carried out, before this one is.
    fn generation_applied(&self, observed: Option<i64>) -> Option<u64> {
        observed.is_none().then_some(self.generation)
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            store: self.store,
            generation: self.generation,
            revision: self.store.revision(),
            rejected: None,
            applied: Some(self.generation),
            obstacle: self.carried.obstacle.as_ref(),
            image: self.image.as_deref(),
            growing: self.growing.as_deref(),
            copies: &self.copies,
            held: &self.carried.held,
            settled: self.settled.as_ref(),
        }
    }
}

/// The image of the stores as it should be.
fn image(desired: &Children<Desired>) -> Option<String> {
    let pod = desired.stateful_sets.values().next()?.spec.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == stateful_set::CONTAINER)?.image.clone()
}

fn outcome(facts: &OwnedFacts<'_>) -> Outcome {
    match &facts.carried.obstacle {
        Some(Obstacle { stalled: Some(_), .. }) => Outcome::Refused,
        Some(Obstacle { reconciling: Reconciling::Retrying, .. }) => Outcome::Failed,
        Some(_) => Outcome::Waiting,
        // A budget tells nobody when it lets a pod go.
        None if facts.carried.held.iter().any(|held| held.waits_for == Predicate::Eviction) => Outcome::Waiting,
        None if facts.carried.held.is_empty() => Outcome::Settled,
        None => Outcome::Progressing,
    }
}

/// A pass that took too long.
#[derive(Debug, thiserror::Error)]
#[error("a pass took longer than {0:?}; it is made again")]
pub struct TimedOut(pub Duration);
