//! A log as server-sent events, for ever.
//!
//! Each follower has a task of its own, which waits for records, reads a piece, and waits until there is room for it: a
//! slow reader holds a few pieces of memory and nothing else. What stops a read does not stop the events: damage and a
//! start that has moved are told as an event, behind which the records go on.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use logstore_api::limits::{RECORD_BYTES_MAX, SELECT_MILLIS_MAX};
use logstore_api::read::{Level, Order};
use logstore_api::{Code, Problem};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::pages::{Key, Page};
use super::print::{Printer, error_event};
use super::request::{Request, direction, view};
use super::{Ended, check_still_readable, put_ends, read_in_order, trimmed};
use crate::engine::namespace::Namespace;
use crate::http::accept::Form;
use crate::http::body::held_bytes;
use crate::http::budget::Share;
use crate::http::server::drain_begun;
use crate::http::{App, blocking};
use crate::log::Partition;
use crate::log::cursor::LogRecord;
use crate::log::find::select::Selection;
use crate::log::read::{Flow, Range};
use crate::log::shared::Published;

/// Bytes of events that are made at once, unless one record has more.
const PIECE_BYTES_MAX: usize = 32 * 1024;
/// After so long without a record comes a comment, so that the reader and what stands between know of each other.
const QUIET_MAX: Duration = Duration::from_secs(15);

/// Answers with the events from the first record wanted on.
pub fn follow(
    app: Arc<App>,
    namespace: Arc<Namespace>,
    partition: Arc<Partition>,
    request: &Request,
) -> Result<Response, Problem> {
    let selection = request.select.as_ref().map(|select| select.resolve(&namespace.config())).transpose()?;
    let selection = selection.map(|(selection, _)| selection);
    let printer = Printer::new(request, &namespace, &partition);
    let mut updates = partition.published();
    let seen = request.view(*updates.borrow_and_update());
    let next = request.first(seen)?;
    let place = app.budgets.follower()?;
    let (pieces, taken) = mpsc::channel(1);
    let (level, quiet_until) = (request.level, Instant::now() + QUIET_MAX);
    let source = Arc::new(Source { namespace, partition, printer: Arc::new(printer), selection });
    tokio::spawn(Follower { app, source, level, next, updates, quiet_until, pieces }.run());
    let mut response = Body::new(Events { taken, _place: place }).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Form::Events.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    put_ends(&mut response, seen);
    Ok(response)
}

/// What waits and reads for one reader.
struct Follower {
    app: Arc<App>,
    source: Arc<Source>,
    level: Level,
    /// The first record that was not looked at yet.
    next: u64,
    updates: watch::Receiver<Published>,
    /// When a comment is due.
    quiet_until: Instant,
    pieces: mpsc::Sender<Bytes>,
}

/// What is followed, and how it is printed.
struct Source {
    namespace: Arc<Namespace>,
    partition: Arc<Partition>,
    printer: Arc<Printer>,
    /// What the records have to be; all where left out.
    selection: Option<Selection>,
}

impl Follower {
    async fn run(mut self) {
        let mut draining = self.app.draining.clone();
        let gone = self.pieces.clone();
        tokio::select! {
            () = self.give_all() => {}
            () = drain_begun(&mut draining) => {}
            () = gone.closed() => {}
        }
    }

    /// Ends only with the namespace, or a fault of ours.
    async fn give_all(&mut self) {
        loop {
            let piece = match self.next_piece().await {
                Ok(Some(piece)) => piece,
                Ok(None) => continue,
                Err(problem) => {
                    let mut last = Vec::new();
                    error_event(&mut last, self.next.checked_sub(1), &problem);
                    if let Ok(share) = self.share(last.len()).await {
                        let _ = self.pieces.send(held_bytes(last, share)).await;
                    }
                    return;
                }
            };
            // It waits until the reader has taken what came before.
            if self.pieces.send(piece).await.is_err() {
                return;
            }
            self.quiet_until = Instant::now() + QUIET_MAX;
        }
    }

