//! The side files of one segment: `.idx`, and where there is something to hold, `.tags` and `.cols`. Derived from the log,
//! and never trusted without their checksums.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logstore_api::frame::Salt;
use serde::{Deserialize, Serialize};

use super::Finding;
use super::columns::{self, ColumnsFile};
use super::paged::{self, Footer, Identity, PagedFile};
use super::tables::Tables;
use super::tags::{self, TagsFile};
use crate::disk::{Disk, Open};
use crate::log::index::{ENTRY_LEN, Entries, Entry, SparseIndex};

/// First bytes of the footer of the sparse index.
const INDEX_MAGIC: u64 = u64::from_le_bytes(*b"LGSTIDX2");
/// Flag of the sparse index: there is a file of tags.
const HAS_TAGS: u32 = 1;
/// Flag of the sparse index: there is a file of columns.
const HAS_COLUMNS: u32 = 2;

/// Where a segment's side files are, and what they are read with.
#[derive(Clone, Debug)]
pub struct SideSite {
    /// The seam to the files.
    pub disk: Arc<dyn Disk>,
    /// Memory for what is read.
    pub finding: Arc<Finding>,
    /// The log file beside which they stand.
    pub log_path: PathBuf,
    /// Salt of the namespace ^ first frame of the segment.
    pub seed: u64,
}

/// A side file as the seal names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFile {
    /// Its length in bytes.
    pub len: u64,
    /// XXH3 of all of it, in hexadecimal digits.
    pub xxh3: String,
}

/// The side files of a segment as its seal names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFileList {
    /// The sparse index.
    pub idx: SideFile,
    /// Who has which tag; not there where no record has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<SideFile>,
    /// Values of named indices; not there where no record has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cols: Option<SideFile>,
}

/// The side files of a segment, open.
#[derive(Debug)]
pub struct SideFiles {
    index: PagedFile,
    /// Who has which tag.
    pub tags: Option<Arc<TagsFile>>,
    /// Values of named indices.
    pub columns: Option<Arc<ColumnsFile>>,
}

/// The seed of the side files of a segment.
#[must_use]
pub fn seed(salt: Salt, base_frame: u64) -> u64 {
    salt.0 ^ base_frame
}

impl SideSite {
    fn path(&self, extension: &str) -> PathBuf {
        self.log_path.with_extension(extension)
    }

    fn identity(&self, magic: u64) -> Identity {
        Identity { magic, seed: self.seed }
    }

    /// Writes them, made from so many bytes of log.
    pub fn write(&self, tables: &Tables, log_bytes: u64) -> io::Result<SideFileList> {
        let mut flags = 0;
        let tags = if tables.tags.is_empty() {
            None
        } else {
            flags |= HAS_TAGS;
            Some(self.write_one("tags", &tags::encode(&tables.tags, self.identity(tags::MAGIC), log_bytes))?)
        };
        let cols = if tables.columns.is_empty() {
            None
        } else {
            flags |= HAS_COLUMNS;
            Some(self.write_one("cols", &tables.columns.encode(self.identity(columns::MAGIC), log_bytes))?)
        };
        let content = tables.index.encode();
        let count = (content.len() / ENTRY_LEN) as u64;
        let footer = Footer { log_bytes, count, flags, ..Footer::default() };
        let idx = self.write_one("idx", &paged::encode(self.identity(INDEX_MAGIC), &content, footer))?;
        Ok(SideFileList { idx, tags, cols })
    }

    fn write_one(&self, extension: &str, bytes: &[u8]) -> io::Result<SideFile> {
        self.disk.replace(&self.path(extension), bytes)?;
        let xxh3 = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes));
        Ok(SideFile { len: bytes.len() as u64, xxh3 })
    }

    /// Opens those that are made from so many bytes of log; an error where one that should be there is missing or
    /// damaged.
    pub fn open(&self, log_bytes: u64) -> io::Result<SideFiles> {
        let open = |extension: &str, magic| {
            let (path, identity) = (self.path(extension), self.identity(magic));
            PagedFile::open(&self.disk, &self.finding, path, identity, log_bytes)
        };
        let index = open("idx", INDEX_MAGIC)?;
        let has = |flag| index.footer.flags & flag != 0;
        let tags = has(HAS_TAGS).then(|| TagsFile::open(open("tags", tags::MAGIC)?).map(Arc::new)).transpose()?;
        let columns = has(HAS_COLUMNS).then(|| open("cols", columns::MAGIC).map(ColumnsFile::new).map(Arc::new));
        Ok(SideFiles { tags, columns: columns.transpose()?, index })
    }

    /// Reads all of them into memory, for a log that goes on.
    pub fn load(&self, base_offset: u64, log_bytes: u64) -> io::Result<Tables> {
        let SideFiles { index, tags, columns } = self.open(log_bytes)?;
        let len = usize::try_from(index.footer.content_len).map_err(io::Error::other)?;
        let sparse = SparseIndex::decode(&index.up_to(0, len)?).ok_or_else(|| index.damaged())?;
        let tags = tags.map(|tags| tags.load()).transpose()?.unwrap_or_default();
        let columns = columns.map(|columns| columns.load()).transpose()?.unwrap_or_default();
        Ok(Tables::of(base_offset, sparse, tags, columns))
    }
}

impl SideFiles {
    /// Whether they are as long as the seal says.
    #[must_use]
    pub fn fit(&self, list: &SideFileList) -> bool {
        let fits = |file: &Option<SideFile>, len: Option<u64>| file.as_ref().map(|file| file.len) == len;
        // Their own lengths follow from the footers, which have verified.
        list.idx.len == self.index.footer.file_len()
            && fits(&list.tags, self.tags.as_ref().map(|tags| tags.file_len()))
            && fits(&list.cols, self.columns.as_ref().map(|columns| columns.file_len()))
    }
}

impl Entries for SideFiles {
    fn count(&self) -> u64 {
        self.index.footer.count
    }

    fn entry(&self, number: u64) -> io::Result<Entry> {
        Ok(Entry::decode(&self.index.array::<ENTRY_LEN>(number * ENTRY_LEN as u64)?))
    }
}

/// Looks at every byte of the side files beside a log file; the extensions of those that are there and damaged.
pub fn damaged_files(disk: &dyn Disk, log_path: &Path, seed: u64, list: Option<&SideFileList>) -> Vec<&'static str> {
    let files = [("idx", INDEX_MAGIC), ("tags", tags::MAGIC), ("cols", columns::MAGIC)];
    let digest = |extension: &str| match (extension, list?) {
        ("idx", list) => Some(&list.idx),
        ("tags", list) => list.tags.as_ref(),
        (_, list) => list.cols.as_ref(),
    };
    let is_damaged = |(extension, magic): &(&'static str, u64)| {
        let path = log_path.with_extension(extension);
        match paged::verify(disk, &path, Identity { magic: *magic, seed }, digest(extension)) {
            Ok(sound) => !sound,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    };
    files.into_iter().filter(is_damaged).map(|(extension, _)| extension).collect()
}

/// Whether each side file that the seal names is there.
pub fn are_there(disk: &dyn Disk, log_path: &Path, list: &SideFileList) -> bool {
    let named = [("idx", true), ("tags", list.tags.is_some()), ("cols", list.cols.is_some())];
    let is_there = |extension: &str| disk.open(&log_path.with_extension(extension), Open::Read).is_ok();
    named.iter().all(|(extension, named)| !named || is_there(extension))
}
