//! A writer whose copies fail under it.

use std::time::Duration;

use logstore_api::{Code, Problem};
use logstore_client::error::chain;
use logstore_client::{Record, WriteError, Writer, WriterError, WriterOptions};
use uuid::Uuid;

use crate::support::copy::{Endpoint, FakeCopy, Fault};
use crate::support::{HASTY, orders, until, writer_options};

async fn open(copies: &[FakeCopy], options: WriterOptions) -> Writer {
    let writer = Writer::open(copies.iter().map(FakeCopy::store).collect(), orders(), options).await.unwrap();
    until("confirmed has gone out", || copies.iter().all(|copy| copy.confirmed() == copy.next_frame())).await;
    writer
}

fn hasty() -> WriterOptions {
    WriterOptions { retries: HASTY, ..writer_options() }
}

fn record(payload: &str) -> [Record; 1] {
    [Record::new(payload.to_owned())]
}

fn assert_equal(copies: &[FakeCopy], payloads: &[&str]) {
    for copy in copies {
        assert_eq!(copy.records(), payloads.iter().map(|payload| payload.as_bytes()).collect::<Vec<_>>());
        assert_eq!(copy.frames(), copies[0].frames());
    }
}

fn stopped_by(result: Result<impl std::fmt::Debug, WriteError>) -> WriterError {
    match result {
        Err(WriteError::Unknown(error)) => error,
        other => panic!("expected an unknown outcome, got {other:?}"),
    }
}

#[tokio::test]
async fn a_lost_answer_doubles_nothing() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    copies[1].script(Endpoint::Place, [Fault::DropAnswer]);
    let acked = writer.append(&record("a")).await.unwrap();
    assert_eq!((acked.offset, acked.count), (0, 1));
    copies[0].script(Endpoint::Place, [Fault::DropRequest, Fault::DropAnswer]);
    assert_eq!(writer.append(&record("b")).await.unwrap().offset, 1);
    writer.close().await.unwrap();
    assert_equal(&copies, &["a", "b"]);
}

#[tokio::test]
async fn an_answer_that_names_fewer_frames_than_were_sent_is_no_success() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    copies[1].script(Endpoint::Place, [Fault::Understate(1)]);
    writer.append(&record("a")).await.unwrap();
    assert_equal(&copies, &["a"]);
}

/// The place whose answer was lost is written only after the copy was asked where it stands, and placed on again.
#[tokio::test]
async fn a_place_that_comes_late_is_the_same_place() {
    let copies = FakeCopy::pair().await;
    let stores = copies.iter().map(|copy| copy.store_within(Duration::from_millis(100))).collect();
    let writer = Writer::open(stores, orders(), writer_options()).await.unwrap();
    copies[1].hold();
    let pending = writer.submit(&record("a")).await.unwrap();
    let fences = || copies[1].calls().iter().filter(|call| **call == Endpoint::Fence).count();
    until("the copy was fenced again", || fences() == 3).await;
    copies[1].release();
    assert_eq!(pending.await.unwrap().offset, 0);
    writer.close().await.unwrap();
    assert_equal(&copies, &["a"]);
    assert!(copies[1].places().iter().filter(|place| place.first == 1 && place.count == 1).count() > 1);
}

#[tokio::test]
async fn a_copy_that_was_away_gets_what_it_missed() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    writer.append(&record("a")).await.unwrap();
    copies[1].server.go_away();
    let mut pending = Vec::new();
    for payload in ["b", "c", "d"] {
        pending.push(writer.submit(&record(payload)).await.unwrap());
    }
    until("the trouble shows", || writer.status().copies[1].trouble.is_some()).await;
    assert_eq!(copies[1].records(), [b"a"]);
    copies[1].server.come_back();
    for (offset, pending) in (1..).zip(pending) {
        assert_eq!(pending.await.unwrap().offset, offset);
    }
    assert_eq!(writer.status().copies[1].trouble, None);
    writer.close().await.unwrap();
    assert_equal(&copies, &["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_copy_that_comes_back_with_less_than_the_window_is_filled_by_a_sibling() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    for payload in ["a", "b", "c"] {
        writer.append(&record(payload)).await.unwrap();
    }
    copies[1].restart_with(2);
    assert_eq!(writer.append(&record("d")).await.unwrap().offset, 3);
    assert!(copies[0].calls().contains(&Endpoint::Frames), "what it lost was acknowledged, and left the window");
    writer.close().await.unwrap();
    assert_equal(&copies, &["a", "b", "c", "d"]);
    assert_eq!(copies[1].confirmed(), 5);
}

/// It was restarted between two requests, so that no connection broke: the next place does not fit, and that is all.
#[tokio::test]
async fn a_copy_that_was_restarted_unnoticed_is_asked_where_it_stands() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    writer.append(&record("a")).await.unwrap();
    until("confirmed has gone out", || copies.iter().all(|copy| copy.confirmed() == 2)).await;
    copies[1].lose(1);
    writer.append(&record("b")).await.unwrap();
    writer.close().await.unwrap();
    assert_equal(&copies, &["a", "b"]);
}

