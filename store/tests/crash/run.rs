//! A store on a simulated disk, its user, and what the user remembers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use logstore_api::config::StoreConfig;
use logstore_api::frame::Producer;
use logstore_api::namespace::PutNamespace;
use logstore_api::{Code, Durability, NamespaceConfig, NamespaceName, Problem, Timestamp};
use logstore_store::engine::Engine;
use logstore_store::engine::batch::{Attributes, Batch};
use logstore_store::engine::namespace::Namespace;
use logstore_store::log::Partition;
use logstore_store::log::read::{Flow, Range};
use logstore_store::log::shared::Published;
use logstore_store::log::sync::SyncPool;
use logstore_store::log::work::{Done, What, Work};
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::disk::SimDisk;
use super::image::Image;
use super::oracle::{After, Event, Found, Frame, Model, Shown};

type Answer = Receiver<Result<Done, Box<Problem>>>;

/// What the user knows, and how the disk looked before each call that changed it.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) model: Model,
    events: Vec<Event>,
    waiting: Vec<(&'static str, u32, Answer)>,
    looks: Vec<(Image, usize)>,
}

impl Log {
    pub(crate) fn note(&mut self, event: Event) {
        self.model.apply(&event);
        self.events.push(event);
    }

    /// Takes in the answers that have come.
    fn settle(&mut self) {
        for (space, op, mut answer) in std::mem::take(&mut self.waiting) {
            match answer.try_recv() {
                Ok(result) => self.note_answer(space, op, result),
                Err(TryRecvError::Empty) => self.waiting.push((space, op, answer)),
                // The process has ended, or the namespace is gone.
                Err(TryRecvError::Closed) => {}
            }
        }
    }

    fn note_answer(&mut self, space: &'static str, op: u32, result: Result<Done, Box<Problem>>) {
        match result {
            Ok(Done { what: What::Appended { offset: Some(offset), .. }, durable_end, .. }) => {
                self.note(Event::Acked { space, op, offset, durable_end });
            }
            Ok(_) => {}
            Err(problem) if problem.is(Code::OutcomeUnknown) => {}
            Err(_) => self.note(Event::Refused { space, op }),
        }
    }
}

/// A running store.
pub(crate) struct Run {
    pub(crate) disk: SimDisk,
    pub(crate) log: Arc<Mutex<Log>>,
    base: Model,
    pool: Arc<SyncPool>,
    engine: Option<Arc<Engine>>,
    /// The next sequence of each producer, and how often it had to begin again.
    producers: BTreeMap<(&'static str, u8), (u64, u128)>,
}

fn text(problem: &Problem) -> String {
    format!("{}: {}", problem.code, problem.detail)
}

fn namespace_name(space: &str) -> NamespaceName {
    NamespaceName::parse(space).unwrap()
}

impl Run {
    /// Starts a store on a disk, of which `model` says what it has promised.
    pub(crate) fn start(image: Image, model: Model, watched: bool) -> Result<Self, String> {
        let mut run = Self::prepare(image, model, watched);
        run.start_engine()?;
        Ok(run)
    }

    /// The same without a start.
    pub(crate) fn prepare(image: Image, model: Model, watched: bool) -> Self {
        let log = Arc::new(Mutex::new(Log { model: model.clone(), ..Log::default() }));
        let disk = SimDisk::new(image);
        if watched {
            let log = Arc::clone(&log);
            disk.watch(move |image| {
                let mut log = log.lock().unwrap();
                log.settle();
                let events = log.events.len();
                log.looks.push((image.clone(), events));
            });
        }
        let pool = Arc::new(SyncPool::by_hand());
        Self { disk, log, base: model, pool, engine: None, producers: BTreeMap::new() }
    }

