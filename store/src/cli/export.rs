//! `logstore export`: a namespace of a store that is not running, as lines that `logstore import` takes.

use std::io::{self, ErrorKind, Write};

use logstore_api::NamespaceName;

use super::failure::{Exit, Failure};
use super::stopped::{RECORDS, RootArgs, blocking, progress_bar};
use crate::offline::OfflineError;
use crate::offline::export::plain::{self, Plain};
use crate::offline::export::{Exported, Json, export};

/// The part of the help that explains the exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  everything is exported
  1  damaged records are left out, where the export says so; or the root cannot be read
  2  wrong arguments, or the directory is no root of a store";

/// Write a namespace of a stopped store to standard output; changes nothing
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    root: RootArgs,
    /// The namespace
    #[arg(long, value_name = "NAME")]
    namespace: NamespaceName,
    /// How it is written; all but lines lose what is not payload
    #[arg(long, value_enum, default_value_t = Format::Lines)]
    format: Format,
    /// The partition, for a form that holds one
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A JSON object per line, with everything: what import takes
    Lines,
    /// kaf's own file
    Kaf,
    /// The payloads, one after the other
    Raw,
}

/// Exports.
///
/// # Errors
/// Where the files cannot be read, or records are damaged.
pub async fn run(args: Args) -> Result<(), Failure> {
    blocking(move || match write(&args, &mut io::BufWriter::new(io::stdout().lock())) {
        Ok(Exported { damaged: 0, .. }) => Ok(()),
        Ok(Exported { records, damaged, .. }) => {
            let what = format!("{damaged} records are damaged and left out; {records} are exported");
            Err(Failure::new(Exit::Refused, what))
        }
        // Whoever reads this has seen enough.
        Err(OfflineError::Files { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
    })
    .await
}

fn write(args: &Args, out: &mut impl Write) -> Result<Exported, OfflineError> {
    let root = args.root.take()?;
    let rehearsal = root.rehearse()?;
    let bar = progress_bar(RECORDS);
    let mut progress = |count| bar.set_position(count);
    let form = match args.format {
        Format::Lines if args.partition.is_some() => {
            return Err(OfflineError::Refused("lines hold all partitions; leave --partition out".to_owned()));
        }
        Format::Lines => None,
        Format::Kaf => Some(Plain::Kaf),
        Format::Raw => Some(Plain::Raw),
    };
    let exported = match form {
        None => export(&rehearsal, &args.namespace, &mut Json(&mut *out), &mut progress)?,
        Some(form) => {
            let namespace = rehearsal.namespace(&args.namespace)?;
            let number = namespace.partition_named(args.partition)?;
            let partitions = rehearsal.partitions(&namespace, Some(number))?;
            let (_, partition) = partitions.first().ok_or_else(|| OfflineError::Refused("no partition".to_owned()))?;
            plain::export(partition, form, out, &mut progress)?
        }
    };
    out.flush().map_err(OfflineError::files("write the export"))?;
    bar.finish_and_clear();
    Ok(exported)
}
