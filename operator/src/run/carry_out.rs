//! Carries out a plan: claims, then children, then pods. A claim that cannot be as it should ends it, because the rest builds on
//! claims; a child that cannot does not keep the others.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::runtime::reflector::ObjectRef;

use super::api::{ApiServer, Eviction};
use super::belonging::{self, Belonging};
use super::claims::{self, ClaimAct};
use super::memory::Memory;
use super::observe::Observation;
use super::pods;
use super::resource::{StoredObject, shown};
use crate::build::{Child, ChildId, CopyName, stateful_set};
use crate::conditions::{Reconciling, Stalled};
use crate::plan::{Held, Plan, Predicate, Step};
use crate::status::Obstacle;
use crate::validate::ValidatedStore;

/// What a plan is carried out with, and on what.
pub(super) struct Carrier<'a> {
    pub(super) api: &'a ApiServer,
    pub(super) memory: &'a Memory,
    pub(super) reference: &'a ObjectRef<StoredObject>,
    pub(super) store: &'a ValidatedStore,
    pub(super) observation: &'a Observation,
}

/// What carrying out has come to.
#[derive(Default)]
pub(super) struct Carried {
    /// The first thing that stands against it.
    pub(super) obstacle: Option<Obstacle>,
    /// Pods that wait to be replaced.
    pub(super) held: Vec<Held>,
    /// Copies whose StatefulSet was changed by this very pass: what the cache shows of them is of before.
    pub(super) changed: BTreeSet<CopyName>,
}

