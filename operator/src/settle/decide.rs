//! What to ask of which copy, from what is declared and what every copy holds.
//!
//! A namespace is born once, with one incarnation and one salt on all copies, and only when all have answered: a copy
//! that is away might hold it. Where one is found on some copies only, or in different lives, it is born anew if
//! nothing is in it; otherwise nothing is done and the finding is reported, because a copy's records would be lost. The
//! store is the judge of emptiness: it refuses a new life for a name that has frames.
//!
//! What went away from the spec is told by the mark beside it. What becomes of it was said while the entry was there; a
//! copy that was away may have missed the last word, so the newest mark counts, and only when all have answered.

use std::collections::BTreeMap;

use logstore_api::namespace::{Internal, Ownership, PutNamespace, WhenRemoved};
use logstore_api::{NamespaceConfig, NamespaceName, NamespaceState};
use uuid::Uuid;

use super::view::{Description, Seen, View};
use crate::build::CopyName;
use crate::build::namespaces::{DesiredNamespace, DesiredNamespaces};

/// What all copies of a new namespace have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    /// The life's public id.
    pub incarnation: Uuid,
    /// The seed of its checksums: not 0.
    pub salt: u64,
}

/// One call to one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The copy.
    pub copy: CopyName,
    /// The namespace.
    pub name: NamespaceName,
    /// What is asked.
    pub act: Act,
}

/// What is asked of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// To have the namespace so.
    Put(Box<PutNamespace>),
    /// To delete it in this incarnation.
    Delete(Uuid),
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// To be asked, in this order for each copy.
    pub calls: Vec<Call>,
    /// Each declared namespace.
    pub declared: BTreeMap<NamespaceName, Verdict>,
    /// Each namespace of ours that the spec does not declare any more.
    pub removed: BTreeMap<NamespaceName, Farewell>,
}

/// What was decided on a declared namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As declared, once the calls for it have succeeded.
    Follows,
    /// Nothing can be asked yet; why.
    Waits(String),
    /// Nothing may be asked; why, and what to do.
    Conflicts(String),
}

/// What was decided on a namespace whose entry went away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Closed and kept, once the calls for it have succeeded.
    Retained,
    /// Gone, once the calls for it have succeeded.
    Deleted,
    /// Nothing can be asked yet; why.
    Waits(String),
}

type Views = BTreeMap<CopyName, View>;
type Holders<'a> = BTreeMap<CopyName, &'a Seen>;

/// Decides on everything that is declared or has our mark.
pub fn decide(desired: &DesiredNamespaces, views: &Views, births: &mut impl FnMut() -> Birth) -> Decision {
    let mut decision = Decision::default();
    for (name, namespace) in &desired.namespaces {
        let holders = holders(views, name);
        let verdict = match presence(views, &holders) {
            Presence::Nowhere => create(&mut decision.calls, views, name, namespace, births()),
            Presence::OneLife => configure(&mut decision.calls, &holders, name, namespace),
            Presence::Uncertain(why) => Verdict::Waits(why),
            Presence::Torn if is_empty(&holders) => create(&mut decision.calls, views, name, namespace, births()),
            Presence::Torn => Verdict::Conflicts(torn(views, &holders)),
        };
        decision.declared.insert(name.clone(), verdict);
    }
    for (name, holders) in ours_undeclared(desired, views) {
        let farewell = bid_farewell(&mut decision.calls, desired, views, &name, &holders);
        decision.removed.insert(name, farewell);
    }
    decision
}

/// Where a namespace is found.
enum Presence {
    /// On no copy, and all have answered.
    Nowhere,
    /// In the same life on every copy that answered.
    OneLife,
    /// On some copies only, or in different lives; all have answered and described it.
    Torn,
    /// That cannot be told yet; why.
    Uncertain(String),
}

fn presence(views: &Views, holders: &Holders<'_>) -> Presence {
    let answered = views.values().filter(|view| matches!(view, View::Seen(_))).count();
    let mut lives = holders.values().map(|seen| seen.incarnation);
    let first = lives.next();
    let is_one_life = first.is_some() && lives.all(|life| Some(life) == first) && holders.len() == answered;
    if is_one_life {
        return Presence::OneLife;
    }
    if let Some(why) = silence(views) {
        return Presence::Uncertain(why);
    }
    if holders.is_empty() {
        Presence::Nowhere
    } else {
        undescribed(holders).map_or(Presence::Torn, Presence::Uncertain)
    }
}

fn create(
    calls: &mut Vec<Call>,
    views: &Views,
    name: &NamespaceName,
    namespace: &DesiredNamespace,
    birth: Birth,
) -> Verdict {
    for copy in views.keys() {
        let DesiredNamespace { config, ownership } = namespace;
        let put = put(config.clone(), ownership.clone(), birth.incarnation, Some(birth.salt));
        calls.push(Call { copy: *copy, name: name.clone(), act: put });
    }
    Verdict::Follows
}

