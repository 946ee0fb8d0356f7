//! What is read, what is filled in, and what is said about what cannot be followed.

use logstore_api::limits::SEGMENT_BYTES_DEFAULT;
use logstore_api::namespace::{Retention, Rotation};
use logstore_api::{Durability, NamespaceState};

use super::*;

fn findings(text: &str) -> Vec<String> {
    super::text(text).expect_err("it was accepted").findings().iter().map(Finding::to_string).collect()
}

/// A document with these lines under `spec`.
fn with_spec(lines: &str) -> String {
    let spec: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: logstore.dev/v1alpha1\nkind: LogStore\nmetadata: {{name: events}}\nspec:\n{spec}")
}

fn store(spec: &str) -> ValidatedStore {
    text(&with_spec(spec)).unwrap()
}

#[test]
fn defaults_are_filled_in() {
    let store = store("storage: {size: 1Gi}\nnamespaces: [{name: orders}]");
    assert_eq!((store.name(), store.namespace(), store.uid()), ("events", "default", None));
    assert_eq!((store.copies(), store.port()), (1, 8000));
    let declared = &store.namespaces()["orders"];
    assert_eq!(declared.when_removed, WhenRemoved::Retain);
    assert_eq!(
        declared.config,
        NamespaceConfig {
            partitions: 1,
            indices: Vec::new(),
            quota: logstore_api::namespace::Quota::default(),
            state: NamespaceState::Active,
            durability: Durability::Synced,
            rotation: Rotation { max_segment_bytes: Some(SEGMENT_BYTES_DEFAULT), max_segment_age_seconds: None },
            retention: Retention::default(),
        }
    );
}

#[test]
fn an_entry_falls_back_to_the_defaults_as_a_whole() {
    let store = store(
        "storage: {size: 1Gi}
namespaceDefaults:
  durability: Written
  rotation: {maxSegmentBytes: 65536, maxSegmentAgeSeconds: 60}
  retention: {maxAgeSeconds: 3600}
namespaces:
- name: silent
- name: own
  durability: Synced
  rotation: {maxSegmentAgeSeconds: 5}
  retention: {}",
    );
    let silent = &store.namespaces()["silent"].config;
    assert_eq!(silent.durability, Durability::Written);
    assert_eq!(silent.rotation, Rotation { max_segment_bytes: Some(65536), max_segment_age_seconds: Some(60) });
    assert_eq!(silent.retention, Retention { max_age_seconds: Some(3600), max_bytes: None });
    let own = &store.namespaces()["own"].config;
    assert_eq!(own.durability, Durability::Synced);
    let rotation = Rotation { max_segment_bytes: Some(SEGMENT_BYTES_DEFAULT), max_segment_age_seconds: Some(5) };
    assert_eq!((&own.rotation, &own.retention), (&rotation, &Retention::default()));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "
apiVersion: logstore.dev/v2
kind: LogStore
metadata: {name: Events, colour: blue}
speck: {}
spec:
  copies: 9
  replicas: 2
  storage: {}
  listener: {port: 0}
  namespaces:
  - {name: a, state: Paused, whenRemoved: Drop}
  - {name: a}
  - {retention: {maxAgeSeconds: soon, onExpiry: Delete}}
";
    assert_eq!(
        findings(text),
        [
            r#"apiVersion: "logstore.dev/v2" is not known here; give logstore.dev/v1alpha1"#,
            "speck: there is no such field; there are spec, status",
            "spec.replicas: there is no such field; there are copies, image, listener, namespaceDefaults, namespaces, paused, podTemplate, stopped, storage",
            "spec.copies: 9 is out of range; give 1 to 5",
            "spec.listener.port: 0 is out of range; give 1 to 65535",
            r#"spec.namespaces[0].state: "Paused" is not known; give one of Active, ReadOnly, Closed"#,
            r#"spec.namespaces[0].whenRemoved: "Drop" is not known; give one of Retain, Delete"#,
            "spec.namespaces[2].name: is missing; give text (1 to 249 bytes of UTF-8 without control characters; no part between slashes is \".\" or \"..\")",
            "spec.namespaces[2].retention.onExpiry: there is no such field; there are maxAgeSeconds, maxBytes",
            "spec.namespaces[2].retention.maxAgeSeconds: \"soon\" is not a whole number; give a whole number (Records older than this, in seconds, may go. Left out: none by age)",
            r#"spec.namespaces[1].name: "a" is taken by spec.namespaces[0]; give each entry its own name"#,
            "spec.storage.size: is missing; give text (Its size, for example 10Gi)",
            "metadata.colour: there is no such field; leave it out",
            r#"metadata.name: "Events" cannot be a name; give 1 to 40 characters a-z, 0-9 and '-', a letter first, and no '-' at the end"#,
        ]
    );
}

