//! Flipped bits: each is noticed, whatever else is there is still served, no offset is given twice, and nothing ends the
//! process. `cargo test` flips a few of the bytes, `make test` 10,000 of a segment of 1 MiB, `make flips` all of them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a test from outside")]

#[path = "common/local.rs"]
mod local;
#[path = "common/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use local::{Append, ROOT, append, engine, namespace, read_through, read_through_backward};
use logstore_api::config::StoreConfig;
use logstore_api::fence::{FenceRequest, Reign};
use logstore_api::frame::{FrameView, HEADER_LEN, Numbers, Salt};
use logstore_api::namespace::{Internal, Ownership, PutNamespace, Rotation, WhenRemoved};
use logstore_api::{Durability, NamespaceConfig, NamespaceName, Timestamp};
use logstore_store::disk::memory::MemoryDisk;
use logstore_store::disk::{Disk, Open};
use logstore_store::engine::Engine;
use logstore_store::engine::namespace::{Document, Namespace};
use logstore_store::log::cursor::{FRAMES_AT, Window};
use logstore_store::log::place::{Place, parse_frames};
use logstore_store::log::scan::{Found, Scan};
use logstore_store::log::work::Work;
use logstore_store::offline::root::StoppedRoot;
use logstore_store::offline::verify::{Findings, verify};
use random::Random;
use uuid::Uuid;

/// Bytes of a large segment.
const LARGE: u64 = 1024 * 1024;
/// Bytes of it that are flipped where `FLIPS` does not say how many.
const SAMPLE: u64 = 1_000;
/// Bytes of each other file that are flipped, unless all are.
const SAMPLE_OF_OTHERS: u64 = 40;
/// Bytes that are flipped at the same time, in frames that are no neighbours.
const TOGETHER: usize = 128;

/// A store's files, and what is in them.
struct Image {
    disk: MemoryDisk,
    records: BTreeMap<u64, Vec<u8>>,
    end: u64,
}

/// A frame in a segment; the segment's header counts as one.
#[derive(Clone, Copy, Debug)]
struct Spot {
    from: u64,
    until: u64,
    /// Offsets of its records.
    records: (u64, u64),
}

fn segments_of(bytes: u64) -> NamespaceConfig {
    let rotation = Rotation { max_segment_bytes: Some(bytes), max_segment_age_seconds: None };
    NamespaceConfig { rotation, ..NamespaceConfig::default() }
}

/// Records of all kinds in two sealed segments, the second of this size, and a third. In the middle of each the store was
/// stopped and started again.
fn image(second_bytes: u64, stopped: bool) -> Image {
    let mut writing = Writing {
        image: Image { disk: MemoryDisk::default(), records: BTreeMap::new(), end: 0 },
        random: Random::new(1),
        seq: 0,
    };
    for (segment, bytes) in [(1, 64 * 1024), (2, second_bytes)] {
        for part in [bytes / 2, bytes] {
            let enough = |log: &Namespace, appended| {
                log.partition(0).unwrap().describe().segments > segment || (part < bytes && appended > part)
            };
            writing.run(bytes, enough).stop();
        }
    }
    let engine = writing.run(64 * 1024, |_, appended| appended > 4 * 1024);
    append(&namespace(&engine, "other"), 0, &Append::of(&[b"one"])).unwrap();
    if stopped {
        engine.stop();
    }
    writing.image
}

/// An image that is being made.
struct Writing {
    image: Image,
    random: Random,
    seq: u64,
}

impl Writing {
    /// Starts a store and appends until it is enough, by the log and the bytes of payload; then stops the store.
    fn run(&mut self, segment_bytes: u64, enough: impl Fn(&Namespace, u64) -> bool) -> Arc<Engine> {
        let engine = engine(&self.image.disk, StoreConfig::default()).unwrap();
        let put = PutNamespace { config: segments_of(segment_bytes), internal: None };
        let log = engine.put(&NamespaceName::parse("orders").unwrap(), put, false).unwrap().1;
        let mut bytes = 0;
        while !enough(&log, bytes) {
            let mixed = mixed_append(&mut self.random, &mut self.seq, self.image.records.len());
            let offset = append(&log, 0, &mixed).unwrap().unwrap();
            for (index, data) in mixed.records.into_iter().enumerate() {
                bytes += data.len() as u64;
                self.image.records.insert(offset + index as u64, data);
            }
        }
        self.image.end = self.image.records.len() as u64;
        log.partition(0).unwrap().tend(Timestamp::now());
        engine
    }
}

