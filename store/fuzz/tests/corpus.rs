//! The corpus of each target, without libFuzzer: what was found once does not come back.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test from outside")]

use std::path::Path;

use logstore_fuzz::TARGETS;

#[test]
fn every_target_stands_its_corpus() {
    for target in TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!paths.is_empty(), "{} has no corpus", target.name);
        paths.sort();
        for path in paths {
            println!("{}", path.display());
            (target.run)(&std::fs::read(&path).unwrap());
        }
    }
}
