//! Who waits for what: the line of requests between the write and their answers.
//!
//! The line is one queue in the order of the log, so that an answer says that everything before it has its answer too.
//! Pure: it decides who is done; its owner sends the answers and the syncs.

use std::collections::VecDeque;

use logstore_api::Durability;

use crate::broken::{self, Broken};

/// A place between frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The frame number that comes next.
    pub frame: u64,
    /// The offset that comes next.
    pub offset: u64,
}

/// One that waits until everything before a mark has the level it was asked at.
#[derive(Debug)]
pub struct Waiting<T> {
    /// Everything before this.
    pub until: Mark,
    /// The level that it asks for itself.
    pub level: Durability,
    /// What it is answered with.
    pub answer: T,
}

/// How far the log is written, synced, held and confirmed.
#[derive(Debug)]
pub struct Acks<T> {
    /// In the file.
    written: Mark,
    /// On the disk.
    synced: Mark,
    /// Every frame before it has reached the level it was asked at.
    held: Mark,
    /// Writers confirm frames; `None` where the store orders by itself.
    confirmed: Option<Confirmed>,
    waiting: VecDeque<Waiting<T>>,
    syncing: bool,
    frozen: bool,
}

/// What a writer has said to be on all copies.
#[derive(Debug)]
struct Confirmed {
    mark: Mark,
    /// The highest frame number that was named; frames below it may still be on their way.
    frame: u64,
    /// Places between frames above it, so that its frame number becomes an offset.
    boundaries: VecDeque<Mark>,
}

impl Confirmed {
    fn advance(&mut self) {
        while let Some(boundary) = self.boundaries.front().filter(|boundary| boundary.frame <= self.frame) {
            self.mark = self.mark.max(*boundary);
            self.boundaries.pop_front();
        }
    }
}

impl<T> Acks<T> {
    /// A log that is on the disk up to here. `confirmed` is there where writers place frames.
    #[must_use]
    pub fn new(end: Mark, confirmed: Option<Mark>) -> Self {
        let confirmed = confirmed.map(|mark| {
            let mark = mark.min(end);
            Confirmed { mark, frame: mark.frame, boundaries: VecDeque::from([end]) }
        });
        Self {
            written: end,
            synced: end,
            held: end,
            confirmed,
            waiting: VecDeque::new(),
            syncing: false,
            frozen: false,
        }
    }

    /// Takes in a frame that was written, or an answer that needs none.
    pub fn push(&mut self, waiting: Waiting<T>) {
        if let Some(confirmed) = &mut self.confirmed
            && waiting.until > self.written
        {
            confirmed.boundaries.push_back(waiting.until);
            confirmed.advance();
        }
        self.written = self.written.max(waiting.until);
        self.waiting.push_back(waiting);
    }

    /// Those that are done now, in order; nobody after a failure.
    pub fn settle(&mut self) -> Vec<Waiting<T>> {
        if self.frozen {
            return Vec::new();
        }
        let synced = self.synced;
        let done = |waiting: &Waiting<T>| {
            waiting.level == Durability::Written || waiting.until <= synced || broken::is(Broken::AnsweredBeforeSync)
        };
        let count = self.waiting.iter().position(|waiting| !done(waiting)).unwrap_or(self.waiting.len());
        let settled: Vec<_> = self.waiting.drain(..count).collect();
        if self.waiting.is_empty() {
            self.held = self.written;
        } else if let Some(last) = settled.last() {
            self.held = self.held.max(last.until);
        }
        settled
    }

    /// The mark up to which a sync that begins now will reach, where one is wanted and none is on its way.
    /// `background`: also where nobody waits for it.
    pub fn begin_sync(&mut self, background: bool) -> Option<Mark> {
        let wanted =
            self.waiting.iter().any(|waiting| waiting.level == Durability::Synced && waiting.until > self.synced)
                || background && self.written > self.synced;
        if self.frozen || self.syncing || !wanted {
            return None;
        }
        self.syncing = true;
        Some(self.written)
    }

    /// Everything up to `mark` is on the disk. After a failure nothing is: what a later sync says is not to be trusted.
    pub fn synced(&mut self, mark: Mark) {
        if !self.frozen {
            self.synced = self.synced.max(mark);
        }
    }

    /// The sync that was begun has ended, and the next may begin.
    pub fn end_sync(&mut self) {
        self.syncing = false;
    }

    /// A write or sync has failed for good: nothing is acknowledged any more. Those whose outcome nobody knows now.
    pub fn freeze(&mut self) -> Vec<Waiting<T>> {
        self.frozen = true;
        self.waiting.drain(..).collect()
    }

    /// Frames before this number are on all copies; whether anything moved.
    pub fn confirm(&mut self, frame: u64) -> bool {
        let Some(confirmed) = &mut self.confirmed else { return false };
        let before = confirmed.mark;
        confirmed.frame = confirmed.frame.max(frame);
        confirmed.advance();
        confirmed.mark > before
    }

    /// Whether nothing waits for a sync, or none will come any more.
    #[must_use]
    pub fn is_all_synced(&self) -> bool {
        self.frozen || self.written <= self.synced
    }