/// Lone records and batches, small and larger than an index's stride, with and without reserve, tags, key and producer.
fn mixed_append(random: &mut Random, seq: &mut u64, number: usize) -> Append {
    let count = [1, 1, 1, 20, 100, 3, 1][usize::try_from(random.below(7)).unwrap()];
    let largest = if random.one_in(12) { 9_000 / count } else { 60 };
    let records: Vec<Vec<u8>> = (0..count)
        .map(|index| {
            let mut data = format!("record {number} {index} ").into_bytes();
            data.resize(usize::try_from(random.below(largest + 20)).unwrap(), b'.');
            data
        })
        .collect();
    let mut append = Append { records, ..Append::default() };
    append.alloc = random.one_in(3).then_some(9_100);
    append.tags = if random.one_in(3) { vec!["tag".into(), format!("tag {number}")] } else { Vec::new() };
    append.key = random.one_in(4).then(|| format!("key {number}"));
    if random.one_in(3) {
        append.producer = Some((7, *seq));
        *seq += append.records.len() as u64;
    }
    append
}

impl Image {
    fn dir(&self) -> PathBuf {
        Path::new(ROOT).join("ns/orders/0")
    }

    /// The log files, oldest first.
    fn logs(&self) -> Vec<PathBuf> {
        let logs = self.disk.files().into_iter();
        logs.filter(|path| path.starts_with(self.dir()) && path.extension().is_some_and(|e| e == "log")).collect()
    }

    fn salt(&self) -> Salt {
        Document::read(&self.disk, &Path::new(ROOT).join("ns/orders")).unwrap().salt()
    }

    /// All frames of a log file, and its header.
    fn spots(&self, path: &Path) -> Vec<Spot> {
        let file = self.disk.open(path, Open::Read).unwrap();
        let len = file.size().unwrap();
        let mut spots = vec![Spot { from: 0, until: FRAMES_AT, records: (0, 0) }];
        let mut scan = Scan::new(Window::new(file, len), self.salt(), FRAMES_AT, len);
        loop {
            match scan.step().unwrap() {
                Found::Frame { position, frame } => {
                    let (header, until) = (frame.header(), position + frame.bytes().len() as u64);
                    let base = header.numbers.base_offset;
                    spots.push(Spot { from: position, until, records: (base, base + header.offset_count()) });
                }
                Found::End => return spots,
                found => panic!("{found:?}"),
            }
        }
    }

    /// Flips one random bit of each of these bytes of a log file, each in a frame of its own, and looks at what
    /// everybody makes of it.
    fn flip(&self, path: &Path, spots: &[Spot], positions: &[u64], random: &mut Random) {
        let disk = self.disk.fork();
        disk.damage(path, |bytes| {
            for position in positions {
                bytes[usize::try_from(*position).unwrap()] ^= 1 << random.below(8);
            }
        })
        .unwrap();
        let damaged: Vec<Spot> = positions.iter().map(|position| spots[spot_of(spots, *position)]).collect();
        let findings = look_through(&disk);
        for (place, position) in damaged.iter().zip(positions) {
            let noticed = findings.faults.iter().any(|fault| fault.path == path && fault.position == place.from);
            assert!(noticed, "{}: byte {position} in {place:?} is not noticed", path.display());
        }
        let lost = |offset: u64| damaged.iter().any(|place| (place.records.0..place.records.1).contains(&offset));
        let end = self.served(&disk, &lost, self.end, positions);
        if random.one_in(8) {
            // What has mended itself once is the same after another start.
            self.served(&disk, &lost, end, positions);
        }
    }

    /// Starts a store and looks at what it serves: all that is not lost, and nothing else. Appends a record, and says
    /// where the log ends then.
    fn served(&self, disk: &MemoryDisk, lost: &dyn Fn(u64) -> bool, end: u64, what: &[u64]) -> u64 {
        let engine = engine(disk, StoreConfig::default()).unwrap();
        let log = namespace(&engine, "orders");
        // They may begin at different places inside a damaged frame, and find more of it or less.
        for (records, holes) in [read_through(&log), read_through_backward(&log)] {
            for (offset, expected) in &self.records {
                let Some(data) = records.get(offset) else {
                    let told = holes.iter().any(|(from, until)| (from..until).contains(&offset));
                    assert!(lost(*offset) && told, "offset {offset} is lost; holes {holes:?}; flipped: {what:?}");
                    continue;
                };
                assert!(data == expected, "offset {offset} has other bytes; holes {holes:?}; flipped: {what:?}");
            }
        }
        let appended = append(&log, 0, &Append::of(&[b"after the damage"])).unwrap().unwrap();
        assert_eq!(appended, end, "flipped: {what:?}");
        appended + 1
    }
}

