//! Every child of a `LogStore` as it should be. One file per child, one public function in each.
//!
//! The names of the children of `events`:
//!
//! ```text
//! ServiceAccount, ConfigMap, PodDisruptionBudget   events
//! Service, headless                                events-headless
//! Service for clients                              events             one copy only
//! StatefulSet of each copy                         events-a, events-b, …
//! ```

pub mod copy;

pub mod child;

mod metadata;

pub mod config_map;
pub mod disruption_budget;
pub mod namespaces;
pub mod service;
pub mod service_account;
pub mod stateful_set;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::validate::ValidatedStore;

pub use self::child::{Child, ChildId, Fingerprint};
pub use self::copy::CopyName;
pub(crate) use self::metadata::owner;
pub use self::metadata::{MANAGED_BY, MANAGED_BY_LABEL, NAME_LABEL};

/// Of children: as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {}

/// Of children: as they were carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {}

/// All children of one `LogStore`. Pods are not among them: the StatefulSets make those.
#[derive(Clone, Debug, PartialEq)]
pub struct Children<Phase> {
    /// Identity of the pods; it may do nothing.
    pub service_account: ServiceAccount,
    /// The stores' configuration.
    pub config_map: ConfigMap,
    /// Gives each pod a name of its own.
    pub headless_service: Service,
    /// Where clients go, where one store is all there is.
    pub client_service: Option<Service>,
    /// Keeps a drain from taking two copies at once.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// One for each copy.
    pub stateful_sets: BTreeMap<CopyName, StatefulSet>,
    phase: PhantomData<Phase>,
}

/// What a build needs beside the `LogStore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The operator's own image, which holds `logstore`.
    pub image: String,
}

/// All children as they should be.
#[must_use]
pub fn build(store: &ValidatedStore, surroundings: &Surroundings) -> Children<Desired> {
    let stateful_set = |copy| (copy, stateful_set::build(store, copy, surroundings));
    Children {
        service_account: service_account::build(store),
        config_map: config_map::build(store, surroundings),
        headless_service: service::headless(store),
        client_service: service::client(store),
        disruption_budget: disruption_budget::build(store),
        stateful_sets: CopyName::first(store.copies()).map(stateful_set).collect(),
        phase: PhantomData,
    }
}

impl<Phase> Children<Phase> {
    /// The children in the order in which they are applied: what others refer to comes first, so that a pod finds its
    /// account, its configuration and its name when it starts.
    #[must_use]
    pub fn in_apply_order(&self) -> Vec<Child<'_>> {
        let Self {
            service_account,
            config_map,
            headless_service,
            client_service,
            disruption_budget,
            stateful_sets,
            phase: _,
        } = self;
        let mut children = vec![
            Child::ServiceAccount(service_account),
            Child::ConfigMap(config_map),
            Child::Service(headless_service),
        ];
        children.extend(client_service.iter().map(Child::Service));
        children.extend(disruption_budget.iter().map(Child::PodDisruptionBudget));
        children.extend(stateful_sets.iter().map(|(copy, stateful_set)| Child::StatefulSet(*copy, stateful_set)));
        children
    }
}

impl Children<Desired> {
    /// Says that all of them were carried out: only who applies them may.
    #[must_use]
    pub(crate) fn into_applied(self) -> Children<Applied> {
        let Self {
            service_account,
            config_map,
            headless_service,
            client_service,
            disruption_budget,
            stateful_sets,
            phase: _,
        } = self;
        Children {
            service_account,
            config_map,
            headless_service,
            client_service,
            disruption_budget,
            stateful_sets,
            phase: PhantomData,
        }
    }
}

#[cfg(test)]
mod tests;
