//! Few open descriptors for many files: one that is not in use may be closed, and is opened again on use.
//!
//! Whoever holds a file of this pool sees no difference to one that stays open:
//! - A file that was written since its last sync stays open, and one whose sync has failed for ever: Linux tells of a
//!   failed write-back to descriptors that were open then, so a close could lose the error.
//! - A rename takes the open names with it. A file whose name is taken away, or given to another, stays open from then on.
//! - A file that is opened again must be the one that it was, else the call is an error and nothing is touched.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use prometheus_client::metrics::gauge::Gauge;
use rustix::io::Errno;

use crate::limits::OPEN_FILES_MAX;

use super::{Disk, DiskFile, Identity, Open, Space, is_out_of_files};

/// The part of the process's limit that files get; connections have their own.
const LIMIT_SHARE: u64 = 4;
/// Fewer make no sense: a single append needs several.
const OPEN_FILES_MIN: usize = 16;
/// Where so many times the limit are open because they are unsynced, they are synced to be closed.
const UNSYNCED_FACTOR: usize = 2;
/// Descriptors that one call looks at for some to close.
const LOOKS_MAX: usize = 64;

/// Descriptors that files may take in a process with this limit of open files.
#[must_use]
pub fn open_files_max(process_limit: u64) -> usize {
    let share = usize::try_from(process_limit / LIMIT_SHARE).unwrap_or(usize::MAX);
    share.clamp(OPEN_FILES_MIN, OPEN_FILES_MAX)
}

/// A disk that keeps few descriptors open.
#[derive(Debug)]
pub struct PooledDisk(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    disk: Arc<dyn Disk>,
    max: usize,
    open: AtomicUsize,
    shown: OnceLock<Gauge<u64, AtomicU64>>,
    next_id: AtomicU64,
    /// Every file that somebody holds, by its name now.
    files: Mutex<BTreeMap<(PathBuf, u64), Weak<PooledFile>>>,
    /// Files that are open, the one that was looked at longest ago first.
    ring: Mutex<VecDeque<Weak<PooledFile>>>,
    /// Held for writing while names change, so that nothing is opened by a name that is another's by then.
    names: RwLock<()>,
}

#[derive(Debug)]
struct PooledFile {
    pool: Arc<Pool>,
    me: Weak<Self>,
    id: u64,
    how: Open,
    slot: RwLock<Slot>,
    /// Used since it was last looked at.
    used: AtomicBool,
    writes: Writes,
}

#[derive(Debug)]
struct Slot {
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    /// What it was when it was closed.
    identity: Option<Identity>,
    /// Its name leads elsewhere now: it can never be opened again.
    nameless: bool,
}

/// What is done to close files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// Those that were used since they were last looked at stay open.
    Idle,
    /// All go that can be closed.
    Used,
    /// Those that are unsynced are synced for it.
    Unsynced,
}

/// Whether a file holds what no sync has covered.
#[derive(Debug, Default)]
struct Writes {
    begun: AtomicU64,
    ended: AtomicU64,
    synced: AtomicU64,
    /// A sync of this handle has succeeded: what others have written before it was opened is on the disk too.
    ever_synced: AtomicBool,
    /// The error number of a sync that failed: what a later one would say is not to be trusted. 0 where none did.
    sync_failed: AtomicI32,
    /// Held over a sync: of two at once, only one would be told of a failure.
    one_sync: Mutex<()>,
}

impl Writes {
    fn is_clean(&self) -> bool {
        self.begun.load(Ordering::SeqCst) == self.synced.load(Ordering::SeqCst)
            && self.sync_failed.load(Ordering::SeqCst) == 0
    }

