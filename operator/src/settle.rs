//! The namespaces inside the stores: brought to what the spec declares, until every copy has confirmed it.
//!
//! ```text
//! view        what every copy holds                                         asks over HTTP
//! decide      what is declared, what every copy holds → calls               pure
//! carry_out   the calls, copy by copy at the same time                      asks over HTTP
//! conclude    what was decided, what was answered → Settled                 pure
//! ```
//!
//! Every pass looks anew, so one that was interrupted needs no memory: the next one goes on from what it finds. What
//! has no mark of ours is the users' and is left alone, unless the spec declares it.

pub mod decide;
pub mod view;

pub(crate) mod passes;

mod carry_out;
mod conclude;

use std::collections::BTreeMap;
use std::time::Duration;

use logstore_api::NamespaceName;
use logstore_client::{Store, Timeouts};
use uuid::Uuid;

use self::decide::{Birth, decide};
use crate::build::CopyName;
use crate::build::namespaces::DesiredNamespaces;

/// A store that takes longer for one call counts as one that does not answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// What one pass has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The revision of the declaration that it was about.
    pub revision: u64,
    /// Each declared namespace.
    pub declared: BTreeMap<NamespaceName, Standing>,
    /// Each namespace whose entry went away, and that is still there.
    pub removed: BTreeMap<NamespaceName, Removal>,
    /// Copies that did not answer, and why.
    pub silent: BTreeMap<CopyName, String>,
}

/// How a declared namespace stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Every copy has confirmed it.
    Synced,
    /// Not yet; it is tried again.
    Waiting(String),
    /// Something stands against it that does not go away by itself.
    Failing(String),
}

/// How a namespace stands whose entry went away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Closed on every copy, its data kept.
    Retained,
    /// Not yet closed or deleted; it is tried again.
    Waiting(String),
    /// Something stands against it that does not go away by itself.
    Failing(String),
}

impl Settled {
    /// Whether something stands against a namespace that does not go away by itself.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.declared.values().any(|standing| matches!(standing, Standing::Failing(_)))
            || self.removed.values().any(|removal| matches!(removal, Removal::Failing(_)))
    }

    /// Whether nothing is left to do for this declaration.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.silent.is_empty()
            && self.declared.values().all(|standing| *standing == Standing::Synced)
            && self.removed.values().all(|removal| *removal == Removal::Retained)
    }
}

/// A store as a pass calls it.
///
/// # Errors
/// When the text is no address.
pub fn store(url: &str) -> Result<Store, logstore_client::Error> {
    Store::with_timeouts(url, Timeouts { connect: CALL_TIMEOUT, request: CALL_TIMEOUT })
}

/// All copies of a `LogStore`: the store of each, or why it cannot be asked.
pub type Stores = BTreeMap<CopyName, Result<Store, String>>;

/// One pass.
pub async fn settle(desired: &DesiredNamespaces, stores: &Stores) -> Settled {
    let views = view::look(desired, stores).await;
    let decision = decide(desired, &views, &mut birth);
    let failures = carry_out::carry_out(&decision.calls, stores).await;
    conclude::conclude(desired.revision, decision, &views, &failures)
}

/// A new life for a name. The salt is the seed of its checksums.
fn birth() -> Birth {
    let incarnation = Uuid::new_v4();
    // Both halves of a random UUID have a few fixed bits, in different places.
    let (high, low) = Uuid::new_v4().as_u64_pair();
    Birth { incarnation, salt: (high ^ low).max(1) }
}

#[cfg(test)]
mod tests;
