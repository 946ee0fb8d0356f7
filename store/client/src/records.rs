//! Records to append, and the bounds that are checked before anything is sent anywhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use logstore_api::Code;
use logstore_api::frame::{Draft, FrameBuilder, Kind, Meta, NewRecord, Salt};
use logstore_api::limits::{
    BATCH_RECORDS_MAX, FRAME_BYTES_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX,
};

/// A record to append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The payload.
    pub data: Bytes,
    /// Bytes to reserve for the payload; the payload's length where that is more.
    pub alloc: u64,
    /// A key.
    pub key: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Values of the namespace's indices, by their names; only one store that orders by itself takes them.
    pub indices: BTreeMap<String, i64>,
}

impl Record {
    /// A record of a payload alone.
    #[must_use]
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Whether there is nothing but a payload.
    pub(crate) fn is_plain(&self) -> bool {
        let Self { data: _, alloc, key, tags, indices } = self;
        *alloc == 0 && key.is_none() && tags.is_empty() && indices.is_empty()
    }
}

/// Records that no store takes. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecords {
    /// There is none.
    #[error("a batch holds no record; give at least one")]
    Empty,
    /// Too many at once.
    #[error("a batch of {count} records is too large; give at most {BATCH_RECORDS_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// All together too large.
    #[error("a batch takes more than {FRAME_BYTES_MAX} bytes from record {index} on; split it")]
    BatchTooLarge {
        /// The first record that does not fit, counted from 0.
        index: usize,
    },
    /// One is too large, or reserves too much.
    #[error("record {index} of the batch takes {bytes} bytes; give at most {RECORD_BYTES_MAX}")]
    RecordTooLarge {
        /// Which, counted from 0.
        index: usize,
        /// How much.
        bytes: u64,
    },
    /// One has too many tags.
    #[error("record {index} of the batch has {count} tags; give at most {TAGS_MAX}")]
    TooManyTags {
        /// Which, counted from 0.
        index: usize,
        /// How many.
        count: usize,
    },
    /// A tag is too long.
    #[error("record {index} of the batch has a tag of {bytes} bytes; give at most {TAG_BYTES_MAX}")]
    TagTooLong {
        /// Which, counted from 0.
        index: usize,
        /// How long.
        bytes: usize,
    },
    /// A key is too long.
    #[error("record {index} of the batch has a key of {bytes} bytes; give at most {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// Which, counted from 0.
        index: usize,
        /// How long.
        bytes: usize,
    },
    /// Records hold the numbers of indices, which only a store knows, not a writer of several copies.
    #[error("record {index} of the batch has values of indices, which a writer of several copies does not take")]
    IndexOnCopies {
        /// Which, counted from 0.
        index: usize,
    },
}

impl InvalidRecords {
    /// What a store would have answered.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Empty | Self::KeyTooLong { .. } | Self::IndexOnCopies { .. } => Code::InvalidArgument,
            Self::TooMany { .. } | Self::BatchTooLarge { .. } => Code::BatchTooLarge,
            Self::RecordTooLarge { .. } => Code::RecordTooLarge,
            Self::TooManyTags { .. } | Self::TagTooLong { .. } => Code::TooManyTags,
        }
    }

    /// Which record of the batch is at fault, counted from 0, where it is one.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Empty | Self::TooMany { .. } => None,
            Self::BatchTooLarge { index }
            | Self::RecordTooLarge { index, .. }
            | Self::TooManyTags { index, .. }
            | Self::TagTooLong { index, .. }
            | Self::KeyTooLong { index, .. }
            | Self::IndexOnCopies { index } => Some(*index),
        }
    }
}

/// Checks a batch against the bounds that every store has, but for its size as a whole.
pub(crate) fn check(records: &[Record]) -> Result<(), InvalidRecords> {
    match records.len() {
        0 => return Err(InvalidRecords::Empty),
        count if count > BATCH_RECORDS_MAX => return Err(InvalidRecords::TooMany { count }),
        _ => {}
    }
    records.iter().enumerate().try_for_each(|(index, record)| check_one(index, record))
}