    /// Does a write. It counts before, so that the file stays open, and after, so that no sync that began meanwhile is
    /// taken to cover it.
    fn write<T>(&self, write: impl FnOnce() -> T) -> T {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let result = write();
        self.ended.fetch_add(1, Ordering::SeqCst);
        result
    }

    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let _one_at_a_time = lock(&self.one_sync);
        let failed = self.sync_failed.load(Ordering::SeqCst);
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        let ended = self.ended.load(Ordering::SeqCst);
        let quiet = self.begun.load(Ordering::SeqCst) == ended;
        match sync() {
            Ok(()) => {
                self.ever_synced.store(true, Ordering::SeqCst);
                if quiet {
                    self.synced.fetch_max(ended, Ordering::SeqCst);
                }
            }
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
                self.sync_failed.store(number, Ordering::SeqCst);
                return Err(error);
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PooledDisk {
    /// At most `max` descriptors on a disk, but for those that must stay open.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, max: usize) -> Self {
        Self(Arc::new(Pool {
            disk,
            max,
            open: AtomicUsize::new(0),
            shown: OnceLock::new(),
            next_id: AtomicU64::new(0),
            files: Mutex::default(),
            ring: Mutex::default(),
            names: RwLock::default(),
        }))
    }

    /// Shows from now on how many are open.
    pub fn show(&self, gauge: Gauge<u64, AtomicU64>) {
        let _ = self.0.shown.set(gauge);
    }

    /// Descriptors that are open now.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }
}

impl Disk for PooledDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let pool = &self.0;
        let names = pool.names.read().unwrap_or_else(PoisonError::into_inner);
        let file = pool.open_file(path, how)?;
        let id = pool.next_id.fetch_add(1, Ordering::Relaxed);
        // Opened again, it must not be emptied.
        let how = if how == Open::Create { Open::Write } else { how };
        let slot = Slot { path: path.to_owned(), file: Some(file), identity: None, nameless: false };
        let pooled = Arc::new_cyclic(|me| PooledFile {
            pool: Arc::clone(pool),
            me: Weak::clone(me),
            id,
            how,
            slot: RwLock::new(slot),
            used: AtomicBool::new(true),
            writes: Writes::default(),
        });
        lock(&pool.files).insert((path.to_owned(), id), Weak::clone(&pooled.me));
        drop(names);
        pool.entered(&pooled);
        Ok(pooled)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.with_descriptor(|disk| disk.list(dir))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.disk.create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let pool = &self.0;
        pool.keep_open(to)?;
        let _nothing_is_opened = pool.names.write().unwrap_or_else(PoisonError::into_inner);
        pool.disk.rename(from, to)?;
        pool.follow_rename(from, to);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.keep_open(path)?;
        self.0.disk.remove_file(path)
    }

    /// Files below it that are closed cannot be opened again; nobody reads what is removed with its directory.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.with_descriptor(|disk| disk.remove_dir_all(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.with_descriptor(|disk| disk.sync_dir(dir))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.disk.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.0.disk.lock(path)
    }
}

impl Pool {
    fn open_file(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        self.with_descriptor(|disk| disk.open(path, how))
    }

    /// Does what takes a descriptor; where the process has none left, some files are closed first.
    fn with_descriptor<T>(&self, act: impl Fn(&dyn Disk) -> io::Result<T>) -> io::Result<T> {
        match act(&*self.disk) {
            Err(error) if is_out_of_files(&error) => {
                let closed = self.close_some(0, Effort::Used) > 0 || self.close_some(0, Effort::Unsynced) > 0;
                if closed { act(&*self.disk) } else { Err(error) }
            }
            result => result,
        }
    }

    /// A file was opened: room is made for it.
    fn entered(&self, file: &PooledFile) {
        self.open.fetch_add(1, Ordering::SeqCst);
        {
            let mut ring = lock(&self.ring);
            ring.push_back(Weak::clone(&file.me));
            if ring.len() > 2 * self.open.load(Ordering::SeqCst) + LOOKS_MAX {
                ring.retain(|file| file.strong_count() > 0);
            }
        }
        self.close_some(self.max, Effort::Idle);
        // Writers that nobody waits for can be faster than their syncs.
        self.close_some(self.max * UNSYNCED_FACTOR, Effort::Unsynced);
        self.tell();
    }

    fn left(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.tell();
    }

    fn tell(&self) {
        if let Some(gauge) = self.shown.get() {
            gauge.set(self.open.load(Ordering::SeqCst) as u64);
        }
    }

    /// Closes files that were not used for longest until `max` are open, within bounds; how many were closed.
    fn close_some(&self, max: usize, effort: Effort) -> usize {
        let mut closed = 0;
        for _ in 0..LOOKS_MAX {
            if self.open.load(Ordering::SeqCst) <= max {
                break;
            }
            let Some(next) = lock(&self.ring).pop_front() else { break };
            let Some(file) = next.upgrade() else { continue };
            if file.close(effort) {
                closed += 1;
            } else {
                lock(&self.ring).push_back(next);
            }
        }
        closed
    }

