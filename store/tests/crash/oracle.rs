//! What the store has promised, kept outside of it, and whether what it shows after a crash keeps the promises.
//!
//! Each record's payload says which append it is of, so that the oracle knows it wherever it turns up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use logstore_api::frame::Producer;
use logstore_api::{Durability, NamespaceConfig};

/// Number of an append, unique over a run and what follows from it.
pub(crate) type Op = u32;

/// A log: its namespace, and its number there.
pub(crate) type Place = (&'static str, u32);

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

    /// Values of the namespace's one index.
    pub(crate) fn indices(&self, index: u32) -> Vec<(u8, i64)> {
        if self.op.is_multiple_of(5) { Vec::new() } else { vec![(0, i64::from((self.op + index) % 7))] }
    }

    /// What each record reserves: room for the patches of some.
    pub(crate) fn alloc(&self) -> Option<u64> {
        (self.op % 4 == 1).then_some(self.len as u64 + 120)
    }
}

/// What is asked for with a record that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Bytes from here on, or behind the last, are replaced by these.
    Patch {
        at: Option<usize>,
        bytes: Arc<[u8]>,
    },
    Erase,
}

/// A change, and what became of it.
#[derive(Clone, Debug)]
struct Asked {
    number: u32,
    change: Change,
    level: Durability,
    /// Its place among all that was asked of the log.
    turn: u64,
    acked: bool,
    /// Acknowledged at a level that survives a power loss.
    kept: bool,
}

/// A record as the store shows it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) offset: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) tags: Vec<Vec<u8>>,
    pub(crate) indices: Vec<(u8, i64)>,
}

impl Shown {
    fn op_and_index(&self) -> Option<(Op, u32)> {
        let (op, rest) = self.payload.split_first_chunk()?;
        Some((Op::from_le_bytes(*op), u32::from_le_bytes(*rest.first_chunk()?)))
    }
}

/// All that a log shows: each offset from start to end is a record, or erased, or in a hole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) records: Vec<Shown>,
    /// Offsets that reads pass over, ascending.
    pub(crate) erased: Vec<u64>,
    /// Offsets that cannot be read.
    pub(crate) holes: Vec<(u64, u64)>,
    /// Offsets that the store itself tells to be damaged.
    pub(crate) told: Vec<(u64, u64)>,
}

impl Found {
    /// How many records of a batch are missing, though not dropped.
    fn missing(&self, base: u64, count: u32) -> u64 {
        let (from, until) = (base.max(self.start), base + u64::from(count));
        (from..until).filter(|offset| self.at(*offset).is_none() && !self.is_erased(*offset)).count() as u64
    }

    fn at(&self, offset: u64) -> Option<&Shown> {
        self.records.binary_search_by_key(&offset, |shown| shown.offset).ok().map(|at| &self.records[at])
    }

    fn is_erased(&self, offset: u64) -> bool {
        self.erased.binary_search(&offset).is_ok()
    }

    fn in_hole(&self, offset: u64) -> bool {
        self.holes.iter().any(|(from, until)| (*from..*until).contains(&offset))
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
        place: Place,
        frame: Arc<Frame>,
    },
    Acked {
        place: Place,
        op: Op,
        offset: u64,
        durable_end: u64,
    },
    /// Not stored, for certain.
    Refused {
        place: Place,
        op: Op,
    },
    /// A record is to be changed.
    Changing {
        place: Place,
        offset: u64,
        number: u32,
        change: Change,
        level: Durability,
    },
    Changed {
        place: Place,
        offset: u64,
        number: u32,
    },
    /// Not done, for certain.
    ChangeRefused {
        place: Place,
        offset: u64,
        number: u32,
    },
    Trimming {
        place: Place,
        before: u64,
    },
    Trimmed {
        place: Place,
        before: u64,
    },
    /// Retention may take anything up to here.
    Dropping {
        place: Place,
        until: u64,
    },
    /// An orderly end of an open log: everything is on the disk.
    Stopped {
        place: Place,
    },
    /// A store has opened the log and shown it: what it shows is on the disk.
    Found {
        place: Place,
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
    pub(crate) next_change: u32,
}

#[derive(Clone, Debug, Default)]
struct Space {
    there: There,
    /// Configurations that may be in force, the newest last.
    configs: Vec<NamespaceConfig>,
    lives: BTreeMap<u32, Life>,
}

/// One incarnation of a log.
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
    /// Changes of records, in the order in which they were asked for.
    changes: BTreeMap<u64, Vec<Asked>>,
    /// Some change was ever asked for.
    changed: bool,
    /// How much was asked of the log so far, and when each append was.
    turn: u64,
    turns: BTreeMap<Op, u64>,
    /// What was asked for before this turn and done is on the disk.
    kept_turn: u64,
}

