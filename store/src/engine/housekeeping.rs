//! What is done without being asked: syncs of what was only written, room on the disk, ages, retention.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use logstore_api::Timestamp;

use super::Engine;

/// How long `written` records may stay unsynced: what a power loss may take.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// How often ages and sizes are looked at.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Runs until the engine is gone. Opens all logs first, one after the other, so that quiet ones are tended too.
pub fn run(engine: &Weak<Engine>) {
    for namespace in engine.upgrade().map(|engine| engine.namespaces()).unwrap_or_default() {
        if engine.strong_count() == 0 {
            return;
        }
        for number in 0..namespace.partition_count() {
            if let Err(problem) = namespace.partition(number) {
                tracing::error!(namespace = namespace.name().as_str(), number, %problem, "a log cannot be opened; it is not served");
            }
        }
    }
    let mut tended = Instant::now();
    loop {
        std::thread::sleep(SYNC_EVERY);
        let Some(engine) = engine.upgrade() else { return };
        engine.space.look();
        engine.metrics.disk_free.set(engine.space.space().free);
        let tend = tended.elapsed() >= TEND_EVERY;
        if tend {
            tended = Instant::now();
        }
        let erase_within = Duration::from_secs(engine.config().erase_within_seconds);
        for namespace in engine.namespaces() {
            for partition in namespace.all_opened() {
                partition.sync_in_background();
                if tend {
                    partition.carry_out_erasures(erase_within, Timestamp::now());
                    partition.tend(Timestamp::now());
                }
            }
        }
    }
}

/// Starts the thread.
pub fn start(engine: &Arc<Engine>) -> std::io::Result<()> {
    let engine = Arc::downgrade(engine);
    std::thread::Builder::new().name("housekeeping".to_owned()).spawn(move || run(&engine))?;
    Ok(())
}
