//! What a user gives the pods beside what the operator does: decoded strictly, because the definition's schema lets
//! everything pass, and without the fields that the operator sets itself.

use std::collections::BTreeMap;

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use logstore_crds::log_store::ADMIN_PORT;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::finding::{Findings, shown};
use crate::build::stateful_set::{
    ADMIN_PORT_NAME, CONFIG_DIR, CONFIG_VOLUME, CONTAINER, DATA_DIR, DATA_VOLUME, HTTP_PORT_NAME,
};

const PATH: &str = "spec.podTemplate";
/// Labels and annotations that begin so have a meaning to the operator.
const OWN_PREFIX: &str = "logstore.dev/";
/// Labels by which Services and budgets find the pods.
const OWN_LABELS: [&str; 4] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
];
/// Of a pod's spec: what the operator sets, and what to do instead.
const OWN_FIELDS: [(&str, &str); 7] = [
    ("serviceAccountName", "each LogStore has an account of its own"),
    ("serviceAccount", "each LogStore has an account of its own"),
    ("automountServiceAccountToken", "stores never call the API server"),
    ("hostname", "it is the pod's name"),
    ("subdomain", "it is the headless Service"),
    ("restartPolicy", "stores are always started again"),
    ("ephemeralContainers", "kubectl debug adds them to a pod"),
];
/// Of the store's container: what the operator sets, and what to do instead.
const OWN_CONTAINER_FIELDS: [(&str, &str); 6] = [
    ("image", "use spec.image"),
    ("imagePullPolicy", "use spec.image.pullPolicy"),
    ("command", "stores are configured by the LogStore"),
    ("args", "stores are configured by the LogStore"),
    ("livenessProbe", "the store has its own"),
    ("readinessProbe", "the store has its own"),
];

/// What the pods shall have beside what the operator gives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodTemplate {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    spec: PodSpec,
}

impl PodTemplate {
    /// Puts it over the operator's own template. Lists are merged by name, as a strategic merge patch does.
    pub fn merge_into(&self, template: &mut PodTemplateSpec) {
        let Self { labels, annotations, spec } = self.clone();
        let metadata = template.metadata.get_or_insert_default();
        // The operator's own were refused here, so nothing of it is replaced.
        metadata.labels.get_or_insert_default().extend(labels);
        metadata.annotations.get_or_insert_default().extend(annotations);
        template.spec.get_or_insert_default().merge_from(spec);
    }
}

/// As it is written. A pod's spec is a part of one, so it has a type of its own.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Given {
    metadata: GivenMetadata,
    spec: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GivenMetadata {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// None where a finding says why.
pub(super) fn parse(template: Option<&Value>, port: u16, findings: &mut Findings) -> Option<PodTemplate> {
    let Some(template) = template else { return Some(PodTemplate::default()) };
    let before = findings.count();
    let Given { metadata: GivenMetadata { labels, annotations }, spec: given } = decode(PATH, template, findings)?;
    let spec = if given.is_null() { json!({}) } else { given };
    let decoded: PodSpec = decode(&format!("{PATH}.spec"), &spec, findings)?;
    refuse_unknown(template, &decoded, findings);
    refuse_own_metadata("labels", &labels, findings);
    refuse_own_metadata("annotations", &annotations, findings);
    refuse_own_fields(&spec, &[port, ADMIN_PORT], findings);
    (findings.count() == before).then_some(PodTemplate { labels, annotations, spec: decoded })
}

fn decode<T: for<'de> Deserialize<'de>>(path: &str, value: &Value, findings: &mut Findings) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(decoded) => Some(decoded),
        Err(error) => {
            let inner = error.path().to_string();
            let path = if inner == "." { path.to_owned() } else { format!("{path}.{inner}") };
            findings.add(path, format!("{}; write it as in a pod", error.into_inner()));
            None
        }
    }
}

/// A field that does not come back when it is written again was not understood.
fn refuse_unknown(template: &Value, decoded: &PodSpec, findings: &mut Findings) {
    let known = json!({
        "metadata": {"labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"]},
        "spec": decoded,
    });
    compare(PATH, template, &known, findings);
}

