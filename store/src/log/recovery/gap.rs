//! What can be told of damage between sound frames, or behind the last one.

use std::io;
use std::sync::Arc;

use logstore_api::frame::{HEADER_LEN, Header, PRODUCER_LEN, Salt};

use super::OpenedFile;
use crate::log::changes::{CONTROL_RECORD_LEN_MAX, Change, FramePlace};
use crate::log::cursor::Window;

/// What a disk writes whole or not at all, bytes.
const SECTOR: u64 = 512;

/// Damage, from where a sound frame ends.
#[derive(Default)]
pub(super) struct Gap {
    /// It is one frame.
    pub(super) lost: Option<Lost>,
    /// It was never synced, nor was anything behind it.
    pub(super) unsynced: bool,
}

/// A damaged frame whose header is sound.
pub(super) struct Lost {
    /// Where it ends in the file.
    pub(super) end: u64,
    /// What it has changed of other records; `None` where that is not known.
    pub(super) change: Option<Option<Change>>,
}

impl Gap {
    /// Looks at the damage between two places.
    pub(super) fn look(opened: &OpenedFile, salt: Salt, from: u64, until: u64) -> io::Result<Self> {
        let lost = Lost::at(opened, salt, from)?.filter(|lost| lost.end == until);
        Ok(Self { lost, unsynced: is_unwritten(opened, salt, from, until)? })
    }
}

impl Lost {
    /// The damaged frame at this place, where its header is sound.
    pub(super) fn at(opened: &OpenedFile, salt: Salt, position: u64) -> io::Result<Option<Self>> {
        let mut window = Window::new(Arc::clone(&opened.file), opened.len);
        let Ok(header) = Header::verify(window.get(position, HEADER_LEN + PRODUCER_LEN)?, salt, position) else {
            return Ok(None);
        };
        let place = FramePlace::new(opened.header.base_frame, position);
        let records = window.get(position + header.records_at() as u64, CONTROL_RECORD_LEN_MAX)?;
        let change = Change::of_damaged(&header, records, salt, place);
        Ok(Some(Self { end: position + header.frame_len as u64, change }))
    }
}

/// Whether a sector of the frame that began at `from` has never reached the disk, so that no sync has covered it: it is all
/// zeroes where the frame had its header or its trailer, which are not. (Damage of what was synced leaves no such sectors;
/// see decision 0023.) `until`: where the next sound frame begins, or the file ends.
pub(super) fn is_unwritten(opened: &OpenedFile, salt: Salt, from: u64, until: u64) -> io::Result<bool> {
    let first_sector = from / SECTOR * SECTOR;
    if is_blank(opened, from, (first_sector + SECTOR).min(until))? {
        return Ok(true);
    }
    let Some(lost) = Lost::at(opened, salt, from)? else { return Ok(false) };
    let last_sector = (lost.end - 1) / SECTOR * SECTOR;
    if last_sector == first_sector || last_sector >= until {
        return Ok(false);
    }
    is_blank(opened, last_sector, (last_sector + SECTOR).min(until))
}

fn is_blank(opened: &OpenedFile, from: u64, until: u64) -> io::Result<bool> {
    let mut window = Window::new(Arc::clone(&opened.file), opened.len);
    let len = usize::try_from(until - from).map_err(io::Error::other)?;
    Ok(window.get(from, len)?.iter().all(|byte| *byte == 0))
}
