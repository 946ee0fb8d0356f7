//! What became of the input's lines: acknowledged, in doubt, or not sent.

use super::super::failure::{Exit, Failure};

/// Counts lines and records. Lines are counted from 1; each is one record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Lines before this one are acknowledged.
    next_line: u64,
    /// Lines before this one were sent.
    sent_line: u64,
    first_offset: Option<u64>,
    next_offset: Option<u64>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { next_line: 1, sent_line: 1, first_offset: None, next_offset: None }
    }

    /// Lines before this one are being sent.
    pub(super) fn sending(&mut self, next_line: u64) {
        self.sent_line = next_line;
    }

    /// The lines from this one on were not sent after all.
    pub(super) fn not_sent(&mut self, first_line: u64) {
        self.sent_line = first_line;
    }

    /// The next lines are acknowledged, at offsets from this one on, where the store still knows it.
    pub(super) fn acknowledge(&mut self, count: u64, offset: Option<u64>) {
        self.next_line += count;
        if let Some(offset) = offset {
            self.first_offset.get_or_insert(offset);
            self.next_offset = Some(offset + count);
        }
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.next_line - 1
    }

    /// One line for a person whose every record was appended.
    pub(super) fn summary(&self, stores: &str) -> String {
        let count = self.acknowledged();
        let records = if count == 1 { "record" } else { "records" };
        match (self.first_offset, self.next_offset) {
            (Some(first), Some(next)) if next - first == count => {
                format!("appended {count} {records} at offsets {first}..{} to {stores}", next - 1)
            }
            // Others have appended in between.
            (Some(first), Some(next)) => {
                format!("appended {count} {records} between offsets {first} and {} to {stores}", next - 1)
            }
            _ => format!("appended {count} {records} to {stores}"),
        }
    }

    /// Adds to the reason for which the command stopped where the input stands.
    pub(super) fn account(&self, reason: Failure) -> Failure {
        let count = self.acknowledged();
        let records = if count == 1 { "1 record is".to_owned() } else { format!("{count} records are") };
        let account = format!("{records} acknowledged; go on from input line {}", self.next_line);
        match self.sent_line.checked_sub(1) {
            Some(last) if last >= self.next_line => {
                let lines = match self.next_line {
                    first if first == last => format!("line {last}"),
                    first => format!("lines {first} to {last}"),
                };
                let doubt = format!("{lines} may be stored or not");
                reason.with_exit(Exit::Unknown).and(account).and(doubt)
            }
            _ => reason.and(account),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason() -> Failure {
        Failure::new(Exit::Unreachable, "a copy is away")
    }

    #[test]
    fn the_summary_names_the_offsets() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.summary("2 copies"), "appended 0 records to 2 copies");
        ledger.acknowledge(1, Some(7));
        assert_eq!(ledger.summary("2 copies"), "appended 1 record at offsets 7..7 to 2 copies");
        ledger.acknowledge(3, Some(8));
        assert_eq!(ledger.summary("2 copies"), "appended 4 records at offsets 7..10 to 2 copies");
        ledger.acknowledge(1, Some(20));
        assert_eq!(ledger.summary("1 store"), "appended 5 records between offsets 7 and 20 to 1 store");
    }

    #[test]
    fn a_failure_says_where_to_go_on_and_what_is_in_doubt() {
        let mut ledger = Ledger::new();
        ledger.sending(11);
        ledger.acknowledge(10, Some(0));
        let failure = ledger.account(reason());
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert_eq!(failure.to_string(), "a copy is away; 10 records are acknowledged; go on from input line 11");
        ledger.sending(31);
        let failure = ledger.account(reason());
        assert_eq!(failure.exit(), Exit::Unknown);
        assert_eq!(
            failure.to_string(),
            "a copy is away; 10 records are acknowledged; go on from input line 11; lines 11 to 30 may be stored or not"
        );
        ledger.sending(12);
        assert!(ledger.account(reason()).to_string().ends_with("; line 11 may be stored or not"));
        ledger.not_sent(11);
        assert_eq!(ledger.account(reason()).exit(), Exit::Unreachable);
    }
}
