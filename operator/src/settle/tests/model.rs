//! The decisions on a model of the stores: calls are lost at random, the spec changes, users come and go, and in the
//! end every copy is as declared, and nothing was lost that nobody gave up.

use std::collections::BTreeSet;

use logstore_api::namespace::{Internal, Ownership, PutNamespace, WhenRemoved};
use proptest::prelude::*;

use super::super::decide::{Act, Call, Verdict};
use super::*;

const COPIES: usize = 2;
const NAMES: [&str; 3] = ["orders", "audit", "mine"];

/// A namespace in the model of a store.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    incarnation: Uuid,
    config: NamespaceConfig,
    owner: Option<Ownership>,
    has_frames: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelStore(BTreeMap<NamespaceName, Held>);

impl ModelStore {
    fn view(&self) -> View {
        let seen = |held: &Held| Seen {
            incarnation: held.incarnation,
            state: held.config.state,
            owner: held.owner.clone(),
            description: Description::Known { config: held.config.clone(), is_empty: !held.has_frames },
        };
        View::Seen(self.0.iter().map(|(name, held)| (name.clone(), seen(held))).collect())
    }

    /// As a store does; a refusal changes nothing.
    fn answer(&mut self, call: &Call) {
        match &call.act {
            Act::Delete(incarnation) => {
                if self.0.get(&call.name).is_some_and(|held| held.incarnation == *incarnation) {
                    self.0.remove(&call.name);
                }
            }
            Act::Put(put) => self.put(&call.name, put),
        }
    }

    fn put(&mut self, name: &NamespaceName, put: &PutNamespace) {
        let Internal { ownership, incarnation, salt } = put.internal.clone().unwrap();
        let held = self.0.get(name).cloned();
        let is_new = match &held {
            None => salt.is_some(),
            Some(held) if held.incarnation == incarnation => {
                let newer = |mark: &Ownership| mark.owner == ownership.owner && mark.revision > ownership.revision;
                if held.owner.as_ref().is_some_and(newer) {
                    return;
                }
                false
            }
            Some(held) if held.has_frames => return,
            Some(_) => salt.is_some(),
        };
        let has_frames = !is_new && held.as_ref().is_some_and(|held| held.has_frames);
        if is_new || held.is_some_and(|held| held.incarnation == incarnation) {
            self.0.insert(
                name.clone(),
                Held { incarnation, config: put.config.clone(), owner: Some(ownership), has_frames },
            );
        }
    }
}

/// Something that happens between two passes.
#[derive(Clone, Debug)]
enum Event {
    /// The spec declares these of the first two names, with these ends.
    Declare([Option<WhenRemoved>; 2]),
    /// A user creates `mine` everywhere.
    UserCreates,
    /// A writer appends to a name, on all copies that have it in one life.
    Append(usize),
    /// A pass in which some copies are silent and some calls are lost.
    Pass { silent: [bool; COPIES], lost: u8 },
}

fn when_removed() -> impl Strategy<Value = Option<WhenRemoved>> {
    prop_oneof![Just(None), Just(Some(WhenRemoved::Retain)), Just(Some(WhenRemoved::Delete))]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => [when_removed(), when_removed()].prop_map(Event::Declare),
        1 => Just(Event::UserCreates),
        2 => (0..NAMES.len()).prop_map(Event::Append),
        6 => (any::<[bool; COPIES]>(), any::<u8>()).prop_map(|(silent, lost)| Event::Pass { silent, lost }),
    ]
}

/// All stores, with what may be given up.
struct World {
    stores: Vec<ModelStore>,
    desired: DesiredNamespaces,
    births: u128,
    /// Lives with records that some revision allowed to delete.
    given_up: BTreeSet<Uuid>,
    /// Lives with records.
    written: BTreeSet<Uuid>,
}

impl World {
    fn new() -> Self {
        Self {
            stores: vec![ModelStore::default(); COPIES],
            desired: desired("[]", 1),
            births: 0,
            given_up: BTreeSet::new(),
            written: BTreeSet::new(),
        }
    }

