//! Calls to one store: what goes over the wire, and what each answer comes to.

use std::time::Duration;

use http::Response;
use http_body_util::Full;
use logstore_api::fence::{FramesQuery, PlaceQuery};
use logstore_api::namespace::PutNamespace;
use logstore_api::record::{AppendEnvelope, GetRequest};
use logstore_api::{Code, Durability, MEDIA_ENVELOPES, NamespaceName, Problem, Timestamp};
use logstore_client::{
    Admin, AppendError, AppendOptions, Error, Got, IndexRange, Level, Order, Outcome, Payload, ProducerSequence,
    ReadFrom, ReadOptions, ReadUntil, Readiness, Store, Timeouts,
};
use serde_json::json;
use uuid::Uuid;

use crate::support::orders;
use crate::support::script::Script;
use crate::support::server::{Reply, answer, json, problem};

fn info(name: &str) -> serde_json::Value {
    json!({
        "name": name, "incarnation": Uuid::nil(), "state": "active",
        "config": {"partitions": 1}, "partitions": [],
    })
}

fn append_answer() -> serde_json::Value {
    json!({
        "offset": 41, "count": 1, "partition": 0, "end": 42, "durable_end": 42, "durability": "synced",
        "time": "2026-11-21T00:00:00.000000Z", "duplicate": false,
    })
}

fn records(lines: &str) -> Reply {
    let response = Response::builder()
        .header("content-type", MEDIA_ENVELOPES)
        .header("logstore-next", 9)
        .header("logstore-start", 2)
        .header("logstore-end", 30)
        .header("logstore-durable-end", 29);
    Reply::Answer(response.body(Full::new(lines.to_owned().into())).unwrap())
}

#[tokio::test]
async fn a_namespace_is_one_part_of_the_path_whatever_its_name() {
    let server = Script::start([json(201, &info("a/b ü?")), json(200, &info("x")), json(204, &json!(null))]).await;
    let (store, odd) = (server.store(), NamespaceName::parse("a/b ü?").unwrap());
    let (created, namespace) = store.put_namespace(&odd, &PutNamespace::default(), true).await.unwrap();
    assert!(created && namespace.name == odd);
    assert!(!store.put_namespace(&orders(), &PutNamespace::default(), false).await.unwrap().0);
    store.delete_namespace(&orders(), Some(Uuid::from_u128(7))).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "PUT /v1/namespaces/a%2Fb%20%C3%BC%3F",
            "PUT /v1/namespaces/orders",
            "DELETE /v1/namespaces/orders?incarnation=00000000-0000-0000-0000-000000000007",
        ]
    );
    assert_eq!(server.header(0, "if-none-match").as_deref(), Some("*"));
    assert_eq!(server.header(1, "if-none-match"), None);
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let entry = |name: &str| json!({"name": name, "incarnation": Uuid::nil(), "state": "active"});
    let server = Script::start([
        json(200, &json!({"namespaces": [entry("a"), entry("a&b")], "next": "a&b"})),
        json(200, &json!({"namespaces": [entry("a/c")]})),
    ])
    .await;
    let names: Vec<_> = server.store().all_namespaces("a").await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names.iter().map(NamespaceName::as_str).collect::<Vec<_>>(), ["a", "a&b", "a/c"]);
    assert_eq!(server.lines(), ["GET /v1/namespaces?prefix=a", "GET /v1/namespaces?prefix=a&after=a%26b"]);
}

#[tokio::test]
async fn an_append_asks_for_what_it_was_told() {
    let server = Script::start((0..3).map(|_| json(200, &append_answer()))).await;
    let store = server.store();
    let options = AppendOptions {
        tags: vec!["a b".to_owned(), "c".to_owned()],
        key: Some("k&".to_owned()),
        alloc: Some(100),
        indices: vec![("price".to_owned(), -5)],
        expect_offset: Some(41),
        partition: Some(3),
        durability: Some(Durability::Written),
        producer: Some(ProducerSequence { id: Uuid::from_u128(5), epoch: 2, seq: 17 }),
    };
    let acked = store.append(&orders(), &Payload::One("x".into()), &options).await.unwrap();
    assert_eq!((acked.offset, acked.durability), (Some(41), Durability::Synced));
    store.append(&orders(), &Payload::Lines("a\nb\n".into()), &AppendOptions::default()).await.unwrap();
    let envelope = AppendEnvelope { data: Some("ü".to_owned()), ..AppendEnvelope::default() };
    store.append(&orders(), &Payload::Envelopes(vec![envelope; 2]), &AppendOptions::default()).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "POST /v1/namespaces/orders/records?key=k%26&alloc=100&partition=3&expect_offset=41&durability=written&tag=a%20b&tag=c&index.price=-5",
            "POST /v1/namespaces/orders/records?split=lines",
            "POST /v1/namespaces/orders/records",
        ]
    );
    assert_eq!(server.header(0, "producer-id").as_deref(), Some("00000000-0000-0000-0000-000000000005"));
    assert_eq!(server.header(0, "producer-epoch").as_deref(), Some("2"));
    assert_eq!(server.header(0, "producer-seq").as_deref(), Some("17"));
    assert_eq!(server.header(1, "producer-id"), None);
    assert_eq!(server.body(1), "a\nb\n");
    assert_eq!(server.header(2, "content-type").as_deref(), Some(MEDIA_ENVELOPES));
    assert_eq!(server.body(2), "{\"data\":\"ü\"}\n{\"data\":\"ü\"}\n");
}

