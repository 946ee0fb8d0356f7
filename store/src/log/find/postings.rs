//! Which records have which tag, in memory: for the segment that grows.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, RwLock};

use super::ordinals::Blocks;
use super::tables::{Tables, read};

/// Ordinals in a block of a list, in memory as on disk.
pub const BLOCK_ORDINALS: usize = 128;
/// What a tag costs in memory beside its bytes and ordinals.
const TERM_BYTES: usize = 112;

/// Tags of a segment, each with the ordinals of the records that have it, low to high.
#[derive(Debug, Default)]
pub struct Postings {
    terms: HashMap<Box<[u8]>, u32>,
    lists: Vec<Vec<u32>>,
    bytes: usize,
}

impl Postings {
    /// Notes that a record has a tag. Records come in the order of their ordinals.
    pub fn note(&mut self, tag: &[u8], ordinal: u32) {
        let list = match self.terms.get(tag) {
            Some(list) => *list as usize,
            None => self.add_term(tag),
        };
        let list = &mut self.lists[list];
        // A tag given twice is one tag.
        if list.last() != Some(&ordinal) {
            let capacity = list.capacity();
            list.push(ordinal);
            self.bytes += (list.capacity() - capacity) * size_of::<u32>();
        }
    }

    fn add_term(&mut self, tag: &[u8]) -> usize {
        let list = self.lists.len();
        self.terms.insert(tag.into(), u32::try_from(list).expect("a segment has less than 2^32 tags"));
        self.lists.push(Vec::new());
        self.bytes += TERM_BYTES + tag.len();
        list
    }

    /// Takes a whole list, as it was kept on disk.
    pub fn insert(&mut self, tag: &[u8], ordinals: Vec<u32>) {
        let list = self.add_term(tag);
        self.bytes += ordinals.capacity() * size_of::<u32>();
        self.lists[list] = ordinals;
    }

    /// Different tags.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether no record has a tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Whether some record has this tag.
    #[must_use]
    pub fn knows(&self, tag: &[u8]) -> bool {
        self.terms.contains_key(tag)
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All tags in byte order, each with its ordinals.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&[u8], &[u32])> {
        let mut sorted: Vec<(&[u8], &[u32])> =
            self.terms.iter().map(|(tag, list)| (&**tag, &self.lists[*list as usize][..])).collect();
        sorted.sort_unstable_by_key(|(tag, _)| *tag);
        sorted
    }
}

/// The list of a tag as it was at one time, in tables that may grow on.
#[derive(Debug)]
pub struct MemoryList {
    tables: Arc<RwLock<Tables>>,
    list: usize,
    count: usize,
}

impl MemoryList {
    /// The list of this tag; `None` where no record has it.
    #[must_use]
    pub fn find(tables: &Arc<RwLock<Tables>>, tag: &[u8]) -> Option<Self> {
        let postings = &read(tables).tags;
        let list = *postings.terms.get(tag)? as usize;
        let count = postings.lists[list].len();
        Some(Self { tables: Arc::clone(tables), list, count })
    }
}

impl Blocks for MemoryList {
    fn count(&self) -> u64 {
        self.count as u64
    }

    fn block_count(&self) -> usize {
        self.count.div_ceil(BLOCK_ORDINALS)
    }

    fn first(&self, block: usize) -> io::Result<u32> {
        Ok(read(&self.tables).tags.lists[self.list][block * BLOCK_ORDINALS])
    }

    fn load(&self, block: usize, ordinals: &mut Vec<u32>) -> io::Result<()> {
        let begin = block * BLOCK_ORDINALS;
        let end = (begin + BLOCK_ORDINALS).min(self.count);
        ordinals.extend_from_slice(&read(&self.tables).tags.lists[self.list][begin..end]);
        Ok(())
    }
}
