//! What there is of one `LogStore`, out of the caches.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use serde::Serialize;
use serde_json::Value;

use super::belonging::{self, Belonging};
use super::caches::Caches;
use super::pods;
use super::resource::StoredObject;
use crate::build::config_map::{self, OPERATOR_IMAGE_ANNOTATION, TEMPLATE_ANNOTATION};
use crate::build::{Child, ChildId, Children, CopyName, Desired, Surroundings, build, stateful_set};
use crate::validate::ValidatedStore;

/// Copies that a `LogStore` can have.
const COPIES_MAX: u8 = 5;

/// An object that is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Existing {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// The whole of it.
    pub value: Value,
}

/// What there is of one `LogStore`.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Its children.
    pub children: BTreeMap<ChildId, Existing>,
    /// The StatefulSet of each copy.
    pub stateful_sets: BTreeMap<CopyName, Arc<StatefulSet>>,
    /// The pod of each copy.
    pub pods: BTreeMap<CopyName, Arc<Pod>>,
    /// The claim of each copy.
    pub claims: BTreeMap<CopyName, Arc<PersistentVolumeClaim>>,
    /// The claim of each copy that is being deleted, and goes as soon as no pod uses it.
    pub leaving_claims: BTreeMap<CopyName, Arc<PersistentVolumeClaim>>,
}

impl Observation {
    /// Looks at everything that has a name of one of its children.
    #[must_use]
    pub fn gather(caches: &Caches, store: &ValidatedStore, desired: &Children<Desired>) -> Self {
        let of_copies = || CopyName::first(store.copies());
        let children = desired.in_apply_order().into_iter().filter_map(|child| {
            let id = child.id();
            let existing = existing(caches, store.namespace(), child, &id.name)?;
            Some((id, existing))
        });
        let stateful_sets = stateful_sets(caches, store);
        let pod = |copy: CopyName| {
            let pod = find(&caches.pods, store, &stateful_set::pod_name(store, copy))?;
            is_of(&pod.metadata, stateful_sets.get(&copy).map(|found| &found.metadata)).then_some((copy, pod))
        };
        let claim = |copy| Some((copy, find(&caches.claims, store, &stateful_set::claim_name(store, copy))?));
        let (leaving_claims, claims): (BTreeMap<_, _>, BTreeMap<_, _>) =
            of_copies().filter_map(claim).partition(|(_, claim)| claim.metadata.deletion_timestamp.is_some());
        let is_ours = |claim: &PersistentVolumeClaim| belonging::of_claim(&claim.metadata, store) == Belonging::Ours;
        Self {
            children: children.collect(),
            pods: of_copies().filter_map(pod).collect(),
            claims: claims.into_iter().filter(|(_, claim)| is_ours(claim)).collect(),
            leaving_claims,
            stateful_sets,
        }
    }
}

/// Pods of a `LogStore` that are ready, where no more than its name is known.
#[must_use]
pub fn ready_pods(caches: &Caches, object: &ObjectRef<StoredObject>) -> u32 {
    let is_ready = |copy: &CopyName| {
        let name = format!("{}-{copy}-0", object.name);
        let pod = caches.pods.get(&ObjectRef::new(&name).within(object.namespace.as_deref().unwrap_or_default()));
        pod.is_some_and(|pod| pods::is_ready(&pod) && !pods::is_leaving(&pod))
    };
    CopyName::first(COPIES_MAX).filter(is_ready).map(|_| 1).sum()
}

/// The image that counts as the operator's own for a `LogStore`: the one that its stores were given, as long as it asks
/// for the same; else the one of this operator. So a new operator alone restarts no store.
#[must_use]
pub fn operator_image(caches: &Caches, store: &ValidatedStore, own: &str) -> String {
    let config_map = find(&caches.config_maps, store, &config_map::name(store));
    config_map.and_then(|found| kept_image(&found.metadata, store)).unwrap_or_else(|| own.to_owned())
}

/// The image that the marks on a ConfigMap name, if with it the `LogStore` still becomes what they stand for.
fn kept_image(config_map: &ObjectMeta, store: &ValidatedStore) -> Option<String> {
    let annotations = config_map.annotations.as_ref()?;
    let image = annotations.get(OPERATOR_IMAGE_ANNOTATION)?.clone();
    let again = stateful_set::template_fingerprint(store, &Surroundings { image: image.clone() });
    (again.to_string() == *annotations.get(TEMPLATE_ANNOTATION)?).then_some(image)
}

