//! `logstore cat`: records from the files of a store that is not running.

use std::io::{self, ErrorKind, Write};

use logstore_api::NamespaceName;

use super::failure::{Exit, Failure};
use super::stopped::{RECORDS, RootArgs, blocking, progress_bar};
use crate::http::accept::Form;
use crate::http::read::print::Printer;
use crate::log::read::{Flow, Range};
use crate::offline::OfflineError;
use crate::offline::root::{Rehearsal, quietly, whole_range};
use crate::offline::walk::{Gap, Missing, Piece, walk};

/// The part of the help that explains the exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  all records that were asked for are printed
  1  some are damaged and left out, as standard error says; or the root cannot be read
  2  wrong arguments, or the directory is no root of a store";

/// Print the records of a stopped store, damaged ones left out; changes nothing
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    root: RootArgs,
    /// The namespace
    #[arg(long, value_name = "NAME")]
    namespace: NamespaceName,
    /// Only this partition; all of them, one after the other, where left out
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// The first offset; the first that is there where left out
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// The first offset not wanted any more; all where left out
    #[arg(long, value_name = "OFFSET", default_value_t = u64::MAX, hide_default_value = true)]
    until: u64,
    /// Stop after so many records
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// What is printed of each record
    #[arg(long, value_enum, default_value_t = Format::Envelope)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A JSON object per line, with everything that is known of the record
    Envelope,
    /// The payload and a line end
    Text,
    /// The payloads, one after the other
    Raw,
}

/// Prints.
///
/// # Errors
/// Where the files cannot be read, or records are damaged.
pub async fn run(args: Args) -> Result<(), Failure> {
    blocking(move || cat(&args, &mut io::BufWriter::new(io::stdout().lock()))).await
}

/// What has been printed, and what could not be.
#[derive(Debug, Default)]
struct Printed {
    records: u64,
    damaged: u64,
}

fn cat(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let root = args.root.take()?;
    let rehearsal = root.rehearse()?;
    let bar = progress_bar(RECORDS);
    let mut printed = Printed::default();
    let mut tell = |count: u64| bar.set_position(count);
    let result = print(args, &rehearsal, out, &mut printed, &mut tell);
    bar.finish_and_clear();
    match result {
        // Whoever reads this has seen enough.
        Err(OfflineError::Files { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) if printed.damaged > 0 => {
            let Printed { records, damaged } = printed;
            Err(Failure::new(Exit::Refused, format!("{damaged} records are damaged; {records} were printed")))
        }
        Ok(()) => Ok(()),
    }
}

fn print(
    args: &Args,
    rehearsal: &Rehearsal,
    out: &mut dyn Write,
    printed: &mut Printed,
    progress: &mut dyn FnMut(u64),
) -> Result<(), OfflineError> {
    let namespace = rehearsal.namespace(&args.namespace)?;
    let mut line = Vec::new();
    for (number, partition) in rehearsal.partitions(&namespace, args.partition)? {
        let printer =
            Printer { form: form(args.format), all_meta: true, partition: number, indices: namespace.indices() };
        let range = whole_range(&partition);
        let range = Range { from: args.from.max(range.from), until: args.until.min(range.until) };
        let take = |piece: Piece<'_>| match piece {
            _ if printed.records >= args.limit => Ok(Flow::Stop),
            Piece::Record(record) => {
                line.clear();
                printer.print(&mut line, record);
                out.write_all(&line)?;
                printed.records += 1;
                progress(printed.records);
                Ok(Flow::Continue)
            }
            Piece::Gap(gap) => {
                printed.damaged += damaged(number, gap)?;
                Ok(Flow::Continue)
            }
        };
        quietly(|| walk(&partition, range, take)).map_err(OfflineError::files("print the records"))?;
    }
    out.flush().map_err(OfflineError::files("print the records"))
}

/// Says which records cannot be had; how many.
fn damaged(partition: u32, Gap { from, until, why }: Gap) -> io::Result<u64> {
    if why == Missing::Erased {
        return Ok(0);
    }
    writeln!(io::stderr(), "logstore: records {from} to {until} of partition {partition} are damaged")?;
    Ok(until - from)
}

fn form(format: Format) -> Form {
    match format {
        Format::Envelope => Form::Envelopes,
        Format::Text => Form::Text,
        Format::Raw => Form::Octets,
    }
}
