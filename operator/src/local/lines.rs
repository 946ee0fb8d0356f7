//! What a store process writes, line by line, with the name of its copy in front.

use std::io::Write;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use crate::build::CopyName;

/// A longer line is passed on in pieces, so that no line fills the memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads to the end, and gives each line, without its end, to `take`. An error ends it like the end does: the process
/// is gone.
pub(super) async fn each_line(mut reader: impl AsyncBufRead + Unpin, mut take: impl FnMut(&str)) {
    let mut line = Vec::new();
    loop {
        let buffer = match reader.fill_buf().await {
            Ok(buffer) if !buffer.is_empty() => buffer,
            Ok(_) | Err(_) => break,
        };
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let room = LINE_BYTES_MAX - line.len();
        let taken = end.unwrap_or(buffer.len()).min(room);
        line.extend_from_slice(&buffer[..taken]);
        let is_whole = end == Some(taken);
        reader.consume(taken + usize::from(is_whole));
        if is_whole || line.len() == LINE_BYTES_MAX {
            take(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    if !line.is_empty() {
        take(&String::from_utf8_lossy(&line));
    }
}

/// Passes a line on. Where nobody reads, there is nobody to tell.
pub(super) fn pass_on(copy: CopyName, line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "[{copy}] {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(text, |line| lines.push(line.to_owned())).await;
        lines
    }

    #[tokio::test]
    async fn lines_come_whole_and_the_last_one_too() {
        assert_eq!(lines(b"one\n\ntwo\nthree").await, ["one", "", "two", "three"]);
        assert_eq!(lines(b"").await, Vec::<String>::new());
        assert_eq!(lines(b"bad \xff\n").await, ["bad \u{fffd}"]);
    }

    #[tokio::test]
    async fn a_long_line_comes_in_pieces() {
        let long = [vec![b'x'; LINE_BYTES_MAX + 10], b"\nnext\n".to_vec()].concat();
        let lengths: Vec<usize> = lines(&long).await.iter().map(String::len).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, 10, 4]);
        let exact = [vec![b'x'; LINE_BYTES_MAX], b"\n".to_vec()].concat();
        assert_eq!(lines(&exact).await.len(), 1, "a line of exactly the limit is one line");
    }
}
