//! Each call of the disk fails once, in each way in which it can: nothing panics, nothing is acknowledged that is not
//! so, what the store shows stays sane, what did not depend on the fault goes on, and the next start finds all promises
//! kept.

use logstore_api::{Durability, Problem};

use super::disk::{Call, Fault};
use super::image::Image;
use super::oracle::{After, Model};
use super::random;
use super::rng::Rng;
use super::run::Run;
use super::script::{self, PLACES, SPACES, Step, perform};

const FAULTS: [Fault; 5] = [Fault::Io, Fault::Full, Fault::Interrupted, Fault::Short, Fault::FullAfterHalf];

/// The first round of the fixed script, in which everything happens once.
fn steps() -> Vec<Step> {
    let mut steps = script::fixed_script();
    steps.truncate(2 + script::ROUND);
    steps
}

fn run_with(fault: Option<(usize, Fault)>, after: After) -> Result<Run, String> {
    let mut run = Run::prepare(Image::default(), Model::default(), false);
    if let Some((call, fault)) = fault {
        run.disk.fail(call, fault);
    }
    start(&mut run)?;
    for step in steps() {
        match step {
            Step::Restart { orderly, .. } => {
                run.end_process(orderly);
                start(&mut run)?;
                run.check_all(after).or_else(|_| {
                    // What could not be read is not served before the next start, which reads it.
                    run.end_process(false);
                    start(&mut run)?;
                    run.check_all(after)
                })?;
            }
            Step::Put { space, config } => again(&run, || run.put(space, config.clone()))?,
            Step::Delete { space } if run.namespace(space).is_ok() => again(&run, || run.delete(space))?,
            step => perform(&mut run, &step)?,
        }
    }
    Ok(run)
}

/// What a user does again because it failed succeeds then.
fn again(run: &Run, act: impl Fn() -> Result<(), Problem>) -> Result<(), String> {
    let result = act().or_else(|first| {
        run.disk.free();
        act().map_err(|second| format!("{}, and then {}", first.detail, second.detail))
    });
    result.map_err(|what| format!("fails twice: {what}"))
}

/// A store that does not start because of a fault is started again.
fn start(run: &mut Run) -> Result<(), String> {
    run.start_engine().or_else(|_| {
        run.disk.free();
        run.start_engine()
    })
}

/// What a store must still do after a fault, in the same process.
fn go_on(run: &mut Run, fault: Fault) -> Result<(), String> {
    run.disk.free();
    run.check_view().or_else(|_| run.check_view())?;
    for space in SPACES {
        let config = script::config(space, Durability::Written, Default::default());
        again(run, || run.put(space, config.clone()))?;
    }
    for place in PLACES {
        let op =
            run.append(place, 1, 30, Durability::Synced, None).map_err(|problem| format!("{place:?}: {problem}"))?;
        run.run_jobs();
        // A device that fails freezes a log; one that is full, or slow, does not.
        if fault != Fault::Io && !run.log().model.is_acked(place, op) {
            return Err(format!("{place:?} takes no more appends"));
        }
    }
    run.check_view()
}

fn check(call: usize, kind: Call, fault: Fault) -> Result<(), String> {
    // What a failed sync was about is lost, though the process only ended.
    let after = if kind == Call::SyncData { After::PowerLoss } else { After::Kill };
    let mut run = run_with(Some((call, fault)), after)?;
    go_on(&mut run, fault)?;
    let mut rng = Rng::new(call as u64);
    let (image, model) = (run.disk.image(), run.log().model.clone());
    random::examine(image.clone(), &model, after, false, &mut rng)
        .map_err(|what| format!("killed after it: {what}"))?;
    let image = image.after(&random::random_loss(&image.at_stake(), &mut rng));
    random::examine(image, &model, After::PowerLoss, false, &mut rng)
        .map_err(|what| format!("power loss after it: {what}"))?;
    Ok(())
}

#[test]
fn each_call_may_fail_once() {
    let calls = run_with(None, After::Kill).unwrap().disk.calls();
    let (mut count, mut failures) = (0, Vec::new());
    let every = random::every(2, 7);
    for (number, call) in calls.iter().enumerate().step_by(every) {
        for fault in FAULTS.into_iter().filter(|fault| call.can(*fault)) {
            count += 1;
            let result = random::caught(|| check(number, *call, fault));
            failures.extend(result.err().map(|what| format!("call {number}, {call:?}, {fault:?}: {what}")));
        }
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
    random::say(&format!("{count} faults in {} calls: no promise broken", calls.len()));
}
