//! Files of a partition that come and go outside its queue.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use logstore_api::Timestamp;

use super::Partition;
use crate::log::changes::Erased;
use crate::log::segment::Segment;
use crate::log::shared::lock;
use crate::log::writer::Writer;
use crate::log::{mend, retention};

/// An active segment of which everything is trimmed is replaced when it is larger than this.
const TRIMMED_BYTES_MIN: u64 = 64 * 1024;

impl Partition {
    /// Everything that is due: a new segment by age, old segments away, side files, what writers have confirmed.
    pub fn tend(self: &Arc<Self>, now: Timestamp) {
        self.rotate_by_age(now);
        self.drop_segments(now);
        let _one_at_a_time = lock(&self.tending);
        if self.shared.is_retired() {
            return;
        }
        self.shared.seal_segments();
        self.shared.save_confirmed();
    }

    fn rotate_by_age(self: &Arc<Self>, now: Timestamp) {
        let config = self.shared.config();
        let due = |writer: &Writer| {
            writer.active_with_frames().is_some_and(|active| {
                let (created, last) = (active.header.created, active.last_time());
                active.tables_too_large()
                    || retention::rotates_by_age(created, last, &config.rotation, &config.retention, now)
            })
        };
        self.with_writer(|writer| {
            if due(writer) && !self.shared.is_frozen() && !self.shared.is_retired() && writer.roll(&self.shared).is_ok() {
                tracing::debug!(partition = %self.shared.site.label, "began a new segment because of the age of the last");
            }
        });
    }

    /// Removes segments that retention or a trim lets go, the active one too where all of it is trimmed.
    pub fn drop_segments(self: &Arc<Self>, now: Timestamp) {
        let _one_at_a_time = lock(&self.tending);
        if self.shared.is_retired() {
            return;
        }
        self.roll_trimmed();
        let dropped = self.shared.take_droppable(now);
        self.shared.note_usage();
        self.remove(dropped);
    }

    fn roll_trimmed(self: &Arc<Self>) {
        self.with_writer(|writer| {
            let all_trimmed = writer.state().trim_start == writer.state().tail.next_offset;
            let large = writer.active_with_frames().is_some_and(|active| active.log_bytes() > TRIMMED_BYTES_MIN);
            if all_trimmed && large && !self.shared.is_frozen() {
                // Where even a small new segment finds no room, the old one stays until there is some.
                let _ = writer.roll(&self.shared);
            }
        });
    }

    /// When the last record of the oldest segment came, where that segment may go because the store needs room: only
    /// in a log that has a retention.
    #[must_use]
    pub fn oldest_for_room(&self) -> Option<Timestamp> {
        self.shared.oldest_for_room()
    }

    /// Removes that segment; how many bytes.
    pub fn drop_oldest(self: &Arc<Self>) -> u64 {
        let _one_at_a_time = lock(&self.tending);
        if self.shared.is_retired() {
            return 0;
        }
        let dropped: Vec<_> = self.shared.take_oldest_for_room().into_iter().collect();
        let bytes = dropped.iter().map(|segment| segment.log_bytes()).sum();
        self.shared.note_usage();
        self.remove(dropped);
        bytes
    }

    /// Removes the files of segments that readers do not see any more. Each is let go before the next: one that is removed
    /// keeps its descriptor as long as somebody holds it.
    fn remove(self: &Arc<Self>, dropped: Vec<Arc<Segment>>) {
        if dropped.is_empty() {
            return;
        }
        self.shared.publish();
        self.forget(&[]);
        for segment in dropped {
            tracing::info!(partition = %self.shared.site.label, first_offset = segment.header.base_offset, bytes = segment.log_bytes(), "removing a segment");
            if let Err(error) = segment.remove() {
                tracing::warn!(path = %segment.path().display(), %error, "failed to remove a segment; the next start tries again");
            }
        }
        if let Err(error) = self.shared.site.disk.sync_dir(&self.shared.site.dir) {
            tracing::warn!(dir = %self.shared.site.dir.display(), %error, "failed to sync a directory after removing segments");
        }
        self.shared.space.look();
    }

    /// Forgets changes of records whose segments are gone, and erasures that were carried out.
    pub(in crate::log) fn forget(self: &Arc<Self>, carried_out: &[(u64, Erased)]) {
        let start = self.shared.segments().first().map_or(0, |first| first.header.base_offset);
        self.with_writer(|writer| writer.forget(start, carried_out));
        self.shared.overlay.forget_before(start);
        self.shared.overlay.forget_erased(carried_out);
    }

    /// Takes erased records out of the files, a step at a time, so that all bytes of each are gone within this time.
    pub fn carry_out_erasures(self: &Arc<Self>, within: Duration, now: Timestamp) {
        let mut erasing = lock(&self.tending);
        if !self.shared.is_retired() {
            erasing.go_on(self, within, now);
        }
    }

    /// Writes the side files of segments that have none yet.
    pub fn seal_segments(&self) {
        let _one_at_a_time = lock(&self.tending);
        self.shared.seal_segments();
    }

    /// Writes again what the frames tell of segments' headers and side files.
    pub fn mend(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.tending);
        mend::mend(&self.shared.site, &self.shared.segments())
    }
}
