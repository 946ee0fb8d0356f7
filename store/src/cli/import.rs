//! `logstore import`: make a namespace from an export, in the root of a store that is not running.

use std::io;

use logstore_api::NamespaceName;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::stopped::{READ, RootArgs, blocking, progress_bar};
use crate::offline::import::{Imported, import};
use crate::offline::root::OfflineError;

/// The part of the help that explains the exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  imported, and read back
  1  refused, and nothing was changed: the namespace exists, the export is cut or wrong (the message names line and field)
  2  wrong arguments, or the directory is no root of a store";

/// Make a namespace from an export on standard input, in the root of a stopped store
///
/// Offsets, times, keys, tags, reserved space, producers and what was appended together stay as they were. The namespace
/// is new: it has another incarnation.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    root: RootArgs,
    /// The name of the new namespace; that of the exported one where left out
    #[arg(long, value_name = "NAME")]
    namespace: Option<NamespaceName>,
    /// Make the root, where there is none
    #[arg(long)]
    new_root: bool,
}

/// Imports.
///
/// # Errors
/// Where the namespace exists, the lines are no export, or the files cannot be written.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Imported { name, records, missing } = blocking(move || read(&args)).await?;
    let missing = if missing > 0 { format!(", and {missing} offsets without one") } else { String::new() };
    let text = format!("imported {records} records into {:?}{missing}\n", name.as_str());
    Output::new().write(text.as_bytes()).await.map(|_| ())
}

fn read(args: &Args) -> Result<Imported, Failure> {
    let root = if args.new_root { args.root.take_or_make()? } else { args.root.take().map_err(with_hint)? };
    let bar = progress_bar(READ);
    let imported = import(&root, &mut io::stdin().lock(), args.namespace.clone(), &mut |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    Ok(imported?)
}

fn with_hint(error: OfflineError) -> Failure {
    match error {
        OfflineError::NoRoot(_) => Failure::new(Exit::Usage, format!("{error}; --new-root makes one")),
        error => error.into(),
    }
}
