//! When requests are sent: at once after the answer before (closed loop), or when they are due (open loop).
//!
//! In an open loop request `k` is due at `k / rate` seconds, whatever the answers do, and is sent on connection
//! `k % connections`. Its latency counts from when it was due: a server that stands still for a second makes all that was
//! due in it late, and that shows.

use std::sync::atomic::{AtomicU64, Ordering};

/// Times are nanoseconds since the load began.
pub(super) const SECOND: u64 = 1_000_000_000;

/// How long a work goes on. What is sent before `warm_up` is over is not counted.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) warm_up: u64,
    /// When the last request is sent.
    pub(super) end: Option<u64>,
    /// Requests behind the warm-up.
    pub(super) operations: Option<u64>,
    taken: AtomicU64,
}

impl Bounds {
    pub(super) fn new(warm_up: u64, duration: Option<u64>, operations: Option<u64>) -> Self {
        Self { warm_up, end: duration.map(|time| warm_up.saturating_add(time)), operations, taken: AtomicU64::new(0) }
    }

    /// One request less to send; `false` where there is none left.
    fn take(&self) -> bool {
        self.operations.is_none_or(|operations| self.taken.fetch_add(1, Ordering::Relaxed) < operations)
    }
}

/// What a connection may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send a request that is due since `due`.
    Send { due: u64, is_measured: bool },
    /// Nothing before then.
    At(u64),
    /// Nothing more.
    Over,
}

/// The turns of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Schedule {
    /// The next request when there is room for it.
    Closed,
    /// Request `next`, and each `step`-th one behind it, when they are due.
    Open { rate: f64, next: u64, step: u64 },
}

impl Schedule {
    /// Of connection `number` of so many.
    pub(super) fn new(rate: Option<f64>, number: usize, connections: usize) -> Self {
        match rate {
            None => Self::Closed,
            Some(rate) => Self::Open { rate, next: number as u64, step: connections as u64 },
        }
    }

    /// The next turn; one that sends is taken.
    pub(super) fn turn(&mut self, now: u64, bounds: &Bounds) -> Turn {
        if bounds.end.is_some_and(|end| now >= end) {
            return Turn::Over;
        }
        match self {
            Self::Closed => {
                let is_measured = now >= bounds.warm_up;
                if is_measured && !bounds.take() { Turn::Over } else { Turn::Send { due: now, is_measured } }
            }
            Self::Open { rate, next, step } => {
                let due = due(*rate, *next);
                if is_behind(due, *next, *rate, bounds) {
                    return Turn::Over;
                }
                if due > now {
                    return Turn::At(due);
                }
                *next += *step;
                Turn::Send { due, is_measured: due >= bounds.warm_up }
            }
        }
    }

    /// How many requests were due by now, and were not sent.
    pub(super) fn left(&self, now: u64, bounds: &Bounds) -> u64 {
        let Self::Open { rate, next, step } = self else { return 0 };
        let is_left = |number: u64| {
            let due = due(*rate, number);
            due < now && !is_behind(due, number, *rate, bounds)
        };
        // They may be very many: where they end is searched for.
        let (mut least, mut most) = (*next, next.saturating_add(*step));
        while is_left(most) {
            least = most;
            most = most.saturating_add((most - next).next_multiple_of(*step));
        }
        while most - least > *step {
            let middle = least + ((most - least) / step / 2) * step;
            if is_left(middle) { least = middle } else { most = middle }
        }
        if is_left(least) { (least - next) / step + 1 } else { 0 }
    }
}

/// When a request is due.
#[allow(clippy::cast_possible_truncation, reason = "a float beyond the largest time becomes that")]
fn due(rate: f64, number: u64) -> u64 {
    (number as f64 / rate * SECOND as f64) as u64
}

