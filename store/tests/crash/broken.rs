//! The crash tests notice what they are there for: each mistake that a store could make is made, and found.

use logstore_api::Durability::Synced;
use logstore_api::namespace::Retention;
use logstore_store::broken::{self, Broken};

use super::image::Image;
use super::oracle::{After, Model};
use super::random::{caught, seed};
use super::run::Run;
use super::script::{PLACES, config};

/// Seeds in which a mistake must show.
const SEEDS: u64 = 60;

fn is_found(mistake: Broken, check: impl Fn() -> Result<(), String>) {
    assert_eq!(check(), Ok(()), "without a mistake");
    broken::set(Some(mistake));
    let result = check();
    broken::set(None);
    let what = result.expect_err("the mistake is found");
    println!("{mistake:?}: {what}");
}

/// Some seed shows the mistake, and without it keeps all promises.
fn is_found_by_seeds(mistake: Broken) {
    broken::set(Some(mistake));
    let found = (1..=SEEDS).find_map(|number| caught(|| seed(number)).err().map(|what| (number, what)));
    broken::set(None);
    let (number, what) = found.expect("the mistake is found");
    println!("{mistake:?}: seed {number}: {what}");
    caught(|| seed(number)).expect("nothing is found without the mistake");
}

/// Ten records, of which a bit of one is flipped on the disk: that one is told to be damaged, the others are there.
fn bit_damage() -> Result<(), String> {
    const DAMAGED: u32 = 4;
    let place = PLACES[0];
    let mut run = Run::start(Image::default(), Model::default(), false)?;
    run.put(place.0, config(place.0, Synced, Retention::default())).map_err(|problem| problem.detail)?;
    for _ in 0..10 {
        run.append(place, 1, 200, Synced, None).map_err(|problem| problem.detail)?;
        run.run_jobs();
    }
    let model = run.log().model.clone();
    let payload = model.life(place).and_then(|life| life.payload_of(DAMAGED)).ok_or("it was sent")?;
    run.end_process(false);
    let mut image = run.disk.image();
    if !image.flip(&payload) {
        return Err("the record is not on the disk".to_owned());
    }
    let run = Run::start(image, model.damaged(place, DAMAGED), false)?;
    run.check_all(After::PowerLoss)
}

#[test]
fn a_missing_sync_of_a_directory_is_found() {
    is_found_by_seeds(Broken::NoDirectorySync);
}

#[test]
fn an_answer_before_the_sync_is_found() {
    is_found_by_seeds(Broken::AnsweredBeforeSync);
}

#[test]
fn a_new_segment_without_a_sync_of_the_last_is_found() {
    is_found_by_seeds(Broken::RollWithoutSync);
}

#[test]
fn records_that_are_not_verified_are_found() {
    is_found(Broken::NoChecksum, bit_damage);
    is_found_by_seeds(Broken::NoChecksum);
}

#[test]
fn damage_that_is_cut_off_with_all_that_follows_is_found() {
    is_found(Broken::DamageCutOff, bit_damage);
}

#[test]
fn a_rewritten_segment_that_is_not_synced_is_found() {
    is_found_by_seeds(Broken::RewriteWithoutSync);
}

#[test]
fn a_rewritten_segment_that_is_named_before_it_is_written_is_found() {
    is_found_by_seeds(Broken::RenamedBeforeWritten);
}

#[test]
fn a_lost_patch_that_nobody_is_told_of_is_found() {
    is_found_by_seeds(Broken::LostPatchIgnored);
}
