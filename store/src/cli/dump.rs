//! `logstore dump`: the frames in the files of a store that is not running.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use logstore_api::NamespaceName;
use logstore_api::frame::Salt;

use super::failure::{Exit, Failure};
use super::stopped::blocking;
use crate::disk::{Disk, RealDisk};
use crate::engine::escape::directory_name;
use crate::engine::namespace::Document;
use crate::log::segment;
use crate::offline::dump::{Entry, Frame, Record, dump};
use crate::offline::{OfflineError, StoppedRoot};

/// The part of the help that explains the exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  all frames are printed
  1  there is damage, which is printed too; or the files cannot be read
  2  wrong arguments, or the directory is no root of a store";

/// Print what stands in segments' files, frame by frame, damage included; changes nothing
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// One segment's file, wherever it lies
    #[arg(value_name = "FILE", required_unless_present = "root", conflicts_with = "root")]
    file: Option<PathBuf>,
    /// The root directory of a store that is not running
    #[arg(long, value_name = "DIR", requires = "namespace")]
    root: Option<PathBuf>,
    /// The namespace
    #[arg(long, value_name = "NAME", requires = "root")]
    namespace: Option<NamespaceName>,
    /// The partition
    #[arg(long, value_name = "N", default_value_t = 0, requires = "root")]
    partition: u32,
    /// Only the segment whose file has this number
    #[arg(long, value_name = "FRAME", requires = "root")]
    segment: Option<u64>,
    /// Print a JSON object per line
    #[arg(long)]
    json: bool,
    /// Print each record's lengths too; JSON always has them
    #[arg(long)]
    records: bool,
}

/// Prints.
///
/// # Errors
/// Where the files cannot be read, or hold damage.
pub async fn run(args: Args) -> Result<(), Failure> {
    blocking(move || match print(&args, &mut io::BufWriter::new(io::stdout().lock())) {
        Ok(0) => Ok(()),
        Ok(damaged) => Err(Failure::new(Exit::Refused, format!("{damaged} damaged places"))),
        // Whoever reads this has seen enough.
        Err(OfflineError::Files { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
    })
    .await
}

fn print(args: &Args, out: &mut dyn Write) -> Result<u64, OfflineError> {
    let disk = std::sync::Arc::new(RealDisk);
    let Some(root) = &args.root else {
        let file = args.file.clone().unwrap_or_default();
        return print_file(args, &*disk, &file, None, out);
    };
    // Held to the end.
    let root = StoppedRoot::take(disk, root)?;
    let name = args.namespace.as_ref().map(directory_name).unwrap_or_default();
    let dir = root.path().join("ns").join(name);
    // Without a configuration the segments' headers tell the salt.
    let salt = Document::read(&**root.disk(), &dir).ok().map(|document| document.salt());
    let dir = dir.join(args.partition.to_string());
    let names = root.disk().list(&dir).map_err(OfflineError::files(format!("list {}", dir.display())))?;
    let mut bases: Vec<u64> = names.iter().filter_map(|name| segment::parse_file_name(name)).collect();
    bases.retain(|base| args.segment.is_none_or(|only| only == *base));
    bases.sort_unstable();
    if bases.is_empty() {
        return Err(OfflineError::Refused(format!("there is no such segment in {}", dir.display())));
    }
    let file = |base| print_file(args, &**root.disk(), &dir.join(segment::file_name(base)), salt, &mut *out);
    bases.into_iter().map(file).sum()
}

fn print_file(
    args: &Args,
    disk: &dyn Disk,
    path: &std::path::Path,
    salt: Option<Salt>,
    out: &mut dyn Write,
) -> Result<u64, OfflineError> {
    let mut damaged = 0;
    let take = |entry: Entry| {
        damaged += u64::from(matches!(entry, Entry::Damage { .. } | Entry::Segment { format: None, .. }));
        if args.json {
            serde_json::to_writer(&mut *out, &entry)?;
            return writeln!(out);
        }
        write_entry(&entry, args.records, out)
    };
    let dumped = dump(disk, path, salt, take).and_then(|()| out.flush());
    dumped.map_err(OfflineError::files(format!("dump {}", path.display())))?;
    Ok(damaged)
}

fn write_entry(entry: &Entry, records: bool, out: &mut dyn Write) -> io::Result<()> {
    match entry {
        Entry::Segment { path, bytes, format: None, .. } => {
            writeln!(out, "segment {path}, {bytes} bytes: its header does not verify")
        }
        Entry::Segment { path, bytes, format, base_frame, base_offset, created, .. } => {
            let [format, frame, offset] =
                [format.map(u64::from), *base_frame, *base_offset].map(Option::unwrap_or_default);
            let created = created.unwrap_or_default();
            writeln!(
                out,
                "segment {path}, {bytes} bytes: format {format}, frame {frame}, offset {offset}, created {created}"
            )
        }
        Entry::Frame(frame) => write_frame(frame, records, out),
        Entry::Damage { from, until, at_end, header } => {
            let what = if *at_end { ", nothing sound follows" } else { "" };
            writeln!(out, "{from:>12} DAMAGE of {} bytes{what}", until - from)?;
            header.iter().try_for_each(|frame| write_frame(frame, true, out))
        }
    }
}

fn write_frame(frame: &Frame, records: bool, out: &mut dyn Write) -> io::Result<()> {
    let Frame { position, kind, len, number, base_offset, time, epoch, record_count, checksum, producer, .. } = frame;
    write!(out, "{position:>12} {kind} frame {number} offset {base_offset} time {time} epoch {epoch} len {len}")?;
    write!(out, " records {record_count} checksum {}", checksum.as_deref().unwrap_or("BAD"))?;
    for (name, value) in [("producer", producer), ("body", &frame.body)] {
        if let Some(value) = value {
            write!(out, " {name} {value}")?;
        }
    }
    writeln!(out)?;
    for Record { position, data_len, alloc_len, meta_len, erased, sound } in frame.records.iter().filter(|_| records) {
        let sound = match (sound, erased) {
            (true, true) => "erased",
            (true, false) => "sound",
            (false, _) => "BAD",
        };
        writeln!(out, "{position:>16} record data {data_len} alloc {alloc_len} meta {meta_len} {sound}")?;
    }
    Ok(())
}
