//! The load of one connection: send what is due, take the answers, wait where the store asks for it.
//!
//! ```text
//! schedule → work.render → connection → work.judge → tally
//!    ↑                                       ↓ refused
//!    └────────── drained, rested ────────────┘
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use super::answer::{BadAnswer, Head};
use super::connection::{Connection, Exchanged};
use super::course::{Course, Reason};
use super::pacer::Pacer;
use super::refusal::Refusal;
use super::schedule::{SECOND, Schedule, Turn};
use super::tally::{LATE_AFTER, Tally};
use super::work::{Expected, Verdict, Work};

/// No more is rendered while so many bytes wait to leave.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// The longest rest that a store can ask for, in seconds.
const REST_SECONDS_MAX: u64 = 60;

/// The load of one connection.
#[derive(Debug)]
pub(super) struct Driver<'a> {
    pub(super) course: &'a Course,
    pub(super) tally: &'a RefCell<Tally>,
    pub(super) connection: Connection,
    pub(super) work: Work,
    pub(super) schedule: Schedule,
    pub(super) in_flight: VecDeque<Sent>,
    pub(super) resting: Resting,
}

/// A request whose answer has not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    due: u64,
    sent: u64,
    is_measured: bool,
    expected: Expected,
}

/// What refusals have led to.
#[derive(Debug, Default)]
pub(super) struct Resting {
    /// Nothing is sent before then, and before all answers are there.
    until: Option<u64>,
    is_outcome_unknown: bool,
    /// When the first refusal came after the last success.
    since: Option<u64>,
}

/// What there is to do before the next answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Wait for answers alone.
    Answers,
    /// The same, and look again at this time.
    At(u64),
    /// Nothing is left.
    Nothing,
}