#[tokio::test]
async fn an_append_that_fails_says_whether_the_record_may_be_there() {
    let server = Script::start([
        problem(&Problem::new(Code::RecordTooLarge, "too large")),
        problem(&Problem::new(Code::Overloaded, "too much")),
        problem(&Problem::new(Code::OutcomeUnknown, "sync failed")),
        problem(&Problem::new(Code::Internal, "oops")),
        answer(502, "text/html", "<h1>Bad Gateway</h1>"),
        answer(200, "text/html", "<h1>Welcome</h1>"),
        Reply::HangUp,
    ])
    .await;
    let store = server.store();
    let payload = Payload::One("x".into());
    let mut outcomes = Vec::new();
    // The last one is never answered.
    for _ in 0..8 {
        let error = store.append(&orders(), &payload, &AppendOptions::default()).await.unwrap_err();
        assert_eq!(matches!(error, AppendError::Refused(_)), error.error().outcome() == Outcome::NotDone);
        outcomes.push((error.error().outcome(), error.error().is_transient()));
    }
    let unknown = (Outcome::Unknown, true);
    assert_eq!(
        outcomes,
        [(Outcome::NotDone, false), (Outcome::NotDone, true), unknown, unknown, unknown, unknown, unknown, unknown,]
    );
    let nobody = Store::new("127.0.0.1:1").unwrap();
    let error = nobody.append(&orders(), &payload, &AppendOptions::default()).await.unwrap_err();
    assert!(matches!(error, AppendError::Refused(Error::Unreachable { .. })), "nothing was sent: {error:?}");
}

