//! The namespaces that the stores shall have, each with the mark by which the operator knows its own.

use std::collections::BTreeMap;

use logstore_api::namespace::Ownership;
use logstore_api::{NamespaceConfig, NamespaceName};

use crate::validate::ValidatedStore;

/// Every namespace that one `LogStore` declares, at one revision of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredNamespaces {
    /// The declaring `LogStore`, as the stores keep it.
    pub owner: String,
    /// The revision of the declaration.
    pub revision: u64,
    /// What is declared.
    pub namespaces: BTreeMap<NamespaceName, DesiredNamespace>,
}

/// A namespace as every store shall have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredNamespace {
    /// Its configuration.
    pub config: NamespaceConfig,
    /// The mark beside it.
    pub ownership: Ownership,
}

/// The namespaces of a `LogStore`. `place` is where it stands: its Kubernetes namespace, or `local`.
#[must_use]
pub fn build(store: &ValidatedStore, place: &str, revision: u64) -> DesiredNamespaces {
    let owner = format!("{place}/{}", store.name());
    let desired = |(name, declared): (&NamespaceName, &crate::validate::DeclaredNamespace)| {
        let ownership = Ownership { owner: owner.clone(), revision, when_removed: declared.when_removed };
        (name.clone(), DesiredNamespace { config: declared.config.clone(), ownership })
    };
    DesiredNamespaces { namespaces: store.namespaces().iter().map(desired).collect(), owner, revision }
}