/// Of changes that are not answered at most so many are open for a record: each may have been done or not.
const UNANSWERED_MAX: usize = 4;

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
            // The end that it has told counts records: a change behind the last one may have missed the sync.
            Event::Stopped { place } => self.life_mut(*place).keep_all(),
            Event::Submitted { place, frame } => {
                self.next_op = self.next_op.max(frame.op + 1);
                self.life_mut(*place).submitted(frame);
            }
            Event::Acked { place, op, offset, durable_end } => {
                self.life_mut(*place).acked(*op, *offset, *durable_end);
            }
            Event::Refused { place, op } => {
                self.life_mut(*place).gone.insert(*op);
            }
            Event::Changing { place, offset, number, change, level } => {
                self.next_change = self.next_change.max(number + 1);
                self.life_mut(*place).changing(*offset, *number, change, *level);
            }
            Event::Changed { place, offset, number } => self.life_mut(*place).changed(*offset, *number),
            Event::ChangeRefused { place, offset, number } => {
                if let Some(list) = self.life_mut(*place).changes.get_mut(offset) {
                    list.retain(|asked| asked.number != *number);
                }
            }
            Event::Trimming { place, before } | Event::Dropping { place, until: before } => {
                let life = self.life_mut(*place);
                life.start_max = life.start_max.max(*before);
            }
            Event::Trimmed { place, before } => {
                let life = self.life_mut(*place);
                life.trimmed = life.trimmed.max(*before);
            }
            Event::Found { place, found } => self.life_mut(*place).found(found),
        }
    }

    fn space(&mut self, name: &'static str) -> &mut Space {
        self.spaces.entry(name).or_default()
    }

    fn life_mut(&mut self, (space, number): Place) -> &mut Life {
        self.space(space).lives.entry(number).or_default()
    }

    /// Namespaces that there may be.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.spaces.keys().copied()
    }

    pub(crate) fn life(&self, (space, number): Place) -> Option<&Life> {
        self.spaces.get(space)?.lives.get(&number)
    }

    /// The same promises without one append, which was damaged on the disk.
    #[cfg(feature = "broken")]
    pub(crate) fn damaged(mut self, place: Place, op: Op) -> Self {
        let life = self.life_mut(place);
        life.kept.remove(&op);
        life.acked.remove(&op);
        self
    }

    pub(crate) fn is_acked(&self, place: Place, op: Op) -> bool {
        self.life(place).is_some_and(|life| life.acked.contains_key(&op))
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

    /// Whether what a log shows keeps all promises.
    pub(crate) fn check(&self, place: Place, found: &Found, after: After) -> Result<(), String> {
        let (name, number) = place;
        let Some(space) = self.spaces.get(name) else { return Err(format!("namespace {name} was never made")) };
        let life = space.lives.get(&number).cloned().unwrap_or_default();
        life.check(found, after).map_err(|what| format!("{name}/{number}: {what}"))
    }
}

impl Life {
    fn submitted(&mut self, frame: &Arc<Frame>) {
        // One that is sent again may be stored again.
        self.gone.remove(&frame.op);
        self.turn += 1;
        self.turns.insert(frame.op, self.turn);
        self.frames.insert(frame.op, Arc::clone(frame));
    }

