//! A few threads that do nothing but sync files, so that a slow disk holds up no request that did not ask for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Syncs that run at the same time, of different files.
const THREADS: usize = 4;

/// A job: sync until nobody waits any more.
pub type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end when the pool is dropped, after the jobs that were given.
#[derive(Debug)]
pub struct SyncPool {
    jobs: Option<Sender<Job>>,
    queue: Arc<Mutex<Receiver<Job>>>,
    threads: Vec<JoinHandle<()>>,
}

impl SyncPool {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Self> {
        let mut pool = Self::by_hand();
        for number in 0..THREADS {
            let queue = Arc::clone(&pool.queue);
            let thread = std::thread::Builder::new().name(format!("sync-{number}")).spawn(move || run(&queue))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// A pool without threads: its jobs wait until somebody takes them, so that a test decides when a sync happens.
    #[must_use]
    pub fn by_hand() -> Self {
        let (jobs, queue) = channel();
        Self { jobs: Some(jobs), queue: Arc::new(Mutex::new(queue)), threads: Vec::new() }
    }

    /// The jobs that wait in a pool without threads.
    #[must_use]
    pub fn take_waiting(&self) -> Vec<Job> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect()
    }

    /// Gives a job to the threads. A partition gives its next job only after its last, so the queue is bounded by their
    /// number.
    pub fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The threads outlive the sender; if one has panicked, the process is about to end anyway.
            let _ = jobs.send(job);
        }
    }
}

fn run(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
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