    /// Whether a failure has frozen it.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The end that readers see.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.visible().offset
    }

    /// What readers see: everything before this.
    #[must_use]
    pub fn visible(&self) -> Mark {
        match &self.confirmed {
            Some(confirmed) => self.held.min(confirmed.mark),
            None => self.held,
        }
    }

    /// Records before this offset survive a power loss.
    #[must_use]
    pub fn durable_end(&self) -> u64 {
        self.synced.offset
    }

    /// What writers have confirmed.
    #[must_use]
    pub fn confirmed(&self) -> Mark {
        self.confirmed.as_ref().map_or(self.held, |confirmed| confirmed.mark)
    }

    /// What is in the file.
    #[must_use]
    pub fn written(&self) -> Mark {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use Durability::{Synced, Written};

    use super::*;

    fn mark(number: u64) -> Mark {
        Mark { frame: number, offset: number * 10 }
    }

    fn acks(confirmed: Option<Mark>) -> Acks<&'static str> {
        Acks::new(mark(0), confirmed)
    }

    fn push(acks: &mut Acks<&'static str>, number: u64, level: Durability, answer: &'static str) {
        acks.push(Waiting { until: mark(number), level, answer });
    }

    fn settle(acks: &mut Acks<&'static str>) -> Vec<&'static str> {
        acks.settle().into_iter().map(|waiting| waiting.answer).collect()
    }

    #[test]
    fn written_is_done_at_once_and_synced_after_the_sync() {
        let mut acks = acks(None);
        push(&mut acks, 1, Written, "written");
        assert_eq!((settle(&mut acks), acks.end(), acks.durable_end()), (vec!["written"], 10, 0));
        push(&mut acks, 2, Synced, "synced");
        assert_eq!((settle(&mut acks), acks.end()), (vec![], 10));
        let reach = acks.begin_sync(false).unwrap();
        assert_eq!(acks.begin_sync(true), None, "one sync at a time");
        acks.synced(reach);
        acks.end_sync();
        assert_eq!((settle(&mut acks), acks.end(), acks.durable_end()), (vec!["synced"], 20, 20));
    }

    #[test]
    fn nobody_is_answered_before_those_in_front() {
        let mut acks = acks(None);
        push(&mut acks, 1, Synced, "first");
        push(&mut acks, 2, Written, "second");
        assert_eq!((settle(&mut acks), acks.end()), (vec![], 0));
        let reach = acks.begin_sync(false).unwrap();
        push(&mut acks, 3, Synced, "third");
        acks.synced(reach);
        acks.end_sync();
        assert_eq!((settle(&mut acks), acks.end()), (vec!["first", "second"], 20));
        assert_eq!(acks.begin_sync(false), Some(mark(3)), "what came meanwhile needs the next sync");
    }

    #[test]
    fn an_answer_without_a_frame_waits_for_the_frames_it_speaks_of() {
        let mut acks = acks(None);
        push(&mut acks, 1, Synced, "stored");
        push(&mut acks, 1, Synced, "duplicate of it");
        assert_eq!(settle(&mut acks), Vec::<&str>::new());
        let reach = acks.begin_sync(false).unwrap();
        acks.synced(reach);
        assert_eq!(settle(&mut acks), ["stored", "duplicate of it"]);
    }

    #[test]
    fn a_background_sync_is_begun_only_where_something_is_unsynced() {
        let mut acks = acks(None);
        assert_eq!(acks.begin_sync(true), None);
        push(&mut acks, 1, Written, "written");
        settle(&mut acks);
        assert_eq!(acks.begin_sync(false), None);
        assert_eq!(acks.begin_sync(true), Some(mark(1)));
    }

    #[test]
    fn after_a_failure_nothing_is_acknowledged() {
        let mut acks = acks(None);
        push(&mut acks, 1, Synced, "lost");
        acks.begin_sync(false).unwrap();
        let unknown: Vec<_> = acks.freeze().into_iter().map(|waiting| waiting.answer).collect();
        assert_eq!(unknown, ["lost"]);
        assert!(acks.is_frozen());
        acks.synced(mark(1));
        acks.end_sync();
        assert_eq!((settle(&mut acks), acks.end(), acks.durable_end()), (vec![], 0, 0));
        assert_eq!(acks.begin_sync(true), None);
        push(&mut acks, 2, Written, "written meanwhile");
        assert_eq!((settle(&mut acks), acks.end()), (vec![], 0));
    }

    #[test]
    fn readers_see_what_is_held_and_confirmed() {
        let mut acks = acks(Some(mark(0)));
        push(&mut acks, 1, Written, "one");
        push(&mut acks, 2, Written, "two");
        push(&mut acks, 3, Synced, "three");
        settle(&mut acks);
        assert_eq!(acks.end(), 0);
        assert!(acks.confirm(2));
        assert_eq!(acks.end(), 20);
        assert!(!acks.confirm(1), "confirmed never falls");
        assert!(acks.confirm(3));
        assert_eq!((acks.end(), acks.confirmed()), (20, mark(3)), "the third is not held here");
        let reach = acks.begin_sync(false).unwrap();
        acks.synced(reach);
        settle(&mut acks);
        assert_eq!(acks.end(), 30);
    }

    #[test]
    fn frames_may_be_confirmed_before_they_come() {
        let mut acks = acks(Some(mark(0)));
        assert!(!acks.confirm(1));
        push(&mut acks, 1, Written, "one");
        push(&mut acks, 2, Written, "two");
        settle(&mut acks);
        assert_eq!(acks.end(), 10);
    }

    #[test]
    fn after_a_restart_the_recovered_end_is_a_boundary() {
        let mut acks: Acks<()> = Acks::new(mark(5), Some(mark(3)));
        assert_eq!(acks.end(), 30);
        assert!(!acks.confirm(4), "the offset of frame 4 is not known any more");
        assert!(acks.confirm(5));
        assert_eq!(acks.end(), 50);
    }
}
