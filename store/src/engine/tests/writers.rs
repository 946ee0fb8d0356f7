//! Who writes: producers, and writers under their reigns.

use uuid::Uuid;

use super::*;
use crate::disk::faulty::Event;

#[test]
fn producers_are_remembered_across_segments_and_restarts() {
    let send = |namespace: &Namespace, seq: u64, record: &[u8]| match append_as_producer(namespace, seq, record) {
        Ok(Done { what: What::Appended { offset, duplicate, .. }, .. }) => Ok((offset, duplicate)),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(problem.code),
    };
    let mut store = Store::new();
    store.configured("orders", small_segments());
    let payload = vec![1; 30_000];
    for seq in 0..10 {
        assert_eq!(send(&store.namespace("orders"), seq, &payload), Ok((Some(seq), false)));
    }
    assert!(store.segments().len() > 3);
    for stop in [false, true] {
        if stop {
            store.engine.stop();
        }
        store = store.restart();
        let namespace = store.namespace("orders");
        assert_eq!(send(&namespace, 3, &payload), Ok((Some(3), true)));
        assert_eq!(send(&namespace, 3, b"other"), Err("identity_conflict".to_owned()));
        assert_eq!(send(&namespace, 11, b"gap"), Err("sequence_gap".to_owned()));
    }
    assert_eq!(read_all(&store.namespace("orders")).len(), 10);
}

#[test]
fn of_two_fences_the_higher_stays_in_force_in_whatever_order_they_arrive() {
    use logstore_api::fence::Reign;
    let store = Store::new();
    let namespace = store.namespace("orders");
    let partition = namespace.partition(0).unwrap();
    let reign = |epoch| Reign { epoch, writer: Uuid::from_u128(u128::from(epoch)), label: String::new() };
    partition.fence(reign(2)).unwrap();
    partition.fence(reign(1)).unwrap();
    assert_eq!(partition.reign(), Some(reign(2)));
}

fn writes(store: &Store) -> usize {
    let events = store.disk.faults.events.lock().unwrap();
    events
        .iter()
        .filter(|event| matches!(event, Event::Write(path) if path.extension().is_some_and(|is| is == "log")))
        .count()
}

#[test]
fn requests_that_are_ready_at_the_same_time_share_one_write() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append(&namespace, &[b"first"]).unwrap();
    let before = writes(&store);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..8_u8)
            .map(|number| {
                let namespace = Arc::clone(&namespace);
                tokio::spawn(async move {
                    enqueue_as(None, &namespace, &[&[number]], Durability::Written).answered().await.unwrap().unwrap()
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(writes(&store) - before, 1);
    assert_eq!(read_all(&namespace).len(), 9);
}

#[test]
fn what_is_in_the_queue_is_written_also_when_who_asked_has_gone_away() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append(&namespace, &[b"first"]).unwrap();
    drop(enqueue_as(None, &namespace, &[b"left alone"], Durability::Written));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let asked = enqueue_as(None, &namespace, &[b"cut off"], Durability::Written).answered();
        // Once polled it waits for its turn; then the connection ends.
        let mut asked = Box::pin(asked);
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(asked.as_mut().poll(context))).await;
        assert!(polled.is_pending());
    });
    assert_eq!(read_all(&namespace).len(), 3);
}
