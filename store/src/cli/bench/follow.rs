//! Followers: each waits for the records that one appender writes, and takes how old they are when they come.

use std::cell::RefCell;
use std::time::Duration;

use logstore_api::record::binary::entries;
use tokio::sync::watch;

use super::connection::{Connection, Exchanged};
use super::course::{Course, Reason};
use super::payload::{Found, check, origin};
use super::refusal::Refusal;
use super::request::put_number;
use super::tally::{Load, Purpose, Tally};

/// A long poll; the record that it waits for ends it before.
const WAIT_SECONDS: u64 = 10;

/// One follower.
#[derive(Debug)]
pub(super) struct Follower<'a> {
    pub(super) course: &'a Course,
    pub(super) tally: &'a RefCell<Tally>,
    pub(super) connection: Connection,
    pub(super) trail: Trail,
}

/// What a follower follows.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    /// The beginning of its requests, and their end.
    pub(super) head: Box<[u8]>,
    pub(super) end: Box<[u8]>,
    /// Where it begins, then where it is.
    pub(super) at: u64,
    /// Records of others are passed over.
    pub(super) seed: u64,
    /// Where the appender has stopped, when it has.
    pub(super) until: watch::Receiver<Option<u64>>,
}

/// What an answer leads to.
enum Step {
    GoOn,
    Rest(Duration),
}

impl Follower<'_> {
    /// Follows until everything that was appended has come, or nothing of it comes any more.
    pub(super) async fn run(mut self) -> Result<(), Reason> {
        let patience = Duration::from_nanos(self.course.patience);
        let mut until = self.trail.until.clone();
        let give_up = tokio::time::sleep(Duration::from_secs(WAIT_SECONDS) + patience);
        tokio::pin!(give_up);
        self.ask();
        while !self.is_done() {
            tokio::select! {
                biased;
                exchanged = self.connection.exchange() => {
                    self.check(exchanged)?;
                    let Some(step) = self.take()? else { continue };
                    if let Step::Rest(rest) = step {
                        tokio::time::sleep(rest).await;
                    }
                    let wait = if until.borrow().is_some() { patience } else { patience + Duration::from_secs(WAIT_SECONDS) };
                    give_up.as_mut().reset(tokio::time::Instant::now() + wait);
                    self.ask();
                }
                // What has been told is looked at above.
                changed = until.changed(), if self.trail.until.borrow().is_none() => {
                    // An appender that is gone without a word has met a failure, and says so itself.
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = &mut give_up => {
                    let address = self.course.address;
                    return Err(Reason::unreachable(format!("{address} has not answered a follower for {patience:?}")));
                }
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let at_end = self.trail.until.borrow().is_some_and(|until| self.trail.at >= until);
        at_end || self.course.is_stopped()
    }

    fn ask(&mut self) {
        let Trail { head, end, at, .. } = &self.trail;
        let out = self.connection.out();
        out.extend_from_slice(head);
        put_number(*at, out);
        out.extend_from_slice(format!("&wait={WAIT_SECONDS}s").as_bytes());
        out.extend_from_slice(end);
    }

    fn check(&self, exchanged: std::io::Result<Exchanged>) -> Result<(), Reason> {
        let address = self.course.address;
        match exchanged {
            Ok(Exchanged::Something) => Ok(()),
            Ok(Exchanged::End) => {
                Err(Reason::unreachable(format!("{address}: the store closed a follower's connection")))
            }
            Err(error) => Err(Reason::unreachable(format!("{address}: a follower's connection broke: {error}"))),
        }
    }

    /// Takes an answer, where it is whole.
    fn take(&mut self) -> Result<Option<Step>, Reason> {
        let Self { course, tally, connection, trail } = self;
        let now = course.now();
        let taken = connection.take(|head, body| match head.status {
            200 => {
                trail.at = head.next.filter(|next| *next >= trail.at).ok_or("a page does not say where to go on")?;
                trail.deliver(body, course, now, &mut tally.borrow_mut())?;
                Ok(Some(Step::GoOn))
            }
            100..200 => Ok(None),
            _ => {
                let mut tally = tally.borrow_mut();
                match Refusal::of(head, body) {
                    Refusal::Later { code, seconds, .. } => {
                        Tally::count(&mut tally.refused, &code);
                        Ok(Some(Step::Rest(Duration::from_secs(seconds))))
                    }
                    Refusal::Missing { code, goes_on_at } => {
                        Tally::count(&mut tally.errors, &code);
                        trail.at = goes_on_at.filter(|next| *next > trail.at).ok_or("a follower cannot go on")?;
                        Ok(Some(Step::GoOn))
                    }
                    Refusal::Gap { code } => Err(code),
                    Refusal::Final { message } => Err(message),
                }
            }
        });
        let bad = |error| Reason::refused(format!("an answer of {} is not one of a store: {error}", course.address));
        match taken.map_err(bad)? {
            None => Ok(None),
            Some(step) => step.map_err(Reason::refused),
        }
    }
}

impl Trail {
    /// Counts the records of a page.
    fn deliver(&self, body: &[u8], course: &Course, now: u64, tally: &mut Tally) -> Result<(), String> {
        for entry in entries(body) {
            let record = entry.map_err(|error| error.to_string())?.data;
            match check(record) {
                Found::Wrong => tally.seen.wrong += 1,
                Found::Foreign => tally.seen.foreign += 1,
                Found::Ours => match origin(record).filter(|origin| origin.seed == self.seed) {
                    None => tally.seen.foreign += 1,
                    Some(origin) => {
                        tally.seen.ours += 1;
                        let load = Load { records: 1, payload_bytes: record.len() as u64 };
                        let is_measured = origin.number >= course.bounds.warm_up;
                        tally.done(Purpose::Read, is_measured, now.saturating_sub(origin.number), load);
                    }
                },
            }
        }
        Ok(())
    }
}
