//! Which segments may go. Pure.

use logstore_api::Timestamp;
use logstore_api::namespace::{Retention, Rotation};

use super::acks::Mark;

/// A segment, as retention sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// On disk.
    pub bytes: u64,
    /// The frame number after its last frame.
    pub end_frame: u64,
    /// The offset after its last record.
    pub end_offset: u64,
    /// Server time of its last record.
    pub last_time: Timestamp,
}

/// How many of the oldest segments may go. `sealed` is without the active one, oldest first; `active_bytes` is its size.
/// Nothing at or above `readable` goes: what readers have not been able to see, or a copy may still need, stays.
#[must_use]
pub fn droppable(
    sealed: &[Candidate],
    active_bytes: u64,
    retention: &Retention,
    trim_start: u64,
    readable: Mark,
    now: Timestamp,
) -> usize {
    let mut bytes: u64 = active_bytes + sealed.iter().map(|segment| segment.bytes).sum::<u64>();
    let goes = |segment: &Candidate, bytes: u64| {
        let trimmed = segment.end_offset <= trim_start;
        let old = retention.max_age_seconds.is_some_and(|max| now.seconds_since(segment.last_time) > max);
        let over = retention.max_bytes.is_some_and(|max| bytes > max);
        is_below(segment, readable) && (trimmed || old || over)
    };
    let mut count = 0;
    for segment in sealed {
        if !goes(segment, bytes) {
            break;
        }
        bytes -= segment.bytes;
        count += 1;
    }
    count
}

fn is_below(segment: &Candidate, readable: Mark) -> bool {
    segment.end_offset <= readable.offset && segment.end_frame <= readable.frame
}

/// Whether the oldest segment of a log may go because the store has too little room: where a retention is set, its
/// records go some day anyway.
#[must_use]
pub fn goes_for_room(oldest: &Candidate, retention: &Retention, readable: Mark) -> bool {
    let Retention { max_age_seconds, max_bytes } = retention;
    (max_age_seconds.is_some() || max_bytes.is_some()) && is_below(oldest, readable)
}

/// Whether the active segment should end because of its age, so that a quiet namespace's records can go too.
#[must_use]
pub fn rotates_by_age(
    created: Timestamp,
    last_time: Timestamp,
    rotation: &Rotation,
    retention: &Retention,
    now: Timestamp,
) -> bool {
    rotation.max_segment_age_seconds.is_some_and(|max| now.seconds_since(created) > max)
        || retention.max_age_seconds.is_some_and(|max| now.seconds_since(last_time) > max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn segments() -> [Candidate; 3] {
        [1, 2, 3].map(|number| Candidate {
            bytes: 100,
            end_frame: number * 20,
            end_offset: number * 10,
            last_time: Timestamp(NOW.0 - (4 - number as i64) * 10_000_000),
        })
    }

    fn count(retention: Retention, trim_start: u64, readable_end: u64) -> usize {
        let readable = Mark { frame: u64::MAX, offset: readable_end };
        droppable(&segments(), 50, &retention, trim_start, readable, NOW)
    }

    #[test]
    fn nothing_goes_unless_it_is_said() {
        assert_eq!(count(Retention::default(), 0, 99), 0);
    }

    #[test]
    fn old_segments_go() {
        let older_than = |seconds| Retention { max_age_seconds: Some(seconds), ..Retention::default() };
        assert_eq!(count(older_than(30), 0, 99), 0);
        assert_eq!(count(older_than(29), 0, 99), 1);
        assert_eq!(count(older_than(15), 0, 99), 2);
        assert_eq!(count(older_than(1), 0, 99), 3);
    }

    #[test]
    fn the_oldest_go_while_there_is_too_much() {
        let at_most = |bytes| Retention { max_bytes: Some(bytes), ..Retention::default() };
        assert_eq!(count(at_most(350), 0, 99), 0);
        assert_eq!(count(at_most(349), 0, 99), 1);
        assert_eq!(count(at_most(200), 0, 99), 2);
        assert_eq!(count(at_most(0), 0, 99), 3);
    }

    #[test]
    fn trimmed_segments_go_when_all_of_them_is_trimmed() {
        assert_eq!(count(Retention::default(), 9, 99), 0);
        assert_eq!(count(Retention::default(), 29, 99), 2);
    }

    #[test]
    fn what_readers_cannot_see_yet_stays() {
        assert_eq!(count(Retention { max_bytes: Some(0), ..Retention::default() }, 0, 19), 1);
    }

    #[test]
    fn frames_that_are_not_confirmed_stay_even_where_they_count_no_offset() {
        let readable = Mark { frame: 39, offset: 99 };
        assert_eq!(droppable(&segments(), 50, &Retention::default(), 99, readable, NOW), 1);
    }

    #[test]
    fn for_room_only_logs_with_a_retention_give_and_only_what_was_read_able() {
        let (oldest, some) = (segments()[0], Retention { max_bytes: Some(u64::MAX), ..Retention::default() });
        let old = Retention { max_age_seconds: Some(u64::MAX), ..Retention::default() };
        let readable = |frame, offset| Mark { frame, offset };
        assert!(goes_for_room(&oldest, &some, readable(20, 10)) && goes_for_room(&oldest, &old, readable(20, 10)));
        assert!(!goes_for_room(&oldest, &Retention::default(), readable(20, 10)));
        assert!(!goes_for_room(&oldest, &some, readable(19, 10)));
        assert!(!goes_for_room(&oldest, &some, readable(20, 9)));
    }

    #[test]
    fn a_quiet_segment_ends_by_age() {
        let rotation = Rotation { max_segment_age_seconds: Some(60), ..Rotation::default() };
        let ago = |seconds: i64| Timestamp(NOW.0 - seconds * 1_000_000);
        assert!(rotates_by_age(ago(61), ago(1), &rotation, &Retention::default(), NOW));
        assert!(!rotates_by_age(ago(60), ago(1), &rotation, &Retention::default(), NOW));
        let retention = Retention { max_age_seconds: Some(5), ..Retention::default() };
        assert!(rotates_by_age(ago(9), ago(6), &Rotation::default(), &retention, NOW));
        assert!(!rotates_by_age(ago(9), ago(5), &Rotation::default(), &retention, NOW));
    }
}