    fn acked(&mut self, op: Op, offset: u64, durable_end: u64) {
        // Of an earlier life, if it is not known.
        let Some(frame) = self.frames.get(&op) else { return };
        self.acked.insert(op, offset);
        if frame.level == Durability::Synced {
            self.kept.insert(op);
            self.keep_changes(self.turns[&op]);
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

    fn changing(&mut self, offset: u64, number: u32, change: &Change, level: Durability) {
        self.turn += 1;
        self.changed = true;
        let asked = Asked { number, change: change.clone(), level, turn: self.turn, acked: false, kept: false };
        self.changes.entry(offset).or_default().push(asked);
    }

    fn changed(&mut self, offset: u64, number: u32) {
        let Some(list) = self.changes.get_mut(&offset) else { return };
        let Some(asked) = list.iter_mut().find(|asked| asked.number == number) else { return };
        asked.acked = true;
        asked.kept = asked.level == Durability::Synced;
        let (kept, turn) = (asked.kept, asked.turn);
        self.keep_changes(if kept { turn } else { 0 });
    }

    /// What was done before something that is on the disk is on the disk as well.
    fn keep_changes(&mut self, turn: u64) {
        self.kept_turn = self.kept_turn.max(turn);
        for asked in self.changes.values_mut().flatten().filter(|asked| asked.turn < self.kept_turn) {
            asked.kept |= asked.acked;
        }
    }

    /// Records that are there and can be changed.
    pub(crate) fn changeable(&self, start: u64) -> Vec<u64> {
        let offsets = self.acked.iter().flat_map(|(op, base)| *base..*base + u64::from(self.frames[op].count));
        offsets.filter(|offset| *offset >= start && !self.is_dead_at(*offset) && self.takes_changes(*offset)).collect()
    }

    fn takes_changes(&self, offset: u64) -> bool {
        self.changes.get(&offset).is_none_or(|list| {
            let unanswered = list.iter().filter(|asked| !asked.acked).count();
            unanswered < UNANSWERED_MAX && list.iter().all(|asked| asked.change != Change::Erase)
        })
    }

    /// The payload of a record with everything that was asked for.
    pub(crate) fn payload_with_all(&self, offset: u64) -> Option<Vec<u8>> {
        let (op, base) = self
            .acked
            .iter()
            .find(|(op, base)| (**base..**base + u64::from(self.frames[*op].count)).contains(&offset))?;
        let payload = self.frames[op].payload(u32::try_from(offset - base).ok()?);
        let list = self.changes.get(&offset).map_or(&[][..], Vec::as_slice);
        fold(payload, list.iter())
    }

    /// Which changes of a record make it what it is; `shown`: its payload, unless it is erased. Those that were not
    /// answered may have been done or not; of the others the last may be lost, unless they have to be there.
    fn explain(&self, offset: u64, shown: Option<(&Frame, u32, &[u8])>, after: After) -> Option<Vec<bool>> {
        let list = self.changes.get(&offset).map_or(&[][..], Vec::as_slice);
        let must = |asked: &Asked| asked.kept || after == After::Kill && asked.acked;
        let Some((frame, index, shown)) = shown else {
            let erased = list.iter().any(|asked| asked.change == Change::Erase);
            return erased.then(|| vec![true; list.len()]);
        };
        let first = list.iter().rposition(must).map_or(0, |last| last + 1);
        for end in (first..=list.len()).rev() {
            let open: Vec<usize> = (0..end).filter(|at| !list[*at].acked).collect();
            for left_out in 0..1u32 << open.len().min(2 * UNANSWERED_MAX) {
                let done = |at: usize| {
                    let open = open.iter().position(|open| *open == at);
                    at < end && open.is_none_or(|open| left_out >> open & 1 == 0)
                };
                let chosen = list.iter().enumerate().filter(|(at, _)| done(*at)).map(|(_, asked)| asked);
                if fold(frame.payload(index), chosen).is_some_and(|payload| payload == shown) {
                    return Some((0..list.len()).map(done).collect());
                }
            }
        }
        None
    }

    /// What a store shows of changes is so for good.
    fn found_changes(&mut self, found: &Found) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.retain(|offset, _| found.at(*offset).is_some() || found.is_erased(*offset));
        let done: Vec<Option<Vec<bool>>> = {
            self.changes = changes;
            self.changes
                .keys()
                .map(|offset| self.explain(*offset, self.shown_at(found, *offset), After::PowerLoss))
                .collect()
        };
        for (list, done) in self.changes.values_mut().zip(done) {
            let mut done = done.unwrap_or_default().into_iter();
            list.retain(|_| done.next() == Some(true));
            for asked in list {
                (asked.acked, asked.kept) = (true, true);
            }
        }
    }

    fn shown_at<'a>(&'a self, found: &'a Found, offset: u64) -> Option<(&'a Frame, u32, &'a [u8])> {
        let shown = found.at(offset)?;
        let (op, index) = shown.op_and_index()?;
        Some((&**self.frames.get(&op)?, index, &shown.payload[..]))
    }

    /// Records before this offset may all be refused after a power loss: frames were lost that may have changed them, and
    /// what they were is not known. (None that stands there is shown, but what was changed later.)
    fn doubt_until(&self, found: &Found, after: After) -> u64 {
        let at_stake = self.turns.iter().any(|(op, _)| !self.kept.contains(op) && !self.gone.contains(op))
            || self.changes.values().flatten().any(|asked| !asked.kept);
        if after == After::Kill || !self.changed || !at_stake {
            return 0;
        }
        let certain = |offset: &u64| found.at(*offset).is_some() && !self.changes.contains_key(offset);
        (found.start..found.end).find(certain).unwrap_or(found.end)
    }

