//! The hand-over between threads (queue, leader, sync), in many orders of what the threads do: no work is lost, no sync
//! that somebody waits for is missed, and who has an answer can rely on it.
//!
//! The orders come from a seed: `LOGSTORE_SEED=S cargo test -p logstore-store --features shuttle --test handover`.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

#[path = "crash/disk.rs"]
#[allow(dead_code)]
mod disk;
#[path = "crash/image.rs"]
#[allow(dead_code)]
mod image;
#[path = "crash/rng.rs"]
#[allow(dead_code)]
mod rng;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logstore_api::frame::Salt;
use logstore_api::{Durability, NamespaceConfig};
use logstore_store::disk::Disk;
use logstore_store::engine::batch::{Attributes, Batch};
use logstore_store::log::Partition;
use logstore_store::log::find::{FindLimits, Finding};
use logstore_store::log::quota::Usage;
use logstore_store::log::read::{Flow, Range};
use logstore_store::log::recovery::Site;
use logstore_store::log::shared::Context;
use logstore_store::log::sync::SyncPool;
use logstore_store::log::work::{Done, What, Work};
use logstore_store::metrics::Metrics;
use logstore_store::space::SpaceGauge;
use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread;

/// Orders that are tried, of each of two kinds.
const ORDERS: usize = 5_000;
/// Threads that append, each this often.
const APPENDERS: u8 = 3;
const APPENDS: u8 = 2;
/// Threads that sync.
const SYNCERS: usize = 2;
const SALT: Salt = Salt(7);

fn open(pool: &Arc<SyncPool>) -> Arc<Partition> {
    let disk: Arc<dyn Disk> = Arc::new(disk::SimDisk::new(image::Image::default()));
    disk.create_dir(Path::new("/0")).unwrap();
    let site = Site {
        disk: Arc::clone(&disk),
        number: 0,
        dir: PathBuf::from("/0"),
        quarantine: PathBuf::from("/quarantine"),
        label: "orders-0".to_owned(),
        salt: SALT,
        ordered: false,
        finding: Finding::new(FindLimits::default()),
    };
    let space = Arc::new(SpaceGauge::new(disk, PathBuf::from("/"), false));
    let context =
        Context { site, space, sync_pool: Arc::clone(pool), metrics: Metrics::new(), usage: Arc::new(Usage::new(1)) };
    Arc::new(Partition::open(context, NamespaceConfig::default(), None, None).unwrap())
}

fn level(appender: u8, number: u8) -> Durability {
    if (appender + number).is_multiple_of(2) { Durability::Synced } else { Durability::Written }
}

fn submit(
    partition: &Arc<Partition>,
    payload: [u8; 2],
) -> tokio::sync::oneshot::Receiver<Result<Done, Box<logstore_api::Problem>>> {
    let mut batch = Batch::new(None, SALT, 0);
    batch.push(&payload, Attributes::default()).unwrap();
    let ready = batch.finish().unwrap();
    let durability = level(payload[0], payload[1]);
    partition.submit(|reply| Work::Append {
        draft: ready.draft,
        producer: None,
        expect_offset: None,
        durability,
        reply,
    })
}

fn run_jobs(pool: &SyncPool) -> bool {
    let jobs = pool.take_waiting();
    let any = !jobs.is_empty();
    jobs.into_iter().for_each(|job| job());
    any
}

fn hand_over() {
    let pool = Arc::new(SyncPool::by_hand());
    pool.unsynced().set_interval(0);
    let partition = open(&pool);
    let answers = Arc::new(Mutex::new(Vec::new()));
    let mut threads = Vec::new();
    for appender in 0..APPENDERS {
        let (partition, answers) = (Arc::clone(&partition), Arc::clone(&answers));
        threads.push(thread::spawn(move || {
            for number in 0..APPENDS {
                let mut answer = submit(&partition, [appender, number]);
                // One that has its answer can rely on it at once.
                let early = answer.try_recv().ok();
                if let Some(done) = &early {
                    check(&partition, [appender, number], done);
                }
                answers.lock().unwrap().push(([appender, number], answer, early));
            }
        }));
    }
    for _ in 0..SYNCERS {
        let pool = Arc::clone(&pool);
        threads.push(thread::spawn(move || {
            for _ in 0..3 {
                run_jobs(&pool);
                thread::yield_now();
            }
        }));
    }
    let unsynced = Arc::clone(pool.unsynced());
    threads.push(thread::spawn(move || {
        for _ in 0..3 {
            unsynced.sync_due(Duration::ZERO);
            thread::yield_now();
        }
    }));
    let housekeeping = Arc::clone(&partition);
    threads.push(thread::spawn(move || {
        housekeeping.sync_in_background();
        // Takes the writer while others submit.
        housekeeping.tail().unwrap();
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    loop {
        pool.unsynced().sync_due(Duration::ZERO);
        if !run_jobs(&pool) {
            break;
        }
    }
    let published = *partition.published().borrow();
    assert_eq!(published.durable_end, published.end, "nothing stays unsynced");

    let mut offsets = Vec::new();
    for (payload, mut answer, early) in answers.lock().unwrap().drain(..) {
        let done = early.or_else(|| answer.try_recv().ok()).expect("no work is lost and no sync is missed");
        offsets.push((check(&partition, payload, &done), payload));
    }
    offsets.sort_unstable();
    let mut records = Vec::new();
    let end = offsets.len() as u64;
    let ended = partition.read(Range { from: 0, until: end }, |record| {
        records.push((record.offset, <[u8; 2]>::try_from(record.data()).unwrap()));
        Flow::Continue
    });
    assert_eq!(ended.unwrap().next, end);
    assert_eq!(records, offsets, "each record once, where its answer says");
    for appender in 0..APPENDERS {
        let numbers: Vec<u8> = records.iter().filter(|(_, [by, _])| *by == appender).map(|(_, [_, n])| *n).collect();
        assert!(numbers.is_sorted(), "what one has sent one after the other stands so");
    }
}

/// What an answer says is so for readers; the offset.
fn check(partition: &Partition, payload: [u8; 2], done: &Result<Done, Box<logstore_api::Problem>>) -> u64 {
    let Ok(Done { what: What::Appended { offset: Some(offset), duplicate: false, .. }, end, durable_end }) = done
    else {
        panic!("{done:?}");
    };
    let published = *partition.published().borrow();
    assert!(*offset < *end && *end <= published.end, "readers see what is answered");
    if level(payload[0], payload[1]) == Durability::Synced {
        assert!(*offset < *durable_end && *durable_end <= published.durable_end, "an answer comes after its sync");
    }
    *offset
}

fn config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    config.stack_size = 1024 * 1024;
    config
}

fn seed() -> u64 {
    std::env::var("LOGSTORE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

#[test]
fn random_orders_lose_no_work_and_miss_no_sync() {
    Runner::new(RandomScheduler::new_from_seed(seed(), ORDERS), config()).run(hand_over);
}

#[test]
fn rare_orders_lose_no_work_and_miss_no_sync() {
    Runner::new(PctScheduler::new_from_seed(seed(), 4, ORDERS), config()).run(hand_over);
}
