//! Side files: content in pages, each with its checksum, and a footer that says what the content is and of which log.
//!
//! ```text
//! page, 4,096 B   4,092 bytes of content | crc32c u32          the last one may be shorter
//! footer, 64 B    magic u64 | version u32 | page_len u32 | content_len u64 | log_bytes u64
//!                 count u64 | directory u64 | flags u32 | 0 u64 | crc32c u32
//! ```
//!
//! The seed of a page's checksum is salt ^ base frame ^ magic, then the page's number: a page of another file, or at
//! another place, does not verify.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::side::SideFile;
use super::{Finding, Kept};
use crate::disk::{self, Disk, DiskFile, Open};

/// Bytes of a page on disk.
pub const PAGE_LEN: usize = 4096;
/// Bytes of content in a page.
const CONTENT_LEN: usize = PAGE_LEN - 4;
/// Bytes of the footer.
pub const FOOTER_LEN: usize = 64;
const VERSION: u32 = 1;
/// Pages read at once where one is not in memory.
const PAGES_READ: u64 = 8;
/// The largest side file: more than the tables of the largest segment take.
pub const SIDE_FILE_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// What a side file is, and of which segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// First bytes of the footer.
    pub magic: u64,
    /// Salt of the namespace ^ first frame of the segment.
    pub seed: u64,
}

/// What the footer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// Bytes of content.
    pub content_len: u64,
    /// Bytes of log that the content is made from.
    pub log_bytes: u64,
    /// Of what the file holds.
    pub count: u64,
    /// Where in the content its directory stands.
    pub directory: u64,
    /// What the kind of file notes.
    pub flags: u32,
}

/// A side file's page is not what was written there.
fn damaged(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()))
}

impl Identity {
    fn page_crc(self, number: u64, content: &[u8]) -> u32 {
        let seed = crc32c::crc32c(&(self.seed ^ self.magic).to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(seed, &number.to_le_bytes()), content)
    }
}

impl Footer {
    fn encode(&self, identity: Identity) -> [u8; FOOTER_LEN] {
        let Self { content_len, log_bytes, count, directory, flags } = *self;
        let mut bytes = [0; FOOTER_LEN];
        bytes[0..8].copy_from_slice(&identity.magic.to_le_bytes());
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        #[allow(clippy::cast_possible_truncation, reason = "a constant")]
        bytes[12..16].copy_from_slice(&(PAGE_LEN as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&content_len.to_le_bytes());
        bytes[24..32].copy_from_slice(&log_bytes.to_le_bytes());
        bytes[32..40].copy_from_slice(&count.to_le_bytes());
        bytes[40..48].copy_from_slice(&directory.to_le_bytes());
        bytes[48..52].copy_from_slice(&flags.to_le_bytes());
        let crc = identity.page_crc(u64::MAX, &bytes[..FOOTER_LEN - 4]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; FOOTER_LEN], identity: Identity) -> Option<Self> {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let sound = word(0) == identity.magic
            && half(8) == VERSION
            && half(12) as usize == PAGE_LEN
            && half(60) == identity.page_crc(u64::MAX, &bytes[..FOOTER_LEN - 4]);
        sound.then(|| Self {
            content_len: word(16),
            log_bytes: word(24),
            count: word(32),
            directory: word(40),
            flags: half(48),
        })
    }

    /// Length of the whole file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.content_len + 4 * self.content_len.div_ceil(CONTENT_LEN as u64) + FOOTER_LEN as u64
    }
}

/// The bytes of a side file with this content. The footer's `content_len` is that of the content.
#[must_use]
pub fn encode(identity: Identity, content: &[u8], footer: Footer) -> Vec<u8> {
    let footer = Footer { content_len: content.len() as u64, ..footer };
    let mut bytes = Vec::with_capacity(usize::try_from(footer.file_len()).unwrap_or(0));
    for (number, page) in content.chunks(CONTENT_LEN).enumerate() {
        bytes.extend_from_slice(page);
        bytes.extend_from_slice(&identity.page_crc(number as u64, page).to_le_bytes());
    }
    bytes.extend_from_slice(&footer.encode(identity));
    bytes
}

/// A side file whose footer has verified; its pages are verified when they are read. Between two looks at the disk no
/// descriptor is kept.
#[derive(Debug)]
pub struct PagedFile {
    disk: Arc<dyn Disk>,
    finding: Arc<Finding>,
    path: PathBuf,
    identity: Identity,
    /// The file that was opened, where the disk can tell: a later one of its name is of the same segment, so that pages
    /// of both verify, but they do not fit together.
    opened: Option<disk::Identity>,
    /// What its footer says.
    pub footer: Footer,
    /// Whose its pages are in the cache.
    id: u64,
}

impl PagedFile {
    /// Opens a side file that must be made from `log_bytes` of log; an error where it is missing, damaged or another one.
    pub fn open(
        disk: &Arc<dyn Disk>,
        finding: &Arc<Finding>,
        path: PathBuf,
        identity: Identity,
        log_bytes: u64,
    ) -> io::Result<Self> {
        let file = disk.open(&path, Open::Read)?;
        let footer = read_footer(&*file, identity)?.filter(|footer| footer.log_bytes == log_bytes);
        let footer = footer.ok_or_else(|| damaged(&path))?;
        let (disk, finding) = (Arc::clone(disk), Arc::clone(finding));
        let (opened, id) = (file.identity().ok(), finding.next_id());
        Ok(Self { disk, finding, path, identity, opened, footer, id })
    }

