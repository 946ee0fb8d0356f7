//! Writers' reigns, kept for ever: a small log of documents, synced before anybody is told.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use logstore_api::fence::Reign;
use logstore_api::{Code, NamespaceName, Problem};
use serde::{Deserialize, Serialize};

use crate::disk::{self, Disk, DiskFile, Open};
use crate::document;
use crate::log::place;

/// More than this file ever has: a start rewrites it with one entry per namespace.
const FILE_MAX: usize = 1024 * 1024 * 1024;

/// All reigns in force.
#[derive(Debug)]
pub struct Fences {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    by_namespace: HashMap<NamespaceName, Reign>,
    /// Not there before the first fence, so that opening needs no room.
    file: Option<(Arc<dyn DiskFile>, u64)>,
    /// A write or sync failed: what the file holds is not known before the next start.
    broken: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    namespace: NamespaceName,
    reign: Reign,
    revision: u64,
}

impl Fences {
    /// Reads the log. A torn last entry was promised to nobody.
    pub fn load(disk: Arc<dyn Disk>, path: PathBuf) -> io::Result<Self> {
        let mut by_namespace = HashMap::new();
        if let Ok(file) = disk.open(&path, Open::Read) {
            // What a killed process has written holds from here on, so it has to be on the disk; what a failed sync has
            // left in the page cache is not.
            file.sync_data()?;
            file.drop_cache()?;
        }
        match disk.read(&path, FILE_MAX) {
            Ok(bytes) => {
                for entry in entries(&bytes) {
                    let Entry { namespace, reign, revision: _ } = entry?;
                    by_namespace.insert(namespace, reign);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self { disk, path, state: Mutex::new(State { by_namespace, file: None, broken: false }) })
    }

    /// The reign over a namespace.
    #[must_use]
    pub fn reign(&self, name: &NamespaceName) -> Option<Reign> {
        self.lock().by_namespace.get(name).cloned()
    }

    /// Puts a reign in force, where it is higher than the one in force or the same.
    pub fn raise(&self, name: &NamespaceName, reign: &Reign, revision: u64) -> Result<(), Problem> {
        let mut state = self.lock();
        match state.by_namespace.get(name) {
            Some(current) if (current.epoch, current.writer) == (reign.epoch, reign.writer) => return Ok(()),
            Some(current) if current.epoch >= reign.epoch => return Err(place::fenced(current, reign.epoch)),
            _ => {}
        }
        if state.broken {
            let detail = "an earlier write of the fences failed, so no writer can take over before a restart";
            return Err(Problem::new(Code::Frozen, detail));
        }
        let entry = Entry { namespace: name.clone(), reign: reign.clone(), revision };
        self.write(&mut state, &document::encode(&entry)).map_err(|error| {
            if disk::is_full(&error) {
                return Problem::new(Code::DiskFull, "there is no room to keep the fence; free some and try again");
            }
            if disk::is_out_of_files(&error) {
                let detail = "the store can open no more files, so the fence was not kept; try again later";
                return Problem::new(Code::Overloaded, detail);
            }
            state.broken = true;
            tracing::error!(%error, path = %self.path.display(), "failed to write the fences; no writer can take over before a restart");
            Problem::new(Code::Frozen, "the fence could not be kept; restart the store")
        })?;
        state.by_namespace.insert(name.clone(), reign.clone());
        Ok(())
    }

    fn write(&self, state: &mut State, entry: &[u8]) -> io::Result<()> {
        let (file, len) = match state.file.take() {
            Some(file) => file,
            None => self.rewrite(state)?,
        };
        let written = file.write_all_at(&mut [IoSlice::new(entry)], len).and_then(|()| file.sync_data());
        match written {
            Ok(()) => {
                state.file = Some((file, len + entry.len() as u64));
                Ok(())
            }
            Err(error) => {
                // Where even that fails, the next start drops the torn entry.
                let _ = file.truncate(len);
                state.file = Some((file, len));
                Err(error)
            }
        }
    }

    /// Writes one entry per namespace into a new file.
    fn rewrite(&self, state: &State) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let mut bytes = Vec::new();
        for (namespace, reign) in &state.by_namespace {
            let entry = Entry { namespace: namespace.clone(), reign: reign.clone(), revision: 0 };
            bytes.extend_from_slice(&document::encode(&entry));
        }
        self.disk.replace(&self.path, &bytes)?;
        Ok((self.disk.open(&self.path, Open::Write)?, bytes.len() as u64))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of the file, two lines each. Only the last may be torn; damage before it is an error.
fn entries(bytes: &[u8]) -> impl Iterator<Item = io::Result<Entry>> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let count = lines.len();
    let documents: Vec<Vec<u8>> = lines.chunks(2).map(<[&[u8]]>::concat).collect();
    let last = count.div_ceil(2);
    documents.into_iter().enumerate().filter_map(move |(number, bytes)| match document::decode::<Entry>(&bytes) {
        Ok(entry) => Some(Ok(entry)),
        Err(error) if number + 1 == last => {
            tracing::warn!(%error, "the last fence was torn by a crash; nobody was told of it");
            None
        }
        Err(error) => Some(Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string()))),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use uuid::Uuid;

    use super::*;
    use crate::disk::faulty::FaultyDisk;

    fn reign(epoch: u32, writer: u128) -> Reign {
        Reign { epoch, writer: Uuid::from_u128(writer), label: format!("writer {writer}") }
    }

    fn name(name: &str) -> NamespaceName {
        NamespaceName::parse(name).unwrap()
    }

    fn load(disk: &FaultyDisk, dir: &tempfile::TempDir) -> Fences {
        Fences::load(Arc::new(disk.clone()), dir.path().join("fences")).unwrap()
    }

    #[test]
    fn a_reign_survives_a_restart_and_a_lower_one_is_refused() {
        let (disk, dir) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
        let fences = load(&disk, &dir);
        fences.raise(&name("a"), &reign(1, 1), 0).unwrap();
        fences.raise(&name("a"), &reign(3, 2), 0).unwrap();
        fences.raise(&name("b"), &reign(9, 3), 0).unwrap();
        for fences in [fences, load(&disk, &dir)] {
            assert_eq!(fences.reign(&name("a")), Some(reign(3, 2)));
            assert_eq!(fences.raise(&name("a"), &reign(3, 2), 0), Ok(()), "its own reign again");
            for lower in [reign(2, 1), reign(3, 1)] {
                let problem = fences.raise(&name("a"), &lower, 0).unwrap_err();
                assert_eq!((problem.code.as_str(), &problem.more["writer"]["epoch"]), ("fenced", &3.into()));
            }
        }
        let again = load(&disk, &dir);
        again.raise(&name("a"), &reign(4, 1), 0).unwrap();
        assert_eq!(load(&disk, &dir).reign(&name("a")), Some(reign(4, 1)));
        assert_eq!(load(&disk, &dir).reign(&name("b")), Some(reign(9, 3)));
    }

    #[test]
    fn a_torn_last_entry_is_dropped_and_damage_before_it_is_not_passed_over() {
        let (disk, dir) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
        let path = dir.path().join("fences");
        load(&disk, &dir).raise(&name("a"), &reign(1, 1), 0).unwrap();
        let whole: Vec<u8> = (&disk as &dyn Disk).read(&path, 4096).unwrap();
        for len in 0..whole.len() {
            (&disk as &dyn Disk).replace(&path, &[&whole[..], &whole[..len]].concat()).unwrap();
            assert_eq!(load(&disk, &dir).reign(&name("a")), Some(reign(1, 1)), "torn after {len} bytes");
        }
        let mut damaged = [&whole[..], &whole[..]].concat();
        damaged[20] ^= 1;
        (&disk as &dyn Disk).replace(&path, &damaged).unwrap();
        assert!(Fences::load(Arc::new(disk), path).is_err());
    }

    #[test]
    fn a_fence_that_is_not_synced_is_not_in_force() {
        let (disk, dir) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
        let fences = load(&disk, &dir);
        fences.raise(&name("a"), &reign(1, 1), 0).unwrap();
        disk.faults.room.store(5, Ordering::SeqCst);
        assert_eq!(fences.raise(&name("a"), &reign(2, 2), 0).unwrap_err().code, "disk_full");
        disk.faults.room.store(u64::MAX, Ordering::SeqCst);
        disk.faults.sync_fails.store(true, Ordering::SeqCst);
        assert_eq!(fences.raise(&name("a"), &reign(2, 2), 0).unwrap_err().code, "frozen");
        disk.faults.sync_fails.store(false, Ordering::SeqCst);
        assert_eq!(fences.raise(&name("a"), &reign(2, 2), 0).unwrap_err().code, "frozen", "not as if nothing happened");
        assert_eq!(fences.reign(&name("a")), Some(reign(1, 1)));
    }
}
