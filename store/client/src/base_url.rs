//! The address of a store: parsed once, then only added to.

use std::fmt;

use http::Uri;

use crate::Error;

/// Port of a store's HTTP API, where an address without a scheme names none.
const PORT_DEFAULT: u16 = 8000;

/// `http://host:port`, without a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    /// Parses `http://host[:port]`, or `host[:port]` as people type it.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |what| Error::InvalidUrl { text: text.to_owned(), what };
        let (full, port_default) =
            if text.contains("://") { (text.to_owned(), None) } else { (format!("http://{text}"), Some(PORT_DEFAULT)) };
        let uri: Uri = full.parse().map_err(|_| invalid("expected http://host:port"))?;
        if uri.scheme_str() != Some("http") {
            return Err(invalid("only http is spoken"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(invalid("leave out what follows the port"));
        }
        let authority = uri.authority().ok_or_else(|| invalid("expected http://host:port"))?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(invalid("expected http://host:port"));
        }
        let named_port = authority.as_str().len() > authority.host().len();
        match (authority.port_u16(), port_default) {
            (None, _) if named_port => Err(invalid("the port is none")),
            (None, Some(port)) => Ok(Self(format!("http://{authority}:{port}"))),
            _ => Ok(Self(format!("http://{authority}"))),
        }
    }

    /// The address as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (text, url) in [
            ("http://events:8000", "http://events:8000"),
            ("http://events:8000/", "http://events:8000"),
            ("http://logs.example.com", "http://logs.example.com"),
            ("events", "http://events:8000"),
            ("127.0.0.1:9001", "http://127.0.0.1:9001"),
            ("[::1]:9001", "http://[::1]:9001"),
            ("[::1]", "http://[::1]:8000"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().as_str(), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "https://events",
            "http://",
            "http://:8000",
            "http://events/v1",
            "events?x",
            "events:80000",
            "events:",
            "user@events",
            "a b",
        ] {
            assert!(matches!(BaseUrl::parse(text), Err(Error::InvalidUrl { .. })), "{text:?}");
        }
    }
}
