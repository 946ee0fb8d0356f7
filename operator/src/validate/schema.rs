//! A document against the schema of the definition: defaults are filled in; types, bounds, enums, fields are checked.
//!
//! An API server has done this before it stores an object. A file has not been there, and what an API server of another
//! version let pass is not what this operator can do. Bounds and defaults are read from the definition itself, so they
//! stand in one place.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value};

use super::finding::{Findings, shown};

/// What becomes of fields that the schema does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They are noted.
    Refused,
    /// Nothing is said of them.
    LeftAlone,
}

/// Fills in defaults and notes what the schema does not allow.
pub(super) fn check(
    schema: &JSONSchemaProps,
    unknown: Unknown,
    path: &str,
    value: &mut Value,
    findings: &mut Findings,
) {
    match (schema.type_.as_deref(), value) {
        (Some("object"), Value::Object(fields)) => check_object(schema, unknown, path, fields, findings),
        (Some("array"), Value::Array(items)) => check_array(schema, unknown, path, items, findings),
        (Some("string"), Value::String(text)) => check_string(schema, path, text, findings),
        (Some("boolean"), Value::Bool(_)) => {}
        (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
            check_integer(schema, path, number, findings);
        }
        (expected, other) => {
            let expected = spelt(expected);
            findings.add(path, format!("{} is not {expected}; give {expected}{}", shown(other), purpose(schema)));
        }
    }
}

fn check_object(
    schema: &JSONSchemaProps,
    unknown: Unknown,
    path: &str,
    fields: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    // An explicit null is a field left out, as for the API server.
    fields.retain(|_, value| !value.is_null());
    check_map(schema, unknown, path, fields, findings);
    let Some(properties) = &schema.properties else { return };
    let is_unknown = |name: &&String| unknown == Unknown::Refused && !properties.contains_key(*name);
    for name in fields.keys().filter(is_unknown) {
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        findings.add(join(path, name), format!("there is no such field; there are {}", known.join(", ")));
    }
    for (name, property) in properties {
        if !fields.contains_key(name)
            && let Some(default) = &property.default
        {
            fields.insert(name.clone(), default.0.clone());
        }
        match fields.get_mut(name) {
            Some(value) => check(property, unknown, &join(path, name), value, findings),
            None if schema.required.iter().flatten().any(|required| required == name) => {
                findings.add(
                    join(path, name),
                    format!("is missing; give {}{}", spelt(property.type_.as_deref()), purpose(property)),
                );
            }
            None => {}
        }
    }
}

/// An object with names of the user's own choice.
fn check_map(
    schema: &JSONSchemaProps,
    unknown: Unknown,
    path: &str,
    fields: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    if let Some(max) = schema.max_properties
        && beyond(fields.len(), max)
    {
        findings.add(path, format!("{} entries are too many; give at most {max}", fields.len()));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(each)) = &schema.additional_properties {
        for (name, value) in fields {
            check(each, unknown, &join(path, name), value, findings);
        }
    }
}

fn check_array(schema: &JSONSchemaProps, unknown: Unknown, path: &str, items: &mut [Value], findings: &mut Findings) {
    let count = items.len();
    if let Some(max) = schema.max_items
        && beyond(count, max)
    {
        findings.add(path, format!("{count} entries are too many; give at most {max}"));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
        for (index, value) in items.iter_mut().enumerate() {
            check(item, unknown, &format!("{path}[{index}]"), value, findings);
        }
    }
    if let Some([key]) = schema.x_kubernetes_list_map_keys.as_deref() {
        check_unique(key, path, items, findings);
    }
}

fn check_unique(key: &str, path: &str, items: &[Value], findings: &mut Findings) {
    let mut first_at = std::collections::BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let Some(text) = item.get(key).and_then(Value::as_str) else { continue };
        if let Some(first) = first_at.get(text) {
            let message = format!("{} is taken by {path}[{first}]; give each entry its own {key}", shown(&item[key]));
            findings.add(format!("{path}[{index}].{key}"), message);
        } else {
            first_at.insert(text, index);
        }
    }
}

fn check_string(schema: &JSONSchemaProps, path: &str, text: &str, findings: &mut Findings) {
    let value = shown(&Value::from(text));
    let count = text.chars().count();
    if let Some(allowed) = &schema.enum_
        && !allowed.iter().any(|allowed| allowed.0 == text)
    {
        let allowed: Vec<&str> = allowed.iter().filter_map(|allowed| allowed.0.as_str()).collect();
        findings.add(path, format!("{value} is not known; give one of {}", allowed.join(", ")));
    }
    if let Some(max) = schema.max_length
        && beyond(count, max)
    {
        findings.add(path, format!("{value} has {count} characters; give at most {max}"));
    }
    if let Some(min) = schema.min_length
        && !beyond(count, min - 1)
    {
        findings.add(path, format!("{value} has {count} characters; give at least {min}{}", purpose(schema)));
    }
}

fn check_integer(schema: &JSONSchemaProps, path: &str, number: &serde_json::Number, findings: &mut Findings) {
    // The bounds are whole numbers below 2^53, so the comparison is exact.
    let value = number.as_f64().unwrap_or(f64::NAN);
    if schema.minimum.is_some_and(|min| value < min) || schema.maximum.is_some_and(|max| value > max) {
        findings.add(path, format!("{number} is out of range; give {}", range(schema)));
    } else if !number.is_i64() {
        findings.add(path, format!("{number} is out of range; give at most {}", i64::MAX));
    }
}

fn range(schema: &JSONSchemaProps) -> String {
    match (schema.minimum, schema.maximum) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "a whole number".to_owned(),
    }
}

fn beyond(count: usize, max: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count > max)
}

fn spelt(kind: Option<&str>) -> &'static str {
    match kind {
        Some("object") => "an object",
        Some("array") => "a list",
        Some("string") => "text",
        Some("integer") => "a whole number",
        Some("boolean") => "true or false",
        _ => "a value",
    }
}

fn purpose(schema: &JSONSchemaProps) -> String {
    schema.description.as_ref().map(|text| format!(" ({})", text.trim_end_matches('.'))).unwrap_or_default()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
