//! Whether an object is what was applied: a pure comparison of what was asked for with what an API server gives back.
//!
//! It fills in defaults, adds fields of others and spells quantities its own way, so objects are never equal. What
//! counts is that everything that was asked for is there.

use serde_json::Value;

use crate::validate::same_quantity;

/// Fields in which one key more changes what all of it means: it may then select nothing.
const EXACT: [&str; 3] = ["selector", "matchLabels", "nodeSelector"];

/// Whether `found` has everything that `asked` asks for. Lists must be as long: an entry too many may be in the way.
#[must_use]
pub fn covers(found: &Value, asked: &Value) -> bool {
    match (found, asked) {
        (Value::Object(found), Value::Object(asked)) => asked.iter().all(|(name, asked)| match found.get(name) {
            Some(found) if EXACT.contains(&name.as_str()) => found == asked,
            Some(found) => covers(found, asked),
            None => is_nothing(asked),
        }),
        (Value::Array(found), Value::Array(asked)) => {
            found.len() == asked.len() && found.iter().zip(asked).all(|(found, asked)| covers(found, asked))
        }
        (Value::String(found), Value::String(asked)) => same_quantity(found, asked),
        _ => found == asked,
    }
}

/// What an API server leaves out when it writes an object.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_other_spellings_are_no_drift() {
        let asked = json!({"spec": {"replicas": 1, "ports": [{"port": 80}], "size": "1024Mi", "none": {}}});
        let found = json!({
            "status": {},
            "spec": {"replicas": 1, "ports": [{"port": 80, "protocol": "TCP"}], "size": "1Gi"},
        });
        assert!(covers(&found, &asked));
    }

    #[test]
    fn what_was_changed_removed_or_added_to_a_list_is_drift() {
        let asked = json!({"replicas": 1, "ports": [{"port": 80}], "labels": {"a": "b"}, "selector": {"a": "b"}});
        for found in [
            json!({"replicas": 2, "ports": [{"port": 80}], "labels": {"a": "b"}, "selector": {"a": "b"}}),
            json!({"replicas": 1, "ports": [{"port": 80}]}),
            json!({"replicas": 1, "ports": [{"port": 80}, {"port": 81}], "labels": {"a": "b"}}),
            json!({"replicas": 1, "ports": [{"port": 80}], "labels": {"a": "c"}}),
            json!({"replicas": 1, "ports": [{"port": 80}], "labels": {"a": "b"}, "selector": {"a": "b", "more": "c"}}),
        ] {
            assert!(!covers(&found, &asked), "{found}");
        }
    }
}
