//! What may be done with the claims of a `LogStore`: pure. They grow before anything else, because a full volume must be
//! able to grow while its pod is down. They never shrink, and never go unless the spec says so in words.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use logstore_crds::WhenDeleted;

use super::observe::Observation;
use crate::build::{CopyName, owner};
use crate::conditions::Stalled;
use crate::status::Obstacle;
use crate::validate::{Mode, ValidatedStore, VolumeSize};

/// One thing to do with a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimStep {
    /// The claim, as it was seen: the step is for this one only.
    pub metadata: ObjectMeta,
    /// What to do.
    pub act: ClaimAct,
}

/// What to do with a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimAct {
    /// Ask for more.
    Grow(VolumeSize),
    /// Give it these owners.
    Own(Vec<OwnerReference>),
}

/// Everything to do with the claims that there are. Whose they are comes first: that data stays must not wait for a growth
/// that may never be possible. Kubernetes lets only bound claims grow.
#[must_use]
pub fn plan(store: &ValidatedStore, observed: &Observation) -> Vec<ClaimStep> {
    let grow = observed.claims.values().filter_map(|claim| {
        let wanted = &store.volume().size;
        let is_bound = claim.status.as_ref()?.phase.as_deref() == Some("Bound");
        let act = (is_bound && requested(claim)?.is_less_than(wanted)).then(|| ClaimAct::Grow(wanted.clone()))?;
        Some(ClaimStep { metadata: claim.metadata.clone(), act })
    });
    let own = observed.claims.values().filter_map(|claim| {
        let act = ClaimAct::Own(owners(store, &claim.metadata)?);
        Some(ClaimStep { metadata: claim.metadata.clone(), act })
    });
    own.chain(grow).filter(|step| step.metadata.deletion_timestamp.is_none()).collect()
}

/// The owners that a claim should have, where they are others than it has.
fn owners(store: &ValidatedStore, metadata: &ObjectMeta) -> Option<Vec<OwnerReference>> {
    let uid = store.uid()?;
    let is_ours = |owner: &OwnerReference| owner.uid == uid;
    let found = metadata.owner_references.clone().unwrap_or_default();
    match (store.volume().when_deleted, found.iter().any(is_ours)) {
        (WhenDeleted::Delete, false) => Some(found.into_iter().chain([follower(store, uid)]).collect()),
        (WhenDeleted::Retain, true) => Some(found.into_iter().filter(|owner| !is_ours(owner)).collect()),
        (WhenDeleted::Delete, true) | (WhenDeleted::Retain, false) => None,
    }
}

/// By this a claim goes when the `LogStore` goes. It has no controller: the StatefulSet's own could not take it then.
fn follower(store: &ValidatedStore, uid: &str) -> OwnerReference {
    OwnerReference { controller: None, block_owner_deletion: None, ..owner(store, uid) }
}

/// The StatefulSet of a copy, where its claim template asks for less than it should. It cannot be changed in place.
#[must_use]
pub fn outgrown<'a>(store: &ValidatedStore, observed: &'a Observation, copy: CopyName) -> Option<&'a StatefulSet> {
    let stateful_set = observed.stateful_sets.get(&copy)?;
    template_size(stateful_set)?.is_less_than(&store.volume().size).then_some(stateful_set)
}

/// Claims that are being deleted while a pod uses them: the moment it ends, its data is gone. Somebody must know before.
#[must_use]
pub fn leaving(store: &ValidatedStore, observed: &Observation) -> Option<Obstacle> {
    let in_use = observed.leaving_claims.iter().filter(|(copy, _)| observed.pods.contains_key(copy));
    let names: Vec<&str> = in_use.filter_map(|(_, claim)| claim.metadata.name.as_deref()).collect();
    let is_wanted = store.mode() == Mode::Running && !names.is_empty();
    is_wanted.then(|| {
        let names = names.join(", ");
        Obstacle::lasting(
            Stalled::ClaimDeleted,
            format!("claim {names} is being deleted: its data goes when its pod ends, so no pod is replaced; copy the data now"),
        )
    })
}

/// Claims of another storage class than the spec asks for: they were kept from an earlier LogStore of this name.
#[must_use]
pub fn of_another_class(store: &ValidatedStore, observed: &Observation) -> Option<Obstacle> {
    let wanted = store.volume().class.as_ref()?;
    let (name, class) = observed.claims.values().find_map(|claim| {
        let class = claim.spec.as_ref()?.storage_class_name.as_ref().filter(|class| *class != wanted)?;
        Some((claim.metadata.name.as_deref()?, class))
    })?;
    let why = format!(
        "claim {name} is of storage class {class:?}, and spec.storage.storageClassName is {wanted:?}: a volume cannot change \
         its class; give the old class, or move the data and delete the claim"
    );
    Some(Obstacle::lasting(Stalled::ForeignVolume, why))
}

/// Volumes that are not as large yet as their claims ask for; none where all are.
#[must_use]
pub fn growing(observed: &Observation) -> Option<String> {
    let growing: Vec<String> = observed
        .claims
        .values()
        .filter_map(|claim| {
            let (wanted, found) = (requested(claim)?, capacity(claim)?);
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            found.is_less_than(&wanted).then(|| format!("claim {name} has {found} of {wanted}"))
        })
        .collect();
    (!growing.is_empty()).then(|| growing.join(", "))
}

