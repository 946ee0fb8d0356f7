//! The state, shared by the writer and the tasks of its copies: who changes it wakes all who wait for a change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logstore_api::Timestamp;
use logstore_api::frame::Draft;
use tokio::sync::{Semaphore, oneshot, watch};

use super::error::{WriteError, WriterError};
use super::state::{Fate, State};

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    /// Bytes that may still enter the window.
    room: Arc<Semaphore>,
    window_bytes: u32,
}

impl Shared {
    pub(super) fn new(state: State, window_bytes: usize) -> Self {
        let window_bytes = u32::try_from(window_bytes).unwrap_or(u32::MAX).max(1);
        let room = Arc::new(Semaphore::new(window_bytes as usize));
        Self { state: Mutex::new(state), changed: watch::Sender::new(()), room, window_bytes }
    }

    /// Waits for room in the window, then gives the frame its place. Dropped while it waits, it leaves nothing behind.
    ///
    /// `check` sees the state at the moment at which the frame would get its place.
    pub(super) async fn submit(
        &self,
        draft: Draft,
        check: impl FnOnce(&State) -> Result<(), WriteError>,
    ) -> Result<oneshot::Receiver<Fate>, WriteError> {
        // A frame that is larger than the whole window goes alone.
        let bytes = u32::try_from(draft.frame_len()).unwrap_or(u32::MAX).min(self.window_bytes);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        // Cannot fail: nobody closes it. A writer that stops drops its window, and whoever waited finds that out below.
        let room = room.map_err(|_| WriteError::Stopped(WriterError::Closed))?;
        self.update(|state| {
            check(state)?;
            state.push(draft, Timestamp::now(), room).map_err(WriteError::Stopped)
        })
    }

    /// Changes the state, and wakes all who wait for that.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    /// Looks at the state.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    /// Ends the reign; the first reason stays.
    pub(super) fn stop(&self, error: WriterError) {
        self.update(|state| state.stop(error));
    }

    /// To wait for changes: one that comes after this call is not missed.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until the state is as wanted.
    pub(super) async fn wait_until(&self, wanted: impl Fn(&State) -> bool) -> Result<(), WriterError> {
        let mut changed = self.subscribe();
        loop {
            if let Some(error) = self.look(|state| state.stopped().cloned()) {
                return Err(error);
            }
            if self.look(&wanted) {
                return Ok(());
            }
            // Cannot fail: `self` holds the sender.
            changed.changed().await.map_err(|_| WriterError::Closed)?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A task that panicked with the state in its hands stops the writer when it unwinds; nothing is acknowledged after.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
