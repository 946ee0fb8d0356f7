//! The command line that speaks to stores.
//!
//! ```text
//! arguments → target (which stores) → append: input → sink → ledger     what was acknowledged
//!                                   → read, ls                          pages of a list or a log
//!           → stopped (a root without a store) → verify, cat, dump, export  files, read only
//!                                           → import, repair             files
//!           → failure (what went wrong, in words and as an exit code)
//! ```

pub mod append;
pub mod bench;
pub mod cat;
pub mod dump;
pub mod export;
pub mod import;
pub mod ls;
pub mod read;
pub mod repair;
pub mod verify;

mod duration;
mod failure;
mod interrupt;
mod output;
mod stopped;
mod target;
mod when;

pub use failure::{EXIT_CODES, Exit, Failure, finish};
