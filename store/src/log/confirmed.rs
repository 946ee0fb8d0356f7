//! What writers have confirmed, kept beside the log so that a restarted copy shows it again.
//!
//! It is knowledge, not data: it may be lower than the truth, never higher, so nothing is synced for it. Two slots are
//! written in turn, each with a checksum; a torn one leaves the other.
//!
//! ```text
//! slot, 32 B   turn u64 | frame u64 | offset u64 | 0 u32 | crc32c u32
//! ```

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::acks::Mark;
use crate::disk::{Disk, DiskFile, Open};

const SLOT_LEN: usize = 32;
const COVERED_LEN: usize = 28;
/// Its name in the directory of a partition.
pub const FILE_NAME: &str = "confirmed";

/// The file of one partition.
#[derive(Debug)]
pub struct ConfirmedFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    turn: u64,
    saved: Mark,
}

impl ConfirmedFile {
    /// Reads what is there; nothing confirmed where there is none.
    pub fn load(disk: Arc<dyn Disk>, dir: &std::path::Path) -> Self {
        let path = dir.join(FILE_NAME);
        let bytes = disk.read(&path, 2 * SLOT_LEN).unwrap_or_default();
        let newest = bytes.as_chunks::<SLOT_LEN>().0.iter().filter_map(decode).max_by_key(|(turn, _)| *turn);
        let (turn, saved) = newest.unwrap_or_default();
        Self { disk, path, state: Mutex::new(State { turn, saved }) }
    }

    /// What was saved last.
    #[must_use]
    pub fn saved(&self) -> Mark {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).saved
    }

    /// Saves a mark, where it is another one.
    pub fn save(&self, mark: Mark) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.saved == mark {
            return Ok(());
        }
        // Not kept open: it is never synced, and what is not synced keeps its descriptor.
        let file = self.open()?;
        let turn = state.turn + 1;
        let slot = (turn % 2) * SLOT_LEN as u64;
        file.write_all_at(&mut [IoSlice::new(&encode(turn, mark))], slot)?;
        *state = State { turn, saved: mark };
        Ok(())
    }

    /// Made by the first save, so that opening the log needs no room.
    fn open(&self) -> io::Result<Arc<dyn DiskFile>> {
        match self.disk.open(&self.path, Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.open(&self.path, Open::Create),
            result => result,
        }
    }
}

/// Whether each slot that was ever written can be read.
#[must_use]
pub fn is_sound(disk: &dyn Disk, dir: &std::path::Path) -> bool {
    match disk.read(&dir.join(FILE_NAME), 2 * SLOT_LEN) {
        Ok(bytes) => {
            bytes.as_chunks::<SLOT_LEN>().0.iter().all(|slot| *slot == [0; SLOT_LEN] || decode(slot).is_some())
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn encode(turn: u64, mark: Mark) -> [u8; SLOT_LEN] {
    let mut slot = [0; SLOT_LEN];
    slot[..8].copy_from_slice(&turn.to_le_bytes());
    slot[8..16].copy_from_slice(&mark.frame.to_le_bytes());
    slot[16..24].copy_from_slice(&mark.offset.to_le_bytes());
    let crc = crc32c::crc32c(&slot[..COVERED_LEN]);
    slot[COVERED_LEN..].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(slot: &[u8; SLOT_LEN]) -> Option<(u64, Mark)> {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| slot[at + byte]));
    let sound = slot[COVERED_LEN..] == crc32c::crc32c(&slot[..COVERED_LEN]).to_le_bytes();
    // A slot that was never written is all zeroes, and its turn is none.
    (sound && word(0) > 0).then(|| (word(0), Mark { frame: word(8), offset: word(16) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn mark(number: u64) -> Mark {
        Mark { frame: number, offset: number * 2 }
    }

    #[test]
    fn the_last_saved_is_there_after_a_restart_and_a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let load = || ConfirmedFile::load(Arc::new(RealDisk), dir.path());
        assert_eq!(load().saved(), Mark::default());
        let file = load();
        (1..=5).for_each(|number| file.save(mark(number)).unwrap());
        assert_eq!(load().saved(), mark(5));
        load().save(mark(6)).unwrap();
        let path = dir.path().join(FILE_NAME);
        let disk: &dyn Disk = &RealDisk;
        let whole = disk.read(&path, 64).unwrap();
        for at in 0..SLOT_LEN {
            let mut torn = whole.clone();
            torn[at] ^= 0xff;
            disk.replace(&path, &torn).unwrap();
            assert_eq!(load().saved(), mark(5), "byte {at}");
        }
    }
}
