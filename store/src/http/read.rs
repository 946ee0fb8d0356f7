//! `GET /v1/namespaces/{ns}/records`.

pub mod events;
pub mod pages;
pub mod print;
pub mod request;
pub mod select;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};
use logstore_api::limits::READ_BYTES_MAX;
use logstore_api::read::{Level, Order};
use logstore_api::{Code, Problem, header};
use tokio::sync::watch;

use self::pages::{Key, Page};
use self::print::Printer;
use self::request::{Request, direction};
use super::accept::Form;
use super::answer::{Refusal, put_number};
use super::body::held_bytes;
use super::budget::Share;
use super::server::drain_begun;
use super::{App, InPath, blocking};
use crate::engine::namespace::{Namespace, recovering};
use crate::limits::{AHEAD_BYTES_MIN, OPENING_WAIT};
use crate::log::Partition;
use crate::log::cursor::LogRecord;
use crate::log::find::select::{Selected, Selection};
use crate::log::read::{Flow, Range};
use crate::log::shared::Published;

/// Reads from a place, whole records only, in either direction.
pub async fn read(
    State(app): State<Arc<App>>,
    InPath(name): InPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = Request::parse(&uri, &headers)?;
    let namespace = app.engine.get(&name)?;
    namespace.check_read()?;
    let partition = opened(&namespace, namespace.partition_named(request.partition)?).await?;
    let request = with_times_found(&namespace, &partition, request).await?;
    if request.form == Form::Events {
        return Ok(events::follow(app, namespace, partition, &request)?);
    }
    let (form, number) = (request.form, partition.number());
    let reading = match &request.select {
        Some(select) => select::read(&app, &namespace, &partition, &request, select).await?,
        None => read_range(&app, namespace, partition, &request).await?,
    };
    let Reading { page: Page { next, body }, view } = reading;
    let mut response = answer(form, body);
    put_number(&mut response, header::NEXT, next);
    put_number(&mut response, header::PARTITION, u64::from(number));
    put_ends(&mut response, view);
    Ok(response)
}

/// What an answer is made from.
struct Reading {
    page: Page,
    /// The log as the reader sees it.
    view: Published,
}

async fn read_range(
    app: &Arc<App>,
    namespace: Arc<Namespace>,
    partition: Arc<Partition>,
    request: &Request,
) -> Result<Reading, Problem> {
    let (range, view) = range_when_ready(app, &namespace, &partition, request).await?;
    let source = Arc::new(Source { app: Arc::clone(app), namespace, partition, request: request.clone(), view });
    let make = || Arc::clone(&source).page(range);
    let Some(key) = source.key(range) else { return Ok(Reading { page: make().await?, view }) };
    let page = match request.wait.is_zero() {
        true => app.pages.find(&key, make).await?,
        // Many may wait for the same.
        false => app.pages.get(key.clone(), make).await?,
    };
    if source.goes_on_behind(&page) && app.pages.reads_on(&key, page.next) {
        source.read_ahead(page.next);
    }
    Ok(Reading { page, view })
}

/// A log as one reader sees it, and what the reader wants of it.
struct Source {
    app: Arc<App>,
    namespace: Arc<Namespace>,
    partition: Arc<Partition>,
    request: Request,
    view: Published,
}

impl Source {
    /// What others who want the same have too; `None` where a page is for this reader alone.
    fn key(&self, range: Range) -> Option<Key> {
        let Request { limit, max_bytes, order, level, .. } = self.request;
        let is_common = order == Order::OldestFirst && level != Level::Unconfirmed;
        let printer = || Arc::new(Printer::new(&self.request, &self.namespace, &self.partition));
        let key = is_common.then(|| Key::new(&self.partition, range, (limit, max_bytes), printer()));
        key.filter(Key::is_kept)
    }

    async fn page(self: Arc<Self>, range: Range) -> Result<Page, Problem> {
        let max_bytes = self.request.max_bytes;
        let bytes = self.partition.bytes_at_most(range).unwrap_or(max_bytes).min(max_bytes);
        let share = self.app.budgets.read(bytes).await?;
        let records = blocking(move || {
            let Self { namespace, partition, request, view, .. } = &*self;
            records(namespace, partition, range, request, *view, None)
        });
        Ok(records.await?.held(share))
    }

