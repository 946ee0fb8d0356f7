//! `logstore read`: records of a namespace, from a place to the end or for ever.

use std::time::Duration;

use logstore_api::NamespaceName;
use logstore_api::limits::READ_RECORDS_MAX;
use logstore_api::record::Envelope;
use logstore_client::{Error, Follow, FollowOptions, ReadFrom, ReadOptions, Retries, Store};

use super::duration;
use super::failure::{EXIT_CODES, Exit, Failure};
use super::output::{Output, Reader};
use super::target::Target;

/// Read the records of a namespace, up to the end as it is when the command begins
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The namespace
    namespace: NamespaceName,
    #[command(flatten)]
    target: Target,
    /// Read from this copy; the first where left out
    #[arg(long, value_name = "NAME", requires = "file")]
    copy: Option<String>,
    /// Begin at an offset, the start, the end, or N records before the end
    #[arg(long, value_name = "OFFSET|start|end|-N", default_value = "start", allow_hyphen_values = true)]
    from: ReadFrom,
    /// Stop after so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// What is printed of each record
    #[arg(long, value_enum, default_value_t = Format::Envelope)]
    format: Format,
    /// Go on with what is appended, until interrupted
    #[arg(long)]
    follow: bool,
    /// How long to wait for an answer, and with --follow for a store that is away
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A JSON object per line, with offset, time, tags and key
    Envelope,
    /// The payload and a line end
    Text,
    /// The payloads, one after the other
    Raw,
}

/// Reads.
///
/// # Errors
/// Where a store does not answer, or has not got what is asked for.
pub async fn run(args: Args) -> Result<(), Failure> {
    let store = args.target.store(args.copy.as_deref(), args.timeout).await?;
    let printer = Printer::new(&args);
    if args.follow { follow(store, &args, printer).await } else { read_to_end(&store, &args, printer).await }
}

async fn read_to_end(store: &Store, args: &Args, mut printer: Printer) -> Result<(), Failure> {
    let mut from = args.from;
    let mut stop_at = None;
    while printer.left > 0 {
        let options = ReadOptions { limit: Some(printer.left.min(READ_RECORDS_MAX as u64)), ..ReadOptions::default() };
        let answer = store.read(&args.namespace, from, &options).await.map_err(|error| printer.failed(&error, from))?;
        let end = *stop_at.get_or_insert(answer.end);
        let records = answer.records.iter().take_while(|record| record.offset < end);
        if printer.print(records).await? == Reader::Gone || answer.next >= end {
            return Ok(());
        }
        from = ReadFrom::Offset(answer.next);
    }
    Ok(())
}

async fn follow(store: Store, args: &Args, mut printer: Printer) -> Result<(), Failure> {
    let retries = Retries { give_up_after: args.timeout, ..Retries::default() };
    let options = FollowOptions { read: ReadOptions::default(), retries };
    let mut follow = Follow::new(store, args.namespace.clone(), args.from, options);
    while printer.left > 0 {
        let records = follow.next_batch().await.map_err(|error| printer.failed(&error, follow.position()))?;
        if printer.print(records.iter()).await? == Reader::Gone {
            return Ok(());
        }
    }
    Ok(())
}

/// Prints records, and counts how many are still wanted.
#[derive(Debug)]
struct Printer {
    output: Output,
    format: Format,
    left: u64,
    is_fresh: bool,
}

impl Printer {
    fn new(args: &Args) -> Self {
        Self { output: Output::new(), format: args.format, left: args.limit.unwrap_or(u64::MAX), is_fresh: true }
    }

    async fn print(&mut self, records: impl Iterator<Item = &Envelope>) -> Result<Reader, Failure> {
        let mut bytes = Vec::new();
        for record in records {
            if self.left == 0 {
                break;
            }
            render(self.format, record, &mut bytes)?;
            self.left -= 1;
        }
        self.is_fresh &= bytes.is_empty();
        self.output.write(&bytes).await
    }

    /// A failed read, with where to go on if something was printed before it.
    fn failed(&self, error: &Error, at: ReadFrom) -> Failure {
        match (Failure::of_question(error), at) {
            (failure, ReadFrom::Offset(offset)) if !self.is_fresh => {
                failure.and(format_args!("go on with --from {offset}"))
            }
            (failure, _) => failure,
        }
    }
}

fn render(format: Format, record: &Envelope, out: &mut Vec<u8>) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Refused, format!("the record at offset {} cannot be read: {error}", record.offset))
    };
    match format {
        Format::Envelope => serde_json::to_writer(&mut *out, record).map_err(|error| unreadable(&error))?,
        Format::Text | Format::Raw => out.extend(record.payload().map_err(|error| unreadable(&error))?),
    }
    if format != Format::Raw {
        out.push(b'\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use logstore_api::Timestamp;

    use super::*;

    #[test]
    fn a_record_is_printed_in_the_form_that_was_asked_for() {
        let records = [Envelope::of(3, Timestamp(0), b"text"), Envelope::of(4, Timestamp(0), b"\xff")];
        let print = |format| {
            let mut out = Vec::new();
            records.iter().for_each(|record| render(format, record, &mut out).unwrap());
            out
        };
        assert_eq!(print(Format::Text), b"text\n\xff\n");
        assert_eq!(print(Format::Raw), b"text\xff");
        let lines = String::from_utf8(print(Format::Envelope)).unwrap();
        let back: Vec<Envelope> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, records);
    }
}