/// Gives it the declared configuration and our mark, also where a user created it.
fn configure(
    calls: &mut Vec<Call>,
    holders: &Holders<'_>,
    name: &NamespaceName,
    namespace: &DesiredNamespace,
) -> Verdict {
    if let Some(why) = undescribed(holders) {
        return Verdict::Waits(why);
    }
    let DesiredNamespace { config, ownership } = namespace;
    for (copy, seen) in holders {
        let is_configured = matches!(&seen.description, Description::Known { config: found, .. } if found == config);
        if !is_configured || seen.owner.as_ref() != Some(ownership) {
            let put = put(config.clone(), ownership.clone(), seen.incarnation, None);
            calls.push(Call { copy: *copy, name: name.clone(), act: put });
        }
    }
    Verdict::Follows
}

fn bid_farewell(
    calls: &mut Vec<Call>,
    desired: &DesiredNamespaces,
    views: &Views,
    name: &NamespaceName,
    holders: &Holders<'_>,
) -> Farewell {
    if let Some(why) = silence(views) {
        return Farewell::Waits(why);
    }
    let newest = holders.values().filter_map(|seen| seen.owner.as_ref()).max_by_key(|owner| owner.revision);
    match newest.map(|owner| owner.when_removed).unwrap_or_default() {
        WhenRemoved::Delete => {
            let delete = |(copy, seen): (&CopyName, &&Seen)| Call {
                copy: *copy,
                name: name.clone(),
                act: Act::Delete(seen.incarnation),
            };
            calls.extend(holders.iter().map(delete));
            Farewell::Deleted
        }
        WhenRemoved::Retain => close(calls, desired, name, holders),
    }
}

fn close(calls: &mut Vec<Call>, desired: &DesiredNamespaces, name: &NamespaceName, holders: &Holders<'_>) -> Farewell {
    let open: Holders<'_> = holders
        .iter()
        .map(|(copy, seen)| (*copy, *seen))
        .filter(|(_, seen)| seen.state != NamespaceState::Closed)
        .collect();
    for (copy, seen) in open {
        let Description::Known { config, .. } = &seen.description else {
            let why = undescribed(&BTreeMap::from([(copy, seen)]));
            return Farewell::Waits(why.unwrap_or_default());
        };
        let closed = NamespaceConfig { state: NamespaceState::Closed, ..config.clone() };
        let DesiredNamespaces { owner, revision, .. } = desired;
        let mark = Ownership { owner: owner.clone(), revision: *revision, when_removed: WhenRemoved::Retain };
        calls.push(Call { copy, name: name.clone(), act: put(closed, mark, seen.incarnation, None) });
    }
    Farewell::Retained
}

fn put(config: NamespaceConfig, ownership: Ownership, incarnation: Uuid, salt: Option<u64>) -> Act {
    let internal = Some(Internal { ownership, incarnation, salt });
    Act::Put(Box::new(PutNamespace { config, internal }))
}

/// The copies that hold a namespace.
fn holders<'a>(views: &'a Views, name: &NamespaceName) -> Holders<'a> {
    let seen = |(copy, view): (&CopyName, &'a View)| match view {
        View::Seen(namespaces) => namespaces.get(name).map(|seen| (*copy, seen)),
        View::Silent(_) => None,
    };
    views.iter().filter_map(seen).collect()
}

/// What has our mark and is not declared, with the copies on which it has the mark.
fn ours_undeclared<'a>(desired: &DesiredNamespaces, views: &'a Views) -> BTreeMap<NamespaceName, Holders<'a>> {
    let mut ours: BTreeMap<NamespaceName, Holders<'a>> = BTreeMap::new();
    for (copy, view) in views {
        let View::Seen(namespaces) = view else { continue };
        for (name, seen) in namespaces {
            let is_ours = seen.owner.as_ref().is_some_and(|owner| owner.owner == desired.owner);
            if is_ours && !desired.namespaces.contains_key(name) {
                ours.entry(name.clone()).or_default().insert(*copy, seen);
            }
        }
    }
    ours
}

/// Why not all copies have answered, if not.
fn silence(views: &Views) -> Option<String> {
    views.iter().find_map(|(copy, view)| match view {
        View::Silent(why) => Some(format!("copy {copy} cannot be asked: {why}")),
        View::Seen(_) => None,
    })
}

/// Why a holder could not describe it, if one could not.
fn undescribed(holders: &Holders<'_>) -> Option<String> {
    holders.iter().find_map(|(copy, seen)| match &seen.description {
        Description::Known { .. } => None,
        Description::Unknown(why) => Some(format!("copy {copy} cannot describe it: {why}")),
        Description::NotAsked => Some(format!("copy {copy} has not described it")),
    })
}

fn is_empty(holders: &Holders<'_>) -> bool {
    holders.values().all(|seen| matches!(seen.description, Description::Known { is_empty: true, .. }))
}

/// Says which copy holds what, and what can be done.
fn torn(views: &Views, holders: &Holders<'_>) -> String {
    let held = |copy: &CopyName| match holders.get(copy) {
        None => format!("copy {copy} does not have it"),
        Some(seen) => {
            let records = if is_empty(&BTreeMap::from([(*copy, *seen)])) { "without" } else { "with" };
            format!("copy {copy} holds incarnation {} {records} records", seen.incarnation)
        }
    };
    let found: Vec<String> = views.keys().map(held).collect();
    format!(
        "{}; bring back the data of the copy that has lost it, or delete the namespace on every copy to begin anew",
        found.join(", ")
    )
}
