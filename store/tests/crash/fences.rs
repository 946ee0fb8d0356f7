//! A writer's reign that a store has shown to be in force stays so: a killed process may have written it without a sync,
//! and the next one answers a writer that repeats itself without writing again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use logstore_api::NamespaceName;
use logstore_api::fence::Reign;
use logstore_store::disk::Disk;
use logstore_store::engine::fences::Fences;

use super::disk::SimDisk;
use super::image::{Image, PowerLoss};

fn load(image: &Image) -> (SimDisk, Fences) {
    let disk = SimDisk::new(image.clone());
    // A start does this before.
    disk.sync_dir(Path::new("/")).unwrap();
    let fences = Fences::load(Arc::new(disk.clone()), PathBuf::from("/fences")).unwrap();
    (disk, fences)
}

#[test]
fn a_reign_that_was_shown_survives_a_power_loss() {
    let name = NamespaceName::parse("orders").unwrap();
    let (disk, fences) = load(&Image::default());
    let looks = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&looks);
    disk.watch(move |image| seen.lock().unwrap().push(image.clone()));
    for epoch in 1..4 {
        let reign = Reign { epoch, writer: uuid::Uuid::from_u128(u128::from(epoch)), label: String::new() };
        fences.raise(&name, &reign, 0).unwrap();
    }
    let looks = looks.lock().unwrap();
    assert!(looks.len() > 6);
    for image in looks.iter() {
        let (disk, fences) = load(image);
        let shown = fences.reign(&name);
        let (_, fences) = load(&disk.image().after(&PowerLoss::default()));
        assert_eq!(fences.reign(&name), shown);
    }
}
