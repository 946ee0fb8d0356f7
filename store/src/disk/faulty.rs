//! Real files with faults that a test switches on.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use super::{Disk, DiskFile, Identity, Open, RealDisk, Space};

/// Switches, shared by the disk and all its files.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Bytes that can still be written before every write says that the disk is full.
    pub(crate) room: AtomicU64,
    /// Every sync of data fails.
    pub(crate) sync_fails: AtomicBool,
    /// Every truncation fails.
    pub(crate) truncate_fails: AtomicBool,
    /// What the disk says of its room.
    pub(crate) free: AtomicU64,
    /// The error number of every write, truncation and new name; none where it is 0.
    pub(crate) write_error: AtomicI32,
    /// Opens that fail from now on, because there is no descriptor left.
    pub(crate) opens_that_fail: AtomicU64,
    /// The next new name is the last thing that a descriptor is found for.
    pub(crate) no_files_after_rename: AtomicBool,
    /// Writes that find no room from now on.
    pub(crate) writes_that_fail: AtomicU64,
    /// Files that are open, and how many at most were.
    pub(crate) open: AtomicU64,
    pub(crate) most_open: AtomicU64,
    /// Syncs wait while this is held.
    pub(crate) sync_gate: std::sync::Mutex<()>,
    /// Syncs of data that were asked for.
    pub(crate) syncs: AtomicU64,
    /// Where reads were announced, and where was read: from and until in a file.
    pub(crate) announced: std::sync::Mutex<Vec<(u64, u64)>>,
    pub(crate) reads: std::sync::Mutex<Vec<(u64, u64)>>,
    /// What reached the disk, in order.
    pub(crate) events: std::sync::Mutex<Vec<Event>>,
}

/// A call that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Write(PathBuf),
    Sync(PathBuf),
    Rename(PathBuf),
}

/// Free room where a test does not say: half of the disk.
const FREE: u64 = 1 << 40;

impl Faults {
    fn check_write(&self) -> io::Result<()> {
        match self.write_error.load(Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }

    fn is_read_only(&self) -> bool {
        self.write_error.load(Ordering::SeqCst) == rustix::io::Errno::ROFS.raw_os_error()
    }

    fn note(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            room: AtomicU64::new(u64::MAX),
            sync_fails: AtomicBool::new(false),
            truncate_fails: AtomicBool::new(false),
            free: AtomicU64::new(FREE),
            write_error: AtomicI32::new(0),
            opens_that_fail: AtomicU64::new(0),
            no_files_after_rename: AtomicBool::new(false),
            writes_that_fail: AtomicU64::new(0),
            open: AtomicU64::new(0),
            most_open: AtomicU64::new(0),
            sync_gate: std::sync::Mutex::new(()),
            syncs: AtomicU64::new(0),
            announced: std::sync::Mutex::default(),
            reads: std::sync::Mutex::default(),
            events: std::sync::Mutex::default(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk {
    pub(crate) faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        self.faults.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether there was one left to take.
fn takes_one(count: &AtomicU64) -> bool {
    count.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        if takes_one(&self.faults.opens_that_fail) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()));
        }
        if how == Open::Create || how == Open::Write && self.faults.is_read_only() {
            self.faults.check_write()?;
        }
        let (file, faults) = (RealDisk.open(path, how)?, Arc::clone(&self.faults));
        let open = faults.open.fetch_add(1, Ordering::SeqCst) + 1;
        faults.most_open.fetch_max(open, Ordering::SeqCst);
        Ok(Arc::new(FaultyFile { path: path.to_owned(), file, faults }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if !dir.exists() {
            self.faults.check_write()?;
        }
        RealDisk.create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.check_write()?;
        RealDisk.rename(from, to)?;
        self.faults.note(Event::Rename(to.to_owned()));
        if self.faults.no_files_after_rename.swap(false, Ordering::SeqCst) {
            self.faults.opens_that_fail.store(u64::MAX, Ordering::SeqCst);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        if self.faults.is_read_only() {
            self.faults.check_write()?;
        }
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        if self.faults.is_read_only() {
            self.faults.check_write()?;
        }
        RealDisk.remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let read_only = self.faults.is_read_only();
        Ok(Space { free: self.faults.free.load(Ordering::SeqCst), total: 2 * FREE, read_only })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        RealDisk.lock(path)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.faults.check_write()?;
        if takes_one(&self.faults.writes_that_fail) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let room = self.faults.room.load(Ordering::SeqCst);
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        if wanted as u64 <= room {
            self.faults.room.fetch_sub(wanted as u64, Ordering::SeqCst);
            self.faults.note(Event::Write(self.path.clone()));
            return self.file.write_at(parts, position);
        }
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A short write first, as a real disk does it.
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        bytes.truncate(usize::try_from(room).unwrap());
        self.faults.room.store(0, Ordering::SeqCst);
        self.file.write_at(&[IoSlice::new(&bytes)], position)
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.faults.reads.lock().unwrap().push((position, position + bytes.len() as u64));
        self.file.read_at(bytes, position)
    }

    fn will_read(&self, position: u64, len: u64) {
        self.faults.announced.lock().unwrap().push((position, position + len));
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        drop(self.faults.sync_gate.lock());
        if self.faults.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        self.file.sync_data()?;
        self.faults.note(Event::Sync(self.path.clone()));
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.faults.truncate_fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        self.faults.check_write()?;
        self.file.truncate(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len > self.faults.room.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.allocate(len)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.file.identity()
    }
}
