//! Following a log across whatever its store goes through.

use http::Response;
use http_body_util::Full;
use logstore_api::record::Envelope;
use logstore_api::{Code, Problem, Timestamp};
use logstore_client::{Follow, FollowOptions, ReadFrom, ReadOptions};

use crate::support::script::Script;
use crate::support::server::{Reply, problem};
use crate::support::{HASTY, RETRIES, orders};

fn records(offsets: std::ops::Range<u64>) -> Reply {
    let next = offsets.end;
    let lines: String = offsets
        .map(|offset| serde_json::to_string(&Envelope::of(offset, Timestamp(0), b"x")).unwrap() + "\n")
        .collect();
    let response = ["logstore-next", "logstore-start", "logstore-end", "logstore-durable-end"]
        .iter()
        .fold(Response::builder(), |response, name| response.header(*name, next));
    Reply::Answer(response.body(Full::new(lines.into())).unwrap())
}

fn follow(server: &Script, from: ReadFrom) -> Follow {
    let options = FollowOptions { read: ReadOptions::default(), retries: RETRIES };
    Follow::new(server.store(), orders(), from, options)
}

#[tokio::test]
async fn records_come_in_order_over_polls_that_bring_nothing() {
    let server = Script::start([records(5..7), records(7..7), records(7..8)]).await;
    let mut follow = follow(&server, ReadFrom::Last(2));
    for offset in 5..8 {
        assert_eq!(follow.next().await.unwrap().offset, offset);
        assert_eq!(follow.position(), ReadFrom::Offset(offset + 1));
    }
    assert_eq!(
        server.lines(),
        ["-2", "7", "7"].map(|from| format!("GET /v1/namespaces/orders/records?from={from}&wait=60000ms"))
    );
}

#[tokio::test]
async fn what_came_together_is_given_together() {
    let server = Script::start([records(5..9), records(9..9), records(9..11)]).await;
    let mut follow = follow(&server, ReadFrom::Start);
    assert_eq!(follow.next().await.unwrap().offset, 5);
    let offsets = |records: Vec<Envelope>| records.iter().map(|record| record.offset).collect::<Vec<_>>();
    assert_eq!(offsets(follow.next_batch().await.unwrap()), [6, 7, 8]);
    assert_eq!(offsets(follow.next_batch().await.unwrap()), [9, 10]);
}

/// A restarted copy does not know yet how much is acknowledged, and shows less than it did.
#[tokio::test]
async fn a_store_that_restarts_is_waited_for() {
    let server = Script::start([
        records(0..2),
        Reply::HangUp,
        problem(&Problem::new(Code::Recovering, "reading")),
        problem(&Problem::new(Code::BeyondEnd, "the end is 0")),
        records(2..3),
    ])
    .await;
    let mut follow = follow(&server, ReadFrom::Start);
    for offset in 0..3 {
        assert_eq!(follow.next().await.unwrap().offset, offset);
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_said_and_can_be_passed_over() {
    let trimmed = Problem::new(Code::Trimmed, "the log starts at 9").with("start", 9);
    let server = Script::start([problem(&trimmed), records(9..10)]).await;
    let mut follow = follow(&server, ReadFrom::Start);
    assert!(follow.next().await.unwrap_err().is(Code::Trimmed));
    follow.seek(ReadFrom::Offset(9));
    assert_eq!(follow.next().await.unwrap().offset, 9);
}

#[tokio::test]
async fn patience_ends_and_begins_anew() {
    let away = || problem(&Problem::new(Code::Draining, "stopping"));
    let server = Script::start((0..1_000).map(|_| away())).await;
    let options = FollowOptions { read: ReadOptions::default(), retries: HASTY };
    let mut follow = Follow::new(server.store(), orders(), ReadFrom::Start, options);
    assert!(follow.next().await.unwrap_err().is(Code::Draining));
    let asked = server.lines().len();
    assert!(follow.next().await.unwrap_err().is(Code::Draining));
    assert!(server.lines().len() > asked + 1);
}
