//! A store's files with damage anywhere: a start either says that it cannot, or serves what was there, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use logstore_api::config::StoreConfig;
use logstore_api::namespace::{PutNamespace, Rotation};
use logstore_api::{NamespaceConfig, NamespaceName, Timestamp};
use logstore_store::disk::Disk;
use logstore_store::disk::memory::MemoryDisk;

use crate::local::{Append, Records, append, engine, namespace, read_through, read_through_backward};

/// Damages in one try.
const DAMAGES_MAX: usize = 8;
/// Bytes that say what one damage is.
const DAMAGE_LEN: usize = 8;

struct Image {
    disk: MemoryDisk,
    records: Records,
}

/// The same files after an orderly stop, and as a killed process leaves them.
static IMAGES: LazyLock<[Image; 2]> = LazyLock::new(|| [image(true), image(false)]);

fn image(stopped: bool) -> Image {
    let disk = MemoryDisk::default();
    let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: None };
    let config = NamespaceConfig { rotation, ..NamespaceConfig::default() };
    let mut records = Records::new();
    for life in 0..2_u64 {
        let engine = engine(&disk, StoreConfig::default()).expect("a store starts");
        let name = NamespaceName::parse("orders").expect("a name");
        let log =
            engine.put(&name, PutNamespace { config: config.clone(), internal: None }, false).expect("it is made").1;
        for number in 0..12_u64 {
            let len = if number % 6 == 0 { 12_000 } else { 30 };
            let data: Vec<Vec<u8>> = (0..=number % 3).map(|index| vec![b'a' + index as u8; len]).collect();
            let producer = (number % 2 == 0).then_some((u128::from(life) * 100 + u128::from(number), 0));
            let tags = if number % 4 == 0 { vec!["tag".to_owned()] } else { Vec::new() };
            let appended = Append { records: data, producer, tags, ..Append::default() };
            let offset = append(&log, 0, &appended).expect("it is appended").expect("it is new");
            records.extend((offset..).zip(appended.records));
        }
        log.partition(0).expect("it is open").tend(Timestamp::now());
        if life == 0 || stopped {
            engine.stop();
        }
    }
    Image { disk, records }
}

/// Which image, then damages of eight bytes each.
pub(crate) fn run(bytes: &[u8]) {
    let Some((first, damages)) = bytes.split_first() else { return };
    let image = &IMAGES[usize::from(first % 2)];
    let disk = image.disk.fork();
    let files = disk.files();
    for damage in damages.chunks_exact(DAMAGE_LEN).take(DAMAGES_MAX) {
        do_damage(&disk, &files, damage);
    }
    let Some(appended) = start(&disk, |offset, data| {
        assert_eq!(image.records.get(&offset).map(Vec::as_slice), Some(data), "offset {offset} has another record");
    }) else {
        return;
    };
    // What has mended itself once starts again, with what was appended.
    let mut found = false;
    start(&disk, |offset, data| found |= offset == appended && data == b"new");
    assert!(found, "what was appended at {appended} is gone");
}

/// Starts a store, looks at each record, and appends one; its offset. `None` where the store says that it cannot.
fn start(disk: &MemoryDisk, mut look: impl FnMut(u64, &[u8])) -> Option<u64> {
    let engine = engine(disk, StoreConfig::default()).ok()?;
    let log = engine.get(&NamespaceName::parse("orders").expect("a name")).ok()?;
    log.partition(0).ok()?;
    for (records, _) in [read_through(&log), read_through_backward(&log)] {
        records.iter().for_each(|(offset, data)| look(*offset, data));
    }
    log.partition(0).ok()?.tend(Timestamp::now());
    let offset = append(&log, 0, &Append::of(&[b"new"])).expect("it is appended").expect("it is new");
    drop(log);
    let _ = namespace(&engine, "another");
    Some(offset)
}

/// `file u8 | what u8 | len u16 | position u32`
fn do_damage(disk: &MemoryDisk, files: &[PathBuf], damage: &[u8]) {
    let path: &Path = &files[usize::from(damage[0]) % files.len()];
    let len = usize::from(u16::from_le_bytes([damage[2], damage[3]]));
    let position = u32::from_le_bytes([damage[4], damage[5], damage[6], damage[7]]) as usize;
    if damage[1] % 8 == 7 {
        let _ = disk.remove_file(path);
        return;
    }
    let _ = disk.damage(path, |bytes| {
        let at = position % (bytes.len() + 1);
        let end = (at + len).min(bytes.len());
        match damage[1] % 8 {
            0 | 1 => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte ^= damage[2] | 1),
            2 => bytes.truncate(at),
            3 => bytes[at..end].fill(0),
            4 => bytes.resize(bytes.len() + len, 0),
            5 => drop(bytes.drain(at..end)),
            _ => bytes.extend_from_within(at..end),
        }
    });
}
