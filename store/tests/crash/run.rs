//! A store on a simulated disk, its user, and what the user remembers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use logstore_api::config::StoreConfig;
use logstore_api::frame::{Meta, Producer};
use logstore_api::namespace::PutNamespace;
use logstore_api::{Code, Durability, NamespaceConfig, NamespaceName, Problem, Timestamp};
use logstore_store::engine::Engine;
use logstore_store::engine::batch::{Attributes, Batch, Ready};
use logstore_store::engine::namespace::Namespace;
use logstore_store::log::Partition;
use logstore_store::log::cursor::LogRecord;
use logstore_store::log::find::expression::Expression;
use logstore_store::log::find::ordinals::Direction;
use logstore_store::log::find::select::{IndexRange, Selection};
use logstore_store::log::modify::{At, EraseRequest, PatchRequest, Target};
use logstore_store::log::read::{Flow, Range};
use logstore_store::log::sync::SyncPool;
use logstore_store::log::work::{Done, What, Work};
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::disk::SimDisk;
use super::image::Image;
use super::oracle::{After, Change, Event, Found, Frame, Model, Place, Shown};
use super::rng::Rng;

/// The bytes of erased records go within this time, and half of it is left for trouble.
const ERASE_WITHIN: Duration = Duration::from_secs(3600);
/// Steps of carrying out erasures in each round of housekeeping.
const ERASING_STEPS: usize = 4;

type Answer = Receiver<Result<Done, Box<Problem>>>;

/// What an answer is about.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Append(u32),
    Change { offset: u64, number: u32 },
}

/// How a record is patched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patch {
    /// At the end, with so many bytes.
    AtEnd(usize),
    /// At this byte behind the first eight, which say whose record it is, modulo its length; so many bytes.
    Inside(usize, usize),
    /// The whole payload.
    Whole,
}

/// What the user knows, and how the disk looked before each call that changed it.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) model: Model,
    events: Vec<Event>,
    waiting: Vec<(Place, Asked, Answer)>,
    looks: Vec<(Image, usize)>,
}

impl Log {
    pub(crate) fn note(&mut self, event: Event) {
        self.model.apply(&event);
        self.events.push(event);
    }

    /// Takes in the answers that have come.
    fn settle(&mut self) {
        for (place, asked, mut answer) in std::mem::take(&mut self.waiting) {
            match answer.try_recv() {
                Ok(result) => self.note_answer(place, asked, result),
                Err(TryRecvError::Empty) => self.waiting.push((place, asked, answer)),
                // The process has ended, or the namespace is gone.
                Err(TryRecvError::Closed) => {}
            }
        }
    }

