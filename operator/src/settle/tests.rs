//! What is asked of the copies, first case by case, then on a model of the stores that fails at random.

mod cases;
mod model;

use std::collections::BTreeMap;

use logstore_api::{NamespaceConfig, NamespaceName, NamespaceState};
use uuid::Uuid;

use super::decide::{Birth, Decision, decide};
use super::view::{Description, Seen, View};
use crate::build::CopyName;
use crate::build::namespaces::{self, DesiredNamespaces};
use crate::test_support;

/// What a LogStore with these namespaces declares.
fn desired(namespaces: &str, revision: u64) -> DesiredNamespaces {
    let store = test_support::store(&format!("copies: 2, namespaces: {namespaces}"));
    namespaces::build(&store, "local", revision)
}

fn name(text: &str) -> NamespaceName {
    NamespaceName::parse(text).unwrap()
}

fn copy(index: usize) -> CopyName {
    CopyName::first(5).nth(index).unwrap()
}
