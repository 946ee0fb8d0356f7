//! What all connections of a work share: its clock, its bounds, and why it ended before its time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::super::failure::Exit;
use super::schedule::Bounds;

/// A work under way.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) address: SocketAddr,
    pub(super) bounds: Bounds,
    /// Requests in flight on each connection.
    pub(super) depth: usize,
    /// How long an answer may take, and refusals without a success between them, in nanoseconds.
    pub(super) patience: u64,
    begun: OnceLock<Instant>,
    /// Records or requests done, for whoever watches.
    progress: AtomicU64,
    stop: Stop,
}

/// Why a work ended before its time.
#[derive(Debug)]
struct Stop {
    is_told: AtomicBool,
    reason: Mutex<Option<Reason>>,
    told: watch::Sender<bool>,
}

/// Why a work ended before its time, and how the command ends for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) is_interrupt: bool,
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Course {
    pub(super) fn new(address: SocketAddr, bounds: Bounds, depth: usize, patience: u64) -> Self {
        let stop = Stop { is_told: AtomicBool::new(false), reason: Mutex::new(None), told: watch::Sender::new(false) };
        let (begun, progress) = (OnceLock::new(), AtomicU64::new(0));
        Self { address, bounds, depth, patience, begun, progress, stop }
    }

    /// The clock begins when all connections are there.
    pub(super) fn begun(&self) -> Instant {
        *self.begun.get_or_init(Instant::now)
    }

    /// Nanoseconds since then.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begun().elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn advance(&self, count: u64) {
        self.progress.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Ends the work; only the first reason counts.
    pub(super) fn stop(&self, reason: Reason) {
        self.stop.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.stop.is_told.store(true, Ordering::Relaxed);
        self.stop.told.send_replace(true);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_told.load(Ordering::Relaxed)
    }

    /// Waits until the work is told to end.
    pub(super) async fn stopped(&self) {
        let mut told = self.stop.told.subscribe();
        // The sender is ours, so that it is there.
        let _ = told.wait_for(|told| *told).await;
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.stop.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reason {
    /// The store, or what stands between, does not answer any more.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self { is_interrupt: false, exit: Exit::Unreachable, message: message.into() }
    }

    /// It answers, and going on makes no sense.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { is_interrupt: false, exit: Exit::Refused, message: message.into() }
    }

    pub(super) fn interrupted() -> Self {
        Self { is_interrupt: true, exit: Exit::Refused, message: "interrupted".to_owned() }
    }
}
