//! YAML in and out, behind one small module.
//!
//! `serde_json::Value` is the tree: Kubernetes objects are JSON, and YAML is how people write it.

use serde::Serialize;
use serde_json::Value;

/// Text that is no YAML, or that holds something other than was asked for.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// No YAML.
    #[error("failed to parse YAML: {0}")]
    Parse(String),
    /// More or fewer documents than one.
    #[error("there are {0} documents; give exactly one")]
    Documents(usize),
    /// A value that YAML cannot hold.
    #[error("failed to write YAML")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The one document of a text. Empty documents do not count.
///
/// # Errors
/// When the text is no YAML, or holds more or fewer documents.
pub fn document(text: &str) -> Result<Value, YamlError> {
    // Without a drawing of the place, so that the reason is one line; it has the line's number.
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| YamlError::Parse(error.to_string()))?;
    let count = documents.len();
    let mut present = documents.into_iter().filter(|document| !document.is_null());
    match (present.next(), present.next()) {
        (Some(document), None) => Ok(document),
        (None, _) => Err(YamlError::Documents(0)),
        (Some(_), Some(_)) => Err(YamlError::Documents(count)),
    }
}

/// A value as a YAML document, without the line that separates documents.
///
/// # Errors
/// When YAML cannot hold the value.
pub fn to_string(value: &impl Serialize) -> Result<String, YamlError> {
    // Folded text would break long lines in places that change with each edit.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 10_000 };
    serde_saphyr::to_string_with_options(value, options).map_err(|error| YamlError::Write(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_document_is_read_and_two_are_refused() {
        assert_eq!(document("---\na: 1\n---\n").unwrap(), json!({"a": 1}));
        assert!(matches!(document("a: 1\n---\nb: 2\n"), Err(YamlError::Documents(2))));
        assert!(matches!(document("# nothing\n"), Err(YamlError::Documents(0))));
        for (broken, line) in [("a: [1", "line 1"), ("a: 1\na: 2\n", "line 2"), ("a: 1\n  b: 2", "line 2")] {
            let reason = document(broken).unwrap_err().to_string();
            assert!(reason.contains(line) && !reason.contains('\n'), "{reason:?}");
        }
    }

    /// Kubernetes and helm read YAML 1.1, where a bare `no` is false.
    #[test]
    fn text_that_looks_like_something_else_is_quoted() {
        let tricky = json!({"a": "no", "b": "1e3", "c": "0755", "d": "null", "e": "long ".repeat(60).trim_end()});
        let text = to_string(&tricky).unwrap();
        assert_eq!(document(&text).unwrap(), tricky);
        assert!(text.contains("\"no\"") || text.contains("'no'"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
