//! `logstore verify`: look through the files of a store that is not running.

use logstore_api::NamespaceName;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::stopped::{BYTES, RootArgs, blocking, progress_bar};
use crate::offline::verify::{Counts, Fault, Findings, Severity, verify};

/// The part of the help that explains the exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  sound: every record can be read, apart from holes that the log knows
  1  damage, or the root cannot be read: a store is running on it, there is no such namespace
  2  wrong arguments, or the directory is no root of a store";

/// Verify every byte of a stopped store's logs; changes nothing
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    root: RootArgs,
    /// Only this namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<NamespaceName>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Verifies.
///
/// # Errors
/// Where something is damaged, or the files cannot be read.
pub async fn run(args: Args) -> Result<(), Failure> {
    let shown = args.root.root.display().to_string();
    let json = args.json;
    let findings = blocking(move || look(&args)).await?;
    let text = if json { as_json(&findings) } else { report(&findings) };
    Output::new().write(text.as_bytes()).await?;
    let damaged = findings.count(Severity::Damage);
    if damaged > 0 {
        return Err(Failure::new(Exit::Refused, format!("{damaged} damaged places in {shown}; the rest can be read")));
    }
    Ok(())
}

fn look(args: &Args) -> Result<Findings, Failure> {
    let root = args.root.take()?;
    let bar = progress_bar(BYTES);
    let findings = verify(&root, args.namespace.as_ref(), |bytes, total| {
        bar.set_length(total);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    Ok(findings?)
}

fn as_json(findings: &Findings) -> String {
    #[derive(serde::Serialize)]
    struct Report<'a> {
        sound: bool,
        #[serde(flatten)]
        findings: &'a Findings,
    }
    let report = Report { sound: findings.count(Severity::Damage) == 0, findings };
    serde_json::to_string(&report).map_or_else(|error| error.to_string(), |json| json + "\n")
}

fn report(findings: &Findings) -> String {
    let Findings { total, namespaces, faults, more_faults, at_start } = findings;
    let mut text = String::new();
    for Fault { path, position, severity, what } in faults {
        let severity = match severity {
            Severity::Damage => "damage",
            Severity::Hole => "hole",
            Severity::Note => "note",
        };
        text.push_str(&format!("{severity}: {} at byte {position}: {what}\n", path.display()));
    }
    if *more_faults > 0 {
        text.push_str(&format!("and {more_faults} more\n"));
    }
    for act in at_start {
        text.push_str(&format!("the next start would {act}\n"));
    }
    let Counts { segments, frames, records, bytes } = total;
    let namespaces = namespaces.len();
    text.push_str(&format!(
        "verified {records} records in {frames} frames, {segments} segments, {namespaces} namespaces, {bytes} bytes\n"
    ));
    text
}
