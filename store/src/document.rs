//! Small files that the store writes for itself: JSON on the first line, its CRC-32C on the second, so that a damaged one
//! is noticed and a person can still read it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a file is no document.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The second line is missing, or not the checksum of the first.
    #[error("its checksum does not fit its content")]
    Checksum,
    /// The first line is not what is expected there.
    #[error("its content is not understood: {0}")]
    Content(#[from] serde_json::Error),
}

/// The document of a value.
///
/// # Panics
/// For values that JSON cannot hold; ours can be held.
#[must_use]
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("our documents are JSON");
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(format!("\ncrc32c {crc:08x}\n").as_bytes());
    bytes
}

/// Reads a document back.
///
/// # Errors
/// Where it is damaged, or another one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    let line_end = bytes.iter().position(|byte| *byte == b'\n').ok_or(Malformed::Checksum)?;
    let (content, checksum) = bytes.split_at(line_end);
    if checksum != format!("\ncrc32c {:08x}\n", crc32c::crc32c(content)).as_bytes() {
        return Err(Malformed::Checksum);
    }
    Ok(serde_json::from_slice(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_byte_is_noticed() {
        let bytes = encode(&vec!["a", "b"]);
        assert_eq!(decode::<Vec<String>>(&bytes).unwrap(), ["a", "b"]);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode::<Vec<String>>(&damaged).is_err(), "byte {at}");
            assert!(decode::<Vec<String>>(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