#[tokio::test]
async fn a_fill_goes_on_where_it_was_interrupted() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    for payload in ["a", "b", "c"] {
        writer.append(&record(payload)).await.unwrap();
    }
    copies[0].script(Endpoint::Frames, [Fault::DropRequest, Fault::Serve, Fault::DropAnswer]);
    copies[1].script(Endpoint::Fence, [Fault::Serve, Fault::DropAnswer]);
    copies[1].restart_with(0);
    writer.append(&record("d")).await.unwrap();
    writer.close().await.unwrap();
    assert_equal(&copies, &["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_copy_that_comes_back_with_other_frames_is_reported() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    writer.append(&record("a")).await.unwrap();
    until("confirmed has gone out", || copies.iter().all(|copy| copy.confirmed() == 2)).await;
    copies[1].restart_with(1);
    copies[1].put(1, "forged");
    let error = stopped_by(writer.append(&record("b")).await);
    assert!(matches!(&error, WriterError::Diverged { copy, .. } if *copy == copies[1].url()), "{error}");
}

#[tokio::test]
async fn a_copy_that_comes_back_ahead_is_reported() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    copies[1].script(Endpoint::Place, [Fault::DropRequest]);
    ["x", "y", "z"].iter().for_each(|payload| copies[1].put(1, payload));
    let error = stopped_by(writer.append(&record("a")).await);
    assert!(matches!(&error, WriterError::Diverged { copy, .. } if *copy == copies[1].url()), "{error}");
}

#[tokio::test]
async fn a_fenced_writer_stops_at_once_and_names_the_winner() {
    let copies = FakeCopy::pair().await;
    let loser = open(&copies, writer_options()).await;
    loser.append(&record("a")).await.unwrap();
    let winner = open(&copies, WriterOptions { label: "the other".to_owned(), ..writer_options() }).await;
    let error = stopped_by(loser.append(&record("lost")).await);
    match &error {
        WriterError::Fenced { winner: Some(named), .. } => assert_eq!(named, winner.reign()),
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains("\"the other\""), "{error}");
    let refused = loser.append(&record("later")).await;
    assert!(matches!(refused, Err(WriteError::Stopped(WriterError::Fenced { .. }))), "nothing was sent: {refused:?}");
    assert!(matches!(loser.close().await, Err(WriterError::Fenced { .. })));
    assert_eq!(winner.append(&record("b")).await.unwrap().offset, 1);
    winner.close().await.unwrap();
    assert_equal(&copies, &["a", "b"]);
}

#[tokio::test]
async fn whoever_waits_for_room_is_told_that_nothing_was_sent() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, WriterOptions { window_bytes: 1, ..writer_options() }).await;
    copies[1].hold();
    let out = writer.submit(&record("a")).await.unwrap();
    let second = record("b");
    let waiting = writer.submit(&second);
    let refusal = Problem::new(Code::NamespaceReadOnly, "read-only now");
    copies[1].script(Endpoint::Place, [Fault::Refuse(Box::new(refusal))]);
    copies[1].release();
    let (out, waiting) = tokio::join!(out, waiting);
    assert!(matches!(stopped_by(out), WriterError::Refused { .. }));
    assert!(matches!(waiting, Err(WriteError::Stopped(WriterError::Refused { .. }))));
}

#[tokio::test]
async fn a_full_disk_is_waited_out_and_then_named() {
    let full = || Fault::Refuse(Box::new(Problem::new(Code::DiskFull, "no space left")));
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, hasty()).await;
    copies[1].script(Endpoint::Place, [full(), full()]);
    writer.append(&record("a")).await.unwrap();
    until("confirmed has gone out", || copies.iter().all(|copy| copy.confirmed() == 2)).await;
    copies[1].leave_to_chance(move |endpoint| if endpoint == Endpoint::Place { full() } else { Fault::Serve });
    let error = stopped_by(writer.append(&record("b")).await);
    assert!(matches!(&error, WriterError::Away { copy, .. } if *copy == copies[1].url()), "{error}");
    assert!(chain(&error).contains("no space left (disk_full)"), "{}", chain(&error));
}

/// The copy answers every fence and fails every place: only the places count.
#[tokio::test]
async fn patience_ends_with_a_copy_that_only_answers_fences() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, hasty()).await;
    copies[0].leave_to_chance(|endpoint| if endpoint == Endpoint::Place { Fault::DropRequest } else { Fault::Serve });
    let error = stopped_by(writer.append(&record("a")).await);
    assert!(matches!(&error, WriterError::Away { copy, .. } if *copy == copies[0].url()), "{error}");
}

#[tokio::test]
async fn another_store_at_a_copys_address_is_not_written_to() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    copies[1].script(Endpoint::Place, [Fault::DropRequest]);
    copies[1].with(|log| log.node = Uuid::new_v4());
    let error = stopped_by(writer.append(&record("a")).await);
    assert!(matches!(&error, WriterError::OtherStore { copy, .. } if *copy == copies[1].url()), "{error}");
}

#[tokio::test]
async fn a_namespace_that_was_deleted_and_made_anew_takes_nothing() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, writer_options()).await;
    copies[0].with(|log| log.incarnation = Uuid::from_u128(8));
    let error = stopped_by(writer.append(&record("a")).await);
    assert!(matches!(&error, WriterError::Refused { source, .. } if source.is(Code::PreconditionFailed)), "{error}");
}

#[tokio::test]
async fn a_close_that_cannot_tell_everyone_says_so() {
    let copies = FakeCopy::pair().await;
    let writer = open(&copies, hasty()).await;
    writer.append(&record("a")).await.unwrap();
    copies[1].server.go_away();
    let error = writer.close().await.unwrap_err();
    assert!(matches!(&error, WriterError::Away { copy, .. } if *copy == copies[1].url()), "{error}");
}
