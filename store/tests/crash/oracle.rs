//! What the store has promised, kept outside of it, and whether what it shows after a crash keeps the promises.
//!
//! Each record's payload says which append it is of, so that the oracle knows it wherever it turns up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use logstore_api::frame::Producer;
use logstore_api::{Durability, NamespaceConfig};

/// Number of an append, unique over a run and what follows from it.
pub(crate) type Op = u32;

/// What one append sends.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) op: Op,
    pub(crate) count: u32,
    pub(crate) len: usize,
    pub(crate) level: Durability,
    pub(crate) producer: Option<Producer>,
}

impl Frame {
    /// The payload of one of its records.
    pub(crate) fn payload(&self, index: u32) -> Vec<u8> {
        let mut bytes = [self.op.to_le_bytes(), index.to_le_bytes()].concat();
        let mut rng = super::rng::Rng::new(u64::from(self.op) << 32 | u64::from(index));
        while bytes.len() < self.len {
            bytes.extend_from_slice(&rng.next().to_le_bytes());
        }
        bytes
    }

    pub(crate) fn key(&self, index: u32) -> Option<String> {
        (self.op.is_multiple_of(3)).then(|| format!("key {index}"))
    }

    pub(crate) fn tags(&self) -> Vec<String> {
        if self.op.is_multiple_of(2) { vec![format!("op:{}", self.op), "even".to_owned()] } else { Vec::new() }
    }
}

/// A record as the store shows it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) offset: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) tags: Vec<Vec<u8>>,
}

impl Shown {
    fn op_and_index(&self) -> Option<(Op, u32)> {
        let (op, rest) = self.payload.split_first_chunk()?;
        Some((Op::from_le_bytes(*op), u32::from_le_bytes(*rest.first_chunk()?)))
    }
}

/// All that a namespace shows: each offset from start to end is a record or in a hole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) records: Vec<Shown>,
    /// Offsets that cannot be read.
    pub(crate) holes: Vec<(u64, u64)>,
    /// Offsets that the store itself tells to be damaged.
    pub(crate) told: Vec<(u64, u64)>,
}

impl Found {
    /// How many records of a batch are missing, though not dropped.
    fn missing(&self, base: u64, count: u32) -> u64 {
        let (from, until) = (base.max(self.start), base + u64::from(count));
        let first = self.records.partition_point(|shown| shown.offset < from);
        until - from - self.records[first..].iter().take_while(|shown| shown.offset < until).count() as u64
    }
}

/// What happened between the store and its user.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Putting {
        space: &'static str,
        config: NamespaceConfig,
    },
    Put {
        space: &'static str,
    },
    /// A store has started and shown this configuration.
    Configured {
        space: &'static str,
        config: NamespaceConfig,
    },
    Deleting {
        space: &'static str,
    },
    Deleted {
        space: &'static str,
    },
    Submitted {
        space: &'static str,
        frame: Arc<Frame>,
    },
    Acked {
        space: &'static str,
        op: Op,
        offset: u64,
        durable_end: u64,
    },
    /// Not stored, for certain.
    Refused {
        space: &'static str,
        op: Op,
    },
    Trimming {
        space: &'static str,
        before: u64,
    },
    Trimmed {
        space: &'static str,
        before: u64,
    },
    /// Retention may take anything up to here.
    Dropping {
        space: &'static str,
        until: u64,
    },
    /// An orderly end of an open log: everything is on the disk.
    Stopped {
        space: &'static str,
    },
    /// A store has opened the log and shown it: what it shows is on the disk.
    Found {
        space: &'static str,
        found: Arc<Found>,
    },
}

/// What went before a look at the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Power loss: what was acknowledged as written may be lost.
    PowerLoss,
    /// The end of the process: nothing may be lost.
    Kill,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum There {
    #[default]
    No,
    Perhaps,
    Yes,
}

/// All promises.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    spaces: BTreeMap<&'static str, Space>,
    pub(crate) next_op: Op,
}

#[derive(Clone, Debug, Default)]
struct Space {
    there: There,
    /// Configurations that may be in force, the newest last.
    configs: Vec<NamespaceConfig>,
    life: Life,
}

/// One incarnation of a namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    frames: BTreeMap<Op, Arc<Frame>>,
    acked: BTreeMap<Op, u64>,
    /// Acknowledged at a level that survives a power loss.
    kept: BTreeSet<Op>,
    /// Refused, or not there when a store had opened the log: never seen again.
    gone: BTreeSet<Op>,
    /// Appends of which a power loss has taken a part: the store tells of a hole there, and still shows what is sound.
    torn: BTreeSet<Op>,
    durable_end: u64,
    trimmed: u64,
    start_max: u64,
    /// Holes that were shown: their offsets are not given again.
    dead: Vec<(u64, u64)>,
}

