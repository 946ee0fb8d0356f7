//! What a sync or a write has to have done before an answer, and what a failed one ends.

use super::*;

#[test]
fn nothing_is_acknowledged_or_shown_before_its_sync_and_one_sync_serves_many() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..1);
    let before = store.disk.faults.syncs.load(Ordering::SeqCst);
    let gate = store.disk.faults.sync_gate.lock().unwrap();
    let mut waiting: Vec<_> = (0..50).map(|_| submit(&namespace, &[b"x"], Durability::Synced)).collect();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(waiting.iter_mut().all(|answer| answer.try_recv().is_err()));
    let published = *namespace.partition(0).unwrap().published().borrow();
    assert_eq!((published.end, published.durable_end), (1, 1));
    drop(gate);
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    let syncs = store.disk.faults.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 3, "{syncs} syncs for 50 appends");
}

#[test]
fn written_is_acknowledged_without_a_sync_and_synced_in_the_background() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..1);
    let gate = store.disk.faults.sync_gate.lock().unwrap();
    let done = submit(&namespace, &[b"x"], Durability::Written).blocking_recv().unwrap().unwrap();
    assert_eq!((done.end, done.durable_end), (2, 1));
    drop(gate);
    let partition = namespace.partition(0).unwrap();
    let mut published = partition.published();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while published.borrow_and_update().durable_end < 2 {
        assert!(std::time::Instant::now() < until, "the background sync never came");
        // As housekeeping does it, again and again: while a sync runs, none begins.
        partition.sync_in_background();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn a_failed_sync_is_final_until_a_restart() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..3);
    store.disk.faults.sync_fails.store(true, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"record 3"]).unwrap_err().code, "outcome_unknown");
    store.disk.faults.sync_fails.store(false, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"record 4"]).unwrap_err().code, "frozen", "not as if nothing happened");
    assert_eq!(read_all(&namespace), numbered(0..3), "what was not acknowledged is not shown");
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read_all(&namespace), numbered(0..4), "it was in the page cache all along");
    append_numbered(&namespace, 4..6);
}

#[test]
fn a_failed_write_that_cannot_be_taken_back_freezes_the_log() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..3);
    store.disk.faults.room.store(10, Ordering::SeqCst);
    store.disk.faults.truncate_fails.store(true, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"lost"]).unwrap_err().code, "outcome_unknown");
    store.disk.faults.truncate_fails.store(false, Ordering::SeqCst);
    store.disk.faults.room.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"record 3"]).unwrap_err().code, "frozen");
    let store = store.restart();
    append_numbered(&store.namespace("orders"), 3..5);
    assert_eq!(read_all(&store.namespace("orders")), numbered(0..5));
}

#[test]
fn after_a_failed_sync_everybody_is_answered() {
    let send =
        |namespace: &Namespace, seq: u64| append_as_producer(namespace, seq, b"x").map_err(|problem| problem.code);
    let store = Store::new();
    let namespace = store.namespace("orders");
    assert!(send(&namespace, 0).is_ok());
    store.disk.faults.sync_fails.store(true, Ordering::SeqCst);
    assert_eq!(send(&namespace, 1), Err("outcome_unknown".to_owned()));
    assert_eq!(send(&namespace, 1), Err("outcome_unknown".to_owned()), "a retry of what is not known");
    assert_eq!(send(&namespace, 7), Err("outcome_unknown".to_owned()), "a refusal that rests on it");
    assert_eq!(send(&namespace, 2), Err("frozen".to_owned()));
}

#[test]
fn a_log_that_syncs_all_the_time_leaves_threads_to_the_others() {
    let store = Store::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let namespace = store.namespace(&format!("hot{}", number % 4));
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    append(&namespace, &[b"x"]).unwrap();
                }
            });
        }
        // Each of these needs a thread of the pool while four logs want all of them.
        (0..20).for_each(|number| {
            append(&store.namespace(&format!("cold{number}")), &[b"x"]).unwrap();
        });
        stop.store(true, Ordering::Relaxed);
    });
}
