//! What a writer and a store say to each other: `/v1/fence`, `/v1/place`, `/v1/frames`.
//!
//! A writer fences every copy under a new epoch, brings all to the longest log, and then places each frame at exactly
//! the same number on all of them. Epochs, frame numbers and checksums keep that order safe; no clock does.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Durability, NamespaceName};

/// A writer's reign: who, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reign {
    /// Grows with each takeover.
    pub epoch: u32,
    /// Random per process.
    pub writer: Uuid,
    /// What the writer calls itself, for people.
    pub label: String,
}

/// Body of `POST /v1/fence`: accept nothing from an epoch below this any more, and from this epoch only this writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FenceRequest {
    /// What is fenced: all partitions of this namespace.
    pub namespace: NamespaceName,
    /// The new reign.
    pub reign: Reign,
    /// The topology revision the writer goes by; 0 where there is no topology.
    #[serde(default)]
    pub revision: u64,
}

/// Answer of `POST /v1/fence` (the promise is on disk) and of `GET /v1/fence?namespace=` (a look).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceAnswer {
    /// Id of the store that answers.
    pub node: Uuid,
    /// This life of the name.
    pub incarnation: Uuid,
    /// The reign in force; none before the first fence.
    pub reign: Option<Reign>,
    /// The level that the namespace's records are acknowledged at.
    pub durability: Durability,
    /// Its partitions.
    pub partitions: Vec<PartitionTail>,
}

/// Where a partition's log ends on one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTail {
    /// The partition.
    pub partition: u32,
    /// The first frame that is still there.
    pub first_frame: u64,
    /// The frame number that comes next.
    pub next_frame: u64,
    /// Epoch of the last frame; 0 where there is none.
    pub last_epoch: u32,
    /// Wire checksum of the last frame; 0 where there is none.
    pub last_checksum: u32,
    /// The offset that the next record gets.
    pub next_offset: u64,
    /// Server time of the last frame in microseconds; frames after it are not earlier.
    pub last_time: i64,
    /// Frames below this are acknowledged, as far as this copy knows.
    pub confirmed: u64,
}

/// Query of `POST /v1/place`; the body is wire frames, one after the other, or empty to say `confirmed` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceQuery {
    /// The namespace.
    pub namespace: NamespaceName,
    /// The partition.
    #[serde(default)]
    pub partition: u32,
    /// This life of the name, so that a deleted one takes nothing.
    pub incarnation: Uuid,
    /// The writer's epoch.
    pub epoch: u32,
    /// The writer.
    pub writer: Uuid,
    /// Number of the first frame in the body; the next one, where the body is empty.
    pub frame: u64,
    /// Wire checksum of the frame before it; 0 for the first of all.
    pub previous: u32,
    /// Frames below this are acknowledged.
    pub confirmed: u64,
    /// The level to reach before the answer.
    pub durability: Durability,
}

/// Answer of a place: everything below `next_frame` is held at the asked level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceAnswer {
    /// The frame number that comes next.
    pub next_frame: u64,
    /// Frames below this are acknowledged.
    pub confirmed: u64,
}

/// Query of `GET /v1/frames`; the answer is wire frames of the ordered kinds, at least one where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramesQuery {
    /// The namespace.
    pub namespace: NamespaceName,
    /// The partition.
    #[serde(default)]
    pub partition: u32,
    /// Number of the first frame wanted.
    pub from: u64,
    /// Stop before this number, where given.
    #[serde(default)]
    pub until: Option<u64>,
}
