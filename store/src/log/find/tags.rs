//! The `.tags` file: which records of a sealed segment have which tag.
//!
//! ```text
//! lists        per tag, in byte order: blocks of 128 ordinals; before them, where there is more than one block,
//!              first ordinal u32 | place behind the skips u32   per block
//! block        varints: the first ordinal, then each one less the one before less 1
//! groups       per 64 tags: varint place of the first list; per tag varint bytes shared with the tag before,
//!              varint length and bytes of the rest, varint count of ordinals, varint length of the list
//! group table  place u64 per group
//! filter       blocks of 64 B: seven bits per tag, ten bits for each
//! directory    groups u64 | group table u64 | group count u64 | filter u64 | filter blocks u64
//! ```
//!
//! Places are positions in the content of the file; see [`super::paged`].

use std::io;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::codec::{put_varint, take, take_varint};
use super::ordinals::Blocks;
use super::paged::{Footer, Identity, PagedFile, encode as encode_pages};
use super::postings::{BLOCK_ORDINALS, Postings};

/// First bytes of the footer.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LGSTTAG1");
/// Tags that share one entry of the group table.
const GROUP_TERMS: usize = 64;
/// The longest that a group's first entry can be: three varints of 10 bytes before the tag, its 255 bytes.
const GROUP_HEAD_MAX: usize = 30 + 255;
const SKIP_LEN: u64 = 8;
const FILTER_BLOCK: usize = 64;
const FILTER_BITS_PER_TERM: usize = 10;
const FILTER_PROBES: u32 = 7;
const DIRECTORY_LEN: usize = 40;
/// A block of 128 varints of 32 bits.
const BLOCK_BYTES_MAX: u64 = 128 * 5;

/// The bytes of the file.
#[must_use]
pub fn encode(postings: &Postings, identity: Identity, log_bytes: u64) -> Vec<u8> {
    let terms = postings.sorted();
    let mut content = Vec::with_capacity(postings.bytes() / 2);
    let mut places = Vec::with_capacity(terms.len());
    for (_, ordinals) in &terms {
        let at = content.len();
        put_list(&mut content, ordinals);
        places.push((at, content.len() - at));
    }
    let groups_at = content.len();
    let mut groups = Vec::new();
    for (group, places) in terms.chunks(GROUP_TERMS).zip(places.chunks(GROUP_TERMS)) {
        groups.push(content.len());
        put_group(&mut content, group, places);
    }
    let table_at = content.len();
    groups.iter().for_each(|at| content.extend_from_slice(&(*at as u64).to_le_bytes()));
    let filter_at = content.len();
    let filter_blocks = put_filter(&mut content, &terms);
    let directory = content.len();
    for number in [groups_at, table_at, groups.len(), filter_at, filter_blocks] {
        content.extend_from_slice(&(number as u64).to_le_bytes());
    }
    let footer = Footer { log_bytes, count: terms.len() as u64, directory: directory as u64, ..Footer::default() };
    encode_pages(identity, &content, footer)
}

fn put_list(content: &mut Vec<u8>, ordinals: &[u32]) {
    let blocks = ordinals.chunks(BLOCK_ORDINALS);
    let mut packed = Vec::new();
    let skips = blocks.len() > 1;
    for block in blocks {
        if skips {
            content.extend_from_slice(&block[0].to_le_bytes());
            let at = u32::try_from(packed.len()).expect("the ordinals of a segment take less than 4 GiB");
            content.extend_from_slice(&at.to_le_bytes());
        }
        put_varint(&mut packed, u64::from(block[0]));
        block.windows(2).for_each(|pair| put_varint(&mut packed, u64::from(pair[1] - pair[0] - 1)));
    }
    content.extend_from_slice(&packed);
}

fn put_group(content: &mut Vec<u8>, terms: &[(&[u8], &[u32])], places: &[(usize, usize)]) {
    put_varint(content, places.first().map_or(0, |(at, _)| *at as u64));
    let mut before: &[u8] = b"";
    for ((term, ordinals), (_, len)) in terms.iter().zip(places) {
        let shared = term.iter().zip(before).take_while(|(a, b)| a == b).count();
        put_varint(content, shared as u64);
        put_varint(content, (term.len() - shared) as u64);
        content.extend_from_slice(&term[shared..]);
        put_varint(content, ordinals.len() as u64);
        put_varint(content, *len as u64);
        before = term;
    }
}