    /// Fills `bytes` from a position in the content.
    pub fn read(&self, position: u64, bytes: &mut [u8]) -> io::Result<()> {
        let end = position.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.footer.content_len) {
            return Err(damaged(&self.path));
        }
        let (mut position, mut rest) = (position, bytes);
        while !rest.is_empty() {
            let page = self.page(position / CONTENT_LEN as u64)?;
            #[allow(clippy::cast_possible_truncation, reason = "inside a page")]
            let at = (position % CONTENT_LEN as u64) as usize;
            let len = rest.len().min(page.len().saturating_sub(at));
            if len == 0 {
                return Err(damaged(&self.path));
            }
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(&page[at..at + len]);
            (position, rest) = (position + len as u64, later);
        }
        Ok(())
    }

    /// The same, as an array.
    pub fn array<const N: usize>(&self, position: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(position, &mut bytes)?;
        Ok(bytes)
    }

    /// Up to `len` bytes from a position in the content; fewer only at its end.
    pub fn up_to(&self, position: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = self.footer.content_len.saturating_sub(position);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(len).min(len)];
        self.read(position, &mut bytes)?;
        Ok(bytes)
    }

    /// The error of content that verifies and cannot be what was written.
    #[must_use]
    pub fn damaged(&self) -> io::Error {
        damaged(&self.path)
    }

    fn page(&self, number: u64) -> io::Result<Arc<[u8]>> {
        let key = |number: u64| u32::try_from(number).map(|number| (self.id, number)).map_err(|_| self.damaged());
        if let Some(Kept::Page(page)) = self.finding.cache.get(key(number)?) {
            return Ok(page);
        }
        let first = number / PAGES_READ * PAGES_READ;
        let file = self.disk.open(&self.path, Open::Read)?;
        if file.identity().ok() != self.opened {
            return Err(io::Error::other(format!("{} was written again meanwhile", self.path.display())));
        }
        let mut wanted = None;
        for (number_here, page) in read_pages(&*file, self.identity, &self.footer, first)? {
            let page: Option<Arc<[u8]>> = page.map(Arc::from);
            if number_here == number {
                wanted.clone_from(&page);
            }
            if let Some(page) = page {
                let bytes = page.len();
                self.finding.cache.put(key(number_here)?, Kept::Page(page), bytes);
            }
        }
        wanted.ok_or_else(|| self.damaged())
    }
}

fn read_footer(file: &dyn DiskFile, identity: Identity) -> io::Result<Option<Footer>> {
    let len = file.size()?;
    let Some(at) = len.checked_sub(FOOTER_LEN as u64).filter(|_| len <= SIDE_FILE_MAX) else { return Ok(None) };
    let mut bytes = [0; FOOTER_LEN];
    file.read_full_at(&mut bytes, at)?;
    Ok(Footer::decode(&bytes, identity).filter(|footer| footer.content_len <= len && footer.file_len() == len))
}

/// Some pages from one on; `None` in the place of those that do not verify.
fn read_pages(
    file: &dyn DiskFile,
    identity: Identity,
    footer: &Footer,
    first: u64,
) -> io::Result<Vec<(u64, Option<Vec<u8>>)>> {
    let position = first * PAGE_LEN as u64;
    let left = (footer.file_len() - FOOTER_LEN as u64).saturating_sub(position);
    let mut bytes = vec![0; usize::try_from(left.min(PAGES_READ * PAGE_LEN as u64)).map_err(io::Error::other)?];
    let read = file.read_full_at(&mut bytes, position)?;
    let pages = bytes[..read].chunks(PAGE_LEN).zip(first..).map(|(page, number)| {
        let content = page.split_last_chunk().and_then(|(content, crc)| {
            (identity.page_crc(number, content) == u32::from_le_bytes(*crc)).then(|| content.to_vec())
        });
        (number, content)
    });
    Ok(pages.collect())
}

/// Looks at every byte of a side file: whether its pages verify, and it is what the seal names, where that is given.
pub fn verify(disk: &dyn Disk, path: &Path, identity: Identity, named: Option<&SideFile>) -> io::Result<bool> {
    let file = disk.open(path, Open::Read)?;
    let Some(footer) = read_footer(&*file, identity)? else { return Ok(false) };
    let pages = footer.content_len.div_ceil(CONTENT_LEN as u64);
    for first in (0..pages).step_by(usize::try_from(PAGES_READ).unwrap_or(1)) {
        if read_pages(&*file, identity, &footer, first)?.iter().any(|(_, page)| page.is_none()) {
            return Ok(false);
        }
    }
    match named {
        None => Ok(true),
        Some(SideFile { len, xxh3 }) => Ok(*len == footer.file_len() && *xxh3 == digest(&*file)?),
    }
}

fn digest(file: &dyn DiskFile) -> io::Result<String> {
    let (mut hash, mut position, mut bytes) = (xxhash_rust::xxh3::Xxh3::new(), 0, vec![0; 64 * 1024]);
    loop {
        match file.read_full_at(&mut bytes, position)? {
            0 => return Ok(format!("{:016x}", hash.digest())),
            read => {
                hash.update(&bytes[..read]);
                position += read as u64;
            }
        }
    }
}
