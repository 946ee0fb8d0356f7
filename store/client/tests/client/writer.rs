//! Appending through a writer whose copies are all well.

use std::time::Duration;

use bytes::Bytes;
use logstore_api::limits::{RECORD_BYTES_MAX, TAGS_MAX};
use logstore_api::{Code, Durability};
use logstore_client::{Record, WriteError, Writer, WriterOptions};

use crate::support::copy::{Endpoint, FakeCopy};
use crate::support::{orders, until, writer_options};

async fn open(copies: &[FakeCopy], options: WriterOptions) -> Writer {
    Writer::open(copies.iter().map(FakeCopy::store).collect(), orders(), options).await.unwrap()
}

fn batch(payloads: &[&'static str]) -> Vec<Record> {
    payloads.iter().map(|payload| Record::new(*payload)).collect()
}

#[tokio::test]
async fn offsets_are_dense_and_the_same_on_all_copies() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    let first = writer.append(&batch(&["a", "b"])).await.unwrap();
    let second = writer.append(&batch(&["c"])).await.unwrap();
    assert_eq!((first.offset, first.count, second.offset, second.count), (0, 2, 2, 1));
    assert!(second.time >= first.time);
    writer.close().await.unwrap();
    assert_eq!(copies[0].records(), [b"a", b"b", b"c"]);
    assert_eq!(copies[0].frames(), copies[1].frames());
}

#[tokio::test]
async fn a_record_is_acknowledged_only_when_all_copies_hold_it() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    until("confirmed has gone out", || copies.iter().all(|copy| copy.confirmed() == 1)).await;
    copies[1].hold();
    let mut pending = writer.submit(&batch(&["a"])).await.unwrap();
    until("the first copy holds it", || copies[0].next_frame() == 2).await;
    let early = tokio::time::timeout(Duration::from_millis(50), &mut pending).await;
    assert!(early.is_err(), "acknowledged by one copy alone: {early:?}");
    assert_eq!(copies[0].confirmed(), 1);
    copies[1].release();
    pending.await.unwrap();
    assert_eq!(copies[1].next_frame(), 2);
}

#[tokio::test]
async fn what_waits_goes_together_in_order() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    until("confirmed has gone out", || copies.iter().all(|copy| copy.confirmed() == 1)).await;
    copies[0].hold();
    let mut pending = Vec::new();
    for _ in 0..50 {
        pending.push(writer.submit(&batch(&["x"])).await.unwrap());
    }
    copies[0].release();
    for (offset, pending) in (0..).zip(pending) {
        assert_eq!(pending.await.unwrap().offset, offset);
    }
    let counts: Vec<_> = copies[0].places().iter().map(|place| place.count).filter(|count| *count > 0).collect();
    assert_eq!(counts.iter().sum::<u64>(), 51, "the epoch-start and each record once");
    assert!(counts.len() <= 3, "the epoch-start, what went at once, and all that waited for its answer: {counts:?}");
}

#[tokio::test]
async fn confirmed_is_told_when_the_pipe_runs_empty() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    writer.append(&batch(&["a"])).await.unwrap();
    until("all copies know", || copies.iter().all(|copy| copy.confirmed() == 2)).await;
}

#[tokio::test]
async fn confirmed_is_told_to_all_before_close_returns() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    let pending = writer.submit(&batch(&["a"])).await.unwrap();
    writer.close().await.unwrap();
    assert!(copies.iter().all(|copy| copy.confirmed() == 2));
    assert_eq!(pending.await.unwrap().offset, 0);
}

/// A copy that is restarted while nothing goes on forgets what is confirmed, and the writer cannot know.
#[tokio::test]
async fn a_copy_that_forgot_it_unnoticed_is_told_at_the_end() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    writer.append(&batch(&["a"])).await.unwrap();
    until("all copies know", || copies.iter().all(|copy| copy.confirmed() == 2)).await;
    // The copies know, but their answers may still be on the way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    copies[1].restart_with(2);
    writer.close().await.unwrap();
    assert_eq!(copies[1].confirmed(), 2);
}