impl Driver<'_> {
    /// Loads until the end; the work, with what it has learnt.
    pub(super) async fn run(mut self) -> Result<Work, Reason> {
        let mut pacer = Pacer::new().map_err(|error| Reason::refused(format!("failed to make a timer: {error}")))?;
        let patience = tokio::time::sleep(Duration::from_nanos(self.course.patience));
        tokio::pin!(patience);
        loop {
            let next = self.send();
            if next == Next::Nothing && self.in_flight.is_empty() {
                self.tally.borrow_mut().not_sent += self.schedule.left(self.course.now(), &self.course.bounds);
                return Ok(self.work);
            }
            let exchanged = tokio::select! {
                biased;
                exchanged = self.connection.exchange() => Some(exchanged),
                waited = wait(&mut pacer, self.course, next) => {
                    waited.map_err(|error| Reason::refused(format!("failed to wait for a timer: {error}")))?;
                    None
                }
                () = &mut patience => {
                    let left = self.patience_left()?;
                    patience.as_mut().reset(tokio::time::Instant::now() + left);
                    None
                }
            };
            match exchanged {
                None => {}
                Some(Ok(Exchanged::Something)) => self.take_answers().await?,
                Some(Ok(Exchanged::End)) if self.in_flight.is_empty() => self.reopen().await?,
                Some(Ok(Exchanged::End)) => return Err(self.ended("the store closed the connection")),
                Some(Err(error)) => return Err(self.ended(&format!("the connection broke: {error}"))),
            }
        }
    }

    /// Renders what is due and has room.
    fn send(&mut self) -> Next {
        if self.course.is_stopped() {
            return Next::Nothing;
        }
        if let Some(until) = self.resting.until {
            // A store that stands against it does not hold the end up.
            let until = self.course.bounds.end.map_or(until, |end| until.min(end));
            if !self.in_flight.is_empty() {
                return Next::Answers;
            }
            if self.course.now() < until {
                return Next::At(until);
            }
            self.work.rewind(!self.resting.is_outcome_unknown);
            self.resting = Resting { since: self.resting.since, ..Resting::default() };
        }
        let depth = if self.work.is_sequential() { 1 } else { self.course.depth };
        let now = self.course.now();
        while self.in_flight.len() < depth && self.connection.waiting_bytes() < WAITING_BYTES_MAX {
            let (due, is_measured) = match self.schedule.turn(now, &self.course.bounds) {
                Turn::Send { due, is_measured } => (due, is_measured),
                Turn::At(at) => return Next::At(self.course.bounds.end.map_or(at, |end| at.min(end))),
                Turn::Over => return Next::Nothing,
            };
            let Some(expected) = self.work.render(due, self.connection.out()) else { return Next::Nothing };
            self.in_flight.push_back(Sent { due, sent: now, is_measured, expected });
            let mut tally = self.tally.borrow_mut();
            tally.sent += 1;
            tally.late += u64::from(is_measured && now - due > LATE_AFTER);
        }
        Next::Answers
    }

    async fn take_answers(&mut self) -> Result<(), Reason> {
        let now = self.course.now();
        while let Some(sent) = self.in_flight.front().copied() {
            let (work, tally) = (&mut self.work, self.tally);
            let judge = |head: Head, body: &[u8]| {
                let is_interim = (100..200).contains(&head.status);
                let verdict = (!is_interim).then(|| work.judge(sent.expected, head, body, &mut tally.borrow_mut()));
                (head.closes, verdict)
            };
            let (closes, verdict) = match self.connection.take(judge).map_err(|error| bad(self.course, error))? {
                None => break,
                Some((_, None)) => continue,
                Some((closes, Some(verdict))) => (closes, verdict),
            };
            self.in_flight.pop_front();
            self.tally.borrow_mut().answered += 1;
            self.settle(sent, verdict, now)?;
            if closes {
                // What is behind it was never taken.
                self.in_flight.clear();
                self.work.rewind(false);
                return self.reopen().await;
            }
        }
        Ok(())
    }

    fn settle(&mut self, sent: Sent, verdict: Verdict, now: u64) -> Result<(), Reason> {
        let mut tally = self.tally.borrow_mut();
        match verdict {
            Verdict::Done(purpose, load) => {
                tally.done(purpose, sent.is_measured, now - sent.due, load);
                self.course.advance(load.records);
                self.resting.since = None;
            }
            Verdict::Duplicate => Tally::count(&mut tally.errors, "duplicate"),
            Verdict::Refused(Refusal::Missing { code, .. }) => Tally::count(&mut tally.errors, &code),
            Verdict::Refused(Refusal::Gap { code }) if self.resting.until.is_some() => {
                Tally::count(&mut tally.refused, &code);
            }
            Verdict::Refused(Refusal::Gap { code }) => {
                return Err(Reason::refused(format!("an append was refused as out of sequence ({code})")));
            }
            Verdict::Refused(Refusal::Later { code, seconds, is_outcome_known }) => {
                Tally::count(&mut tally.refused, &code);
                let since = *self.resting.since.get_or_insert(now);
                if now - since > self.course.patience {
                    let seconds = (now - since) / SECOND;
                    return Err(Reason::refused(format!("the store has refused everything for {seconds} s: {code}")));
                }
                let until = now + seconds.min(REST_SECONDS_MAX) * SECOND;
                self.resting.until = Some(self.resting.until.map_or(until, |other| other.max(until)));
                self.resting.is_outcome_unknown |= !is_outcome_known;
            }
            Verdict::Refused(Refusal::Final { message }) => return Err(Reason::refused(message)),
        }
        Ok(())
    }

    /// How long the oldest request may still take.
    fn patience_left(&self) -> Result<Duration, Reason> {
        let waited = self.in_flight.front().map_or(0, |oldest| self.course.now() - oldest.sent);
        match self.course.patience.checked_sub(waited) {
            Some(left) if left > 0 => Ok(Duration::from_nanos(left)),
            _ => {
                let seconds = waited as f64 / SECOND as f64;
                Err(Reason::unreachable(format!("{} has not answered for {seconds:.1} s", self.course.address)))
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), Reason> {
        let address = self.course.address;
        let opened = self.connection.reopen(address).await;
        opened.map_err(|error| Reason::unreachable(format!("{address} is not there any more: {error}")))
    }

    fn ended(&self, what: &str) -> Reason {
        let (address, count) = (self.course.address, self.in_flight.len());
        Reason::unreachable(format!("{address}: {what}, with {count} requests under way on it"))
    }
}

fn bad(course: &Course, error: BadAnswer) -> Reason {
    Reason::refused(format!("an answer of {} is not one of a store: {error}", course.address))
}

async fn wait(pacer: &mut Pacer, course: &Course, next: Next) -> std::io::Result<()> {
    match next {
        Next::At(time) => pacer.until(course.begun(), time).await,
        Next::Answers | Next::Nothing => std::future::pending().await,
    }
}