    /// What comes next; `None` where none of the records is wanted.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(view) = self.more().await? else {
            return Ok(Some(Bytes::from_static(b":\n\n")));
        };
        let make = || self.make(view);
        let Page { next, body } = match self.source.key(self.level, self.next, view) {
            Some(key) => self.app.pages.get(key, make).await?,
            None => make().await?,
        };
        self.next = next;
        Ok((!body.is_empty()).then_some(body))
    }

    async fn make(&self, view: Published) -> Result<Page, Problem> {
        let (source, next) = (Arc::clone(&self.source), self.next);
        // Before it is made: many who follow one log want the same large record at the same time.
        let share = self.share(source.piece_bytes_at_most(next, view)).await?;
        let (next, piece) = blocking(move || source.piece(next, view)).await?;
        let share = share.shrunk(piece.len());
        Ok(Page { next, body: held_bytes(piece, share) })
    }

    /// Waits for records; `None` where a comment is due first.
    async fn more(&mut self) -> Result<Option<Published>, Problem> {
        loop {
            check_still_readable(&self.app, &self.source.namespace)?;
            if Instant::now() >= self.quiet_until {
                return Ok(None);
            }
            let seen = view(self.level, *self.updates.borrow_and_update());
            if seen.end > self.next {
                return Ok(Some(seen));
            }
            let _ = tokio::time::timeout_at(self.quiet_until, self.updates.changed()).await;
        }
    }

    /// Waits for memory.
    async fn share(&self, bytes: usize) -> Result<Share, Problem> {
        let none = || Problem::new(Code::Draining, "the store is stopping; follow again when it is back");
        self.app.budgets.follow(bytes).await.ok_or_else(none)
    }
}

impl Source {
    /// What others who follow the same have too; `None` where a piece is for this reader alone.
    fn key(&self, level: Level, next: u64, view: Published) -> Option<Key> {
        let is_common = self.selection.is_none() && level != Level::Unconfirmed && next >= view.start;
        let range = Range { from: next, until: view.end };
        let bounds = (usize::MAX, PIECE_BYTES_MAX);
        is_common.then(|| Key::new(&self.partition, range, bounds, Arc::clone(&self.printer)))
    }

    /// What a piece takes at most, as far as that can be told before it is read; text may write several bytes for one.
    fn piece_bytes_at_most(&self, next: u64, view: Published) -> usize {
        let bytes = self.partition.bytes_at_most(Range { from: next, until: view.end });
        bytes.unwrap_or(RECORD_BYTES_MAX).clamp(PIECE_BYTES_MAX, RECORD_BYTES_MAX)
    }

    /// Reads a piece, and what stops it becomes an event; blocking. Says where to go on.
    fn piece(&self, next: u64, view: Published) -> Result<(u64, Vec<u8>), Problem> {
        let mut body = Vec::new();
        if next < view.start {
            error_event(&mut body, view.start.checked_sub(1), &trimmed(next, view));
            return Ok((view.start, body));
        }
        let sink = |record: &LogRecord<'_>| {
            if !body.is_empty() && body.len() + record.body_len() > PIECE_BYTES_MAX {
                return Flow::StopBefore;
            }
            self.printer.print(&mut body, record);
            Flow::Continue
        };
        let ended = self.read(Range { from: next, until: view.end }, view, sink);
        let Ended { next, stopped } = ended.map_err(|error| self.namespace.internal("read the log", &error))?;
        let Some(problem) = stopped else { return Ok((next, body)) };
        let behind = problem.more.get("next").and_then(serde_json::Value::as_u64).unwrap_or(view.end);
        error_event(&mut body, behind.checked_sub(1), &problem);
        Ok((behind, body))
    }

    fn read(&self, range: Range, view: Published, sink: impl FnMut(&LogRecord<'_>) -> Flow) -> io::Result<Ended> {
        let order = Order::OldestFirst;
        match &self.selection {
            None => read_in_order(&self.partition, range, order, view, sink),
            Some(selection) => {
                let deadline = std::time::Instant::now() + Duration::from_millis(SELECT_MILLIS_MAX);
                let ended = self.partition.select(selection, range, direction(order), deadline, sink)?;
                Ok(Ended::of_selection(&ended, range, order, view))
            }
        }
    }
}

/// The body of an answer that never ends by itself.
struct Events {
    taken: mpsc::Receiver<Bytes>,
    _place: Share,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.taken.poll_recv(context).map(|piece| Some(Ok(http_body::Frame::data(piece?))))
    }
}
