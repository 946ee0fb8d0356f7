//! Percent-encoding: names in paths, values in query strings.

use std::fmt::Display;

use logstore_api::{Durability, NamespaceName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986. A slash is encoded too: it is part of a name, not of the path.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `/v1/namespaces/NAME` and what follows it.
pub(crate) fn namespace_path(name: &NamespaceName, rest: &str) -> String {
    format!("/v1/namespaces/{}{rest}", utf8_percent_encode(name.as_str(), RESERVED))
}

/// A level as query strings have it.
pub(crate) fn durability_text(durability: Durability) -> &'static str {
    match durability {
        Durability::Written => "written",
        Durability::Synced => "synced",
    }
}

/// A query string in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    /// Adds a parameter.
    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(&value.to_string(), RESERVED));
        self
    }

    /// Adds a parameter, where there is one.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The string with its question mark; empty without parameters.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_the_path_whatever_it_holds() {
        let path = |name| namespace_path(&NamespaceName::parse(name).unwrap(), "/records");
        assert_eq!(path("orders-1.x_y~z"), "/v1/namespaces/orders-1.x_y~z/records");
        assert_eq!(path("a/b"), "/v1/namespaces/a%2Fb/records");
        assert_eq!(path("%2e ?#\"ü"), "/v1/namespaces/%252e%20%3F%23%22%C3%BC/records");
    }

    #[test]
    fn values_cannot_leave_their_parameter() {
        let query = Query::default().with("tag", "a&b=c d+ü").with_some("key", None::<&str>).with_some("n", Some(7));
        assert_eq!(query.as_str(), "?tag=a%26b%3Dc%20d%2B%C3%BC&n=7");
        assert_eq!(Query::default().as_str(), "");
    }
}
