//! What the end-to-end tests are made of.
//!
//! ```text
//! Contract   what the surroundings tell, as environment variables: all that is known of the cluster
//! Cluster    a client, kubectl, helm, the operator's release, the audit log
//! Scene      a Kubernetes namespace per case; on failure everything in it is written down, then it is removed
//! LogStore   one resource in a scene: apply, wait for a condition, look at its children
//! Probe      a pod in a scene that appends, reads, and speaks plain HTTP
//! harness    phases of cases, their times, the summary
//! ```
//!
//! The cases themselves are in the binary, one file per behaviour. A case is a function that gets a [`Scene`] and
//! returns an error where something is not as it should be; whatever it waits for goes through [`wait::until`], which
//! has a bound and says what was seen last.

#![warn(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "no store's disk is touched here")]
#![allow(clippy::print_stderr, reason = "progress is for a person")]

pub mod contract;

pub mod command;
pub mod wait;

pub mod audit;
pub mod helm;
pub mod kubectl;
pub mod operator;

pub mod cluster;

pub mod log_store;
pub mod probe;
pub mod records;
pub mod scene;
pub mod stream;

pub mod harness;
pub mod journal;
pub mod progress;
pub mod report;

pub use cluster::Cluster;
pub use contract::{Contract, Skipped};
pub use log_store::LogStore;
pub use probe::Probe;
pub use scene::Scene;
