//! What the operator must be allowed to do: every call that it makes, and no other. The chart's roles are compared with this
//! table by `tests/permissions.rs`, and the end-to-end tests compare both with what an API server has logged.

/// A resource and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The group of its API; empty for the core.
    pub group: &'static str,
    /// Its plural, with the subresource where it is about one.
    pub resource: &'static str,
    /// Verbs as roles name them.
    pub verbs: &'static [&'static str],
}

/// A cache begins with a list; server-side apply of what is not there yet needs both create and patch.
const CHILD: &[&str] = &["get", "list", "watch", "create", "patch"];

/// In every Kubernetes namespace that is watched.
pub const WATCHED: &[Permission] = &[
    Permission { group: "logstore.dev", resource: "logstores", verbs: &["list", "watch"] },
    Permission { group: "logstore.dev", resource: "logstores/status", verbs: &["patch"] },
    // Children name it as the owner whose deletion they block.
    Permission { group: "logstore.dev", resource: "logstores/finalizers", verbs: &["update"] },
    Permission { group: "", resource: "serviceaccounts", verbs: CHILD },
    Permission { group: "", resource: "configmaps", verbs: CHILD },
    Permission { group: "", resource: "services", verbs: CHILD },
    Permission { group: "policy", resource: "poddisruptionbudgets", verbs: CHILD },
    // Deleted, with their pods left running, to be made anew for larger volumes.
    Permission {
        group: "apps",
        resource: "statefulsets",
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
    },
    // Read where one is missing: is there one that has lost its labels?
    Permission { group: "", resource: "pods", verbs: &["get", "list", "watch", "delete"] },
    Permission { group: "", resource: "pods/eviction", verbs: &["create"] },
    Permission { group: "", resource: "persistentvolumeclaims", verbs: &["get", "list", "watch", "patch"] },
];

/// In the Kubernetes namespace of the Lease.
pub const LEASE: &[Permission] =
    &[Permission { group: "coordination.k8s.io", resource: "leases", verbs: &["get", "create", "update"] }];

/// Of `crd apply`, in the whole cluster.
pub const DEFINITION: &[Permission] = &[Permission {
    group: "apiextensions.k8s.io",
    resource: "customresourcedefinitions",
    // Read until it is served.
    verbs: &["create", "patch", "get"],
}];
