//! Kills the real `logstore serve` with SIGKILL at random moments under load, again and again, and compares what is on
//! the disk with what was acknowledged. `make torture` runs it at length, `cargo test` for a few cycles.
//!
//! ```text
//! generation: an empty root → life, life, life, … → orderly stop, verify, everything read once more
//! life:       start → load on several connections → SIGKILL → verify → start → what is new is read and compared
//! ```
//!
//! Everything random comes from one seed, which is printed. What the machine does at the moment of a kill is its own
//! affair: the same seed repeats the requests and the moments, not the interleaving.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test from outside"
)]

#[path = "../common/mod.rs"]
mod common;
mod load;
mod oracle;
#[path = "../common/random.rs"]
mod random;
mod reader;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Start, Store};
use load::{CLIENTS, Client};
use oracle::Oracle;
use random::Random;
use serde_json::json;

/// Lives after which a new generation begins, so that files stay small.
const LIVES_PER_GENERATION: u64 = 25;
/// How long a load lasts before it is killed, at most.
const LOAD_MAX: Duration = Duration::from_millis(400);
/// Lives that `cargo test` runs.
const LIVES_IN_TESTS: u64 = 3;

/// What was asked for on the command line.
struct Wanted {
    cycles: u64,
    seed: u64,
    binary: PathBuf,
}

/// What was done, for people.
#[derive(Default)]
struct Totals {
    kills: u64,
    appends: u64,
    records: u64,
    loaded: Duration,
}

fn main() {
    let Some(wanted) = Wanted::from_arguments() else { return };
    let Wanted { cycles, seed, binary } = wanted;
    let begun = Instant::now();
    println!("torture: {cycles} cycles with {}, seed {seed}", binary.display());
    let mut totals = Totals::default();
    let mut done = 0;
    let mut generation = 0;
    while done < cycles {
        let lives = LIVES_PER_GENERATION.min(cycles - done);
        // The first generation has the seed itself, so that any one can be repeated alone.
        let seed = seed.wrapping_add(generation);
        let repeat = Repeat(format!("make torture SEED={seed} CYCLES={lives} BINARY={}", binary.display()));
        Generation::new(&binary, seed).run(lives, &mut totals);
        repeat.passed();
        (done, generation) = (done + lives, generation + 1);
        println!("torture: {done} of {cycles} cycles after {} s; {}", begun.elapsed().as_secs(), totals.text());
    }
}

impl Wanted {
    /// `None` where a test runner only wants to know what there is.
    fn from_arguments() -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut wanted = Self { cycles: LIVES_IN_TESTS, seed: now, binary: common::binary().into() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().unwrap().parse().expect("a number");
            match argument.as_str() {
                "--list" => return None,
                "--cycles" => wanted.cycles = number(),
                "--seed" => wanted.seed = number(),
                "--binary" => wanted.binary = arguments.next().unwrap().into(),
                // What `cargo test` gives to all tests.
                _ => {}
            }
        }
        Some(wanted)
    }
}

/// Says how to repeat what has failed.
struct Repeat(String);

impl Repeat {
    fn passed(mut self) {
        self.0.clear();
    }
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            eprintln!("torture: FAILED; to repeat it: {}", self.0);
        }
    }
}

impl Totals {
    fn text(&self) -> String {
        let Self { kills, appends, records, loaded } = self;
        let rate = *appends as f64 / loaded.as_secs_f64().max(0.001);
        format!(
            "{kills} kills, {appends} appends acknowledged, {rate:.0} a second, {records} records read and compared"
        )
    }
}

/// One root, and what is known of it.
struct Generation {
    dir: tempfile::TempDir,
    start: Start,
    random: Random,
    clients: Vec<Client>,
    oracle: Oracle,
}

impl Generation {
    fn new(binary: &Path, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clients = (0..CLIENTS).map(|number| Client::new(number, &mut random)).collect();
        let start = Start { binary: Some(binary.to_owned()), ..Start::default() };
        Self { dir: tempfile::tempdir().unwrap(), start, random, clients, oracle: Oracle::default() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn run(mut self, lives: u64, totals: &mut Totals) {
        let mut store = Store::on(&self.root(), &self.start);
        for (name, segment_bytes) in load::NAMESPACES {
            let config = json!({"rotation": {"max_segment_bytes": segment_bytes}});
            assert_eq!(store.put(&format!("/v1/namespaces/{name}"), &config).status, 201);
        }
        for _ in 0..lives {
            self.live(&mut store, totals);
            self.verify();
            if self.random.one_in(6) {
                self.kill_while_starting(totals);
            }
            store = Store::on(&self.root(), &self.start);
            let full = self.random.one_in(LIVES_PER_GENERATION);
            totals.records += self.oracle.check(&store, &mut self.clients, full);
        }
        assert!(store.stop().success());
        self.verify();
        store = Store::on(&self.root(), &self.start);
        totals.records += self.oracle.check(&store, &mut self.clients, true);
        assert!(store.stop().success());
    }

    /// Loads the store and kills it.
    fn live(&mut self, store: &mut Store, totals: &mut Totals) {
        let moment = self.random.duration(Duration::from_millis(5), LOAD_MAX);
        // An orderly stop can be cut short, too.
        let grace = self.random.one_in(6).then(|| self.random.duration(Duration::ZERO, Duration::from_millis(30)));
        let trim = self.random.one_in(4).then(|| self.random.duration(Duration::ZERO, moment));
        let (address, pid) = (store.address, store.pid());
        let begun = Instant::now();
        let oracle = &self.oracle;
        let (appends, seen) = std::thread::scope(|scope| {
            let clients: Vec<_> = self.clients.iter_mut().map(|client| scope.spawn(|| client.load(address))).collect();
            let reader = scope.spawn(move || reader::follow(address, oracle));
            let trim = trim.map(|after| scope.spawn(move || oracle.trim(address, after)));
            std::thread::sleep(moment);
            if let Some(grace) = grace {
                common::signal(pid, "-TERM");
                std::thread::sleep(grace);
            }
            store.kill();
            totals.loaded += begun.elapsed();
            trim.into_iter().for_each(|trim| trim.join().unwrap());
            let appends: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
            (appends, reader.join().unwrap())
        });
        self.oracle.saw(seen);
        totals.appends += appends;
        totals.kills += 1;
    }

    fn kill_while_starting(&mut self, totals: &mut Totals) {
        let mut starting: Child =
            Store::command(&self.root(), &self.start).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(self.random.duration(Duration::ZERO, Duration::from_millis(25)));
        starting.kill().unwrap();
        starting.wait().unwrap();
        totals.kills += 1;
    }

    fn verify(&self) {
        let binary = self.start.binary.as_ref().unwrap();
        let output = Command::new(binary).args(["verify", "--root"]).arg(self.root()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !text.contains("damage: "), "verify finds damage:\n{text}");
    }
}
