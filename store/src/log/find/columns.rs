//! The values of named indices: in memory for the segment that grows, in the `.cols` file of a sealed one.
//!
//! ```text
//! block, 1,024 entries   ordinals less the first one, packed (none where they are consecutive) | values less the
//!                        lowest one, packed
//! zones, 40 B per block  place u64 | first ordinal u32 | last ordinal u32 | min i64 | max i64
//!                        count u16 | bits per ordinal u8 | bits per value u8 | 0 u32
//! directory, 24 B each   index number u8 | never decreases u8 | 0 u16 | block count u32 | entry count u64 | zones u64
//! ```
//!
//! Records without a value are not in a column.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, RwLock};

use super::codec::{bits_of, pack, packed_len, unpack};
use super::ordinals::{Direction, Ordinals};
use super::paged::{Footer, Identity, PagedFile, encode as encode_pages};
use super::tables::{Tables, read};

/// First bytes of the footer.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LGSTCOL1");
/// Entries in a block, in memory as on disk.
const BLOCK_ENTRIES: usize = 1024;
const ZONE_LEN: usize = 40;
const DIRECTORY_LEN: usize = 24;

/// What is known of a block without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its lowest ordinal.
    pub first: u32,
    /// Its highest ordinal.
    pub last: u32,
    /// Its lowest value.
    pub min: i64,
    /// Its highest value.
    pub max: i64,
}

/// The values of one index, in the order of the log.
#[derive(Debug, Default)]
struct Column {
    entries: Vec<(u32, i64)>,
    zones: Vec<Zone>,
    decreases: bool,
}

impl Column {
    fn note(&mut self, ordinal: u32, value: i64) {
        if let Some((last, before)) = self.entries.last() {
            // A value given twice for one record: the first counts.
            if *last == ordinal {
                return;
            }
            self.decreases |= value < *before;
        }
        if self.entries.len().is_multiple_of(BLOCK_ENTRIES) {
            self.zones.push(Zone { first: ordinal, last: ordinal, min: value, max: value });
        }
        self.entries.push((ordinal, value));
        if let Some(Zone { first: _, last, min, max }) = self.zones.last_mut() {
            (*last, *min, *max) = (ordinal, value.min(*min), value.max(*max));
        }
    }

    fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u32, i64)>() + self.zones.capacity() * size_of::<Zone>()
    }
}

/// The values of all indices of a segment, in memory.
#[derive(Debug, Default)]
pub struct Columns {
    columns: BTreeMap<u8, Column>,
}

impl Columns {
    /// Notes a record's value. Records come in the order of their ordinals.
    pub fn note(&mut self, index: u8, ordinal: u32, value: i64) {
        self.columns.entry(index).or_default().note(ordinal, value);
    }

    /// Whether no record has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns.values().map(Column::bytes).sum()
    }

    /// The highest value of an index.
    #[must_use]
    pub fn max(&self, index: u8) -> Option<i64> {
        self.columns.get(&index)?.zones.iter().map(|zone| zone.max).max()
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self, identity: Identity, log_bytes: u64) -> Vec<u8> {
        let (mut content, mut directory) = (Vec::new(), Vec::new());
        for (number, column) in &self.columns {
            let mut zones = Vec::new();
            for (block, zone) in column.entries.chunks(BLOCK_ENTRIES).zip(&column.zones) {
                zones.extend_from_slice(&put_block(&mut content, block, zone));
            }
            directory.extend_from_slice(&[*number, u8::from(!column.decreases), 0, 0]);
            let block_count = u32::try_from(column.zones.len()).expect("a segment has less than 2^32 records");
            directory.extend_from_slice(&block_count.to_le_bytes());
            directory.extend_from_slice(&(column.entries.len() as u64).to_le_bytes());
            directory.extend_from_slice(&(content.len() as u64).to_le_bytes());
            content.extend_from_slice(&zones);
        }
        let (count, at) = (self.columns.len() as u64, content.len() as u64);
        content.extend_from_slice(&directory);
        encode_pages(identity, &content, Footer { log_bytes, count, directory: at, ..Footer::default() })
    }
}