fn check_one(index: usize, record: &Record) -> Result<(), InvalidRecords> {
    let Record { data, alloc, key, tags, indices: _ } = record;
    let bytes = (*alloc).max(data.len() as u64);
    if bytes > RECORD_BYTES_MAX as u64 {
        return Err(InvalidRecords::RecordTooLarge { index, bytes });
    }
    if tags.len() > TAGS_MAX {
        return Err(InvalidRecords::TooManyTags { index, count: tags.len() });
    }
    if let Some(tag) = tags.iter().find(|tag| tag.len() > TAG_BYTES_MAX) {
        return Err(InvalidRecords::TagTooLong { index, bytes: tag.len() });
    }
    match key {
        Some(key) if key.len() > KEY_BYTES_MAX => Err(InvalidRecords::KeyTooLong { index, bytes: key.len() }),
        _ => Ok(()),
    }
}

/// The frame of a batch, without its place in the log.
pub(crate) fn draft(records: &[Record]) -> Result<Draft, InvalidRecords> {
    check(records)?;
    let payload_len: usize = records.iter().map(|record| record.data.len() + 24).sum();
    let capacity = (payload_len + 64).min(FRAME_BYTES_MAX);
    let mut builder = FrameBuilder::with_capacity(Kind::Data, None, Salt::WIRE, capacity);
    for (index, Record { data, alloc, key, tags, indices }) in records.iter().enumerate() {
        if !indices.is_empty() {
            return Err(InvalidRecords::IndexOnCopies { index });
        }
        let meta = Meta {
            indices: Vec::new(),
            key: key.as_ref().map(|key| key.clone().into_bytes()),
            tags: tags.iter().map(|tag| tag.clone().into_bytes()).collect(),
        };
        let alloc = u32::try_from(*alloc).map_err(|_| InvalidRecords::RecordTooLarge { index, bytes: *alloc })?;
        builder.push(&NewRecord { data, alloc, meta });
        if builder.frame_len() > FRAME_BYTES_MAX {
            return Err(InvalidRecords::BatchTooLarge { index });
        }
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_checked_and_named() {
        let large = Record::new(vec![0; RECORD_BYTES_MAX]);
        let over = Record::new(vec![0; RECORD_BYTES_MAX + 1]);
        let reserving = Record { alloc: RECORD_BYTES_MAX as u64 + 1, ..Record::default() };
        let many_tags = Record { tags: vec![String::new(); TAGS_MAX + 1], ..Record::default() };
        let long_tag = Record { tags: vec!["t".repeat(TAG_BYTES_MAX + 1)], ..Record::default() };
        let long_key = Record { key: Some("k".repeat(KEY_BYTES_MAX + 1)), ..Record::default() };
        let indexed = Record { indices: [("price".to_owned(), 1)].into(), ..Record::default() };
        let small = Record::new("x");
        for (records, code, index) in [
            (vec![], Code::InvalidArgument, None),
            (vec![Record::default(); BATCH_RECORDS_MAX + 1], Code::BatchTooLarge, None),
            (vec![small.clone(), over], Code::RecordTooLarge, Some(1)),
            (vec![reserving], Code::RecordTooLarge, Some(0)),
            (vec![small.clone(), small.clone(), many_tags], Code::TooManyTags, Some(2)),
            (vec![long_tag], Code::TooManyTags, Some(0)),
            (vec![long_key], Code::InvalidArgument, Some(0)),
            (vec![small.clone(), indexed], Code::InvalidArgument, Some(1)),
            (vec![large.clone(), large.clone()], Code::BatchTooLarge, Some(1)),
        ] {
            let invalid = draft(&records).unwrap_err();
            assert_eq!((invalid.code(), invalid.index()), (code, index), "{invalid}");
        }
        assert!(draft(&[large]).is_ok());
    }

    #[test]
    fn the_largest_metadata_fits_its_record() {
        let record = Record {
            tags: vec!["t".repeat(TAG_BYTES_MAX); TAGS_MAX],
            key: Some("k".repeat(KEY_BYTES_MAX)),
            ..Record::new("x")
        };
        let draft = draft(std::slice::from_ref(&record)).unwrap();
        let meta = draft.view().records().next().unwrap().meta().unwrap();
        assert_eq!(meta.tags.len(), TAGS_MAX);
        assert_eq!(meta.key.map(|key| key.len()), Some(KEY_BYTES_MAX));
    }
}
