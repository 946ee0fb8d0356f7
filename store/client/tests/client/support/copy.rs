//! A copy that keeps the promises of the contract to the letter, loses what it may lose, and misbehaves as told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use logstore_api::fence::{FenceAnswer, FenceRequest, PartitionTail, PlaceAnswer, Reign};
use logstore_api::frame::control::{self, Trim};
use logstore_api::frame::{FrameView, Kind, Numbers, Salt};
use logstore_api::limits::PLACE_BYTES_MAX;
use logstore_api::{Code, Durability, MEDIA_WIRE_FRAMES, Problem};
use logstore_client::{Store, Timeouts};
use tokio::sync::watch;
use uuid::Uuid;

use super::server::{Handler, Reply, Server, answer, json, problem};

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing special.
    Serve,
    /// The connection ends before it was done.
    DropRequest,
    /// The connection ends after it was done.
    DropAnswer,
    /// The process ends after it was done and before it was synced: some or all of it is lost.
    Crash,
    /// It is answered as if only frames before this number were there.
    Understate(u64),
    /// It is refused.
    Refuse(Box<Problem>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Look,
    Fence,
    Place,
    Frames,
}

/// A place, as the copy saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) confirmed: u64,
    pub(crate) durability: String,
}

pub(crate) struct Log {
    pub(crate) node: Uuid,
    pub(crate) incarnation: Uuid,
    pub(crate) durability: Durability,
    pub(crate) reign: Option<Reign>,
    /// From frame 0 on; those below `first_frame` count as dropped.
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) first_frame: u64,
    pub(crate) confirmed: u64,
    pub(crate) places: Vec<Seen>,
    pub(crate) calls: Vec<Endpoint>,
    /// What a crash cannot take: a place was answered when these frames were there.
    durable: usize,
    faults: Vec<(Endpoint, VecDeque<Fault>)>,
    chance: Option<Box<dyn FnMut(Endpoint) -> Fault + Send>>,
}

pub(crate) struct FakeCopy {
    pub(crate) server: Server,
    log: Arc<Mutex<Log>>,
    /// Places wait while this is closed.
    gate: watch::Sender<bool>,
}

impl FakeCopy {
    pub(crate) async fn start() -> Self {
        let log = Arc::new(Mutex::new(Log {
            node: Uuid::new_v4(),
            incarnation: Uuid::from_u128(7),
            durability: Durability::Synced,
            reign: None,
            frames: Vec::new(),
            first_frame: 0,
            confirmed: 0,
            places: Vec::new(),
            calls: Vec::new(),
            durable: 0,
            faults: Vec::new(),
            chance: None,
        }));
        let gate = watch::Sender::new(true);
        let (shared, opened) = (Arc::clone(&log), gate.clone());
        let handler: Handler = Arc::new(move |request| {
            // A store finishes what it has begun, also where nobody waits for it any more.
            let handled = tokio::spawn(handle(request, Arc::clone(&shared), opened.subscribe()));
            Box::pin(async move { handled.await.unwrap() })
        });
        Self { server: Server::start(handler).await, log, gate }
    }

    pub(crate) async fn pair() -> [Self; 2] {
        [Self::start().await, Self::start().await]
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn store(&self) -> Store {
        self.store_within(Duration::from_secs(2))
    }

    /// A client that waits so long for an answer.
    pub(crate) fn store_within(&self, request: Duration) -> Store {
        Store::with_timeouts(&self.url(), Timeouts { request, ..Timeouts::default() }).unwrap()
    }

    /// Looks at the log, or changes it. Not a guard, because two of them in one expression wait for each other.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Log) -> R) -> R {
        change(&mut self.log.lock().unwrap())
    }

    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        self.with(|log| log.frames.clone())
    }

    pub(crate) fn next_frame(&self) -> u64 {
        self.with(|log| log.next_frame())
    }

    pub(crate) fn confirmed(&self) -> u64 {
        self.with(|log| log.confirmed)
    }

    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        self.with(|log| log.records())
    }

    pub(crate) fn places(&self) -> Vec<Seen> {
        self.with(|log| log.places.clone())
    }

    pub(crate) fn calls(&self) -> Vec<Endpoint> {
        self.with(|log| log.calls.clone())
    }

    pub(crate) fn reign(&self) -> Option<Reign> {
        self.with(|log| log.reign.clone())
    }

    /// Puts a frame at the end, as an earlier writer has.
    pub(crate) fn put(&self, epoch: u32, payload: &str) {
        self.with(|log| log.put(epoch, payload));
    }

    /// The next calls of this endpoint fare like this; those after them are served.
    pub(crate) fn script(&self, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().collect();
        self.with(|log| log.faults.push((endpoint, faults)));
    }

    /// Calls that no script speaks of fare as chance has it.
    pub(crate) fn leave_to_chance(&self, chance: impl FnMut(Endpoint) -> Fault + Send + 'static) {
        self.with(|log| log.chance = Some(Box::new(chance)));
    }

    pub(crate) fn behave(&self) {
        self.with(|log| {
            log.chance = None;
            log.faults.clear();
        });
    }

    /// Places wait from now on until [`FakeCopy::release`].
    pub(crate) fn hold(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.gate.send_replace(true);
    }

    /// Restarts with only so many frames, and forgets what is confirmed.
    pub(crate) fn restart_with(&self, frames: usize) {
        self.lose(frames);
        self.server.cut_connections();
    }

    /// The same, and nobody notices.
    pub(crate) fn lose(&self, frames: usize) {
        self.with(|log| {
            log.frames.truncate(frames);
            log.durable = frames;
            log.confirmed = 0;
        });
    }
}

