//! The section of the documentation that tells the budget.

use std::fmt::Write as _;

use crate::budget::{Budget, repository};
use crate::cases::CASES;

/// The document.
pub(crate) const PATH: &str = "docs/benchmarks.md";
const HEADING: &str = "## Instructions\n";

fn section(budget: &Budget) -> String {
    let mut text = format!(
        "{HEADING}\nWritten by `make count-budget`; do not edit. Instructions of the whole process for one record, without the \
         kernel's, as callgrind counts them; records have 100 B. `make count` refuses what costs 5 % more.\n\n\
         | case | what | instructions |\n|---|---|---:|\n"
    );
    for case in CASES {
        let count = budget.instructions.get(case.name).map_or_else(|| "none yet".to_owned(), u64::to_string);
        let _ = writeln!(text, "| `{}` | {} | {count} |", case.name, case.what);
    }
    let _ = write!(text, "\nMade with {}.\n", budget.made_with.rustc);
    text
}

/// The document as it is, and where in it the section stands; it ends before the next heading of its level.
fn document() -> (String, std::ops::Range<usize>) {
    let text = std::fs::read_to_string(repository(PATH)).expect(PATH);
    let begin = text.find(HEADING).unwrap_or(text.len());
    let end = text[begin..].find("\n## ").map_or(text.len(), |len| begin + len);
    (text, begin..end)
}

/// Whether the section tells this budget.
pub(crate) fn is_current(budget: &Budget) -> bool {
    let (text, place) = document();
    text[place] == section(budget)
}

/// Puts the section into the document, in the place of the one before it, else at the end.
pub(crate) fn write(budget: &Budget) {
    let (mut text, place) = document();
    let gap = if place.is_empty() { "\n" } else { "" };
    text.replace_range(place, &format!("{gap}{}", section(budget)));
    std::fs::write(repository(PATH), text).expect(PATH);
}
