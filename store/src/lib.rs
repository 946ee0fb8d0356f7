//! The store: an append-only log per namespace, over HTTP.
//!
//! ```text
//! request → http / dialects → engine (which namespace) → log (queue → leader → one write → sync) → answer
//! ```

pub mod disk;
pub mod document;
pub mod log;
pub mod metrics;
pub mod space;

pub mod engine;
