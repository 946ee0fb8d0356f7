//! `LogStore` as a user writes it.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Size",
        type_ = "string",
        json_path = ".spec.storage.size",
        description = "Volume of each copy",
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
}

/// The volume of each copy.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Its size, for example 10Gi.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::size_is_a_size(), validation = rules::size_grows())]
    pub size: String,
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
}

impl Default for Listener {
    fn default() -> Self {
        Self { port: default_port() }
    }
}

fn default_copies() -> u8 {
    1
}

fn default_port() -> u16 {
    8000
}
