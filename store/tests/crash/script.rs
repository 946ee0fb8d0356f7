//! What a store's user does, one thing after the other: as a seed says, or always the same.

use logstore_api::Durability::{self, Synced, Written};
use logstore_api::NamespaceConfig;
use logstore_api::NamespaceState;
use logstore_api::namespace::{Retention, Rotation};

use super::oracle::{After, Place};
use super::rng::Rng;
use super::run::{Patch, Run};

pub(crate) const SPACES: [&str; 3] = ["orders", "a b", "Übung"];
/// Their logs. Records of the last namespace are never changed: there nothing may be refused because of changes.
pub(crate) const PLACES: [Place; 4] = [("orders", 0), ("a b", 0), ("a b", 1), ("Übung", 0)];
const CHANGED: [Place; 3] = [PLACES[0], PLACES[1], PLACES[2]];

fn partitions_of(space: &str) -> u32 {
    PLACES.iter().filter(|(there, _)| *there == space).count() as u32
}

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
        place: Place,
        count: u32,
        len: usize,
        level: Durability,
        producer: Option<u8>,
    },
    /// Drops this part of what is there, in percent.
    Trim {
        place: Place,
        percent: u64,
    },
    Patch {
        place: Place,
        which: usize,
        patch: Patch,
        level: Durability,
    },
    /// So many patches of one record, each durable before the next: more than are kept.
    PatchOften {
        place: Place,
        count: usize,
    },
    Erase {
        place: Place,
        which: usize,
        level: Durability,
    },
    Seal {
        place: Place,
    },
    /// Ages, retention, side files, erased records out of the files; as if this much later.
    Tend {
        place: Place,
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
pub(crate) fn config(space: &str, durability: Durability, retention: Retention) -> NamespaceConfig {
    let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: Some(60) };
    let (partitions, indices) = (partitions_of(space), vec!["size".to_owned()]);
    NamespaceConfig { partitions, durability, indices, rotation, retention, ..NamespaceConfig::default() }
}

