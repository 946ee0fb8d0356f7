//! Taking a namespace over: all copies fenced, all brought to the longest log, and only then a reign.

use logstore_api::fence::Reign;
use logstore_api::{Code, Problem};
use logstore_client::{Record, Store, Timeouts, Writer, WriterError, WriterOptions};
use uuid::Uuid;

use crate::support::copy::{Endpoint, FakeCopy, Fault};
use crate::support::{HASTY, orders, until, writer_options};

async fn open(copies: &[FakeCopy]) -> Result<Writer, WriterError> {
    Writer::open(copies.iter().map(FakeCopy::store).collect(), orders(), writer_options()).await
}

fn hasty() -> WriterOptions {
    WriterOptions { retries: HASTY, ..writer_options() }
}

#[tokio::test]
async fn copies_are_brought_to_the_longest_log_before_anything_new() {
    let copies = [FakeCopy::start().await, FakeCopy::start().await, FakeCopy::start().await];
    for (copy, count) in copies.iter().zip([2, 5, 0]) {
        ["zero", "one", "two", "three", "four"][..count].iter().for_each(|payload| copy.put(1, payload));
    }
    let writer = open(&copies).await.unwrap();
    let acked = writer.append(&[Record::new("five")]).await.unwrap();
    assert_eq!((acked.offset, acked.count), (5, 1));
    writer.close().await.unwrap();
    for copy in &copies {
        assert_eq!(copy.records(), [b"zero" as &[u8], b"one", b"two", b"three", b"four", b"five"]);
        assert_eq!(copy.frames(), copies[0].frames());
        assert_eq!(copy.confirmed(), 7, "five records, the epoch-start, and the new one");
    }
}

#[tokio::test]
async fn an_epoch_is_above_all_that_was_there() {
    let copies = FakeCopy::pair().await;
    copies[0].put(4, "old");
    copies[1].with(|log| log.reign = Some(Reign { epoch: 9, writer: Uuid::nil(), label: "before".to_owned() }));
    let writer = open(&copies).await.unwrap();
    assert_eq!(writer.reign().epoch, 10);
    for copy in &copies {
        assert_eq!(copy.reign().as_ref(), Some(writer.reign()));
    }
}

#[tokio::test]
async fn nothing_is_fenced_before_all_copies_answer() {
    let copies = FakeCopy::pair().await;
    copies[1].server.go_away();
    let stores = copies.iter().map(FakeCopy::store).collect();
    let error = Writer::open(stores, orders(), hasty()).await.unwrap_err();
    assert!(matches!(&error, WriterError::Away { copy, .. } if *copy == copies[1].url()), "{error}");
    assert_eq!(copies[0].reign(), None, "a writer that works is left in peace");
}

#[tokio::test]
async fn a_copy_that_is_not_there_yet_is_waited_for() {
    let copies = FakeCopy::pair().await;
    let starting = Problem::new(Code::Recovering, "still reading");
    copies[0].script(Endpoint::Look, [Fault::Refuse(Box::new(starting)), Fault::DropRequest]);
    copies[1].script(Endpoint::Fence, [Fault::DropAnswer]);
    open(&copies).await.unwrap();
}

#[tokio::test]
async fn nobody_listening_is_reported_with_its_address() {
    let copy = FakeCopy::start().await;
    let nobody = Store::with_timeouts("http://127.0.0.1:1", Timeouts::default()).unwrap();
    let error = Writer::open(vec![copy.store(), nobody], orders(), hasty()).await.unwrap_err();
    assert!(error.to_string().starts_with("http://127.0.0.1:1 did not take part for "), "{error}");
}

#[tokio::test]
async fn logs_of_the_same_length_that_differ_are_reported_and_left_alone() {
    let copies = FakeCopy::pair().await;
    copies[0].put(1, "one");
    copies[1].put(1, "other");
    let error = open(&copies).await.unwrap_err();
    assert!(matches!(error, WriterError::Diverged { .. }), "{error}");
    assert!(copies.iter().all(|copy| copy.places().is_empty()));
}

