//! What a writer can be told.

use logstore_api::Durability;
use logstore_api::limits::WRITER_LABEL_BYTES_MAX;

use crate::patience::Retries;

/// How a writer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// What the writer calls itself, for people: a writer that loses its reign names the winner by it. What is over 256
    /// bytes is cut off.
    pub label: String,
    /// The partition to write; may be left out where there is one. A reign is over all partitions of a namespace, so a writer of another partition ends this
    /// one's.
    pub partition: Option<u32>,
    /// The level that every copy must hold a record at before it is acknowledged; as the namespace says where left out.
    pub durability: Option<Durability>,
    /// Bytes of frames that are not acknowledged yet, at most; [`Writer::submit`](super::Writer::submit) waits for room.
    pub window_bytes: usize,
    /// How long to go on while a copy is away.
    pub retries: Retries,
}

impl Default for WriterOptions {
    /// No label, the one partition, the namespace's level, 64 MiB, 30 s.
    fn default() -> Self {
        let (label, window_bytes) = (String::new(), 64 * 1024 * 1024);
        Self { label, partition: None, durability: None, window_bytes, retries: Retries::default() }
    }
}

/// The longest beginning of a label that fits the wire.
pub(super) fn fitting_label(label: &str) -> &str {
    let mut len = label.len().min(WRITER_LABEL_BYTES_MAX);
    while !label.is_char_boundary(len) {
        len -= 1;
    }
    &label[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_label_is_cut_between_characters() {
        assert_eq!(fitting_label("gateway-0"), "gateway-0");
        let label = format!("x{}", "ü".repeat(WRITER_LABEL_BYTES_MAX));
        assert_eq!(fitting_label(&label).len(), WRITER_LABEL_BYTES_MAX - 1);
    }
}
