//! Answers that are no success: which of them are waited for, which are counted, and which end the load.

use logstore_api::error::Retry;
use logstore_api::{Code, Problem};

use super::answer::Head;

/// Seconds to wait where an answer asks to wait and does not say how long.
const REST_DEFAULT: u64 = 1;
/// What is shown of an answer that is not one of a store.
const SHOWN_CHARS_MAX: usize = 200;

/// What follows from an answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The store asks to be left alone for so many seconds.
    Later { code: String, seconds: u64, is_outcome_known: bool },
    /// A producer's append behind one that was refused: it comes again.
    Gap { code: String },
    /// What was asked for is not there; everything else may be.
    Missing { code: String, goes_on_at: Option<u64> },
    /// It will be refused again and again.
    Final { message: String },
}

impl Refusal {
    /// Reads an answer.
    pub(super) fn of(head: Head, body: &[u8]) -> Self {
        let seconds = head.retry_after.unwrap_or(REST_DEFAULT);
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
            let code = format!("status_{}", head.status);
            if matches!(head.status, 408 | 429 | 502 | 503 | 504) {
                // Something between the store and us.
                return Self::Later { code, seconds, is_outcome_known: false };
            }
            let text: String = String::from_utf8_lossy(body).chars().take(SHOWN_CHARS_MAX).collect();
            return Self::Final {
                message: format!("an answer is not one of a store: status {} with {text:?}", head.status),
            };
        };
        let is = |code: Code| problem.code == code.as_str();
        let number = |name| problem.more.get(name).and_then(serde_json::Value::as_u64);
        if is(Code::SequenceGap) {
            return Self::Gap { code: problem.code };
        }
        if [Code::RecordNotFound, Code::BeyondEnd, Code::Trimmed, Code::Erased, Code::Damaged].into_iter().any(is) {
            let goes_on_at = number("next").or_else(|| number("start"));
            return Self::Missing { code: problem.code, goes_on_at };
        }
        match problem.retry {
            Retry::Later if !is(Code::DiskFull) => Self::Later { code: problem.code, seconds, is_outcome_known: true },
            Retry::Same => Self::Later { code: problem.code, seconds, is_outcome_known: false },
            Retry::Later | Retry::Never => {
                Self::Final { message: format!("the store refused: {} ({})", problem.detail, problem.code) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Code) -> Refusal {
        let problem = Problem::new(code, "because");
        let head = Head { status: code.status(), retry_after: Some(7), ..Head::default() };
        Refusal::of(head, &serde_json::to_vec(&problem).unwrap())
    }

    #[test]
    fn what_asks_to_wait_is_waited_for_and_a_full_disk_is_not() {
        for code in [Code::NamespaceBusy, Code::Overloaded, Code::Recovering, Code::QuotaExceeded, Code::Draining] {
            let expected = Refusal::Later { code: code.to_string(), seconds: 7, is_outcome_known: true };
            assert_eq!(of(code), expected);
        }
        assert!(matches!(of(Code::OutcomeUnknown), Refusal::Later { is_outcome_known: false, .. }));
        let Refusal::Final { message } = of(Code::DiskFull) else { panic!("a full disk") };
        assert_eq!(message, "the store refused: because (disk_full)");
        assert!(matches!(of(Code::NamespaceNotFound), Refusal::Final { .. }));
        assert!(matches!(of(Code::SequenceGap), Refusal::Gap { .. }));
    }

    #[test]
    fn damage_says_where_to_go_on() {
        let problem = Problem::new(Code::Damaged, "x").with("from", 3).with("until", 5).with("next", 5);
        let refusal = Refusal::of(Head { status: 410, ..Head::default() }, &serde_json::to_vec(&problem).unwrap());
        assert_eq!(refusal, Refusal::Missing { code: "damaged".to_owned(), goes_on_at: Some(5) });
    }

    #[test]
    fn what_no_store_says_ends_the_load_unless_it_asks_to_wait() {
        let of = |status| Refusal::of(Head { status, ..Head::default() }, b"<html>");
        assert_eq!(of(503), Refusal::Later { code: "status_503".to_owned(), seconds: 1, is_outcome_known: false });
        let Refusal::Final { message } = of(404) else { panic!("no store") };
        assert!(message.contains("404") && message.contains("<html>"), "{message}");
    }
}
