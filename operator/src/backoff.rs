//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Waits that double from the first to the longest, and begin anew after a time without failure.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    forgets_after: Duration,
    next: Duration,
}

impl Backoff {
    /// Of a process that ends: 100 ms doubling to 10 s, forgotten when it has run for 30 s.
    #[must_use]
    pub fn of_processes() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10), Duration::from_secs(30))
    }

    /// Of a pass over the namespaces that is not complete: 1 s doubling to 30 s.
    #[must_use]
    pub fn of_passes() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30), Duration::MAX)
    }

    fn new(first: Duration, longest: Duration, forgets_after: Duration) -> Self {
        Self { first, longest, forgets_after, next: first }
    }

    /// How long to wait after a failure that came after this long without one.
    pub fn after(&mut self, without_failure: Duration) -> Duration {
        if without_failure >= self.forgets_after {
            self.next = self.first;
        }
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait
    }

    /// There was success: begin anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::of_processes();
        let waits: Vec<u128> = (0..9).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.after(Duration::from_secs(29)).as_millis(), 10_000);
        assert_eq!(backoff.after(Duration::from_secs(30)).as_millis(), 100);
        assert_eq!(backoff.after(Duration::ZERO).as_millis(), 200);
        backoff.reset();
        assert_eq!(backoff.after(Duration::ZERO).as_millis(), 100);
    }
}
