//! What a simulated disk holds, twice: as processes see it, and as a power loss would leave it.
//!
//! The model, which asks more of the store than ext4 and XFS do:
//! - **Data.** What was written to a file since its last successful `sync_data` may be on the disk or not, each write by
//!   itself, in any combination. A write that is there may be torn: any of its sectors (512 bytes) may be missing.
//! - **Length.** Changes of a file's length reach the disk in their order, a prefix of them, but independent of the data:
//!   a length without its data shows zeroes, data without its length is not there.
//! - **Names.** What was made, renamed or removed in a directory since its last `sync_dir` may be on the disk or not,
//!   each by itself, in any combination. One rename is atomic. `sync_data` does not make a file's name durable.
//! - **A failed `sync_data`** loses data for good: what was unsynced is never written, while the page cache shows it
//!   until [`Image::drop_cache`]; a later success says nothing about it.
//! - **The end of the process** loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

/// What a disk writes whole or not at all.
pub(crate) const SECTOR: u64 = 512;

/// Number of a file or directory; 0 is the root.
pub(crate) type Ino = usize;

type Names = BTreeMap<Arc<str>, Ino>;

/// Cheap to clone: what two images have in common is held once.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    nodes: Vec<Arc<Node>>,
}

#[derive(Clone, Debug)]
enum Node {
    File(File),
    Dir(Dir),
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Arc<Vec<u8>>,
    visible: Arc<Vec<u8>>,
    unsynced: Vec<Change>,
}

/// What was done to a file and is not synced.
#[derive(Clone, Debug)]
enum Change {
    Write {
        position: u64,
        bytes: Arc<[u8]>,
        /// A sync of it has failed: its data never reaches the disk.
        doomed: bool,
    },
    Length(u64),
}

#[derive(Clone, Debug, Default)]
struct Dir {
    durable: Arc<Names>,
    visible: Arc<Names>,
    unsynced: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(Arc<str>, Ino),
    Remove(Arc<str>),
    Rename(Arc<str>, Arc<str>, Ino),
}

/// How much of an unsynced write is on the disk after a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Lost,
    Whole,
    /// Its first sectors.
    Prefix(u64),
    /// All but its first sectors.
    Suffix(u64),
    /// Any of them, as this seed says.
    Scattered(u64),
}

impl Reach {
    fn has(self, sector: u64) -> bool {
        match self {
            Self::Lost => false,
            Self::Whole => true,
            Self::Prefix(count) => sector < count,
            Self::Suffix(count) => sector >= count,
            Self::Scattered(seed) => super::rng::Rng::new(seed.wrapping_add(sector)).chance(1, 2),
        }
    }
}

/// What a power loss leaves of what is unsynced.
#[derive(Clone, Debug, Default)]
pub(crate) struct PowerLoss {
    pub(crate) files: BTreeMap<Ino, FileLoss>,
    /// For each unsynced change of a directory whether it is there; what is not named here is lost.
    pub(crate) dirs: BTreeMap<Ino, Vec<bool>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FileLoss {
    /// One for each unsynced change; for a change of the length alone it means nothing.
    pub(crate) writes: Vec<Reach>,
    /// How many of the changes have reached the length.
    pub(crate) lengths: usize,
}

/// What a power loss can take from an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtStake {
    /// For each file the sectors that each unsynced change touches; 0 for one of the length alone.
    pub(crate) files: Vec<(Ino, Vec<u64>)>,
    /// For each directory its unsynced changes.
    pub(crate) dirs: Vec<(Ino, usize)>,
}

