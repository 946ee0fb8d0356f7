//! `POST /v1/namespaces/{ns}/records/get`: many records by their offsets, in the order asked for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use logstore_api::limits::{GET_BODY_BYTES_MAX, GET_RECORDS_MAX, READ_BYTES_DEFAULT, READ_BYTES_MAX};
use logstore_api::record::GetRequest;
use logstore_api::{Code, Problem, header};

use super::accept::Form;
use super::answer::{Refusal, put_number};
use super::query::Query;
use super::read::print::Printer;
use super::read::{answer, damaged, opened, put_ends, trimmed};
use super::record::check_there;
use super::{App, InPath, blocking, body, object};
use crate::engine::namespace::Namespace;
use crate::log::Partition;
use crate::log::cursor::LogRecord;
use crate::log::each::{Each, Plan};
use crate::log::modify::erased;
use crate::log::read::Flow;
use crate::log::shared::Published;

/// What an entry takes beside its data: the problem in the place of a record that cannot be had.
const ENTRY_BYTES: usize = 384;

/// Gives each record, or says in its place why there is none.
pub async fn get(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let query = Query::parse(uri.query(), &["max_bytes", "meta"])?;
    let max_bytes = query.number("max_bytes", READ_BYTES_MAX as u64)?.unwrap_or(READ_BYTES_DEFAULT as u64);
    let max_bytes = usize::try_from(max_bytes).unwrap_or(READ_BYTES_MAX);
    let all_meta = query.choice("meta", &[("all", ())])?.is_some();
    let form = Form::negotiate(&headers, Form::WITH_ERRORS)?;
    let bound = (GET_BODY_BYTES_MAX, Code::BatchTooLarge);
    let (body, asking) = body::read_sharing(&headers, body, bound, &app.budgets, None).await?;
    let GetRequest { offsets, partition } = object::parse(&body, r#"{"offsets":[0,1]}"#)?;
    check_count(&offsets)?;
    drop((body, asking));
    let namespace = app.engine.get(&name)?;
    namespace.check_read()?;
    let partition = opened(&namespace, namespace.partition_named(partition)?).await?;
    let view = *partition.published().borrow();
    let number = partition.number();
    let printer = Printer { form, all_meta, partition: number, indices: namespace.indices() };
    let asked = Asked::new(offsets);
    let there = asked.there(view);
    let planned = Arc::clone(&partition);
    let (plan, namespace) = blocking(move || {
        let plan = planned.plan_each(&there);
        Ok((plan.map_err(|error| namespace.internal("look records up", &error))?, namespace))
    })
    .await?;
    // The records as they are read, and once more in the order of the answer.
    let entries = asked.offsets.len() * ENTRY_BYTES;
    let share = app.budgets.read(2 * (plan.bytes_at_most().min(max_bytes) + entries)).await?;
    let plan = Arc::new(plan);
    // On a thread of its own: each place costs a call that a disk may let wait, and the records are verified meanwhile.
    let announced = Arc::clone(&plan);
    drop(tokio::task::spawn_blocking(move || announced.announce(max_bytes)));
    let body = blocking(move || {
        let mut printed = Printed::new(&asked, &printer, max_bytes);
        printed.read(&namespace, &partition, &plan, view)?;
        Ok(printed.in_order())
    })
    .await?;
    let mut response = answer(form, body::held_bytes(body, share));
    put_number(&mut response, header::PARTITION, u64::from(number));
    put_ends(&mut response, view);
    Ok(response)
}

fn check_count(offsets: &[u64]) -> Result<(), Problem> {
    let count = offsets.len();
    if count > GET_RECORDS_MAX {
        let detail = format!("{count} offsets are too many for one call; ask for at most {GET_RECORDS_MAX}");
        return Err(Problem::new(Code::BatchTooLarge, detail).field("offsets").expected(GET_RECORDS_MAX).got(count));
    }
    Ok(())
}

/// What is wanted, in both orders.
struct Asked {
    /// As the caller wants the answer.
    offsets: Vec<u64>,
    /// Places in `offsets`, by offset and then by place.
    sorted: Vec<usize>,
}

impl Asked {
    fn new(offsets: Vec<u64>) -> Self {
        let mut sorted: Vec<usize> = (0..offsets.len()).collect();
        sorted.sort_by_key(|place| offsets[*place]);
        Self { offsets, sorted }
    }

    /// The offsets that are there, ascending, each once.
    fn there(&self, view: Published) -> Vec<u64> {
        let mut there: Vec<u64> = self.sorted.iter().map(|place| self.offsets[*place]).collect();
        there.dedup();
        there.retain(|offset| (view.start..view.end).contains(offset));
        there
    }
}

/// The answer in the making: printed in the order of the log, so that the log is read once and forward.
struct Printed<'a> {
    asked: &'a Asked,
    printer: &'a Printer,
    max_bytes: usize,
    bytes: usize,
    /// How many of `asked.sorted` are done.
    done: usize,
    text: Vec<u8>,
    /// Where in `text` the entry for each place of `asked.offsets` stands.
    places: Vec<std::ops::Range<usize>>,
}

