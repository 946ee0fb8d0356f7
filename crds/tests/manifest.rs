//! The committed manifest is what the types say, and what a cluster can take.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the seam for faults is the store's; this writes a source file")]

use std::path::Path;

use serde_json::Value;

const HEADER: &str = "# Generated from the types in crds/src: UPDATE_GENERATED=1 cargo test -p logstore-crds\n";

fn generated() -> String {
    // Folded text would change its line breaks with every edit, and could not be searched.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 10_000 };
    let definition = whole_numbers(serde_json::to_value(logstore_crds::definition()).unwrap());
    HEADER.to_owned() + &serde_saphyr::to_string_with_options(&definition, options).unwrap()
}

/// Bounds are floating point in the Kubernetes types; ours are whole and shall read so.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let whole = number.to_string().strip_suffix(".0").and_then(|text| text.parse::<i64>().ok());
            whole.map_or(Value::Number(number), Value::from)
        }
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, whole_numbers(value))).collect(),
        other => other,
    }
}

fn schema() -> Value {
    serde_json::to_value(logstore_crds::schema()).unwrap()
}

#[test]
fn the_committed_manifest_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("logstore.dev_logstores.yaml");
    let generated = generated();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == generated,
        "crds/logstore.dev_logstores.yaml is not what the types say; run: UPDATE_GENERATED=1 cargo test -p logstore-crds"
    );
}

#[test]
fn the_manifest_reads_back_as_the_definition() {
    let read: Value = serde_saphyr::from_str(&generated()).unwrap();
    assert_eq!(read, whole_numbers(serde_json::to_value(logstore_crds::definition()).unwrap()));
}

/// `kubectl apply` keeps a copy of the manifest in an annotation of 256 KiB; others' are too large for it.
#[test]
fn the_manifest_is_small() {
    assert!(logstore_crds::MANIFEST.len() < 64 * 1024, "{} bytes", logstore_crds::MANIFEST.len());
}

/// An explicit null would count as a value in the rules; without `nullable`, an API server takes it as left out.
#[test]
fn nothing_in_the_spec_is_nullable() {
    let schema = schema();
    every_schema("spec", &schema["properties"]["spec"], &mut |path, schema| {
        assert!(schema.get("nullable").is_none(), "{path}");
    });
}

/// The API server estimates what a rule costs from these bounds, and refuses a manifest whose rules may cost too much.
#[test]
fn lists_and_strings_of_the_spec_are_bounded() {
    let schema = schema();
    every_schema("spec", &schema["properties"]["spec"], &mut |path, schema| match schema["type"].as_str() {
        Some("array") => assert!(schema.get("maxItems").is_some(), "{path}"),
        Some("string") => {
            assert!(schema.get("maxLength").is_some() || schema.get("enum").is_some(), "{path}");
        }
        _ => {}
    });
}

#[test]
fn defaults_show_what_is_in_force() {
    let spec = &schema()["properties"]["spec"]["properties"];
    assert_eq!(spec["copies"]["default"], 1);
    assert_eq!(spec["listener"]["default"], serde_json::json!({"port": 8000}));
    assert_eq!(
        spec["namespaceDefaults"]["default"],
        serde_json::json!({"rotation": {"maxSegmentBytes": 268_435_456}, "retention": {}, "durability": "Synced", "quota": {}})
    );
    let entry = &spec["namespaces"]["items"]["properties"];
    assert_eq!(entry["state"]["default"], "Active");
    assert_eq!(entry["whenRemoved"]["default"], "Retain");
    for falls_back in ["rotation", "retention", "durability", "quota"] {
        assert_eq!(entry[falls_back].get("default"), None, "{falls_back} would hide namespaceDefaults");
    }
}

#[test]
fn teams_own_their_entries() {
    let namespaces = &schema()["properties"]["spec"]["properties"]["namespaces"];
    assert_eq!(namespaces["x-kubernetes-list-type"], "map");
    assert_eq!(namespaces["x-kubernetes-list-map-keys"], serde_json::json!(["name"]));
}

fn every_schema(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        every_schema(&format!("{path}.{name}"), property, visit);
    }
    if schema["items"].is_object() {
        every_schema(&format!("{path}[]"), &schema["items"], visit);
    }
}
