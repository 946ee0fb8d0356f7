//! A record's metadata: index values, key, tags.

use crate::limits::{INDICES_MAX, KEY_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX};

const HAS_INDICES: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_TAGS: u8 = 4;

/// What a record carries beside its payload.
///
/// ```text
/// presence u8 | indices: count u8, (number u8, value i64)… | key: varint len, bytes | tags: varint count, (varint len, bytes)…
/// ```
/// An empty one takes no bytes at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Values of named indices, by index number.
    pub indices: Vec<(u8, i64)>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The tags, in the order given.
    pub tags: Vec<Vec<u8>>,
}

/// Bytes that are no metadata, or break one of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record metadata")]
pub struct MalformedMeta;

impl Meta {
    /// Appends the encoded form to `out`. The limits on counts and lengths are the caller's to check.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { indices, key, tags } = self;
        let presence = [(!indices.is_empty(), HAS_INDICES), (key.is_some(), HAS_KEY), (!tags.is_empty(), HAS_TAGS)]
            .iter()
            .fold(0, |bits, (present, bit)| if *present { bits | bit } else { bits });
        if presence == 0 {
            return;
        }
        out.push(presence);
        if !indices.is_empty() {
            push_varint(out, indices.len());
            for (number, value) in indices {
                out.push(*number);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        if let Some(key) = key {
            push_bytes(out, key);
        }
        if !tags.is_empty() {
            push_varint(out, tags.len());
            tags.iter().for_each(|tag| push_bytes(out, tag));
        }
    }

    /// Reads the encoded form back.
    ///
    /// # Errors
    /// Where the bytes are none, or go over a limit; nothing is allocated before its length was checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedMeta> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut rest = bytes;
        let presence = take(&mut rest, 1)?[0];
        if presence & !(HAS_INDICES | HAS_KEY | HAS_TAGS) != 0 {
            return Err(MalformedMeta);
        }
        let mut meta = Self::default();
        if presence & HAS_INDICES != 0 {
            for _ in 0..take_varint(&mut rest, INDICES_MAX)? {
                let entry = take(&mut rest, 9)?;
                meta.indices.push((entry[0], i64::from_le_bytes(entry[1..].try_into().map_err(|_| MalformedMeta)?)));
            }
        }
        if presence & HAS_KEY != 0 {
            meta.key = Some(take_bytes(&mut rest, KEY_BYTES_MAX)?);
        }
        if presence & HAS_TAGS != 0 {
            for _ in 0..take_varint(&mut rest, TAGS_MAX)? {
                meta.tags.push(take_bytes(&mut rest, TAG_BYTES_MAX)?);
            }
        }
        if rest.is_empty() { Ok(meta) } else { Err(MalformedMeta) }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn push_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], MalformedMeta> {
    let (head, tail) = rest.split_at_checked(len).ok_or(MalformedMeta)?;
    *rest = tail;
    Ok(head)
}

fn take_varint(rest: &mut &[u8], max: usize) -> Result<usize, MalformedMeta> {
    let mut number = 0;
    for shift in [0, 7, 14] {
        let byte = take(rest, 1)?[0];
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if number <= max { Ok(number) } else { Err(MalformedMeta) };
        }
    }
    Err(MalformedMeta)
}

fn take_bytes(rest: &mut &[u8], max: usize) -> Result<Vec<u8>, MalformedMeta> {
    let len = take_varint(rest, max)?;
    take(rest, len).map(<[u8]>::to_vec)
}