#[test]
fn rules_name_both_fields_and_both_values() {
    let spec = "storage: {size: 10}
listener: {port: 8001}
namespaceDefaults: {rotation: {maxSegmentAgeSeconds: 60}, retention: {maxBytes: 300000000}}
namespaces:
- {name: a/../b}
- {name: b, retention: {maxAgeSeconds: 5}}
- {name: c, rotation: {maxSegmentBytes: 400000000}}
- {name: d, rotation: {maxSegmentBytes: 65537}, retention: {maxBytes: 65536}}";
    assert_eq!(
        findings(&with_spec(&spec.replace("size: 10}", "size: \"10\"}"))),
        [
            "spec.listener.port: 8001 serves health checks and metrics; choose another port, for example 8000",
            r#"spec.storage.size: "10" is no size; give a quantity from 1Mi to 1Ei, for example 10Gi: is the unit missing?"#,
            r#"spec.namespaces[0].name: the namespace name "a/../b" has a part '.' or '..' between slashes, which HTTP tools rewrite; choose another name"#,
            "spec.namespaces[1].retention.maxAgeSeconds: 5 is less than spec.namespaceDefaults.rotation.maxSegmentAgeSeconds (60); raise it, or end segments sooner: whole segments go",
            "spec.namespaces[2].rotation.maxSegmentBytes: 400000000 is more than spec.namespaceDefaults.retention.maxBytes (300000000); lower it, or give the namespace a retention of its own",
            "spec.namespaces[3].retention.maxBytes: 65536 is less than spec.namespaces[3].rotation.maxSegmentBytes (65537); raise it, or end segments sooner: whole segments go",
        ]
    );
    assert_eq!(
        findings(&with_spec(spec))[0],
        "spec.storage.size: 10 is not text; give text (Its size, for example 10Gi)",
        "a number is no quantity, as for an API server"
    );
}

#[test]
fn bounds_of_the_schema_are_kept_here_too() {
    let entries: String = (0..257).map(|number| format!("- {{name: n{number}}}\n")).collect();
    let said = findings(&with_spec(&format!("storage: {{size: 1Gi}}\nnamespaces:\n{entries}")));
    assert_eq!(said, ["spec.namespaces: 257 entries are too many; give at most 256"]);
    let said = findings(&with_spec(&format!("storage: {{size: 1Gi}}\nnamespaces: [{{name: {}}}]", "n".repeat(250))));
    assert!(said[0].starts_with("spec.namespaces[0].name: \"nnn"), "{said:?}");
    assert!(said[0].ends_with("… has 250 characters; give at most 249"), "{said:?}");
    let said = findings(&with_spec("storage: {size: 1Gi}\nnamespaces: [{name: ''}]"));
    assert!(said[0].contains("has 0 characters; give at least 1"), "{said:?}");
    let said =
        findings(&with_spec("storage: {size: 1Gi}\nnamespaceDefaults: {retention: {maxBytes: 18446744073709551615}}"));
    assert_eq!(said.len(), 1, "{said:?}");
}