impl Carrier<'_> {
    /// Claims first, then children, then pods. The first thing that stands against it is told.
    pub(super) async fn carry_out(&self, plan: Plan<'_>) -> Carried {
        let Plan { steps, held } = plan;
        let mut carried = Carried { obstacle: None, held, changed: BTreeSet::new() };
        let done = async {
            self.grow_claims().await?;
            let mut first = Ok(());
            for step in steps {
                let stepped = match step {
                    Step::Apply(child) => self.apply(child).await.map(|is_changed| {
                        carried.changed.extend(child.copy().filter(|_| is_changed));
                    }),
                    Step::ReplacePod(copy) => self.replace(copy).await.map(|held| carried.held.extend(held)),
                };
                // One child that cannot be had must not keep the others from being as they should.
                first = first.and(stepped);
            }
            first?;
            self.look_for_lost_pods().await
        };
        carried.obstacle = done
            .await
            .err()
            .or_else(|| claims::leaving(self.store, self.observation))
            .or_else(|| claims::of_another_class(self.store, self.observation));
        carried
    }

    /// A pod that has lost its labels is in no cache, serves nobody, and stands in the way of its successor.
    async fn look_for_lost_pods(&self) -> Result<(), Obstacle> {
        for copy in self.observation.stateful_sets.keys().filter(|copy| !self.observation.pods.contains_key(copy)) {
            let name = stateful_set::pod_name(self.store, *copy);
            let found = self.api.existing_pod(self.store.namespace(), &name).await?;
            if found.is_some_and(|metadata| !belonging::has_our_labels(&metadata, self.store)) {
                return Err(Obstacle::lasting(
                    Stalled::ForeignObject,
                    format!(
                        "Pod {}/{name} does not carry the labels that its StatefulSet gives: put them back, or delete it",
                        self.store.namespace()
                    ),
                ));
            }
        }
        Ok(())
    }

    async fn grow_claims(&self) -> Result<(), Obstacle> {
        let (own, steps): (Vec<_>, Vec<_>) = claims::plan(self.store, self.observation)
            .into_iter()
            .partition(|step| matches!(step.act, ClaimAct::Own(_)));
        for step in &own {
            self.api.claim(self.store.namespace(), step, false).await?;
        }
        // None grows before it is known that all can.
        for step in &steps {
            self.api.claim(self.store.namespace(), step, true).await?;
        }
        for step in &steps {
            self.api.claim(self.store.namespace(), step, false).await?;
        }
        Ok(())
    }

    /// Makes a child as it should be, and tells whether that has changed anything.
    async fn apply(&self, child: Child<'_>) -> Result<bool, Obstacle> {
        let id = child.id();
        let known = self.observation.children.get(&id);
        let metadata = match known {
            Some(existing) => Some(existing.metadata.clone()),
            // What has lost its labels is not in the cache, and neither is what is not ours.
            None => self.api.existing(self.store.namespace(), child).await?,
        };
        let is_there = match metadata.map(|metadata| belonging::of_child(&metadata, self.store)) {
            None => false,
            Some(Belonging::Ours) => true,
            Some(Belonging::Leaving(why)) => return Err(leaving(&id, why)),
            Some(Belonging::Foreign(who)) => return Err(foreign(self.store, &id, &who)),
        };
        if let (false, Child::StatefulSet(copy, _)) = (is_there, child) {
            self.check_claim(copy).await?;
        }
        if let Child::StatefulSet(copy, wanted) = child
            && let Some(outgrown) = claims::outgrown(self.store, self.observation, copy)
        {
            return self.make_anew(copy, wanted, outgrown).await.map(|()| true);
        }
        tracing::info!("{}: applying {id}", shown(self.reference));
        let version = self.api.apply(self.store.namespace(), child, is_there).await?;
        let is_changed = known.is_none_or(|known| known.metadata.resource_version != version);
        self.memory.applied(self.reference, id, version);
        Ok(is_changed)
    }

    /// A StatefulSet's claim template cannot be changed. Everything else of it is applied first, so that it is known to be
    /// acceptable; then it is deleted, its pod runs on, and the next pass makes it with the larger claim.
    async fn make_anew(&self, copy: CopyName, wanted: &StatefulSet, outgrown: &StatefulSet) -> Result<(), Obstacle> {
        tracing::info!("{}: making the StatefulSet of copy {copy} anew for a larger volume", shown(self.reference));
        let mut acceptable = wanted.clone();
        acceptable.spec.volume_claim_templates = outgrown.spec.volume_claim_templates.clone();
        self.api.apply(self.store.namespace(), Child::StatefulSet(copy, &acceptable), true).await?;
        self.api.let_go(self.store.namespace(), &outgrown.metadata).await
    }

    /// A StatefulSet takes up whatever claim has the right name.
    async fn check_claim(&self, copy: CopyName) -> Result<(), Obstacle> {
        let name = stateful_set::claim_name(self.store, copy);
        let metadata = match self.observation.claims.get(&copy) {
            Some(claim) => Some(claim.metadata.clone()),
            None => self.api.existing_claim(self.store.namespace(), &name).await?,
        };
        match metadata.map(|metadata| belonging::of_claim(&metadata, self.store)) {
            None | Some(Belonging::Ours) => Ok(()),
            Some(Belonging::Leaving(why)) => Err(Obstacle::passing(format!("claim {name}: {why}"))),
            Some(Belonging::Foreign(who)) => Err(Obstacle::lasting(
                Stalled::ForeignVolume,
                format!(
                    "claim {}/{name} {who}; give it these labels if its data shall be used, or delete it",
                    self.store.namespace()
                ),
            )),
        }
    }

    /// Ends a copy's pod. One that serves is evicted, so that the budgets of the cluster are kept.
    async fn replace(&self, copy: CopyName) -> Result<Option<Held>, Obstacle> {
        let Some(pod) = self.observation.pods.get(&copy) else { return Ok(None) };
        if self.observation.leaving_claims.contains_key(&copy) {
            return Ok(Some(Held { copy, waits_for: Predicate::Claim }));
        }
        tracing::info!("{}: replacing pod {}", shown(self.reference), stateful_set::pod_name(self.store, copy));
        if !pods::is_ready(pod) {
            self.api.delete_pod(self.store.namespace(), &pod.metadata).await?;
            return Ok(None);
        }
        let evicted = self.api.evict_pod(self.store.namespace(), &pod.metadata).await?;
        Ok((evicted == Eviction::Refused).then_some(Held { copy, waits_for: Predicate::Eviction }))
    }
}

/// The watch tells when it is gone.
fn leaving(id: &ChildId, why: &str) -> Obstacle {
    Obstacle { reconciling: Reconciling::Creating, ..Obstacle::passing(format!("{id} must go first: {why}")) }
}

fn foreign(store: &ValidatedStore, id: &ChildId, who: &str) -> Obstacle {
    let place = store.namespace();
    let why = format!("{} {place}/{} {who}; delete it, or give this LogStore another name", id.kind, id.name);
    Obstacle::lasting(Stalled::ForeignObject, why)
}
