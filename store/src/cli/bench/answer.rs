//! Answers as they come off a connection: a parser that is given the bytes so far, and says how many more it needs.

use std::ops::Range;

/// Heads of answers hold no more.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;
/// The longest body: the largest answer to a read, with its metadata.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The line before a chunk, and lines after the last one.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// What a head says, as far as a load is interested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
    /// Where a read goes on.
    pub(super) next: Option<u64>,
    /// Nothing comes behind this answer.
    pub(super) closes: bool,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAnswer {
    #[error("its head is not HTTP/1.1: {0}")]
    Head(httparse::Error),
    #[error("its head is longer than {HEAD_BYTES_MAX} bytes")]
    LongHead,
    #[error("it does not say how long it is")]
    NoLength,
    #[error("its length is no number, or more than {BODY_BYTES_MAX} bytes")]
    Length,
    #[error("its chunks are malformed")]
    Chunks,
}

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of an answer, which needs at least so many bytes in all.
    Partial { needs: usize },
    /// An answer of `len` bytes.
    Whole { head: Head, body: Body, len: usize },
}

/// Where a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// In the bytes that were parsed.
    Here(Range<usize>),
    /// Put together from chunks, in [`Parser::joined`].
    Joined,
}

/// Parses one answer after the other. Until one is whole, each call gets all its bytes, from its first on.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    joined: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Head,
    Sized {
        head: Head,
        body_at: usize,
        len: usize,
    },
    /// Chunks before `at` are joined.
    Chunked {
        head: Head,
        at: usize,
        is_over: bool,
    },
}

impl Parser {
    /// Looks at the bytes of an answer.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, BadAnswer> {
        if let State::Head = self.state {
            match parse_head(bytes)? {
                Some(state) => self.state = state,
                None => return Ok(Parsed::Partial { needs: bytes.len() + 1 }),
            }
            self.joined.clear();
        }
        let parsed = match self.state {
            State::Head => Parsed::Partial { needs: bytes.len() + 1 },
            State::Sized { body_at, len, .. } if bytes.len() - body_at < len => {
                Parsed::Partial { needs: body_at + len }
            }
            State::Sized { head, body_at, len } => {
                Parsed::Whole { head, body: Body::Here(body_at..body_at + len), len: body_at + len }
            }
            State::Chunked { .. } => self.join(bytes)?,
        };
        if let Parsed::Whole { .. } = parsed {
            self.state = State::Head;
        }
        Ok(parsed)
    }

    /// The body of the answer that was whole last, where it came in chunks.
    pub(super) fn joined(&self) -> &[u8] {
        &self.joined
    }

    fn join(&mut self, bytes: &[u8]) -> Result<Parsed, BadAnswer> {
        let State::Chunked { head, at, is_over } = &mut self.state else { return Err(BadAnswer::Chunks) };
        loop {
            let rest = &bytes[*at..];
            if *is_over {
                // Lines behind the last chunk, up to an empty one.
                let Some(line) = line(rest)? else { return Ok(Parsed::Partial { needs: bytes.len() + 1 }) };
                *at += line;
                if line <= 2 {
                    return Ok(Parsed::Whole { head: *head, body: Body::Joined, len: *at });
                }
                continue;
            }
            if line(rest)?.is_none() {
                return Ok(Parsed::Partial { needs: bytes.len() + 1 });
            }
            let Ok(httparse::Status::Complete((from, len))) = httparse::parse_chunk_size(rest) else {
                return Err(BadAnswer::Chunks);
            };
            let len = usize::try_from(len).ok().filter(|len| len + self.joined.len() <= BODY_BYTES_MAX);
            let len = len.ok_or(BadAnswer::Length)?;
            if len == 0 {
                *at += from;
                *is_over = true;
                continue;
            }
            let Some(chunk) = rest.get(from..from + len + 2) else {
                return Ok(Parsed::Partial { needs: *at + from + len + 2 });
            };
            let data = chunk.strip_suffix(b"\r\n").ok_or(BadAnswer::Chunks)?;
            self.joined.extend_from_slice(data);
            *at += from + len + 2;
        }
    }
}

/// The length of a line with its end, where it is there.
fn line(bytes: &[u8]) -> Result<Option<usize>, BadAnswer> {
    match bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(end + 1)),
        None if bytes.len() >= LINE_BYTES_MAX => Err(BadAnswer::Chunks),
        None => Ok(None),
    }
}

