//! Declared namespaces with what they fall back to filled in, each checked as a whole.

use std::collections::BTreeMap;

use logstore_api::namespace::{Quota, Retention, Rotation, WhenRemoved};
use logstore_api::{Durability, NamespaceConfig, NamespaceName, NamespaceState};
use logstore_crds::{NamespaceDefaults, NamespaceEntry};

use super::DeclaredNamespace;
use super::finding::Findings;

/// Where the defaults stand.
const DEFAULTS: &str = "spec.namespaceDefaults";

/// What a namespace gets that says nothing itself.
pub(super) fn defaults(defaults: &NamespaceDefaults, findings: &mut Findings) -> NamespaceConfig {
    let NamespaceDefaults { rotation, retention, durability, quota } = defaults;
    Pair { rotation: (rotation, DEFAULTS), retention: (retention, DEFAULTS) }.check(findings);
    NamespaceConfig {
        durability: durability_of(*durability),
        rotation: rotation_of(rotation),
        retention: retention_of(retention),
        quota: quota_of(quota),
        ..NamespaceConfig::default()
    }
}

/// The entries of the spec. An entry with a name that cannot be had is left out, with a finding.
pub(super) fn declared(
    defaults: &NamespaceDefaults,
    entries: &[NamespaceEntry],
    findings: &mut Findings,
) -> BTreeMap<NamespaceName, DeclaredNamespace> {
    let mut declared = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("spec.namespaces[{index}]");
        check_indices(&entry.indices, &path, findings);
        let namespace = resolve(defaults, entry, &path, findings);
        match NamespaceName::parse(&entry.name) {
            Ok(name) => drop(declared.insert(name, namespace)),
            Err(invalid) => findings.add(format!("{path}.name"), invalid.to_string()),
        }
    }
    declared
}

fn check_indices(indices: &[String], path: &str, findings: &mut Findings) {
    for (number, name) in indices.iter().enumerate() {
        let path = format!("{path}.indices[{number}]");
        if indices[..number].contains(name) {
            findings.add(path, format!("{name:?} is named twice; leave the second one out"));
        } else if !logstore_api::namespace::is_index_name(name) {
            let message =
                format!("{name:?} is no name of an index; start with a letter, and give only a-z, 0-9, '-' and '_'");
            findings.add(path, message);
        }
    }
}

/// What has changed in a namespace that cannot.
pub(super) fn change(
    name: &NamespaceName,
    before: &DeclaredNamespace,
    after: &DeclaredNamespace,
    findings: &mut Findings,
) {
    if let Err(invalid) = after.config.check_follows(&before.config) {
        let path = format!("spec.namespaces[name={:?}].{}", name.as_str(), invalid.field);
        let message = format!(
            "is {}, but the namespace has {}: it cannot be changed so; put the old value back",
            invalid.got, invalid.expected
        );
        findings.add(path, message);
    }
}

/// An entry's rotation and retention replace the defaults' as a whole, as they do in the stores' own API.
fn resolve(
    defaults: &NamespaceDefaults,
    entry: &NamespaceEntry,
    path: &str,
    findings: &mut Findings,
) -> DeclaredNamespace {
    let NamespaceEntry { name: _, partitions, indices, state, when_removed, rotation, retention, durability, quota } =
        entry;
    let pair = Pair {
        rotation: rotation.as_ref().map_or((&defaults.rotation, DEFAULTS), |own| (own, path)),
        retention: retention.as_ref().map_or((&defaults.retention, DEFAULTS), |own| (own, path)),
    };
    if rotation.is_some() || retention.is_some() {
        pair.check(findings);
    }
    let config = NamespaceConfig {
        partitions: *partitions,
        indices: indices.clone(),
        state: state_of(*state),
        durability: durability_of(durability.unwrap_or(defaults.durability)),
        rotation: rotation_of(pair.rotation.0),
        retention: retention_of(pair.retention.0),
        quota: quota_of(quota.as_ref().unwrap_or(&defaults.quota)),
    };
    DeclaredNamespace { config, when_removed: when_removed_of(*when_removed) }
}

/// The rotation and the retention that meet in one namespace, each with the path of where it was said.
struct Pair<'a> {
    rotation: (&'a logstore_crds::Rotation, &'a str),
    retention: (&'a logstore_crds::Retention, &'a str),
}

impl Pair<'_> {
    /// Whole segments go, so a retention below a segment's size or age could not be kept.
    fn check(&self, findings: &mut Findings) {
        let (rotation, retention) = (self.rotation.0, self.retention.0);
        self.compare("maxBytes", retention.max_bytes, "maxSegmentBytes", Some(rotation.max_segment_bytes), findings);
        self.compare(
            "maxAgeSeconds",
            retention.max_age_seconds,
            "maxSegmentAgeSeconds",
            rotation.max_segment_age_seconds,
            findings,
        );
    }

    fn compare(
        &self,
        kept_field: &str,
        kept: Option<u64>,
        segment_field: &str,
        segment: Option<u64>,
        findings: &mut Findings,
    ) {
        let (Some(kept), Some(segment)) = (kept, segment) else { return };
        if kept >= segment {
            return;
        }
        let kept_path = format!("{}.retention.{kept_field}", self.retention.1);
        let segment_path = format!("{}.rotation.{segment_field}", self.rotation.1);
        if self.retention.1 == DEFAULTS && self.rotation.1 != DEFAULTS {
            let message = format!(
                "{segment} is more than {kept_path} ({kept}); lower it, or give the namespace a retention of its own"
            );
            findings.add(segment_path, message);
        } else {
            let message = format!(
                "{kept} is less than {segment_path} ({segment}); raise it, or end segments sooner: whole segments go"
            );
            findings.add(kept_path, message);
        }
    }
}

fn rotation_of(rotation: &logstore_crds::Rotation) -> Rotation {
    let logstore_crds::Rotation { max_segment_bytes, max_segment_age_seconds } = rotation;
    Rotation { max_segment_bytes: Some(*max_segment_bytes), max_segment_age_seconds: *max_segment_age_seconds }
}

fn retention_of(retention: &logstore_crds::Retention) -> Retention {
    let logstore_crds::Retention { max_age_seconds, max_bytes } = retention;
    Retention { max_age_seconds: *max_age_seconds, max_bytes: *max_bytes }
}

fn quota_of(quota: &logstore_crds::Quota) -> Quota {
    let logstore_crds::Quota { max_bytes, max_record_bytes, max_append_bytes_per_second } = quota;
    Quota {
        max_bytes: *max_bytes,
        max_record_bytes: *max_record_bytes,
        max_append_bytes_per_second: *max_append_bytes_per_second,
    }
}

fn durability_of(durability: logstore_crds::Durability) -> Durability {
    match durability {
        logstore_crds::Durability::Synced => Durability::Synced,
        logstore_crds::Durability::Written => Durability::Written,
    }
}

fn state_of(state: logstore_crds::State) -> NamespaceState {
    match state {
        logstore_crds::State::Active => NamespaceState::Active,
        logstore_crds::State::ReadOnly => NamespaceState::ReadOnly,
        logstore_crds::State::Closed => NamespaceState::Closed,
    }
}

fn when_removed_of(when_removed: logstore_crds::WhenRemoved) -> WhenRemoved {
    match when_removed {
        logstore_crds::WhenRemoved::Retain => WhenRemoved::Retain,
        logstore_crds::WhenRemoved::Delete => WhenRemoved::Delete,
    }
}
