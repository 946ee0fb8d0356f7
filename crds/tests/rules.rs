//! Each rule of the definition, run in process as an API server runs it: what it lets pass, what it refuses, on
//! creation and on update.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use kube::core::cel::{Validator, compile_schema, estimate_rule_cost};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleCases {
    rule: String,
    accept: Vec<Case>,
    refuse: Vec<Case>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    before: Option<Value>,
    #[serde(default)]
    spec: Option<Value>,
}

fn cases() -> Vec<RuleCases> {
    serde_saphyr::from_str(include_str!("rules.yaml")).unwrap()
}

fn schema() -> Value {
    serde_json::to_value(logstore_crds::schema()).unwrap()
}

fn object(name: Option<&str>, spec: Option<&Value>) -> Value {
    let mut object = json!({"metadata": {"name": name.unwrap_or("events")}, "spec": {"storage": {"size": "1Gi"}}});
    for (field, value) in spec.and_then(Value::as_object).into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

impl Case {
    /// As a creation and as an update; only as an update where the case says what was before.
    fn outcomes(&self) -> Vec<Result<(), Vec<String>>> {
        let object = object(self.name.as_deref(), self.spec.as_ref());
        let before = self::object(self.name.as_deref(), self.before.as_ref());
        let update = refusals(&object, Some(&before));
        match self.before {
            Some(_) => vec![update],
            None => vec![refusals(&object, None), update],
        }
    }
}

fn refusals(object: &Value, before: Option<&Value>) -> Result<(), Vec<String>> {
    let refused = Validator::new().validate(&schema(), object, before);
    refused.map_err(|errors| errors.iter().map(|error| error.message.clone()).collect())
}

#[test]
fn rules_refuse_what_they_shall_and_nothing_else() {
    for RuleCases { rule, accept, refuse } in cases() {
        assert!(!accept.is_empty() && !refuse.is_empty(), "{rule}: one side has no case");
        for case in accept {
            for outcome in case.outcomes() {
                assert_eq!(outcome, Ok(()), "{rule}: {case:?}");
            }
        }
        for case in refuse {
            for outcome in case.outcomes() {
                let messages = outcome.expect_err(&format!("{rule}: {case:?} was accepted"));
                assert!(messages.iter().any(|message| message.starts_with(&rule)), "{rule}: {case:?}: {messages:?}");
            }
        }
    }
}

#[test]
fn every_rule_has_cases() {
    let tested: Vec<String> = cases().into_iter().map(|cases| cases.rule).collect();
    let mut untested = Vec::new();
    every_rule(&schema(), &mut |_, rule| {
        let message = rule["message"].as_str().expect("a rule without a message");
        untested.extend((!tested.iter().any(|start| message.starts_with(start))).then(|| message.to_owned()));
    });
    assert_eq!(untested, Vec::<String>::new());
}

/// The API server refuses a definition whose rules might cost too much.
#[test]
fn rules_are_cheap() {
    let mut warnings = BTreeSet::new();
    every_rule(&schema(), &mut |schema, rule| {
        let rule = rule["rule"].as_str().unwrap();
        let found = estimate_rule_cost(rule, &compile_schema(schema));
        warnings.extend(found.into_iter().map(|warning| format!("{rule}: {}", warning.message)));
    });
    assert_eq!(warnings, BTreeSet::new());
}

/// A creation knows no `oldSelf`, and says so by leaving the rule out.
#[test]
fn a_transition_rule_lets_every_creation_pass() {
    for copies in 1..=5 {
        assert_eq!(refusals(&object(None, Some(&json!({"copies": copies}))), None), Ok(()));
    }
}

fn every_rule(schema: &Value, visit: &mut impl FnMut(&Value, &Value)) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        visit(schema, rule);
    }
    for property in schema["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        every_rule(property, visit);
    }
    if schema["items"].is_object() {
        every_rule(&schema["items"], visit);
    }
}
