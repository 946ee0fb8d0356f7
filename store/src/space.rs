//! How much room the disk has. Appends stop while there is still some, so that everything else can go on in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use logstore_api::Timestamp;

use crate::disk::{Disk, Space};

/// Free bytes that appends leave: trims, snapshots and side files live on them.
const RESERVE_MIN: u64 = 16 * 1024 * 1024;
/// More is never left.
const RESERVE_MAX: u64 = 256 * 1024 * 1024;
/// What is left of the whole, between these two, in percent.
const RESERVE_PERCENT: u64 = 1;
/// A full disk is logged once in this time, not once per request.
const LOG_EVERY_SECONDS: u64 = 60;

/// The room on the disk that holds the data, as of the last look.
#[derive(Debug)]
pub struct SpaceGauge {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    full: AtomicBool,
    free: AtomicU64,
    total: AtomicU64,
    logged: AtomicI64,
}

/// Whether appends must stop.
#[must_use]
pub fn is_short(space: Space) -> bool {
    space.free < reserve_of(space.total)
}

fn reserve_of(total: u64) -> u64 {
    (total / 100 * RESERVE_PERCENT).clamp(RESERVE_MIN, RESERVE_MAX)
}

impl SpaceGauge {
    /// A gauge that has looked once.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        let gauge = Self {
            disk,
            root,
            full: AtomicBool::new(false),
            free: AtomicU64::new(0),
            total: AtomicU64::new(0),
            logged: AtomicI64::new(i64::MIN),
        };
        gauge.look();
        gauge
    }

    /// Looks again. Where that fails nothing is known, and appends find out by themselves.
    pub fn look(&self) {
        match self.disk.space(&self.root) {
            Ok(space) => {
                self.free.store(space.free, Ordering::Relaxed);
                self.total.store(space.total, Ordering::Relaxed);
                self.full.store(is_short(space), Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(%error, "failed to ask for the room on the disk"),
        }
    }

    /// Whether appends must stop.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Free bytes that appends leave.
    #[must_use]
    pub fn reserve(&self) -> u64 {
        reserve_of(self.space().total)
    }

    /// Free and total bytes at the last look.
    #[must_use]
    pub fn space(&self) -> Space {
        Space { free: self.free.load(Ordering::Relaxed), total: self.total.load(Ordering::Relaxed) }
    }

    /// Says in the log that an append found no room, once a minute.
    pub fn note_full(&self) {
        let (now, last) = (Timestamp::now(), self.logged.load(Ordering::Relaxed));
        if now.seconds_since(Timestamp(last)) < LOG_EVERY_SECONDS {
            return;
        }
        if self.logged.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.look();
            let Space { free, total } = self.space();
            tracing::error!(root = %self.root.display(), free, total, "the disk is full: appends are refused, everything else goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_a_hundredth_within_bounds() {
        const MIB: u64 = 1024 * 1024;
        let short = |free, total| is_short(Space { free: free * MIB, total: total * MIB });
        assert!(short(15, 64) && !short(16, 64));
        assert!(short(99, 10_000) && !short(100, 10_000));
        assert!(short(255, 1_000_000) && !short(256, 1_000_000));
    }
}
