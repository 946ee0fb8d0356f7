//! Requests as bytes: all that is the same in each is rendered once for each namespace.

use logstore_api::{Durability, MEDIA_FRAMES, NamespaceName};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The most that an answer may hold, which every read of many records asks for.
const MANY_BYTES_MAX: usize = logstore_api::limits::READ_BYTES_MAX;

/// The beginnings of requests to each namespace.
pub(super) type Heads = Vec<Box<[u8]>>;

/// Makes beginnings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renderer<'a> {
    /// `host:port`, as the address has it.
    pub(super) host: &'a str,
    pub(super) namespaces: &'a [NamespaceName],
}

impl Renderer<'_> {
    /// Appends with a body of this length: all lines but those of a producer, and the empty one.
    pub(super) fn appends(&self, durability: Durability, body_bytes: usize, is_batch: bool) -> Heads {
        let durability = match durability {
            Durability::Written => "written",
            Durability::Synced => "synced",
        };
        let kind = if is_batch { format!("Content-Type: {MEDIA_FRAMES}\r\n") } else { String::new() };
        let rest = format!("Content-Length: {body_bytes}\r\n{kind}");
        self.heads("POST", &format!("/records?durability={durability} HTTP/1.1\r\nHost: {}\r\n{rest}", self.host))
    }

    /// Reads of one record: up to its offset, which [`record_end`](Self::record_end) follows.
    pub(super) fn records(&self) -> Heads {
        self.heads("GET", "/records/")
    }

    pub(super) fn record_end(&self) -> Box<[u8]> {
        format!(" HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).into_bytes().into()
    }

    /// Reads of many records by their offsets: up to the length of the body.
    pub(super) fn many(&self) -> Heads {
        let rest = format!(
            "/records/get?max_bytes={MANY_BYTES_MAX} HTTP/1.1\r\nHost: {}\r\nAccept: {MEDIA_FRAMES}\r\n\
             Content-Type: application/json\r\nContent-Length: ",
            self.host
        );
        self.heads("POST", &rest)
    }

    /// Reads of ranges: up to the number of the first record wanted, which more parameters and
    /// [`page_end`](Self::page_end) follow.
    pub(super) fn pages(&self) -> Heads {
        self.heads("GET", "/records?from=")
    }

    pub(super) fn page_end(&self) -> Box<[u8]> {
        format!(" HTTP/1.1\r\nHost: {}\r\nAccept: {MEDIA_FRAMES}\r\n\r\n", self.host).into_bytes().into()
    }

    fn heads(&self, method: &str, rest: &str) -> Heads {
        let head = |name: &NamespaceName| {
            let name = utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC);
            format!("{method} /v1/namespaces/{name}{rest}").into_bytes().into()
        };
        self.namespaces.iter().map(head).collect()
    }
}

/// Puts a number in decimal digits behind what is there.
pub(super) fn put_number(number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut at, mut left) = ([0; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The decimal number that stands behind a prefix.
pub(super) fn number_behind(prefix: &[u8], bytes: &[u8]) -> Option<u64> {
    let digits = bytes.strip_prefix(prefix)?;
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&digits[..len]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_and_read_back() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut out = b"{\"offset\":".to_vec();
            put_number(number, &mut out);
            assert_eq!(out, format!("{{\"offset\":{number}").into_bytes());
            out.extend(b",\"count\":1}");
            assert_eq!(number_behind(b"{\"offset\":", &out), Some(number));
        }
        assert_eq!(number_behind(b"x", b"x"), None);
    }

    #[test]
    fn a_name_cannot_leave_its_place() {
        let namespaces = [NamespaceName::parse("a b/\u{fc}?").unwrap()];
        let heads = Renderer { host: "h:1", namespaces: &namespaces }.appends(Durability::Written, 5, false);
        let expected = "POST /v1/namespaces/a%20b%2F%C3%BC%3F/records?durability=written HTTP/1.1\r\nHost: h:1\r\n\
                        Content-Length: 5\r\n";
        assert_eq!(String::from_utf8_lossy(&heads[0]), expected);
    }
}
