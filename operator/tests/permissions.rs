//! The chart's roles against the operator's own table of its calls, both ways: a rule too many is power that nobody needs,
//! a rule too few is a `Forbidden` in production.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the seam for faults is the store's; this reads files of the repository")]

use std::collections::BTreeSet;
use std::path::Path;

use logstore_operator::run::permissions::{DEFINITION, LEASE, Permission, WATCHED};
use serde_json::Value;

type Grants = BTreeSet<(String, String, String)>;

fn granted(file: &str) -> Grants {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/logstore-operator/files").join(file);
    let rules: Vec<Value> = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut grants = Grants::new();
    for rule in &rules {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                grants.extend(texts(rule, "verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    grants
}

fn needed(permissions: &[Permission]) -> Grants {
    let each = |Permission { group, resource, verbs }: &Permission| -> Vec<_> {
        verbs.iter().map(|verb| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned())).collect()
    };
    permissions.iter().flat_map(each).collect()
}

#[test]
fn the_charts_roles_allow_what_the_operator_does_and_nothing_else() {
    for (file, permissions) in [("rules.yaml", WATCHED), ("lease-rules.yaml", LEASE), ("crd-rules.yaml", DEFINITION)] {
        assert_eq!(granted(file), needed(permissions), "{file}");
    }
}
