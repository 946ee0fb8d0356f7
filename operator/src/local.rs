//! `logstore-operator local`: a `LogStore` as plain processes on one machine, from the same file and by the same plan.
//!
//! ```text
//! file ──watch_file──▶ validate ─▶ build ─▶ plan ──▶ state_dir  (ConfigMap → store.json)
//!                                            │  └──▶ copies     (StatefulSet → supervisor → process)
//!                                            ▼
//!                                 settle (namespaces over HTTP) ─▶ status ─▶ publish
//! ```
//!
//! The driver is one loop: something has changed, so plan, carry out, settle, publish, and wait for the next change.
//! What a cluster does by itself is done here by hand: a supervisor for each copy stands for the StatefulSet controller
//! and the kubelet. Services, accounts and budgets have no counterpart; processes on one machine need none.

pub mod ports;
pub mod store_command;
pub mod watch_file;

pub mod state_dir;

pub mod tether;

mod lines;
mod process;

pub mod copies;
pub mod supervisor;

mod leftovers;
mod signals;

pub mod binary;
pub mod publish;

mod driver;
mod spec;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::validate::InvalidSpec;

pub use self::process::Launcher;

/// What `local` is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The resource's file.
    pub file: PathBuf,
    /// The state folder; beside the file unless given.
    pub state: Option<PathBuf>,
    /// The `logstore` binary; beside our own or on PATH unless given.
    pub logstore: Option<PathBuf>,
    /// The first port; `spec.listener.port` unless given.
    pub port_base: Option<u16>,
    /// Where the status is served; 100 behind the first port unless given.
    pub status_listen: Option<SocketAddr>,
}

/// Why `local` cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] watch_file::FileError),
    /// The file cannot be followed.
    #[error(transparent)]
    Invalid(#[from] InvalidSpec),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] state_dir::StateError),
    /// There is no binary to run.
    #[error(transparent)]
    Binary(#[from] binary::BinaryError),
    /// There are not so many ports.
    #[error(transparent)]
    Ports(#[from] ports::PortsError),
    /// The status cannot be served.
    #[error(transparent)]
    Status(#[from] publish::StatusListenError),
    /// Signals cannot be received.
    #[error("failed to listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Runs the `LogStore` until a signal says to stop. To be called on a runtime of one thread, see [`tether`].
///
/// # Errors
/// Why it cannot start. Once it has, it goes on.
pub async fn run(options: &Options) -> Result<(), LocalError> {
    let signals = signals::Signals::listen().map_err(LocalError::Signals)?;
    let content = watch_file::read(&options.file).await?;
    let document = spec::parse(&content)?;
    let state = state_dir::StateDir::open(&state_path(options, document.store.name())).await?;
    let current = spec::first(document, state.accepted().await?, options.port_base)?;
    state.accept(&current.accepted()).await?;
    let program = binary::find(options.logstore.as_deref()).await?;
    let publisher = publish::Publisher::listen(options.status_listen.unwrap_or_else(|| current.ports.status())).await?;
    leftovers::end_leftovers(&state).await?;
    driver::Driver::new(options, state, current, program, publisher).run(content, signals).await;
    Ok(())
}

fn state_path(options: &Options, name: &str) -> PathBuf {
    let beside = |file: &Path| logstore_api::local::state_dir(file, name);
    options.state.clone().unwrap_or_else(|| beside(&options.file))
}
