//! What the API server holds, as far as the operator must know it: watched, so that a pass asks nobody.
//!
//! Only objects with the operator's own label are held, and of those no managed fields: the memory goes with the number
//! of `LogStore`s, not with the size of the cluster. Secrets are not held at all.

use std::fmt::Debug;
use std::hash::Hash;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector::store::WriterDropped};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::api::said;
use super::resource::StoredObject;
use super::triggers::Triggers;
use crate::build::{MANAGED_BY, MANAGED_BY_LABEL, NAME_LABEL};

/// Objects of one page of a list.
const PAGE_SIZE: u32 = 100;

/// The caches of one scope: one Kubernetes namespace, or all.
#[derive(Clone, Debug)]
pub struct Caches {
    /// All `LogStore`s.
    pub log_stores: Store<StoredObject>,
    /// Their children.
    pub service_accounts: Store<ServiceAccount>,
    /// Their children.
    pub config_maps: Store<ConfigMap>,
    /// Their children.
    pub services: Store<Service>,
    /// Their children.
    pub disruption_budgets: Store<PodDisruptionBudget>,
    /// Their children.
    pub stateful_sets: Store<StatefulSet>,
    /// What the StatefulSets make.
    pub pods: Store<Pod>,
    /// What the StatefulSets make.
    pub claims: Store<PersistentVolumeClaim>,
}

/// What fills caches, and touches the `LogStore`s that an event is about.
struct Filler<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    triggers: &'a Triggers,
    tasks: &'a mut JoinSet<()>,
}

impl Caches {
    /// Begins to fill them, each in a task of its own.
    #[must_use]
    pub fn fill(client: &Client, namespace: Option<&str>, triggers: &Triggers, tasks: &mut JoinSet<()>) -> Self {
        let (log_stores, writer) = reflector::store();
        let mut filler = Filler { client, namespace, triggers, tasks };
        filler.follow(writer, watcher::Config::default(), |object: &StoredObject| Some(ObjectRef::from_obj(object)));
        Self {
            service_accounts: filler.children(),
            config_maps: filler.children(),
            services: filler.children(),
            disruption_budgets: filler.children(),
            stateful_sets: filler.children(),
            pods: filler.children(),
            claims: filler.children(),
            log_stores,
        }
    }

    /// Waits until all are filled.
    ///
    /// # Errors
    /// When a task that fills them has ended.
    pub async fn filled(&self) -> Result<(), WriterDropped> {
        let Self {
            log_stores,
            service_accounts,
            config_maps,
            services,
            disruption_budgets,
            stateful_sets,
            pods,
            claims,
        } = self;
        log_stores.wait_until_ready().await?;
        service_accounts.wait_until_ready().await?;
        config_maps.wait_until_ready().await?;
        services.wait_until_ready().await?;
        disruption_budgets.wait_until_ready().await?;
        stateful_sets.wait_until_ready().await?;
        pods.wait_until_ready().await?;
        claims.wait_until_ready().await
    }
}

impl Filler<'_> {
    fn children<K>(&mut self) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        let ours = watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY},{NAME_LABEL}"));
        self.follow(writer, ours, |child: &K| {
            let name = child.labels().get(NAME_LABEL)?;
            Some(ObjectRef::new(name).within(&child.namespace()?))
        });
        store
    }

    fn follow<K>(
        &mut self,
        writer: Writer<K>,
        config: watcher::Config,
        concerned: impl Fn(&K) -> Option<ObjectRef<StoredObject>> + Send + 'static,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Hash + Eq,
    {
        let api: Api<K> = match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let triggers = self.triggers.clone();
        let events = watcher(api, config.page_size(PAGE_SIZE)).modify(strip).default_backoff().reflect(writer);
        self.tasks.spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                        concerned(&object).into_iter().for_each(|log_store| triggers.touch(log_store));
                    }
                    // What went away while the watch was broken has no event of its own.
                    Ok(Event::InitDone) => triggers.touch_all(),
                    Ok(Event::Init) => {}
                    Err(error) => tracing::warn!("failed to watch {}: {}; trying again", K::plural(&()), why(&error)),
                }
            }
        });
    }
}

fn why(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => said(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// Leaves out what is large and decides nothing.
fn strip<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    if let Some(annotations) = &mut object.meta_mut().annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}
