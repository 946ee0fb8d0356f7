//! Names, labels and owner of the children.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;
use logstore_crds::LogStore;

use super::CopyName;
use crate::validate::ValidatedStore;

/// Names the `LogStore` that a child belongs to; the operator's caches hold only what has it.
pub const NAME_LABEL: &str = "logstore.dev/name";
/// Says who makes an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The operator.
pub const MANAGED_BY: &str = "logstore-operator";
/// Names the copy that a child belongs to.
pub(super) const COPY_LABEL: &str = "logstore.dev/copy";

/// Metadata of a child with this name.
pub(super) fn metadata(store: &ValidatedStore, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(store.namespace().to_owned()),
        labels: Some(labels(store)),
        owner_references: store.uid().map(|uid| vec![owner(store, uid)]),
        ..ObjectMeta::default()
    }
}

/// Labels of everything that belongs to the `LogStore`.
pub(super) fn labels(store: &ValidatedStore) -> BTreeMap<String, String> {
    let mut labels = store_selector(store);
    labels.insert("app.kubernetes.io/component".to_owned(), "store".to_owned());
    labels.insert("app.kubernetes.io/instance".to_owned(), store.name().to_owned());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
}

/// Labels of everything that belongs to one copy.
pub(super) fn copy_labels(store: &ValidatedStore, copy: CopyName) -> BTreeMap<String, String> {
    let mut labels = labels(store);
    labels.insert(COPY_LABEL.to_owned(), copy.to_string());
    labels
}

/// What selects all pods of the `LogStore`.
pub(super) fn store_selector(store: &ValidatedStore) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "logstore".to_owned()),
        (NAME_LABEL.to_owned(), store.name().to_owned()),
    ])
}

/// What selects the pods of one copy.
pub(super) fn copy_selector(store: &ValidatedStore, copy: CopyName) -> BTreeMap<String, String> {
    let mut selector = store_selector(store);
    selector.insert(COPY_LABEL.to_owned(), copy.to_string());
    selector
}

pub(super) fn label_selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

/// The reference by which a child goes when the `LogStore` goes.
pub(crate) fn owner(store: &ValidatedStore, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: LogStore::api_version(&()).into_owned(),
        kind: LogStore::kind(&()).into_owned(),
        name: store.name().to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