    fn declare(&mut self, declared: &[Option<WhenRemoved>]) {
        let entry = |(name, when): (&&str, &Option<WhenRemoved>)| {
            when.map(|when| format!("{{name: {name}, whenRemoved: {when:?}}}"))
        };
        let entries: Vec<String> = NAMES.iter().zip(declared).filter_map(entry).collect();
        self.desired = desired(&format!("[{}]", entries.join(", ")), self.desired.revision + 1);
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Declare(declared) => self.declare(declared),
            Event::UserCreates => self.user_creates(),
            Event::Append(index) => self.append(&name(NAMES[*index])),
            Event::Pass { silent, lost } => self.pass(*silent, *lost),
        }
    }

    fn user_creates(&mut self) {
        self.births += 1;
        let held = Held {
            incarnation: Uuid::from_u128(self.births),
            config: NamespaceConfig::default(),
            owner: None,
            has_frames: false,
        };
        if self.stores.iter().all(|store| !store.0.contains_key("mine")) {
            self.stores.iter_mut().for_each(|store| drop(store.0.insert(name("mine"), held.clone())));
        }
    }

    fn append(&mut self, name: &NamespaceName) {
        let lives: BTreeSet<_> =
            self.stores.iter().map(|store| store.0.get(name).map(|held| held.incarnation)).collect();
        let [Some(life)] = lives.into_iter().collect::<Vec<_>>()[..] else { return };
        self.written.insert(life);
        self.stores.iter_mut().for_each(|store| store.0.get_mut(name).unwrap().has_frames = true);
    }

    fn pass(&mut self, silent: [bool; COPIES], mut lost: u8) {
        let view = |(index, store): (usize, &ModelStore)| {
            let view = if silent[index] { View::Silent("away".to_owned()) } else { store.view() };
            (copy(index), view)
        };
        let views = self.stores.iter().enumerate().map(view).collect();
        let births = &mut self.births;
        let decision = decide(&self.desired, &views, &mut || {
            *births += 1;
            Birth { incarnation: Uuid::from_u128(*births), salt: 1 }
        });
        let before = self.stores.clone();
        for call in &decision.calls {
            if let Act::Delete(incarnation) = call.act {
                // A life may go only where its newest mark says so.
                let marks = before.iter().filter_map(|store| store.0.get(&call.name)?.owner.clone());
                let newest = marks.max_by_key(|mark| mark.revision).unwrap();
                assert_eq!(newest.when_removed, WhenRemoved::Delete, "{call:?}");
                self.given_up.insert(incarnation);
            }
            if lost & 1 == 0 {
                self.stores[usize::from(call.copy.index())].answer(call);
            }
            lost >>= 1;
        }
    }

    /// Passes without trouble until nothing is left to ask.
    fn settle(&mut self) -> Decision {
        for _ in 0..5 {
            self.pass([false; COPIES], 0);
        }
        let views = self.stores.iter().enumerate().map(|(index, store)| (copy(index), store.view())).collect();
        decide(&self.desired, &views, &mut || panic!("a namespace is still to be born"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_copy_ends_as_declared_and_nothing_is_lost(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        events.iter().for_each(|event| world.happen(event));
        let decision = world.settle();

        prop_assert_eq!(&decision.calls, &vec![]);
        for (declared, namespace) in &world.desired.namespaces {
            let held: Vec<&Held> = world.stores.iter().filter_map(|store| store.0.get(declared)).collect();
            if decision.declared[declared] != Verdict::Follows {
                // Its entry went away with Delete, came back while only some copies had deleted it, and a person must
                // say what becomes of the rest.
                prop_assert!(held.iter().any(|held| world.given_up.contains(&held.incarnation)), "{decision:?}");
                continue;
            }
            prop_assert_eq!(held.len(), COPIES);
            for held in &held {
                prop_assert_eq!(held.incarnation, world.stores[0].0[declared].incarnation);
                prop_assert_eq!((&held.config, held.owner.as_ref()), (&namespace.config, Some(&namespace.ownership)));
            }
        }
        let kept: BTreeSet<Uuid> =
            world.stores.iter().flat_map(|store| store.0.values().map(|held| held.incarnation)).collect();
        let lost: Vec<_> = world.written.difference(&kept).filter(|life| !world.given_up.contains(life)).collect();
        prop_assert!(lost.is_empty(), "{lost:?}");
        for store in &world.stores {
            prop_assert!(store.0.get("mine").is_none_or(|held| held.owner.is_none()), "a user's namespace was touched");
        }
    }
}
