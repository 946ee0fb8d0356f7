//! What the logs of a namespace use together, and whether that leaves room for more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use logstore_api::namespace::Quota;
use logstore_api::{Code, Problem};

use super::shared::lock;
use crate::limits::QUOTA_RETRY_SECONDS;
use crate::primitives::Mutex;

/// What is used; shared by all logs of a namespace. A log that is not open yet counts nothing.
#[derive(Debug)]
pub struct Usage {
    /// Bytes of log files, by partition, as each has told last.
    bytes: Vec<AtomicU64>,
    bucket: Mutex<Bucket>,
}

/// Tokens that come back with time: as many as a second's worth, at most.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Below zero after an append larger than a second's worth.
    tokens: f64,
    at: Instant,
}

impl Usage {
    /// Nothing used yet.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        let bucket = Bucket { tokens: f64::INFINITY, at: Instant::now() };
        Self { bytes: (0..partitions).map(|_| AtomicU64::new(0)).collect(), bucket: Mutex::new(bucket) }
    }

    /// Notes what the files of a partition take.
    pub fn note_bytes(&self, partition: u32, bytes: u64) {
        if let Some(noted) = usize::try_from(partition).ok().and_then(|partition| self.bytes.get(partition)) {
            noted.store(bytes, Ordering::Relaxed);
        }
    }

    /// Adds to what the files of a partition take.
    pub fn add_bytes(&self, partition: u32, bytes: u64) {
        if let Some(noted) = usize::try_from(partition).ok().and_then(|partition| self.bytes.get(partition)) {
            noted.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Whether so many bytes more may be written.
    pub fn check_bytes(&self, quota: &Quota, more: u64) -> Result<(), Problem> {
        let Some(max) = quota.max_bytes else { return Ok(()) };
        let used: u64 = self.bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        if used.saturating_add(more) <= max {
            return Ok(());
        }
        let detail = format!(
            "the namespace's log files take {used} bytes, and its quota.max_bytes is {max}; retention or a trim makes room, or a larger quota"
        );
        let problem = Problem::new(Code::QuotaExceeded, detail).field("quota.max_bytes").expected(max);
        Err(problem.got(used.saturating_add(more)).with("retry_after_seconds", QUOTA_RETRY_SECONDS))
    }

    /// Takes so many bytes of what may be appended in a second.
    pub fn take_rate(&self, quota: &Quota, bytes: u64, now: impl FnOnce() -> Instant) -> Result<(), Problem> {
        let Some(rate) = quota.max_append_bytes_per_second else { return Ok(()) };
        lock(&self.bucket).take(rate, bytes, now()).map_err(|seconds| {
            let detail = format!(
                "the namespace's quota.max_append_bytes_per_second is {rate} and is used up for now; try again in {seconds} s"
            );
            let problem = Problem::new(Code::QuotaExceeded, detail).field("quota.max_append_bytes_per_second");
            problem.expected(rate).got(bytes).with("retry_after_seconds", seconds)
        })
    }
}

impl Bucket {
    /// Takes tokens; else, in how many whole seconds there will be enough. One that wants more than there ever are gets
    /// them when the bucket is full, and those who come later wait until that is made up for.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes and seconds far below 2^53; a negative wait is none"
    )]
    fn take(&mut self, rate: u64, bytes: u64, now: Instant) -> Result<(), u64> {
        let full = rate as f64;
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * full).min(full);
        self.at = self.at.max(now);
        let needed = (bytes as f64).min(full);
        if self.tokens >= needed {
            self.tokens -= bytes as f64;
            return Ok(());
        }
        Err(((needed - self.tokens) / full).ceil().max(1.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_seconds_worth_comes_at_once_and_the_rest_when_there_is_more() {
        let begun = Instant::now();
        let at = |seconds: f64| begun + Duration::from_secs_f64(seconds);
        let mut bucket = Bucket { tokens: f64::INFINITY, at: begun };
        assert_eq!(bucket.take(1000, 600, at(0.0)), Ok(()));
        assert_eq!(bucket.take(1000, 400, at(0.0)), Ok(()));
        assert_eq!(bucket.take(1000, 1, at(0.0)), Err(1));
        assert_eq!(bucket.take(1000, 500, at(0.5)), Ok(()));
        assert_eq!(bucket.take(1000, 1000, at(60.0)), Ok(()), "a long pause saves one second's worth");
        assert_eq!(bucket.take(1000, 1000, at(60.0)), Err(1));
        assert_eq!(bucket.take(1000, 1, at(59.0)), Err(1), "a clock that steps back gives nothing");
    }

    #[test]
    fn one_larger_than_a_seconds_worth_goes_when_the_bucket_is_full_and_is_made_up_for() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut bucket = Bucket { tokens: f64::INFINITY, at: begun };
        assert_eq!(bucket.take(1000, 5500, at(0)), Ok(()));
        assert_eq!(bucket.take(1000, 1, at(0)), Err(5), "4500 too many were taken");
        assert_eq!(bucket.take(1000, 5000, at(4)), Err(2), "another large one waits for a full bucket");
        assert_eq!(bucket.take(1000, 1, at(5)), Ok(()));
    }

    #[test]
    fn all_partitions_count_together() {
        let usage = Usage::new(2);
        let quota = Quota { max_bytes: Some(1000), ..Quota::default() };
        usage.note_bytes(0, 400);
        usage.note_bytes(1, 500);
        assert!(usage.check_bytes(&quota, 100).is_ok());
        let full = usage.check_bytes(&quota, 101).unwrap_err();
        assert_eq!((full.code.as_str(), full.field.as_deref()), ("quota_exceeded", Some("quota.max_bytes")));
        usage.note_bytes(1, 0);
        assert!(usage.check_bytes(&quota, 101).is_ok());
        assert!(usage.check_bytes(&Quota::default(), u64::MAX).is_ok());
    }
}
