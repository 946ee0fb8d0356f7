//! Exports that keep the payloads alone: kaf's file, and raw bytes.

use std::io::{self, Write};
use std::sync::Arc;

use super::Exported;
use crate::log::Partition;
use crate::log::read::Flow;
use crate::offline::root::{OfflineError, quietly, whole_range};
use crate::offline::walk::{Gap, Missing, Piece, walk};

/// A form that loses all but the payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// kaf's own file: `KAF_DB|v1|START`, then `\nKAF_MSG|NUMBER|BYTES\n` and the payload of each. Numbers are one
    /// higher than offsets, and 32 bits wide.
    Kaf,
    /// The payloads, one after the other.
    Raw,
}

/// Writes one partition; `progress` is told of records.
pub fn export(
    partition: &Arc<Partition>,
    form: Plain,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<Exported, OfflineError> {
    let mut exported = Exported::default();
    let range = whole_range(partition);
    if form == Plain::Kaf && range.until > u64::from(u32::MAX) {
        let what = format!("kaf numbers records with 32 bits; this log goes up to {}", range.until);
        return Err(OfflineError::Refused(what));
    }
    let failed = || OfflineError::files("write the export");
    if form == Plain::Kaf {
        write!(out, "KAF_DB|v1|{}", range.from).map_err(failed())?;
    }
    let take = |piece: Piece<'_>| -> io::Result<Flow> {
        match piece {
            Piece::Record(record) => {
                if form == Plain::Kaf {
                    write!(out, "\nKAF_MSG|{}|{}\n", record.offset + 1, record.data().len())?;
                }
                out.write_all(record.data())?;
                exported.records += 1;
                progress(exported.records);
            }
            Piece::Gap(Gap { from, until, why: Missing::Damaged }) => exported.damaged += until - from,
            Piece::Gap(Gap { from, until, why: Missing::Erased }) => exported.erased += until - from,
        }
        Ok(Flow::Continue)
    };
    quietly(|| walk(partition, range, take)).map_err(failed())?;
    Ok(exported)
}
