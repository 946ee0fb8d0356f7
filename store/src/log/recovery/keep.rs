//! What is kept in quarantine before it is cut off or replaced.

use std::io;
use std::path::{Path, PathBuf};

use logstore_api::Timestamp;

use super::{OpenedFile, Site, sync_parents};
use crate::disk::{self, DiskFile, Open};
use crate::log::segment::Segment;

/// Copies what stands behind the last sound frame into quarantine, then cuts it off.
pub(super) fn quarantine(site: &Site, active: &OpenedFile, end: u64) -> io::Result<()> {
    let kept = keep(site, &*active.file, active.header.base_frame, end, active.len)?;
    active.file.truncate(end)?;
    tracing::warn!(path = %active.path.display(), end, bytes = active.len - end, kept = %kept.display(), "a torn tail was cut off and kept");
    Ok(())
}

/// Copies a whole segment, which is about to be replaced, into quarantine.
pub fn keep_copy(site: &Site, segment: &Segment) -> io::Result<()> {
    let len = segment.file().size()?;
    let kept = keep(site, &**segment.file(), segment.header.base_frame, 0, len)?;
    tracing::warn!(path = %segment.path().display(), kept = %kept.display(), "a damaged segment without frames is replaced; it was kept");
    Ok(())
}

/// Copies a range of a log file into quarantine; where to.
pub fn keep(site: &Site, file: &dyn DiskFile, base_frame: u64, from: u64, until: u64) -> io::Result<PathBuf> {
    let kept = place(site, base_frame, from)?;
    let copy = site.disk.open(&kept, Open::Create)?;
    let result = file.copy_range(&*copy, from, until);
    if let Err(error) = result.and_then(|()| copy.sync_data()) {
        // Half a copy is no copy; the original is still whole.
        let _ = site.disk.remove_file(&kept);
        return Err(error);
    }
    sync_parents(&*site.disk, &site.quarantine)?;
    Ok(kept)
}

/// Moves a segment into quarantine that has the name of another. A disk that is full or read-only keeps it where it is.
pub(super) fn set_aside(site: &Site, path: &Path, base_frame: u64, of_frame: u64) -> io::Result<()> {
    let moved = place(site, base_frame, 0).and_then(|kept| {
        site.disk.rename(path, &kept)?;
        sync_parents(&*site.disk, &site.quarantine)?;
        site.disk.sync_dir(&site.dir)?;
        Ok(kept)
    });
    match moved {
        Ok(kept) => {
            tracing::error!(path = %path.display(), of_frame, kept = %kept.display(), "a segment has the name of another: it was set aside");
            Ok(())
        }
        Err(error) if disk::is_full(&error) => {
            tracing::error!(path = %path.display(), of_frame, "a segment has the name of another: it is passed over");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// A place in quarantine for what stood there in a segment.
fn place(site: &Site, base_frame: u64, from: u64) -> io::Result<PathBuf> {
    site.disk.create_dir(&site.quarantine)?;
    Ok(site.quarantine.join(format!("{}-{base_frame:020}-{from}-{}.tail", site.label, Timestamp::now().0)))
}
