//! `logstore repair`: mend the files of a store that is not running.

use std::path::{Path, PathBuf};

use logstore_api::{NamespaceConfig, NamespaceName};
use uuid::Uuid;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::stopped::{RootArgs, blocking};
use crate::disk::{Disk, RealDisk};
use crate::engine::namespace::DOCUMENT_MAX;
use crate::offline::repair::config::{NewConfig, restore};
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
    /// Write the namespace's configuration again, which is damaged, from this JSON file; the segments tell its salt
    #[arg(long, value_name = "FILE", requires = "namespace")]
    config: Option<PathBuf>,
    /// The incarnation that the namespace had; a new one where left out
    #[arg(long, value_name = "ID", requires = "config")]
    incarnation: Option<Uuid>,
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
    let report = blocking(move || mend(&args)).await?;
    Output::new().write(text(&report, yes).as_bytes()).await?;
    let Report { undone, mut failures, acts: _ } = report;
    if !undone.is_empty() {
        failures.insert(0, format!("{} changes could not be made", undone.len()));
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::new(Exit::Refused, failures.join("; "))) }
}

fn text(report: &Report, yes: bool) -> String {
    let Report { acts, undone, failures } = report;
    let mut text: String = acts.iter().map(|act| format!("{act}\n")).collect();
    text.extend(undone.iter().map(|act| format!("not done: {act}\n")));
    let mended = undone.is_empty() && failures.is_empty();
    text.push_str(match (acts.is_empty(), yes) {
        (true, _) if mended => "nothing to mend\n",
        (false, true) if mended => "done; logstore verify tells what is left\n",
        (true, false) => "nothing that can be mended in this way\n",
        (false, false) => "nothing was changed; give --yes to do this\n",
        (_, true) => "not all of it could be mended; logstore verify tells what is left\n",
    });
    text
}

fn mend(args: &Args) -> Result<Report, Failure> {
    let Args { root, namespace, config, incarnation, yes } = args;
    let root = root.take()?;
    let mut acts = Vec::new();
    if let (Some(name), Some(file)) = (namespace, config) {
        let new = NewConfig { name: name.clone(), config: read_config(file)?, incarnation: *incarnation };
        acts.push(restore(&root, new, *yes)?);
        if !yes {
            // The rest is known only when there is a configuration.
            return Ok(Report { acts, ..Report::default() });
        }
    }
    let mended = if *yes { repair(root, namespace.as_ref())? } else { plan(&root, namespace.as_ref())? };
    acts.extend(mended.acts);
    Ok(Report { acts, ..mended })
}

fn read_config(file: &Path) -> Result<NamespaceConfig, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, format!("--config {}: {why}", file.display()));
    let disk: &dyn Disk = &RealDisk;
    let bytes = disk.read(file, DOCUMENT_MAX).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}
