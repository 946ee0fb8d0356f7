//! Which spec is followed: the first one, and whether another may follow it.

use serde_json::Value;

use super::LocalError;
use super::ports::Ports;
use super::state_dir::Accepted;
use crate::validate::{self, Finding, InvalidSpec, Mode, ValidatedStore};
use crate::yaml;

/// A document that can be followed by itself.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) store: ValidatedStore,
    pub(super) value: Value,
}

/// The spec that is followed.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) store: ValidatedStore,
    pub(super) document: Value,
    pub(super) revision: u64,
    pub(super) ports: Ports,
}

impl Current {
    /// As it is kept for the next run.
    pub(super) fn accepted(&self) -> Accepted {
        Accepted { revision: self.revision, document: self.document.clone() }
    }
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Document, InvalidSpec> {
    let value = yaml::document(text).map_err(|error| InvalidSpec::of_document(error.to_string()))?;
    let store = validate::object(value.clone())?;
    let refused = |path: &str, instead: &str| {
        let message = format!("is true; here the stores run as long as this command does: leave it out, and {instead}");
        Err(InvalidSpec::one(Finding { path: path.to_owned(), message }))
    };
    match store.mode() {
        Mode::Running => Ok(Document { store, value }),
        Mode::Stopped => refused("spec.stopped", "stop the command with Ctrl-C"),
        Mode::Paused => refused("spec.paused", "change the file when the change shall be followed"),
    }
}

/// The first spec of a run. It must be one that may follow the last spec of the run before.
pub(super) fn first(document: Document, last: Option<Accepted>, port_base: Option<u16>) -> Result<Current, LocalError> {
    let ports = Ports::from(port_base.unwrap_or(document.store.port()), document.store.copies())?;
    let revision = match &last {
        None => 1,
        Some(last) => {
            // What another release has followed may be more than this one can read; then nothing can be compared.
            if let Ok(before) = validate::object(last.document.clone()) {
                validate::change(&before, &document.store)?;
            }
            next_revision(last.revision, &last.document, &document.value)
        }
    };
    Ok(Current { store: document.store, document: document.value, revision, ports })
}

/// The spec after a change of the file.
pub(super) fn next(current: &Current, document: Document, port_base: Option<u16>) -> Result<Current, InvalidSpec> {
    validate::change(&current.store, &document.store)?;
    let ports = next_ports(current, &document.store, port_base)?;
    let revision = next_revision(current.revision, &current.document, &document.value);
    Ok(Current { store: document.store, document: document.value, revision, ports })
}

/// The spec's own words count, not how the file is laid out.
fn next_revision(last: u64, before: &Value, after: &Value) -> u64 {
    if before["spec"] == after["spec"] { last } else { last + 1 }
}

fn next_ports(current: &Current, store: &ValidatedStore, port_base: Option<u16>) -> Result<Ports, InvalidSpec> {
    let refused = |message: String| InvalidSpec::one(Finding { path: "spec.listener.port".to_owned(), message });
    let ports =
        Ports::from(port_base.unwrap_or(store.port()), store.copies()).map_err(|error| refused(error.to_string()))?;
    if ports.meets(current.ports) {
        let (first, last) = current.ports.range();
        return Err(refused(format!(
            "was {}, is {}; the stores are replaced one by one and use ports {first} to {last} meanwhile: \
             choose one that is further away, or stop and start again",
            current.store.port(),
            store.port()
        )));
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support;

    fn document(spec: &str) -> Document {
        parse(&test_support::document("", spec)).unwrap()
    }

    fn current(spec: &str) -> Current {
        first(document(spec), None, None).unwrap()
    }

    #[test]
    fn a_revision_grows_when_the_spec_changes_and_only_then() {
        let begun = current("copies: 2");
        assert_eq!(begun.revision, 1);
        assert_eq!(next(&begun, document("copies: 2"), None).unwrap().revision, 1);
        let changed = next(&begun, document("copies: 2, namespaces: [{name: a}]"), None).unwrap();
        assert_eq!(changed.revision, 2);
        assert_eq!(first(document("copies: 2"), Some(changed.accepted()), None).unwrap().revision, 3);
        let again = first(document("copies: 2, namespaces: [{name: a}]"), Some(changed.accepted()), None).unwrap();
        assert_eq!(again.revision, 2);
    }

    #[test]
    fn what_has_a_meaning_in_a_cluster_only_is_refused() {
        for (spec, start) in [("stopped: true", "spec.stopped: is true"), ("paused: true", "spec.paused: is true")] {
            let refused = parse(&test_support::document("", spec)).unwrap_err().to_string();
            assert!(refused.starts_with(start), "{refused}");
        }
    }

    #[test]
    fn a_second_run_keeps_to_what_the_first_one_has_made() {
        let error = first(document("copies: 3"), Some(current("copies: 2").accepted()), None).unwrap_err();
        assert!(error.to_string().contains("spec.copies: was 2, is 3"), "{error}");
    }

    #[test]
    fn a_port_in_the_middle_of_the_others_is_refused() {
        let begun = current("copies: 2");
        let error = next(&begun, document("copies: 2, listener: {port: 8002}"), None).unwrap_err().to_string();
        assert!(error.starts_with("spec.listener.port: was 8000, is 8002; "), "{error}");
        assert!(error.contains("8000 to 8003"), "{error}");
        assert!(next(&begun, document("copies: 2, listener: {port: 8004}"), None).is_ok());
        let error = next(&begun, document("copies: 2, listener: {port: 65500}"), None).unwrap_err().to_string();
        assert!(error.starts_with("spec.listener.port: 2 copies and the status need ports"), "{error}");
        assert!(next(&begun, document("copies: 2, listener: {port: 8002}"), Some(8000)).is_ok(), "--port-base decides");
    }
}
