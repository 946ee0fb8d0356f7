//! `logstore read`: records of a namespace, from a place to the end or for ever.

use std::time::Duration;

use logstore_api::limits::READ_RECORDS_MAX;
use logstore_api::record::Envelope;
use logstore_api::record::binary::Entry;
use logstore_api::{NamespaceName, Timestamp};
use logstore_client::{
    Error, Follow, FollowOptions, IndexRange, Level, Order, ReadFrom, ReadOptions, ReadUntil, Retries, Store,
};

use super::failure::{EXIT_CODES, Exit, Failure};
use super::output::{Output, Reader};
use super::target::Target;
use super::{duration, when};

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
    /// The partition; may be left out where there is one
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Begin at an offset, the start, the end, or N records before the end
    #[arg(long, value_name = "OFFSET|start|end|-N", default_value = "start", allow_hyphen_values = true)]
    from: ReadFrom,
    /// Only the last N records
    #[arg(long, value_name = "N", conflicts_with = "from")]
    last: Option<u64>,
    /// Only records of this time or later: 2026-01-31T12:00:00Z, or 15m for 15 minutes ago
    #[arg(long, value_name = "TIME", value_parser = when::parse, conflicts_with_all = ["from", "last"])]
    since: Option<Timestamp>,
    /// Only records before this offset or time
    #[arg(long, value_name = "OFFSET|TIME", value_parser = parse_until, conflicts_with = "follow")]
    until: Option<ReadUntil>,
    /// Which records come first
    #[arg(long, value_enum, default_value_t = OrderArg::Asc)]
    order: OrderArg,
    /// Which records are read
    #[arg(long, value_enum, default_value_t = LevelArg::Confirmed)]
    level: LevelArg,
    /// Only records whose tags fit, such as `a AND NOT (b OR "two words")`
    #[arg(long, value_name = "EXPR")]
    tags: Option<String>,
    /// Only records that have a value of this index, from --min to --max
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
    /// The lowest value of the index
    #[arg(long, value_name = "N", requires = "index", allow_negative_numbers = true)]
    min: Option<i64>,
    /// The highest value of the index
    #[arg(long, value_name = "N", requires = "index", allow_negative_numbers = true)]
    max: Option<i64>,
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
    /// Binary: lengths of meta and payload, u32 each, then the envelope without its payload, then the payload
    Frames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OrderArg {
    /// Oldest first
    Asc,
    /// Newest first
    Desc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LevelArg {
    /// What was acknowledged
    Confirmed,
    /// Of that what survives a power loss of the store
    Durable,
    /// Everything in the store's file; it may still be taken back
    Unconfirmed,
}

impl Args {
    fn place(&self) -> ReadFrom {
        match (self.last, self.since) {
            (Some(count), _) => ReadFrom::Last(count),
            (None, Some(time)) => ReadFrom::Time(time),
            (None, None) => self.from,
        }
    }

    /// How each page is read.
    fn options(&self, left: u64) -> ReadOptions {
        ReadOptions {
            partition: self.partition,
            limit: Some(left.min(READ_RECORDS_MAX as u64)),
            until: self.until,
            order: match self.order {
                OrderArg::Asc => Order::OldestFirst,
                OrderArg::Desc => Order::NewestFirst,
            },
            level: match self.level {
                LevelArg::Confirmed => Level::Confirmed,
                LevelArg::Durable => Level::Durable,
                LevelArg::Unconfirmed => Level::Unconfirmed,
            },
            tags: self.tags.clone(),
            index: self.index.clone().map(|name| IndexRange { name, min: self.min, max: self.max }),
            ..ReadOptions::default()
        }
    }
}

/// Reads.
///
/// # Errors
/// Where a store does not answer, or has not got what is asked for.
pub async fn run(args: Args) -> Result<(), Failure> {
    if args.follow && args.order == OrderArg::Desc {
        return Err(Failure::new(
            Exit::Usage,
            "--follow goes on with what is appended, and --order desc begins there; leave one of them out".to_owned(),
        ));
    }
    let store = args.target.store(args.copy.as_deref(), args.timeout).await?;
    let printer = Printer::new(&args);
    match (args.follow, args.order) {
        (true, _) => follow(store, &args, printer).await,
        (false, OrderArg::Asc) => read_to_end(&store, &args, printer).await,
        (false, OrderArg::Desc) => read_to_start(&store, &args, printer).await,
    }
}

async fn read_to_end(store: &Store, args: &Args, mut printer: Printer) -> Result<(), Failure> {
    let mut from = args.place();
    let mut stop_at = None;
    while printer.left > 0 {
        let read = store.read(&args.namespace, from, &args.options(printer.left)).await;
        let answer = read.map_err(|error| printer.failed(&error, "--from", offset_of(from)))?;
        let end = *stop_at.get_or_insert(answer.end);
        let records = answer.records.iter().take_while(|record| record.offset < end);
        let reached = answer.next >= end || from == ReadFrom::Offset(answer.next);
        if printer.print(records).await? == Reader::Gone || reached {
            return Ok(());
        }
        from = ReadFrom::Offset(answer.next);
    }
    Ok(())
}

/// From the end, as it is when the command begins, back to the first record wanted.
async fn read_to_start(store: &Store, args: &Args, mut printer: Printer) -> Result<(), Failure> {
    let (mut from, mut read_down_to) = (args.place(), None);
    while printer.left > 0 {
        let mut options = args.options(printer.left);
        options.until = read_down_to.map(ReadUntil::Offset).or(options.until);
        let read = store.read(&args.namespace, from, &options).await;
        let answer = read.map_err(|error| printer.failed(&error, "--until", read_down_to))?;
        if let ReadFrom::Last(count) = from {
            // What is appended meanwhile moves no page.
            from = ReadFrom::Offset(answer.end.saturating_sub(count).max(answer.start));
        }
        let reached = answer.next <= answer.start
            || offset_of(from).is_some_and(|first| answer.next <= first)
            || read_down_to == Some(answer.next);
        if printer.print(answer.records.iter()).await? == Reader::Gone || reached {
            return Ok(());
        }
        read_down_to = Some(answer.next);
    }
    Ok(())
}

fn parse_until(text: &str) -> Result<ReadUntil, String> {
    match text.parse() {
        Ok(offset) => Ok(ReadUntil::Offset(offset)),
        Err(_) => when::parse(text).map(ReadUntil::Time).map_err(|error| format!("{error}, or an offset")),
    }
}

fn offset_of(from: ReadFrom) -> Option<u64> {
    match from {
        ReadFrom::Offset(offset) => Some(offset),
        _ => None,
    }
}

async fn follow(store: Store, args: &Args, mut printer: Printer) -> Result<(), Failure> {
    let retries = Retries { give_up_after: args.timeout, ..Retries::default() };
    let read = ReadOptions { limit: None, ..args.options(0) };
    let mut follow = Follow::new(store, args.namespace.clone(), args.place(), FollowOptions { read, retries });
    while printer.left > 0 {
        let next = follow.next_batch().await;
        let records = next.map_err(|error| printer.failed(&error, "--from", offset_of(follow.position())))?;
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
    fn failed(&self, error: &Error, how: &str, at: Option<u64>) -> Failure {
        match (Failure::of_question(error), at) {
            (failure, Some(offset)) if !self.is_fresh => failure.and(format_args!("go on with {how} {offset}")),
            (failure, _) => failure,
        }
    }
}

fn render(format: Format, record: &Envelope, out: &mut Vec<u8>) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Refused, format!("the record at offset {} cannot be read: {error}", record.offset))
    };
    if format == Format::Envelope {
        serde_json::to_writer(&mut *out, record).map_err(|error| unreadable(&error))?;
        out.push(b'\n');
        return Ok(());
    }
    let data = record.payload().map_err(|error| unreadable(&error))?;
    match format {
        Format::Envelope | Format::Text => {
            out.extend(data);
            out.push(b'\n');
        }
        Format::Raw => out.extend(data),
        Format::Frames => {
            let envelope = Envelope { data: None, data_b64: None, ..record.clone() };
            let meta = serde_json::to_vec(&envelope).map_err(|error| unreadable(&error))?;
            Entry { meta: &meta, data: &data }.push_to(out);
        }
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
        let frames = print(Format::Frames);
        let entries: Vec<_> = logstore_api::record::binary::entries(&frames).map(Result::unwrap).collect();
        assert_eq!(entries.iter().map(|entry| entry.data).collect::<Vec<_>>(), [&b"text"[..], b"\xff"]);
        assert_eq!(entries[1].meta, br#"{"offset":4,"time":"1970-01-01T00:00:00.000000Z"}"#);
        let lines = String::from_utf8(print(Format::Envelope)).unwrap();
        let back: Vec<Envelope> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, records);
    }
}
