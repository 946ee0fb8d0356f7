//! What is wrong with a document: every finding, each with its field, the value and what to do.

use std::fmt;

use serde_json::Value;

/// Characters of a value that a finding shows.
const SHOWN_MAX: usize = 80;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field, as `kubectl explain` spells it, with list indices.
    pub path: String,
    /// The value, what is wrong with it, and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// A document that cannot be followed. There is at least one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSpec {
    findings: Vec<Finding>,
}

impl InvalidSpec {
    /// Of one finding.
    #[must_use]
    pub fn one(finding: Finding) -> Self {
        Self { findings: vec![finding] }
    }

    /// Of a finding on the document as a whole.
    #[must_use]
    pub fn of_document(message: impl Into<String>) -> Self {
        Self::one(Finding { path: String::new(), message: message.into() })
    }

    /// Everything that is wrong, in the order of the document.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for InvalidSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidSpec {}

/// Collects findings.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding { path: path.into(), message: message.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_invalid(self) -> InvalidSpec {
        InvalidSpec { findings: self.0 }
    }
}

/// A value as a finding shows it: JSON, cut where it is long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
