//! The pages on running LogStores in a cluster say what the code says: tables are generated from it, every reason of a
//! condition has its section, and links lead somewhere.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that reads and writes pages")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use logstore_operator::conditions::TABLE;
use logstore_operator::run::metrics::Metrics;
use logstore_operator::run::permissions::{DEFINITION, LEASE, Permission, WATCHED};

const OPERATIONS: &str = "docs/operations.md";
/// Pages whose links are followed.
const LINKED: [&str; 3] = [OPERATIONS, "docs/quickstart-cluster.md", "docs/reference/crd.md"];

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)
}

fn read(page: &str) -> String {
    std::fs::read_to_string(path(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

#[test]
fn generated_tables_are_current() {
    let found = read(OPERATIONS);
    let with_conditions = with_part(&found, "conditions", &conditions());
    let current = with_part(&with_conditions, "permissions", &permissions());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path(OPERATIONS), &current).unwrap();
    }
    assert!(
        read(OPERATIONS) == current,
        "the generated tables of {OPERATIONS} are not current; run UPDATE_GENERATED=1 cargo test -p logstore-operator --test docs"
    );
}

/// The page with another text between two marks.
fn with_part(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name}: generated -->\n"), format!("<!-- end {name} -->\n"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{OPERATIONS} has no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{OPERATIONS} has no {end}"));
    format!("{before}{begin}{text}{end}{after}")
}

fn conditions() -> String {
    let mut table = String::from("| condition | is | reason | meaning |\n|---|---|---|---|\n");
    let mut last = "";
    for row in TABLE {
        let condition = if row.condition == last { String::new() } else { format!("`{}`", row.condition) };
        last = row.condition;
        let anchor = slug(&heading(row.condition, row.reason));
        let _ = writeln!(table, "| {condition} | {} | [`{}`](#{anchor}) | {} |", row.truth, row.reason, row.meaning);
    }
    table
}

fn heading(condition: &str, reason: &str) -> String {
    format!("{condition}: {reason}")
}

fn permissions() -> String {
    let mut table = String::from("| where | group | resource | verbs |\n|---|---|---|---|\n");
    let parts = [
        ("watched namespaces", WATCHED),
        ("namespace of the Lease", LEASE),
        ("the cluster, only for `crd apply`", DEFINITION),
    ];
    for (place, permissions) in parts {
        for Permission { group, resource, verbs } in permissions {
            let group = if group.is_empty() { "core" } else { group };
            let _ = writeln!(table, "| {place} | {group} | `{resource}` | {} |", verbs.join(", "));
        }
    }
    table
}

#[test]
fn every_reason_has_its_section_and_every_section_its_reason() {
    let page = read(OPERATIONS);
    let conditions: BTreeSet<&str> = TABLE.iter().map(|row| row.condition).collect();
    let sections = page.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, "")));
    let of_reasons = sections
        .filter(|(title, _)| title.split_once(": ").is_some_and(|(condition, _)| conditions.contains(condition)));
    let mut found = Vec::new();
    for (title, text) in of_reasons {
        let own = text.split("\n## ").next().unwrap_or_default();
        assert!(!own.trim().is_empty(), "{OPERATIONS}: section {title:?} says nothing");
        found.push(title.to_owned());
    }
    let wanted: Vec<String> = TABLE.iter().map(|row| heading(row.condition, row.reason)).collect();
    assert_eq!(found, wanted, "{OPERATIONS} needs one section for each reason, in the order of the table");
}

#[test]
fn every_metric_of_the_operator_is_explained() {
    let page = read(OPERATIONS);
    let text = Metrics::new().text().unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    assert!(names.len() > 3, "{text}");
    for name in names {
        assert!(page.contains(&format!("`{name}")), "{OPERATIONS} does not explain {name}");
    }
}

#[test]
fn links_lead_somewhere() {
    for page in LINKED {
        for link in links(&read(page)) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path(page) } else { path(page).parent().unwrap().join(file) };
            assert!(target.exists(), "{page} links to {link}, and {} is not there", target.display());
            if !anchor.is_empty() {
                let anchors = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(anchors.contains(anchor), "{page} links to {link}, and there is no such section");
            }
        }
    }
}

/// The targets of the links of a page, those on the web apart.
fn links(page: &str) -> Vec<String> {
    let without_code: String = page.split('`').step_by(2).collect();
    let targets = without_code.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")).collect()
}

/// What links into a page can name: headings, and anchors that are set by hand.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings =
        page.lines().filter_map(|line| line.strip_prefix('#').map(|title| slug(title.trim_start_matches('#'))));
    let set = page.split("<a id=\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(id, _)| id.to_owned());
    headings.chain(set).collect()
}

/// The anchor that a heading has.
fn slug(title: &str) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
