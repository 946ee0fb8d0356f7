use std::collections::VecDeque;

use super::*;

/// A pipe: each read brings one piece.
struct Pieces(VecDeque<&'static [u8]>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.pop_front() else { return Ok(0) };
        if piece == b"!" {
            return Err(io::Error::other("pulled out"));
        }
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

fn plain() -> Shape {
    Shape::Payload { key: None, tags: Vec::new() }
}

fn lines(pieces: &[&'static [u8]], shape: Shape, records_max: usize) -> Lines<Pieces> {
    Lines::new(Pieces(pieces.iter().copied().collect()), shape, records_max)
}

/// First line and payloads of each batch, and the error at the end.
fn batches<R: Read>(mut lines: Lines<R>) -> (Vec<(u64, Vec<String>)>, Option<String>) {
    let mut batches = Vec::new();
    while let Some(batch) = lines.next_batch() {
        match batch {
            Ok(Batch { first_line, records, .. }) => {
                let text = |record: Record| String::from_utf8(record.data.to_vec()).unwrap();
                batches.push((first_line, records.into_iter().map(text).collect()));
            }
            Err(error) => return (batches, Some(error.to_string())),
        }
    }
    (batches, None)
}

fn batch(first_line: u64, payloads: &[&str]) -> (u64, Vec<String>) {
    (first_line, payloads.iter().map(|payload| (*payload).to_owned()).collect())
}

#[test]
fn each_line_is_a_record_without_its_end() {
    let (got, error) = batches(lines(&[b"a\n\nb\r\nc\r", b"\nlast"], plain(), 10));
    assert_eq!((got, error), (vec![batch(1, &["a", "", "b"]), batch(4, &["c"]), batch(5, &["last"])], None));
    assert_eq!(batches(lines(&[], plain(), 10)), (vec![], None));
}

#[test]
fn what_is_there_goes_without_waiting_for_more() {
    let mut lines = lines(&[b"a\nb\nc", b"d\n"], plain(), 10);
    assert_eq!(lines.next_batch().unwrap().unwrap().records.len(), 2, "the third line is not whole yet");
    assert_eq!(lines.next_batch().unwrap().unwrap().records, [Record::new("cd")]);
    assert!(lines.next_batch().is_none());
}

#[test]
fn a_batch_holds_no_more_records_than_it_may() {
    let (got, _) = batches(lines(&[b"a\nb\nc\n"], plain(), 2));
    assert_eq!(got, [batch(1, &["a", "b"]), batch(3, &["c"])]);
}

#[test]
fn a_line_that_would_make_the_batch_too_large_begins_the_next() {
    let large = "x".repeat(BATCH_BYTES_MAX) + "\n";
    let input = format!("a\nb\n{large}c\n");
    let sizes: Vec<_> = {
        let mut lines = Lines::new(input.as_bytes(), plain(), 100);
        std::iter::from_fn(|| lines.next_batch()).map(|batch| batch.unwrap()).collect()
    };
    let shapes: Vec<_> = sizes.iter().map(|batch| (batch.first_line, batch.records.len(), batch.bytes)).collect();
    assert_eq!(shapes, [(1, 2, 4), (3, 1, BATCH_BYTES_MAX as u64 + 1), (4, 1, 2)]);
}

#[test]
fn the_lines_before_a_bad_one_are_not_lost() {
    let (got, error) = batches(lines(&[b"{\"data\": \"a\"}\n{\"dta\": 1}\n{\"data\": \"c\"}\n"], Shape::Envelope, 10));
    assert_eq!(got, [batch(1, &["a"])]);
    assert!(error.unwrap().starts_with("input line 2 is no envelope: unknown field `dta`"));
    let (got, error) = batches(lines(&[b"a\n", b"!"], plain(), 10));
    assert_eq!((got, error.as_deref()), (vec![batch(1, &["a"])], Some("failed to read the input after line 1")));
}

#[test]
fn a_line_beyond_the_limit_ends_the_input_without_being_read_whole() {
    let largest = vec![b'x'; RECORD_BYTES_MAX];
    let input = [&largest[..], b"\r\n", &largest, b"xxx\n"].concat();
    let mut lines = Lines::new(&input[..], plain(), 10);
    assert_eq!(lines.next_batch().unwrap().unwrap().records[0].data.len(), RECORD_BYTES_MAX);
    assert!(matches!(lines.next_batch(), Some(Err(InputError::TooLong { line: 2, .. }))));
    assert!(lines.next_batch().is_none());
}

#[test]
fn envelopes_carry_key_tags_values_and_reserved_bytes() {
    let line = br#"{"data_b64": "/w==", "key": "k", "tags": ["t"], "indices": {"price": -1}, "alloc": 9}"#;
    let record = parse_envelope(line).unwrap();
    let expected = Record {
        alloc: 9,
        key: Some("k".into()),
        tags: vec!["t".into()],
        indices: [("price".to_owned(), -1)].into(),
        ..Record::new(&b"\xff"[..])
    };
    assert_eq!(record, expected);
    assert!(parse_envelope(br#"{"data": "x", "indices": {"price": 1.5}}"#).unwrap_err().contains("indices.price"));
    assert!(parse_envelope(b"").is_err());
}

#[tokio::test]
async fn a_stopped_input_gives_what_was_read_and_ends() {
    let mut input = Input::start(&b"a\nb\n"[..], None, plain(), 1).unwrap();
    let first = input.next().await.unwrap().unwrap();
    assert_eq!((first.first_line, first.next_line()), (1, 2));
    // The second line is read ahead at some moment: it comes, and then the end.
    while input.batches.is_empty() {
        tokio::task::yield_now().await;
    }
    input.stop();
    assert_eq!(input.next().await.unwrap().unwrap().records, [Record::new("b")]);
    assert!(input.next().await.is_none());
}
