//! The operator: from a `LogStore` to stores that run as it says.
//!
//! ```text
//! validate   a document          → ValidatedStore      pure
//! build      ValidatedStore      → Children<Desired>   pure: every child as it should be, and the namespaces
//! plan       desired, observed   → Plan                pure: what may happen now, in order
//! settle     namespaces, stores  → Settled             decides purely; carries out over HTTP
//! status     facts               → LogStoreStatus      pure, on every outcome
//!
//! run        in a cluster: observe → validate → build → plan → apply → settle → status, for every LogStore
//! local      the same with plain processes on one machine: observe → plan → carry out → settle → status
//! ```
//!
//! What decides has neither a client nor a file, so its tests start from the YAML that a user would write.

pub mod yaml;

pub mod validate;

pub mod build;

pub mod plan;

pub mod settle;

pub mod conditions;
pub mod status;

pub mod backoff;
pub mod definition;
pub mod local;
pub mod run;

pub mod command;

#[cfg(test)]
mod test_support;
