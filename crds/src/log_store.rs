//! `LogStore` as a user writes it.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::namespace::{NamespaceDefaults, NamespaceEntry};
use crate::rules;
use crate::status::LogStoreStatus;

/// The port of every store's `/livez`, `/readyz` and `/metrics`.
pub const ADMIN_PORT: u16 = 8001;

/// The desired state of one LogStore.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "logstore.dev",
    version = "v1alpha1",
    kind = "LogStore",
    plural = "logstores",
    shortname = "lgs",
    category = "logstore",
    namespaced,
    status = "LogStoreStatus",
    derive = "PartialEq",
    doc = "A replicated, append-only log over HTTP.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "All stores are ready and all namespaces are as declared"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready, or why not"
    ),
    printcolumn(
        name = "Copies",
        type_ = "integer",
        json_path = ".spec.copies",
        description = "Stores that hold every record"
    ),
    printcolumn(
        name = "Pods",
        type_ = "integer",
        json_path = ".status.readyPods",
        description = "Stores that are ready"
    ),
    printcolumn(
        name = "Stopped",
        type_ = "boolean",
        json_path = ".spec.stopped",
        description = "No store shall run",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Size",
        type_ = "string",
        json_path = ".spec.storage.size",
        description = "Volume of each copy",
        priority = 1
    ),
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".status.image",
        description = "Image of the stores",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        description = "What is missing, and what to do",
        priority = 1
    ),
    validation = rules::name_fits_its_children()
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::one_store_has_a_service(),
    validation = rules::entries_keep_a_default_segment(),
    validation = rules::default_retention_keeps_an_entrys_segment(),
    validation = rules::entries_keep_until_a_default_segment_ends(),
    validation = rules::default_retention_keeps_until_an_entrys_segment_ends()
)]
pub struct LogStoreSpec {
    /// Stores that hold every record, at the same offsets. One copy orders by itself; with more, a writer on the
    /// client side does.
    #[serde(default = "default_copies")]
    #[schemars(with = "i32", range(min = 1, max = 5))]
    #[x_kube(validation = rules::copies_stay())]
    pub copies: u8,

    /// The image of the stores. What it leaves out is taken from the operator's own image, which holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Image")]
    pub image: Option<Image>,

    /// The volume of each copy.
    pub storage: Storage,

    /// What holds for namespaces that do not say it themselves.
    #[serde(default)]
    pub namespace_defaults: NamespaceDefaults,

    /// The namespaces that the stores shall have. Others, which users create over HTTP, are left alone.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub namespaces: Vec<NamespaceEntry>,

    /// Where the stores listen.
    #[serde(default)]
    pub listener: Listener,

    /// What the pods shall have beside what the operator gives them: metadata.labels, metadata.annotations, and a part of
    /// a pod's spec. Lists of named things are merged by name, so the container "store" can be given resources. What the
    /// operator sets itself is refused with its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub pod_template: Option<Value>,

    /// While it is true, nothing is changed: neither objects of the cluster nor namespaces in the stores. The status is
    /// kept up to date.
    #[serde(default)]
    pub paused: bool,

    /// While it is true, no store runs. Everything else is kept.
    #[serde(default)]
    pub stopped: bool,
}

/// The image of the stores.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Registry and name, for example registry.example/logstore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 255))]
    #[x_kube(validation = rules::repository_is_a_repository())]
    pub repository: Option<String>,

    /// Its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 128))]
    #[x_kube(validation = rules::tag_is_a_tag())]
    pub tag: Option<String>,

    /// Its digest, for example sha256:…; it counts before the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 135))]
    #[x_kube(validation = rules::digest_is_a_digest())]
    pub digest: Option<String>,

    /// When nodes pull it. Left out: as Kubernetes does, Always for the tag latest and IfNotPresent for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PullPolicy")]
    pub pull_policy: Option<PullPolicy>,

    /// Secrets to pull with, in the namespace of the LogStore.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pull_secrets: Vec<PullSecret>,
}

/// When nodes pull an image.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Before every start of a container.
    Always,
    /// Where it is not there.
    IfNotPresent,
    /// Never: it must be there.
    Never,
}

/// A Secret to pull an image with.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullSecret {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The volume of each copy.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::storage_class_stays())]
pub struct Storage {
    /// Its size, for example 10Gi.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::size_is_a_size(), validation = rules::size_grows())]
    pub size: String,

    /// The storage class of the volumes. Left out: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    pub storage_class_name: Option<String>,

    /// What becomes of the claims, and with them of the data, when the LogStore is deleted.
    #[serde(default)]
    pub when_deleted: WhenDeleted,
}

/// What becomes of the claims when the LogStore is deleted.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenDeleted {
    /// They stay. A LogStore of the same name takes them up again.
    #[default]
    Retain,
    /// They go.
    Delete,
}

/// Where the stores listen.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// TCP port of the HTTP API. 8001 is taken by health checks and metrics.
    #[serde(default = "default_port")]
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    #[x_kube(validation = rules::port_is_free())]
    pub port: u16,

    /// The Service for clients, which a LogStore with one copy has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ListenerService")]
    pub service: Option<ListenerService>,
}

impl Default for Listener {
    fn default() -> Self {
        Self { port: default_port(), service: None }
    }
}

/// The Service for clients.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerService {
    /// How it is reached.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,

    /// Annotations, for example for a load balancer.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,

    /// Labels beside those of the operator.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,

    /// Which families of IP addresses it has. Left out: as the cluster does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IpFamilyPolicy")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
}

/// How a Service is reached.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    /// From inside the cluster.
    #[default]
    ClusterIP,
    /// Also at a port of every node.
    NodePort,
    /// Also through a load balancer of the cluster's provider.
    LoadBalancer,
}

/// Which families of IP addresses a Service has.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpFamilyPolicy {
    /// One.
    SingleStack,
    /// Both where the cluster has both.
    PreferDualStack,
    /// Both.
    RequireDualStack,
}

/// An object whose fields are not in this schema: the definition stays small, and the operator checks them itself.
fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn default_copies() -> u8 {
    1
}

fn default_port() -> u16 {
    8000
}
