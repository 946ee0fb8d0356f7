//! From what a user sends to a frame: limits are checked here, before anything is stored.

use logstore_api::frame::{Draft, FrameBuilder, Kind, Meta, NewRecord, Producer, Salt};
use logstore_api::limits::{
    BATCH_RECORDS_MAX, FRAME_BYTES_MAX, INDICES_MAX, KEY_BYTES_MAX, META_BYTES_MAX, RECORD_BYTES_MAX, TAG_BYTES_MAX,
    TAGS_MAX,
};
use logstore_api::{Code, Problem};

/// What a record carries beside its payload, as users give it.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// A key.
    pub key: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Values of indices, by their numbers.
    pub indices: Vec<(u8, i64)>,
    /// Bytes to reserve.
    pub alloc: Option<u64>,
}

/// Collects the records of one append.
#[derive(Debug)]
pub struct Batch {
    builder: FrameBuilder,
    producer: Option<Producer>,
    max_record_bytes: Option<u64>,
}

/// Records ready to be appended.
#[derive(Debug)]
pub struct Ready {
    /// The frame, without its numbers.
    pub draft: Draft,
    /// Its producer.
    pub producer: Option<Producer>,
}

impl Batch {
    /// An empty batch; `payload_bytes` is about how much will come.
    #[must_use]
    pub fn new(producer: Option<Producer>, salt: Salt, payload_bytes: usize) -> Self {
        let capacity = payload_bytes.min(FRAME_BYTES_MAX) + 256;
        Self {
            builder: FrameBuilder::with_capacity(Kind::Data, producer, salt, capacity),
            producer,
            max_record_bytes: None,
        }
    }

    /// The same for a namespace whose quota bounds its records, where it does.
    #[must_use]
    pub fn with_max_record_bytes(self, max_record_bytes: Option<u64>) -> Self {
        Self { max_record_bytes, ..self }
    }

    /// Adds a record.
    pub fn push(&mut self, data: &[u8], attributes: Attributes) -> Result<(), Problem> {
        let Attributes { key, tags, indices, alloc } = attributes;
        let alloc = check_sizes(data.len(), alloc)?;
        self.check_quota(data.len().max(alloc as usize) as u64)?;
        let meta = check_meta(key, tags, indices)?;
        self.builder.push(&NewRecord { data, alloc, meta });
        if self.builder.record_count() as usize > BATCH_RECORDS_MAX {
            let detail = format!("a batch holds more than {BATCH_RECORDS_MAX} records; send several");
            return Err(Problem::new(Code::BatchTooLarge, detail).expected(BATCH_RECORDS_MAX));
        }
        if self.builder.frame_len() > FRAME_BYTES_MAX {
            let detail = format!("a batch takes more than {FRAME_BYTES_MAX} bytes in the log; send several");
            return Err(Problem::new(Code::BatchTooLarge, detail).expected(FRAME_BYTES_MAX));
        }
        Ok(())
    }

    fn check_quota(&self, bytes: u64) -> Result<(), Problem> {
        let Some(max) = self.max_record_bytes.filter(|max| bytes > *max) else { return Ok(()) };
        let detail = format!("a record of {bytes} bytes, and the namespace's quota.max_record_bytes is {max}");
        let problem = Problem::new(Code::RecordTooLarge, detail).field("quota.max_record_bytes");
        Err(problem.expected(max).got(bytes))
    }

    /// Ends the batch.
    pub fn finish(self) -> Result<Ready, Problem> {
        let Self { builder, producer, max_record_bytes: _ } = self;
        if builder.record_count() == 0 {
            let detail = "the body holds no record; send at least one";
            return Err(Problem::new(Code::MalformedBody, detail));
        }
        Ok(Ready { draft: builder.finish(), producer })
    }
}

fn check_sizes(data_len: usize, alloc: Option<u64>) -> Result<u32, Problem> {
    if data_len > RECORD_BYTES_MAX {
        let detail = format!("a record of {data_len} bytes is too large; send at most {RECORD_BYTES_MAX}");
        return Err(Problem::new(Code::RecordTooLarge, detail).expected(RECORD_BYTES_MAX).got(data_len));
    }
    let alloc = alloc.unwrap_or(0);
    match u32::try_from(alloc) {
        Ok(fits) if fits as usize <= RECORD_BYTES_MAX => Ok(fits),
        _ => {
            let detail =
                format!("a record that reserves {alloc} bytes is too large; reserve at most {RECORD_BYTES_MAX}");
            Err(Problem::new(Code::RecordTooLarge, detail).field("alloc").expected(RECORD_BYTES_MAX).got(alloc))
        }
    }
}

fn check_meta(key: Option<String>, tags: Vec<String>, indices: Vec<(u8, i64)>) -> Result<Meta, Problem> {
    if let Some(key) = &key
        && key.len() > KEY_BYTES_MAX
    {
        let detail = format!("a key of {} bytes is too long; give at most {KEY_BYTES_MAX}", key.len());
        return Err(Problem::new(Code::InvalidArgument, detail).field("key").expected(KEY_BYTES_MAX).got(key.len()));
    }
    if tags.len() > TAGS_MAX {
        let detail = format!("a record with {} tags; give at most {TAGS_MAX}", tags.len());
        return Err(Problem::new(Code::TooManyTags, detail).field("tags").expected(TAGS_MAX).got(tags.len()));
    }
    if let Some(tag) = tags.iter().find(|tag| tag.len() > TAG_BYTES_MAX) {
        let detail = format!("a tag of {} bytes is too long; give at most {TAG_BYTES_MAX}", tag.len());
        return Err(Problem::new(Code::TooManyTags, detail).field("tags").expected(TAG_BYTES_MAX).got(tag.len()));
    }
    const _: () = assert!(
        2 + INDICES_MAX * 9 + 3 + KEY_BYTES_MAX + 2 + TAGS_MAX * (TAG_BYTES_MAX + 2) <= META_BYTES_MAX,
        "values, key and tags within their limits fit the metadata"
    );
    Ok(Meta { indices, key: key.map(String::into_bytes), tags: tags.into_iter().map(String::into_bytes).collect() })
}
