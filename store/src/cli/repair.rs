//! `logstore repair`: mend the files of a store that is not running.

use logstore_api::NamespaceName;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::stopped::{RootArgs, blocking};
use crate::offline::repair::{Report, plan, repair};

/// The part of the help that explains the exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do; without --yes: this is what would be done
  1  something could not be mended, or the root cannot be read
  2  wrong arguments, or the directory is no root of a store";

/// Mend a stopped store's files: torn tails, segments' headers, side files. Says what it would do; does it with --yes
///
/// Nothing is deleted: what is cut off or written over is kept in quarantine. Records that are damaged stay damaged.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    root: RootArgs,
    /// Only this namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<NamespaceName>,
    /// Do it
    #[arg(long)]
    yes: bool,
}

/// Repairs.
///
/// # Errors
/// Where the root cannot be read, or a log cannot be mended.
pub async fn run(args: Args) -> Result<(), Failure> {
    let yes = args.yes;
    let Report { acts, failures } = blocking(move || {
        let (root, only) = (args.root.take()?, args.namespace.as_ref());
        Ok(if args.yes { repair(root, only)? } else { plan(&root, only)? })
    })
    .await?;
    let mut text: String = acts.iter().map(|act| format!("{act}\n")).collect();
    text.push_str(match (acts.is_empty(), yes) {
        (true, _) => "nothing to mend\n",
        (false, true) => "done; logstore verify tells what is left\n",
        (false, false) => "nothing was changed; give --yes to do this\n",
    });
    Output::new().write(text.as_bytes()).await?;
    if failures.is_empty() { Ok(()) } else { Err(Failure::new(Exit::Refused, failures.join("; "))) }
}