fn put_filter(content: &mut Vec<u8>, terms: &[(&[u8], &[u32])]) -> usize {
    let blocks = (terms.len() * FILTER_BITS_PER_TERM).div_ceil(FILTER_BLOCK * 8);
    let begin = content.len();
    content.resize(begin + blocks * FILTER_BLOCK, 0);
    for (term, _) in terms {
        let (block, bits) = filter_place(term, blocks as u64);
        #[allow(clippy::cast_possible_truncation, reason = "less than the number of blocks in memory")]
        let at = begin + block as usize * FILTER_BLOCK;
        bits.for_each(|bit| content[at + bit / 8] |= 1 << (bit % 8));
    }
    blocks
}

/// The block of the filter that tells of a tag, and its bits there.
#[allow(clippy::cast_possible_truncation, reason = "parts of a hash")]
fn filter_place(term: &[u8], blocks: u64) -> (u64, impl Iterator<Item = usize>) {
    let hash = xxh3_128(term);
    let bits = (0..FILTER_PROBES).map(move |probe| (hash >> (64 + 9 * probe)) as usize % (FILTER_BLOCK * 8));
    (hash as u64 % blocks.max(1), bits)
}

/// The tags of a sealed segment.
#[derive(Debug)]
pub struct TagsFile {
    file: PagedFile,
    table_at: u64,
    group_count: u64,
    filter_at: u64,
    filter_blocks: u64,
}

/// Where the list of a tag stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    count: u64,
    at: u64,
    len: u64,
}

impl TagsFile {
    /// Reads the directory.
    pub fn open(file: PagedFile) -> io::Result<Self> {
        let directory = file.array::<DIRECTORY_LEN>(file.footer.directory)?;
        let word = |number: usize| u64::from_le_bytes(std::array::from_fn(|byte| directory[8 * number + byte]));
        let [table_at, group_count, filter_at, filter_blocks] = [1, 2, 3, 4].map(word);
        Ok(Self { file, table_at, group_count, filter_at, filter_blocks })
    }