impl Default for Image {
    fn default() -> Self {
        Self { nodes: vec![Arc::new(Node::Dir(Dir::default()))] }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Image {
    // What processes do.

    pub(crate) fn file_at(&self, path: &Path) -> io::Result<Ino> {
        let ino = self.find(path)?;
        match &*self.nodes[ino] {
            Node::File(_) => Ok(ino),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(crate) fn create_file(&mut self, path: &Path) -> io::Result<Ino> {
        match self.file_at(path) {
            Ok(ino) => {
                self.set_len(ino, 0);
                Ok(ino)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.add(path, Node::File(File::default())),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        match self.find(path).map(|ino| &*self.nodes[ino]) {
            Ok(Node::Dir(_)) => Ok(()),
            Ok(Node::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => self.add(path, Node::Dir(Dir::default())).map(drop),
        }
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Ok(self.dir(self.find(path)?)?.visible.keys().map(|name| name.to_string()).collect())
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "the store renames within a directory only");
        let ino = self.find(from)?;
        if let Ok(Node::Dir(over)) = self.find(to).map(|over| &*self.nodes[over])
            && !over.visible.is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (dir, from) = self.parent(from)?;
        let (_, to) = self.parent(to)?;
        let dir = self.dir_mut(dir);
        dir.change(NameChange::Rename(from, to, ino));
        Ok(())
    }

    pub(crate) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file_at(path)?;
        let (dir, name) = self.parent(path)?;
        self.dir_mut(dir).change(NameChange::Remove(name));
        Ok(())
    }

    pub(crate) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.find(path)?;
        for name in self.list(path)? {
            let child = path.join(&name);
            match &*self.nodes[self.find(&child)?] {
                Node::Dir(_) => self.remove_dir_all(&child)?,
                Node::File(_) => self.dir_mut(ino).change(NameChange::Remove(name.as_str().into())),
            }
        }
        let (dir, name) = self.parent(path)?;
        self.dir_mut(dir).change(NameChange::Remove(name));
        Ok(())
    }

    pub(crate) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.find(path)?;
        self.dir(ino)?;
        let dir = self.dir_mut(ino);
        dir.durable = Arc::clone(&dir.visible);
        dir.unsynced.clear();
        Ok(())
    }

    pub(crate) fn write(&mut self, ino: Ino, position: u64, bytes: &[u8]) {
        let file = self.file_mut(ino);
        put(Arc::make_mut(&mut file.visible), position, bytes);
        file.unsynced.push(Change::Write { position, bytes: bytes.into(), doomed: false });
    }

    pub(crate) fn read(&self, ino: Ino, bytes: &mut [u8], position: u64) -> usize {
        let visible = &self.file(ino).visible;
        let from = usize::try_from(position).unwrap().min(visible.len());
        let count = bytes.len().min(visible.len() - from);
        bytes[..count].copy_from_slice(&visible[from..from + count]);
        count
    }

    pub(crate) fn len(&self, ino: Ino) -> u64 {
        self.file(ino).visible.len() as u64
    }

    pub(crate) fn set_len(&mut self, ino: Ino, len: u64) {
        let file = self.file_mut(ino);
        Arc::make_mut(&mut file.visible).resize(usize::try_from(len).unwrap(), 0);
        file.unsynced.push(Change::Length(len));
    }

    pub(crate) fn sync_data(&mut self, ino: Ino) {
        let file = self.file_mut(ino);
        let any_doomed = file.unsynced.iter().any(|change| matches!(change, Change::Write { doomed: true, .. }));
        file.durable = if any_doomed { Arc::new(file.all_that_can()) } else { Arc::clone(&file.visible) };
        file.unsynced.clear();
    }

    /// A sync that fails: what was unsynced is lost, and nobody will be told again.
    pub(crate) fn fail_sync(&mut self, ino: Ino) {
        for change in &mut self.file_mut(ino).unsynced {
            if let Change::Write { doomed, .. } = change {
                *doomed = true;
            }
        }
    }

    /// From here on reads come from the disk, where everything is synced.
    pub(crate) fn drop_cache(&mut self, ino: Ino) {
        let file = self.file_mut(ino);
        if file.unsynced.is_empty() {
            file.visible = Arc::clone(&file.durable);
        }
    }

    /// Flips a bit in the middle of these bytes, wherever they stand on the disk; whether they stand anywhere.
    #[cfg(feature = "broken")]
    pub(crate) fn flip(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        for node in &mut self.nodes {
            let Node::File(file) = Arc::make_mut(node) else { continue };
            for held in [&mut file.visible, &mut file.durable] {
                if let Some(at) = held.windows(bytes.len()).position(|window| window == bytes) {
                    Arc::make_mut(held)[at + bytes.len() / 2] ^= 0x40;
                    found = true;
                }
            }
        }
        found
    }

    // What a power loss does.

    pub(crate) fn at_stake(&self) -> AtStake {
        let mut at_stake = AtStake::default();
        for ino in self.reachable() {
            match &*self.nodes[ino] {
                Node::File(file) if !file.unsynced.is_empty() => {
                    at_stake.files.push((ino, file.unsynced.iter().map(Change::sectors).collect()));
                }
                Node::Dir(dir) if !dir.unsynced.is_empty() => at_stake.dirs.push((ino, dir.unsynced.len())),
                _ => {}
            }
        }
        at_stake
    }

    /// The image that a power loss leaves: all of it is on the disk.
    pub(crate) fn after(&self, loss: &PowerLoss) -> Self {
        let after = |(ino, node): (Ino, &Arc<Node>)| match &**node {
            Node::File(file) if file.is_settled() => Arc::clone(node),
            Node::File(file) => {
                let left = match loss.files.get(&ino) {
                    Some(loss) => Arc::new(file.after(loss)),
                    None => Arc::clone(&file.durable),
                };
                Arc::new(Node::File(File { durable: Arc::clone(&left), visible: left, unsynced: Vec::new() }))
            }
            Node::Dir(dir) if dir.unsynced.is_empty() => Arc::clone(node),
            Node::Dir(dir) => {
                let left = Arc::new(dir.after(loss.dirs.get(&ino).map_or(&[], Vec::as_slice)));
                Arc::new(Node::Dir(Dir { durable: Arc::clone(&left), visible: left, unsynced: Vec::new() }))
            }
        };
        Self { nodes: self.nodes.iter().enumerate().map(after).collect() }
    }

    // The parts.

    fn reachable(&self) -> BTreeSet<Ino> {
        let mut found = BTreeSet::from([0]);
        let mut open = vec![0];
        while let Some(ino) = open.pop() {
            let Node::Dir(dir) = &*self.nodes[ino] else { continue };
            let added = dir.unsynced.iter().filter_map(|change| match change {
                NameChange::Add(_, ino) | NameChange::Rename(_, _, ino) => Some(*ino),
                NameChange::Remove(_) => None,
            });
            for ino in dir.durable.values().chain(dir.visible.values()).copied().chain(added) {
                if found.insert(ino) {
                    open.push(ino);
                }
            }
        }
        found
    }

    fn find(&self, path: &Path) -> io::Result<Ino> {
        let mut ino = 0;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let Node::Dir(dir) = &*self.nodes[ino] else { return Err(io::ErrorKind::NotADirectory.into()) };
                ino = *dir.visible.get(name.to_str().unwrap()).ok_or_else(not_found)?;
            }
        }
        Ok(ino)
    }

    fn parent(&self, path: &Path) -> io::Result<(Ino, Arc<str>)> {
        let name = path.file_name().ok_or_else(not_found)?.to_str().unwrap().into();
        let ino = self.find(path.parent().ok_or_else(not_found)?)?;
        self.dir(ino)?;
        Ok((ino, name))
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<Ino> {
        let (dir, name) = self.parent(path)?;
        let ino = self.nodes.len();
        self.nodes.push(Arc::new(node));
        self.dir_mut(dir).change(NameChange::Add(name, ino));
        Ok(ino)
    }

    fn dir(&self, ino: Ino) -> io::Result<&Dir> {
        match &*self.nodes[ino] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn dir_mut(&mut self, ino: Ino) -> &mut Dir {
        match Arc::make_mut(&mut self.nodes[ino]) {
            Node::Dir(dir) => dir,
            Node::File(_) => panic!("node {ino} is a file"),
        }
    }

    fn file(&self, ino: Ino) -> &File {
        match &*self.nodes[ino] {
            Node::File(file) => file,
            Node::Dir(_) => panic!("node {ino} is a directory"),
        }
    }

    fn file_mut(&mut self, ino: Ino) -> &mut File {
        match Arc::make_mut(&mut self.nodes[ino]) {
            Node::File(file) => file,
            Node::Dir(_) => panic!("node {ino} is a directory"),
        }
    }
}

impl File {
    fn is_settled(&self) -> bool {
        self.unsynced.is_empty() && Arc::ptr_eq(&self.durable, &self.visible)
    }

    fn after(&self, loss: &FileLoss) -> Vec<u8> {
        let mut bytes = self.durable.to_vec();
        let mut len = bytes.len() as u64;
        for (number, change) in self.unsynced.iter().enumerate() {
            let counts = number < loss.lengths;
            match change {
                Change::Write { position, bytes: written, doomed } => {
                    let reach = if *doomed { Reach::Lost } else { loss.writes[number] };
                    put_sectors(&mut bytes, *position, written, reach);
                    if counts {
                        len = len.max(position + written.len() as u64);
                    }
                }
                Change::Length(new) if counts => {
                    len = *new;
                    bytes.truncate(usize::try_from(len).unwrap());
                }
                Change::Length(_) => {}
            }
        }
        bytes.resize(usize::try_from(len).unwrap(), 0);
        bytes
    }

    /// Everything but what a failed sync has lost.
    fn all_that_can(&self) -> Vec<u8> {
        let count = self.unsynced.len();
        self.after(&FileLoss { writes: vec![Reach::Whole; count], lengths: count })
    }
}

impl Change {
    fn sectors(&self) -> u64 {
        match self {
            Self::Write { position, bytes, .. } => (position + bytes.len() as u64).div_ceil(SECTOR) - position / SECTOR,
            Self::Length(_) => 0,
        }
    }
}

impl Dir {
    fn change(&mut self, change: NameChange) {
        change.apply(Arc::make_mut(&mut self.visible));
        self.unsynced.push(change);
    }

    fn after(&self, there: &[bool]) -> Names {
        let mut names = (*self.durable).clone();
        for (change, _) in self.unsynced.iter().zip(there).filter(|(_, there)| **there) {
            change.apply(&mut names);
        }
        names
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, ino) => {
                names.insert(Arc::clone(name), *ino);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, ino) => {
                names.remove(from);
                names.insert(Arc::clone(to), *ino);
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, position: u64, written: &[u8]) {
    let from = usize::try_from(position).unwrap();
    let until = from + written.len();
    if bytes.len() < until {
        bytes.resize(until, 0);
    }
    bytes[from..until].copy_from_slice(written);
}

fn put_sectors(bytes: &mut Vec<u8>, position: u64, written: &[u8], reach: Reach) {
    let end = position + written.len() as u64;
    let first = position / SECTOR;
    for sector in first..end.div_ceil(SECTOR) {
        if reach.has(sector - first) {
            let (from, until) = ((sector * SECTOR).max(position), ((sector + 1) * SECTOR).min(end));
            let part = usize::try_from(from - position).unwrap()..usize::try_from(until - position).unwrap();
            put(bytes, from, &written[part]);
        }
    }
}