#[tokio::test]
async fn submit_waits_for_room_in_the_window() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, WriterOptions { window_bytes: 1_000, ..writer_options() }).await;
    copies[1].hold();
    let record = [Record::new(vec![b'x'; 300])];
    let mut pending = Vec::new();
    for _ in 0..2 {
        pending.push(writer.submit(&record).await.unwrap());
    }
    let third = writer.submit(&record);
    let mut third = std::pin::pin!(third);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut third).await.is_err(), "400 bytes each do not fit");
    assert_eq!(writer.status().next_frame, 3);
    copies[1].release();
    third.await.unwrap().await.unwrap();
    // A frame that is larger than the window goes alone.
    writer.append(&[Record::new(vec![b'x'; 5_000])]).await.unwrap();
}

#[tokio::test]
async fn what_is_over_a_bound_is_refused_before_anything_is_sent() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    until("confirmed has gone out", || copies.iter().all(|copy| copy.confirmed() == 1)).await;
    let places = copies[0].places().len();
    let tagged = Record { tags: vec!["t".to_owned(); TAGS_MAX + 1], ..Record::new("x") };
    for (records, code) in [
        (vec![], Code::InvalidArgument),
        (vec![Record::new(Bytes::from(vec![0; RECORD_BYTES_MAX + 1]))], Code::RecordTooLarge),
        (vec![tagged], Code::TooManyTags),
    ] {
        match writer.append(&records).await {
            Err(WriteError::Invalid(invalid)) => assert_eq!(invalid.code(), code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(copies[0].places().len(), places);
    assert_eq!(writer.append(&batch(&["a"])).await.unwrap().offset, 0, "no offset was used up");
}

#[tokio::test]
async fn a_trim_has_its_place_in_the_order() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    writer.append(&batch(&["a", "b"])).await.unwrap();
    writer.trim(2).await.unwrap();
    assert!(matches!(writer.trim(3).await, Err(WriteError::BeyondEnd { before: 3, end: 2 })));
    assert_eq!(writer.append(&batch(&["c"])).await.unwrap().offset, 2);
    writer.close().await.unwrap();
    for copy in &copies {
        assert_eq!((copy.with(|log| log.trims()), copy.next_frame()), (vec![2], 4));
    }
}

#[tokio::test]
async fn the_level_is_the_namespaces_unless_the_writer_was_told_another() {
    let copies = FakeCopy::pair().await;
    let levels = |copy: &FakeCopy| copy.places().iter().map(|place| place.durability.clone()).collect::<Vec<_>>();
    open(&copies, writer_options()).await.close().await.unwrap();
    assert!(levels(&copies[0]).iter().all(|level| level == "synced"));
    copies[0].with(|log| log.places.clear());
    let written = WriterOptions { durability: Some(Durability::Written), ..writer_options() };
    open(&copies, written).await.close().await.unwrap();
    assert!(levels(&copies[0]).iter().all(|level| level == "written"));
}

#[tokio::test]
async fn a_dropped_writer_leaves_what_was_out_unknown() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    copies[1].hold();
    let pending = writer.submit(&batch(&["a"])).await.unwrap();
    drop(writer);
    assert!(matches!(pending.await, Err(WriteError::Unknown(_))));
}

#[tokio::test]
async fn one_request_at_a_time_goes_to_a_copy_that_is_well() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    for _ in 0..20 {
        writer.append(&batch(&["x"])).await.unwrap();
    }
    writer.close().await.unwrap();
    let calls = copies[0].calls();
    assert_eq!(calls[..2], [Endpoint::Look, Endpoint::Fence]);
    assert!(calls[2..].iter().all(|call| *call == Endpoint::Place));
    let places = copies[0].places();
    let placed: u64 = places.iter().map(|place| place.count).sum();
    assert_eq!(placed, 21, "no frame was sent twice");
}
