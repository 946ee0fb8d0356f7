//! Records in binary: for payloads of any bytes, without base64.
//!
//! ```text
//! per record   meta_len u32 | data_len u32 | meta | data            little-endian, one after the other
//! ```
//! The meta is the record's envelope without its payload, as JSON; it may be empty.

/// Bytes before the meta.
pub const ENTRY_HEADER_LEN: usize = 8;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The envelope without its payload.
    pub meta: &'a [u8],
    /// The payload.
    pub data: &'a [u8],
}

/// Bytes that end within a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record that begins at byte {at} is cut: {needed} bytes are needed, and {there} are there")]
pub struct Cut {
    /// Where the record begins.
    pub at: usize,
    /// Its length, as far as it is known.
    pub needed: u64,
    /// Bytes from its beginning on.
    pub there: usize,
}

impl Entry<'_> {
    /// Puts a record behind others; `meta` is written where it stands.
    ///
    /// # Panics
    /// Where meta or data is 4 GiB or longer: records are bounded long before that.
    pub fn push_with(out: &mut Vec<u8>, data: &[u8], meta: impl FnOnce(&mut Vec<u8>)) {
        let at = out.len();
        out.extend_from_slice(&[0; ENTRY_HEADER_LEN]);
        meta(out);
        let meta_len = out.len() - at - ENTRY_HEADER_LEN;
        for (place, len) in [(at, meta_len), (at + 4, data.len())] {
            out[place..place + 4].copy_from_slice(&len_u32(len).to_le_bytes());
        }
        out.extend_from_slice(data);
    }

    /// Puts the record behind others.
    ///
    /// # Panics
    /// Where meta or data is 4 GiB or longer: records are bounded long before that.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        let Self { meta, data } = self;
        for part in [meta, data] {
            out.extend_from_slice(&len_u32(part.len()).to_le_bytes());
        }
        out.extend_from_slice(meta);
        out.extend_from_slice(data);
    }
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("records are bounded by limits::RECORD_BYTES_MAX")
}

/// The records in a body, up to the first that is cut. Nothing is allocated by what the lengths say.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Cut>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let entry = first(rest).map_err(|needed| Cut { at, needed, there: rest.len() });
        at = match &entry {
            Ok(entry) => at + ENTRY_HEADER_LEN + entry.meta.len() + entry.data.len(),
            Err(_) => bytes.len(),
        };
        Some(entry)
    })
}

/// The first record, or how many bytes it needs.
fn first(bytes: &[u8]) -> Result<Entry<'_>, u64> {
    let Some((header, rest)) = bytes.split_first_chunk::<ENTRY_HEADER_LEN>() else {
        return Err(ENTRY_HEADER_LEN as u64);
    };
    let [meta_len, data_len] =
        [0, 4].map(|at| u64::from(u32::from_le_bytes(std::array::from_fn(|byte| header[at + byte]))));
    let needed = ENTRY_HEADER_LEN as u64 + meta_len + data_len;
    let (meta_len, data_len) = match (usize::try_from(meta_len), usize::try_from(data_len)) {
        (Ok(meta_len), Ok(data_len)) if needed <= bytes.len() as u64 => (meta_len, data_len),
        _ => return Err(needed),
    };
    Ok(Entry { meta: &rest[..meta_len], data: &rest[meta_len..meta_len + data_len] })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_read_back_and_a_cut_one_is_told(
            records in vec((vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..50)), 0..10),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            let written: Vec<Entry<'_>> = records.iter().map(|(meta, data)| Entry { meta, data }).collect();
            let mut ends = vec![0];
            for entry in &written {
                entry.push_to(&mut bytes);
                ends.push(bytes.len());
            }
            let read: Result<Vec<_>, Cut> = entries(&bytes).collect();
            prop_assert_eq!(read, Ok(written.clone()));
            let mut in_place = Vec::new();
            written.iter().for_each(|Entry { meta, data }| {
                Entry::push_with(&mut in_place, data, |out| out.extend_from_slice(meta));
            });
            prop_assert_eq!(&in_place, &bytes);
            let len = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= len).count() - 1;
            let read: Vec<_> = entries(&bytes[..len]).collect();
            prop_assert_eq!(read.iter().filter_map(|entry| entry.ok()).collect::<Vec<_>>(), &written[..whole]);
            prop_assert_eq!(read.len() > whole, !ends.contains(&len));
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        let bytes = [0xff; 12];
        let needed = 8 + 2 * u64::from(u32::MAX);
        assert_eq!(entries(&bytes).collect::<Vec<_>>(), [Err(Cut { at: 0, needed, there: 12 })]);
    }
}
