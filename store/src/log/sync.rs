//! A few threads that do nothing but sync files, so that a slow disk holds up no request that did not ask for it; and
//! when what nobody waits for is due.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use logstore_api::limits::SYNC_INTERVAL_MS_DEFAULT;

use super::shared::Shared;
use crate::limits::SYNC_THREADS;

/// A job: sync until nobody waits any more.
pub type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when the pool is dropped, after the jobs that were given.
#[derive(Debug)]
pub struct SyncPool {
    jobs: Option<Sender<Job>>,
    queue: Arc<Mutex<Receiver<Job>>>,
    /// Jobs that no thread has taken yet.
    waiting: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
    unsynced: Arc<Unsynced>,
}

/// Logs that were written and not synced, each once, in the order in which they are due: at rest nobody is asked.
#[derive(Debug)]
pub struct Unsynced {
    due: Mutex<VecDeque<(Instant, Weak<Shared>)>>,
    more: Condvar,
    interval_ms: AtomicU64,
}

impl Default for Unsynced {
    fn default() -> Self {
        let interval_ms = AtomicU64::new(SYNC_INTERVAL_MS_DEFAULT);
        Self { due: Mutex::default(), more: Condvar::new(), interval_ms }
    }
}

impl Unsynced {
    /// How long a record may be unsynced, from the next one on.
    pub fn set_interval(&self, milliseconds: u64) {
        self.interval_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// Puts a log behind the others. It does so only once until it was synced, so their number bounds the line.
    pub(super) fn push(&self, log: Weak<Shared>) {
        let due = Instant::now() + Duration::from_millis(self.interval_ms.load(Ordering::Relaxed));
        let mut line = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        line.push_back((due, log));
        if line.len() == 1 {
            self.more.notify_one();
        }
    }

    /// Begins the syncs that are due, after waiting for the first for a while.
    pub fn sync_due(&self, patience: Duration) {
        for log in self.wait(patience) {
            if let Some(log) = log.upgrade() {
                log.sync_now_due();
            }
        }
    }

    fn wait(&self, patience: Duration) -> Vec<Weak<Shared>> {
        let line = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let first = line.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        let patience = first.map_or(patience, |first| first.min(patience));
        let mut line = if patience.is_zero() {
            line
        } else {
            // Another log may come first, or nothing: then it is looked at again.
            self.more.wait_timeout(line, patience).unwrap_or_else(PoisonError::into_inner).0
        };
        let now = Instant::now();
        let count = line.iter().take_while(|(due, _)| *due <= now).count();
        line.drain(..count).map(|(_, log)| log).collect()
    }
}

impl SyncPool {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Self> {
        let mut pool = Self::by_hand();
        for number in 0..SYNC_THREADS {
            let (queue, waiting) = (Arc::clone(&pool.queue), Arc::clone(&pool.waiting));
            let name = format!("sync-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(move || run(&queue, &waiting))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// A pool without threads: its jobs wait until somebody takes them, so that a test decides when a sync happens.
    #[must_use]
    pub fn by_hand() -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        Self { jobs: Some(jobs), queue, waiting: Arc::default(), threads: Vec::new(), unsynced: Arc::default() }
    }

    /// The jobs that wait in a pool without threads.
    #[must_use]
    pub fn take_waiting(&self) -> Vec<Job> {
        let jobs: Vec<Job> = self.queue.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect();
        self.waiting.fetch_sub(jobs.len(), Ordering::Relaxed);
        jobs
    }

    /// Logs with records that nobody waits for.
    #[must_use]
    pub fn unsynced(&self) -> &Arc<Unsynced> {
        &self.unsynced
    }

    /// Whether a job waits for a thread: then whoever has one gives it back before it goes on.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Gives a job to the threads. A partition gives its next job only after its last, so the queue is bounded by their
    /// number.
    pub fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            // The threads outlive the sender; if one has panicked, the process is about to end anyway.
            let _ = jobs.send(job);
        }
    }
}

fn run(queue: &Mutex<Receiver<Job>>, waiting: &AtomicUsize) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        waiting.fetch_sub(1, Ordering::Relaxed);
        job();
    }
}

impl Drop for SyncPool {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let own = std::thread::current().id();
        // The last owner may be a job: its thread cannot wait for itself, and ends by itself.
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod last_owner {
    use super::*;

    #[test]
    fn a_job_may_be_the_last_owner() {
        let pool = Arc::new(SyncPool::start().unwrap());
        let (go, wait) = channel::<()>();
        let (done, outcome) = channel();
        let own = Arc::clone(&pool);
        pool.submit(Box::new(move || {
            wait.recv().unwrap();
            drop(own);
            done.send(()).unwrap();
        }));
        drop(pool);
        go.send(()).unwrap();
        assert_eq!(outcome.recv(), Ok(()), "the thread waited for itself");
    }
}