/// The children as they should be, with the image that counts.
#[must_use]
pub fn desired(caches: &Caches, store: &ValidatedStore, own_image: &str) -> Children<Desired> {
    build(store, &Surroundings { image: operator_image(caches, store, own_image) })
}

/// Whether a pod was made by this StatefulSet, not by one of an earlier LogStore whose pods still go. What a StatefulSet let
/// go of has no owner, until the next one takes it up.
fn is_of(pod: &ObjectMeta, stateful_set: Option<&ObjectMeta>) -> bool {
    let controller = pod.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    controller.is_none_or(|owner| stateful_set.is_some_and(|found| found.uid.as_deref() == Some(owner.uid.as_str())))
}

fn stateful_sets(caches: &Caches, store: &ValidatedStore) -> BTreeMap<CopyName, Arc<StatefulSet>> {
    let found = |copy| {
        let found = find(&caches.stateful_sets, store, &stateful_set::name(store, copy))?;
        (belonging::of_child(&found.metadata, store) == Belonging::Ours).then_some((copy, found))
    };
    CopyName::first(store.copies()).filter_map(found).collect()
}

fn find<K>(cache: &Store<K>, store: &ValidatedStore, name: &str) -> Option<Arc<K>>
where
    K: Lookup<DynamicType = ()> + Clone + 'static,
{
    cache.get(&ObjectRef::new(name).within(store.namespace()))
}

fn existing(caches: &Caches, namespace: &str, child: Child<'_>, name: &str) -> Option<Existing> {
    match child {
        Child::ServiceAccount(_) => whole(&caches.service_accounts, namespace, name),
        Child::ConfigMap(_) => whole(&caches.config_maps, namespace, name),
        Child::Service(_) => whole(&caches.services, namespace, name),
        Child::PodDisruptionBudget(_) => whole(&caches.disruption_budgets, namespace, name),
        Child::StatefulSet(..) => whole(&caches.stateful_sets, namespace, name),
    }
}

fn whole<K>(cache: &Store<K>, namespace: &str, name: &str) -> Option<Existing>
where
    K: Resource<DynamicType = ()> + Lookup<DynamicType = ()> + Serialize + Clone + 'static,
{
    let object = cache.get(&ObjectRef::new(name).within(namespace))?;
    Some(Existing { metadata: object.meta().clone(), value: serde_json::to_value(&*object).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support;

    fn metadata(text: &str) -> ObjectMeta {
        serde_saphyr::from_str(text).unwrap()
    }

    /// Every operator upgrade would restart every store of the cluster.
    #[test]
    fn stores_keep_their_image_until_the_spec_asks_for_another_template() {
        let made_of = |spec: &str, image: &str| {
            build(&test_support::store(spec), &Surroundings { image: image.to_owned() }).config_map.metadata
        };
        let kept = |spec: &str| kept_image(&made_of("copies: 2", "logstore:1"), &test_support::store(spec));
        assert_eq!(kept("copies: 2").as_deref(), Some("logstore:1"));
        assert_eq!(kept("copies: 2, namespaces: [{name: a}]").as_deref(), Some("logstore:1"));
        assert_eq!(
            kept("storage: {size: 2Gi}, copies: 2").as_deref(),
            Some("logstore:1"),
            "volumes grow without a restart"
        );
        assert_eq!(kept("copies: 2, podTemplate: {metadata: {annotations: {a: b}}}"), None);
        assert_eq!(kept_image(&ObjectMeta::default(), &test_support::store("")), None);
    }

    /// A LogStore that was deleted and applied again at once was Ready with the pod of its earlier life, which then went.
    #[test]
    fn a_pod_of_an_earlier_life_does_not_count() {
        let stateful_set = metadata("{uid: now}");
        let of = |uid: &str| {
            metadata(&format!(
                "{{ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: a, uid: {uid}, controller: true}}]}}"
            ))
        };
        assert!(is_of(&of("now"), Some(&stateful_set)));
        assert!(!is_of(&of("before"), Some(&stateful_set)));
        assert!(!is_of(&of("before"), None));
        assert!(is_of(&metadata("{}"), None), "the StatefulSet is being made anew");
    }
}
