//! What a drain must respect: one copy at a time.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{label_selector, metadata, store_selector};
use crate::validate::ValidatedStore;

/// The budget over the pods of all copies. One copy gets none: it would block every drain, or allow what it stands
/// against.
#[must_use]
pub fn build(store: &ValidatedStore) -> Option<PodDisruptionBudget> {
    (store.copies() > 1).then(|| PodDisruptionBudget {
        metadata: metadata(store, store.name().to_owned()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector(store_selector(store))),
            // A pod that is not ready serves nobody; keeping it would only block the drain.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
