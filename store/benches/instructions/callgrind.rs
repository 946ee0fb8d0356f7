//! Counts under callgrind.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use crate::cases::Case;

/// The first argument of this program when it is counted.
pub(crate) const CASE: &str = "case";
/// How often each total is taken. The lowest counts: threads that meet, and a heap that is cut up in another way because
/// the seeds of hash tables are random, mostly add.
const SAMPLES: usize = 2;
/// glibc copies and clears large pieces by one instruction that is counted once per byte, which is not what it costs. This
/// keeps it at vectors.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// Where the instructions of a case went, by function.
pub(crate) fn profile(case: &Case) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.callgrind", case.name))
}

/// Instructions per record of each case, several at a time: they do not disturb each other's counts.
pub(crate) fn count_all(cases: &[&Case]) -> Vec<u64> {
    let next = Mutex::new(cases.iter().enumerate());
    let counts = Mutex::new(vec![0; cases.len()]);
    let work = || {
        loop {
            let Some((number, case)) = next.lock().unwrap().next() else { return };
            let count = count(case);
            eprintln!("count: {} {count}", case.name);
            counts.lock().unwrap()[number] = count;
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    counts.into_inner().unwrap()
}

/// What a run without operations takes, its start and its preparations, is not counted.
fn count(case: &Case) -> u64 {
    let lowest = |times| (0..SAMPLES).map(|_| total(case, times)).min().unwrap();
    let (without, with) = (lowest(0), lowest(case.times));
    ((with - without) as f64 / (case.times * case.records) as f64).round() as u64
}

fn total(case: &Case, times: u64) -> u64 {
    let profile = profile(case);
    let output = Command::new("valgrind")
        .env("GLIBC_TUNABLES", TUNABLES)
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe().unwrap())
        .args([CASE, case.name, &times.to_string()])
        .output()
        .expect("valgrind runs; make count installs it");
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    let profile = std::fs::read_to_string(profile).unwrap();
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind tells the total");
    total.trim().parse().unwrap()
}