fn spot_of(spots: &[Spot], position: u64) -> usize {
    spots.partition_point(|place| place.until <= position)
}

/// Whether `verify` says something of a file that no log is.
fn is_noticed(disk: &MemoryDisk, path: &Path) {
    let faults = look_through(disk).faults;
    assert!(faults.iter().any(|fault| fault.path == path), "{} is damaged: {faults:?}", path.display());
}

fn look_through(disk: &MemoryDisk) -> Findings {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let root = StoppedRoot::take(disk, Path::new(ROOT)).unwrap();
    verify(&root, None, |_, _| {}).unwrap()
}

/// Divides positions into groups in which no two are in the same frame or in neighbours.
fn groups(spots: &[Spot], mut positions: Vec<u64>, random: &mut Random) -> Vec<Vec<u64>> {
    for at in (1..positions.len()).rev() {
        positions.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap());
    }
    let mut groups = Vec::new();
    while !positions.is_empty() {
        let mut taken = std::collections::BTreeSet::new();
        let (mut group, mut left) = (Vec::new(), Vec::new());
        while let Some(position) = positions.pop() {
            let place = spot_of(spots, position);
            let near = (place.saturating_sub(1)..=place + 1).any(|place| taken.contains(&place));
            if near {
                left.push(position);
            } else {
                taken.insert(place);
                group.push(position);
            }
            if group.len() == TOGETHER || left.len() > 2 * TOGETHER {
                break;
            }
        }
        positions.append(&mut left);
        groups.push(group);
    }
    groups
}

fn seed() -> u64 {
    let seed = std::env::var("SEED").map_or(5, |text| text.parse().unwrap());
    println!("flips: SEED={seed}");
    seed
}

/// How many bytes of a large segment are wanted: `FLIPS` says a number, or `all`.
fn wanted() -> Option<u64> {
    match std::env::var("FLIPS") {
        Ok(text) if text == "all" => None,
        Ok(text) => Some(text.parse().unwrap()),
        Err(_) => Some(SAMPLE),
    }
}

/// The positions to flip in a file of this length, a bit in each.
fn positions(len: u64, random: &mut Random) -> Vec<u64> {
    let step = wanted().map_or(1, |_| len.div_ceil(SAMPLE_OF_OTHERS));
    (random.below(step)..len).step_by(usize::try_from(step).unwrap()).collect()
}

#[test]
fn flipped_bytes_of_a_large_sealed_segment() {
    let image = image(LARGE, true);
    let path = image.logs()[1].clone();
    let spots = image.spots(&path);
    let len = spots.last().unwrap().until;
    let mut random = Random::new(seed());
    let positions: Vec<u64> = match wanted() {
        None => (0..len).collect(),
        Some(count) => (0..count).map(|_| random.below(len)).collect(),
    };
    println!("flips: {} of {len} bytes, in {} frames", positions.len(), spots.len());
    let (groups, next) = (groups(&spots, positions, &mut random), AtomicUsize::new(0));
    println!("flips: {} starts", groups.len());
    let seeds = [random.next(), random.next()];
    std::thread::scope(|scope| {
        for seed in seeds {
            let (image, path, spots, groups, next) = (&image, &path, &spots, &groups, &next);
            let mut random = Random::new(seed);
            scope.spawn(move || {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    image.flip(path, spots, group, &mut random);
                }
            });
        }
    });
}

/// A reader took a sound record for the next one because the damaged length before it led there, so it gave records
/// under offsets of others.
#[test]
fn a_damaged_length_that_leads_to_a_later_record_moves_no_offset() {
    let disk = MemoryDisk::default();
    let log = namespace(&engine(&disk, StoreConfig::default()).unwrap(), "orders");
    let records: Vec<Vec<u8>> = (0..5).map(|number| vec![b'0' + number; 48]).collect();
    append(&log, 0, &Append { records: records.clone(), ..Append::default() }).unwrap();
    let before: BTreeMap<u64, Vec<u8>> = (0..).zip(records).collect();
    let image = Image { disk: disk.clone(), records: before, end: 5 };
    let path = image.logs()[0].clone();
    let batch = *image.spots(&path).last().unwrap();
    let length_at = usize::try_from(batch.from).unwrap() + HEADER_LEN;
    disk.damage(&path, |bytes| {
        assert_eq!(bytes[length_at], 48);
        // 64 bytes more: as long as the record behind it.
        bytes[length_at] ^= 64;
    })
    .unwrap();
    let (records, holes) = read_through(&log);
    assert_eq!((records, holes), (BTreeMap::new(), vec![(0, 5)]), "which of the others stands where cannot be told");
}

