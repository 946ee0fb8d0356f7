//! The log: synchronous code behind [`crate::disk`]; the async world ends at [`partition::Partition`].
//!
//! ```text
//! append   Partition::submit → queue → whoever holds the writer leads: numbers → one write → acks → (sync) → reply
//! read     Partition::read → segment → sparse index → cursor: every record verified → sink
//!          Partition::read_backward → a stretch at a time, read forward and given newest first
//! start    recovery: snapshot, then each frame verified; torn tail → quarantine; damage → hole, new segment
//! ```
//!
//! Pure: [`index`], [`producers`], [`state`], [`retention`], [`place`]. With files: [`segment`], [`cursor`], [`scan`],
//! [`recovery`], [`find`], [`confirmed`], [`writer`], [`partition`]. Threads: [`sync`].

pub mod index;
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
pub mod partition;
pub mod shared;
pub mod sync;
pub mod work;
pub mod writer;

pub use partition::Partition;