    /// Length of the file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file.footer.file_len()
    }

    /// The list of this tag; `None` where no record has it.
    pub fn find(self: &Arc<Self>, tag: &[u8]) -> io::Result<Option<FileList>> {
        if !self.may_know(tag)? {
            return Ok(None);
        }
        let Some(group) = self.group_of(tag)? else { return Ok(None) };
        let mut found = None;
        self.each_of(group, |term, place| {
            if term == tag {
                found = Some(place);
            }
            // Tags are in order: behind it, it does not come any more.
            term < tag
        })?;
        Ok(found.map(|place| FileList { tags: Arc::clone(self), place }))
    }

    fn may_know(&self, tag: &[u8]) -> io::Result<bool> {
        if self.filter_blocks == 0 {
            return Ok(false);
        }
        let (block, mut bits) = filter_place(tag, self.filter_blocks);
        let block = self.file.array::<FILTER_BLOCK>(self.filter_at + block * FILTER_BLOCK as u64)?;
        Ok(bits.all(|bit| block[bit / 8] & 1 << (bit % 8) != 0))
    }

    /// The last group that begins at or before a tag.
    fn group_of(&self, tag: &[u8]) -> io::Result<Option<u64>> {
        let (mut low, mut high) = (0, self.group_count);
        while low < high {
            let middle = low.midpoint(high);
            let head = self.file.up_to(self.group_at(middle)?, GROUP_HEAD_MAX)?;
            let mut rest = &head[..];
            let first = (|| {
                take_varint(&mut rest)?;
                take_varint(&mut rest)?;
                let len = usize::try_from(take_varint(&mut rest)?).ok()?;
                take(&mut rest, len)
            })();
            if first.ok_or_else(|| self.file.damaged())? <= tag {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }

    fn group_at(&self, group: u64) -> io::Result<u64> {
        if group == self.group_count {
            return Ok(self.table_at);
        }
        Ok(u64::from_le_bytes(self.file.array(self.table_at + 8 * group)?))
    }

    /// Gives the tags of a group, until it was enough.
    fn each_of(&self, group: u64, mut more: impl FnMut(&[u8], Place) -> bool) -> io::Result<()> {
        /// 64 tags of 255 bytes, with four varints each.
        const GROUP_BYTES_MAX: u64 = 64 * (255 + 40) + 10;
        let (begin, end) = (self.group_at(group)?, self.group_at(group + 1)?);
        let len = end.checked_sub(begin).filter(|len| *len <= GROUP_BYTES_MAX).ok_or_else(|| self.file.damaged())?;
        let bytes = self.file.up_to(begin, usize::try_from(len).map_err(io::Error::other)?)?;
        each_term(&bytes, &mut more).ok_or_else(|| self.file.damaged())
    }

    /// All tags with their lists, into memory.
    pub fn load(self: &Arc<Self>) -> io::Result<Postings> {
        let mut postings = Postings::default();
        for group in 0..self.group_count {
            let mut places = Vec::new();
            self.each_of(group, |term, place| {
                places.push((term.to_vec(), place));
                true
            })?;
            for (term, place) in places {
                let list = FileList { tags: Arc::clone(self), place };
                let mut ordinals = Vec::new();
                for block in 0..list.block_count() {
                    list.load(block, &mut ordinals)?;
                }
                postings.insert(&term, ordinals);
            }
        }
        Ok(postings)
    }
}

fn each_term(mut rest: &[u8], more: &mut impl FnMut(&[u8], Place) -> bool) -> Option<()> {
    let mut at = take_varint(&mut rest)?;
    let mut term = Vec::new();
    while !rest.is_empty() {
        let shared = usize::try_from(take_varint(&mut rest)?).ok().filter(|shared| *shared <= term.len())?;
        let len = usize::try_from(take_varint(&mut rest)?).ok()?;
        term.truncate(shared);
        term.extend_from_slice(take(&mut rest, len)?);
        let (count, len) = (take_varint(&mut rest)?, take_varint(&mut rest)?);
        if !more(&term, Place { count, at, len }) {
            break;
        }
        at = at.checked_add(len)?;
    }
    Some(())
}

/// The list of a tag in the file.
#[derive(Debug)]
pub struct FileList {
    tags: Arc<TagsFile>,
    place: Place,
}

impl FileList {
    fn skips_len(&self) -> u64 {
        let blocks = self.block_count() as u64;
        if blocks > 1 { blocks * SKIP_LEN } else { 0 }
    }

    /// Where a block begins behind the skips; the end of the list for the one after the last.
    fn block_at(&self, block: usize) -> io::Result<u64> {
        let blocks = self.block_count();
        if block == blocks {
            return self.place.len.checked_sub(self.skips_len()).ok_or_else(|| self.tags.file.damaged());
        }
        if blocks == 1 {
            return Ok(0);
        }
        let at = self.tags.file.array(self.place.at + block as u64 * SKIP_LEN + 4)?;
        Ok(u64::from(u32::from_le_bytes(at)))
    }
}

impl Blocks for FileList {
    fn count(&self) -> u64 {
        self.place.count
    }

    fn block_count(&self) -> usize {
        usize::try_from(self.place.count.div_ceil(BLOCK_ORDINALS as u64)).unwrap_or(0)
    }

    fn first(&self, block: usize) -> io::Result<u32> {
        if self.block_count() > 1 {
            return Ok(u32::from_le_bytes(self.tags.file.array(self.place.at + block as u64 * SKIP_LEN)?));
        }
        let mut ordinals = Vec::new();
        self.load(block, &mut ordinals)?;
        ordinals.first().copied().ok_or_else(|| self.tags.file.damaged())
    }

    fn load(&self, block: usize, ordinals: &mut Vec<u32>) -> io::Result<()> {
        let damaged = || self.tags.file.damaged();
        let (begin, end) = (self.block_at(block)?, self.block_at(block + 1)?);
        let len = end.checked_sub(begin).filter(|len| *len <= BLOCK_BYTES_MAX).ok_or_else(damaged)?;
        let at = self.place.at + self.skips_len() + begin;
        let bytes = self.tags.file.up_to(at, usize::try_from(len).map_err(io::Error::other)?)?;
        let count = self.place.count - (block * BLOCK_ORDINALS) as u64;
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(BLOCK_ORDINALS);
        decode_block(&bytes, count, ordinals).ok_or_else(damaged)
    }
}

fn decode_block(mut rest: &[u8], count: usize, ordinals: &mut Vec<u32>) -> Option<()> {
    let mut next = 0_u64;
    for _ in 0..count {
        let ordinal = next.checked_add(take_varint(&mut rest)?)?;
        ordinals.push(u32::try_from(ordinal).ok()?);
        next = ordinal + 1;
    }
    rest.is_empty().then_some(())
}
