//! The program that libFuzzer drives: `FUZZ_TARGET` names the target. See `store/fuzz/run`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use logstore_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("FUZZ_TARGET is {name:?}; there are {:?}", TARGETS.map(|target| target.name)))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