fn distance(value: i64, min: i64) -> u64 {
    value.wrapping_sub(min).cast_unsigned()
}

fn is_consecutive(zone: &Zone, count: usize) -> bool {
    (zone.last - zone.first) as usize + 1 == count
}

/// Appends a block; the entry of the zones for it.
fn put_block(content: &mut Vec<u8>, block: &[(u32, i64)], zone: &Zone) -> [u8; ZONE_LEN] {
    let Zone { first, last, min, max } = *zone;
    let place = content.len() as u64;
    let ordinal_bits = if is_consecutive(zone, block.len()) { 0 } else { bits_of(u64::from(last - first)) };
    let value_bits = bits_of(distance(max, min));
    if ordinal_bits > 0 {
        pack(content, block.iter().map(|(ordinal, _)| u64::from(ordinal - first)), ordinal_bits);
    }
    pack(content, block.iter().map(|(_, value)| distance(*value, min)), value_bits);
    let count = u16::try_from(block.len()).expect("a block has at most 1,024 entries");
    let mut entry = [0; ZONE_LEN];
    entry[0..8].copy_from_slice(&place.to_le_bytes());
    entry[8..12].copy_from_slice(&first.to_le_bytes());
    entry[12..16].copy_from_slice(&last.to_le_bytes());
    entry[16..24].copy_from_slice(&min.to_le_bytes());
    entry[24..32].copy_from_slice(&max.to_le_bytes());
    entry[32..34].copy_from_slice(&count.to_le_bytes());
    entry[34..36].copy_from_slice(&[ordinal_bits, value_bits]);
    entry
}

/// The columns of a sealed segment.
#[derive(Debug)]
pub struct ColumnsFile {
    file: PagedFile,
}

/// Where a column stands in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    number: u8,
    increases: bool,
    block_count: usize,
    count: u64,
    zones_at: u64,
}

impl ColumnsFile {
    /// The columns in a file that was opened.
    #[must_use]
    pub fn new(file: PagedFile) -> Self {
        Self { file }
    }

    /// Length of the file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.file.footer.file_len()
    }

    fn places(&self) -> io::Result<Vec<Place>> {
        (0..self.file.footer.count.min(256))
            .map(|entry| {
                let bytes: [u8; DIRECTORY_LEN] =
                    self.file.array(self.file.footer.directory + entry * DIRECTORY_LEN as u64)?;
                let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
                #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
                let block_count = (word(0) >> 32) as u32 as usize;
                let (number, increases) = (bytes[0], bytes[1] == 1);
                Ok(Place { number, increases, block_count, count: word(8), zones_at: word(16) })
            })
            .collect()
    }

    /// The column of an index; `None` where no record has a value.
    pub fn find(self: &Arc<Self>, index: u8) -> io::Result<Option<FileColumn>> {
        let place = self.places()?.into_iter().find(|place| place.number == index);
        Ok(place.map(|place| FileColumn { columns: Arc::clone(self), place }))
    }

    /// All columns, into memory.
    pub fn load(self: &Arc<Self>) -> io::Result<Columns> {
        let mut columns = Columns::default();
        for place in self.places()? {
            let column = FileColumn { columns: Arc::clone(self), place };
            let mut entries = Vec::new();
            for block in 0..place.block_count {
                entries.clear();
                column.load(block, &mut entries)?;
                entries.iter().for_each(|(ordinal, value)| columns.note(place.number, *ordinal, *value));
            }
        }
        Ok(columns)
    }
}

/// A column in blocks, in memory or in a file.
pub trait ColumnBlocks: std::fmt::Debug {
    /// How many blocks.
    fn block_count(&self) -> usize;
    /// How many entries.
    fn count(&self) -> u64;
    /// Whether values never decrease.
    fn increases(&self) -> bool;
    /// What is known of a block.
    fn zone(&self, block: usize) -> io::Result<Zone>;
    /// Appends the entries of a block.
    fn load(&self, block: usize, entries: &mut Vec<(u32, i64)>) -> io::Result<()>;
}