/// Does a step. What the store refuses is the user's matter; what it does wrong is the answer.
pub(crate) fn perform(run: &mut Run, step: &Step) -> Result<(), String> {
    // Appends to what is not there, or is closed, are refused; the oracle hears of those that are not.
    match step.clone() {
        Step::Put { space, config } => drop(run.put(space, config)),
        Step::Delete { space } if run.namespace(space).is_ok() => drop(run.delete(space)),
        Step::Delete { .. } => {}
        Step::Append { place, count, len, level, producer } => drop(run.append(place, count, len, level, producer)),
        Step::Trim { place, percent } => {
            let end = run.end(place);
            drop(run.trim(place, end * percent / 100));
        }
        Step::Patch { place, which, patch, level } => drop(run.patch(place, which, patch, level)),
        Step::PatchOften { place, count } => {
            for _ in 0..count {
                drop(run.patch(place, 0, Patch::AtEnd(1), Synced));
                run.run_jobs();
            }
        }
        Step::Erase { place, which, level } => drop(run.erase(place, which, level)),
        Step::Seal { place } => drop(run.seal(place)),
        Step::Tend { place, later_seconds } => drop(run.tend(place, later_seconds)),
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
    let place = *rng.pick(&PLACES[..]);
    match rng.below(126) {
        0..50 => {
            let count = if rng.chance(1, 3) { 2 + u32::try_from(rng.below(6)).unwrap() } else { 1 };
            let len = len(rng) / usize::try_from(count).unwrap();
            let producer = rng.chance(1, 3).then(|| u8::try_from(rng.below(2)).unwrap());
            Step::Append { place, count, len: len.max(8), level: level(rng), producer }
        }
        50..75 => Step::RunJobs,
        75..80 => Step::SyncInBackground,
        80..86 => Step::Tend { place, later_seconds: if rng.chance(1, 2) { 3600 } else { 0 } },
        86..89 => Step::Trim { place, percent: rng.below(101) },
        89..94 => Step::Restart { orderly: rng.chance(1, 2), look: rng.chance(2, 3) },
        94..96 => Step::Delete { space },
        96..100 => {
            let max_bytes = rng.chance(1, 3).then(|| 1 + rng.below(20_000));
            let mut config = config(space, level(rng), Retention { max_age_seconds: None, max_bytes });
            if rng.chance(1, 10) {
                config.state = NamespaceState::ReadOnly;
            }
            Step::Put { space, config }
        }
        100..102 => Step::Seal { place },
        step => random_change(step, rng),
    }
}

fn random_change(step: u64, rng: &mut Rng) -> Step {
    let place = *rng.pick(&CHANGED[..]);
    let (which, level) = (rng.index(12), level(rng));
    match step {
        // Where bytes are erased, they are also taken out of the files.
        102..108 => Step::Tend { place, later_seconds: 3600 },
        108..114 => Step::Erase { place, which, level },
        _ if rng.chance(1, 100) => Step::PatchOften { place, count: 66 },
        _ => {
            let patch = match rng.below(4) {
                0 => Patch::Whole,
                1 => Patch::Inside(rng.index(5_000), 1 + rng.index(600)),
                _ => Patch::AtEnd(1 + rng.index(40)),
            };
            Step::Patch { place, which, patch, level }
        }
    }
}

fn erase_for_good(place: Place, rng: &mut Rng) -> [Step; 5] {
    let append = Step::Append { place, count: 3, len: len(rng), level: Synced, producer: None };
    let erase = Step::Erase { place, which: rng.index(3), level: Synced };
    [append, Step::RunJobs, erase, Step::RunJobs, Step::Tend { place, later_seconds: 3600 }]
}

/// A whole script as a seed says: the namespaces are there from the start.
pub(crate) fn random_script(rng: &mut Rng) -> Vec<Step> {
    let count = 5 + rng.index(60);
    let puts = SPACES.map(|space| Step::Put { space, config: config(space, Written, Retention::default()) });
    let mut steps: Vec<Step> = puts.into_iter().chain((0..count).map(|_| random_step(rng))).collect();
    // Bytes leave the files only when all of this comes one after the other, which is rare by itself.
    for _ in 0..rng.below(3) {
        let (place, at) = (*rng.pick(&CHANGED[..]), SPACES.len() + rng.index(count + 1));
        steps.splice(at..at, erase_for_good(place, rng));
    }
    steps
}

/// Steps of a round of the fixed script, in which everything happens once.
pub(crate) const ROUND: usize = 49;

/// Always the same: 200 steps in which everything happens that a store does with files, around each other.
pub(crate) fn fixed_script() -> Vec<Step> {
    let [orders, spaced, other, umlaut] = PLACES;
    let append = |place, count, len, level, producer| Step::Append { place, count, len, level, producer };
    let lone = |place, level| append(place, 1, 40, level, None);
    let patch = |place, which, patch, level| Step::Patch { place, which, patch, level };
    let erase = |place, which, level| Step::Erase { place, which, level };
    let roll = |place| Step::Tend { place, later_seconds: 3600 };
    let restart = |orderly, look| Step::Restart { orderly, look };
    let keep = |max_bytes| Retention { max_age_seconds: None, max_bytes };
    let put = |(space, _): Place, level, max_bytes| Step::Put { space, config: config(space, level, keep(max_bytes)) };
    let mut steps = vec![put(orders, Written, None), put(spaced, Synced, None)];
    // Rounds, so that everything stands once before and once behind everything else.
    for round in 0..4 {
        let steps_of_round: [Step; ROUND] = [
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
            patch(spaced, 0, Patch::Inside(700, 600), Written),
            patch(spaced, 0, Patch::AtEnd(3), Synced),
            Step::RunJobs,
            put(umlaut, Written, None),
            append(umlaut, 1, 20, Synced, Some(0)),
            Step::RunJobs,
            append(umlaut, 5, 200, Written, Some(0)),
            erase(spaced, 2, Written),
            append(other, 2, 900, Written, None),
            Step::Seal { place: other },
            patch(other, 1, Patch::Whole, Written),
            erase(other, 0, Synced),
            Step::RunJobs,
            roll(other),
            roll(orders),
            lone(orders, Written),
            append(orders, 2, 100, Written, Some(0)),
            Step::Trim { place: spaced, percent: 20 * round },
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
            Step::Delete { space: umlaut.0 },
            restart(round % 2 == 1, true),
            lone(spaced, Written),
            Step::Tend { place: spaced, later_seconds: 0 },
        ];
        steps.extend(steps_of_round);
    }
    steps.push(Step::PatchOften { place: spaced, count: 66 });
    steps
}
