//! The `LogStore` resource: its types, its rules and the manifest that a cluster is given.
//!
//! ```text
//! log_store    what a user writes: spec, printer columns
//! namespace    the entries of spec.namespaces, and the defaults they fall back to
//! status       what the operator answers
//! rules        what an API server keeps beside types and bounds
//! ```
//!
//! The types are the one source. Bounds, defaults and rules become the custom resource definition
//! `logstore.dev_logstores.yaml` beside this crate ([`MANIFEST`]); a test keeps the two equal. The types read an object
//! of any version of the definition: fields that they do not know are left alone, because an operator must not stop at
//! what a newer release has written. Who reads a file checks it against [`schema`] and refuses them there.

#![warn(missing_docs)]
#![allow(unreachable_pub, reason = "KubeSchema repeats each struct, with its `pub`, inside a function")]

pub mod log_store;
pub mod namespace;
pub mod status;

mod rules;

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};

pub use log_store::{
    Image, IpFamilyPolicy, Listener, ListenerService, LogStore, LogStoreSpec, PullPolicy, PullSecret, ServiceType,
    Storage, WhenDeleted,
};
pub use namespace::{Durability, NamespaceDefaults, NamespaceEntry, Quota, Retention, Rotation, State, WhenRemoved};
pub use status::{
    CopyEndpoint, Endpoints, FAILING_MAX, FailingNamespace, LogStoreStatus, NamespacesStatus, RETAINED_MAX,
};

/// The custom resource definition as YAML, as it is committed.
pub const MANIFEST: &str = include_str!("../logstore.dev_logstores.yaml");

/// The custom resource definition.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    <LogStore as kube::CustomResourceExt>::crd()
}

/// The schema of a `LogStore`: types, bounds and defaults, as an API server applies them. Made once.
#[must_use]
pub fn schema() -> &'static JSONSchemaProps {
    static SCHEMA: LazyLock<JSONSchemaProps> = LazyLock::new(|| {
        let schema = definition().spec.versions.into_iter().find_map(|version| version.schema?.open_api_v3_schema);
        schema.expect("the definition has one version, with a schema")
    });
    &SCHEMA
}