/// A column in a file.
#[derive(Debug)]
pub struct FileColumn {
    columns: Arc<ColumnsFile>,
    place: Place,
}

impl FileColumn {
    fn entry(&self, block: usize) -> io::Result<[u8; ZONE_LEN]> {
        self.columns.file.array(self.place.zones_at + (block * ZONE_LEN) as u64)
    }
}

fn decode_zone(entry: &[u8; ZONE_LEN]) -> Zone {
    let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| entry[at + byte]));
    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|byte| entry[at + byte]));
    Zone { first: half(8), last: half(12), min: word(16), max: word(24) }
}

impl ColumnBlocks for FileColumn {
    fn block_count(&self) -> usize {
        self.place.block_count
    }

    fn count(&self) -> u64 {
        self.place.count
    }

    fn increases(&self) -> bool {
        self.place.increases
    }

    fn zone(&self, block: usize) -> io::Result<Zone> {
        Ok(decode_zone(&self.entry(block)?))
    }

    fn load(&self, block: usize, entries: &mut Vec<(u32, i64)>) -> io::Result<()> {
        let entry = self.entry(block)?;
        let Zone { first, last: _, min, max: _ } = decode_zone(&entry);
        let place = u64::from_le_bytes(std::array::from_fn(|byte| entry[byte]));
        let count = usize::from(u16::from_le_bytes([entry[32], entry[33]]));
        let (ordinal_bits, value_bits) = (entry[34], entry[35]);
        if count > BLOCK_ENTRIES || ordinal_bits > 32 || value_bits > 64 {
            return Err(self.columns.file.damaged());
        }
        let ordinals_len = packed_len(count, ordinal_bits);
        let mut bytes = vec![0; ordinals_len + packed_len(count, value_bits)];
        self.columns.file.read(place, &mut bytes)?;
        let (ordinals, values) = bytes.split_at(ordinals_len);
        #[allow(clippy::cast_possible_truncation, reason = "at most 32 bits, and 10 bits for consecutive ones")]
        let ordinal = |(number, distance): (usize, u64)| {
            first.wrapping_add(if ordinal_bits == 0 { number as u32 } else { distance as u32 })
        };
        let ordinals = unpack(ordinals, count, ordinal_bits).enumerate().map(ordinal);
        let values = unpack(values, count, value_bits).map(|distance| min.wrapping_add(distance.cast_signed()));
        entries.extend(ordinals.zip(values));
        Ok(())
    }
}

/// A column as it was at one time, in tables that may grow on.
#[derive(Debug)]
pub struct MemoryColumn {
    tables: Arc<RwLock<Tables>>,
    index: u8,
    count: usize,
    increases: bool,
}

impl MemoryColumn {
    /// The column of an index; `None` where no record has a value.
    #[must_use]
    pub fn find(tables: &Arc<RwLock<Tables>>, index: u8) -> Option<Self> {
        let held = read(tables);
        let column = held.columns.columns.get(&index)?;
        let (count, increases) = (column.entries.len(), !column.decreases);
        Some(Self { tables: Arc::clone(tables), index, count, increases })
    }
}

impl ColumnBlocks for MemoryColumn {
    fn block_count(&self) -> usize {
        self.count.div_ceil(BLOCK_ENTRIES)
    }

    fn count(&self) -> u64 {
        self.count as u64
    }

    fn increases(&self) -> bool {
        self.increases
    }

    fn zone(&self, block: usize) -> io::Result<Zone> {
        // It may know of records behind the count by now, and is true for those before it all the same.
        Ok(read(&self.tables).columns.columns[&self.index].zones[block])
    }

    fn load(&self, block: usize, entries: &mut Vec<(u32, i64)>) -> io::Result<()> {
        let begin = block * BLOCK_ENTRIES;
        let end = (begin + BLOCK_ENTRIES).min(self.count);
        entries.extend_from_slice(&read(&self.tables).columns.columns[&self.index].entries[begin..end]);
        Ok(())
    }
}

