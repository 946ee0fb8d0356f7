//! How much room the disk has. Appends stop while there is still some, so that everything else can go on in it.

pub mod reserve;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use logstore_api::{Code, Problem, Timestamp};

use self::reserve::Reserve;
use crate::disk::{self, Disk, Space};

/// Free bytes that appends leave: trims, snapshots and side files live on them.
const MARGIN_MIN: u64 = 16 * 1024 * 1024;
/// More is never left.
const MARGIN_MAX: u64 = 256 * 1024 * 1024;
/// What is left of the whole, between these two, in percent.
const MARGIN_PERCENT: u64 = 1;
/// Free room below this part of the whole, in percent, is low: somebody should look before appends stop.
const LOW_PERCENT: u64 = 10;
/// What has run out is logged once in this time, not once per request.
const LOG_EVERY_SECONDS: u64 = 60;

/// What the room on the disk allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Everything.
    Plenty,
    /// Everything, but not for long.
    Low,
    /// Everything but appends.
    Full,
    /// Reads.
    ReadOnly,
}

/// What the room allows. `held_back`: free bytes that are not for appends, beside the margin.
#[must_use]
pub fn judge(space: Space, held_back: u64) -> Room {
    if space.read_only {
        Room::ReadOnly
    } else if space.free < margin(space) + held_back {
        Room::Full
    } else if space.free < low_below(space) {
        Room::Low
    } else {
        Room::Plenty
    }
}

fn margin(space: Space) -> u64 {
    (space.total / 100 * MARGIN_PERCENT).clamp(MARGIN_MIN, MARGIN_MAX)
}

fn low_below(space: Space) -> u64 {
    space.total / 100 * LOW_PERCENT
}

/// The room on the disk that holds the data, as of the last look.
#[derive(Debug)]
pub struct SpaceGauge {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    reserve: Arc<Reserve>,
    /// The root could not be written at the start: files are open for reading alone, whatever becomes of the disk.
    only_reads: bool,
    room: AtomicRoom,
    free: AtomicU64,
    total: AtomicU64,
    /// What appends may take until the next look, and what they have taken.
    left: AtomicU64,
    taken: AtomicU64,
    said_full: Seldom,
    said_files: Seldom,
}

/// A [`Room`] that several threads look at.
#[derive(Debug)]
struct AtomicRoom(AtomicU64);

impl AtomicRoom {
    const ALL: [Room; 4] = [Room::Plenty, Room::Low, Room::Full, Room::ReadOnly];

    fn set(&self, room: Room) {
        let number = Self::ALL.iter().position(|one| *one == room).unwrap_or_default();
        self.0.store(number as u64, Ordering::Relaxed);
    }

    fn get(&self) -> Room {
        let number = usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or_default();
        Self::ALL.get(number).copied().unwrap_or(Room::Plenty)
    }
}

/// Says yes once in a while.
#[derive(Debug)]
struct Seldom(AtomicI64);

impl Seldom {
    fn is_due(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        // A clock that was set back must not silence it.
        let due = now.0 < last || now.seconds_since(Timestamp(last)) >= LOG_EVERY_SECONDS;
        due && self.0.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl SpaceGauge {
    /// A gauge that has looked once.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf, only_reads: bool) -> Self {
        let reserve = Arc::new(Reserve::find(Arc::clone(&disk), &root));
        let gauge = Self {
            disk,
            root,
            reserve,
            only_reads,
            room: AtomicRoom(AtomicU64::new(0)),
            free: AtomicU64::new(0),
            total: AtomicU64::new(0),
            left: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            said_full: Seldom(AtomicI64::new(i64::MIN)),
            said_files: Seldom(AtomicI64::new(i64::MIN)),
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
                // What the reserve would take is not for appends either: whoever let it go did so for other work.
                let held_back = reserve::wanted_len(space.total).saturating_sub(self.reserve.len());
                let room = if self.only_reads { Room::ReadOnly } else { judge(space, held_back) };
                self.room.set(room);
                self.left.store(space.free.saturating_sub(margin(space) + held_back), Ordering::Relaxed);
                self.taken.store(0, Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(%error, "failed to ask for the room on the disk"),
        }
    }

    /// What the room allowed at the last look.
    #[must_use]
    pub fn room(&self) -> Room {
        self.room.get()
    }

    /// Whether appends must stop.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.room(), Room::Full | Room::ReadOnly)
    }

    /// Whether so much may be appended. Between two looks appends can take more than there is: then it looks again.
    #[must_use]
    pub fn admits(&self, bytes: u64) -> bool {
        if self.is_full() {
            return false;
        }
        let taken = self.taken.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if taken > self.left.load(Ordering::Relaxed) {
            self.look();
        }
        !self.is_full()
    }

    /// Whether nothing can be written until a restart.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.only_reads
    }