    /// Files with a name, and with names below it where it is a directory's.
    fn files_at(&self, path: &Path) -> Vec<Arc<PooledFile>> {
        let files = lock(&self.files);
        let from = (path.to_owned(), 0);
        let found = files.range(from..).take_while(|((name, _), _)| name.starts_with(path));
        found.filter_map(|(_, file)| file.upgrade()).collect()
    }

    /// The name is about to be taken away: whoever holds the file goes on with it.
    fn keep_open(&self, path: &Path) -> io::Result<()> {
        for file in self.files_at(path) {
            let open = file.file();
            let mut slot = file.slot.write().unwrap_or_else(PoisonError::into_inner);
            match open {
                Ok(open) => {
                    if slot.file.is_none() {
                        slot.file = Some(open);
                        self.open.fetch_add(1, Ordering::SeqCst);
                    }
                    slot.nameless = true;
                }
                Err(error) if is_out_of_files(&error) => return Err(error),
                // The file was lost before; its name can go.
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn follow_rename(&self, from: &Path, to: &Path) {
        for file in self.files_at(from) {
            let mut slot = file.slot.write().unwrap_or_else(PoisonError::into_inner);
            let Ok(below) = slot.path.strip_prefix(from) else { continue };
            let new = if below == Path::new("") { to.to_owned() } else { to.join(below) };
            let mut files = lock(&self.files);
            files.remove(&(slot.path.clone(), file.id));
            files.insert((new.clone(), file.id), Weak::clone(&file.me));
            slot.path = new;
        }
    }
}

impl PooledFile {
    fn file(&self) -> io::Result<Arc<dyn DiskFile>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(file) = &self.slot.read().unwrap_or_else(PoisonError::into_inner).file {
            return Ok(Arc::clone(file));
        }
        let names = self.pool.names.read().unwrap_or_else(PoisonError::into_inner);
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &slot.file {
            return Ok(Arc::clone(file));
        }
        let file = self.pool.open_file(&slot.path, self.how)?;
        if Some(file.identity()?) != slot.identity {
            let what = format!("{} is another file than it was", slot.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        slot.file = Some(Arc::clone(&file));
        drop(slot);
        drop(names);
        self.pool.entered(self);
        Ok(file)
    }

    fn is_closed(&self) -> bool {
        self.slot.read().unwrap_or_else(PoisonError::into_inner).file.is_none()
    }

    /// Closes it, unless it must stay open or is spared; whether it is closed now.
    fn close(&self, effort: Effort) -> bool {
        if effort == Effort::Unsynced && !self.writes.is_clean() {
            let open = self.slot.read().unwrap_or_else(PoisonError::into_inner).file.clone();
            // Its owner is told of a failure, whenever it asks.
            let _ = open.map(|file| self.writes.sync(|| file.sync_data()));
        }
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        let used = self.used.swap(false, Ordering::Relaxed) && effort == Effort::Idle;
        if used || slot.nameless || !self.writes.is_clean() {
            return false;
        }
        let Some(file) = &slot.file else { return true };
        let Ok(identity) = file.identity() else { return false };
        slot.identity = Some(identity);
        slot.file = None;
        self.pool.left();
        true
    }
}

impl Drop for PooledFile {
    fn drop(&mut self) {
        let slot = self.slot.get_mut().unwrap_or_else(PoisonError::into_inner);
        lock(&self.pool.files).remove(&(std::mem::take(&mut slot.path), self.id));
        if slot.file.take().is_some() {
            self.pool.left();
        }
    }
}

impl DiskFile for PooledFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.writes.write(|| self.file()?.write_at(parts, position))
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.file()?.read_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.is_closed() && self.writes.is_clean() && self.writes.ever_synced.load(Ordering::SeqCst) {
            // Nothing to do, and a descriptor for it may not be there.
            return Ok(());
        }
        let file = self.file()?;
        self.writes.sync(|| file.sync_data())?;
        // It can be closed now, which many others may have waited for.
        self.pool.close_some(self.pool.max, Effort::Idle);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.writes.write(|| self.file()?.truncate(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.writes.write(|| self.file()?.allocate(len))
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file()?.drop_cache()
    }

    fn will_read(&self, position: u64, len: u64) {
        if let Ok(file) = self.file() {
            file.will_read(position, len);
        }
    }

    fn size(&self) -> io::Result<u64> {
        self.file()?.size()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.file()?.identity()
    }
}

#[cfg(test)]
mod tests;