/// The records whose value lies in a range.
#[derive(Debug)]
pub struct InRange<C> {
    column: C,
    min: i64,
    max: i64,
    direction: Direction,
    /// Blocks that can hold any: of a column that never decreases, one stretch.
    blocks: std::ops::Range<usize>,
    loaded: Option<usize>,
    /// Those of the loaded block that fit.
    ordinals: Vec<u32>,
    entries: Vec<(u32, i64)>,
}

impl<C: ColumnBlocks> InRange<C> {
    /// Of this column, both ends included.
    pub fn new(column: C, min: i64, max: i64, direction: Direction) -> io::Result<Self> {
        let count = column.block_count();
        let blocks = if column.increases() {
            let begin = partition_point(0..count, |block| Ok(column.zone(block)?.max < min))?;
            let end = partition_point(begin..count, |block| Ok(column.zone(block)?.min <= max))?;
            begin..end
        } else {
            0..count
        };
        Ok(Self { column, min, max, direction, blocks, loaded: None, ordinals: Vec::new(), entries: Vec::new() })
    }

    /// Loads what fits of a block.
    fn load(&mut self, block: usize) -> io::Result<()> {
        if self.loaded == Some(block) {
            return Ok(());
        }
        self.loaded = None;
        self.entries.clear();
        self.column.load(block, &mut self.entries)?;
        let range = self.min..=self.max;
        self.ordinals.clear();
        self.ordinals
            .extend(self.entries.iter().filter(|(_, value)| range.contains(value)).map(|(ordinal, _)| ordinal));
        self.loaded = Some(block);
        Ok(())
    }

    /// The first block from which on `at` can be found, in this direction.
    fn begin(&self, at: u32) -> io::Result<Option<usize>> {
        let blocks = self.blocks.clone();
        // Most often it is the one in memory.
        if let Some(loaded) = self.loaded {
            let Zone { first, last, .. } = self.column.zone(loaded)?;
            if (first..=last).contains(&at) {
                return Ok(Some(loaded));
            }
        }
        Ok(match self.direction {
            Direction::Up => {
                let block = partition_point(blocks.clone(), |block| Ok(self.column.zone(block)?.last < at))?;
                Some(block).filter(|block| *block < blocks.end)
            }
            Direction::Down => {
                let block = partition_point(blocks.clone(), |block| Ok(self.column.zone(block)?.first <= at))?;
                block.checked_sub(1).filter(|block| *block >= blocks.start)
            }
        })
    }
}

impl<C: ColumnBlocks> Ordinals for InRange<C> {
    fn seek(&mut self, at: u32, last: u32) -> io::Result<Option<u32>> {
        let mut next = self.begin(at)?;
        while let Some(block) = next {
            let zone = self.column.zone(block)?;
            let out_of_reach = match self.direction {
                Direction::Up => zone.first > last,
                Direction::Down => zone.last < last,
            };
            if out_of_reach {
                return Ok(None);
            }
            if zone.min <= self.max && self.min <= zone.max {
                self.load(block)?;
                let found = match self.direction {
                    Direction::Up => self.ordinals.get(self.ordinals.partition_point(|ordinal| *ordinal < at)),
                    Direction::Down => self.ordinals[..self.ordinals.partition_point(|ordinal| *ordinal <= at)].last(),
                };
                if let Some(found) = found {
                    return Ok(Some(*found).filter(|found| !self.direction.before(last, *found)));
                }
            }
            next = match self.direction {
                Direction::Up => Some(block + 1).filter(|block| *block < self.blocks.end),
                Direction::Down => block.checked_sub(1).filter(|block| *block >= self.blocks.start),
            };
        }
        Ok(None)
    }

    fn estimate(&self) -> u64 {
        self.column.count().min((self.blocks.len() * BLOCK_ENTRIES) as u64)
    }
}

/// The first of some numbers for which `before` does not hold, where it holds for none behind it.
fn partition_point(numbers: std::ops::Range<usize>, before: impl Fn(usize) -> io::Result<bool>) -> io::Result<usize> {
    let (mut low, mut high) = (numbers.start, numbers.end);
    while low < high {
        let middle = low.midpoint(high);
        if before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
