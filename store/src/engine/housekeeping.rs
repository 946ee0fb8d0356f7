//! What is done without being asked: logs are opened, unsynced records synced, ages, retention and room looked after.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use logstore_api::Timestamp;

use super::namespace::Namespace;
use super::{Engine, floor, quarantine};

/// How often the room on the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often ages and sizes are looked at.
const TEND_EVERY: Duration = Duration::from_secs(1);
/// How often the quarantine is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(60);
/// The reserve is made so long after a start at the earliest: other things come first.
const RESERVE_AFTER: Duration = Duration::from_secs(10);
/// Logs that are opened at the same time after a start.
const OPENERS: usize = 4;
/// How often it is said how far the opening is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// How long the thread for syncs waits for something to do before it looks whether the store has ended.
const SYNC_PATIENCE: Duration = Duration::from_secs(1);

/// Starts the threads. They end when the engine is gone.
pub fn start(engine: &Arc<Engine>) -> std::io::Result<()> {
    let spawn = |name: &str, run: fn(&Weak<Engine>)| {
        let engine = Arc::downgrade(engine);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&engine)).map(drop)
    };
    engine.metrics.recovering.set(i64::try_from(engine.namespaces().len()).unwrap_or(i64::MAX));
    spawn("housekeeping", tend)?;
    spawn("unsynced", sync)?;
    spawn("opening", open_all)
}

/// Syncs what was only written, when it is due.
fn sync(engine: &Weak<Engine>) {
    let Some(unsynced) = engine.upgrade().map(|engine| Arc::clone(engine.unsynced())) else { return };
    while engine.strong_count() > 0 {
        unsynced.sync_due(SYNC_PATIENCE);
    }
}

fn tend(engine: &Weak<Engine>) {
    let begun = Instant::now();
    let (mut tended, mut measured) = (begun, None::<Instant>);
    loop {
        std::thread::sleep(LOOK_EVERY);
        let Some(engine) = engine.upgrade() else { return };
        engine.space.look();
        engine.metrics.show_space(&engine.space);
        if tended.elapsed() < TEND_EVERY || engine.space.only_reads() {
            continue;
        }
        tended = Instant::now();
        tend_once(&engine, Timestamp::now());
        if begun.elapsed() >= RESERVE_AFTER {
            engine.space.restore_reserve();
        }
        if measured.is_none_or(|measured| measured.elapsed() >= MEASURE_EVERY) {
            measured = Some(Instant::now());
            quarantine::measure(&engine);
        }
    }
}

/// Looks after every log that is open, then after the room that the store keeps free.
pub fn tend_once(engine: &Engine, now: Timestamp) {
    let erase_within = Duration::from_secs(engine.config().erase_within_seconds);
    for namespace in engine.namespaces() {
        for partition in namespace.all_opened() {
            partition.carry_out_erasures(erase_within, now);
            partition.tend(now);
        }
    }
    if let Some(min_free) = engine.config().retention.min_free_bytes {
        floor::keep_free(engine, min_free);
    }
}

/// Opens all logs, several at a time, so that quiet ones are tended too. Requests do not wait for it: what they ask for is
/// opened for them.
pub fn open_all(engine: &Weak<Engine>) {
    let Some(namespaces) = engine.upgrade().map(|engine| engine.namespaces()) else { return };
    let (count, begun) = (namespaces.len(), Instant::now());
    let (queue, said) = (Mutex::new(VecDeque::from(namespaces)), Mutex::new(begun));
    let opened = AtomicUsize::new(0);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        while let Some(namespace) = next()
            && let Some(engine) = engine.upgrade()
        {
            open(&namespace);
            let opened = opened.fetch_add(1, Ordering::Relaxed) + 1;
            engine.metrics.recovering.set(i64::try_from(count - opened).unwrap_or(i64::MAX));
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.elapsed() >= PROGRESS_EVERY {
                *said = Instant::now();
                tracing::info!(opened, of = count, "opening the logs; what is asked for is served meanwhile");
            }
        }
    };
    std::thread::scope(|scope| (0..OPENERS.min(count)).for_each(|_| drop(scope.spawn(work))));
    if begun.elapsed() >= PROGRESS_EVERY {
        tracing::info!(opened = count, took = ?begun.elapsed(), "all logs are open");
    }
}

fn open(namespace: &Namespace) {
    for number in 0..namespace.partition_count() {
        if let Err(problem) = namespace.partition(number) {
            tracing::error!(namespace = namespace.name().as_str(), number, %problem, "a log cannot be opened; it is not served");
        }
    }
}
