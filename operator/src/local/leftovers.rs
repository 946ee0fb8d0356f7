//! Ends the stores of a run that was killed without a chance to end them.
//!
//! A process id alone proves nothing, because ids are used again. A leftover is a process whose command line names one
//! of our data directories.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::state_dir::{StateDir, StateError};
use crate::build::CopyName;

/// How long a leftover may take to drain and end.
const GRACE: Duration = Duration::from_secs(25);
/// How long the kernel may take to remove what was killed.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether it is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Ends what the last run has left behind, and waits until it is gone: it holds the data directories and the ports.
///
/// # Errors
/// When what the last run wrote cannot be read or removed.
pub(super) async fn end_leftovers(state: &StateDir) -> Result<(), StateError> {
    let Some(endpoints) = state.endpoints().await? else { return Ok(()) };
    for (copy, endpoint) in CopyName::first(u8::MAX).zip(&endpoints.copies) {
        let data = state.data(copy);
        if is_ours(endpoint.pid, &data).await {
            tracing::warn!("copy {copy}: ending process {} of an earlier run that was killed", endpoint.pid);
            end(endpoint.pid, &data).await;
        }
    }
    state.remove_endpoints().await
}

async fn end(pid: u32, data: &Path) {
    for (signal, grace) in [(Signal::TERM, GRACE), (Signal::KILL, KILL_GRACE)] {
        send(pid, signal);
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if !is_ours(pid, data).await {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
    tracing::warn!("process {pid} does not end; its copy starts when it has let go of {}", data.display());
}

fn send(pid: u32, signal: Signal) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if let Err(error) = kill_process(id, signal) {
        tracing::debug!(pid, %error, "a leftover is gone already");
    }
}

/// Whether a process has one of its words name this data directory.
async fn is_ours(pid: u32, data: &Path) -> bool {
    let words = tokio::fs::read(format!("/proc/{pid}/cmdline")).await.unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == data.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use logstore_api::local::{CopyEndpoint, Endpoints};
    use tokio::process::{Child, Command};

    use super::*;

    /// A process that has this word on its command line.
    fn process_with(word: &Path) -> Child {
        Command::new("/bin/sh").args(["-c", "sleep 60; true"]).arg(word).kill_on_drop(true).spawn().unwrap()
    }

    async fn left_behind(state: &StateDir, process: &Child) {
        let copy =
            CopyEndpoint { name: "a".to_owned(), url: String::new(), admin: String::new(), pid: process.id().unwrap() };
        let endpoints = Endpoints { name: "events".to_owned(), copies: vec![copy], status: String::new() };
        state.write_endpoints(&endpoints).await.unwrap();
    }

    fn first_copy() -> CopyName {
        CopyName::first(1).next().unwrap()
    }

    #[tokio::test]
    async fn a_store_that_was_left_behind_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).await.unwrap();
        let mut store = process_with(&state.data(first_copy()));
        left_behind(&state, &store).await;
        let (ended, status) = tokio::join!(end_leftovers(&state), store.wait());
        ended.unwrap();
        assert!(!status.unwrap().success(), "a signal has ended it");
        assert_eq!(state.endpoints().await.unwrap(), None);
    }

    /// The id was used again by somebody else.
    #[tokio::test]
    async fn a_stranger_with_the_same_id_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).await.unwrap();
        let mut stranger = process_with(Path::new("/some/where/else"));
        left_behind(&state, &stranger).await;
        end_leftovers(&state).await.unwrap();
        assert!(stranger.try_wait().unwrap().is_none(), "it runs on");
        assert_eq!(state.endpoints().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_run_that_ended_well_has_left_nothing() {
        let folder = tempfile::tempdir().unwrap();
        end_leftovers(&StateDir::open(folder.path()).await.unwrap()).await.unwrap();
    }
}
