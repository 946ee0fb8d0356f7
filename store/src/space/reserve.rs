//! The reserve: a file that does nothing but take room, so that there is some when a full disk must be repaired.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{Disk, Open};

/// It is never larger.
const LEN_MAX: u64 = 64 * 1024 * 1024;
/// What it takes of the whole, up to that, in percent.
const PERCENT: u64 = 1;
const FILE_NAME: &str = "reserve";

/// How large the reserve of a disk should be.
#[must_use]
pub fn wanted_len(total: u64) -> u64 {
    (total / 100 * PERCENT).min(LEN_MAX)
}

/// The file.
#[derive(Debug)]
pub struct Reserve {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    len: AtomicU64,
    /// It is made or released by one at a time.
    changing: Mutex<()>,
}

impl Reserve {
    /// What there is of it. Nothing is made here: a start needs no room.
    #[must_use]
    pub fn find(disk: Arc<dyn Disk>, root: &Path) -> Self {
        let len = disk.open(&root.join(FILE_NAME), Open::Read).and_then(|file| file.size()).unwrap_or(0);
        Self { disk, root: root.to_owned(), len: AtomicU64::new(len), changing: Mutex::default() }
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn path(&self) -> PathBuf {
        self.root.join(FILE_NAME)
    }

    /// Makes it, all of it or nothing.
    pub fn make(&self, len: u64) -> io::Result<()> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.disk.open(&self.path(), Open::Create).and_then(|file| file.allocate(len)).inspect_err(|_| {
            let _ = self.remove();
        })?;
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    /// Gives its room back; how many bytes.
    pub fn release(&self) -> io::Result<u64> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.remove()
    }

    fn remove(&self) -> io::Result<u64> {
        match self.disk.remove_file(&self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A release that a power loss undoes is made again; there is nothing to sync.
        Ok(self.len.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;
    use crate::disk::faulty::FaultyDisk;

    #[test]
    fn it_is_made_whole_or_not_at_all_found_again_and_released() {
        let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let find = || Reserve::find(Arc::new(disk.clone()), dir.path());
        let reserve = find();
        disk.faults.room.store(99_999, SeqCst);
        assert!(reserve.make(100_000).is_err());
        assert_eq!((reserve.len(), find().len()), (0, 0));
        disk.faults.room.store(100_000, SeqCst);
        reserve.make(100_000).unwrap();
        assert_eq!((reserve.len(), find().len()), (100_000, 100_000));
        assert_eq!(find().release().unwrap(), 100_000);
        assert_eq!((find().len(), find().release().unwrap()), (0, 0));
    }

    #[test]
    fn it_takes_a_hundredth_and_no_more_than_64_mib() {
        assert_eq!(wanted_len(1 << 30), (1 << 30) / 100);
        assert_eq!(wanted_len(1 << 40), 64 * 1024 * 1024);
    }
}
