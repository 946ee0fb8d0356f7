//! `logstore bench`: load for a store, and what it makes of it.
//!
//! ```text
//! options → target (is it a store?) → namespaces → for each work: assembly → crew → report
//!
//! crew: threads, each with connections   schedule → work (request) → connection → answer → work (judge) → tally
//! ```
//! The load shares the machine with the store that it measures, so it has to be cheap: requests are bytes that are copied
//! together, answers are parsed where they were received, and nothing is allocated for either.

mod options;
mod target;

mod namespaces;
mod signals;

mod assembly;
mod course;
mod crew;
mod measure;

mod drive;
mod follow;
mod pacer;
mod schedule;

mod payload;
mod refusal;
mod request;
mod work;

mod answer;
mod connection;

mod report;
mod tally;

use std::io::Write;

use self::assembly::Assembly;
use self::course::Reason;
use self::measure::measure;
use self::namespaces::Namespaces;
use self::options::{Format, Options};
use self::report::Report;
use self::request::Renderer;
use self::signals::Signals;
use self::target::Server;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::stopped::progress_bar;

/// The part of the help that explains the exit codes.
const EXIT_CODES: &str = "\
Exit codes:
  0  all works have come to their end
  1  one was stopped by the store, a full disk or a signal, and its results are marked as partial; or what was read is not
     what was written
  2  wrong arguments
  4  no store answers, or it went away in the middle";

const RECORD_BYTES_DEFAULT: usize = 100;
const BATCH_DEFAULT: u64 = 100;
const GET_DEFAULT: u64 = 100;
const CONNECTIONS_DEFAULT: u64 = 16;
const FOLLOWERS_DEFAULT: u64 = 4;
/// Connections times namespaces: each pair may have a sequence of its own.
const PAIRS_MAX: u64 = 10_000_000;
/// Bytes of requests that can be in flight at once.
const IN_FLIGHT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How namespaces go by.
const NAMESPACES: &str = "{prefix} {bar:40} {pos}/{len} namespaces";

/// Load a store and measure it: throughput, and latency as a histogram
///
/// Works run one after the other on the same namespaces: `logstore bench append scan` reads what it has written. Records
/// hold a seed, a number and a checksum, and what is read is checked. Namespaces that are not there are made and stay,
/// unless --cleanup is given. Ctrl-C ends the load at once; what was measured by then is printed, and marked.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    options: Box<Options>,
}

/// Loads.
///
/// # Errors
/// Where no store answers, where a work ended before its time, or where something was read that is not what was written.
pub async fn run(args: Args) -> Result<(), Failure> {
    let Args { options } = args;
    options.check()?;
    let signals = Signals::watch().map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
    let mut namespaces = Namespaces::named(&options.namespace, options.namespaces)?;
    let server = signals.or_interrupted(Server::find(&options)).await?;
    tokio::select! {
        done = load_and_leave(&options, &server, &mut namespaces, &signals) => done,
        () = signals.insisted() => {
            Err(Failure::new(Exit::Refused, "interrupted twice; namespaces that were made for the load may be left"))
        }
    }
}

async fn load_and_leave(
    options: &Options,
    server: &Server,
    namespaces: &mut Namespaces,
    signals: &Signals,
) -> Result<(), Failure> {
    let loaded = load(options, server, namespaces, signals).await;
    let left = leave(options, server, namespaces).await;
    loaded.and(left)
}

/// All works, up to the first that does not come to its end.
async fn load(
    options: &Options,
    server: &Server,
    namespaces: &mut Namespaces,
    signals: &Signals,
) -> Result<(), Failure> {
    if options.works.iter().any(|kind| kind.appends()) {
        let bar = progress_bar(NAMESPACES).with_prefix("making");
        namespaces.make(&server.store, &bar, || signals.is_interrupted()).await?;
        bar.finish_and_clear();
    }
    let seed = options.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().1);
    for (number, kind) in options.works.iter().copied().enumerate() {
        let spans = namespaces.spans(&server.store, kind.needs_records());
        let spans = signals.or_interrupted(spans).await?.into();
        let renderer = Renderer { host: &server.host, namespaces: &namespaces.names };
        let assembly = Assembly { options, kind, number: number as u64, seed, renderer, spans };
        let (report, reason) = measure(&assembly, server, signals).await?;
        let text = if options.output == Format::Json { report.json() } else { report.text() };
        Output::new().write(text.as_bytes()).await?;
        if let Some(Reason { exit, message, .. }) = reason {
            let skipped = options.works.len() - number - 1;
            let failure = Failure::new(exit, format!("{} did not come to its end: {message}", kind.word()));
            return Err(if skipped > 0 { failure.and(format!("{skipped} works were left out")) } else { failure });
        }
        report.check()?;
    }
    Ok(())
}

impl Report {
    /// Everything that was read must be what was written, and everything that was written must have come.
    fn check(&self) -> Result<(), Failure> {
        let (work, wrong, undelivered) = (self.work.word(), self.wrong, self.undelivered.unwrap_or_default());
        let refused = |message: String| Err(Failure::new(Exit::Refused, message));
        match (wrong, undelivered) {
            (0, 0) => Ok(()),
            (0, _) => refused(format!("{work}: {undelivered} records have not come to their followers")),
            _ => {
                refused(format!("{work}: {wrong} records are not what was written; run `logstore verify` on the store"))
            }
        }
    }
}

/// Namespaces stay, unless it was asked to remove those that were made.
async fn leave(options: &Options, server: &Server, namespaces: &mut Namespaces) -> Result<(), Failure> {
    let created = namespaces.created();
    if created == 0 {
        return Ok(());
    }
    let said = if options.cleanup {
        let bar = progress_bar(NAMESPACES).with_prefix("removing");
        let removed = namespaces.remove(&server.store, &bar).await;
        bar.finish_and_clear();
        format!("namespaces that were made for the load are removed: {}", removed?)
    } else {
        let (first, more) = (namespaces.first_created(), if created > 1 { "…" } else { "" });
        format!(
            "namespaces that were made for the load stay: {created} ({first}{more}); --cleanup removes those of its run"
        )
    };
    // Results alone go to standard output.
    let _ = writeln!(std::io::stderr(), "logstore: {said}");
    Ok(())
}
