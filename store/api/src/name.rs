//! A namespace's name: parsed once at the edge, carried as a proof that it is one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::NAMESPACE_NAME_BYTES_MAX;

/// A name of 1 to 249 bytes of UTF-8, without control characters, in which no part between slashes is `.` or `..`.
/// Otherwise it is only a name: `a/b`, a space, a quote or a leading dot mean nothing special.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespaceName(String);

/// Why a text is no namespace name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing there.
    #[error("a namespace name is empty; give 1 to {NAMESPACE_NAME_BYTES_MAX} bytes of UTF-8")]
    Empty,
    /// Longer than the limit.
    #[error("a namespace name of {0} bytes is too long; give at most {NAMESPACE_NAME_BYTES_MAX}")]
    TooLong(usize),
    /// A control character, NUL among them.
    #[error("the namespace name {0:?} holds a control character; leave it out")]
    Control(String),
    /// A part `.` or `..`, which HTTP tools rewrite.
    #[error(
        "the namespace name {0:?} has a part '.' or '..' between slashes, which HTTP tools rewrite; choose another name"
    )]
    DotPart(String),
    /// Not UTF-8.
    #[error("a namespace name is not UTF-8")]
    NotUtf8,
}

impl NamespaceName {
    /// Parses a name.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > NAMESPACE_NAME_BYTES_MAX {
            return Err(InvalidName::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidName::Control(text.to_owned()));
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return Err(InvalidName::DotPart(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NamespaceName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::parse(&text)
    }
}

impl From<NamespaceName> for String {
    fn from(name: NamespaceName) -> Self {
        name.0
    }
}

impl std::str::FromStr for NamespaceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

impl std::borrow::Borrow<str> for NamespaceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_only_names() {
        for name in ["orders", "a/b", " ", "\"", ".hidden", "...", "a..b", "ünïcode", "a//b", "/", "%2e"] {
            assert_eq!(NamespaceName::parse(name).map(String::from).as_deref(), Ok(name));
        }
        assert!(NamespaceName::parse(&"n".repeat(249)).is_ok());
    }

    #[test]
    fn names_that_tools_mangle_are_refused() {
        for name in ["..", ".", "a/../b", "../x", "x/.", "./x"] {
            assert_eq!(NamespaceName::parse(name), Err(InvalidName::DotPart(name.to_owned())));
        }
        assert_eq!(NamespaceName::parse(""), Err(InvalidName::Empty));
        assert_eq!(NamespaceName::parse("a\0b"), Err(InvalidName::Control("a\0b".to_owned())));
        assert_eq!(NamespaceName::parse("a\u{85}b"), Err(InvalidName::Control("a\u{85}b".to_owned())));
        assert_eq!(NamespaceName::parse(&"n".repeat(250)), Err(InvalidName::TooLong(250)));
    }
}
