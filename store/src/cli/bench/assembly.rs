//! From the options to what each connection does.

use std::sync::Arc;

use super::crew::Role;
use super::follow::Trail;
use super::options::{Kind, Options};
use super::payload::{Filler, Random};
use super::report::Shape;
use super::request::{Heads, Renderer};
use super::schedule::Schedule;
use super::work::{Append, Many, Numbering, One, Producer, Scan, Span, Stretch, Work};
use super::{BATCH_DEFAULT, CONNECTIONS_DEFAULT, FOLLOWERS_DEFAULT, GET_DEFAULT, RECORD_BYTES_DEFAULT};

/// Appends of 100 requests of `mixed`.
const APPEND_PERCENT_DEFAULT: u64 = 50;
/// Works get numbers so far from each other that no record is written twice.
const WORK_BITS: u32 = 48;

/// One work, as it is put together.
#[derive(Debug)]
pub(super) struct Assembly<'a> {
    pub(super) options: &'a Options,
    pub(super) kind: Kind,
    /// Which work of the command it is.
    pub(super) number: u64,
    pub(super) seed: u64,
    pub(super) renderer: Renderer<'a>,
    pub(super) spans: Arc<[Span]>,
}

impl Options {
    /// How a work loads.
    pub(super) fn shape(&self, kind: Kind) -> Shape {
        let count = |count: Option<u64>, default| usize::try_from(count.unwrap_or(default)).unwrap_or(usize::MAX);
        let followers = self.followers.unwrap_or(FOLLOWERS_DEFAULT);
        let connections = match kind {
            Kind::Follow => count(Some(followers), 1) + 1,
            _ => count(self.connections, CONNECTIONS_DEFAULT),
        };
        let batch = self.batch.unwrap_or(BATCH_DEFAULT);
        Shape {
            connections,
            pipeline: if kind == Kind::Scan { 1 } else { count(self.pipeline, 1) },
            threads: self.threads().min(connections),
            rate: self.rate.filter(|_| kind != Kind::Scan),
            durability: kind.appends().then(|| self.durability()),
            record_bytes: kind.appends().then(|| self.record_size.unwrap_or(RECORD_BYTES_DEFAULT)),
            producer: kind.appends().then_some(self.producer),
            records_per_request: match kind {
                Kind::Batch => Some(batch),
                Kind::Multiget => Some(self.get.unwrap_or(GET_DEFAULT)),
                _ => None,
            },
            append_percent: (kind == Kind::Mixed).then(|| self.append_percent.unwrap_or(APPEND_PERCENT_DEFAULT)),
            followers: (kind == Kind::Follow).then_some(followers),
        }
    }
}

