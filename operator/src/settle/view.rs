//! What every copy holds, as far as a pass needs it.

use std::collections::BTreeMap;

use logstore_api::namespace::{NamespaceEntry, NamespaceInfo, Ownership};
use logstore_api::{NamespaceConfig, NamespaceName, NamespaceState};
use logstore_client::{Error, Store, error};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Stores;
use crate::build::CopyName;
use crate::build::namespaces::DesiredNamespaces;

/// What is known of one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// It did not answer; why.
    Silent(String),
    /// It listed its namespaces.
    Seen(BTreeMap<NamespaceName, Seen>),
}

/// A namespace on one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// This life of the name.
    pub incarnation: Uuid,
    /// What it takes part in.
    pub state: NamespaceState,
    /// Who declared it, where somebody did.
    pub owner: Option<Ownership>,
    /// Its description.
    pub description: Description,
}

/// The description of a namespace on one copy. A list opens no log, a description does: it is asked for only where it
/// decides something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Description {
    /// Nothing depends on it.
    NotAsked,
    /// It could not be had; why.
    Unknown(String),
    /// What the store said.
    Known {
        /// Its configuration.
        config: NamespaceConfig,
        /// Nothing was ever written, as far as readers see.
        is_empty: bool,
    },
}

/// Asks all copies at the same time.
pub(super) async fn look(desired: &DesiredNamespaces, stores: &Stores) -> BTreeMap<CopyName, View> {
    let mut looks = JoinSet::new();
    for (copy, store) in stores {
        let (copy, store, desired) = (*copy, store.clone(), desired.clone());
        looks.spawn(async move {
            let view = match store {
                Ok(store) => look_at(&desired, &store).await.map_err(|error| error::chain(&error)),
                Err(why) => Err(why),
            };
            (copy, view.unwrap_or_else(View::Silent))
        });
    }
    looks.join_all().await.into_iter().collect()
}

async fn look_at(desired: &DesiredNamespaces, store: &Store) -> Result<View, Error> {
    let mut seen = BTreeMap::new();
    for entry in store.all_namespaces("").await? {
        let NamespaceEntry { name, incarnation, state, owner } = entry;
        let decides = desired.namespaces.contains_key(&name) || is_to_be_closed(desired, owner.as_ref(), state);
        let description = if decides { describe(store, &name).await? } else { Some(Description::NotAsked) };
        if let Some(description) = description {
            seen.insert(name, Seen { incarnation, state, owner, description });
        }
    }
    Ok(View::Seen(seen))
}

/// The whole configuration is put when a namespace is closed, so it must be known.
fn is_to_be_closed(desired: &DesiredNamespaces, owner: Option<&Ownership>, state: NamespaceState) -> bool {
    owner.is_some_and(|owner| owner.owner == desired.owner) && state != NamespaceState::Closed
}

/// None where it is gone since the list.
async fn describe(store: &Store, name: &NamespaceName) -> Result<Option<Description>, Error> {
    match store.namespace(name).await {
        Ok(NamespaceInfo { config, partitions, .. }) => {
            let is_empty = partitions.iter().all(|partition| partition.start == 0 && partition.end == 0);
            Ok(Some(Description::Known { config, is_empty }))
        }
        Err(error) if error.is(logstore_api::Code::NamespaceNotFound) => Ok(None),
        // The store is there, this one log is not: it is recovering, or damaged.
        Err(error) if error.problem().is_some() => Ok(Some(Description::Unknown(error::chain(&error)))),
        // The store is away; asking on would wait as long for each namespace.
        Err(error) => Err(error),
    }
}
