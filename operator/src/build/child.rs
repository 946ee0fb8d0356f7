//! One child, of whatever kind: which it is, and whether it differs from what was applied.

use std::fmt;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::ser::Serializer;
use xxhash_rust::xxh3::xxh3_64;

use super::CopyName;

/// A child of a `LogStore`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Child<'a> {
    /// Identity of the pods.
    ServiceAccount(&'a ServiceAccount),
    /// The stores' configuration.
    ConfigMap(&'a ConfigMap),
    /// A name in the network.
    Service(&'a Service),
    /// What drains must respect.
    PodDisruptionBudget(&'a PodDisruptionBudget),
    /// The store of a copy.
    StatefulSet(CopyName, &'a StatefulSet),
}

/// Which child: unique among the children of one `LogStore`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChildId {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// A short stand-in for a whole object. Comparing objects with what an API server gives back would never end, because
/// it fills in defaults; comparing what was asked for with what was asked for before does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of a value's JSON.
    pub fn of(value: &impl Serialize) -> Self {
        // Kubernetes objects have text keys and finite numbers: they always have a JSON form.
        Self(xxh3_64(&serde_json::to_vec(value).unwrap_or_default()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Child<'_> {
    /// Which child it is.
    #[must_use]
    pub fn id(&self) -> ChildId {
        let (kind, metadata) = self.described();
        ChildId { kind, name: metadata.name.clone().unwrap_or_default() }
    }

    /// The copy that it is of; none where it is of all.
    #[must_use]
    pub fn copy(&self) -> Option<CopyName> {
        match self {
            Self::StatefulSet(copy, _) => Some(*copy),
            Self::ServiceAccount(_) | Self::ConfigMap(_) | Self::Service(_) | Self::PodDisruptionBudget(_) => None,
        }
    }

    /// Stands for everything in it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    fn described(&self) -> (&'static str, &ObjectMeta) {
        match self {
            Self::ServiceAccount(child) => (ServiceAccount::KIND, &child.metadata),
            Self::ConfigMap(child) => (ConfigMap::KIND, &child.metadata),
            Self::Service(child) => (Service::KIND, &child.metadata),
            Self::PodDisruptionBudget(child) => (PodDisruptionBudget::KIND, &child.metadata),
            Self::StatefulSet(_, child) => (StatefulSet::KIND, &child.metadata),
        }
    }
}

/// As the object itself, with `apiVersion` and `kind`.
impl Serialize for Child<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::ServiceAccount(child) => child.serialize(serializer),
            Self::ConfigMap(child) => child.serialize(serializer),
            Self::Service(child) => child.serialize(serializer),
            Self::PodDisruptionBudget(child) => child.serialize(serializer),
            Self::StatefulSet(_, child) => child.serialize(serializer),
        }
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name } = self;
        write!(f, "{kind} {name}")
    }
}