impl Model {
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Putting { space, config } => {
                let space = self.spaces.entry(space).or_default();
                if space.there == There::No {
                    *space = Space { there: There::Perhaps, ..Space::default() };
                }
                space.configs.push(config.clone());
            }
            Event::Put { space } => {
                let space = self.space(space);
                space.there = There::Yes;
                space.configs.drain(..space.configs.len() - 1);
            }
            Event::Configured { space, config } => {
                let space = self.space(space);
                space.there = There::Yes;
                space.configs = vec![config.clone()];
            }
            Event::Deleting { space } => self.space(space).there = There::Perhaps,
            Event::Deleted { space } => *self.space(space) = Space::default(),
            Event::Stopped { space } => self.space(space).life.keep_all(),
            Event::Submitted { space, frame } => {
                self.next_op = self.next_op.max(frame.op + 1);
                self.space(space).life.submitted(frame);
            }
            Event::Acked { space, op, offset, durable_end } => self.space(space).life.acked(*op, *offset, *durable_end),
            Event::Refused { space, op } => {
                self.space(space).life.gone.insert(*op);
            }
            Event::Trimming { space, before } | Event::Dropping { space, until: before } => {
                let life = &mut self.space(space).life;
                life.start_max = life.start_max.max(*before);
            }
            Event::Trimmed { space, before } => {
                let life = &mut self.space(space).life;
                life.trimmed = life.trimmed.max(*before);
            }
            Event::Found { space, found } => self.space(space).life.found(found),
        }
    }

    fn space(&mut self, name: &'static str) -> &mut Space {
        self.spaces.entry(name).or_default()
    }

    /// Namespaces that there may be.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.spaces.keys().copied()
    }

    pub(crate) fn life(&self, name: &str) -> Option<&Life> {
        self.spaces.get(name).map(|space| &space.life)
    }

    /// The same promises without one append, which was damaged on the disk.
    #[cfg(feature = "broken")]
    pub(crate) fn damaged(mut self, name: &'static str, op: Op) -> Self {
        let life = &mut self.space(name).life;
        life.kept.remove(&op);
        life.acked.remove(&op);
        self
    }

    pub(crate) fn is_acked(&self, name: &str, op: Op) -> bool {
        self.life(name).is_some_and(|life| life.acked.contains_key(&op))
    }

    /// Whether a namespace may be there or not, with this configuration.
    pub(crate) fn check_space(&self, name: &str, config: Option<&NamespaceConfig>) -> Result<(), String> {
        let space = self.spaces.get(name).cloned().unwrap_or_default();
        match (space.there, config) {
            (There::No, Some(_)) => Err(format!("namespace {name} is there, but was deleted or never made")),
            (There::Yes, None) => Err(format!("namespace {name} is gone")),
            (_, Some(config)) if !space.configs.contains(config) => {
                Err(format!("namespace {name} has a configuration that it was not given last: {config:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether what a namespace shows keeps all promises.
    pub(crate) fn check(&self, name: &str, found: &Found, after: After) -> Result<(), String> {
        let Some(space) = self.spaces.get(name) else { return Err(format!("namespace {name} was never made")) };
        space.life.check(found, after).map_err(|what| format!("{name}: {what}"))
    }
}

impl Life {
    fn submitted(&mut self, frame: &Arc<Frame>) {
        // One that is sent again may be stored again.
        self.gone.remove(&frame.op);
        self.frames.insert(frame.op, Arc::clone(frame));
    }

    fn acked(&mut self, op: Op, offset: u64, durable_end: u64) {
        // Of an earlier life, if it is not known.
        let Some(frame) = self.frames.get(&op) else { return };
        self.acked.insert(op, offset);
        if frame.level == Durability::Synced {
            self.kept.insert(op);
        }
        self.durable_end = self.durable_end.max(durable_end);
        self.keep_below(self.durable_end);
    }

    fn keep_below(&mut self, end: u64) {
        let below =
            |op: &Op, offset: u64| self.frames.get(op).is_some_and(|frame| offset + u64::from(frame.count) <= end);
        let kept: Vec<Op> = self.acked.iter().filter(|(op, offset)| below(op, **offset)).map(|(op, _)| *op).collect();
        self.kept.extend(kept);
    }

    fn keep_all(&mut self) {
        self.kept.extend(self.acked.keys().copied());
    }

    fn found(&mut self, found: &Found) {
        let mut bases = BTreeMap::new();
        for shown in &found.records {
            if let Some((op, index)) = shown.op_and_index() {
                bases.insert(op, shown.offset - u64::from(index));
            }
        }
        let trimmed = |frame: &Frame| {
            self.acked.get(&frame.op).is_some_and(|offset| offset + u64::from(frame.count) <= found.start)
        };
        let lost = self.frames.values().filter(|frame| !bases.contains_key(&frame.op) && !trimmed(frame));
        let lost: Vec<Op> = lost.map(|frame| frame.op).collect();
        for op in lost {
            self.acked.remove(&op);
            self.gone.insert(op);
        }
        for (op, base) in bases {
            let count = self.frames[&op].count;
            let until = base + u64::from(count);
            let told = found.told.iter().any(|(a, b)| *a < until && base < *b);
            if told || found.missing(base, count) > 0 {
                self.acked.remove(&op);
                self.torn.insert(op);
            } else {
                self.kept.insert(op);
                self.acked.insert(op, base);
            }
        }
        self.durable_end = self.durable_end.max(found.end);
        self.dead.extend(found.holes.iter().filter(|hole| !self.dead.contains(hole)).copied().collect::<Vec<_>>());
    }

    /// The payload of an append's first record.
    #[cfg(feature = "broken")]
    pub(crate) fn payload_of(&self, op: Op) -> Option<Vec<u8>> {
        self.frames.get(&op).map(|frame| frame.payload(0))
    }

    /// Frames of producers that a client would send again, with the offset where they are known to stand.
    pub(crate) fn of_producers(&self) -> Vec<(Arc<Frame>, Option<u64>)> {
        self.frames
            .values()
            .filter(|frame| frame.producer.is_some() && !self.torn.contains(&frame.op))
            .map(|frame| (Arc::clone(frame), self.acked.get(&frame.op).copied()))
            .collect()
    }

    fn check(&self, found: &Found, after: After) -> Result<(), String> {
        let Found { start, end, records, holes, told: _ } = found;
        if *start < self.trimmed || *start > self.start_max {
            return Err(format!("start is {start}; expected {} to {}", self.trimmed, self.start_max));
        }
        if *end < self.durable_end {
            return Err(format!("end is {end}, but {} was promised to be durable", self.durable_end));
        }
        let bases = self.bases_of(records)?;
        self.check_whole(found, &bases)?;
        if let Some(hole) = holes.iter().find(|hole| after == After::Kill && !self.is_dead(hole)) {
            return Err(format!("offsets {hole:?} are damaged, and no power was lost"));
        }
        if let Some(shown) =
            records.iter().find(|shown| self.dead.iter().any(|(a, b)| (*a..*b).contains(&shown.offset)))
        {
            return Err(format!("offset {} was a hole and is a record now", shown.offset));
        }
        for (op, offset) in &self.acked {
            let must = after == After::Kill || self.kept.contains(op);
            let past = offset + u64::from(self.frames[op].count) <= *start;
            if must && !past && bases.get(op) != Some(offset) {
                let how = if self.kept.contains(op) { "synced" } else { "written" };
                return Err(format!("append {op} was acknowledged as {how} at offset {offset} and is lost"));
            }
        }
        Ok(())
    }

    fn is_dead(&self, (from, until): &(u64, u64)) -> bool {
        self.dead.iter().any(|(a, b)| a <= from && until <= b)
    }

    /// Where each append begins; every record is one that was sent, in the place that its append was given.
    fn bases_of(&self, records: &[Shown]) -> Result<BTreeMap<Op, u64>, String> {
        let mut bases = BTreeMap::new();
        for shown in records {
            let at = shown.offset;
            let Some((op, index)) = shown.op_and_index() else {
                return Err(format!("offset {at} is a record of nobody"));
            };
            let Some(frame) = self.frames.get(&op).filter(|frame| index < frame.count) else {
                return Err(format!("offset {at} is record {index} of append {op}, which was never sent here"));
            };
            if self.gone.contains(&op) {
                return Err(format!("offset {at} is of append {op}, which was refused or lost before"));
            }
            let same = shown.payload == frame.payload(index)
                && shown.key == frame.key(index).map(String::into_bytes)
                && shown.tags == frame.tags().into_iter().map(String::into_bytes).collect::<Vec<_>>();
            if !same {
                return Err(format!("offset {at} is not what append {op} has sent as record {index}"));
            }
            let base =
                at.checked_sub(u64::from(index)).ok_or_else(|| format!("offset {at} is too low for append {op}"))?;
            if *bases.entry(op).or_insert(base) != base {
                return Err(format!("append {op} is there twice, at {} and {base}", bases[&op]));
            }
            if let Some(acked) = self.acked.get(&op).filter(|acked| **acked != base) {
                return Err(format!("append {op} was acknowledged at offset {acked} and is at {base}"));
            }
        }
        Ok(bases)
    }

    /// What is missing of a batch is told as a hole, and nothing is missing of one that was promised to be kept.
    fn check_whole(&self, found: &Found, bases: &BTreeMap<Op, u64>) -> Result<(), String> {
        for (op, base) in bases {
            let (from, until) = (*base.max(&found.start), base + u64::from(self.frames[op].count));
            let missing = found.missing(*base, self.frames[op].count);
            let holes = found.holes.iter().map(|(a, b)| (*b).min(until).saturating_sub((*a).max(from))).sum::<u64>();
            if missing > 0 && (self.kept.contains(op) || missing > holes) {
                return Err(format!("append {op} of offsets {base} to {until} is there in part"));
            }
        }
        Ok(())
    }
}
