//! Whose an object is that has the name of a child: a pure decision, so that nothing of others is ever changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use logstore_crds::LogStore;

use crate::build::{MANAGED_BY, MANAGED_BY_LABEL, NAME_LABEL};
use crate::validate::ValidatedStore;

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// This `LogStore`'s.
    Ours,
    /// It goes away by itself; why.
    Leaving(&'static str),
    /// Somebody else's; who, as far as it says.
    Foreign(String),
}

/// Whose a child is.
#[must_use]
pub fn of_child(metadata: &ObjectMeta, store: &ValidatedStore) -> Belonging {
    if metadata.deletion_timestamp.is_some() {
        return Belonging::Leaving("it is being deleted");
    }
    match controller(metadata) {
        Some(owner) if Some(owner.uid.as_str()) == store.uid() => Belonging::Ours,
        Some(owner) if is_log_store(owner) && owner.name == store.name() => {
            Belonging::Leaving("it goes with an earlier LogStore of this name")
        }
        Some(owner) => Belonging::Foreign(format!("belongs to {} {}", owner.kind, owner.name)),
        // Whoever deletes a LogStore and orphans its children may take them up again.
        None if has_our_labels(metadata, store) => Belonging::Ours,
        None => Belonging::Foreign("was not made by this operator".to_owned()),
    }
}

/// Whose a claim is. It has no owner as long as it shall stay; its labels tell.
#[must_use]
pub fn of_claim(metadata: &ObjectMeta, store: &ValidatedStore) -> Belonging {
    if metadata.deletion_timestamp.is_some() {
        return Belonging::Leaving("it is being deleted");
    }
    if has_our_labels(metadata, store) {
        return Belonging::Ours;
    }
    Belonging::Foreign(format!(
        "does not carry the labels {MANAGED_BY_LABEL}={MANAGED_BY} and {NAME_LABEL}={}",
        store.name()
    ))
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn is_log_store(owner: &OwnerReference) -> bool {
    owner.kind == LogStore::kind(&()) && owner.api_version == LogStore::api_version(&())
}

/// Whether an object has the labels of this `LogStore`'s children.
#[must_use]
pub fn has_our_labels(metadata: &ObjectMeta, store: &ValidatedStore) -> bool {
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    label(MANAGED_BY_LABEL) == Some(MANAGED_BY) && label(NAME_LABEL) == Some(store.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support;

    fn belonging(metadata: &str) -> Belonging {
        let metadata: ObjectMeta = serde_saphyr::from_str(metadata).unwrap();
        of_child(&metadata, &test_support::store_with("uid: now", ""))
    }

    fn owned(kind: &str, name: &str, uid: &str) -> String {
        format!(
            "{{ownerReferences: [{{apiVersion: logstore.dev/v1alpha1, kind: {kind}, name: {name}, uid: {uid}, controller: true}}]}}"
        )
    }

    #[test]
    fn only_what_this_very_object_owns_is_ours() {
        assert_eq!(belonging(&owned("LogStore", "events", "now")), Belonging::Ours);
        assert!(matches!(belonging(&owned("LogStore", "events", "before")), Belonging::Leaving(_)));
        let foreign = |metadata: &str| match belonging(metadata) {
            Belonging::Foreign(who) => who,
            other => panic!("{metadata}: {other:?}"),
        };
        assert_eq!(foreign(&owned("LogStore", "other", "x")), "belongs to LogStore other");
        assert_eq!(foreign(&owned("Chart", "events", "x")), "belongs to Chart events");
        assert_eq!(foreign("{}"), "was not made by this operator");
        assert_eq!(
            foreign("{labels: {app.kubernetes.io/managed-by: logstore-operator, logstore.dev/name: other}}"),
            "was not made by this operator"
        );
    }

    #[test]
    fn children_that_were_orphaned_are_taken_up_again() {
        let labels = "{labels: {app.kubernetes.io/managed-by: logstore-operator, logstore.dev/name: events}}";
        assert_eq!(belonging(labels), Belonging::Ours);
    }
}