/// Whether a request lies behind the last one.
#[allow(clippy::cast_possible_truncation, reason = "a float beyond the largest number becomes that")]
fn is_behind(due_at: u64, number: u64, rate: f64, bounds: &Bounds) -> bool {
    let first_measured = (bounds.warm_up as f64 / SECOND as f64 * rate).ceil() as u64;
    let is_one_too_many = |operations: u64| number >= first_measured.saturating_add(operations);
    bounds.end.is_some_and(|end| due_at >= end) || bounds.operations.is_some_and(is_one_too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All requests of all connections of an open loop that never waits: when they are due, and whether they count.
    fn all(rate: f64, connections: usize, bounds: &Bounds) -> Vec<(u64, bool)> {
        let mut sent = Vec::new();
        for number in 0..connections {
            let (mut schedule, mut now) = (Schedule::new(Some(rate), number, connections), 0);
            loop {
                match schedule.turn(now, bounds) {
                    Turn::Send { due, is_measured } => sent.push((due, is_measured)),
                    Turn::At(due) => {
                        assert!(due > now);
                        now = due;
                    }
                    Turn::Over => break,
                }
            }
            assert_eq!(schedule.left(u64::MAX, bounds), 0);
        }
        sent.sort_unstable();
        sent
    }

    #[test]
    fn an_open_loop_sends_the_rate_whatever_the_connections() {
        for connections in [1, 3, 64] {
            let sent = all(100.0, connections, &Bounds::new(0, Some(2 * SECOND), None));
            assert_eq!(sent.len(), 200, "{connections}");
            assert!(sent.iter().enumerate().all(|(number, (due, _))| due.abs_diff(number as u64 * SECOND / 100) <= 1));
        }
        assert_eq!(all(0.5, 2, &Bounds::new(0, Some(10 * SECOND), None)).len(), 5);
    }

    #[test]
    fn operations_are_counted_behind_the_warm_up() {
        let sent = all(10.0, 4, &Bounds::new(SECOND, None, Some(7)));
        assert_eq!(sent.iter().filter(|(_, is_measured)| !is_measured).count(), 10);
        assert_eq!(sent.iter().filter(|(_, is_measured)| *is_measured).count(), 7);
        let bounds = Bounds::new(SECOND, None, Some(2));
        let mut closed = Schedule::new(None, 0, 1);
        assert_eq!(closed.turn(5, &bounds), Turn::Send { due: 5, is_measured: false });
        let measured = Turn::Send { due: SECOND, is_measured: true };
        assert_eq!([SECOND; 3].map(|now| closed.turn(now, &bounds)), [measured, measured, Turn::Over]);
    }

    #[test]
    fn what_a_stall_holds_up_is_due_when_it_was_and_counted_where_it_is_never_sent() {
        let bounds = Bounds::new(0, Some(SECOND), None);
        let mut schedule = Schedule::new(Some(10.0), 0, 1);
        let stalled = SECOND / 2 + 1;
        let dues: Vec<_> = std::iter::from_fn(|| match schedule.turn(stalled, &bounds) {
            Turn::Send { due, .. } => Some(due),
            _ => None,
        })
        .collect();
        let tenths = |count: u64| (0..count).map(|number| number * SECOND / 10).collect::<Vec<_>>();
        assert_eq!(dues, tenths(6));
        assert_eq!(schedule.turn(SECOND, &bounds), Turn::Over);
        assert_eq!(schedule.left(SECOND, &bounds), 4);
        assert_eq!(schedule.left(SECOND * 3 / 4, &bounds), 2, "one that was stopped before its end");
        assert_eq!(Schedule::Closed.left(SECOND, &bounds), 0);
        let bounds = Bounds::new(0, Some(3_600 * SECOND), None);
        let left = |number| Schedule::new(Some(10_000_000.0), number, 3).left(u64::MAX, &bounds);
        assert_eq!([0, 1, 2].map(left).iter().sum::<u64>(), 36_000_000_000, "as many as are due in an hour");
    }

    #[test]
    fn a_closed_loop_ends_at_its_time() {
        let bounds = Bounds::new(SECOND, Some(SECOND), None);
        let mut schedule = Schedule::Closed;
        assert_eq!(schedule.turn(2 * SECOND - 1, &bounds), Turn::Send { due: 2 * SECOND - 1, is_measured: true });
        assert_eq!(schedule.turn(2 * SECOND, &bounds), Turn::Over);
    }
}