#[test]
fn flipped_bytes_of_side_files_cost_no_record() {
    let image = image(64 * 1024, true);
    let (paths, clean) = (image.disk.files(), Path::new(ROOT).join("CLEAN"));
    let derived = |path: &&PathBuf| {
        path.starts_with(image.dir()) && !path.ends_with("confirmed") && path.extension().is_some_and(|e| e != "log")
    };
    let derived: Vec<&PathBuf> =
        paths.iter().filter(derived).chain(paths.iter().filter(|path| path.ends_with("CLEAN"))).collect();
    assert!(derived.len() >= 6, "{derived:?}");
    let longest = derived.iter().map(|path| content(&image.disk, path).len()).max().unwrap();
    let mut random = Random::new(seed());
    for at in positions(longest as u64, &mut random) {
        let at = usize::try_from(at).unwrap();
        let disk = image.disk.fork();
        let mut flipped = Vec::new();
        for path in &derived {
            if at < content(&disk, path).len() {
                disk.damage(path, |bytes| bytes[at] ^= 1 << random.below(8)).unwrap();
                flipped.push(path.with_extension("log"));
            }
        }
        let findings = look_through(&disk);
        for log in image.logs() {
            let noticed = findings.faults.iter().filter(|fault| fault.path == log).count();
            let expected = flipped.iter().filter(|path| **path == log).count();
            assert_eq!(noticed, expected, "byte {at} of the side files of {}: {:?}", log.display(), findings.faults);
        }
        if at < content(&image.disk, &clean).len() {
            is_noticed(&disk, &clean);
        }
        image.served(&disk, &|_| false, image.end, &[at as u64]);
    }
}

#[test]
fn flipped_bytes_of_a_log_that_was_not_stopped() {
    let image = image(64 * 1024, false);
    let path = image.logs().pop().unwrap();
    let mut spots = image.spots(&path);
    // The last frame's header cannot be told from the remains of a write that nobody was told of.
    let last = spots.pop().unwrap();
    let mut random = Random::new(seed());
    for group in groups(&spots, positions(last.from, &mut random), &mut random) {
        image.flip(&path, &spots, &group, &mut random);
    }
}

#[test]
fn flipped_bytes_of_a_namespaces_configuration_are_noticed_and_the_others_are_served() {
    let image = image(64 * 1024, true);
    let path = Path::new(ROOT).join("ns/orders/config");
    let mut random = Random::new(seed());
    for at in positions(content(&image.disk, &path).len() as u64, &mut random) {
        let at = usize::try_from(at).unwrap();
        let disk = image.disk.fork();
        disk.damage(&path, |bytes| bytes[at] ^= 1 << random.below(8)).unwrap();
        is_noticed(&disk, &path);
        let engine = engine(&disk, StoreConfig::default()).unwrap();
        let name = NamespaceName::parse("orders").unwrap();
        assert_eq!(engine.get_or_create(&name).unwrap_err().code, "damaged", "byte {at}");
        assert_eq!(engine.put(&name, PutNamespace::default(), false).unwrap_err().code, "damaged", "byte {at}");
        assert_eq!(append(&namespace(&engine, "other"), 0, &Append::of(&[b"two"])), Ok(Some(1)));
        engine.stop();
        drop(engine);
        disk.damage(&path, |bytes| *bytes = content(&image.disk, &path)).unwrap();
        image.served(&disk, &|_| false, image.end, &[at as u64]);
    }
}

#[test]
fn flipped_bytes_of_the_roots_identity_keep_the_store_from_starting() {
    let image = image(64 * 1024, true);
    let path = Path::new(ROOT).join("node");
    let mut random = Random::new(seed());
    for at in positions(content(&image.disk, &path).len() as u64, &mut random) {
        let at = usize::try_from(at).unwrap();
        let disk = image.disk.fork();
        disk.damage(&path, |bytes| bytes[at] ^= 1 << (at % 8)).unwrap();
        is_noticed(&disk, &path);
        let error = engine(&disk, StoreConfig::default()).unwrap_err().to_string();
        assert!(error.starts_with("/store/node is damaged"), "byte {at}: {error}");
        assert!(disk.files().iter().any(|path| path.ends_with("CLEAN")), "byte {at}: nothing was changed");
    }
}

