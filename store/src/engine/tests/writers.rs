//! Who writes: producers, and writers under their reigns.

use uuid::Uuid;

use super::*;

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
