//! Carrying out erasures: which are due, segment by segment, until no file and no reader has the bytes any more.
//!
//! ```text
//! due → the active segment ends, if an erasure stands in it → one segment after the other is rewritten
//!     → readers of the old files have ended → the erasures are forgotten: stubs say what they said
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use logstore_api::Timestamp;
use logstore_api::limits::ERASURES_OPEN_MAX;

use super::changes::Erased;
use super::partition::Partition;
use super::rewrite;
use super::segment::Segment;

/// How long nothing is tried after a failure: a copy of a segment for which there is no room costs as much as one for
/// which there is.
const PAUSE: Duration = Duration::from_secs(60);

/// After so long a step ends, though segments are left that were not looked at: whatever else waits for the log's files
/// goes first, and so does what is due in other logs.
const STEP_MAX: Duration = Duration::from_millis(200);

/// Erasures that are being carried out. Held by who tends the partition.
#[derive(Debug, Default)]
pub struct Erasing {
    pass: Option<Pass>,
    /// Files that were replaced, as long as somebody reads them; by a pass that has failed, too.
    replaced: Vec<Weak<Segment>>,
    /// Nothing is tried before this time.
    paused_until: Option<Timestamp>,
}

/// One round over the segments.
#[derive(Debug)]
struct Pass {
    erasures: Vec<(u64, Erased)>,
    /// First frames of the segments to look at.
    segments: VecDeque<u64>,
}

/// Whether erasures are to be carried out now. Half of the time is left for a disk that is full or slow.
#[must_use]
pub fn is_due(oldest: Option<Timestamp>, count: usize, within: Duration, now: Timestamp) -> bool {
    let many = count > ERASURES_OPEN_MAX / 2;
    oldest.is_some_and(|oldest| many || now.0.saturating_sub(oldest.0) >= half_in_us(within))
}

fn half_in_us(within: Duration) -> i64 {
    i64::try_from(within.as_micros() / 2).unwrap_or(i64::MAX)
}

impl Erasing {
    /// Takes the next step, where there is one: at most one segment is rewritten.
    pub fn go_on(&mut self, partition: &Arc<Partition>, within: Duration, now: Timestamp) {
        if self.paused_until.is_some_and(|until| now < until) || partition.shared().overlay.is_empty() {
            return;
        }
        if let Err(error) = self.step(partition, within, now) {
            tracing::warn!(partition = %partition.shared().site.label, %error, "failed to take erased records out of a segment; tried again later");
            self.pass = None;
            self.paused_until = Some(Timestamp(now.0.saturating_add(half_in_us(2 * PAUSE))));
        }
    }

    fn step(&mut self, partition: &Arc<Partition>, within: Duration, now: Timestamp) -> io::Result<()> {
        let Some(pass) = &mut self.pass else {
            self.pass = Pass::begin(partition, within, now);
            return match &self.pass {
                Some(_) => self.step(partition, within, now),
                None => Ok(()),
            };
        };
        let begun = Instant::now();
        while let Some(base_frame) = pass.segments.pop_front() {
            let replaced = pass.rewrite(partition, base_frame)?;
            let is_enough = replaced.is_some() || begun.elapsed() >= STEP_MAX;
            self.replaced.extend(replaced);
            if is_enough {
                return Ok(());
            }
        }
        self.replaced.retain(|segment| segment.strong_count() > 0);
        if self.replaced.is_empty() {
            partition.forget(&pass.erasures);
            tracing::info!(partition = %partition.shared().site.label, count = pass.erasures.len(), "erased records are gone from the files");
            self.pass = None;
        }
        Ok(())
    }
}

impl Pass {
    fn begin(partition: &Arc<Partition>, within: Duration, now: Timestamp) -> Option<Self> {
        let shared = partition.shared();
        let due = partition.with_writer(|writer| {
            let changes = &writer.state().changes;
            let oldest = changes.erasures().map(|(_, erased)| erased.time).min();
            let due = is_due(oldest, changes.erasure_count(), within, now);
            let active = writer.active_with_frames().map(|active| active.header.base_frame);
            let in_active = changes.erasures().any(|(_, erased)| Some(erased.segment) == active);
            if due && in_active && !shared.is_frozen() && writer.roll(shared).is_err() {
                tracing::warn!(partition = %shared.site.label, "a segment that holds erased records cannot be ended yet");
            }
            due
        });
        if !due {
            return None;
        }
        let segments = shared.segments();
        let active = segments.last()?.header.base_frame;
        // Only what stands in a sealed segment is on the disk for certain, and where writers place frames only what is
        // confirmed stays.
        let confirmed = if shared.site.ordered { shared.confirmed().frame } else { u64::MAX };
        let erasures: Vec<(u64, Erased)> = partition.with_writer(|writer| {
            let carried_out = |erased: &Erased| erased.segment < active && erased.frame < confirmed;
            writer.state().changes.erasures().filter(|(_, erased)| carried_out(erased)).collect()
        });
        let segments = segments[..segments.len() - 1].iter().map(|segment| segment.header.base_frame).collect();
        (!erasures.is_empty()).then_some(Self { erasures, segments })
    }

    /// Takes erased records out of a segment; the one that was replaced, where there was anything to do.
    fn rewrite(&self, partition: &Arc<Partition>, base_frame: u64) -> io::Result<Option<Weak<Segment>>> {
        let shared = partition.shared();
        let segments = shared.segments();
        // Retention may have been faster.
        let Some(at) = segments.iter().position(|segment| segment.header.base_frame == base_frame) else {
            return Ok(None);
        };
        let (Some(segment), Some(next)) = (segments.get(at), segments.get(at + 1)) else { return Ok(None) };
        let range = segment.header.base_offset..next.header.base_offset;
        let erased: Vec<u64> =
            self.erasures.iter().map(|(offset, _)| *offset).filter(|offset| range.contains(offset)).collect();
        let in_patches =
            |erased: &Erased| erased.patched_since.is_some_and(|since| (since..=erased.segment).contains(&base_frame));
        let patched: BTreeSet<u64> =
            self.erasures.iter().filter(|(_, erased)| in_patches(erased)).map(|(offset, _)| *offset).collect();
        let doomed = rewrite::find_doomed(segment, &erased, &patched)?;
        if doomed.is_empty() {
            return Ok(None);
        }
        if shared.space.left() < segment.log_bytes() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "there is no room for a copy of the segment"));
        }
        tracing::info!(partition = %shared.site.label, base_frame, records = doomed.len(), "taking erased records out of a segment");
        let rewritten = rewrite::rewrite(&*shared.site.disk, segment, &doomed)?;
        shared.replace_segment(Arc::new(rewritten));
        Ok(Some(Arc::downgrade(segment)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_time_is_left_for_trouble() {
        let (now, day) = (Timestamp(1_000_000_000_000), Duration::from_secs(86_400));
        let ago = |seconds: i64| Some(Timestamp(now.0 - seconds * 1_000_000));
        assert!(!is_due(ago(43_199), 1, day, now));
        assert!(is_due(ago(43_200), 1, day, now));
        assert!(is_due(ago(0), 1, Duration::ZERO, now));
        assert!(!is_due(None, 0, Duration::ZERO, now));
        assert!(is_due(ago(1), ERASURES_OPEN_MAX / 2 + 1, day, now), "there will be no room for more");
    }
}
