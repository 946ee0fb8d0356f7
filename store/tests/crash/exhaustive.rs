//! One script of 200 steps, crashed before each call that changes the disk, in every way there is, or a sample of them.
//!
//! What is covered, for each of those moments:
//! - every subset of the unsynced writes of all files, where they are at most eight; of more, every subset of the newest
//!   eight, with all of the older ones and with none of them;
//! - for each subset, its last write whole, without each number of its last sectors, and without its first sector;
//! - for each of these, the lengths as far as the data goes, and as far as they were set at all;
//! - for each of these, all unsynced names and none of them; and every subset of the names (of the newest six), with all
//!   data and with none;
//! - the end of the process.

use super::image::{AtStake, FileLoss, Image, Ino, PowerLoss, Reach};
use super::oracle::{After, Model};
use super::random::{caught, every, examine, say};
use super::rng::Rng;
use super::run::Run;
use super::script::{fixed_script, perform};

/// Unsynced writes of which every subset is tried.
const WRITES: usize = 8;
/// Unsynced names of which every subset is tried.
const NAMES: usize = 6;
/// Sectors of a write that are torn off one by one.
const SECTORS: u64 = 8;
/// Of so many states one is also used, stopped and started again; the others are looked at.
const USED: u64 = 16;

/// An unsynced write: its file, its number there, its sectors.
type Write = (Ino, usize, u64);

/// All losses that are tried, and whether some were left out.
fn losses(at_stake: &AtStake) -> (Vec<PowerLoss>, bool) {
    let writes: Vec<Write> = at_stake
        .files
        .iter()
        .flat_map(|(ino, changes)| changes.iter().enumerate().map(|(number, sectors)| (*ino, number, *sectors)))
        .collect();
    let (all, none) = (names(at_stake, |_| true), names(at_stake, |_| false));
    let mut losses = Vec::new();
    for chosen in subsets(writes.len(), WRITES) {
        for torn in tears(&writes, &chosen) {
            for set in [true, false] {
                let files = files(at_stake, &writes, &chosen, torn, set);
                losses.push(PowerLoss { files: files.clone(), dirs: all.clone() });
                if !none.is_empty() {
                    losses.push(PowerLoss { files, dirs: none.clone() });
                }
            }
        }
    }
    let count = at_stake.dirs.iter().map(|(_, count)| count).sum();
    for there in subsets(count, NAMES) {
        for data in [true, false] {
            let files = files(at_stake, &writes, &vec![data; writes.len()], Reach::Whole, data);
            losses.push(PowerLoss { files, dirs: names(at_stake, |number| there[number]) });
        }
    }
    (losses, writes.len() > WRITES || count > NAMES)
}

/// All subsets of the newest `max` of `count`, with all and with none of the others.
fn subsets(count: usize, max: usize) -> Vec<Vec<bool>> {
    let (newest, older) = (count.min(max), count - count.min(max));
    let others: &[bool] = if older == 0 { &[true] } else { &[true, false] };
    let subset = |there: bool, mask: u32| {
        (0..count).map(|number| if number < older { there } else { mask >> (number - older) & 1 == 1 }).collect()
    };
    others.iter().flat_map(|there| (0..1 << newest).map(|mask| subset(*there, mask))).collect()
}

/// How the last of the chosen writes is torn.
fn tears(writes: &[Write], chosen: &[bool]) -> Vec<Reach> {
    let last = writes.iter().zip(chosen).rfind(|(_, chosen)| **chosen);
    let sectors = last.map_or(0, |((_, _, sectors), _)| *sectors);
    let mut tears = vec![Reach::Whole];
    tears.extend((1..sectors.min(SECTORS)).map(|lost| Reach::Prefix(sectors - lost)));
    tears.extend((sectors > 1).then_some(Reach::Suffix(1)));
    tears
}

fn files(
    at_stake: &AtStake,
    writes: &[Write],
    chosen: &[bool],
    torn: Reach,
    lengths_as_set: bool,
) -> std::collections::BTreeMap<Ino, FileLoss> {
    let last = chosen.iter().rposition(|chosen| *chosen);
    let reach = |place: usize| match (chosen[place], Some(place) == last) {
        (false, _) => Reach::Lost,
        (true, false) => Reach::Whole,
        (true, true) => torn,
    };
    let loss = |ino: Ino, count: usize| {
        let places = writes.iter().enumerate().filter(|(_, (file, ..))| *file == ino).map(|(place, _)| place);
        let writes: Vec<Reach> = places.map(reach).collect();
        let data = writes.iter().rposition(|reach| *reach != Reach::Lost).map_or(0, |last| last + 1);
        FileLoss { writes, lengths: if lengths_as_set { count } else { data } }
    };
    at_stake.files.iter().map(|(ino, changes)| (*ino, loss(*ino, changes.len()))).collect()
}

fn names(at_stake: &AtStake, there: impl Fn(usize) -> bool) -> std::collections::BTreeMap<Ino, Vec<bool>> {
    let mut passed = 0;
    let mut take = |count: usize| {
        passed += count;
        (passed - count..passed).map(&there).collect()
    };
    at_stake.dirs.iter().map(|(ino, count)| (*ino, take(*count))).collect()
}

fn look(image: Image, model: &Model, after: After, used: bool, rng: &mut Rng) -> Result<(), String> {
    if used {
        return examine(image, model, after, false, rng).map(drop);
    }
    Run::start(image, model.clone(), false)?.check_all(after)
}

#[test]
fn every_crash_of_the_fixed_script_breaks_no_promise() {
    let mut run = Run::start(Image::default(), Model::default(), true).unwrap();
    for step in fixed_script() {
        perform(&mut run, &step).unwrap();
    }
    let mut moments = run.moments();
    let count = moments.count();
    let (mut states, mut capped, mut failures) = (0, 0, Vec::new());
    let every = every(20, 100);
    let kill_every = every.div_ceil(10);
    for number in 0..count {
        let (image, model) = moments.skip_to(0).unwrap();
        let (losses, some_left_out) = losses(&image.at_stake());
        capped += u64::from(some_left_out);
        for (which, loss) in losses.iter().enumerate().skip(number % every).step_by(every) {
            let mut rng = Rng::new(states);
            let used = states % USED == 0;
            let result = caught(|| look(image.after(loss), model, After::PowerLoss, used, &mut rng));
            failures.extend(result.err().map(|what| format!("call {number} of {count}, loss {which}: {what}")));
            states += 1;
        }
        if number % kill_every == 0 {
            let result = caught(|| look(image.clone(), model, After::Kill, true, &mut Rng::new(states)));
            failures.extend(result.err().map(|what| format!("call {number} of {count}, killed: {what}")));
            states += 1;
        }
        assert!(
            failures.is_empty(),
            "repeat it: LOGSTORE_CRASH_EVERY={every} cargo test -p logstore-store --test crash exhaustive\n{}",
            failures.join("\n")
        );
    }
    say(&format!(
        "{states} states after {count} calls that change the disk, of which {capped} have more at stake than every subset: no promise broken"
    ));
}
