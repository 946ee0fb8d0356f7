//! The store: an append-only log per namespace, over HTTP.
//!
//! ```text
//! request → http / dialects → engine (which namespace) → log (queue → leader → one write → sync) → answer
//! ```
//!
//! `logstore serve` begins in [`serve`]. Everything that touches a file goes through [`disk`].

pub mod serve;

pub mod admin;
pub mod dialects;
pub mod http;

pub mod engine;

pub mod log;

pub mod broken;
pub mod disk;
pub mod document;
pub mod limits;
pub mod metrics;
pub mod primitives;
pub mod space;

pub mod offline;

pub mod cli;
