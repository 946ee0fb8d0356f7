//! Writing again what a log's frames tell: segments' headers and side files. For a log that nobody is using.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::cursor::FRAMES_AT;
use super::find::side;
use super::recovery::{self, Site};
use super::segment::{self, Segment};

/// Mends a log's segments, oldest first, the last of which is active. What a header said is kept in quarantine.
pub fn mend(site: &Site, segments: &[Arc<Segment>]) -> io::Result<()> {
    for segment in segments {
        mend_header(site, segment)?;
    }
    for pair in segments.windows(2) {
        let (sealed, next) = (&pair[0], &pair[1]);
        if !is_whole(site, sealed) {
            sealed.seal(&next.header)?;
        }
    }
    Ok(())
}

fn is_whole(site: &Site, sealed: &Segment) -> bool {
    let (disk, path) = (&*site.disk, sealed.path());
    let Some(seal) = segment::read_seal(disk, path) else { return false };
    let seed = side::seed(site.salt, sealed.header.base_frame);
    side::damaged_files(disk, path, seed, Some(&seal.files)).is_empty() && side::are_there(disk, path, &seal.files)
}

/// A damaged header is written in place: what stands there is of no use, and a half-written one is a damaged one again.
fn mend_header(site: &Site, segment: &Segment) -> io::Result<()> {
    let file = segment.file();
    if segment::read_header(&**file)?.is_some_and(|header| header.base_frame == segment.header.base_frame) {
        return Ok(());
    }
    recovery::keep(site, &**file, segment.header.base_frame, 0, FRAMES_AT.min(file.size()?))?;
    file.write_all_at(&mut [IoSlice::new(&segment.header.encode())], 0)?;
    file.sync_data()
}
