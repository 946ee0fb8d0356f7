//! The operator's own checks against the rules of the definition: what an API server would refuse, the operator refuses
//! too, and nothing else. The cases are those that `crds/tests/rules.rs` runs against the definition.

#![allow(clippy::unwrap_used)]

use logstore_operator::validate::{self, ValidatedStore};
use serde_json::{Value, json};

fn object(case: &Value, spec: &Value) -> Value {
    let name = case["name"].as_str().unwrap_or("events");
    let mut object = json!({
        "apiVersion": "logstore.dev/v1alpha1",
        "kind": "LogStore",
        "metadata": {"name": name},
        "spec": {"storage": {"size": "1Gi"}},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

fn verdict(case: &Value) -> Result<(), String> {
    let parse = |spec: &Value| -> Result<ValidatedStore, String> {
        validate::object(object(case, spec)).map_err(|invalid| invalid.to_string())
    };
    let after = parse(&case["spec"])?;
    match case.get("before") {
        Some(before) => validate::change(&parse(before)?, &after).map_err(|invalid| invalid.to_string()),
        None => Ok(()),
    }
}

#[test]
fn the_operator_refuses_what_the_definition_refuses() {
    let rules: Vec<Value> = serde_saphyr::from_str(include_str!("../../crds/tests/rules.yaml")).unwrap();
    for rule in &rules {
        for case in rule["accept"].as_array().unwrap() {
            assert_eq!(verdict(case), Ok(()), "{}: {case}", rule["rule"]);
        }
        for case in rule["refuse"].as_array().unwrap() {
            assert!(verdict(case).is_err(), "{}: accepted {case}", rule["rule"]);
        }
    }
}
