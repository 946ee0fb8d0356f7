//! The simulated disk behind the store's seam: an image, a fault that may wait for its call, and somebody who looks at
//! the image before each call that changes it.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use logstore_store::disk::{Disk, DiskFile, Open, Space};

use super::image::{Image, Ino};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device fails.
    Io,
    /// There is no room.
    Full,
    /// A signal came first.
    Interrupted,
    /// A write or read does half of what it should, and says so.
    Short,
    /// A write does half of what it should, and every later one finds no room, until the disk is told otherwise.
    FullAfterHalf,
}

/// The calls, so that a fault can be told where it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Create,
    List,
    CreateDir,
    Rename,
    RemoveFile,
    RemoveDir,
    SyncDir,
    Space,
    Lock,
    Write,
    Read,
    SyncData,
    Truncate,
    DropCache,
    Size,
}

impl Call {
    fn changes(self) -> bool {
        !matches!(self, Self::Open | Self::List | Self::Space | Self::Lock | Self::Read | Self::DropCache | Self::Size)
    }

    /// Whether this can happen to this call.
    pub(crate) fn can(self, fault: Fault) -> bool {
        match fault {
            Fault::Io => true,
            Fault::Full => {
                matches!(self, Self::Create | Self::CreateDir | Self::Rename | Self::SyncDir | Self::Write | Self::Lock)
            }
            Fault::Interrupted => matches!(self, Self::Write | Self::Read),
            Fault::Short => matches!(self, Self::Write | Self::Read),
            Fault::FullAfterHalf => self == Self::Write,
        }
    }
}

type Look = Box<dyn FnMut(&Image) + Send>;

struct State {
    image: Image,
    calls: Vec<Call>,
    fault: Option<(usize, Fault)>,
    full: bool,
    look: Option<Look>,
    lock: Weak<()>,
}

/// Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    ino: Ino,
    /// Of the root's lock file, whose content is for people and is not kept here.
    lock: Option<Arc<()>>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

impl std::fmt::Debug for SimFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimFile({})", self.ino)
    }
}

/// What a fault leaves to do.
enum Go {
    On,
    Half,
}

impl SimDisk {
    pub(crate) fn new(image: Image) -> Self {
        Self(Arc::new(Mutex::new(State {
            image,
            calls: Vec::new(),
            fault: None,
            full: false,
            look: None,
            lock: Weak::new(),
        })))
    }

    pub(crate) fn image(&self) -> Image {
        self.0.lock().unwrap().image.clone()
    }

    /// `look` sees the image before each call that changes it.
    pub(crate) fn watch(&self, look: impl FnMut(&Image) + Send + 'static) {
        self.0.lock().unwrap().look = Some(Box::new(look));
    }

    /// The call with this number goes wrong.
    pub(crate) fn fail(&self, call: usize, fault: Fault) {
        self.0.lock().unwrap().fault = Some((call, fault));
    }

    /// There is room again.
    pub(crate) fn free(&self) {
        self.0.lock().unwrap().full = false;
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    fn call<T>(&self, call: Call, act: impl FnOnce(&mut State, Go) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        if call.changes()
            && let Some(mut look) = state.look.take()
        {
            look(&state.image);
            state.look = Some(look);
        }
        let number = state.calls.len();
        state.calls.push(call);
        if state.full && matches!(call, Call::Write | Call::Create | Call::CreateDir) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let go = match state.fault.filter(|(at, fault)| *at == number && call.can(*fault)).map(|(_, fault)| fault) {
            None => Go::On,
            Some(Fault::Short) => Go::Half,
            Some(Fault::FullAfterHalf) => {
                state.full = true;
                Go::Half
            }
            Some(Fault::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
            Some(Fault::Full) => return Err(io::ErrorKind::StorageFull.into()),
            // EIO.
            Some(Fault::Io) => {
                if call == Call::SyncData {
                    // What becomes of the data is told to the file.
                    return act(&mut state, Go::Half);
                }
                return Err(io::Error::from_raw_os_error(5));
            }
        };
        act(&mut state, go)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let call = if how == Open::Create { Call::Create } else { Call::Open };
        let ino = self.call(call, |state, _| match how {
            Open::Create => state.image.create_file(path),
            _ => state.image.file_at(path),
        })?;
        Ok(Arc::new(SimFile { disk: self.clone(), ino, lock: None }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.call(Call::List, |state, _| state.image.list(dir))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(Call::CreateDir, |state, _| state.image.create_dir(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, |state, _| state.image.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Call::RemoveFile, |state, _| state.image.remove_file(path))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.call(Call::RemoveDir, |state, _| state.image.remove_dir_all(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(Call::SyncDir, |state, _| state.image.sync_dir(dir))
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        self.call(Call::Space, |_, _| Ok(Space { free: 1 << 40, total: 1 << 41, read_only: false }))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let lock = Arc::new(());
        let ino = self.call(Call::Lock, |state, _| {
            assert!(state.lock.upgrade().is_none(), "the last engine still holds the root");
            state.lock = Arc::downgrade(&lock);
            state.image.file_at(path).or_else(|_| state.image.create_file(path))
        })?;
        Ok(Some(Arc::new(SimFile { disk: self.clone(), ino, lock: Some(lock) })))
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.disk.call(Call::Write, |state, go| {
            if matches!(go, Go::Half) {
                bytes.truncate(bytes.len().div_ceil(2));
            }
            if !bytes.is_empty() && self.lock.is_none() {
                state.image.write(self.ino, position, &bytes);
            }
            Ok(bytes.len())
        })
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.disk.call(Call::Read, |state, go| {
            let len = if matches!(go, Go::Half) { bytes.len().div_ceil(2) } else { bytes.len() };
            Ok(state.image.read(self.ino, &mut bytes[..len], position))
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call(Call::SyncData, |state, go| match go {
            Go::On => {
                state.image.sync_data(self.ino);
                Ok(())
            }
            Go::Half => {
                state.image.fail_sync(self.ino);
                Err(io::Error::from_raw_os_error(5))
            }
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.call(Call::Truncate, |state, _| {
            if self.lock.is_none() {
                state.image.set_len(self.ino, len);
            }
            Ok(())
        })
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.disk.call(Call::DropCache, |state, _| {
            state.image.drop_cache(self.ino);
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.call(Call::Size, |state, _| Ok(state.image.len(self.ino)))
    }
}
