//! The page on the resource, `docs/reference/crd.md`, is generated from the definition: a table for each object, its rules
//! below it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that reads and writes a page")]

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use logstore_crds::{LogStoreSpec, LogStoreStatus};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/crd.md");

const HEAD: &str = "\
# LogStore, field by field

Generated from the types in `crds/src`; do not edit. The definition itself is
[crds/logstore.dev_logstores.yaml](../../crds/logstore.dev_logstores.yaml), and `logstore-operator crd` prints it. Examples are in
[docs/examples](../examples); what conditions mean and what to do is in [operations.md](../operations.md).

Defaults are filled in by the API server when a LogStore is stored, so `kubectl get -o yaml` shows what is in force. A field
without a default may be left out unless it says *required*. The API server refuses what breaks a bound or a rule, with the
message that stands here. What it cannot see, above all in `spec.podTemplate`, is checked by the operator:
[`Stalled: InvalidSpec`](../operations.md#stalled-invalidspec).
";

#[test]
fn the_page_on_the_resource_is_current() {
    let page = page();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(found == page, "docs/reference/crd.md is not current; run UPDATE_GENERATED=1 cargo test -p logstore-crds");
}

fn page() -> String {
    let schema = logstore_crds::schema();
    let mut page = HEAD.to_owned();
    the_kind(&mut page, schema);
    columns(&mut page);
    section(&mut page, &Object::root("spec", schema, &types_of::<LogStoreSpec>()));
    section(&mut page, &Object::root("status", schema, &types_of::<LogStoreStatus>()));
    page
}

/// What is true of the resource as a whole.
fn the_kind(page: &mut String, schema: &JSONSchemaProps) {
    let spec = logstore_crds::definition().spec;
    let list = |names: &Option<Vec<String>>| names.iter().flatten().cloned().collect::<Vec<_>>().join("`, `");
    let _ = write!(
        page,
        "\n## LogStore\n\n{}\n\n| | |\n|---|---|\n| `apiVersion` | `{}/{}` |\n| `kind` | `{}` |\n\
         | `kubectl get` | `{}`, `{}` |\n| category | `{}` |\n| scope | {} |\n",
        schema.description.as_deref().unwrap_or_default(),
        spec.group,
        spec.versions[0].name,
        spec.names.kind,
        spec.names.plural,
        list(&spec.names.short_names),
        list(&spec.names.categories),
        spec.scope,
    );
    rules(page, &[("metadata.name".to_owned(), schema)]);
}

fn columns(page: &mut String) {
    page.push_str("\n## Columns of `kubectl get`\n\n| column | shows | with |\n|---|---|---|\n");
    for column in logstore_crds::definition().spec.versions[0].additional_printer_columns.iter().flatten() {
        let CustomResourceColumnDefinition { name, description, json_path, priority, .. } = column;
        let with = if priority.unwrap_or(0) == 0 { "always" } else { "`-o wide`" };
        let what = description.as_ref().map_or_else(String::new, |text| format!("{}: ", cell(text)));
        let _ = writeln!(page, "| {name} | {what}`{json_path}` | {with} |");
    }
}

/// An object of the schema. The definition does not tell what each value of an enum means; the types that it was made of
/// do, and are walked beside it.
struct Object<'a> {
    path: String,
    schema: &'a JSONSchemaProps,
    types: Types<'a>,
}

impl<'a> Object<'a> {
    fn root(name: &str, schema: &'a JSONSchemaProps, root: &'a Value) -> Self {
        Self {
            path: name.to_owned(),
            schema: &schema.properties.as_ref().unwrap()[name],
            types: Types { root, at: root },
        }
    }

    /// Its fields; those of a list are the fields of its entries.
    fn fields(&self) -> Vec<Self> {
        let field = |(name, schema): (&String, &'a JSONSchemaProps)| Self {
            path: format!("{}.{name}", self.path),
            schema,
            types: self.types.field(name),
        };
        self.schema.properties.iter().flatten().map(field).collect()
    }

    /// The object that has a section of its own: the field itself, or an entry of the list that it is.
    fn inner(&self) -> Option<Self> {
        let entry = items(self.schema).map(|entry| Self {
            path: format!("{}[]", self.path),
            schema: entry,
            types: self.types.entry(),
        });
        let inner = entry.unwrap_or(Self { path: self.path.clone(), ..*self });
        inner.schema.properties.is_some().then_some(inner)
    }

    fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    fn anchor(&self) -> String {
        self.path.replace("[]", "")
    }
}

/// The section of an object, and those of the objects in it.
fn section(page: &mut String, object: &Object<'_>) {
    let level = if object.path.contains('.') { "###" } else { "##" };
    let description = line(object.schema.description.as_deref().unwrap_or_default());
    let _ = writeln!(page, "\n{level} <a id=\"{}\"></a>`{}`\n\n{description}\n", object.anchor(), object.path);
    page.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
    let fields = object.fields();
    for field in &fields {
        row(page, object, field);
    }
    let own = std::iter::once((object.path.clone(), object.schema));
    // The rules of objects stand in their own sections.
    let leaves = fields.iter().filter(|field| field.schema.properties.is_none());
    let of_fields = leaves.map(|field| (field.path.clone(), field.schema));
    rules(page, &own.chain(of_fields).collect::<Vec<_>>());
    for inner in fields.iter().filter_map(Object::inner) {
        section(page, &inner);
    }
}

