//! Finding records without reading the log: tags, values of named indices, and the side files that hold them for sealed
//! segments.
//!
//! ```text
//! append   frame → tables (sparse index, postings, columns) of the active segment, in memory
//! seal     tables → .idx .tags .cols, in pages with checksums → .seal names them
//! find     expression and range → per segment a stream of ordinals, from tables or side files → records, read verified
//! ```
//!
//! Everything here is derived from the log, and made again from it where it is missing or damaged.
//!
//! Pure: [`expression`], [`ordinals`], [`codec`], [`postings`], [`tables`]. With files: [`paged`], [`tags`], [`columns`],
//! [`side`], [`select`].

pub mod expression;
pub mod select;

pub mod ordinals;

pub mod columns;
pub mod postings;
pub mod tables;
pub mod tags;

pub mod side;

pub mod cache;
pub mod codec;
pub mod paged;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use self::cache::Cache;
use self::tables::Tables;
use crate::limits::{ACTIVE_TABLES_BYTES, SEGMENT_TAGS_MAX, SIDE_FILE_CACHE_BYTES};

/// Bounds of what finding takes.
#[derive(Clone, Copy, Debug)]
pub struct FindLimits {
    /// Bytes of side files in memory, of all logs, with tables that were made in the place of missing ones.
    pub cache_bytes: usize,
    /// Bytes of tags and values of active segments in memory, of all logs; over it the largest are sealed early.
    pub tables_bytes: usize,
    /// Different tags in a segment; over it an append with a new one is refused.
    pub segment_tags: usize,
}

impl Default for FindLimits {
    fn default() -> Self {
        Self { cache_bytes: SIDE_FILE_CACHE_BYTES, tables_bytes: ACTIVE_TABLES_BYTES, segment_tags: SEGMENT_TAGS_MAX }
    }
}

/// What is kept in memory of side files.
#[derive(Clone, Debug)]
pub enum Kept {
    /// The content of a page that has verified.
    Page(Arc<[u8]>),
    /// The tables of a sealed segment without side files, made again from its log.
    Tables(Arc<RwLock<Tables>>),
}

/// The memory that finding takes, of all logs of a store.
#[derive(Debug)]
pub struct Finding {
    /// Its bounds.
    pub limits: FindLimits,
    /// What was read, or made again.
    pub cache: Cache<Kept>,
    next_id: AtomicU64,
    tables_bytes: AtomicUsize,
    tables_count: AtomicUsize,
    /// One segment's tables are made again at a time: each may take as much as all active ones.
    remaking: Mutex<()>,
}

impl Finding {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: FindLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            cache: Cache::new(limits.cache_bytes),
            next_id: AtomicU64::new(0),
            tables_bytes: AtomicUsize::new(0),
            tables_count: AtomicUsize::new(0),
            remaking: Mutex::default(),
        })
    }

    /// A number for somebody's entries in the cache, given once.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// One at a time.
    pub fn remake(&self) -> MutexGuard<'_, ()> {
        self.remaking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that the tags and values of active segments take.
    #[must_use]
    pub fn tables_bytes(&self) -> usize {
        self.tables_bytes.load(Ordering::Relaxed)
    }

    /// Notes that tables that took `before` bytes take `now`.
    fn count_tables(&self, before: usize, now: usize) {
        self.tables_bytes.fetch_add(now, Ordering::Relaxed);
        self.tables_bytes.fetch_sub(before, Ordering::Relaxed);
        self.tables_count.fetch_add(usize::from(now > 0), Ordering::Relaxed);
        self.tables_count.fetch_sub(usize::from(before > 0), Ordering::Relaxed);
    }

    /// Whether tables of so many bytes have to go to the disk, because all take more than they may and these no less than
    /// the average.
    #[must_use]
    pub fn is_too_large(&self, bytes: usize) -> bool {
        let all = self.tables_bytes();
        let count = self.tables_count.load(Ordering::Relaxed);
        bytes > 0 && all > self.limits.tables_bytes && bytes >= all / count.max(1)
    }
}

#[cfg(test)]
mod tests;
