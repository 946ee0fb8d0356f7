//! `logstore append`: lines of a file or a pipe, each a record.
//!
//! ```text
//! input (a thread reads lines) → pump: one batch after the other → sink: one store, or a writer over all copies
//!                                                                   ↓ what is out
//!                                             collect: acknowledged in order → ledger, offsets, progress
//! ```

mod input;
mod ledger;
mod sink;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use logstore_api::limits::BATCH_RECORDS_MAX;
use logstore_api::{Durability, NamespaceName};
use logstore_client::error::chain;
use logstore_client::{Retries, Timeouts};
use tokio::sync::{mpsc, watch};

use self::input::{Batch, Input, Shape};
use self::ledger::Ledger;
use self::sink::{SendError, Sent, Sink};
use super::duration;
use super::failure::{EXIT_CODES, Exit, Failure};
use super::interrupt::Interrupts;
use super::output::{Output, Reader};
use super::target::Target;

/// Batches that are out at once, at most; their bytes are bounded by the writer's window.
const OUT_MAX: usize = 1024;
/// How often a bar of unknown length moves.
const TICK: Duration = Duration::from_millis(100);

/// Append the lines of a file or of standard input to a namespace, one record each
///
/// Lines are sent as they come. One server is a store that orders by itself: each batch carries a sequence number, so that
/// a retry stores nothing twice. Two or more are the copies of one namespace: this command becomes its writer and puts each
/// record at the same offset on all of them. Ctrl-C ends the input: what was read is still appended.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The namespace
    namespace: NamespaceName,
    #[command(flatten)]
    target: Target,
    /// Where the lines come from; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// What a line is
    #[arg(long, value_enum, default_value_t = Format::Lines)]
    format: Format,
    /// Tag of each record; may be given often
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Key of each record
    #[arg(long)]
    key: Option<String>,
    /// Partition of each record; may be left out where there is one, or where one store can tell it from the key
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// When a record is acknowledged; as the namespace says where left out
    #[arg(long, value_enum)]
    durability: Option<Level>,
    /// Records in a batch, at most; a batch is stored whole or not at all
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = parse_batch)]
    batch: usize,
    /// Print the first offset and the count of each batch when it is acknowledged, in place of a summary
    #[arg(long)]
    offsets: bool,
    /// How long to go on while a store is away
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The payload of a record
    Lines,
    /// A JSON object with data or data_b64, and key, tags, alloc if wanted
    Ndjson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// When it survives a power loss
    Synced,
    /// When it survives the end of the process
    Written,
}

fn parse_batch(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=BATCH_RECORDS_MAX).contains(count));
    count.ok_or_else(|| format!("give 1 to {BATCH_RECORDS_MAX}"))
}

/// Appends.
///
/// # Errors
/// Says how many records are acknowledged, where in the input to go on, and which lines are in doubt.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut interrupts = Interrupts::catch().map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
    let input = args.open_input().await?;
    let sink = tokio::select! {
        sink = args.open_sink() => sink?,
        () = interrupts.next() => {
            return Err(Failure::new(Exit::Unreachable, "interrupted before anything was appended"));
        }
    };
    let (ledger, stores) = (Mutex::new(Ledger::new()), sink.stores());
    let (stop, stopped) = watch::channel(());
    let done = tokio::select! {
        done = append_all(input, sink, &ledger, stopped, args.offsets) => done,
        () = insisted(&mut interrupts, &stop) => Err(Failure::new(Exit::Refused, "interrupted twice")),
    };
    let ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.map_err(|reason| ledger.account(reason))?;
    if !args.offsets {
        Output::new().write(format!("{}\n", ledger.summary(&stores)).as_bytes()).await?;
    }
    Ok(())
}

/// Asks for the end at the first interrupt, and returns at the second.
async fn insisted(interrupts: &mut Interrupts, stop: &watch::Sender<()>) {
    interrupts.next().await;
    stop.send_replace(());
    interrupts.next().await;
}

/// Everything between the first line and the last acknowledgement.
async fn append_all(
    input: Input,
    mut sink: Sink,
    ledger: &Mutex<Ledger>,
    stopped: watch::Receiver<()>,
    print_offsets: bool,
) -> Result<(), Failure> {
    let bar = progress_bar(input.len);
    let (sent, out) = mpsc::channel(OUT_MAX);
    let (pumped, collected) =
        tokio::join!(pump(input, &mut sink, sent, ledger, stopped), collect(out, ledger, print_offsets, &bar));
    let closed = sink.close().await;
    bar.finish_and_clear();
    // A writer that stopped says so everywhere; what happened first is said first.
    collected.and(pumped).and(closed)
}

