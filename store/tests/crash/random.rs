//! Random scripts, each crashed at random moments in random ways.
//!
//! `LOGSTORE_CRASH_STATES=N` says how many states to look at, `LOGSTORE_SEED=S` where to begin; the seed that a failure
//! prints repeats exactly it.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::image::{AtStake, FileLoss, Image, PowerLoss, Reach};
use super::oracle::{After, Model};
use super::rng::Rng;
use super::run::Run;
use super::script::{self, perform};

/// States that one script is crashed into.
const STATES_OF_A_SCRIPT: usize = 40;
/// In `cargo test`; `make test` asks for more.
const STATES: u64 = 4_000;
/// Looks that are crashed again while the store recovers, of four.
const SECOND_CRASHES_OF_FOUR: u64 = 1;

/// A power loss as a seed says.
pub(crate) fn random_loss(at_stake: &AtStake, rng: &mut Rng) -> PowerLoss {
    let mut loss = PowerLoss::default();
    // Everything, nothing, most, some.
    let part = *rng.pick(&[0, 2, 5, 8, 10]);
    for (ino, changes) in &at_stake.files {
        let mut writes: Vec<Reach> =
            changes.iter().map(|_| if rng.chance(part, 10) { Reach::Whole } else { Reach::Lost }).collect();
        if rng.chance(1, 2) {
            // One of them torn.
            let torn = rng.index(writes.len());
            let sectors = changes[torn].max(1);
            writes[torn] = match rng.below(3) {
                0 => Reach::Prefix(rng.below(sectors)),
                1 => Reach::Suffix(1 + rng.below(sectors)),
                _ => Reach::Scattered(rng.next()),
            };
        }
        let lengths = match rng.below(3) {
            0 => rng.index(changes.len() + 1),
            _ => changes.len(),
        };
        loss.files.insert(*ino, FileLoss { writes, lengths });
    }
    for (ino, changes) in &at_stake.dirs {
        loss.dirs.insert(*ino, (0..*changes).map(|_| rng.chance(part, 10)).collect());
    }
    loss
}

/// An image after a crash as a seed says, and which kind it was.
pub(crate) fn crash(image: &Image, rng: &mut Rng) -> (Image, After) {
    if rng.chance(1, 8) {
        return (image.clone(), After::Kill);
    }
    let loss = random_loss(&image.at_stake(), rng);
    (image.after(&loss), After::PowerLoss)
}

/// Starts a store on what a crash has left, holds it against its promises, and uses it; perhaps crashes it again
/// meanwhile. How many states were looked at.
pub(crate) fn examine(image: Image, model: &Model, after: After, again: bool, rng: &mut Rng) -> Result<u64, String> {
    let mut run = Run::start(image, model.clone(), again)?;
    run.check_all(after)?;
    run.retry_producers()?;
    for place in script::PLACES {
        let _ = run.append(place, 1, 30, logstore_api::Durability::Synced, None);
        let _ = run.append(place, 3, 30, logstore_api::Durability::Written, Some(7));
        run.run_jobs();
    }
    run.end_process(rng.chance(1, 2));
    run.start_engine()?;
    run.check_all(After::Kill)?;
    if !again {
        return Ok(1);
    }
    let mut moments = run.moments();
    let number = rng.index(moments.count());
    let (image, model) = moments.skip_to(number).expect("it is one of them");
    // The model is as it was before the first crash if that is when the second one came.
    let (image, second) = crash(&image, rng);
    let after = if second == After::Kill { after } else { second };
    let states = examine(image, model, after, false, rng).map_err(|what| format!("after a second crash: {what}"))?;
    Ok(1 + states)
}

/// One seed: a script, crashed many times. How many states were looked at.
pub(crate) fn seed(seed: u64) -> Result<u64, String> {
    let mut rng = Rng::new(seed);
    let steps = script::random_script(&mut rng);
    let mut run = Run::start(Image::default(), Model::default(), true)?;
    for step in &steps {
        perform(&mut run, step)?;
    }
    let mut moments = run.moments();
    drop(run);
    let count = moments.count();
    let mut numbers: Vec<usize> = (0..STATES_OF_A_SCRIPT).map(|_| rng.index(count)).collect();
    numbers.sort_unstable();
    let (mut states, mut passed) = (0, 0);
    let mut here = None;
    for number in numbers {
        if number + 1 > passed {
            here = moments.skip_to(number - passed).map(|(image, model)| (image, model.clone()));
            passed = number + 1;
        }
        let (image, model) = here.as_ref().expect("it is one of them");
        let (image, after) = crash(image, &mut rng);
        let again = rng.chance(SECOND_CRASHES_OF_FOUR, 4);
        states += examine(image, model, after, again, &mut rng)
            .map_err(|what| format!("before call {number} of {count} that change the disk: {what}"))
            .inspect_err(|_| tell(&steps))?;
    }
    Ok(states)
}

/// For whoever looks into a failure.
fn tell(steps: &[script::Step]) {
    if std::env::var_os("LOGSTORE_CRASH_TELL").is_some() {
        steps.iter().for_each(|step| println!("{step:?}"));
    }
}

/// Panics as failures.
pub(crate) fn caught<T>(act: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Of so many states one is looked at: as `LOGSTORE_CRASH_EVERY` says, or enough of them for `make test`, or few for
/// `cargo test`.
pub(crate) fn every(made: usize, plain: usize) -> usize {
    let of_this_run = if number_from("LOGSTORE_CRASH_STATES").is_some() { made } else { plain };
    number_from("LOGSTORE_CRASH_EVERY").map_or(of_this_run, |every| usize::try_from(every.max(1)).unwrap())
}

/// Says what was looked at, also where the output of tests is not shown.
pub(crate) fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[test]
fn random_crashes_break_no_promise() {
    let wanted = number_from("LOGSTORE_CRASH_STATES");
    let first = number_from("LOGSTORE_SEED");
    let goal = wanted.unwrap_or(if first.is_some() { 1 } else { STATES });
    let first = first.unwrap_or(1);
    // A run that was asked for takes the whole machine.
    let threads = if wanted.is_some() { std::thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let (next, states, failed) = (AtomicU64::new(first), AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let work = || {
        while states.load(Ordering::Relaxed) < goal && !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            match caught(|| seed(number)) {
                Ok(more) => {
                    let before = states.fetch_add(more, Ordering::Relaxed);
                    const EVERY: u64 = 50_000;
                    if before / EVERY < (before + more) / EVERY {
                        println!("{} states, seeds {first} to {number}, {:?}", before + more, begun.elapsed());
                    }
                }
                Err(what) => {
                    failed.store(true, Ordering::Relaxed);
                    println!("seed {number}: {what}\nrepeat it: make crash SEED={number}");
                }
            }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (states, last) = (states.into_inner(), next.into_inner() - 1);
    assert!(!failed.into_inner(), "a promise was broken, see above");
    say(&format!("{states} crash states of seeds {first} to {last}: no promise broken, in {:?}", begun.elapsed()));
}