fn row(page: &mut String, object: &Object<'_>, field: &Object<'_>) {
    let name = match field.inner() {
        Some(_) => format!("[`{}`](#{})", field.name(), field.anchor()),
        None => format!("<a id=\"{}\"></a>`{}`", field.anchor(), field.name()),
    };
    let is_required = object.schema.required.iter().flatten().any(|required| required == field.name());
    let default = match &field.schema.default {
        _ if is_required => "*required*".to_owned(),
        Some(value) => format!("`{}`", value.0),
        None => String::new(),
    };
    let mut meaning = cell(field.schema.description.as_deref().unwrap_or_default());
    for (value, what) in field.types.meanings() {
        let _ = write!(meaning, "<br>`{value}`: {}", cell(&what));
    }
    let _ = writeln!(page, "| {name} | {} | {default} | {meaning} |", kind(field.schema));
}

/// The type of a field, with its bounds.
fn kind(schema: &JSONSchemaProps) -> String {
    match schema.type_.as_deref().unwrap_or_default() {
        "array" => {
            let entry = items(schema).map_or_else(String::new, kind);
            let key = schema.x_kubernetes_list_map_keys.as_ref().map(|keys| format!(" by `{}`", keys.join("`, `")));
            format!("list of {entry}s{}{}", key.unwrap_or_default(), within(None, schema.max_items, "entries"))
        }
        "object" if schema.x_kubernetes_preserve_unknown_fields == Some(true) => {
            "object, free in this schema".to_owned()
        }
        "object" => match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(each)) => {
                format!("map of {}s{}", kind(each), within(None, schema.max_properties, "entries"))
            }
            _ => "object".to_owned(),
        },
        "string" if schema.enum_.is_some() => "enum".to_owned(),
        "string" if schema.format.is_some() => schema.format.clone().unwrap_or_default(),
        "string" if schema.max_length == Some(1) => "string, 1 character".to_owned(),
        "string" => format!("string{}", within(schema.min_length, schema.max_length, "characters")),
        "integer" => format!("integer{}", within(whole(schema.minimum), whole(schema.maximum), "")),
        other => other.to_owned(),
    }
}

fn within(min: Option<i64>, max: Option<i64>, of: &str) -> String {
    let bounds = match (min, max) {
        (None, None) => return String::new(),
        (Some(min), None) => format!(", at least {min} {of}"),
        (None, Some(max)) => format!(", at most {max} {of}"),
        (Some(min), Some(max)) => format!(", {min} to {max} {of}"),
    };
    bounds.trim_end().to_owned()
}

/// Bounds are floating point in the Kubernetes types; ours are whole.
fn whole(bound: Option<f64>) -> Option<i64> {
    bound.map(|bound| format!("{bound:.0}").parse().unwrap())
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(entry)) => Some(entry),
        _ => None,
    }
}

/// The rules of some schemas, each with the path that is refused and what is said then.
fn rules(page: &mut String, schemas: &[(String, &JSONSchemaProps)]) {
    let of = |(path, schema): &(String, &JSONSchemaProps)| -> Vec<String> {
        schema.x_kubernetes_validations.iter().flatten().map(|found| rule(path, found)).collect()
    };
    let rules: Vec<String> = schemas.iter().flat_map(of).collect();
    if !rules.is_empty() {
        let _ = write!(page, "\nRules:\n\n{}", rules.concat());
    }
}

fn rule(path: &str, rule: &ValidationRule) -> String {
    let ValidationRule { field_path, message, rule, .. } = rule;
    let when = if rule.contains("oldSelf") { ", when it changes" } else { "" };
    let message = line(message.as_deref().unwrap_or_default());
    format!("- `{path}{}`{when}: {message}<br>`{rule}`\n", field_path.as_deref().unwrap_or_default())
}

/// Text of several lines in one.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

/// A place in the schema of the types, before it was made to fit a definition.
#[derive(Clone, Copy)]
struct Types<'a> {
    root: &'a Value,
    at: &'a Value,
}

fn types_of<T: JsonSchema>() -> Value {
    serde_json::to_value(SchemaGenerator::default().into_root_schema_for::<T>()).unwrap()
}

impl<'a> Types<'a> {
    fn field(self, name: &str) -> Self {
        self.resolved(&self.at["properties"][name])
    }

    fn entry(self) -> Self {
        self.resolved(&self.at["items"])
    }

    fn resolved(self, schema: &'a Value) -> Self {
        let named = schema["$ref"].as_str().and_then(|name| self.root.pointer(name.strip_prefix('#')?));
        Self { at: named.unwrap_or(schema), ..self }
    }

    /// The values of an enum, and what each means.
    fn meanings(self) -> Vec<(String, String)> {
        let texts =
            |value: &Value| Some((value["const"].as_str()?.to_owned(), value["description"].as_str()?.to_owned()));
        self.at["oneOf"].as_array().into_iter().flatten().filter_map(texts).collect()
    }
}

/// An enum whose values are not explained would be a page that hides something.
#[test]
fn every_value_of_an_enum_is_explained() {
    let types = types_of::<LogStoreSpec>();
    check_enums(&Object::root("spec", logstore_crds::schema(), &types));
}

fn check_enums(object: &Object<'_>) {
    for field in object.fields() {
        let values: Vec<Value> = field.schema.enum_.iter().flatten().map(|value| value.0.clone()).collect();
        let explained: Vec<Value> = field.types.meanings().into_iter().map(|(value, _)| json!(value)).collect();
        assert_eq!(explained, values, "{}", field.path);
        field.inner().iter().for_each(check_enums);
    }
}
