//! What a case costs, beside what it may.

use std::fmt;

use crate::budget::Budget;
use crate::callgrind;
use crate::cases::Case;

/// A change that costs more, in percent, has to raise the budget on purpose. Counts themselves differ by less than one from
/// run to run.
const MARGIN_PERCENT: f64 = 5.0;

/// A count and its budget.
pub(crate) struct Finding<'a> {
    case: &'a Case,
    budget: Option<u64>,
    found: u64,
}

/// What it means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As expected.
    Within,
    /// More than it may, or without a budget.
    Above,
    /// So much less that the budget guards nothing any more.
    Below,
}

impl<'a> Finding<'a> {
    /// What was found of a case.
    pub(crate) fn new(case: &'a Case, budget: &Budget, found: u64) -> Self {
        Self { case, budget: budget.instructions.get(case.name).copied(), found }
    }

    fn percent(&self) -> Option<f64> {
        self.budget.map(|budget| (self.found as f64 / budget as f64 - 1.0) * 100.0)
    }

    /// What it means.
    pub(crate) fn verdict(&self) -> Verdict {
        match self.percent() {
            Some(percent) if percent < -MARGIN_PERCENT => Verdict::Below,
            Some(percent) if percent <= MARGIN_PERCENT => Verdict::Within,
            Some(_) | None => Verdict::Above,
        }
    }

    /// What to do about it.
    pub(crate) fn remark(&self) -> String {
        let Self { case: Case { name, .. }, found, .. } = self;
        let (Some(budget), Some(percent)) = (self.budget, self.percent()) else {
            return format!("{name} has no budget yet; make count-budget ONLY={name}");
        };
        let lowered = format!("the budget can be lowered: make count-budget ONLY={name}");
        let profile = callgrind::profile(self.case);
        let raised = format!(
            "callgrind_annotate {} tells where they go; where that is worth it, raise the budget on purpose: make count-budget ONLY={name}",
            profile.display()
        );
        let next = if percent < 0.0 { lowered } else { raised };
        format!("{name}: budget {budget}, found {found} instructions ({percent:+.1} %); {next}")
    }
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let budget = self.budget.map_or_else(|| "none".to_owned(), |budget| budget.to_string());
        let percent = self.percent().map_or_else(String::new, |percent| format!("{percent:+.1} %"));
        write!(f, "{:56} {budget:>8} {:>8} {percent:>9}", self.case.name, self.found)
    }
}
