//! Trying again: how long to wait each time, and when to stop.

use std::time::{Duration, Instant};

use uuid::Uuid;

/// How a store that is away is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The first wait; each one after it is twice as long.
    pub wait_min: Duration,
    /// The longest wait.
    pub wait_max: Duration,
    /// Give up when nothing has succeeded for this long.
    pub give_up_after: Duration,
}

impl Default for Retries {
    /// From 50 ms up to 1 s, for 30 s.
    fn default() -> Self {
        Self {
            wait_min: Duration::from_millis(50),
            wait_max: Duration::from_secs(1),
            give_up_after: Duration::from_secs(30),
        }
    }
}

/// What is left of the patience with one store.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    retries: Retries,
    trouble: Option<Trouble>,
}

/// A row of failures.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    since: Instant,
    wait: Duration,
}

impl Patience {
    pub(crate) fn new(retries: Retries) -> Self {
        Self { retries, trouble: None }
    }

    /// Something succeeded: how long it had not, if there was trouble.
    pub(crate) fn restore(&mut self) -> Option<Duration> {
        self.trouble.take().map(|trouble| trouble.since.elapsed())
    }

    /// Whether failures are being waited out.
    pub(crate) fn is_troubled(&self) -> bool {
        self.trouble.is_some()
    }

    /// A call that was begun at `begun` has failed: how long to wait before the next, or for how long nothing has
    /// succeeded, when that was long enough. A store may ask for a longer wait.
    pub(crate) fn next_wait(&mut self, begun: Instant, asked: Option<Duration>) -> Result<Duration, Duration> {
        let Retries { wait_min, wait_max, give_up_after } = self.retries;
        let trouble = self.trouble.get_or_insert(Trouble { since: begun, wait: wait_min });
        let elapsed = trouble.since.elapsed();
        let left = give_up_after.checked_sub(elapsed).filter(|left| !left.is_zero()).ok_or(elapsed)?;
        let wait = jittered(trouble.wait).max(asked.unwrap_or_default());
        trouble.wait = (trouble.wait * 2).min(wait_max);
        Ok(wait.min(left))
    }
}

/// Half of a wait to all of it, so that those who failed together do not come back together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    let (random, _) = Uuid::new_v4().as_u64_pair();
    let share = f64::from(u16::try_from(random & 0xffff).unwrap_or(u16::MAX)) / f64::from(u16::MAX);
    wait.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries = Retries {
        wait_min: Duration::from_millis(10),
        wait_max: Duration::from_millis(40),
        give_up_after: Duration::from_secs(60),
    };

    #[test]
    fn waits_grow_up_to_their_bound_and_begin_anew_after_success() {
        let mut patience = Patience::new(RETRIES);
        for most in [10, 20, 40, 40] {
            let wait = patience.next_wait(Instant::now(), None).unwrap();
            let most = Duration::from_millis(most);
            assert!(wait >= most / 2 && wait <= most, "{wait:?} of {most:?}");
        }
        assert!(patience.is_troubled() && patience.restore().is_some() && !patience.is_troubled());
        assert!(patience.next_wait(Instant::now(), None).unwrap() <= RETRIES.wait_min);
    }

    #[test]
    fn patience_ends_and_a_store_may_ask_for_more_but_not_beyond_the_end() {
        let mut patience = Patience::new(RETRIES);
        let asked = patience.next_wait(Instant::now(), Some(Duration::from_secs(3)));
        assert_eq!(asked, Ok(Duration::from_secs(3)));
        let wait = patience.next_wait(Instant::now(), Some(Duration::from_secs(300))).unwrap();
        assert!(wait <= RETRIES.give_up_after);

        let mut patience = Patience::new(Retries { give_up_after: Duration::ZERO, ..RETRIES });
        assert!(patience.next_wait(Instant::now(), None).is_err());
    }
}
