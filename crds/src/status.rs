//! What the operator answers in `status`. No number in it changes by itself: those are metrics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Failing namespaces that are listed; `desired` and `synced` tell how many there are.
pub const FAILING_MAX: usize = 32;
/// Retained namespaces that are listed; `retainedCount` tells how many there are.
pub const RETAINED_MAX: usize = 256;

/// The observed state of one LogStore.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogStoreStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,

    /// Ready, Reconciling, Stalled, NamespacesSynced, Paused.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Copies of every record.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub copies: u32,

    /// Stores that shall run.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub pods: u32,

    /// Stores that are ready.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub ready_pods: u32,

    /// The image of the stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024))]
    pub image: Option<String>,

    /// Where to reach it.
    #[serde(default)]
    pub endpoints: Endpoints,

    /// How far the namespaces are as declared.
    #[serde(default)]
    pub namespaces: NamespacesStatus,
}

/// Where to reach a LogStore.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Where clients go: the Service of a LogStore with one copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 512))]
    pub http: Option<String>,

    /// The store of each copy.
    #[serde(default)]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub copies: Vec<CopyEndpoint>,
}

/// The store of one copy.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyEndpoint {
    /// The copy: a, b, …
    #[schemars(length(max = 1))]
    pub name: String,
    /// Its HTTP API.
    #[schemars(length(max = 512))]
    pub url: String,
}

/// How far the namespaces are as declared.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespacesStatus {
    /// Namespaces in the spec.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub desired: u32,

    /// Those that every copy has confirmed.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub synced: u32,

    /// Those that cannot be as declared, and why; at most 32 are listed.
    #[serde(default)]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub failing: Vec<FailingNamespace>,

    /// Namespaces whose entry went away with whenRemoved: Retain. They are closed and kept; at most 256 are listed.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub retained: Vec<String>,

    /// How many are retained.
    #[serde(default)]
    #[schemars(with = "i32")]
    pub retained_count: u32,
}

/// A namespace that cannot be as declared.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingNamespace {
    /// Its name.
    #[schemars(length(max = 249))]
    pub name: String,
    /// What stands against it, and what to do.
    #[schemars(length(max = 1024))]
    pub message: String,
}
