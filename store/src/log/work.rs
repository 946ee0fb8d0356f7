//! What is asked of a partition, and what is answered.

use logstore_api::frame::{Draft, Producer};
use logstore_api::{Code, Durability, Problem, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::modify::{EraseRequest, PatchRequest};
use super::place::Place;

/// Something to do, in order.
#[derive(Debug)]
pub enum Work {
    /// Append a frame of records.
    Append {
        /// The records.
        draft: Draft,
        /// Their producer, as the frame holds it.
        producer: Option<Producer>,
        /// The offset that the first record must get, where the sender insists on one.
        expect_offset: Option<u64>,
        /// The level to reach.
        durability: Durability,
        /// Who asked.
        reply: Reply,
    },
    /// Drop records before an offset.
    Trim {
        /// The first record to keep.
        before: u64,
        /// Who asked.
        reply: Reply,
    },
    /// Replace bytes of a record.
    Patch {
        /// Which, and by what.
        request: PatchRequest,
        /// The level to reach.
        durability: Durability,
        /// Who asked.
        reply: Reply,
    },
    /// Hide a record, whose bytes go later.
    Erase {
        /// Which.
        request: EraseRequest,
        /// The level to reach.
        durability: Durability,
        /// Who asked.
        reply: Reply,
    },
    /// Append frames that a writer has ordered.
    Place {
        /// The frames.
        place: Place,
        /// Who asked.
        reply: Reply,
    },
}

/// A request's share of the memory, given back when dropped.
#[derive(Debug)]
pub struct Held {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Held {
    /// What these permits allow.
    pub fn new(permits: impl Iterator<Item = OwnedSemaphorePermit>) -> Self {
        Self { _permits: permits.collect() }
    }
}

/// Where an answer goes. It holds the request's share of the memory until then, whether or not somebody still waits.
#[derive(Debug)]
pub struct Reply {
    sender: oneshot::Sender<Result<Done, Box<Problem>>>,
    _share: Option<Held>,
}

impl Reply {
    /// A reply, and where it arrives.
    #[must_use]
    pub fn new(share: Option<Held>) -> (Self, oneshot::Receiver<Result<Done, Box<Problem>>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, _share: share }, receiver)
    }

    /// Sends it.
    pub fn send(self, result: Result<Done, Box<Problem>>) {
        // One that has gone away needs no answer.
        let _ = self.sender.send(result);
    }
}

/// What was done, at the level it was asked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What.
    pub what: What,
    /// The end that readers see.
    pub end: u64,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Records were stored.
    Appended {
        /// Of the first; `None` for a duplicate whose offset is forgotten.
        offset: Option<u64>,
        /// Server time.
        time: Option<Timestamp>,
        /// They had been stored before.
        duplicate: bool,
    },
    /// Records were dropped.
    Trimmed {
        /// The first offset that is still there.
        start: u64,
    },
    /// Bytes of a record were replaced.
    Patched {
        /// Length of its payload now.
        data_len: u32,
        /// Number of the frame, which tells this state of the record from others.
        frame: u64,
        /// Server time.
        time: Timestamp,
    },
    /// A record is hidden.
    Erased {
        /// Server time; `None` where it was before.
        time: Option<Timestamp>,
    },
    /// Frames were placed.
    Placed {
        /// The frame number that comes next.
        next_frame: u64,
        /// Frames before this number are confirmed here.
        confirmed: u64,
    },
}

/// Who is answered, and with what.
#[derive(Debug)]
pub struct Answer {
    pub(super) reply: Reply,
    pub(super) result: Result<What, Box<Problem>>,
}

impl Answer {
    /// Sends it.
    pub fn send(self, end: u64, durable_end: u64) {
        self.reply.send(self.result.map(|what| Done { what, end, durable_end }));
    }

    /// Sends an error in its place.
    pub fn fail(self, problem: Problem) {
        self.reply.send(Err(Box::new(problem)));
    }
}

/// The refusal of a log that a failed write has frozen.
#[must_use]
pub fn frozen() -> Problem {
    Problem::new(
        Code::Frozen,
        "an earlier write or sync of this log failed, so nothing is appended before a restart has verified it",
    )
}

/// The answer to those whose frames a failed write or sync may have stored or not.
#[must_use]
pub fn frozen_outcome() -> Problem {
    Problem::new(
        Code::OutcomeUnknown,
        "a write or sync failed while the append was in it; it may be there after a restart or not. With a producer identity it can be sent again safely",
    )
}
