//! A disk for a rehearsal: reads are real, and what would change is noted instead of done.
//!
//! Small files that get their name by a rename are kept in memory, so that they can be read back; nothing else is.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Disk, DiskFile, Open, Space};

/// What would have been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A file is made, or replaced.
    Write(PathBuf),
    /// A file gets more bytes, or other ones.
    Change(PathBuf),
    /// A file is cut.
    Cut {
        /// The file.
        path: PathBuf,
        /// Its length before.
        from: u64,
        /// Its length afterwards.
        to: u64,
    },
    /// A file, or a directory with all in it, is removed.
    Remove(PathBuf),
}

/// Reads from another disk, and changes nothing there.
#[derive(Debug)]
pub struct DryDisk {
    disk: Arc<dyn Disk>,
    acts: Arc<Mutex<Vec<Act>>>,
    made: Mutex<HashMap<PathBuf, Arc<MemoryFile>>>,
}

/// A file that would have been written.
#[derive(Debug, Default)]
struct MemoryFile(Mutex<Vec<u8>>);

#[derive(Debug)]
struct DryFile {
    path: PathBuf,
    /// `None` for a file that would have been made.
    file: Option<Arc<dyn DiskFile>>,
    /// Where it would have been cut.
    limit: AtomicU64,
    changed: AtomicBool,
    acts: Arc<Mutex<Vec<Act>>>,
}

impl DryDisk {
    /// A rehearsal on what `disk` holds.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, acts: Arc::default(), made: Mutex::default() }
    }

    /// What would have been done so far, in order.
    #[must_use]
    pub fn acts(&self) -> Vec<Act> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn file(&self, path: &Path, file: Option<Arc<dyn DiskFile>>) -> Arc<dyn DiskFile> {
        let (limit, changed) = (AtomicU64::new(u64::MAX), AtomicBool::new(false));
        Arc::new(DryFile { path: path.to_owned(), file, limit, changed, acts: Arc::clone(&self.acts) })
    }
}

fn note(acts: &Mutex<Vec<Act>>, act: Act) {
    acts.lock().unwrap_or_else(PoisonError::into_inner).push(act);
}

impl Disk for DryDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match how {
            // It is noted when it gets its name.
            Open::Create if path.extension().is_some_and(|extension| extension == "tmp") => {
                made.insert(path.to_owned(), Arc::default());
            }
            Open::Create => {
                note(&self.acts, Act::Write(path.to_owned()));
                return Ok(self.file(path, None));
            }
            Open::Read | Open::Write => {}
        }
        if let Some(file) = made.get(path) {
            return Ok(Arc::<MemoryFile>::clone(file));
        }
        Ok(self.file(path, Some(self.disk.open(path, Open::Read)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = made.remove(from) {
            made.insert(to.to_owned(), file);
        }
        note(&self.acts, Act::Write(to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        note(&self.acts, Act::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        note(&self.acts, Act::Remove(dir.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }

    /// Takes no lock: whoever rehearses holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let lock = self.file(path, None);
        Ok(Some(lock))
    }
}

impl MemoryFile {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut bytes = self.bytes();
        let mut at = usize::try_from(position).map_err(io::Error::other)?;
        for part in parts {
            let end = at + part.len();
            let len = bytes.len().max(end);
            bytes.resize(len, 0);
            bytes[at..end].copy_from_slice(part);
            at = end;
        }
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn read_at(&self, into: &mut [u8], position: u64) -> io::Result<usize> {
        let bytes = self.bytes();
        let rest = usize::try_from(position).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.bytes().resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }
}

impl DiskFile for DryFile {
    fn write_at(&self, parts: &[IoSlice<'_>], _position: u64) -> io::Result<usize> {
        if self.file.is_some() && !self.changed.swap(true, Ordering::Relaxed) {
            note(&self.acts, Act::Change(self.path.clone()));
        }
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let left = usize::try_from(self.limit.load(Ordering::Relaxed).saturating_sub(position)).unwrap_or(usize::MAX);
        let len = bytes.len().min(left);
        file.read_at(&mut bytes[..len], position)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let from = self.size()?;
        if self.file.is_some() && len < from {
            note(&self.acts, Act::Cut { path: self.path.clone(), from, to: len });
            self.limit.store(len, Ordering::Relaxed);
        }
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.drop_cache())
    }

    fn size(&self) -> io::Result<u64> {
        let size = self.file.as_ref().map_or(Ok(0), |file| file.size())?;
        Ok(size.min(self.limit.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn everything_is_noted_and_nothing_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let real: Arc<dyn Disk> = Arc::new(RealDisk);
        let (kept, made) = (dir.path().join("kept"), dir.path().join("made"));
        real.replace(&kept, b"0123456789").unwrap();
        let dry = DryDisk::new(Arc::clone(&real));
        let disk: &dyn Disk = &dry;
        disk.replace(&made, b"new").unwrap();
        assert_eq!(disk.read(&made, 100).unwrap(), b"new");
        let file = disk.open(&kept, Open::Write).unwrap();
        file.write_all_at(&mut [IoSlice::new(b"x")], 0).unwrap();
        file.write_all_at(&mut [IoSlice::new(b"y")], 1).unwrap();
        file.truncate(4).unwrap();
        assert_eq!((file.size().unwrap(), file.read_full_at(&mut [0; 10], 2).unwrap()), (4, 2));
        disk.remove_file(&kept).unwrap();
        let cut = Act::Cut { path: kept.clone(), from: 10, to: 4 };
        let expected = vec![Act::Write(made.clone()), Act::Change(kept.clone()), cut, Act::Remove(kept.clone())];
        assert_eq!(dry.acts(), expected);
        assert_eq!(real.read(&kept, 100).unwrap(), b"0123456789");
        assert_eq!(real.list(dir.path()).unwrap(), ["kept"]);
    }
}