    /// Whether there is more behind a page, which is worth a thread's while.
    fn goes_on_behind(&self, page: &Page) -> bool {
        page.body.len() >= AHEAD_BYTES_MIN && page.next < self.view.end.min(self.request.until())
    }

    /// Makes the page that begins here while the one before it leaves.
    fn read_ahead(self: Arc<Self>, from: u64) {
        let range = self.request.range(from, self.view);
        let Some(key) = self.key(range).filter(|_| self.app.budgets.is_read_at_rest()) else { return };
        let pages = Arc::clone(&self.app.pages);
        tokio::spawn(async move {
            // Who asks for it is told of an error.
            let _ = pages.get(key, || self.page(range)).await;
        });
    }
}

/// A log, opened off the threads that serve connections where it was not open. The opening goes on after the caller
/// was sent away.
pub async fn opened(namespace: &Arc<Namespace>, partition: u32) -> Result<Arc<Partition>, Problem> {
    if let Some(partition) = namespace.opened(partition) {
        return Ok(Arc::clone(partition));
    }
    let opening = Arc::clone(namespace);
    let opening = blocking(move || opening.partition(partition).cloned());
    match tokio::time::timeout(OPENING_WAIT, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(recovering(namespace.name(), partition)),
    }
}

/// Looks times up, off the threads that serve connections.
async fn with_times_found(
    namespace: &Arc<Namespace>,
    partition: &Arc<Partition>,
    request: Request,
) -> Result<Request, Problem> {
    if !request.names_a_time() {
        return Ok(request);
    }
    let (namespace, partition) = (Arc::clone(namespace), Arc::clone(partition));
    blocking(move || {
        let found = request.with_times_found(|time| partition.offset_at(time));
        found.map_err(|error| namespace.internal("look a time up in the log", &error))
    })
    .await
}

/// Where to read, once there is something, or the time is over, or the store stops; and the log as the reader sees it.
async fn range_when_ready(
    app: &App,
    namespace: &Namespace,
    partition: &Partition,
    request: &Request,
) -> Result<(Range, Published), Problem> {
    let mut updates = partition.published();
    let mut view = request.view(*updates.borrow_and_update());
    let first = request.first(view)?;
    if first == view.end && first < request.until() && !request.wait.is_zero() {
        let give_up_at = tokio::time::Instant::now() + request.wait;
        view = wait_for_more(app, namespace, &mut updates, request, first, give_up_at).await?.unwrap_or(view);
    }
    if first < view.start {
        return Err(trimmed(first, view));
    }
    Ok((request.range(first, view), view))
}

/// The log as the reader sees it once it ends behind an offset; `None` where the time is over or the store stops first.
async fn wait_for_more(
    app: &App,
    namespace: &Namespace,
    updates: &mut watch::Receiver<Published>,
    request: &Request,
    end: u64,
    give_up_at: tokio::time::Instant,
) -> Result<Option<Published>, Problem> {
    let mut draining = app.draining.clone();
    loop {
        let view = request.view(*updates.borrow_and_update());
        if view.end > end {
            return Ok(Some(view));
        }
        let changed = tokio::select! {
            result = tokio::time::timeout_at(give_up_at, updates.changed()) => matches!(result, Ok(Ok(()))),
            () = drain_begun(&mut draining) => false,
        };
        check_still_readable(app, namespace)?;
        if !changed {
            return Ok(None);
        }
    }
}

/// The namespace may be closed, or gone, while somebody waits for its records.
pub fn check_still_readable(app: &App, namespace: &Namespace) -> Result<(), Problem> {
    let current = app.engine.get(namespace.name())?;
    if current.incarnation() != namespace.incarnation() {
        let detail = "the namespace was deleted and made anew; begin again";
        return Err(Problem::new(Code::NamespaceNotFound, detail));
    }
    current.check_read()
}

/// Records that were read and printed.
struct Printed {
    /// Where to go on.
    next: u64,
    body: Vec<u8>,
    count: usize,
}

impl Printed {
    fn held(self, share: Share) -> Page {
        Page { next: self.next, body: held_bytes(self.body, share) }
    }
}

