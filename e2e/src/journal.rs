//! What became of each case, and how long it took.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// It could not be tried here, and why.
    Skipped(String),
    /// Something is not as it should be.
    Failed,
}

/// One case.
#[derive(Clone, Debug)]
struct Entry {
    phase: String,
    name: String,
    outcome: Outcome,
    time: Duration,
}

/// All cases so far, and how long each phase took.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Mutex<Vec<Entry>>,
    phases: Mutex<Vec<(String, Duration)>>,
}

impl Journal {
    /// A case has ended.
    pub fn case(&self, phase: &str, name: &str, outcome: Outcome, time: Duration) {
        lock(&self.entries).push(Entry { phase: phase.to_owned(), name: name.to_owned(), outcome, time });
    }

    /// A phase has ended.
    pub fn phase(&self, phase: &str, time: Duration) {
        lock(&self.phases).push((phase.to_owned(), time));
    }

    /// Whether any case has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        lock(&self.entries).iter().any(|entry| entry.outcome == Outcome::Failed)
    }

    /// A table of all cases, a line per phase, and how many passed, failed and were skipped, with the reasons.
    #[must_use]
    pub fn summary(&self) -> String {
        let (entries, phases) = (lock(&self.entries), lock(&self.phases));
        let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (phase, time) in phases.iter() {
            let _ = writeln!(text, "{phase} ({:.1} s)", time.as_secs_f64());
            for Entry { name, outcome, time, .. } in entries.iter().filter(|entry| entry.phase == *phase) {
                let outcome = match outcome {
                    Outcome::Passed => "ok",
                    Outcome::Skipped(_) => "skipped",
                    Outcome::Failed => "FAILED",
                };
                let _ = writeln!(text, "  {name:width$}  {:>6.1} s  {outcome}", time.as_secs_f64());
            }
        }
        let count = |wanted: fn(&Outcome) -> bool| entries.iter().filter(|entry| wanted(&entry.outcome)).count();
        let (passed, failed) =
            (count(|outcome| *outcome == Outcome::Passed), count(|outcome| *outcome == Outcome::Failed));
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let whole: Duration = phases.iter().map(|(_, time)| *time).sum();
        let _ =
            writeln!(text, "\n{passed} passed, {failed} failed, {skipped} skipped, in {:.0} s", whole.as_secs_f64());
        for Entry { name, outcome, .. } in entries.iter() {
            if let Outcome::Skipped(why) = outcome {
                let _ = writeln!(text, "  skipped {name}: {why}");
            }
        }
        text
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_was_skipped_and_says_why() {
        let journal = Journal::default();
        journal.case("together", "a::b", Outcome::Passed, Duration::from_millis(1_500));
        journal.case("together", "a::long", Outcome::Failed, Duration::from_secs(61));
        journal.phase("together", Duration::from_secs(62));
        journal.case("alone", "c", Outcome::Skipped("no node can be taken down".to_owned()), Duration::ZERO);
        journal.phase("alone", Duration::ZERO);
        assert!(journal.has_failed());
        let wanted = "\
together (62.0 s)
  a::b        1.5 s  ok
  a::long    61.0 s  FAILED
alone (0.0 s)
  c           0.0 s  skipped

1 passed, 1 failed, 1 skipped, in 62 s
  skipped c: no node can be taken down
";
        assert_eq!(journal.summary(), wanted);
    }
}
