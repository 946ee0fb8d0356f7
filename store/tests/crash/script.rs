//! What a store's user does, one thing after the other: as a seed says, or always the same.

use logstore_api::Durability::{self, Synced, Written};
use logstore_api::NamespaceConfig;
use logstore_api::NamespaceState;
use logstore_api::namespace::{Retention, Rotation};

use super::oracle::After;
use super::rng::Rng;
use super::run::Run;

pub(crate) const SPACES: [&str; 3] = ["orders", "a b", "Übung"];

/// One thing that a user does, or that housekeeping does for them.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put {
        space: &'static str,
        config: NamespaceConfig,
    },
    Delete {
        space: &'static str,
    },
    Append {
        space: &'static str,
        count: u32,
        len: usize,
        level: Durability,
        producer: Option<u8>,
    },
    /// Drops this part of what is there, in percent.
    Trim {
        space: &'static str,
        percent: u64,
    },
    /// Ages, retention, side files; as if this much later.
    Tend {
        space: &'static str,
        later_seconds: i64,
    },
    /// The sync of what was only written.
    SyncInBackground,
    /// The threads for syncs get to work.
    RunJobs,
    /// The process ends and another one starts. `look`: which opens all logs.
    Restart {
        orderly: bool,
        look: bool,
    },
}

/// Small segments, which also end by age, and what is asked for beside that.
pub(crate) fn config(durability: Durability, retention: Retention) -> NamespaceConfig {
    let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: Some(60) };
    NamespaceConfig { durability, rotation, retention, ..NamespaceConfig::default() }
}

/// Does a step. What the store refuses is the user's matter; what it does wrong is the answer.
pub(crate) fn perform(run: &mut Run, step: &Step) -> Result<(), String> {
    // Appends to what is not there, or is closed, are refused; the oracle hears of those that are not.
    match step.clone() {
        Step::Put { space, config } => drop(run.put(space, config)),
        Step::Delete { space } if run.namespace(space).is_ok() => drop(run.delete(space)),
        Step::Delete { .. } => {}
        Step::Append { space, count, len, level, producer } => drop(run.append(space, count, len, level, producer)),
        Step::Trim { space, percent } => {
            let end = run.end(space);
            drop(run.trim(space, end * percent / 100));
        }
        Step::Tend { space, later_seconds } => drop(run.tend(space, later_seconds)),
        Step::SyncInBackground => run.sync_in_background(),
        Step::RunJobs => run.run_jobs(),
        Step::Restart { orderly, look } => {
            run.end_process(orderly);
            run.start_engine()?;
            if look {
                run.check_all(After::Kill)?;
            }
        }
    }
    Ok(())
}

fn level(rng: &mut Rng) -> Durability {
    if rng.chance(1, 3) { Synced } else { Written }
}

fn len(rng: &mut Rng) -> usize {
    match rng.below(20) {
        0 => 20_000 + rng.index(30_000),
        1..4 => 500 + rng.index(4_000),
        _ => 8 + rng.index(200),
    }
}

/// A step as a seed says.
pub(crate) fn random_step(rng: &mut Rng) -> Step {
    let space = *rng.pick(&SPACES[..]);
    match rng.below(100) {
        0..50 => {
            let count = if rng.chance(1, 3) { 2 + u32::try_from(rng.below(6)).unwrap() } else { 1 };
            let len = len(rng) / usize::try_from(count).unwrap();
            let producer = rng.chance(1, 3).then(|| u8::try_from(rng.below(2)).unwrap());
            Step::Append { space, count, len: len.max(8), level: level(rng), producer }
        }
        50..75 => Step::RunJobs,
        75..80 => Step::SyncInBackground,
        80..86 => Step::Tend { space, later_seconds: if rng.chance(1, 2) { 3600 } else { 0 } },
        86..89 => Step::Trim { space, percent: rng.below(101) },
        89..94 => Step::Restart { orderly: rng.chance(1, 2), look: rng.chance(2, 3) },
        94..96 => Step::Delete { space },
        _ => {
            let max_bytes = rng.chance(1, 3).then(|| 1 + rng.below(20_000));
            let mut config = config(level(rng), Retention { max_age_seconds: None, max_bytes });
            if rng.chance(1, 10) {
                config.state = NamespaceState::ReadOnly;
            }
            Step::Put { space, config }
        }
    }
}

/// A whole script as a seed says: the namespaces are there from the start.
pub(crate) fn random_script(rng: &mut Rng) -> Vec<Step> {
    let count = 5 + rng.index(60);
    let puts = SPACES.map(|space| Step::Put { space, config: config(Written, Retention::default()) });
    puts.into_iter().chain((0..count).map(|_| random_step(rng))).collect()
}

/// Always the same: 200 steps in which everything happens that a store does with files, around each other.
pub(crate) fn fixed_script() -> Vec<Step> {
    let [orders, spaced, umlaut] = SPACES;
    let append = |space, count, len, level, producer| Step::Append { space, count, len, level, producer };
    let lone = |space, level| append(space, 1, 40, level, None);
    let roll = |space| Step::Tend { space, later_seconds: 3600 };
    let restart = |orderly, look| Step::Restart { orderly, look };
    let keep = |max_bytes| Retention { max_age_seconds: None, max_bytes };
    let put = |space, level, max_bytes| Step::Put { space, config: config(level, keep(max_bytes)) };
    let mut steps = vec![put(orders, Written, None), put(spaced, Synced, None)];
    // Five rounds, so that everything stands once before and once behind everything else.
    for round in 0..5 {
        steps.extend([
            lone(orders, Written),
            append(orders, 3, 300, Written, None),
            lone(orders, Synced),
            append(orders, 1, 700, Written, Some(0)),
            append(orders, 2, 30, Synced, Some(0)),
            Step::RunJobs,
            append(orders, 4, 400, Written, Some(1)),
            lone(spaced, Written),
            Step::SyncInBackground,
            lone(spaced, Synced),
            append(spaced, 1, 1_500, Written, None),
            Step::RunJobs,
            put(umlaut, Written, None),
            append(umlaut, 1, 20, Synced, Some(0)),
            Step::RunJobs,
            append(umlaut, 5, 200, Written, Some(0)),
            roll(orders),
            lone(orders, Written),
            append(orders, 2, 100, Written, Some(0)),
            Step::Trim { space: spaced, percent: 20 * round },
            roll(spaced),
            lone(spaced, Written),
            restart(round % 2 == 0, round % 3 == 0),
            lone(orders, Written),
            append(spaced, 2, 10, Synced, Some(1)),
            append(spaced, 1, 10, Written, Some(1)),
            Step::RunJobs,
            append(orders, 1, 30_000, Written, None),
            append(orders, 1, 30_000, Written, None),
            append(orders, 1, 30_000, Synced, None),
            Step::RunJobs,
            put(orders, Written, (round % 2 == 1).then_some(40_000)),
            roll(orders),
            lone(orders, Synced),
            lone(umlaut, Written),
            Step::RunJobs,
            Step::Delete { space: umlaut },
            restart(round % 2 == 1, true),
            lone(spaced, Written),
            Step::Tend { space: spaced, later_seconds: 0 },
        ]);
    }
    steps.truncate(200);
    steps
}
