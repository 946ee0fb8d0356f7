//! What there is to say of a `LogStore`, gathered where it is known.

use logstore_crds::LogStoreStatus;

use super::find;
use crate::build::CopyName;
use crate::conditions::{Reason, Reconciling, Stalled};
use crate::plan::Held;
use crate::settle::Settled;
use crate::validate::{InvalidSpec, ValidatedStore};

/// A spec that can be followed, and how far it is.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The spec that is followed.
    pub store: &'a ValidatedStore,
    /// Its generation.
    pub generation: u64,
    /// Its revision, by which passes over the namespaces name it.
    pub revision: u64,
    /// A later spec that cannot be followed.
    pub rejected: Option<&'a InvalidSpec>,
    /// The generation whose children were carried out last; none at first.
    pub applied: Option<u64>,
    /// What stands against carrying them out.
    pub obstacle: Option<&'a Obstacle>,
    /// The image of the stores, where there is one.
    pub image: Option<&'a str>,
    /// Volumes that are growing, and how far.
    pub growing: Option<&'a str>,
    /// The store of each copy.
    pub copies: &'a [CopyFacts],
    /// Pods that wait to be replaced.
    pub held: &'a [Held],
    /// What the last pass over the namespaces has come to; none before the first.
    pub settled: Option<&'a Settled>,
}

/// The store of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFacts {
    /// The copy.
    pub copy: CopyName,
    /// Its HTTP API.
    pub url: String,
    /// Whether there is a process or a pod.
    pub is_running: bool,
    /// Whether it serves.
    pub is_ready: bool,
    /// Whether it runs what it should run.
    pub is_current: bool,
    /// What went wrong with it.
    pub trouble: Option<Trouble>,
}

/// What went wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Whether a person must act.
    pub lasts: Lasting,
    /// What it is.
    pub why: String,
}

/// Whether something goes away by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It may.
    No,
    /// It may the first time. Where it was said before that it does not, it still does not: what is tried again looks new
    /// each time.
    IfSaidBefore(Stalled),
    /// It does not.
    Yes(Stalled),
}

impl Trouble {
    /// What may go away by itself.
    #[must_use]
    pub fn passing(why: String) -> Self {
        Self { lasts: Lasting::No, why }
    }

    /// Whether a person must act, after what was said before.
    pub(super) fn stalled(&self, previous: Option<&LogStoreStatus>) -> Option<Stalled> {
        let said =
            previous.and_then(|status| find(status, Stalled::CONDITION)).map(|condition| condition.reason.as_str());
        match self.lasts {
            Lasting::No => None,
            Lasting::IfSaidBefore(stalled) => (said == Some(stalled.name())).then_some(stalled),
            Lasting::Yes(stalled) => Some(stalled),
        }
    }
}

/// What stands against carrying out the children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What it makes of `Reconciling`.
    pub reconciling: Reconciling,
    /// Set where it does not go away by itself.
    pub stalled: Option<Stalled>,
    /// What it is.
    pub why: String,
}

impl Obstacle {
    /// A failure after which it is tried again.
    #[must_use]
    pub fn passing(why: String) -> Self {
        Self { reconciling: Reconciling::Retrying, stalled: None, why }
    }

    /// Something that a person must take away. It is tried again all the same.
    #[must_use]
    pub fn lasting(stalled: Stalled, why: String) -> Self {
        Self { stalled: Some(stalled), ..Self::passing(why) }
    }
}

/// A spec that cannot be followed, where the one before it is not known any more.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// What is wrong with it.
    pub invalid: &'a InvalidSpec,
    /// Whether it asks for a pause.
    pub is_paused: bool,
    /// Stores that are ready.
    pub ready_pods: u32,
}