#[tokio::test]
async fn a_problem_is_given_as_the_store_said_it() {
    let said = Problem::new(Code::FrameMismatch, "not the next one").expected(7).got(9).with("more", true);
    let response = Response::builder().status(429).header("content-type", "application/problem+json");
    let busy = serde_json::to_vec(&Problem::new(Code::NamespaceBusy, "busy")).unwrap();
    let busy = response.header("retry-after", "3").body(Full::new(busy.into())).unwrap();
    let server = Script::start([problem(&said), Reply::Answer(busy)]).await;
    let error = server.store().namespace(&orders()).await.unwrap_err();
    assert_eq!(error.problem(), Some(&said));
    assert!(error.is(Code::FrameMismatch) && !error.is_transient());
    let url = format!("{}/v1/namespaces/orders", server.url());
    assert_eq!(error.to_string(), format!("{url} refused: not the next one (frame_mismatch)"));
    let error = server.store().namespace(&orders()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_read_brings_records_and_where_to_go_on() {
    let line = r#"{"offset":7,"time":"2026-11-21T00:00:00.000000Z","data":"x","tags":["t"]}"#;
    let server = Script::start([records(&format!("{line}\n"))]).await;
    let options = ReadOptions {
        partition: Some(3),
        limit: Some(5),
        max_bytes: Some(10),
        wait: Some(Duration::from_millis(1_500)),
        ..ReadOptions::default()
    };
    let read = server.store().read(&orders(), ReadFrom::Last(3), &options).await.unwrap();
    assert_eq!(
        server.lines(),
        ["GET /v1/namespaces/orders/records?from=-3&partition=3&limit=5&max_bytes=10&wait=1500ms"]
    );
    assert_eq!((read.next, read.start, read.end, read.durable_end, read.stopped), (9, 2, 30, 29, None));
    let record = &read.records[0];
    assert_eq!((record.offset, record.data.as_deref(), record.tags.as_slice()), (7, Some("x"), &["t".to_owned()][..]));
}

#[tokio::test]
async fn a_read_asks_for_order_level_and_times() {
    let server = Script::start([records("")]).await;
    let options = ReadOptions {
        until: Some(ReadUntil::Time(Timestamp(1_700_000_000_000_042))),
        order: Order::NewestFirst,
        level: Level::Durable,
        all_meta: true,
        tags: Some("a AND NOT b".to_owned()),
        index: Some(IndexRange { name: "price".to_owned(), min: Some(-5), max: None }),
        ..ReadOptions::default()
    };
    server.store().read(&orders(), ReadFrom::Time(Timestamp(0)), &options).await.unwrap();
    assert_eq!(
        server.lines(),
        ["GET /v1/namespaces/orders/records?from=time%3A1970-01-01T00%3A00%3A00.000000Z\
          &until=time%3A2023-11-14T22%3A13%3A20.000042Z&order=desc&level=durable&meta=all&tags=a%20AND%20NOT%20b&index=price&min=-5"]
    );
}

#[tokio::test]
async fn records_asked_for_by_offset_come_one_entry_each() {
    let record = r#"{"offset":7,"time":"2026-11-21T00:00:00.000000Z","data":"x","indices":{"price":-5}}"#;
    let missing = json!({"offset": 9, "error": Problem::new(Code::Erased, "erased")});
    let both = format!("{record}\n{missing}\n");
    let server = Script::start([records(&both), records(&both), records("{}\n")]).await;
    let (store, ask) = (server.store(), |offsets: &[u64]| GetRequest { offsets: offsets.to_vec(), partition: Some(1) });
    let got = store.get(&orders(), &ask(&[7, 9])).await.unwrap();
    let [Got::Record(first), Got::Missing(second)] = &got[..] else { panic!("{got:?}") };
    assert_eq!((first.offset, first.indices["price"]), (7, -5));
    assert!(second.offset == 9 && second.error.is(Code::Erased));
    assert_eq!(server.lines(), ["POST /v1/namespaces/orders/records/get"]);
    assert_eq!(server.body(0), r#"{"offsets":[7,9],"partition":1}"#);
    for offsets in [&[7, 8][..], &[7]] {
        assert!(matches!(store.get(&orders(), &ask(offsets)).await, Err(Error::BadAnswer { .. })));
    }
}

#[tokio::test]
async fn an_error_after_the_records_does_not_hide_them() {
    let line = r#"{"offset":7,"time":"2026-11-21T00:00:00.000000Z","data":"x"}"#;
    let damaged = Problem::new(Code::Damaged, "checksum");
    let error = serde_json::to_string(&json!({"error": damaged})).unwrap();
    let server = Script::start([records(&format!("{line}\n{error}\n")), records(&error), records("junk\n")]).await;
    let (store, options) = (server.store(), ReadOptions::default());
    let read = store.read(&orders(), ReadFrom::Start, &options).await.unwrap();
    assert_eq!((read.records.len(), read.next, read.stopped), (1, 8, Some(damaged)));
    assert!(store.read(&orders(), ReadFrom::Start, &options).await.unwrap_err().is(Code::Damaged));
    assert!(matches!(store.read(&orders(), ReadFrom::Start, &options).await, Err(Error::BadAnswer { .. })));
}

#[tokio::test]
async fn the_calls_between_writers_and_stores_are_spelt_as_the_contract_has_them() {
    let server = Script::start([
        json(200, &json!({"next_frame": 9, "confirmed": 8})),
        answer(200, "application/vnd.logstore.wire-frames", "bytes"),
    ])
    .await;
    let query = PlaceQuery {
        namespace: NamespaceName::parse("a b").unwrap(),
        partition: 0,
        incarnation: Uuid::from_u128(1),
        epoch: 3,
        writer: Uuid::from_u128(2),
        frame: 8,
        previous: 77,
        confirmed: 8,
        durability: Durability::Synced,
    };
    assert_eq!(server.store().place(&query, "frames".into()).await.unwrap().next_frame, 9);
    let query = FramesQuery { namespace: orders(), partition: 0, from: 3, until: Some(5) };
    assert_eq!(server.store().frames(&query).await.unwrap(), "bytes");
    assert_eq!(
        server.lines(),
        [
            "POST /v1/place?namespace=a%20b&partition=0&incarnation=00000000-0000-0000-0000-000000000001&epoch=3\
             &writer=00000000-0000-0000-0000-000000000002&frame=8&previous=77&confirmed=8&durability=synced",
            "GET /v1/frames?namespace=orders&partition=0&from=3&until=5",
        ]
    );
    assert_eq!(server.header(0, "content-type").as_deref(), Some("application/vnd.logstore.wire-frames"));
}

#[tokio::test]
async fn readiness_is_an_answer_and_not_an_error() {
    let server =
        Script::start([answer(200, "text/plain", "ok"), problem(&Problem::new(Code::Draining, "stopping"))]).await;
    let admin = Admin::new(&server.url(), Timeouts::default()).unwrap();
    assert_eq!(admin.ready().await.unwrap(), Readiness::Ready);
    assert!(matches!(admin.ready().await.unwrap(), Readiness::NotReady(problem) if problem.code == "draining"));
}