/// The shorter log is no beginning of the longer one. Nothing tells but the frame before the seam.
#[tokio::test]
async fn a_shorter_log_that_differs_is_reported_and_left_alone() {
    let copies = FakeCopy::pair().await;
    for (copy, payloads) in copies.iter().zip([["one", "two"].as_slice(), &["other"]]) {
        payloads.iter().for_each(|payload| copy.put(1, payload));
    }
    let error = open(&copies).await.unwrap_err();
    assert!(matches!(&error, WriterError::Diverged { copy, .. } if *copy == copies[1].url()), "{error}");
    assert_eq!(copies[1].records(), [b"other"]);
    assert_eq!(copies[0].next_frame(), 2, "no epoch-start where the copies are not equal");
}

#[tokio::test]
async fn a_copy_that_ends_where_the_other_now_begins_is_filled() {
    let copies = FakeCopy::pair().await;
    ["one", "two", "three"].iter().for_each(|payload| copies[0].put(1, payload));
    copies[1].put(1, "one");
    copies[0].with(|log| log.first_frame = 1);
    open(&copies).await.unwrap().close().await.unwrap();
    assert_eq!(copies[1].frames(), copies[0].frames());
}

#[tokio::test]
async fn a_copy_that_misses_what_the_other_has_dropped_needs_repair() {
    let copies = FakeCopy::pair().await;
    ["one", "two", "three"].iter().for_each(|payload| copies[0].put(1, payload));
    copies[0].with(|log| log.first_frame = 2);
    let error = open(&copies).await.unwrap_err();
    assert!(matches!(&error, WriterError::CannotFill { copy, frame: 0, .. } if *copy == copies[1].url()), "{error}");
}

#[tokio::test]
async fn what_are_no_copies_of_each_other_is_not_written_to() {
    let [a, b] = FakeCopy::pair().await;
    let error = Writer::open(vec![a.store(), a.store()], orders(), writer_options()).await.unwrap_err();
    assert!(matches!(error, WriterError::SameStore { .. }), "{error}");
    b.with(|log| log.incarnation = Uuid::from_u128(8));
    let copies = [a, b];
    let error = open(&copies).await.unwrap_err();
    assert!(matches!(error, WriterError::OtherIncarnation { .. }), "{error}");
    assert!(copies.iter().all(|copy| copy.reign().is_none()), "nobody's reign was ended for that");
    let error = Writer::open(Vec::new(), orders(), writer_options()).await.unwrap_err();
    assert!(matches!(error, WriterError::NoCopies), "{error}");
}

#[tokio::test]
async fn an_unknown_namespace_ends_the_takeover_at_once() {
    let copies = FakeCopy::pair().await;
    let unknown = Problem::new(Code::NamespaceNotFound, "no namespace orders");
    copies[1].script(Endpoint::Look, [Fault::Refuse(Box::new(unknown))]);
    let error = open(&copies).await.unwrap_err();
    assert!(matches!(&error, WriterError::Refused { source, .. } if source.is(Code::NamespaceNotFound)), "{error}");
}

#[tokio::test]
async fn a_rival_that_was_faster_is_overtaken_by_a_higher_epoch() {
    let copies = FakeCopy::pair().await;
    let rival = Reign { epoch: 1, writer: Uuid::from_u128(1), label: "rival".to_owned() };
    // Between the look and the fence of copy b, the rival fences it under the same number.
    let refusal = Problem::new(Code::Fenced, "another writer").with("writer", serde_json::to_value(&rival).unwrap());
    copies[1].script(Endpoint::Fence, [Fault::Refuse(Box::new(refusal))]);
    let writer = open(&copies).await.unwrap();
    assert_eq!(writer.reign().epoch, 2);
}

#[tokio::test]
async fn of_many_writers_one_remains_and_the_others_name_who_was_faster() {
    let copies = FakeCopy::pair().await;
    let (first, second) = tokio::join!(open(&copies), open(&copies));
    let mut acked = Vec::new();
    for writer in [&first, &second].into_iter().flatten() {
        match writer.append(&[Record::new("x")]).await {
            Ok(_) => acked.push(writer.reign().clone()),
            Err(error) => {
                let winner = match error.writer_error() {
                    Some(WriterError::Fenced { winner: Some(winner), .. }) => winner.clone(),
                    other => panic!("{other:?}"),
                };
                assert!(winner.epoch > writer.reign().epoch);
            }
        }
    }
    assert_eq!(acked.len(), 1);
    assert_eq!(copies[0].reign().as_ref(), acked.first());
    until("both copies are equal", || copies[0].frames() == copies[1].frames()).await;
}
