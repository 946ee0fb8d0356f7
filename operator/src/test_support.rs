//! Where tests start: from what a user would write, through the real validation.

use crate::build::{Children, Desired, Surroundings, build};
use crate::validate::{self, ValidatedStore};

/// A document with this metadata beside the name, and this spec, which gets a size where it does not begin with one; both
/// are YAML of a map's inside.
pub(crate) fn document(metadata: &str, spec: &str) -> String {
    let storage = if spec.starts_with("storage:") { "" } else { "storage: {size: 1Gi}, " };
    format!(
        "{{apiVersion: logstore.dev/v1alpha1, kind: LogStore, metadata: {{name: events, {metadata}}}, \
         spec: {{{storage}{spec}}}}}"
    )
}

/// The LogStore `events` with this spec beside its size.
pub(crate) fn store(spec: &str) -> ValidatedStore {
    store_with("", spec)
}

/// The same, with this metadata beside the name.
pub(crate) fn store_with(metadata: &str, spec: &str) -> ValidatedStore {
    validate::text(&document(metadata, spec)).unwrap()
}

/// The children of a LogStore.
pub(crate) fn children(store: &ValidatedStore) -> Children<Desired> {
    build(store, &Surroundings { image: "logstore:1".to_owned() })
}
