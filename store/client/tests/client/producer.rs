//! Appending to one store so that a retry stores nothing twice.

use logstore_api::{Code, Problem};
use logstore_client::{ProduceError, Producer, ProducerOptions, Record};
use serde_json::json;

use crate::support::script::Script;
use crate::support::server::{Reply, json, problem};
use crate::support::{HASTY, RETRIES, orders};

fn acked(offset: u64, count: u64) -> Reply {
    json(
        200,
        &json!({
            "offset": offset, "count": count, "partition": 0, "end": offset + count, "durable_end": offset + count,
            "durability": "synced", "duplicate": false,
        }),
    )
}

fn overloaded() -> Reply {
    problem(&Problem::new(Code::Overloaded, "too much"))
}

fn producer(server: &Script) -> Producer {
    Producer::new(server.store(), orders(), ProducerOptions { retries: RETRIES, ..ProducerOptions::default() })
}

#[tokio::test]
async fn a_retry_is_the_same_request_and_the_sequence_counts_records() {
    let server = Script::start([Reply::HangUp, overloaded(), acked(0, 2), acked(2, 1)]).await;
    let mut producer = producer(&server);
    producer.append(&[Record::new("a"), Record::new("b")]).await.unwrap();
    producer.append(&[Record::new("c")]).await.unwrap();
    let seen: Vec<_> =
        (0..4).map(|index| (server.header(index, "producer-seq").unwrap(), server.body(index))).collect();
    assert_eq!(seen[0], ("0".to_owned(), "a\nb\n".into()));
    assert!(seen[..3].iter().all(|request| *request == seen[0]));
    assert_eq!(seen[3], ("2".to_owned(), "c".into()));
    let ids: Vec<_> = (0..4).map(|index| server.header(index, "producer-id").unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn a_refusal_is_definite_and_uses_no_sequence_number() {
    let server = Script::start([problem(&Problem::new(Code::NamespaceReadOnly, "read-only")), acked(0, 1)]).await;
    let mut producer = producer(&server);
    assert!(matches!(producer.append(&[Record::new("a")]).await, Err(ProduceError::Refused(_))));
    assert!(matches!(producer.append(&[]).await, Err(ProduceError::Invalid(_))));
    producer.append(&[Record::new("b")]).await.unwrap();
    assert_eq!(server.header(1, "producer-seq").as_deref(), Some("0"));
}

/// The first attempt may have been stored. That the second one was refused says nothing of the first.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_unknown() {
    let server = Script::start([Reply::HangUp, problem(&Problem::new(Code::NamespaceClosed, "closed"))]).await;
    assert!(matches!(producer(&server).append(&[Record::new("a")]).await, Err(ProduceError::Unknown(_))));
}

#[tokio::test]
async fn patience_ends() {
    let server = Script::start((0..1_000).map(|_| overloaded())).await;
    let options = ProducerOptions { retries: HASTY, ..ProducerOptions::default() };
    let mut producer = Producer::new(server.store(), orders(), options);
    assert!(matches!(producer.append(&[Record::new("a")]).await, Err(ProduceError::Refused(_))));
    assert!(server.lines().len() > 3);
}
