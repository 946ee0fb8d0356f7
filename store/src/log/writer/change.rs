//! The leader's work on single records: patches and erasures.

use std::io;

use logstore_api::frame::control::{self, Erase, Patch, PatchHead};
use logstore_api::frame::{Draft, Kind};
use logstore_api::{Code, Durability, Problem, Timestamp};

use super::{Answer, Reply, Shared, What, Writer, no_segment};
use crate::log::modify::{self, EraseRequest, Judged, PatchRequest};
use crate::log::overlay::lay_over;
use crate::log::place::PlacedFrame;
use crate::log::read::{self, Flow, Range};

impl Writer {
    /// Replaces bytes of a record.
    pub(super) fn patch(&mut self, shared: &Shared, request: &PatchRequest, durability: Durability, reply: Reply) {
        self.flush_changes_of(shared, request.offset);
        let judged = match modify::judge_patch(&self.state.changes, self.start(shared), request) {
            Ok(judged) => judged,
            Err(problem) => return self.answer_in_line(durability, reply, Err(Box::new(problem))),
        };
        let draft = match self.patch_draft(shared, request, judged) {
            Ok(draft) => draft,
            Err(problem) => return shared.refuse(reply, problem),
        };
        let frame_len = draft.frame_len() as u64;
        let admitted = shared
            .check_quota(self.staged_bytes, frame_len)
            .and_then(|()| self.begin_changes(shared))
            .and_then(|()| self.make_room(shared, frame_len, true))
            .and_then(|()| shared.take_rate(request.bytes.len() as u64));
        if let Err(problem) = admitted {
            return shared.refuse(reply, problem);
        }
        let numbers = self.next_numbers(Timestamp::now());
        let what =
            What::Patched { data_len: judged.head.data_len, frame: numbers.number, time: Timestamp(numbers.time_us) };
        self.staged_changes.insert(request.offset);
        self.stage(shared, draft, numbers, 0, durability, Some(Answer { reply, result: Ok(what) }));
    }

    /// Hides a record. This goes on when the disk is full, as a trim does: the room that is kept is enough for it.
    pub(super) fn erase(&mut self, shared: &Shared, request: &EraseRequest, durability: Durability, reply: Reply) {
        let EraseRequest { offset, .. } = *request;
        self.flush_changes_of(shared, offset);
        match modify::judge_erasure(&self.state.changes, self.start(shared), request) {
            Ok(true) => {}
            Ok(false) => return self.answer_in_line(durability, reply, Ok(What::Erased { time: None })),
            Err(problem) => return self.answer_in_line(durability, reply, Err(Box::new(problem))),
        }
        let draft = control::draft(Kind::Erase, &Erase { offset }.encode(), shared.site.salt);
        if let Err(problem) =
            self.begin_changes(shared).and_then(|()| self.make_room(shared, draft.frame_len() as u64, false))
        {
            return shared.refuse(reply, problem);
        }
        let numbers = self.next_numbers(Timestamp::now());
        let what = What::Erased { time: Some(Timestamp(numbers.time_us)) };
        self.staged_changes.insert(offset);
        self.stage(shared, draft, numbers, 0, durability, Some(Answer { reply, result: Ok(what) }));
    }

    fn start(&self, shared: &Shared) -> u64 {
        shared.start().max(self.state.trim_start)
    }

    /// The state learns of a change only when it is written.
    fn flush_changes_of(&mut self, shared: &Shared, offset: u64) {
        if self.staged_changes.contains(&offset) {
            self.flush(shared);
        }
    }

    /// Before the first frame that changes a record comes a snapshot that says so: damage in a log that has none cannot
    /// have hidden one, and nothing has to be doubted because of it.
    pub(super) fn begin_changes(&mut self, shared: &Shared) -> Result<(), Problem> {
        if self.state.changes.has_begun() {
            return Ok(());
        }
        self.flush(shared);
        self.state.changes.begin();
        let begun = match (&self.active, self.active_with_frames()) {
            // The first segment is yet to come.
            (None, _) => Ok(()),
            (Some(_), None) if !self.must_roll => {
                // The new one takes its name. Where that fails half-way the old one may have none any more, and nothing
                // may go there.
                self.active = None;
                self.begin_segment(shared).map_err(|error| no_segment(shared, &error))
            }
            (Some(_), _) => self.roll(shared),
        };
        if begun.is_err() {
            self.state.changes.unbegin();
        }
        begun
    }

    /// The same for frames that are placed, which are refused where there are more changes than can be kept: the others
    /// copies refuse them too.
    pub(super) fn make_room_for_changes(&mut self, shared: &Shared, frames: &[PlacedFrame]) -> Result<(), Problem> {
        let count = |kind: Kind| frames.iter().filter(|frame| frame.draft.view().header().kind == kind).count();
        let (patches, erasures) = (count(Kind::Patch), count(Kind::Erase));
        if patches + erasures == 0 {
            return Ok(());
        }
        if !self.state.changes.has_room(patches, erasures) {
            return Err(modify::too_many_changes());
        }
        self.begin_changes(shared)
    }

    fn patch_draft(&self, shared: &Shared, request: &PatchRequest, judged: Judged) -> Result<Draft, Problem> {
        let salt = shared.site.salt;
        let Judged { head, fold } = judged;
        if !fold {
            return Ok(Patch { head, bytes: &request.bytes }.draft(salt));
        }
        let payload = self.payload(shared, head.offset).map_err(|error| {
            tracing::error!(partition = %shared.site.label, %error, "failed to read a record that is patched");
            Problem::new(Code::Internal, "failed to read the record; the store's log says why")
        })?;
        let Some(mut payload) = payload else {
            let detail = format!("the record {} or a patch of it is damaged on disk", head.offset);
            return Err(Problem::new(Code::Damaged, detail).field("offset").got(head.offset));
        };
        payload.resize(head.data_len as usize, 0);
        let at = head.position as usize;
        payload[at..at + request.bytes.len()].copy_from_slice(&request.bytes);
        let head = PatchHead { position: 0, ..head };
        Ok(Patch { head, bytes: &payload }.draft(salt))
    }

    /// The payload of a record with all that is written; `None` where it is damaged. This reads on the thread that leads,
    /// once in [`logstore_api::limits::PATCHES_MAX`] patches of a record, and what was patched so often is in the cache.
    fn payload(&self, shared: &Shared, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let segments = shared.segments();
        let mut payload = Vec::new();
        let mut whole = Ok(false);
        read::read(&segments, Range { from: offset, until: offset + 1 }, |record| {
            let patches = self.state.changes.patches(offset);
            whole = lay_over(record, patches, &mut payload, |patch| shared.segment(patch.place.segment));
            Flow::Stop
        })?;
        Ok(whole?.then_some(payload))
    }
}