    /// Whether a record that was promised may be refused: it was before, or a change of it that was not promised to be
    /// kept is damaged, or it is in doubt.
    fn may_be_refused(&self, offset: u64, doubt_until: u64, after: After) -> bool {
        let unkept = || self.changes.get(&offset).is_some_and(|list| list.iter().any(|asked| !asked.kept));
        offset < doubt_until || self.is_dead_at(offset) || after == After::PowerLoss && unkept()
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
        // Still there, though nothing is shown of it: erased, or refused.
        let hidden = |frame: &Frame| {
            self.acked.get(&frame.op).is_some_and(|base| {
                let mut offsets = *base..*base + u64::from(frame.count);
                self.kept.contains(&frame.op) || offsets.any(|offset| found.is_erased(offset))
            })
        };
        let lost =
            self.frames.values().filter(|frame| !bases.contains_key(&frame.op) && !trimmed(frame) && !hidden(frame));
        let lost: Vec<Op> = lost.map(|frame| frame.op).collect();
        let new_holes = found.holes.iter().any(|hole| !self.is_dead(hole));
        for op in lost {
            self.acked.remove(&op);
            if !self.gone.contains(&op) && self.changed && new_holes {
                // Lost, or refused because something else was lost: its producer cannot tell.
                self.torn.insert(op);
            }
            self.gone.insert(op);
        }
        // What is shown, and what is only known to be there.
        bases.extend(
            self.acked
                .iter()
                .map(|(op, base)| (*op, *base))
                .filter(|(op, _)| !bases.contains_key(op))
                .collect::<Vec<_>>(),
        );
        for (op, base) in bases {
            let count = self.frames[&op].count;
            let until = base + u64::from(count);
            let told = found.told.iter().any(|(a, b)| *a < until && base < *b);
            if !self.kept.contains(&op) && (told || found.missing(base, count) > 0) {
                self.acked.remove(&op);
                self.torn.insert(op);
            } else {
                self.kept.insert(op);
                self.acked.insert(op, base);
            }
        }
        self.found_changes(found);
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
        let Found { start, end, records, erased, holes, told: _ } = found;
        if *start < self.trimmed || *start > self.start_max {
            return Err(format!("start is {start}; expected {} to {}", self.trimmed, self.start_max));
        }
        if *end < self.durable_end {
            return Err(format!("end is {end}, but {} was promised to be durable", self.durable_end));
        }
        let bases = self.bases_of(records, after)?;
        self.check_whole(found, &bases)?;
        if let Some(offset) = erased.iter().find(|offset| self.explain(**offset, None, after).is_none()) {
            return Err(format!("offset {offset} is passed over, and nobody has erased it"));
        }
        if let Some(hole) = holes.iter().find(|hole| after == After::Kill && !self.is_dead(hole)) {
            return Err(format!("offsets {hole:?} are damaged, and no power was lost"));
        }
        if let Some(shown) = records.iter().find(|shown| self.is_dead_at(shown.offset)) {
            return Err(format!("offset {} was a hole and is a record now", shown.offset));
        }
        self.check_acked(found, &bases, after)
    }

    fn check_acked(&self, found: &Found, bases: &BTreeMap<Op, u64>, after: After) -> Result<(), String> {
        let doubt_until = self.doubt_until(found, after);
        for (op, base) in &self.acked {
            let kept = self.kept.contains(op);
            if !kept && after == After::PowerLoss {
                continue;
            }
            let there = |offset: &u64| {
                found.at(*offset).is_some() && bases.get(op) == Some(base)
                    || found.is_erased(*offset)
                    || found.in_hole(*offset) && self.may_be_refused(*offset, doubt_until, after)
            };
            let until = base + u64::from(self.frames[op].count);
            if let Some(offset) = ((*base).max(found.start)..until).find(|offset| !there(offset)) {
                let how = if kept { "synced" } else { "written" };
                return Err(format!(
                    "append {op} was acknowledged as {how} at offset {base} and offset {offset} is lost"
                ));
            }
        }
        Ok(())
    }

    fn is_dead_at(&self, offset: u64) -> bool {
        self.dead.iter().any(|(from, until)| (*from..*until).contains(&offset))
    }

    fn is_dead(&self, (from, until): &(u64, u64)) -> bool {
        self.dead.iter().any(|(a, b)| a <= from && until <= b)
    }

    /// Where each append begins; every record is one that was sent, in the place that its append was given.
    fn bases_of(&self, records: &[Shown], after: After) -> Result<BTreeMap<Op, u64>, String> {
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
            let same = self.explain(at, Some((&**frame, index, &shown.payload[..])), after).is_some()
                && shown.indices == frame.indices(index)
                && shown.key == frame.key(index).map(String::into_bytes)
                && shown.tags == frame.tags().into_iter().map(String::into_bytes).collect::<Vec<_>>();
            if !same {
                return Err(format!(
                    "offset {at} is not what append {op} has sent as record {index}, with its changes"
                ));
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
            if missing > holes {
                return Err(format!("append {op} of offsets {base} to {until} is there in part"));
            }
        }
        Ok(())
    }
}

/// A payload with changes; `None` once it is erased.
fn fold<'a>(mut payload: Vec<u8>, changes: impl Iterator<Item = &'a Asked>) -> Option<Vec<u8>> {
    for asked in changes {
        let Change::Patch { at, bytes } = &asked.change else { return None };
        let at = at.unwrap_or(payload.len());
        let until = at + bytes.len();
        payload.resize(payload.len().max(until), 0);
        payload[at..until].copy_from_slice(bytes);
    }
    Some(payload)
}