    /// Free bytes that appends may take, as of the last look.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Free and total bytes at the last look.
    #[must_use]
    pub fn free_and_total(&self) -> (u64, u64) {
        (self.free.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// The refusal of an append for want of room.
    #[must_use]
    pub fn refuse_append(&self) -> Problem {
        self.say_full();
        let detail = match self.room() {
            Room::ReadOnly if self.only_reads => {
                "the disk was read-only when the store started, so it takes no records; reads go on. Make it writable and restart the store"
            }
            Room::ReadOnly => "the disk is read-only, so it takes no records; reads go on. Make it writable again",
            _ => {
                "there is no room for records (16 to 256 MiB of the disk are left for everything else); reads and trims go on. Trim or delete a namespace, shorten its retention, or grow the volume"
            }
        };
        Problem::new(Code::DiskFull, detail)
    }

    /// The answer where something failed because the disk has no room, or the process no descriptor; `None` where it
    /// failed otherwise. `what` completes "to …".
    #[must_use]
    pub fn refusal(&self, what: &str, error: &io::Error) -> Option<Problem> {
        if disk::is_full(error) {
            self.say_full();
            let detail = format!("there is no room to {what}; free some and try again");
            return Some(Problem::new(Code::DiskFull, detail));
        }
        if disk::is_out_of_files(error) {
            if self.said_files.is_due(Timestamp::now()) {
                tracing::error!(%error, "failed to {what}: the process can open no more files; raise its limit");
            }
            let detail = format!(
                "the store can open no more files, so it failed to {what}; try again later, or raise the limit of open files of its process"
            );
            return Some(Problem::new(Code::Overloaded, detail));
        }
        None
    }

    /// Says in the log that there is no room, once a minute.
    pub fn say_full(&self) {
        if self.said_full.is_due(Timestamp::now()) {
            self.look();
            let (free, total) = self.free_and_total();
            tracing::error!(root = %self.root.display(), free, total, room = ?self.room(), "the disk is full or read-only: appends are refused, reads and what needs no room go on");
        }
    }

    /// Makes the reserve, where there is so much room that the rest is not even low.
    pub fn restore_reserve(&self) {
        let (free, total) = self.free_and_total();
        let (wanted, has) = (reserve::wanted_len(total), self.reserve.len());
        let low_below = total / 100 * LOW_PERCENT;
        if self.room() != Room::Plenty || has >= wanted || free < low_below + wanted {
            return;
        }
        match self.reserve.make(wanted) {
            Ok(()) => {
                tracing::info!(bytes = wanted, "keeping a reserve of room, which POST /v1/reserve/release gives back")
            }
            Err(error) => tracing::debug!(%error, "failed to make the reserve; tried again later"),
        }
        self.look();
    }

    /// The reserve.
    #[must_use]
    pub fn reserve(&self) -> &Arc<Reserve> {
        &self.reserve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn room(free: u64, total: u64, held_back: u64) -> Room {
        judge(Space { free: free * MIB, total: total * MIB, read_only: false }, held_back * MIB)
    }

    #[test]
    fn the_margin_is_a_hundredth_within_bounds() {
        let full = |free, total| room(free, total, 0) == Room::Full;
        assert!(full(15, 64) && !full(16, 64));
        assert!(full(99, 10_000) && !full(100, 10_000));
        assert!(full(255, 1_000_000) && !full(256, 1_000_000));
    }

    #[test]
    fn below_a_tenth_it_is_low() {
        assert_eq!(room(999, 10_000, 0), Room::Low);
        assert_eq!(room(1_000, 10_000, 0), Room::Plenty);
    }

    #[test]
    fn what_the_reserve_has_given_back_is_not_for_appends() {
        assert_eq!(room(163, 10_000, 64), Room::Full);
        assert_eq!(room(164, 10_000, 64), Room::Low);
    }

    #[test]
    fn a_read_only_disk_is_one_whatever_it_has() {
        assert_eq!(judge(Space { free: 1 << 40, total: 1 << 41, read_only: true }, 0), Room::ReadOnly);
    }

    #[test]
    fn the_log_says_it_once_a_minute_and_again_after_the_clock_was_set_back() {
        let seldom = Seldom(AtomicI64::new(i64::MIN));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let due: Vec<bool> = [100, 100, 159, 160, 50, 60].map(|seconds| seldom.is_due(at(seconds))).to_vec();
        assert_eq!(due, [true, false, false, true, true, false]);
    }
}