/// While a cluster is upgraded, the definition is newer than the operator for a while: its defaults stand in every object.
#[test]
fn what_a_newer_definition_has_put_into_an_object_is_left_alone() {
    let text = crate::test_support::document("", "colour: blue, listener: {port: 9000, shade: dark}");
    let document = crate::yaml::document(&text).unwrap();
    assert_eq!(stored(document.clone()).unwrap().port(), 9000);
    assert_eq!(object(document).unwrap_err().findings().len(), 2, "in a file it is a mistake");
    let wrong = crate::yaml::document(&crate::test_support::document("", "colour: blue, copies: 9")).unwrap();
    assert_eq!(stored(wrong).unwrap_err().findings().len(), 1, "what is known is checked all the same");
}

#[test]
fn a_null_is_a_field_left_out() {
    let store =
        store("storage: {size: 1Gi}\ncopies: null\nnamespaces: [{name: orders, rotation: null, durability: null}]");
    assert_eq!(store.copies(), 1);
    assert_eq!(store.namespaces()["orders"].config.durability, Durability::Synced);
}

#[test]
fn what_is_no_log_store_is_said_so() {
    assert!(findings("a: [")[0].starts_with("failed to parse YAML: "));
    assert_eq!(findings(""), ["there are 0 documents; give exactly one"]);
    assert_eq!(
        findings("just text"),
        ["\"just text\" is not a LogStore; give an object with apiVersion, kind, metadata and spec"]
    );
    assert_eq!(
        findings("{}"),
        [
            "apiVersion: is missing; give logstore.dev/v1alpha1",
            "kind: is missing; give LogStore",
            "spec: is missing; give an object (The desired state of one LogStore)",
            "metadata.name: \"\" cannot be a name; give 1 to 40 characters a-z, 0-9 and '-', a letter first, and no '-' at the end",
        ]
    );
}

#[test]
fn an_object_from_an_api_server_is_accepted_with_its_status() {
    let text = "
apiVersion: logstore.dev/v1alpha1
kind: LogStore
metadata:
  name: events
  namespace: prod
  uid: 5d1f
  generation: 7
  resourceVersion: '12'
  creationTimestamp: '2026-01-02T03:04:05Z'
  managedFields: [{manager: kubectl, operation: Apply}]
spec: {storage: {size: 1Gi}}
status: {conditions: [], anything: {goes: here}}
";
    let store = super::text(text).unwrap();
    assert_eq!((store.namespace(), store.uid()), ("prod", Some("5d1f")));
}

/// A LogStore that is deleted and applied again starts at generation 1, while the stores remember the old one's marks.
#[test]
fn a_revision_grows_over_lives_of_the_name() {
    let revision = |created: &str, generation: u64| {
        let text = with_spec("storage: {size: 1Gi}");
        let metadata = format!("{{name: events, generation: {generation}, creationTimestamp: '{created}'}}");
        super::text(&text.replace("{name: events}", &metadata)).unwrap().revision()
    };
    let old = revision("2026-01-02T03:04:05Z", 41);
    assert!(revision("2026-01-02T03:04:05Z", 42) > old);
    assert!(revision("2026-01-02T03:04:06Z", 1) > old);
    assert!(old < 1 << 53, "other JSON readers round larger numbers");
}

#[test]
fn changes_that_cannot_be_followed_name_both_values() {
    let before = store("storage: {size: 1Gi}\ncopies: 2");
    let after = text(&with_spec("storage: {size: 1G}\ncopies: 3").replace("name: events", "name: other")).unwrap();
    let said: Vec<String> = change(&before, &after).unwrap_err().findings().iter().map(Finding::to_string).collect();
    assert_eq!(
        said,
        [
            r#"metadata.name: was "events", is "other"; a name cannot change: put the old one back"#,
            "spec.copies: was 2, is 3; copies cannot be changed yet once the LogStore exists: put 2 back, or make a new LogStore",
            "spec.storage.size: was 1Gi, is 1G; a volume cannot shrink: put 1Gi back, or give a larger size",
        ]
    );
    assert_eq!(change(&before, &store("storage: {size: 2Gi}\ncopies: 2\nlistener: {port: 9000}")), Ok(()));
}