impl<'a> Printed<'a> {
    fn new(asked: &'a Asked, printer: &'a Printer, max_bytes: usize) -> Self {
        let places = vec![0..0; asked.offsets.len()];
        Self { asked, printer, max_bytes, bytes: 0, done: 0, text: Vec::new(), places }
    }

    fn read(
        &mut self,
        namespace: &Namespace,
        partition: &Partition,
        plan: &Plan,
        view: Published,
    ) -> Result<(), Problem> {
        let result = partition.read_each(plan, |offset, each| {
            self.missing_before(offset, view);
            match each {
                Each::Record(record) => self.record(record),
                Each::Damaged { from, until } => self.missing(offset, &damaged(from, until)),
                Each::Gone { start } => self.missing(offset, &trimmed(offset, Published { start, ..view })),
                Each::Erased => self.missing(offset, &erased(offset)),
            }
            if self.is_full() { Flow::Stop } else { Flow::Continue }
        });
        result.map_err(|error| namespace.internal("read the log", &error))?;
        self.missing_before(u64::MAX, view);
        while self.done < self.asked.sorted.len() {
            self.cut_or_refuse(self.asked.offsets[self.asked.sorted[self.done]], view);
        }
        Ok(())
    }

    /// JSON may write six bytes for one.
    fn is_full(&self) -> bool {
        self.text.len() >= READ_BYTES_MAX
    }

    /// Entries for what was asked before this offset and is not there.
    fn missing_before(&mut self, offset: u64, view: Published) {
        while let Some(before) = self.next_offset().filter(|next| *next < offset) {
            self.cut_or_refuse(before, view);
        }
    }

    fn cut_or_refuse(&mut self, offset: u64, view: Published) {
        let problem = check_there(offset, view).err().unwrap_or_else(|| self.does_not_fit());
        self.missing(offset, &problem);
    }

    fn next_offset(&self) -> Option<u64> {
        self.asked.sorted.get(self.done).map(|place| self.asked.offsets[*place])
    }

    /// The record, as often as it was asked for and fits.
    fn record(&mut self, record: &LogRecord<'_>) {
        while self.next_offset() == Some(record.offset) {
            let len = record.body_len();
            if self.bytes > 0 && self.bytes + len > self.max_bytes {
                let problem = self.does_not_fit();
                return self.missing(record.offset, &problem);
            }
            // One that has no bytes counts too: the first is always given.
            self.bytes += len.max(1);
            let printer = self.printer;
            self.entry(|text| printer.print(text, record));
        }
    }

    /// The problem in the place of each record at this offset.
    fn missing(&mut self, offset: u64, problem: &Problem) {
        while self.next_offset() == Some(offset) {
            let printer = self.printer;
            self.entry(|text| printer.print_missing(text, offset, problem.clone()));
        }
    }

    fn entry(&mut self, print: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.text.len();
        print(&mut self.text);
        self.places[self.asked.sorted[self.done]] = begin..self.text.len();
        self.done += 1;
    }

    fn does_not_fit(&self) -> Problem {
        let max_bytes = self.max_bytes;
        let detail = format!("the answer is full with {max_bytes} bytes; ask for this record in another call");
        Problem::new(Code::BatchTooLarge, detail).field("max_bytes").got(max_bytes)
    }

    fn in_order(self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.text.len());
        self.places.into_iter().for_each(|place| body.extend_from_slice(&self.text[place]));
        body
    }
}
