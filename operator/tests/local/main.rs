//! `logstore-operator local` with real stores: what a user does, and what they see.
//!
//! The `logstore` binary is expected beside our own, where `cargo build` puts both.

#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, reason = "a test that fails shows what the run has said")]
#![allow(clippy::disallowed_methods, reason = "the seam for faults is the store's; this plays the user")]

mod run;

mod changes;
mod processes;
mod records;
mod refusals;
