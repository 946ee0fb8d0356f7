//! What can be done with the files of a store that is not running.
//!
//! ```text
//! StoppedRoot (LOCK) → rehearse: the engine on a disk that only notes → cat, export, what a start would do
//!                    → verify, dump: the bytes themselves
//!                    → import, repair: the engine on the real disk
//! ```
//!
//! Readers go through the same code as a running store's, so they see what it would answer.

pub mod root;

pub mod dump;
pub mod verify;

pub mod export;
pub mod import;
pub mod repair;

pub mod walk;

pub use root::{OfflineError, StoppedRoot};

#[cfg(test)]
mod tests;
