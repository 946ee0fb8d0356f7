//! What was counted: on each thread by itself, then put together.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// The longest latency that is told apart from longer ones: an hour.
const LATENCY_MAX: u64 = 3_600_000_000_000;
/// The shortest one, in nanoseconds.
const LATENCY_MIN: u64 = 1_000;
/// Latencies are kept to three digits.
const DIGITS: u8 = 3;
/// A request of an open loop that leaves so long after it was due is late, in nanoseconds.
pub(super) const LATE_AFTER: u64 = 1_000_000;

/// Answered requests of one kind, behind the warm-up.
#[derive(Debug)]
pub(super) struct Measures {
    pub(super) latencies: Histogram<u64>,
    pub(super) operations: u64,
    pub(super) records: u64,
    pub(super) payload_bytes: u64,
}

impl Default for Measures {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(LATENCY_MIN, LATENCY_MAX, DIGITS);
        let latencies = latencies.expect("the bounds of the histogram are sound");
        Self { latencies, operations: 0, records: 0, payload_bytes: 0 }
    }
}

impl Measures {
    pub(super) fn add(&mut self, nanos: u64, load: Load) {
        self.latencies.saturating_record(nanos);
        self.operations += 1;
        self.records += load.records;
        self.payload_bytes += load.payload_bytes;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Self { latencies, operations, records, payload_bytes } = other;
        // Both have the same bounds, so that there is always room.
        let _ = self.latencies.add(latencies);
        self.operations += operations;
        self.records += records;
        self.payload_bytes += payload_bytes;
    }
}

/// What one answered request carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) records: u64,
    pub(super) payload_bytes: u64,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Append,
    Read,
}

/// What was read, by what it was found to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) ours: u64,
    pub(super) foreign: u64,
    /// Not what was written.
    pub(super) wrong: u64,
}

/// Everything that a work counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) appends: Measures,
    pub(super) reads: Measures,
    /// Answered requests and their records of the warm-up.
    pub(super) warm_up_operations: u64,
    pub(super) warm_up_appended: u64,
    pub(super) warm_up_read: u64,
    pub(super) seen: Seen,
    /// Requests that were refused, by code, and may succeed later.
    pub(super) refused: BTreeMap<String, u64>,
    /// Requests that failed and records that were not had, by code.
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) late: u64,
    pub(super) not_sent: u64,
}

impl Tally {
    pub(super) fn done(&mut self, purpose: Purpose, is_measured: bool, nanos: u64, load: Load) {
        match (purpose, is_measured) {
            (Purpose::Append, true) => self.appends.add(nanos, load),
            (Purpose::Read, true) => self.reads.add(nanos, load),
            (Purpose::Append, false) => {
                self.warm_up_operations += 1;
                self.warm_up_appended += load.records;
            }
            (Purpose::Read, false) => {
                self.warm_up_operations += 1;
                self.warm_up_read += load.records;
            }
        }
    }

    pub(super) fn count(counts: &mut BTreeMap<String, u64>, code: &str) {
        match counts.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(counts.insert(code.to_owned(), 1)),
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            appends,
            reads,
            warm_up_operations,
            warm_up_appended,
            warm_up_read,
            seen: Seen { ours, foreign, wrong },
            refused,
            errors,
            sent,
            answered,
            late,
            not_sent,
        } = other;
        self.appends.merge(&appends);
        self.reads.merge(&reads);
        self.warm_up_operations += warm_up_operations;
        self.warm_up_appended += warm_up_appended;
        self.warm_up_read += warm_up_read;
        self.seen.ours += ours;
        self.seen.foreign += foreign;
        self.seen.wrong += wrong;
        for (all, some) in [(&mut self.refused, refused), (&mut self.errors, errors)] {
            some.into_iter().for_each(|(code, count)| *all.entry(code).or_default() += count);
        }
        self.sent += sent;
        self.answered += answered;
        self.late += late;
        self.not_sent += not_sent;
    }

    /// Requests whose answer never came.
    pub(super) fn unanswered(&self) -> u64 {
        self.sent - self.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_counted_is_one_sum_and_one_histogram() {
        let mut all = Tally::default();
        for thread in 0..2u64 {
            let mut tally = Tally { sent: 51, answered: 50, ..Tally::default() };
            for number in 0..50 {
                let load = Load { records: 2, payload_bytes: 10 };
                tally.done(Purpose::Append, true, (thread * 50 + number + 1) * 1_000_000, load);
            }
            tally.done(Purpose::Read, false, 1, Load { records: 1, payload_bytes: 1 });
            Tally::count(&mut tally.refused, "overloaded");
            Tally::count(&mut tally.refused, "overloaded");
            all.merge(tally);
        }
        let Measures { latencies, operations, records, payload_bytes } = &all.appends;
        assert_eq!((*operations, *records, *payload_bytes), (100, 200, 1000));
        assert_eq!(latencies.value_at_quantile(0.5).div_ceil(100_000), 501, "half of them took 50 ms or less");
        assert_eq!((all.warm_up_operations, all.warm_up_read, all.reads.operations), (2, 2, 0));
        assert_eq!(all.refused["overloaded"], 4);
        assert_eq!(all.unanswered(), 2);
    }
}