    fn note_answer(&mut self, place: Place, asked: Asked, result: Result<Done, Box<Problem>>) {
        match (asked, result) {
            (Asked::Append(op), Ok(Done { what: What::Appended { offset: Some(offset), .. }, durable_end, .. })) => {
                self.note(Event::Acked { place, op, offset, durable_end });
            }
            (Asked::Change { offset, number }, Ok(Done { what: What::Patched { .. } | What::Erased { .. }, .. })) => {
                self.note(Event::Changed { place, offset, number });
            }
            (_, Ok(_)) => {}
            (_, Err(problem)) if problem.is(Code::OutcomeUnknown) => {}
            (Asked::Append(op), Err(_)) => self.note(Event::Refused { place, op }),
            (Asked::Change { offset, number }, Err(_)) => self.note(Event::ChangeRefused { place, offset, number }),
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
    producers: BTreeMap<(Place, u8), (u64, u128)>,
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

    fn partition(&self, (space, number): Place) -> Result<(Arc<Namespace>, Arc<Partition>), Problem> {
        let namespace = self.namespace(space)?;
        let partition = Arc::clone(namespace.partition(number)?);
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
        place: Place,
        count: u32,
        len: usize,
        level: Durability,
        producer: Option<u8>,
    ) -> Result<u32, Problem> {
        let op = self.log().model.next_op;
        let producer = producer.map(|number| self.next_of_producer(place, number, op, count));
        let frame = Arc::new(Frame { op, count, len, level, producer });
        self.send(place, frame)
    }

    /// Sends a frame, perhaps again; its answer is taken in when it comes.
    pub(crate) fn send(&self, place: Place, frame: Arc<Frame>) -> Result<u32, Problem> {
        let (namespace, partition) = self.partition(place)?;
        namespace.check_append()?;
        let ready = ready(&namespace, &frame)?;
        let (op, durability) = (frame.op, frame.level);
        self.note(Event::Submitted { place, frame });
        let answer = partition.submit(|reply| Work::Append {
            draft: ready.draft,
            producer: ready.producer,
            expect_offset: None,
            durability,
            reply,
        });
        self.wait_for(place, Asked::Append(op), answer);
        Ok(op)
    }

    fn wait_for(&self, place: Place, asked: Asked, answer: Answer) {
        let mut log = self.log();
        log.waiting.push((place, asked, answer));
        log.settle();
    }

    /// Patches one of the records that are there.
    pub(crate) fn patch(&self, place: Place, which: usize, patch: Patch, level: Durability) -> Result<(), Problem> {
        let (namespace, partition) = self.partition(place)?;
        namespace.check_append()?;
        let Some(offset) = self.choose(place, &partition, which) else { return Ok(()) };
        let payload = self.log().model.life(place).and_then(|life| life.payload_with_all(offset));
        let (Ok(Some(Target::Standing { data_len, alloc_len })), Some(payload)) = (partition.target(offset), payload)
        else {
            return Ok(());
        };
        let number = self.log().model.next_change;
        let (at, bytes) = patch.bytes(&payload, number);
        self.note(Event::Changing {
            place,
            offset,
            number,
            change: Change::Patch { at, bytes: bytes.as_slice().into() },
            level,
        });
        let at = at.map_or(At::End, |at| At::Byte(at as u64));
        let request = PatchRequest { offset, data_len, alloc_len, at, bytes: bytes.into(), if_match: None };
        let answer = partition.submit(|reply| Work::Patch { request, durability: level, reply });
        self.wait_for(place, Asked::Change { offset, number }, answer);
        Ok(())
    }

    /// Erases one of the records that are there.
    pub(crate) fn erase(&self, place: Place, which: usize, level: Durability) -> Result<(), Problem> {
        let (_, partition) = self.partition(place)?;
        let Some(offset) = self.choose(place, &partition, which) else { return Ok(()) };
        let number = self.log().model.next_change;
        self.note(Event::Changing { place, offset, number, change: Change::Erase, level });
        let request = EraseRequest { offset, if_match: None };
        let answer = partition.submit(|reply| Work::Erase { request, durability: level, reply });
        self.wait_for(place, Asked::Change { offset, number }, answer);
        Ok(())
    }

    /// The newest record that is there and can be changed for 0, the one before for 1, and so on, round and round.
    fn choose(&self, place: Place, partition: &Partition, which: usize) -> Option<u64> {
        let start = partition.published().borrow().start;
        let mut offsets = self.log().model.life(place)?.changeable(start);
        offsets.sort_unstable();
        let count = offsets.len();
        offsets.into_iter().rev().nth(which % count.max(1))
    }

    fn next_of_producer(&mut self, place: Place, number: u8, op: u32, count: u32) -> Producer {
        let (seq, id) = self.producers.entry((place, number)).or_insert((0, u128::from(op) + 1));
        let producer = Producer { id: *id, seq: *seq, epoch: 0 };
        *seq += u64::from(count);
        producer
    }

    pub(crate) fn trim(&self, place: Place, before: u64) -> Result<(), Problem> {
        let (_, partition) = self.partition(place)?;
        self.note(Event::Trimming { place, before });
        let mut answer = partition.submit(|reply| Work::Trim { before, reply });
        self.run_jobs();
        match answer.try_recv() {
            Ok(Ok(Done { what: What::Trimmed { .. }, .. })) => self.note(Event::Trimmed { place, before }),
            Ok(Ok(other)) => panic!("{other:?}"),
            Ok(Err(problem)) => return Err(*problem),
            Err(error) => panic!("a trim has no answer: {error}"),
        }
        Ok(())
    }

    pub(crate) fn end(&self, place: Place) -> u64 {
        self.partition(place).map_or(0, |(_, partition)| partition.published().borrow().end)
    }

    /// What housekeeping does each second.
    pub(crate) fn tend(&self, place: Place, later_seconds: i64) -> Result<(), Problem> {
        let (_, partition) = self.partition(place)?;
        self.note(Event::Dropping { place, until: partition.published().borrow().end });
        let now = Timestamp(Timestamp::now().0 + later_seconds * 1_000_000);
        // One segment at a time, and then what was carried out is forgotten.
        for _ in 0..ERASING_STEPS {
            partition.carry_out_erasures(ERASE_WITHIN, now);
        }
        partition.tend(now);
        self.log().settle();
        Ok(())
    }

    /// Ends the active segment.
    pub(crate) fn seal(&self, place: Place) -> Result<(), Problem> {
        let (_, partition) = self.partition(place)?;
        let sealed = partition.seal();
        self.log().settle();
        sealed.map(drop)
    }

    /// What housekeeping does five times a second.
    pub(crate) fn sync_in_background(&self) {
        for namespace in self.engine().namespaces() {
            namespace.all_opened().for_each(|partition| partition.sync_in_background());
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
            let ended: Vec<Place> = self.places().into_iter().filter(|place| self.is_all_durable(*place)).collect();
            let mut log = self.log();
            log.settle();
            ended.into_iter().for_each(|place| log.note(Event::Stopped { place }));
        }
        drop(self.pool.take_waiting());
        self.engine = None;
        let mut log = self.log();
        log.settle();
        log.waiting.clear();
        drop(log);
        self.producers.clear();
    }

    fn is_all_durable(&self, (space, number): Place) -> bool {
        let opened = |namespace: &Namespace| namespace.opened(number).map(|partition| *partition.published().borrow());
        let opened = self.namespace(space).ok().and_then(|namespace| opened(&namespace));
        opened.is_some_and(|now| now.durable_end == now.end)
    }

    /// The logs of all namespaces that there are.
    fn places(&self) -> Vec<Place> {
        let model = self.log().model.clone();
        let count = |space| self.namespace(space).map_or(0, |namespace| namespace.partition_count());
        model.names().flat_map(|space| (0..count(space)).map(move |number| (space, number))).collect()
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
            for number in 0..namespace.partition_count() {
                let (place, found) = ((space, number), show(&namespace, number)?);
                model.check(place, &found, after)?;
                self.note(Event::Found { place, found: Arc::new(found) });
            }
            // As with a description: it is given when the logs are open, and so are the directories' names on the disk.
            self.note(Event::Configured { space, config: namespace.config() });
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
        for (space, number) in self.places() {
            let namespace = self.namespace(space).map_err(|problem| text(&problem))?;
            model.check((space, number), &show(&namespace, number)?, After::Kill)?;
        }
        Ok(())
    }

    /// Sends again what producers have sent: what is there is a duplicate, what is not there is none.
    pub(crate) fn retry_producers(&self) -> Result<(), String> {
        let model = self.log().model.clone();
        for place in self.places() {
            let Some(life) = model.life(place) else { continue };
            if self.namespace(place.0).and_then(|namespace| namespace.check_append()).is_err() {
                continue;
            }
            for (frame, known) in life.of_producers() {
                self.retry(place, &frame, known).map_err(|what| format!("{place:?}: {what}"))?;
            }
        }
        Ok(())
    }

    fn retry(&self, place: Place, frame: &Arc<Frame>, known: Option<u64>) -> Result<(), String> {
        let (namespace, partition) = self.partition(place).map_err(|problem| text(&problem))?;
        let ready = ready(&namespace, frame).map_err(|problem| text(&problem))?;
        let published = *partition.published().borrow();
        // What was trimmed may have been lost before.
        let known = known.filter(|known| known + u64::from(frame.count) > published.start);
        if known.is_none() {
            let frame = Arc::new(Frame { level: Durability::Synced, ..(**frame).clone() });
            self.note(Event::Submitted { place, frame });
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
                self.note(Event::Acked { place, op, offset, durable_end });
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
            (None, Err(_)) => self.note(Event::Refused { place, op }),
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

/// What an append sends.
fn ready(namespace: &Namespace, frame: &Frame) -> Result<Ready, Problem> {
    let mut batch = Batch::new(frame.producer, namespace.salt(), 0);
    for index in 0..frame.count {
        let attributes = Attributes {
            key: frame.key(index),
            tags: frame.tags(),
            indices: frame.indices(index),
            alloc: frame.alloc(),
        };
        batch.push(&frame.payload(index), attributes)?;
    }
    batch.finish()
}

impl Patch {
    /// Where it goes, and its bytes, by which it is known.
    fn bytes(self, payload: &[u8], number: u32) -> (Option<usize>, Vec<u8>) {
        let mut rng = Rng::new(u64::from(number) << 32 | 0x7a);
        let mut bytes = |count: usize| (0..count).map(|_| rng.next().to_le_bytes()[0]).collect::<Vec<u8>>();
        match self {
            Self::AtEnd(count) => (None, bytes(count)),
            Self::Inside(at, count) => (Some(8 + at % (payload.len() - 7)), bytes(count)),
            Self::Whole => (Some(0), [&payload[..8], &bytes(payload.len() - 8)].concat()),
        }
    }
}

/// Everything that a log shows.
pub(crate) fn show(namespace: &Namespace, number: u32) -> Result<Found, String> {
    let name = format!("{}/{number}", namespace.name());
    let partition = namespace.partition(number).map_err(|problem| format!("{name}: {}", text(&problem)))?;
    let published = *partition.published().borrow();
    let mut found = Found {
        start: published.start,
        end: published.end,
        told: partition.holes().into_iter().map(|hole| (hole.from, hole.until)).collect(),
        ..Found::default()
    };
    let mut next = found.start;
    while next < found.end {
        let (records, erased) = (&mut found.records, &mut found.erased);
        let mut expected = next;
        let ended = partition.read(Range { from: next, until: found.end }, |record| {
            // What is passed over was erased, and somebody must have asked for it.
            erased.extend(expected..record.offset);
            expected = record.offset + 1;
            records.push(shown(record));
            Flow::Continue
        });
        let ended = ended.map_err(|error| format!("{name}: reading fails: {error}"))?;
        erased.extend(expected..ended.next);
        match ended.damaged_until {
            Some(until) if until > ended.next => {
                found.holes.push((ended.next, until));
                next = until;
            }
            None if ended.begins_at.is_none() && ended.next == found.end => next = ended.next,
            _ => return Err(format!("{name}: reading from {next} to {} ends with {ended:?}", found.end)),
        }
    }
    search_all(partition, &found).map_err(|what| format!("{name}: {what}"))?;
    Ok(found)
}

fn shown(record: &LogRecord<'_>) -> Shown {
    let Meta { key, tags, indices } = record.meta();
    Shown { offset: record.offset, payload: record.data().to_vec(), key, tags, indices }
}

/// What is searched for by tags and values is what a reader of everything would pick.
fn search_all(partition: &Partition, found: &Found) -> Result<(), String> {
    let even = Expression::Tag(b"even".to_vec());
    let index = Some(IndexRange { number: 0, min: 2, max: 4 });
    let not_even = Some(Expression::Not(Box::new(even.clone())));
    search(partition, found, &Selection { tags: Some(even), index: None }, Direction::Up)?;
    search(partition, found, &Selection { tags: not_even, index }, Direction::Down)
}

fn search(partition: &Partition, found: &Found, selection: &Selection, direction: Direction) -> Result<(), String> {
    let fits = |shown: &&Shown| {
        let in_range = |range: &IndexRange| {
            shown
                .indices
                .iter()
                .any(|(number, value)| *number == range.number && (range.min..=range.max).contains(value))
        };
        selection.tags.as_ref().is_none_or(|tags| tags.fits(&shown.tags))
            && selection.index.as_ref().is_none_or(in_range)
    };
    let expected: Vec<(u64, &[u8])> =
        found.records.iter().filter(fits).map(|shown| (shown.offset, &shown.payload[..])).collect();
    let (mut got, mut range) = (Vec::new(), Range { from: found.start, until: found.end });
    let far = Instant::now() + Duration::from_secs(3600);
    while range.from < range.until {
        let give = |record: &LogRecord<'_>| {
            got.push((record.offset, record.data().to_vec()));
            Flow::Continue
        };
        let ended = partition.select(selection, range, direction, far, give);
        let ended = ended.map_err(|error| format!("searching for {selection:?} fails: {error}"))?;
        let Some(hole) = ended.damaged else { break };
        range = match direction {
            Direction::Up => Range { from: hole.until, ..range },
            Direction::Down => Range { until: hole.from, ..range },
        };
    }
    got.sort_unstable();
    if got.iter().map(|(offset, payload)| (*offset, &payload[..])).eq(expected.iter().copied()) {
        return Ok(());
    }
    let offsets = |list: &mut dyn Iterator<Item = u64>| list.collect::<Vec<u64>>();
    let (got, expected) =
        (offsets(&mut got.iter().map(|(at, _)| *at)), offsets(&mut expected.iter().map(|(at, _)| *at)));
    Err(format!("searching for {selection:?} finds {got:?}, reading {expected:?}"))
}
