//! Rewriting a sealed segment so that erased records are gone from its file: same length, same places, stubs for records.
//!
//! The new file is written beside the old one, synced, renamed over it, and the directory synced, so that a crash leaves
//! the old or the new. Who has the old one open goes on reading it.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use logstore_api::frame::control::PatchHead;
use logstore_api::frame::{Kind, RecordView, erase_record};

use super::cursor::Step;
use super::scan::Found;
use super::segment::Segment;
use crate::broken::{self, Broken};
use crate::disk::{Disk, Open};

/// A record that becomes a stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doomed {
    /// Where it begins in the file.
    position: u64,
    /// Its length, padding left out.
    len: usize,
}

/// The records of a segment that still hold bytes of erased ones: those themselves, and patches of `patched` ones.
pub fn find_doomed(segment: &Segment, erased: &[u64], patched: &BTreeSet<u64>) -> io::Result<Vec<Doomed>> {
    let mut doomed = Vec::new();
    for offset in erased {
        doomed.extend(find_record(segment, *offset)?);
    }
    if !patched.is_empty() {
        find_patches(segment, patched, &mut doomed)?;
    }
    doomed.sort_unstable();
    Ok(doomed)
}

/// By the index, so that also what stands in a frame that is damaged elsewhere is found.
fn find_record(segment: &Segment, offset: u64) -> io::Result<Option<Doomed>> {
    let mut cursor = segment.cursor_at_offset(offset)?;
    loop {
        match cursor.step()? {
            Step::Record(record) if record.offset < offset => {}
            Step::Record(record) if record.offset == offset => {
                let doomed = Doomed { position: record.position(), len: record.stored_len() };
                return Ok((!record.is_erased()).then_some(doomed));
            }
            Step::Hole { until: Some(until), .. } if until <= offset => {}
            Step::Record(_) | Step::Hole { .. } | Step::End => {
                tracing::error!(path = %segment.path().display(), offset, "an erased record is damaged; what is left of it stays in the file until its segment goes");
                return Ok(None);
            }
        }
    }
}

fn find_patches(segment: &Segment, patched: &BTreeSet<u64>, doomed: &mut Vec<Doomed>) -> io::Result<()> {
    let mut scan = segment.scan();
    loop {
        match scan.step()? {
            Found::Frame { position, frame } if frame.header().kind == Kind::Patch => {
                let mut records = frame.records();
                let head = records.next().and_then(|record| PatchHead::of(&record));
                let Some(bytes) = records.next().filter(|record| !record.header.erased) else { continue };
                if head.is_some_and(|head| patched.contains(&head.offset)) {
                    doomed.push(Doomed { position: position + bytes.position as u64, len: bytes.stored_len() });
                }
            }
            Found::End => return Ok(()),
            Found::Frame { .. } | Found::Damage { .. } | Found::Tail { .. } => {}
        }
    }
}

/// Puts stubs in the place of records. The segment gets no more frames, and its log is synced.
pub fn rewrite(disk: &dyn Disk, segment: &Segment, doomed: &[Doomed]) -> io::Result<Segment> {
    // They hold tags and index values. Made again from the new file, beside which a crash must not leave them.
    let dir = segment.path().parent().unwrap_or(Path::new("."));
    segment.remove_side_files()?;
    disk.sync_dir(dir)?;
    let beside = segment.path().with_added_extension("tmp");
    if let Err(error) = write_beside(disk, segment, doomed, &beside) {
        // The room may be needed; a start removes it as well.
        let _ = disk.remove_file(&beside);
        return Err(error);
    }
    if !broken::is(Broken::RenamedBeforeWritten) {
        disk.rename(&beside, segment.path())?;
    }
    disk.sync_dir(dir)?;
    segment.reopened()
}

fn write_beside(disk: &dyn Disk, segment: &Segment, doomed: &[Doomed], beside: &Path) -> io::Result<()> {
    let (old, new) = (Arc::clone(segment.file()), disk.open(beside, Open::Create)?);
    if broken::is(Broken::RenamedBeforeWritten) {
        disk.rename(beside, segment.path())?;
    }
    old.copy_range(&*new, 0, segment.log_bytes())?;
    let salt = segment.header.salt;
    for Doomed { position, len } in doomed {
        let mut record = vec![0; *len];
        let read = old.read_full_at(&mut record, *position)?;
        if read != *len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        erase_record(&mut record, salt);
        // What is written was looked at: a mistake here would damage what it should only erase.
        let padded = [&record[..], &[0; 8][..len.next_multiple_of(8) - len]].concat();
        if !RecordView::verify(&padded, salt).is_some_and(|stub| stub.header.erased) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record that should become a stub is none"));
        }
        new.write_all_at(&mut [IoSlice::new(&record)], *position)?;
    }
    if broken::is(Broken::RewriteWithoutSync) {
        return Ok(());
    }
    new.sync_data()
}