fn compare(path: &str, given: &Value, known: &Value, findings: &mut Findings) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
                let path = format!("{path}.{name}");
                match known.get(name) {
                    Some(known) => compare(&path, value, known, findings),
                    None => findings.add(path, format!("{} has no meaning there; leave the field out", shown(value))),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                compare(&format!("{path}[{index}]"), given, known, findings);
            }
        }
        _ => {}
    }
}

fn refuse_own_metadata(field: &str, given: &BTreeMap<String, String>, findings: &mut Findings) {
    for (key, value) in given {
        if key.starts_with(OWN_PREFIX) || (field == "labels" && OWN_LABELS.contains(&key.as_str())) {
            let message = format!("{value:?} stands in the place of the operator's own; choose another key");
            findings.add(format!("{PATH}.metadata.{field}.{key}"), message);
        }
    }
}

fn refuse_own_fields(spec: &Value, own_ports: &[u16], findings: &mut Findings) {
    refuse_fields(&format!("{PATH}.spec"), spec, &OWN_FIELDS, findings);
    for (path, volume) in named(spec, "volumes") {
        refuse_name(&path, volume, &[DATA_VOLUME, CONFIG_VOLUME], findings);
    }
    for (path, container) in named(spec, "initContainers") {
        refuse_name(&path, container, &[CONTAINER], findings);
    }
    for (path, container) in named(spec, "containers") {
        if container["name"] == CONTAINER {
            refuse_fields(&path, container, &OWN_CONTAINER_FIELDS, findings);
            refuse_own_places(&path, container, own_ports, findings);
        } else if container.get("image").is_none() {
            let message =
                format!("is missing; give one, or name the container {CONTAINER:?} to change the store's own");
            findings.add(format!("{path}.image"), message);
        }
    }
}