/// Sends what the input brings, until its end, an interrupt, or a failure.
async fn pump(
    mut input: Input,
    sink: &mut Sink,
    sent: mpsc::Sender<Sent>,
    ledger: &Mutex<Ledger>,
    mut stopped: watch::Receiver<()>,
) -> Result<(), Failure> {
    let mut is_stopped = false;
    loop {
        let batch = tokio::select! {
            batch = input.next() => batch,
            _ = stopped.changed(), if !is_stopped => {
                is_stopped = true;
                input.stop();
                continue;
            }
            // Whoever waits for the answers has met a failure, and says which.
            () = sent.closed() => return Ok(()),
        };
        let batch = match batch {
            None => return Ok(()),
            Some(batch) => batch.map_err(|error| Failure::new(Exit::Refused, chain(&error)))?,
        };
        let out = send(sink, &batch, ledger).await?;
        if sent.send(out).await.is_err() {
            return Ok(());
        }
    }
}

async fn send(sink: &mut Sink, batch: &Batch, ledger: &Mutex<Ledger>) -> Result<Sent, Failure> {
    lock(ledger).sending(batch.next_line());
    sink.send(batch).await.map_err(|error| match error {
        SendError::InDoubt(failure) => failure,
        SendError::NotSent(failure) => {
            lock(ledger).not_sent(batch.first_line);
            failure
        }
    })
}

/// Waits for the answers, in order, and tells of each.
async fn collect(
    mut out: mpsc::Receiver<Sent>,
    ledger: &Mutex<Ledger>,
    print_offsets: bool,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let mut output = print_offsets.then(Output::new);
    let mut told = Ok(());
    while let Some(sent) = out.recv().await {
        let (count, bytes) = (sent.count, sent.bytes);
        let offset = sent.acknowledged().await?;
        let acknowledged = {
            let mut ledger = lock(ledger);
            ledger.acknowledge(count, offset);
            ledger.acknowledged()
        };
        bar.inc(bytes);
        bar.set_message(format!("{acknowledged} records"));
        if let Some(writing) = &mut output
            && let Err(failure) = print_offset(writing, offset, count).await
        {
            // Nothing more is sent; what is out is waited for, so that the account is right.
            told = Err(failure);
            output = None;
            out.close();
        }
    }
    told
}

/// `-` stands for an offset that the store has forgotten, which it does only with a batch that it has known for long.
async fn print_offset(output: &mut Output, offset: Option<u64>, count: u64) -> Result<(), Failure> {
    let offset = offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    match output.write(format!("{offset} {count}\n").as_bytes()).await? {
        Reader::Reads => Ok(()),
        Reader::Gone => Err(Failure::new(Exit::Refused, "nobody reads the offsets any more")),
    }
}

/// On a terminal; hidden elsewhere.
fn progress_bar(len: Option<u64>) -> ProgressBar {
    let (bar, template) = match len {
        Some(len) => (ProgressBar::new(len), "{bar:30} {bytes}/{total_bytes} {msg} {bytes_per_sec} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg} {bytes_per_sec}"),
    };
    bar.enable_steady_tick(TICK);
    bar.with_style(ProgressStyle::with_template(template).expect("the template is sound"))
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Args {
    async fn open_input(&self) -> Result<Input, Failure> {
        let shape = match self.format {
            Format::Lines => Shape::Payload { key: self.key.clone(), tags: self.tags.clone() },
            Format::Ndjson if self.key.is_some() || !self.tags.is_empty() => {
                return Err(Failure::new(
                    Exit::Usage,
                    "envelopes have keys and tags of their own; leave out --key and --tag",
                ));
            }
            Format::Ndjson => Shape::Envelope,
        };
        Input::open(&self.input, shape, self.batch)
            .await
            .map_err(|error| Failure::new(Exit::Usage, format!("failed to open {}: {error}", self.input.display())))
    }

    async fn open_sink(&self) -> Result<Sink, Failure> {
        let retries = Retries { give_up_after: self.timeout, ..Retries::default() };
        let stores = self.target.stores(Timeouts::default().request.min(self.timeout)).await?;
        let durability = self.durability.map(|level| match level {
            Level::Synced => Durability::Synced,
            Level::Written => Durability::Written,
        });
        Sink::open(stores, self.namespace.clone(), self.partition, durability, retries).await
    }
}
