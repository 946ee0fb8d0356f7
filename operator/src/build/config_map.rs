//! The stores' configuration, as the file that they read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use logstore_api::config::{self, StoreConfig};

use super::child::Fingerprint;
use super::metadata::metadata;
use super::{Surroundings, stateful_set};
use crate::validate::ValidatedStore;

/// The file's name in the ConfigMap.
pub const FILE: &str = "store.json";

/// Name of the ConfigMap.
#[must_use]
pub fn name(store: &ValidatedStore) -> String {
    store.name().to_owned()
}

/// The operator's image when the pods' template was made, and what stands for that template. As long as a LogStore asks for
/// the same, its stores keep the image that they have, so a new operator restarts nothing. They stand here because a
/// StatefulSet is made anew when volumes grow.
pub const OPERATOR_IMAGE_ANNOTATION: &str = "logstore.dev/operator-image";
/// See [`OPERATOR_IMAGE_ANNOTATION`].
pub const TEMPLATE_ANNOTATION: &str = "logstore.dev/template";

/// The ConfigMap. Pods see a change within the kubelet's sync period, and stores read the file again by themselves.
#[must_use]
pub fn build(store: &ValidatedStore, surroundings: &Surroundings) -> ConfigMap {
    // The configuration has text keys and finite numbers: it always has a JSON form.
    let json = serde_json::to_string_pretty(&store_config(store)).unwrap_or_default();
    let annotations = BTreeMap::from([
        (OPERATOR_IMAGE_ANNOTATION.to_owned(), surroundings.image.clone()),
        (TEMPLATE_ANNOTATION.to_owned(), stateful_set::template_fingerprint(store, surroundings).to_string()),
    ]);
    ConfigMap {
        metadata: ObjectMeta { annotations: Some(annotations), ..metadata(store, name(store)) },
        data: Some(BTreeMap::from([(FILE.to_owned(), json)])),
        ..ConfigMap::default()
    }
}

/// What the stores are told. With several copies, records have writers of their own, and a first append to one copy
/// must not create a namespace that the others lack.
#[must_use]
pub fn store_config(store: &ValidatedStore) -> StoreConfig {
    let ordered = store.copies() > 1;
    StoreConfig {
        version: config::VERSION,
        ordered,
        auto_create: !ordered,
        namespace_defaults: store.namespace_defaults().clone(),
        ..StoreConfig::default()
    }
}

/// Stands for the part of the configuration that a store reads only when it starts. In the pod template, a change of it
/// replaces the pods; all else is read again while they run.
#[must_use]
pub fn restart_fingerprint(config: &StoreConfig) -> Fingerprint {
    let StoreConfig {
        version: _,
        ordered,
        auto_create: _,
        namespace_defaults: _,
        erase_within_seconds: _,
        retention: _,
        sync: _,
    } = config;
    Fingerprint::of(ordered)
}
