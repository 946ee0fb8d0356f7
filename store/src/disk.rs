//! The only place where the store touches files: one seam, so that faults can be injected behind it.
//!
//! Contract of every implementation:
//! - A write is seen by every read that begins after it returned. It survives the end of the process; it survives a
//!   power loss only after [`DiskFile::sync_data`] on the same file returned `Ok`.
//! - A name that was created, renamed or removed survives a power loss only after [`Disk::sync_dir`] on its directory.
//! - After an error of `sync_data` nothing may be assumed about what was written since the last success: Linux marks
//!   the pages clean, and a second call would succeed without having written them.

pub mod dry;
#[cfg(test)]
pub(crate) mod faulty;
pub mod memory;
pub mod pool;
mod real;

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use pool::PooledDisk;
pub use real::RealDisk;

use crate::broken::{self, Broken};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist; only reads.
    Read,
    /// It must exist; reads and writes.
    Write,
    /// It is made, or emptied where it exists; reads and writes.
    Create,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an ordinary user may still write.
    pub free: u64,
    /// Size of the whole file system.
    pub total: u64,
    /// Nothing can be written.
    pub read_only: bool,
}

/// Which file it is, whatever it is called: equal only where two handles have the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file system.
    pub device: u64,
    /// The file's number there, which a later file may get again.
    pub inode: u64,
    /// When the file was made, which tells that later file from this one; `None` where the file system does not keep it.
    pub created: Option<SystemTime>,
}

/// Directories and names.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Names in a directory, in no order. Names that are not UTF-8 are not ours and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory; its parent must exist. Where it exists already, nothing happens.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Renames, over what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Room on the file system that holds this path.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes the exclusive lock of a file, which it makes if need be; `None` where another process has it. The lock goes
    /// with the value, and with the process.
    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>>;
}

/// An open file. All calls are positional, so that many threads may use one.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Writes at a position; how many bytes, which may be fewer than given.
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    /// Reads at a position; how many bytes, 0 at the end.
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize>;
    /// Makes everything written so far durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Takes room for the whole length, whether or not anything is written there; the file is this long then. A disk
    /// that cannot do it gives no reserve.
    fn allocate(&self, len: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("no {len} bytes can be allocated here")))
    }
    /// Forgets what is cached and on the disk already, so that reads come from the disk.
    fn drop_cache(&self) -> io::Result<()>;
    /// Begins to bring a range into the cache and does not wait for it, so that many places come at the same time. Nothing
    /// follows from it: a disk that cannot does nothing, and a read of the range says what is wrong.
    fn will_read(&self, _position: u64, _len: u64) {}
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Which file it is. One that cannot say it is never closed to be opened again.
    fn identity(&self) -> io::Result<Identity> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What can be built from the calls above.
impl dyn Disk + '_ {
    /// Reads a whole file; one that is larger than `max` bytes is an error.
    pub fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let file = self.open(path, Open::Read)?;
        let len = usize::try_from(file.size()?).unwrap_or(usize::MAX);
        if len > max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{len} bytes, more than {max}")));
        }
        let mut bytes = vec![0; len];
        let read = file.read_full_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Replaces a whole file so that after a crash the old or the new one is there: written beside it, synced, renamed.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = path.with_added_extension("tmp");
        let file = self.open(&beside, Open::Create)?;
        file.write_all_at(&mut [IoSlice::new(bytes)], 0)?;
        file.sync_data()?;
        self.rename(&beside, path)?;
        if broken::is(Broken::NoDirectorySync) {
            return Ok(());
        }
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

impl dyn DiskFile + '_ {
    /// Writes all parts, one after the other.
    pub fn write_all_at(&self, mut parts: &mut [IoSlice<'_>], mut position: u64) -> io::Result<()> {
        /// What one call takes (`IOV_MAX` on Linux).
        const PARTS_MAX: usize = 1024;
        while !parts.is_empty() {
            match self.write_at(&parts[..parts.len().min(PARTS_MAX)], position) {
                Ok(0) if parts.iter().all(|part| part.is_empty()) => return Ok(()),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    position += written as u64;
                    IoSlice::advance_slices(&mut parts, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Copies a range to the beginning of another file; where this one ends before, the copy does too.
    pub fn copy_range(&self, to: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
        const CHUNK: usize = 1024 * 1024;
        let mut bytes = vec![0; CHUNK];
        let mut position = start;
        while position < end {
            let len = usize::try_from(end - position).unwrap_or(CHUNK).min(CHUNK);
            let read = self.read_full_at(&mut bytes[..len], position)?;
            if read == 0 {
                break;
            }
            to.write_all_at(&mut [IoSlice::new(&bytes[..read])], position - start)?;
            position += read as u64;
        }
        Ok(())
    }

    /// Reads until `bytes` is full or the file ends; how many bytes.
    pub fn read_full_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < bytes.len() {
            match self.read_at(&mut bytes[read..], position + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

/// Whether an error says that the process, or the machine, can open no more files.
#[must_use]
pub fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|number| [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).contains(&number))
}

/// Whether an error says that there is no room: no space, no inode, quota used up, file system read-only.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | FileTooLarge)
}
