//! Everything by which records of one segment are found, in memory: what grows with the active segment, and what is made
//! again from the log where side files are missing.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use logstore_api::frame::{FrameView, Kind, Meta};

use super::Finding;
use super::columns::Columns;
use super::postings::Postings;
use crate::log::index::{SparseIndex, entries_of};

/// The tables of a segment.
#[derive(Debug)]
pub struct Tables {
    /// Where to begin reading.
    pub index: SparseIndex,
    /// Who has which tag.
    pub tags: Postings,
    /// Values of named indices.
    pub columns: Columns,
    base_offset: u64,
    account: Option<Account>,
}

/// Reads tables that others may hold too.
pub fn read(tables: &RwLock<Tables>) -> RwLockReadGuard<'_, Tables> {
    tables.read().unwrap_or_else(PoisonError::into_inner)
}

/// Changes tables that others may hold too.
pub fn write(tables: &RwLock<Tables>) -> RwLockWriteGuard<'_, Tables> {
    tables.write().unwrap_or_else(PoisonError::into_inner)
}

impl Tables {
    /// Those of a segment without records, whose first one will have this offset.
    #[must_use]
    pub fn new(base_offset: u64) -> Self {
        Self::of(base_offset, SparseIndex::default(), Postings::default(), Columns::default())
    }

    /// Those that were kept.
    #[must_use]
    pub fn of(base_offset: u64, index: SparseIndex, tags: Postings, columns: Columns) -> Self {
        Self { index, tags, columns, base_offset, account: None }
    }

    /// Takes in a data frame; `sums` are payload and address before it. Other frames change nothing.
    pub fn note_frame(&mut self, frame: &FrameView<'_>, position: u64, sums: (u64, u64)) {
        if frame.header().kind == Kind::Data {
            self.note_places(frame, position, sums);
            self.note_records(frame);
        }
    }

    /// The same without tags and values.
    pub fn note_places(&mut self, frame: &FrameView<'_>, position: u64, sums: (u64, u64)) {
        if self.index.wants_any(position, frame.header().frame_len) {
            entries_of(frame, position, sums).into_iter().for_each(|entry| self.index.note(entry));
        }
    }

    fn note_records(&mut self, frame: &FrameView<'_>) {
        let base_offset = frame.header().numbers.base_offset;
        for (record, offset) in frame.records().zip(base_offset..) {
            if record.header.meta_len > 0
                && let Ok(meta) = record.meta()
            {
                self.note_meta(offset, &meta);
            }
        }
        self.count_bytes();
    }

    /// Takes in the tags and values of one record.
    pub fn note_meta(&mut self, offset: u64, meta: &Meta) {
        // A segment has less than 2^32 records; only damage could name more, and then there is none to be read.
        let Some(ordinal) = offset.checked_sub(self.base_offset).and_then(|ordinal| u32::try_from(ordinal).ok()) else {
            return;
        };
        meta.tags.iter().for_each(|tag| self.tags.note(tag, ordinal));
        meta.indices.iter().for_each(|(index, value)| self.columns.note(*index, ordinal, *value));
    }

    /// Whether a frame would bring more different tags than `max`. A frame without a new one never does.
    #[must_use]
    pub fn has_too_many_tags_with(&self, frame: &FrameView<'_>, max: usize) -> bool {
        // A tag takes a byte at least, so most often nothing needs to be decoded.
        let more_at_most: usize = frame.records().map(|record| record.header.meta_len).sum();
        if self.tags.len() + more_at_most <= max {
            return false;
        }
        let metas = frame.records().filter_map(|record| record.meta().ok());
        let new: HashSet<Vec<u8>> = metas.flat_map(|meta| meta.tags).filter(|tag| !self.tags.knows(tag)).collect();
        !new.is_empty() && self.tags.len() + new.len() > max
    }

    /// About how many bytes tags and values take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tags.bytes() + self.columns.bytes()
    }

    /// Counts the bytes of tags and values among those of all logs from here on.
    pub fn count_in(&mut self, finding: &Arc<Finding>) {
        self.account = Some(Account { finding: Arc::clone(finding), bytes: 0 });
        self.count_bytes();
    }

    fn count_bytes(&mut self) {
        let bytes = self.bytes();
        if let Some(account) = &mut self.account {
            account.set(bytes);
        }
    }
}

/// A share of the memory of all active tables, given back with them.
#[derive(Debug)]
struct Account {
    finding: Arc<Finding>,
    bytes: usize,
}

impl Account {
    fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.finding.count_tables(self.bytes, bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}