/// A copy whose writer has placed two frames and confirmed them, and that has seen another writer before.
fn copy() -> (MemoryDisk, NamespaceName) {
    let disk = MemoryDisk::default();
    let engine = engine(&disk, ordered()).unwrap();
    let name = NamespaceName::parse("orders").unwrap();
    let ownership = Ownership { owner: "a/b".into(), revision: 1, when_removed: WhenRemoved::default() };
    let internal = Internal { ownership, incarnation: Uuid::from_u128(9), salt: Some(77) };
    let put = PutNamespace { internal: Some(internal), ..PutNamespace::default() };
    let log = engine.put(&name, put, false).unwrap().1;
    for epoch in 1..=3 {
        engine.fence(FenceRequest { namespace: name.clone(), reign: reign(epoch), revision: 0 }).unwrap();
    }
    let mut previous = 0;
    for number in 0..4 {
        let mut draft = local::draft(&Append::of(&[b"placed"]), Salt::WIRE).unwrap();
        let numbers = Numbers { number, base_offset: number, time_us: 1, epoch: 3 };
        draft.seal(numbers, Salt::WIRE, 0);
        place(&log, number, previous, draft.bytes());
        previous = draft.view().checksum();
    }
    engine.stop();
    (disk, name)
}

fn ordered() -> StoreConfig {
    StoreConfig { ordered: true, ..StoreConfig::default() }
}

fn reign(epoch: u32) -> Reign {
    Reign { epoch, writer: Uuid::from_u128(epoch.into()), label: "test".into() }
}

/// Places a frame, and says once more on its own what was confirmed, as a writer does that has nothing more to place.
fn place(log: &Namespace, number: u64, previous: u32, frame: &[u8]) {
    let reign = reign(3);
    for (frame_number, previous, confirmed, body) in
        [(number, previous, number, frame), (number + 1, 0, number + 1, &[])]
    {
        let frames = parse_frames(body, log.salt()).unwrap();
        let previous = if frames.is_empty() { wire_checksum(frame) } else { previous };
        let Reign { epoch, writer, .. } = reign;
        let place =
            Place { epoch, writer, frame: frame_number, previous, confirmed, durability: Durability::Written, frames };
        local::work(log, 0, |reply| Work::Place { place, reply }).unwrap();
    }
}

fn wire_checksum(frame: &[u8]) -> u32 {
    FrameView::verify(frame, Salt::WIRE, 0).unwrap().checksum()
}

#[test]
fn flipped_bytes_of_the_writers_reigns_are_noticed() {
    let (image, name) = copy();
    let path = Path::new(ROOT).join("fences");
    let len = content(&image, &path).len();
    let last_entry =
        content(&image, &path).split_inclusive(|byte| *byte == b'\n').rev().take(2).map(<[u8]>::len).sum::<usize>();
    let mut random = Random::new(seed());
    for at in 0..len {
        let disk = image.fork();
        disk.damage(&path, |bytes| bytes[at] ^= 1 << random.below(8)).unwrap();
        if at < len - last_entry {
            is_noticed(&disk, &path);
        }
        match engine(&disk, ordered()) {
            Err(error) => assert!(error.to_string().starts_with("failed to read the fences"), "byte {at}: {error}"),
            // As if its write had not ended: the reign before it is in force, and this copy holds what it held.
            Ok(engine) => {
                assert!(at >= len - last_entry, "byte {at} is not noticed");
                let answer = engine.look(&name).unwrap();
                assert_eq!((answer.reign, answer.partitions[0].next_frame), (Some(reign(2)), 4), "byte {at}");
            }
        }
    }
}

#[test]
fn a_flipped_byte_of_what_is_confirmed_never_makes_it_more() {
    let (image, name) = copy();
    let path = Path::new(ROOT).join("ns/orders/0/confirmed");
    let mut random = Random::new(seed());
    let len = content(&image, &path).len();
    assert_eq!(len, 64);
    let mut lower = 0;
    for at in 0..len {
        let disk = image.fork();
        disk.damage(&path, |bytes| bytes[at] ^= 1 << random.below(8)).unwrap();
        is_noticed(&disk, &path);
        let tail = engine(&disk, ordered()).unwrap().look(&name).unwrap().partitions[0];
        assert_eq!(tail.next_frame, 4, "byte {at}");
        assert!([3, 4].contains(&tail.confirmed), "byte {at}: {}", tail.confirmed);
        lower += usize::from(tail.confirmed == 3);
    }
    assert_eq!(lower, len / 2, "a damaged newest slot leaves the one before it");
}

fn content(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    (disk as &dyn Disk).read(path, usize::MAX).unwrap()
}