impl Log {
    fn next_frame(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Payloads of the records, by offset; frames that were cut off by a trim included.
    fn records(&self) -> Vec<Vec<u8>> {
        let data = self.frames.iter().map(|frame| view(frame)).filter(|view| view.header().kind == Kind::Data);
        data.flat_map(|view| view.records().map(|record| record.data().to_vec()).collect::<Vec<_>>()).collect()
    }

    pub(crate) fn trims(&self) -> Vec<u64> {
        let trims = self.frames.iter().map(|frame| view(frame)).filter(|view| view.header().kind == Kind::Trim);
        trims.map(|view| Trim::decode(control::body(&view).unwrap()).unwrap().before).collect()
    }

    fn put(&mut self, epoch: u32, payload: &str) {
        let mut draft = control::draft(Kind::Data, payload.as_bytes(), Salt::WIRE);
        let number = self.next_frame();
        let base_offset = self.records().len() as u64;
        draft.seal(Numbers { number, base_offset, time_us: 1, epoch }, Salt::WIRE, 0);
        self.frames.push(draft.into_bytes());
        self.durable = self.frames.len();
    }

    fn tail(&self) -> PartitionTail {
        let last = self.frames.last().map(|frame| view(frame));
        PartitionTail {
            partition: 0,
            first_frame: self.first_frame,
            next_frame: self.next_frame(),
            last_epoch: last.map_or(0, |view| view.header().numbers.epoch),
            last_checksum: last.map_or(0, |view| view.checksum()),
            next_offset: self.records().len() as u64,
            last_time: last.map_or(0, |view| view.header().numbers.time_us),
            confirmed: self.confirmed,
        }
    }

    fn answer(&self) -> FenceAnswer {
        FenceAnswer {
            node: self.node,
            incarnation: self.incarnation,
            reign: self.reign.clone(),
            durability: self.durability,
            partitions: vec![self.tail()],
        }
    }

    fn fault(&mut self, endpoint: Endpoint) -> Fault {
        self.calls.push(endpoint);
        let scripted = self.faults.iter_mut().filter(|(of, _)| *of == endpoint).find_map(|(_, next)| next.pop_front());
        scripted.unwrap_or_else(|| self.chance.as_mut().map_or(Fault::Serve, |chance| chance(endpoint)))
    }

    /// Loses an unanswered end, as far as `share` says.
    fn crash(&mut self, share: usize) {
        let unanswered = self.frames.len() - self.durable;
        self.frames.truncate(self.durable + share % (unanswered + 1));
        self.confirmed = 0;
    }

    fn serve(
        &mut self,
        endpoint: Endpoint,
        query: &HashMap<String, String>,
        body: &[u8],
    ) -> Result<Reply, Box<Problem>> {
        match endpoint {
            Endpoint::Look => Ok(json(200, &self.answer())),
            Endpoint::Fence => self.fence(serde_json::from_slice(body).unwrap()),
            Endpoint::Place => self.place(query, body),
            Endpoint::Frames => self.frames_from(query),
        }
    }

    fn fence(&mut self, request: FenceRequest) -> Result<Reply, Box<Problem>> {
        if let Some(reign) = &self.reign {
            let same = (reign.epoch, reign.writer) == (request.reign.epoch, request.reign.writer);
            if request.reign.epoch <= reign.epoch && !same {
                return Err(Box::new(fenced(reign)));
            }
        }
        self.reign = Some(request.reign);
        Ok(json(200, &self.answer()))
    }

    fn place(&mut self, query: &HashMap<String, String>, body: &[u8]) -> Result<Reply, Box<Problem>> {
        if query["incarnation"] != self.incarnation.to_string() {
            return Err(Box::new(Problem::new(Code::PreconditionFailed, "another incarnation")));
        }
        let reign = self.reign.clone().expect("only a fenced copy is placed on");
        if query["epoch"] != reign.epoch.to_string() || query["writer"] != reign.writer.to_string() {
            return Err(Box::new(fenced(&reign)));
        }
        let number = |name: &str| query[name].parse::<u64>().unwrap();
        let (first, confirmed) = (number("frame"), number("confirmed"));
        let frames = split(body);
        let seen = Seen { first, count: frames.len() as u64, confirmed, durability: query["durability"].clone() };
        self.places.push(seen);
        self.check_place(first, u32::try_from(number("previous")).unwrap(), frames.is_empty())?;
        assert!(confirmed <= self.next_frame(), "a copy is told no more than it holds");
        self.confirmed = self.confirmed.max(confirmed);
        for (number, frame) in (first..).zip(frames) {
            assert_eq!(view(&frame).header().numbers.number, number, "frames of a place are dense");
            match self.frames.get(usize::try_from(number).unwrap()) {
                Some(held) if *held == frame => {}
                Some(_) => {
                    return Err(Box::new(Problem::new(Code::Diverged, format!("frame {number} is another one"))));
                }
                None => self.frames.push(frame),
            }
        }
        Ok(json(200, &PlaceAnswer { next_frame: self.next_frame(), confirmed: self.confirmed }))
    }

    fn check_place(&self, first: u64, previous: u32, is_empty: bool) -> Result<(), Box<Problem>> {
        let next = self.next_frame();
        if first > next || (is_empty && first != next) {
            return Err(Box::new(Problem::new(Code::FrameMismatch, "not the next frame").expected(next).got(first)));
        }
        let before = usize::try_from(first).unwrap().checked_sub(1);
        let held = before.map_or(0, |before| view(&self.frames[before]).checksum());
        if held != previous {
            return Err(Box::new(Problem::new(Code::Diverged, format!("before frame {first} is another one"))));
        }
        Ok(())
    }

    fn frames_from(&self, query: &HashMap<String, String>) -> Result<Reply, Box<Problem>> {
        let (from, next) = (query["from"].parse::<u64>().unwrap(), self.next_frame());
        let until = query.get("until").map_or(next, |until| until.parse().unwrap()).min(next);
        if from < self.first_frame {
            return Err(Box::new(Problem::new(Code::Trimmed, "gone").with("start", self.first_frame)));
        }
        if from > next {
            return Err(Box::new(Problem::new(Code::BeyondEnd, "not there").with("end", next)));
        }
        let mut body = Vec::new();
        for frame in self.frames.iter().take(usize::try_from(until).unwrap()).skip(usize::try_from(from).unwrap()) {
            if !body.is_empty() && body.len() + frame.len() > PLACE_BYTES_MAX {
                break;
            }
            body.extend_from_slice(frame);
        }
        Ok(answer(200, MEDIA_WIRE_FRAMES, body))
    }
}

async fn handle(request: Request<Bytes>, log: Arc<Mutex<Log>>, mut gate: watch::Receiver<bool>) -> Reply {
    let endpoint = match (request.method().as_str(), request.uri().path()) {
        ("GET", "/v1/fence") => Endpoint::Look,
        ("POST", "/v1/fence") => Endpoint::Fence,
        ("POST", "/v1/place") => Endpoint::Place,
        ("GET", "/v1/frames") => Endpoint::Frames,
        other => panic!("no such call: {other:?}"),
    };
    if endpoint == Endpoint::Place {
        gate.wait_for(|open| *open).await.unwrap();
    }
    let query = parse_query(request.uri().query().unwrap_or_default());
    let mut log = log.lock().unwrap();
    match log.fault(endpoint) {
        Fault::DropRequest => Reply::HangUp,
        Fault::Understate(next_frame) => json(200, &PlaceAnswer { next_frame, confirmed: 0 }),
        Fault::Refuse(refusal) => problem(&refusal),
        Fault::Serve => {
            let reply = log.serve(endpoint, &query, request.body()).unwrap_or_else(|refusal| problem(&refusal));
            if endpoint == Endpoint::Place {
                log.durable = log.frames.len();
            }
            reply
        }
        Fault::DropAnswer => {
            let _ = log.serve(endpoint, &query, request.body());
            Reply::HangUp
        }
        Fault::Crash => {
            let _ = log.serve(endpoint, &query, request.body());
            let share = log.calls.len();
            log.crash(share);
            Reply::HangUp
        }
    }
}

fn parse_query(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let frame = view(bytes).bytes();
        frames.push(frame.to_vec());
        bytes = &bytes[frame.len()..];
    }
    frames
}

fn view(frame: &[u8]) -> FrameView<'_> {
    FrameView::verify(frame, Salt::WIRE, 0).unwrap()
}

fn fenced(reign: &Reign) -> Problem {
    Problem::new(Code::Fenced, "another writer").with("writer", serde_json::to_value(reign).unwrap())
}
