//! The log: synchronous code behind [`crate::disk`]; the async world ends at [`partition::Partition`].
//!
//! ```text
//! append   Partition::submit → queue → whoever holds the writer leads: numbers → one write → acks → (sync) → reply
//! read     Partition::read → segment → sparse index → cursor: every record verified → sink
//!          Partition::read_backward → a stretch at a time, read forward and given newest first
//! change   patch or erase → a frame that names the record → overlay, which readers look through → rewrite, for erased bytes
//! start    recovery: snapshot, then each frame verified; torn tail → quarantine; damage → hole, new segment
//! ```
//!
//! Pure: [`index`], [`producers`], [`changes`], [`modify`], [`state`], [`retention`], [`place`]. With files: [`segment`],
//! [`cursor`], [`scan`], [`recovery`], [`find`], [`confirmed`], [`overlay`], [`rewrite`], [`erasing`], [`writer`],
//! [`partition`]. Threads: [`sync`].

pub mod changes;
pub mod index;
pub mod modify;
pub mod producers;
pub mod retention;
pub mod state;

pub mod cursor;
pub mod place;
pub mod scan;
pub mod segment;

pub mod find;

pub mod quota;
pub mod read;

pub mod backward;
pub mod each;
pub mod time;

#[cfg(test)]
mod sample;

pub mod mend;
pub mod recovery;

pub mod acks;
pub mod confirmed;
pub mod erasing;
pub mod overlay;
pub mod partition;
pub mod rewrite;
pub mod shared;
pub mod sync;
pub mod work;
pub mod writer;

pub use partition::Partition;