impl Assembly<'_> {
    /// What each connection does.
    pub(super) fn roles(&self, shape: &Shape) -> Vec<Role> {
        let Shape { connections, rate, .. } = *shape;
        if self.kind == Kind::Follow {
            return self.followers(shape);
        }
        let make = self.maker(shape);
        let role = |number| {
            let schedule = Schedule::new(rate, number, connections);
            Role::Load { work: Box::new(make(number)), schedule }
        };
        (0..connections).map(role).collect()
    }

    fn maker(&self, shape: &Shape) -> Box<dyn Fn(usize) -> Work + '_> {
        let connections = shape.connections;
        match self.kind {
            Kind::Append | Kind::Batch | Kind::Follow => {
                let append = self.appends(shape);
                Box::new(move |number| Work::Append(append(number)))
            }
            Kind::Read => {
                let read = self.reads();
                Box::new(move |number| Work::Read(read(number, None)))
            }
            Kind::Mixed => {
                let (append, read) = (self.appends(shape), self.reads());
                let append_percent = shape.append_percent.unwrap_or(APPEND_PERCENT_DEFAULT);
                let ends: Vec<u64> = self.spans.iter().map(|span| span.end).collect();
                Box::new(move |number| {
                    let (append, read) = (append(number), read(number, Some(ends.clone())));
                    Work::Mixed { append, read, append_percent, random: self.random(number, 1) }
                })
            }
            Kind::Multiget => {
                let (heads, count) = (Arc::new(self.renderer.many()), shape.records_per_request.unwrap_or(1));
                Box::new(move |number| {
                    let (heads, spans) = (Arc::clone(&heads), Arc::clone(&self.spans));
                    let (random, turn) = (self.random(number, 0), number % heads.len());
                    Work::Many(Many { heads, spans, count, random, turn, body: Vec::new() })
                })
            }
            Kind::Scan => {
                let heads = Arc::new(self.renderer.pages());
                let end: Arc<[u8]> = self.renderer.page_end().into();
                Box::new(move |number| {
                    let (heads, end) = (Arc::clone(&heads), Arc::clone(&end));
                    Work::Scan(Scan { heads, end, stretches: Stretch::of(number, connections, &self.spans) })
                })
            }
        }
    }

    fn appends(&self, shape: &Shape) -> impl Fn(usize) -> Append + use<> {
        let record_bytes = shape.record_bytes.unwrap_or(RECORD_BYTES_DEFAULT);
        let batch = shape.records_per_request.filter(|_| self.kind == Kind::Batch);
        let body_bytes = batch.map_or(record_bytes, |count| usize::try_from(count).unwrap_or(1) * (8 + record_bytes));
        let heads: Arc<Heads> = Arc::new(self.renderer.appends(self.options.durability(), body_bytes, batch.is_some()));
        let filler = Arc::new(Filler::new(self.seed, record_bytes));
        let (first, step) = (self.number << WORK_BITS, shape.connections as u64);
        let (is_producer, is_followed) = (self.options.producer, self.kind == Kind::Follow);
        move |number| {
            let (heads, filler) = (Arc::clone(&heads), Arc::clone(&filler));
            let count = Numbering::Count { next: first + number as u64, step };
            let numbering = if is_followed { Numbering::Due } else { count };
            let producer = is_producer.then(|| Producer::new(heads.len()));
            let turn = number % heads.len();
            Append { heads, filler, numbering, batch, producer, turn, acknowledged: None }
        }
    }

    fn reads(&self) -> impl Fn(usize, Option<Vec<u64>>) -> One {
        let heads = Arc::new(self.renderer.records());
        let end: Arc<[u8]> = self.renderer.record_end().into();
        move |number, ends| {
            let (heads, end, spans) = (Arc::clone(&heads), Arc::clone(&end), Arc::clone(&self.spans));
            let (random, turn) = (self.random(number, 0), number % heads.len());
            One { heads, end, spans, ends, random, turn }
        }
    }

    /// One that appends, and those that wait for its records, all in the first namespace.
    fn followers(&self, shape: &Shape) -> Vec<Role> {
        let from = self.spans.first().map_or(0, |span| span.end);
        let (until, told) = tokio::sync::watch::channel(None);
        let first = Renderer { namespaces: &self.renderer.namespaces[..1], ..self.renderer };
        let spans = Arc::clone(&self.spans);
        let first = Assembly { renderer: first, spans, ..*self };
        let head = first.renderer.pages().into_iter().next().unwrap_or_default();
        let trail = Trail { head, end: first.renderer.page_end(), at: from, seed: self.seed, until: told };
        let work = Box::new(Work::Append(first.appends(shape)(0)));
        let lead = Role::Lead { work, schedule: Schedule::new(shape.rate, 0, 1), until, from };
        std::iter::once(lead).chain((1..shape.connections).map(|_| Role::Follow(trail.clone()))).collect()
    }

    fn random(&self, connection: usize, stream: u64) -> Random {
        let mut random = Random::new(self.seed ^ (self.number << WORK_BITS) ^ (stream << 40) ^ connection as u64);
        Random::new(random.next())
    }
}
