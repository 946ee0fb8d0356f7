//! A stretch of the log as one copy gave it, checked before it is passed on to another.

use logstore_api::frame::{FrameView, Salt};

/// Where a stretch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The frame number behind its last frame.
    pub(super) next: u64,
    /// Wire checksum of its last frame.
    pub(super) last_checksum: u32,
}

impl Stretch {
    /// Reads frames that must begin at `from`, follow each other without a gap, and end before `until`. There must be one
    /// at least.
    pub(super) fn check(mut frames: &[u8], from: u64, until: u64) -> Result<Self, String> {
        let mut stretch = Self { next: from, last_checksum: 0 };
        while !frames.is_empty() {
            let view = FrameView::verify(frames, Salt::WIRE, 0)
                .map_err(|fault| format!("frame {} does not verify: {fault}", stretch.next))?;
            let header = view.header();
            if header.numbers.number != stretch.next || !header.kind.is_ordered() {
                let (kind, number) = (header.kind, header.numbers.number);
                return Err(format!("expected frame {}, got {kind:?} frame {number}", stretch.next));
            }
            stretch = Self { next: stretch.next + 1, last_checksum: view.checksum() };
            frames = &frames[header.frame_len..];
        }
        match stretch.next {
            next if next == from => Err(format!("frame {from} is not there")),
            next if next > until => {
                Err(format!("frames up to {next} came, and only those before {until} were asked for"))
            }
            _ => Ok(stretch),
        }
    }
}

#[cfg(test)]
mod tests {
    use logstore_api::frame::control::{self, Trim};
    use logstore_api::frame::{Kind, Numbers};

    use super::*;

    fn frame(number: u64) -> (Vec<u8>, u32) {
        let mut draft = control::draft(Kind::Trim, &Trim { before: number }.encode(), Salt::WIRE);
        let checksum = draft.seal(Numbers { number, base_offset: 0, time_us: 0, epoch: 1 }, Salt::WIRE, 0);
        (draft.into_bytes(), checksum)
    }

    fn frames(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| frame(*number).0).collect()
    }

    #[test]
    fn a_dense_stretch_is_taken() {
        let stretch = Stretch::check(&frames(&[3, 4, 5]), 3, 6).unwrap();
        assert_eq!(stretch, Stretch { next: 6, last_checksum: frame(5).1 });
    }

    #[test]
    fn anything_else_is_refused() {
        let mut damaged = frames(&[3]);
        damaged[60] ^= 1;
        for (bytes, from, until) in [
            (frames(&[]), 3, 6),
            (frames(&[4]), 3, 6),
            (frames(&[3, 5]), 3, 6),
            (frames(&[3, 4]), 3, 4),
            (frames(&[3])[..50].to_vec(), 3, 6),
            (damaged, 3, 6),
        ] {
            assert!(Stretch::check(&bytes, from, until).is_err());
        }
    }
}