/// What comes behind the head, where that is whole.
fn parse_head(bytes: &[u8]) -> Result<Option<State>, BadAnswer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let body_at = match response.parse(bytes).map_err(BadAnswer::Head)? {
        httparse::Status::Complete(body_at) => body_at,
        httparse::Status::Partial if bytes.len() >= HEAD_BYTES_MAX => return Err(BadAnswer::LongHead),
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or_default();
    let mut head = Head { status, closes: response.version == Some(0), ..Head::default() };
    let (mut len, mut is_chunked) = (None, false);
    for header in response.headers.iter() {
        let value = header.value;
        match header.name.len() {
            10 if is(header, "connection") => head.closes |= value.eq_ignore_ascii_case(b"close"),
            11 if is(header, "retry-after") => head.retry_after = number(value),
            13 if is(header, "logstore-next") => head.next = number(value),
            14 if is(header, "content-length") => {
                let said = number(value).and_then(|len| usize::try_from(len).ok());
                len = Some(said.filter(|len| *len <= BODY_BYTES_MAX).ok_or(BadAnswer::Length)?);
            }
            17 if is(header, "transfer-encoding") => is_chunked = value.eq_ignore_ascii_case(b"chunked"),
            _ => {}
        }
    }
    if is_chunked {
        return Ok(Some(State::Chunked { head, at: body_at, is_over: false }));
    }
    let is_empty = matches!(status, 100..=199 | 204 | 304);
    let len = if is_empty { 0 } else { len.ok_or(BadAnswer::NoLength)? };
    Ok(Some(State::Sized { head, body_at, len }))
}

fn is(header: &httparse::Header<'_>, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZED: &[u8] =
        b"HTTP/1.1 429 Too Many\r\ncontent-length: 5\r\nRetry-After: 7\r\nlogstore-next: 12\r\n\r\nhello";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\n";
    const EMPTY: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

    fn body(parser: &Parser, bytes: &[u8], body: &Body) -> Vec<u8> {
        match body {
            Body::Here(range) => bytes[range.clone()].to_vec(),
            Body::Joined => parser.joined().to_vec(),
        }
    }

    /// Gives the bytes in the pieces that end at these places; the answers with their bodies.
    fn answers(bytes: &[u8], ends: &[usize]) -> Vec<(Head, Vec<u8>)> {
        let (mut parser, mut from, mut found) = (Parser::default(), 0, Vec::new());
        for end in ends {
            while from < *end {
                match parser.parse(&bytes[from..*end]).unwrap() {
                    Parsed::Partial { needs } => {
                        assert!(needs > end - from, "more is needed than is there");
                        break;
                    }
                    Parsed::Whole { head, body: place, len } => {
                        found.push((head, body(&parser, &bytes[from..*end], &place)));
                        from += len;
                    }
                }
            }
        }
        assert_eq!(from, bytes.len(), "all bytes belong to an answer");
        found
    }

    #[test]
    fn answers_are_the_same_wherever_they_are_cut() {
        let all = [SIZED, CHUNKED, EMPTY, SIZED].concat();
        let sized = (Head { status: 429, retry_after: Some(7), next: Some(12), closes: false }, b"hello".to_vec());
        let chunked = (Head { status: 200, ..Head::default() }, b"wikipedia".to_vec());
        let empty = (Head { status: 204, closes: true, ..Head::default() }, Vec::new());
        let expected = [sized.clone(), chunked, empty, sized];
        for cut in 1..=all.len() {
            assert_eq!(answers(&all, &[cut, all.len()]), expected, "cut at {cut}");
        }
        let bytewise: Vec<_> = (1..=all.len()).collect();
        assert_eq!(answers(&all, &bytewise), expected);
    }

    #[test]
    fn an_answer_that_ends_early_is_never_whole() {
        for answer in [SIZED, CHUNKED, EMPTY] {
            for end in 0..answer.len() {
                let parsed = Parser::default().parse(&answer[..end]);
                assert!(matches!(parsed, Ok(Parsed::Partial { .. })), "{end}: {parsed:?}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let parse = |text: &str| Parser::default().parse(text.as_bytes());
        assert!(matches!(parse("SSH-2.0-OpenSSH\r\n"), Err(BadAnswer::Head(_))));
        assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\n"), Err(BadAnswer::NoLength));
        for len in ["x", "-1", "99999999999999999999", "1000000000000"] {
            assert_eq!(parse(&format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n")), Err(BadAnswer::Length));
        }
        let chunked = |body: &str| parse(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        assert_eq!(chunked("zz\r\n"), Err(BadAnswer::Chunks));
        assert_eq!(chunked("2\r\nabcd"), Err(BadAnswer::Chunks));
        assert_eq!(chunked("ffffffffff\r\n"), Err(BadAnswer::Length));
        assert_eq!(parse(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX))), Err(BadAnswer::LongHead));
    }
}
