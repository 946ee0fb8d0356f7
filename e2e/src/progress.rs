//! Lines for a person, each with the time since the start and the case that it speaks of.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Instant;

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    static CASE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From here on this thread speaks of this case.
pub fn enter(case: &str) {
    CASE.set(case.to_owned());
}

/// From here on this thread speaks of no case.
pub fn leave() {
    enter("");
}

/// Says one thing.
pub fn say(text: &str) {
    let case = CASE.with_borrow(|case| if case.is_empty() { String::new() } else { format!("{case}: ") });
    eprintln!("[{:6.1} s] {case}{text}", BEGUN.elapsed().as_secs_f64());
}
