//! Files in memory, for tests that damage them by the million and for fuzzing. They end with the value.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Disk, DiskFile, Open, Space};

/// Directories and files in memory. Clones share them; [`MemoryDisk::fork`] does not.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    tree: Arc<Mutex<Tree>>,
}

#[derive(Debug, Default)]
struct Tree {
    dirs: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Arc<MemoryFile>>,
    locks: BTreeMap<PathBuf, Weak<dyn DiskFile>>,
}

/// Content that is copied when it is written while a fork has it too.
#[derive(Debug, Default)]
struct MemoryFile(Mutex<Arc<Vec<u8>>>);

/// The holder of a lock; another value than the file, which many may have open.
#[derive(Debug)]
struct Held(Arc<MemoryFile>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    /// A disk with the same files, from which on both go their own ways. Nobody holds a lock there.
    #[must_use]
    pub fn fork(&self) -> Self {
        let tree = lock(&self.tree);
        let copy = |(path, file): (&PathBuf, &Arc<MemoryFile>)| {
            (path.clone(), Arc::new(MemoryFile(Mutex::new(Arc::clone(&lock(&file.0))))))
        };
        let files = tree.files.iter().map(copy).collect();
        let tree = Tree { dirs: tree.dirs.clone(), files, locks: BTreeMap::new() };
        Self { tree: Arc::new(Mutex::new(tree)) }
    }

    /// All files, by path.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        lock(&self.tree).files.keys().cloned().collect()
    }

    /// Changes a file's bytes behind the store's back.
    ///
    /// # Errors
    /// Where there is none.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        change(Arc::make_mut(&mut lock(&self.file(path)?.0)));
        Ok(())
    }

    fn file(&self, path: &Path) -> io::Result<Arc<MemoryFile>> {
        lock(&self.tree).files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Tree {
    fn must_have(&self, dir: Option<&Path>) -> io::Result<()> {
        match dir {
            Some(dir) if dir.parent().is_some() && !self.dirs.contains(dir) => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    }

    fn open(&mut self, path: &Path, how: Open) -> io::Result<Arc<MemoryFile>> {
        if how == Open::Create {
            self.must_have(path.parent())?;
            let file = Arc::clone(self.files.entry(path.to_owned()).or_default());
            *lock(&file.0) = Arc::default();
            return Ok(file);
        }
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn move_below(&mut self, from: &Path, to: &Path) {
        let moved = |path: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
        let dirs = std::mem::take(&mut self.dirs);
        self.dirs = dirs.into_iter().map(|dir| moved(&dir).unwrap_or(dir)).collect();
        let files = std::mem::take(&mut self.files);
        self.files = files.into_iter().map(|(path, file)| (moved(&path).unwrap_or(path), file)).collect();
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        Ok(lock(&self.tree).open(path, how)?)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let tree = lock(&self.tree);
        tree.must_have(Some(dir))?;
        let inside = |path: &Path| path.parent() == Some(dir);
        let names = tree.files.keys().chain(&tree.dirs).filter(|path| inside(path));
        Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.must_have(dir.parent())?;
        tree.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        if tree.dirs.contains(from) {
            tree.move_below(from, to);
            return Ok(());
        }
        let file = tree.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        lock(&self.tree).files.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.must_have(Some(dir))?;
        tree.files.retain(|path, _| !path.starts_with(dir));
        tree.dirs.retain(|path| !path.starts_with(dir));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        Ok(Space { free: 1 << 40, total: 1 << 41, read_only: false })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut tree = lock(&self.tree);
        if tree.locks.get(path).is_some_and(|held| held.strong_count() > 0) {
            return Ok(None);
        }
        let file = match tree.open(path, Open::Write) {
            Err(_) => tree.open(path, Open::Create)?,
            Ok(file) => file,
        };
        let held: Arc<dyn DiskFile> = Arc::new(Held(file));
        tree.locks.insert(path.to_owned(), Arc::downgrade(&held));
        Ok(Some(held))
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut content = lock(&self.0);
        let bytes = Arc::make_mut(&mut content);
        let mut at = usize::try_from(position).map_err(io::Error::other)?;
        let begun = at;
        for part in parts {
            let end = at + part.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[at..end].copy_from_slice(part);
            at = end;
        }
        Ok(at - begun)
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        let content = lock(&self.0);
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(content.len());
        let len = bytes.len().min(content.len() - from);
        bytes[..len].copy_from_slice(&content[from..from + len]);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        Arc::make_mut(&mut lock(&self.0)).resize(len, 0);
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }
}

impl DiskFile for Held {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.0.write_at(parts, position)
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.0.drop_cache()
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}