/// Reads and prints; blocking. A selection has a time at which the answer says where to go on.
fn records(
    namespace: &Namespace,
    partition: &Partition,
    range: Range,
    request: &Request,
    view: Published,
    selection: Option<(&Selection, Instant)>,
) -> Result<Printed, Problem> {
    let printer = Printer::new(request, namespace, partition);
    let mut body = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    let sink = |record: &LogRecord<'_>| {
        let len = record.body_len();
        if count > 0 && bytes + len > request.max_bytes {
            return Flow::StopBefore;
        }
        printer.print(&mut body, record);
        count += 1;
        bytes += len;
        // JSON may write six bytes for one.
        let full = count >= request.limit || body.len() >= READ_BYTES_MAX;
        if full { Flow::Stop } else { Flow::Continue }
    };
    let ended = match selection {
        None => read_in_order(partition, range, request.order, view, sink),
        Some((selection, deadline)) => {
            let ended = partition.select(selection, range, direction(request.order), deadline, sink);
            ended.map(|ended| Ended::of_selection(&ended, range, request.order, view))
        }
    };
    let Ended { next, stopped } = ended.map_err(|error| namespace.internal("read the log", &error))?;
    // What was read before it is answered first: the next read begins at the obstacle, and is told.
    match stopped {
        Some(problem) if count == 0 => Err(problem),
        _ => Ok(Printed { next, body, count }),
    }
}

/// How a read in either direction ended.
struct Ended {
    next: u64,
    stopped: Option<Problem>,
}

impl Ended {
    fn of_selection(ended: &Selected, range: Range, order: Order, view: Published) -> Self {
        let Selected { next, damaged: damage, begins_at } = *ended;
        let damage = damage.map(|Range { from, until }| match order {
            Order::OldestFirst => damaged(from, until),
            Order::NewestFirst => damaged_before(from, until),
        });
        let gone = begins_at.map(|start| trimmed(range.from, Published { start, ..view }));
        Self { next, stopped: damage.or(gone) }
    }
}

fn read_in_order(
    partition: &Partition,
    range: Range,
    order: Order,
    view: Published,
    sink: impl FnMut(&LogRecord<'_>) -> Flow,
) -> io::Result<Ended> {
    if order == Order::NewestFirst {
        let ended = partition.read_backward(range, sink)?;
        let damage = ended.damaged_from.map(|from| damaged_before(from, ended.next));
        let gone = ended.is_trimmed.then(|| trimmed(range.from, Published { start: ended.next, ..view }));
        return Ok(Ended { next: ended.next, stopped: damage.or(gone) });
    }
    let ended = partition.read(range, sink)?;
    let damage = ended.damaged_until.map(|until| damaged(ended.next, until));
    let gone = ended.begins_at.map(|start| trimmed(range.from, Published { start, ..view }));
    Ok(Ended { next: ended.next, stopped: damage.or(gone) })
}

/// Records in a form.
pub fn answer(form: Form, body: Bytes) -> Response {
    let mut response = Body::from(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The headers that say where the log begins and ends.
pub fn put_ends(response: &mut Response, view: Published) {
    let Published { start, end, durable_end, written_end: _ } = view;
    put_number(response, header::START, start);
    put_number(response, header::END, end);
    put_number(response, header::DURABLE_END, durable_end);
}

/// The refusal of an offset that is gone.
#[must_use]
pub fn trimmed(offset: u64, published: Published) -> Problem {
    let Published { start, end, .. } = published;
    let detail = format!("offset {offset} is gone; the log begins at {start}");
    let problem = Problem::new(Code::Trimmed, detail).field("from").got(offset);
    problem.with("start", start).with("end", end).with("next", start)
}

/// The refusal of an offset that is not there yet.
#[must_use]
pub fn beyond_end(field: &str, offset: u64, end: u64) -> Problem {
    let detail = format!("offset {offset} is beyond the end {end}; read from {end} with wait= for what comes");
    Problem::new(Code::BeyondEnd, detail).field(field).got(offset).with("end", end)
}

/// The refusal of a damaged range.
#[must_use]
pub fn damaged(from: u64, until: u64) -> Problem {
    let detail = format!("the records from {from} up to {until} are damaged on disk; read on from {until}");
    Problem::new(Code::Damaged, detail).with("from", from).with("until", until).with("next", until)
}

/// The same for one that reads newest first.
fn damaged_before(from: u64, until: u64) -> Problem {
    let detail = format!("the records from {from} up to {until} are damaged on disk; read on with until={from}");
    Problem::new(Code::Damaged, detail).with("from", from).with("until", until).with("next", from)
}