/// The entries of a list of named things, each with its path.
fn named<'a>(spec: &'a Value, list: &str) -> Vec<(String, &'a Value)> {
    let entries = spec[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let path = |index| format!("{PATH}.spec.{list}[{index}]");
    entries.iter().enumerate().map(|(index, entry)| (path(index), entry)).collect()
}

fn refuse_fields(path: &str, given: &Value, own: &[(&str, &str)], findings: &mut Findings) {
    let empty = Map::new();
    let given = given.as_object().unwrap_or(&empty);
    for (field, instead) in own {
        if let Some(value) = given.get(*field).filter(|value| !value.is_null()) {
            findings.add(
                format!("{path}.{field}"),
                format!("{} is set by the operator ({instead}); leave it out", shown(value)),
            );
        }
    }
}

fn refuse_name(path: &str, given: &Value, own: &[&str], findings: &mut Findings) {
    let name = given["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        findings.add(format!("{path}.name"), "is missing; give one");
    } else if own.contains(&name) {
        findings.add(format!("{path}.name"), format!("{name:?} is the operator's own; choose another name"));
    }
}

/// Ports and directories of the store's container that are the operator's.
fn refuse_own_places(path: &str, container: &Value, own_ports: &[u16], findings: &mut Findings) {
    let entries = |list: &str| container[list].as_array().cloned().unwrap_or_default();
    for (index, mount) in entries("volumeMounts").iter().enumerate() {
        if let Some(place) = mount["mountPath"].as_str().filter(|place| meets_own_place(place)) {
            let message =
                format!("{place:?} meets {DATA_DIR} or {CONFIG_DIR}, which are the store's; choose another directory");
            findings.add(format!("{path}.volumeMounts[{index}].mountPath"), message);
        }
    }
    for (index, port) in entries("ports").iter().enumerate() {
        if let Some(name) = port["name"].as_str().filter(|name| [HTTP_PORT_NAME, ADMIN_PORT_NAME].contains(name)) {
            let message = format!("{name:?} is the operator's own; choose another name");
            findings.add(format!("{path}.ports[{index}].name"), message);
        }
        // Ports are merged by number, so one of these would lose the name by which probes and Services find it.
        let number = port["containerPort"].as_u64();
        if let Some(number) = number.filter(|number| own_ports.iter().any(|own| u64::from(*own) == *number)) {
            let message = format!("{number} is the store's own port; choose another one");
            findings.add(format!("{path}.ports[{index}].containerPort"), message);
        }
    }
}

/// Whether a directory is one of the store's, or above or below one: a mount there would hide its records.
fn meets_own_place(place: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    let place = parts(place);
    let meets = |own: &str| place.iter().zip(parts(own)).all(|(part, own)| *part == own);
    place.iter().any(|part| part == "..") || meets(DATA_DIR) || meets(CONFIG_DIR)
}

#[cfg(test)]
mod tests {
    use crate::test_support;
    use crate::validate;

    fn refusals(template: &str) -> Vec<String> {
        let text = test_support::document("", &format!("podTemplate: {template}"));
        let refused = validate::text(&text).map(|_| ()).map_err(|invalid| invalid.findings().to_vec());
        refused.err().into_iter().flatten().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn what_a_pod_can_have_is_taken() {
        let taken = [
            "{}",
            "{metadata: {labels: {team: a}, annotations: {a.example/b: c}}}",
            "{spec: {nodeSelector: {disk: ssd}, tolerations: [{key: a, operator: Exists}], priorityClassName: high}}",
            "{spec: {containers: [{name: store, resources: {limits: {memory: 1Gi}}, env: [{name: A, value: b}]}]}}",
            "{spec: {containers: [{name: other, image: a}], volumes: [{name: scratch, emptyDir: {}}]}}",
            "{spec: null, metadata: null}",
        ];
        for template in taken {
            assert_eq!(refusals(template), Vec::<String>::new(), "{template}");
        }
    }

    #[test]
    fn what_the_operator_sets_is_refused_with_its_path() {
        let refused = [
            ("{spec: {serviceAccountName: a}}", "spec.podTemplate.spec.serviceAccountName: \"a\" is set by"),
            (
                "{spec: {containers: [{name: store, image: a}]}}",
                "spec.podTemplate.spec.containers[0].image: \"a\" is set by",
            ),
            (
                "{spec: {containers: [{name: b, image: a}, {name: store, args: [x]}]}}",
                "spec.podTemplate.spec.containers[1].args: [\"x\"]",
            ),
            ("{spec: {containers: [{name: other}]}}", "spec.podTemplate.spec.containers[0].image: is missing"),
            ("{spec: {volumes: [{name: data, emptyDir: {}}]}}", "spec.podTemplate.spec.volumes[0].name: \"data\""),
            (
                "{spec: {initContainers: [{name: store, image: a}]}}",
                "spec.podTemplate.spec.initContainers[0].name: \"store\"",
            ),
            (
                "{spec: {containers: [{name: store, volumeMounts: [{name: a, mountPath: /data}]}]}}",
                "spec.podTemplate.spec.containers[0].volumeMounts[0].mountPath: \"/data\"",
            ),
            (
                "{metadata: {labels: {logstore.dev/name: x}}}",
                "spec.podTemplate.metadata.labels.logstore.dev/name: \"x\"",
            ),
        ];
        for (template, start) in refused {
            let found = refusals(template);
            assert!(found.len() == 1 && found[0].starts_with(start), "{template}: {found:?}");
        }
    }

    #[test]
    fn what_no_pod_has_is_refused_with_its_path_and_value() {
        let refused = [
            ("{spec: {colour: blue}}", "spec.podTemplate.spec.colour: \"blue\" has no meaning"),
            ("{colour: blue}", "spec.podTemplate.colour: \"blue\" has no meaning"),
            ("{metadata: {name: a}}", "spec.podTemplate.metadata.name: \"a\" has no meaning"),
            (
                "{spec: {containers: [{name: store, resources: {limits: {memory: [1]}}}]}}",
                "spec.podTemplate.spec.containers[0].resources.limits.memory: invalid type: sequence",
            ),
            ("{spec: {nodeSelector: [a]}}", "spec.podTemplate.spec.nodeSelector: invalid type"),
            ("{spec: 3}", "spec.podTemplate.spec: invalid type"),
        ];
        for (template, start) in refused {
            let found = refusals(template);
            assert!(found.len() == 1 && found[0].starts_with(start), "{template}: {found:?}");
        }
    }
}
