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

use super::caches::Caches;
use crate::build::stateful_set::{self, OPERATOR_IMAGE_ANNOTATION, TEMPLATE_ANNOTATION};
use crate::build::{Child, ChildId, Children, CopyName, Desired, Fingerprint, Surroundings, build};
use crate::validate::ValidatedStore;

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
        Self {
            children: children.collect(),
            stateful_sets: stateful_sets(caches, store),
            pods: of_copies()
                .filter_map(|copy| Some((copy, find(&caches.pods, store, &stateful_set::pod_name(store, copy))?)))
                .collect(),
            claims: of_copies()
                .filter_map(|copy| Some((copy, find(&caches.claims, store, &stateful_set::claim_name(store, copy))?)))
                .collect(),
        }
    }
}

/// The image that counts as the operator's own for a `LogStore`: the one that its stores were given, as long as it asks
/// for the same; else the one of this operator. So a new operator alone restarts no store.
#[must_use]
pub fn operator_image(caches: &Caches, store: &ValidatedStore, own: &str) -> String {
    let kept = stateful_sets(caches, store).into_iter().find_map(|(copy, existing)| {
        let annotations = existing.metadata.annotations.as_ref()?;
        let image = annotations.get(OPERATOR_IMAGE_ANNOTATION)?;
        let again = stateful_set::build(store, copy, &Surroundings { image: image.clone() });
        let is_same = Fingerprint::of(&again.spec.template).to_string() == *annotations.get(TEMPLATE_ANNOTATION)?;
        is_same.then(|| image.clone())
    });
    kept.unwrap_or_else(|| own.to_owned())
}

/// The children as they should be, with the image that counts.
#[must_use]
pub fn desired(caches: &Caches, store: &ValidatedStore, own_image: &str) -> Children<Desired> {
    build(store, &Surroundings { image: operator_image(caches, store, own_image) })
}

fn stateful_sets(caches: &Caches, store: &ValidatedStore) -> BTreeMap<CopyName, Arc<StatefulSet>> {
    let found = |copy| Some((copy, find(&caches.stateful_sets, store, &stateful_set::name(store, copy))?));
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