    pub(crate) fn start_engine(&mut self) -> Result<(), String> {
        let disk = Arc::new(self.disk.clone());
        let engine = Engine::start_with(disk, PathBuf::from("/store"), StoreConfig::default(), Arc::clone(&self.pool));
        self.engine = Some(engine.map_err(|error| format!("the store does not start: {error}"))?);
        Ok(())
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    pub(crate) fn note(&self, event: Event) {
        self.log().note(event);
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().expect("the store runs")
    }

    pub(crate) fn namespace(&self, space: &str) -> Result<Arc<Namespace>, Problem> {
        self.engine().get(&namespace_name(space))
    }

    fn partition(&self, space: &str) -> Result<(Arc<Namespace>, Arc<Partition>), Problem> {
        let namespace = self.namespace(space)?;
        let partition = Arc::clone(namespace.partition(0)?);
        Ok((namespace, partition))
    }

    // What its user does.

    pub(crate) fn put(&self, space: &'static str, config: NamespaceConfig) -> Result<(), Problem> {
        self.note(Event::Putting { space, config: config.clone() });
        self.engine().put(&namespace_name(space), PutNamespace { config, internal: None }, false)?;
        self.note(Event::Put { space });
        Ok(())
    }

    pub(crate) fn delete(&self, space: &'static str) -> Result<(), Problem> {
        self.note(Event::Deleting { space });
        self.engine().delete(&namespace_name(space), None)?;
        self.note(Event::Deleted { space });
        Ok(())
    }

    pub(crate) fn append(
        &mut self,
        space: &'static str,
        count: u32,
        len: usize,
        level: Durability,
        producer: Option<u8>,
    ) -> Result<u32, Problem> {
        let op = self.log().model.next_op;
        let producer = producer.map(|number| self.next_of_producer(space, number, op, count));
        let frame = Arc::new(Frame { op, count, len, level, producer });
        self.send(space, frame)
    }

    /// Sends a frame, perhaps again; its answer is taken in when it comes.
    pub(crate) fn send(&self, space: &'static str, frame: Arc<Frame>) -> Result<u32, Problem> {
        let (namespace, partition) = self.partition(space)?;
        namespace.check_append()?;
        let mut batch = Batch::new(frame.producer, namespace.salt(), 0);
        for index in 0..frame.count {
            let attributes = Attributes { key: frame.key(index), tags: frame.tags(), ..Attributes::default() };
            batch.push(&frame.payload(index), attributes)?;
        }
        let ready = batch.finish()?;
        let (op, durability) = (frame.op, frame.level);
        self.note(Event::Submitted { space, frame });
        let answer = partition.submit(|reply| Work::Append {
            draft: ready.draft,
            producer: ready.producer,
            expect_offset: None,
            durability,
            reply,
        });
        let mut log = self.log();
        log.waiting.push((space, op, answer));
        log.settle();
        Ok(op)
    }

    fn next_of_producer(&mut self, space: &'static str, number: u8, op: u32, count: u32) -> Producer {
        let (seq, id) = self.producers.entry((space, number)).or_insert((0, u128::from(op) + 1));
        let producer = Producer { id: *id, seq: *seq, epoch: 0 };
        *seq += u64::from(count);
        producer
    }

    pub(crate) fn trim(&self, space: &'static str, before: u64) -> Result<(), Problem> {
        let (_, partition) = self.partition(space)?;
        self.note(Event::Trimming { space, before });
        let mut answer = partition.submit(|reply| Work::Trim { before, reply });
        self.run_jobs();
        match answer.try_recv() {
            Ok(Ok(Done { what: What::Trimmed { .. }, .. })) => self.note(Event::Trimmed { space, before }),
            Ok(Ok(other)) => panic!("{other:?}"),
            Ok(Err(problem)) => return Err(*problem),
            Err(error) => panic!("a trim has no answer: {error}"),
        }
        Ok(())
    }

    pub(crate) fn end(&self, space: &str) -> u64 {
        self.partition(space).map_or(0, |(_, partition)| partition.published().borrow().end)
    }

    /// What housekeeping does each second.
    pub(crate) fn tend(&self, space: &'static str, later_seconds: i64) -> Result<(), Problem> {
        let (_, partition) = self.partition(space)?;
        self.note(Event::Dropping { space, until: partition.published().borrow().end });
        partition.tend(Timestamp(Timestamp::now().0 + later_seconds * 1_000_000));
        self.log().settle();
        Ok(())
    }

    /// What housekeeping does five times a second.
    pub(crate) fn sync_in_background(&self) {
        for namespace in self.engine().namespaces() {
            if let Some(partition) = namespace.opened(0) {
                partition.sync_in_background();
            }
        }
        self.run_jobs();
    }

    /// Lets the threads for syncs do what waits for them.
    pub(crate) fn run_jobs(&self) {
        loop {
            let jobs = self.pool.take_waiting();
            if jobs.is_empty() {
                break;
            }
            jobs.into_iter().for_each(|job| job());
            self.log().settle();
        }
        self.log().settle();
    }

    /// Ends the process, with an orderly stop before it or without.
    pub(crate) fn end_process(&mut self, orderly: bool) {
        if orderly && let Some(engine) = &self.engine {
            engine.stop();
            let model = self.log().model.clone();
            let ended = |space: &&str| self.opened(space).is_some_and(|now| now.durable_end == now.end);
            let ended: Vec<&'static str> = model.names().filter(ended).collect();
            let mut log = self.log();
            log.settle();
            ended.into_iter().for_each(|space| log.note(Event::Stopped { space }));
        }
        drop(self.pool.take_waiting());
        self.engine = None;
        let mut log = self.log();
        log.settle();
        log.waiting.clear();
        drop(log);
        self.producers.clear();
    }

    fn opened(&self, space: &str) -> Option<Published> {
        let namespace = self.namespace(space).ok()?;
        namespace.opened(0).map(|partition| *partition.published().borrow())
    }

    // What its user sees.

    /// Opens all namespaces and holds what they show against all promises.
    pub(crate) fn check_all(&self, after: After) -> Result<(), String> {
        let there = self.engine().namespaces();
        let model = self.log().model.clone();
        if let Some(stranger) = there.iter().find(|there| model.names().all(|name| name != there.name().as_str())) {
            return Err(format!("namespace {} was never made", stranger.name()));
        }
        for space in model.names() {
            let namespace = self.namespace(space).ok();
            model.check_space(space, namespace.as_ref().map(|namespace| namespace.config()).as_ref())?;
            let Some(namespace) = namespace else { continue };
            let found = show(&namespace)?;
            model.check(space, &found, after)?;
            self.note(Event::Configured { space, config: namespace.config() });
            self.note(Event::Found { space, found: Arc::new(found) });
        }
        // What is not there now is gone for good.
        for space in model.names() {
            if self.namespace(space).is_err() {
                self.note(Event::Deleted { space });
            }
        }
        Ok(())
    }

    /// Holds what a running store shows against all promises, without taking it for one.
    pub(crate) fn check_view(&self) -> Result<(), String> {
        let model = self.log().model.clone();
        for space in model.names() {
            if let Ok(namespace) = self.namespace(space) {
                model.check(space, &show(&namespace)?, After::Kill)?;
            }
        }
        Ok(())
    }

    /// Sends again what producers have sent: what is there is a duplicate, what is not there is none.
    pub(crate) fn retry_producers(&self) -> Result<(), String> {
        let model = self.log().model.clone();
        for space in model.names() {
            let Ok(namespace) = self.namespace(space) else { continue };
            if namespace.check_append().is_err() {
                continue;
            }
            let life = model.life(space).expect("it is in the model");
            for (frame, known) in life.of_producers() {
                self.retry(space, &frame, known).map_err(|what| format!("{space}: {what}"))?;
            }
        }
        Ok(())
    }

    fn retry(&self, space: &'static str, frame: &Arc<Frame>, known: Option<u64>) -> Result<(), String> {
        let (namespace, partition) = self.partition(space).map_err(|problem| text(&problem))?;
        let mut batch = Batch::new(frame.producer, namespace.salt(), 0);
        for index in 0..frame.count {
            let attributes = Attributes { key: frame.key(index), tags: frame.tags(), ..Attributes::default() };
            batch.push(&frame.payload(index), attributes).map_err(|problem| text(&problem))?;
        }
        let ready = batch.finish().map_err(|problem| text(&problem))?;
        let published = *partition.published().borrow();
        // What was trimmed may have been lost before.
        let known = known.filter(|known| known + u64::from(frame.count) > published.start);
        if known.is_none() {
            let frame = Arc::new(Frame { level: Durability::Synced, ..(**frame).clone() });
            self.note(Event::Submitted { space, frame });
        }
        let mut answer = partition.submit(|reply| Work::Append {
            draft: ready.draft,
            producer: ready.producer,
            expect_offset: None,
            durability: Durability::Synced,
            reply,
        });
        self.run_jobs();
        let (op, answer) = (frame.op, answer.try_recv().map_err(|error| format!("a retry has no answer: {error}"))?);
        match (known, answer) {
            (Some(known), Ok(Done { what: What::Appended { offset, duplicate: true, .. }, .. })) => {
                if offset.is_some_and(|offset| offset != known) {
                    return Err(format!("the retry of append {op} says offset {offset:?}, but it is at {known}"));
                }
            }
            (
                None,
                Ok(Done { what: What::Appended { offset: Some(offset), duplicate: false, .. }, durable_end, .. }),
            ) => {
                if offset < published.end {
                    return Err(format!("the retry of append {op} got offset {offset} of {published:?}"));
                }
                self.note(Event::Acked { space, op, offset, durable_end });
            }
            // It was trimmed before its answer came.
            (None, Ok(Done { what: What::Appended { offset: Some(offset), .. }, .. })) if offset < published.start => {}
            (Some(known), Ok(done)) => {
                return Err(format!("append {op} is at {known}, but its retry is answered {done:?}"));
            }
            (None, Ok(done)) => return Err(format!("append {op} is lost, but its retry is answered {done:?}")),
            (Some(known), Err(problem)) => {
                return Err(format!("append {op} is at {known}, but its retry is refused: {}", text(&problem)));
            }
            (None, Err(_)) => self.note(Event::Refused { space, op }),
        }
        Ok(())
    }

    /// The moments before each change of the disk, and the last one, oldest first.
    pub(crate) fn moments(&self) -> Moments {
        let mut log = self.log();
        log.settle();
        let mut looks = std::mem::take(&mut log.looks);
        looks.push((self.disk.image(), log.events.len()));
        Moments { looks: looks.into_iter(), events: log.events.clone(), applied: 0, model: self.base.clone() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Jobs hold what holds the pool.
        drop(self.pool.take_waiting());
    }
}

/// Goes through the moments of a run.
pub(crate) struct Moments {
    looks: std::vec::IntoIter<(Image, usize)>,
    events: Vec<Event>,
    applied: usize,
    model: Model,
}

impl Moments {
    pub(crate) fn count(&self) -> usize {
        self.looks.len()
    }

    /// Goes on to the moment with this number from here.
    pub(crate) fn skip_to(&mut self, number: usize) -> Option<(Image, &Model)> {
        let (image, events) = self.looks.nth(number)?;
        while self.applied < events {
            self.model.apply(&self.events[self.applied]);
            self.applied += 1;
        }
        Some((image, &self.model))
    }
}

/// Everything that a namespace shows.
pub(crate) fn show(namespace: &Namespace) -> Result<Found, String> {
    let partition = namespace.partition(0).map_err(|problem| format!("{}: {}", namespace.name(), text(&problem)))?;
    let published = *partition.published().borrow();
    let mut found = Found {
        start: published.start,
        end: published.end,
        told: partition.holes().into_iter().map(|hole| (hole.from, hole.until)).collect(),
        ..Found::default()
    };
    let mut next = found.start;
    while next < found.end {
        let mut expected = next;
        let mut astray = None;
        let records = &mut found.records;
        let ended = partition.read(Range { from: next, until: found.end }, |record| {
            if record.offset != expected {
                astray = Some(record.offset);
                return Flow::StopBefore;
            }
            expected += 1;
            let meta = record.meta();
            records.push(Shown {
                offset: record.offset,
                payload: record.data().to_vec(),
                key: meta.key,
                tags: meta.tags,
            });
            Flow::Continue
        });
        let ended = ended.map_err(|error| format!("{}: reading fails: {error}", namespace.name()))?;
        if let Some(astray) = astray {
            return Err(format!(
                "{}: offset {astray} comes where {expected} was expected, and no hole is told",
                namespace.name()
            ));
        }
        match ended.damaged_until {
            Some(until) if until > expected => {
                found.holes.push((expected, until));
                next = until;
            }
            None if ended.begins_at.is_none() && ended.next == found.end => next = ended.next,
            _ => return Err(format!("{}: reading from {next} to {} ends with {ended:?}", namespace.name(), found.end)),
        }
    }
    Ok(found)
}
