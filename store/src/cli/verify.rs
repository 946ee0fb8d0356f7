//! `logstore verify`: look through the files of a store that is not running.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use logstore_api::NamespaceName;

use super::failure::{EXIT_CODES, Exit, Failure};
use super::output::Output;
use crate::disk::{Disk, RealDisk};
use crate::engine::verify::{Fault, Findings, Severity, verify};

/// Verify every byte of a stopped store's logs; changes nothing
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The store's root directory
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Only this namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<NamespaceName>,
}

/// Verifies.
///
/// # Errors
/// Where something is damaged, or the files cannot be read.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { root, namespace } = args;
    let shown = root.display().to_string();
    let looked = tokio::task::spawn_blocking(move || look(&root, namespace.as_ref())).await;
    let findings = looked.map_err(|error| Failure::new(Exit::Refused, error.to_string()))??;
    Output::new().write(report(&findings).as_bytes()).await?;
    let damaged = findings.faults.iter().filter(|fault| fault.severity == Severity::Damage).count();
    if damaged > 0 {
        return Err(Failure::new(Exit::Refused, format!("{damaged} damaged places in {shown}; the rest can be read")));
    }
    Ok(())
}

fn look(root: &Path, only: Option<&NamespaceName>) -> Result<Findings, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let failed =
        |error: std::io::Error| Failure::new(Exit::Refused, format!("failed to read {}: {error}", root.display()));
    if disk.list(&root.join("ns")).is_err() {
        let what = format!("{} is no root of a store: it has no directory ns", root.display());
        return Err(Failure::new(Exit::Usage, what));
    }
    let Some(_lock) = disk.lock(&root.join("LOCK")).map_err(failed)? else {
        let what = format!("a store is running on {}; stop it first, or verify a copy of the files", root.display());
        return Err(Failure::new(Exit::Refused, what));
    };
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    let findings = verify(&disk, root, only, |bytes, total| {
        bar.set_length(total);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    let findings = findings.map_err(failed)?;
    match only {
        Some(name) if findings.namespaces == 0 => {
            Err(Failure::new(Exit::Refused, format!("there is no namespace {:?} in {}", name.as_str(), root.display())))
        }
        _ => Ok(findings),
    }
}

fn report(findings: &Findings) -> String {
    let Findings { namespaces, segments, frames, records, bytes, faults } = findings;
    let mut text = String::new();
    for Fault { path, position, severity, what } in faults {
        let severity = match severity {
            Severity::Damage => "damage",
            Severity::Note => "note",
        };
        text.push_str(&format!("{severity}: {} at byte {position}: {what}\n", path.display()));
    }
    text.push_str(&format!(
        "verified {records} records in {frames} frames, {segments} segments, {namespaces} namespaces, {bytes} bytes\n"
    ));
    text
}
