//! Which form of answer a reader wants.

use http::HeaderMap;
use http::header::ACCEPT;
use logstore_api::{Code, MEDIA_ENVELOPES, MEDIA_EVENTS, MEDIA_FRAMES, Problem};

/// The forms of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON envelope per line.
    Envelopes,
    /// Data and a line end each.
    Text,
    /// The data bytes, one after the other.
    Octets,
    /// Envelope and data in binary.
    Frames,
    /// Server-sent events, for ever.
    Events,
}

impl Form {
    /// Those of a read, in the order of preference where a reader takes several.
    pub const OF_A_READ: &[Self] = &[Self::Envelopes, Self::Text, Self::Octets, Self::Frames, Self::Events];
    /// Those that keep records apart and can say why one is missing.
    pub const WITH_ERRORS: &[Self] = &[Self::Envelopes, Self::Frames];

    fn media(self) -> &'static str {
        match self {
            Self::Envelopes => MEDIA_ENVELOPES,
            Self::Text => "text/plain",
            Self::Octets => "application/octet-stream",
            Self::Frames => MEDIA_FRAMES,
            Self::Events => MEDIA_EVENTS,
        }
    }

    /// What the answer says of itself.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            other => other.media(),
        }
    }

    /// The form that a request's `Accept` headers prefer of those that there are; the first where they do not say.
    pub fn negotiate(headers: &HeaderMap, forms: &[Self]) -> Result<Self, Problem> {
        let accepted: Vec<&str> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        if accepted.is_empty() {
            return Ok(Self::Envelopes);
        }
        let mut best: Option<(Self, f32)> = None;
        for form in forms.iter().copied() {
            let quality = quality(&accepted, form.media());
            if quality > best.map_or(0.0, |(_, best)| best) {
                best = Some((form, quality));
            }
        }
        best.map(|(form, _)| form).ok_or_else(|| {
            let media: Vec<&str> = forms.iter().map(|form| form.media()).collect();
            let detail = format!("none of the accepted forms can be made; there are {}", media.join(", "));
            Problem::new(Code::NotAcceptable, detail).field("Accept").expected(media).got(accepted.join(","))
        })
    }
}

/// How much a media type is wanted: the most specific range that fits it counts (RFC 9110, 12.5.1).
fn quality(accepted: &[&str], media: &str) -> f32 {
    let mut found = (0, 0.0);
    for range in accepted {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let specific = match name {
            "*/*" => 1,
            name if name.strip_suffix("/*").is_some_and(|kind| media.split('/').next() == Some(kind)) => 2,
            name if name.eq_ignore_ascii_case(media) => 3,
            _ => continue,
        };
        let quality =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok()).unwrap_or(0.0);
        if specific > found.0 {
            found = (specific, quality);
        }
    }
    found.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: Option<&'static str>) -> Option<Form> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        Form::negotiate(&headers, Form::OF_A_READ).ok()
    }

    #[test]
    fn the_reader_chooses_and_envelopes_are_the_default() {
        assert_eq!(form(None), Some(Form::Envelopes));
        assert_eq!(form(Some("*/*")), Some(Form::Envelopes));
        assert_eq!(form(Some("text/plain")), Some(Form::Text));
        assert_eq!(form(Some("text/*;q=0.5, application/octet-stream;q=0.9")), Some(Form::Octets));
        assert_eq!(form(Some("text/html,application/xhtml+xml,*/*;q=0.8")), Some(Form::Envelopes));
        assert_eq!(form(Some("application/vnd.logstore.records+ndjson")), Some(Form::Envelopes));
        assert_eq!(form(Some("application/vnd.logstore.frames")), Some(Form::Frames));
        assert_eq!(form(Some("text/event-stream")), Some(Form::Events));
        assert_eq!(form(Some("*/*, application/vnd.logstore.records+ndjson;q=0")), Some(Form::Text));
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        assert_eq!(form(Some("text/html")), None);
        assert_eq!(form(Some("application/json")), None);
        assert_eq!(form(Some("*/*;q=0")), None);
    }
}