fn requested(claim: &PersistentVolumeClaim) -> Option<VolumeSize> {
    VolumeSize::read(&claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0)
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<VolumeSize> {
    VolumeSize::read(&claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0)
}

fn template_size(stateful_set: &StatefulSet) -> Option<VolumeSize> {
    let template = stateful_set.spec.volume_claim_templates.as_ref()?.first()?;
    VolumeSize::read(&template.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::test_support;

    fn store(storage: &str) -> ValidatedStore {
        test_support::store_with("uid: now", &format!("storage: {storage}"))
    }

    fn observed(claim: &str) -> Observation {
        let claim: PersistentVolumeClaim = serde_saphyr::from_str(claim).unwrap();
        let copy = CopyName::first(1).next().unwrap();
        Observation { claims: [(copy, Arc::new(claim))].into(), ..Observation::default() }
    }

    fn acts(store: &ValidatedStore, claim: &str) -> Vec<ClaimAct> {
        plan(store, &observed(claim)).into_iter().map(|step| step.act).collect()
    }

    const ONE_GIB: &str = "{spec: {resources: {requests: {storage: 1Gi}}}, status: {phase: Bound}}";

    #[test]
    fn a_claim_grows_and_never_shrinks() {
        let two = store("{size: 2Gi}");
        assert_eq!(acts(&two, ONE_GIB), [ClaimAct::Grow(two.volume().size.clone())]);
        assert_eq!(acts(&store("{size: 1024Mi}"), ONE_GIB), []);
        assert_eq!(acts(&store("{size: 500Mi}"), ONE_GIB), []);
    }

    #[test]
    fn a_claim_follows_the_resource_only_while_the_spec_says_so() {
        let (keep, go) = (store("{size: 1Gi}"), store("{size: 1Gi, whenDeleted: Delete}"));
        let [ClaimAct::Own(owners)] = &acts(&go, ONE_GIB)[..] else { panic!() };
        assert_eq!((owners[0].uid.as_str(), owners[0].controller), ("now", None));
        let of_ours = "{metadata: {ownerReferences: [{apiVersion: v1, kind: A, name: a, uid: x}, \
                       {apiVersion: logstore.dev/v1alpha1, kind: LogStore, name: events, uid: now}]}, \
                       spec: {resources: {requests: {storage: 1Gi}}}, status: {phase: Bound}}";
        let [ClaimAct::Own(owners)] = &acts(&keep, of_ours)[..] else { panic!() };
        assert_eq!(owners.iter().map(|owner| owner.uid.as_str()).collect::<Vec<_>>(), ["x"]);
        assert_eq!((acts(&keep, ONE_GIB), acts(&go, of_ours)), (vec![], vec![]));
    }

    /// A pod without a node has a claim without a volume, which cannot grow; asking for it held back the very change that
    /// would have given the pod a node.
    #[test]
    fn a_claim_without_a_volume_waits() {
        assert_eq!(
            acts(&store("{size: 2Gi}"), "{spec: {resources: {requests: {storage: 1Gi}}}, status: {phase: Pending}}"),
            []
        );
    }

    /// Whoever sees that a volume cannot grow may want to delete the LogStore and keep its data.
    #[test]
    fn whose_a_claim_is_comes_before_its_growth() {
        let acts = acts(&store("{size: 2Gi, whenDeleted: Delete}"), ONE_GIB);
        assert!(matches!(acts[..], [ClaimAct::Own(_), ClaimAct::Grow(_)]), "{acts:?}");
    }

    #[test]
    fn a_claim_that_is_being_deleted_is_left_alone() {
        let leaving =
            "{metadata: {deletionTimestamp: 2026-01-01T00:00:00Z}, spec: {resources: {requests: {storage: 1Gi}}}}";
        assert_eq!(acts(&store("{size: 2Gi, whenDeleted: Delete}"), leaving), []);
    }

    /// Claims that somebody had deleted were not told of; the next rollout then took the data of every copy.
    #[test]
    fn a_claim_that_goes_with_its_pod_is_told() {
        let copy = CopyName::first(1).next().unwrap();
        let claim: PersistentVolumeClaim = serde_saphyr::from_str("{metadata: {name: data-events-a-0}}").unwrap();
        let mut observed = Observation { leaving_claims: [(copy, Arc::new(claim))].into(), ..Observation::default() };
        assert_eq!(leaving(&store("{size: 1Gi}"), &observed), None, "nothing uses it any more");
        observed.pods.insert(copy, Arc::default());
        let told = leaving(&store("{size: 1Gi}"), &observed).unwrap();
        assert_eq!(told.stalled, Some(Stalled::ClaimDeleted));
        assert!(told.why.starts_with("claim data-events-a-0 is being deleted"), "{}", told.why);
    }

    #[test]
    fn a_claim_of_another_class_is_told() {
        let claim = "{metadata: {name: data-events-a-0}, spec: {storageClassName: old}}";
        assert_eq!(of_another_class(&store("{size: 1Gi, storageClassName: old}"), &observed(claim)), None);
        assert_eq!(of_another_class(&store("{size: 1Gi}"), &observed(claim)), None, "any class will do");
        let told = of_another_class(&store("{size: 1Gi, storageClassName: new}"), &observed(claim)).unwrap();
        assert!(told.why.contains("\"old\"") && told.why.contains("\"new\""), "{}", told.why);
    }

    #[test]
    fn growth_is_told_until_the_volume_is_as_large() {
        let claim = |capacity: &str| {
            format!(
                "{{metadata: {{name: data-events-a-0}}, spec: {{resources: {{requests: {{storage: 2Gi}}}}}}, \
                 status: {{capacity: {{storage: {capacity}}}}}}}"
            )
        };
        assert_eq!(growing(&observed(&claim("1Gi"))).as_deref(), Some("claim data-events-a-0 has 1Gi of 2Gi"));
        assert_eq!(growing(&observed(&claim("2Gi"))), None);
    }
}
