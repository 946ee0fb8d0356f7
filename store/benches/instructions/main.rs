//! What the store's work costs in instructions, held against a budget: `make count`.
//!
//! ```text
//! case: this program under callgrind, without its operations and with them → difference, per record → budget → verdict
//! ```
//! Instructions do not depend on how fast the machine is, or on what else it does. All that the process runs is counted,
//! on all its threads, but not the kernel's part. Why it is done so: `docs/decisions/0025-instruction-counts.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a count that cannot be had has nothing to say")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its results")]
#![allow(clippy::disallowed_methods, reason = "its own files are not the store's")]
#![allow(clippy::cast_possible_truncation, reason = "counts of a few seconds")]

mod cases;
mod connection;
mod store;

mod callgrind;

mod budget;
mod document;
mod finding;

use std::process::ExitCode;

use budget::{Budget, Tools};
use cases::{CASES, Case};
use finding::{Finding, Verdict};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, name, times] = arguments.as_slice()
        && what == callgrind::CASE
    {
        CASES.iter().find(|case| case.name == *name).unwrap().run(times.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let only = std::env::var("ONLY").ok();
    let wanted: Vec<&Case> =
        CASES.iter().filter(|case| only.as_deref().is_none_or(|only| case.name.contains(only))).collect();
    let told = if std::env::var_os("UPDATE_BUDGET").is_some() {
        update(&wanted, only.is_some())
    } else {
        judge(&wanted, only.is_some())
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("count: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, and makes what was found the budget.
fn update(wanted: &[&Case], is_part: bool) -> Result<(), String> {
    let (before, tools) = (Budget::load(), Tools::here());
    if is_part && tools.rustc != before.made_with.rustc {
        return Err(format!(
            "the budget was made with {}, and this is {}: make all of it anew, without ONLY",
            before.made_with.rustc, tools.rustc
        ));
    }
    let mut instructions = if is_part { before.instructions } else { Default::default() };
    instructions.extend(wanted.iter().map(|case| case.name.to_owned()).zip(callgrind::count_all(wanted)));
    let budget = Budget { made_with: tools, instructions };
    budget.store();
    document::write(&budget);
    println!("count: the budget is what was found; see the difference with git diff {}", budget::PATH);
    Ok(())
}

/// Counts, and says which cases cost more than their budget allows.
fn judge(wanted: &[&Case], is_part: bool) -> Result<(), String> {
    let (budget, tools) = (Budget::load(), Tools::here());
    if !is_part {
        check_files(&budget)?;
    }
    let counts = callgrind::count_all(wanted);
    let findings: Vec<Finding> =
        wanted.iter().zip(counts).map(|(case, found)| Finding::new(case, &budget, found)).collect();
    println!("instructions per record{:36}budget    found", "");
    findings.iter().for_each(|finding| println!("{finding}"));
    tools.differences(&budget.made_with).for_each(|difference| println!("count: {difference}"));
    for finding in findings.iter().filter(|finding| finding.verdict() == Verdict::Below) {
        println!("count: {}", finding.remark());
    }
    let above: Vec<String> =
        findings.iter().filter(|finding| finding.verdict() == Verdict::Above).map(Finding::remark).collect();
    if tools.rustc != budget.made_with.rustc {
        println!(
            "count: no verdict, because another compiler makes other instructions; make count-budget, without ONLY"
        );
        return Ok(());
    }
    if above.is_empty() { Ok(()) } else { Err(above.join("\ncount: ")) }
}

/// What can be wrong before anything was counted.
fn check_files(budget: &Budget) -> Result<(), String> {
    let unknown = |name: &&String| CASES.iter().all(|case| case.name != **name);
    if let Some(name) = budget.instructions.keys().find(unknown) {
        return Err(format!("{} has {name}, and there is no such case; make count-budget", budget::PATH));
    }
    if document::is_current(budget) {
        return Ok(());
    }
    Err(format!("{} does not tell what {} does; make count-budget", document::PATH, budget::PATH))
}
