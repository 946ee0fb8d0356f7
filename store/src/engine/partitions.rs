//! The logs of one namespace, each opened on first use: by one thread, for which the others wait a bounded time.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::root::NamespaceMarks;
use crate::limits::OPENING_WAIT;
use crate::log::Partition;
use crate::log::recovery::CleanMark;

/// The logs, by their numbers.
#[derive(Debug)]
pub struct Partitions {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    log: OnceLock<Arc<Partition>>,
    stage: Mutex<Stage>,
    changed: Condvar,
    clean: Option<CleanMark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Open, or to be opened by whoever comes first.
    Idle,
    /// Somebody is opening it.
    Opening,
    /// The namespace is gone; its directory may be another's.
    Retired,
}

/// Why a log is not open.
#[derive(Debug)]
pub enum NotOpen {
    /// The namespace has no partition of this number.
    Missing,
    /// The namespace is gone.
    Retired,
    /// Somebody else is still opening it.
    Opening,
    /// Its files cannot be used.
    Failed(io::Error),
}

/// The right to open a log; given back when dropped, also where opening panics.
struct Turn<'a>(&'a Slot);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.stage) = Stage::Idle;
        self.0.changed.notify_all();
    }
}

fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Partitions {
    /// Logs that are still closed.
    #[must_use]
    pub fn new(count: u32, marks: &NamespaceMarks) -> Self {
        let slot = |number| Slot {
            log: OnceLock::new(),
            stage: Mutex::new(Stage::Idle),
            changed: Condvar::new(),
            clean: marks.of(number).cloned(),
        };
        Self { slots: (0..count).map(slot).collect() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(number).ok()?)
    }

    /// The log of this number, where it is open.
    #[must_use]
    pub fn opened(&self, number: u32) -> Option<&Arc<Partition>> {
        self.slot(number)?.log.get()
    }

    /// All that are open.
    pub fn all_opened(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.slots.iter().filter_map(|slot| slot.log.get())
    }

    /// How many are being opened.
    #[must_use]
    pub fn opening_count(&self) -> usize {
        self.slots.iter().filter(|slot| *lock(&slot.stage) == Stage::Opening).count()
    }

    /// The log of this number, opened by `open` if it was not.
    pub fn get_or_open(
        &self,
        number: u32,
        open: impl FnOnce(Option<&CleanMark>) -> io::Result<Partition>,
    ) -> Result<&Arc<Partition>, NotOpen> {
        let slot = self.slot(number).ok_or(NotOpen::Missing)?;
        if let Some(log) = slot.log.get() {
            return Ok(log);
        }
        let _turn = slot.take_turn(OPENING_WAIT)?;
        if let Some(log) = slot.log.get() {
            return Ok(log);
        }
        let log = open(slot.clean.as_ref()).map_err(NotOpen::Failed)?;
        Ok(slot.log.get_or_init(|| Arc::new(log)))
    }

    /// Ends all logs because their namespace goes. When this returns nothing touches their directories any more.
    pub fn retire(&self) {
        for slot in &self.slots {
            let opening = |stage: &mut Stage| *stage == Stage::Opening;
            let stage = slot.changed.wait_while(lock(&slot.stage), opening);
            *stage.unwrap_or_else(PoisonError::into_inner) = Stage::Retired;
            if let Some(log) = slot.log.get() {
                log.retire();
            }
        }
    }

    /// Ends all logs in an orderly way; the marks of it. One that was not opened is as it was.
    #[must_use]
    pub fn close(&self) -> NamespaceMarks {
        let mark = |slot: &Slot| slot.log.get().map_or_else(|| slot.clean.clone(), |log| log.close());
        NamespaceMarks::new(self.slots.iter().map(mark).collect())
    }
}

impl Slot {
    fn take_turn(&self, wait: Duration) -> Result<Turn<'_>, NotOpen> {
        let waited = self.changed.wait_timeout_while(lock(&self.stage), wait, |stage| *stage == Stage::Opening);
        let (mut stage, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *stage {
            Stage::Retired => Err(NotOpen::Retired),
            Stage::Opening => Err(NotOpen::Opening),
            Stage::Idle => {
                *stage = Stage::Opening;
                Ok(Turn(self))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_while_another_opens_is_sent_away_and_a_failed_opening_is_tried_again() {
        let partitions = Partitions::new(2, &NamespaceMarks::default());
        let slot = partitions.slot(1).unwrap();
        let turn = slot.take_turn(Duration::ZERO).ok().unwrap();
        assert_eq!(partitions.opening_count(), 1);
        assert!(matches!(slot.take_turn(Duration::ZERO), Err(NotOpen::Opening)));
        drop(turn);
        assert_eq!(partitions.opening_count(), 0);
        let fails = |_: Option<&CleanMark>| Err(io::Error::other("no"));
        assert!(matches!(partitions.get_or_open(1, fails), Err(NotOpen::Failed(_))));
        assert!(matches!(partitions.get_or_open(1, fails), Err(NotOpen::Failed(_))));
        assert!(matches!(partitions.get_or_open(2, fails), Err(NotOpen::Missing)));
        partitions.retire();
        assert!(matches!(partitions.get_or_open(1, fails), Err(NotOpen::Retired)));
    }

    #[test]
    fn an_opening_that_panics_keeps_nobody_out() {
        let partitions = Partitions::new(1, &NamespaceMarks::default());
        let panics = || {
            let _ = partitions.get_or_open(0, |_| panic!("opening ends here"));
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert!(partitions.slot(0).unwrap().take_turn(Duration::ZERO).is_ok());
    }
}
