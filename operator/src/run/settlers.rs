//! The passes over the namespaces inside the stores: a task for each `LogStore`, beside the workers, so that a store that
//! hangs delays nobody else. What a pass has come to touches its `LogStore`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep_until;

use super::metrics::Metrics;
use super::pods::Server;
use super::resource::StoredObject;
use super::triggers::Triggers;
use crate::build::CopyName;
use crate::build::namespaces::DesiredNamespaces;
use crate::settle::passes::{self, Passes};
use crate::settle::{self, Settled, Stores};

/// Passes of all `LogStore`s that call stores at the same time.
const PASSES_MAX: usize = 256;

/// What a pass is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What is declared.
    pub desired: DesiredNamespaces,
    /// Every copy: what serves, or why nothing does.
    pub copies: BTreeMap<CopyName, Result<Server, String>>,
}

/// The tasks of all `LogStore`s.
#[derive(Debug)]
pub struct Settlers {
    settlers: Mutex<HashMap<ObjectRef<StoredObject>, Settler>>,
    triggers: Triggers,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// What a pass has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Of each namespace.
    pub settled: Settled,
    /// The pods that were asked.
    pub lives: BTreeMap<CopyName, String>,
}

#[derive(Debug)]
struct Settler {
    wanted: watch::Sender<Wanted>,
    answer: watch::Receiver<Option<Answer>>,
    task: AbortHandle,
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Settlers {
    /// None yet.
    #[must_use]
    pub fn new(triggers: Triggers, metrics: Arc<Metrics>) -> Self {
        Self { settlers: Mutex::default(), triggers, permits: Arc::new(Semaphore::new(PASSES_MAX)), metrics }
    }

    /// Gives a `LogStore` what its stores shall have, and where they are.
    pub fn want(&self, object: &ObjectRef<StoredObject>, wanted: Wanted) {
        let mut settlers = self.settlers();
        match settlers.get(object) {
            Some(settler) => {
                settler.wanted.send_if_modified(|before| {
                    let is_other = *before != wanted;
                    if is_other {
                        *before = wanted;
                    }
                    is_other
                });
            }
            None => {
                settlers.insert(object.clone(), self.begin(object.clone(), wanted));
            }
        }
    }

    /// What the last pass has come to.
    #[must_use]
    pub fn answer(&self, object: &ObjectRef<StoredObject>) -> Option<Answer> {
        self.settlers().get(object)?.answer.borrow().clone()
    }

    /// Ends the task of a `LogStore`, which is gone or shall not be touched.
    pub fn forget(&self, object: &ObjectRef<StoredObject>) {
        self.settlers().remove(object);
    }

    fn settlers(&self) -> MutexGuard<'_, HashMap<ObjectRef<StoredObject>, Settler>> {
        self.settlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, object: ObjectRef<StoredObject>, wanted: Wanted) -> Settler {
        let (wanted, asked) = watch::channel(wanted);
        let (answered, answer) = watch::channel(None);
        let (triggers, permits, metrics) =
            (self.triggers.clone(), Arc::clone(&self.permits), Arc::clone(&self.metrics));
        let settling = settle(asked, permits, move |answer| {
            metrics.store_passes.inc();
            let is_news = answered.send_replace(Some(answer.clone())).as_ref() != Some(&answer);
            if is_news {
                triggers.touch(object.clone());
            }
        });
        Settler { wanted, answer, task: tokio::spawn(settling).abort_handle() }
    }
}

/// Makes passes until nobody wants any.
async fn settle(mut wanted: watch::Receiver<Wanted>, permits: Arc<Semaphore>, told: impl Fn(Answer)) {
    let mut passes: Passes<String> = Passes::within(permits);
    let mut desired = wanted.borrow().desired.clone();
    loop {
        let now = wanted.borrow_and_update().clone();
        if now.desired != desired {
            desired = now.desired.clone();
            passes.hasten();
        }
        passes.begin_if_due(&desired, lives(&now), || stores(&now));
        let due = passes.due_at().unwrap_or_else(passes::far_future);
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            Some(settled) = passes.next() => {
                passes.conclude(settled);
                if let Some(settled) = passes.settled() {
                    told(Answer { settled: settled.clone(), lives: passes.asked().clone() });
                }
            }
            () = sleep_until(due) => {}
        }
    }
}

fn lives(wanted: &Wanted) -> BTreeMap<CopyName, String> {
    let life = |(copy, server): (&CopyName, &Result<Server, String>)| Some((*copy, server.as_ref().ok()?.life.clone()));
    wanted.copies.iter().filter_map(life).collect()
}

fn stores(wanted: &Wanted) -> Stores {
    let store = |(copy, server): (&CopyName, &Result<Server, String>)| {
        let store = server.clone().and_then(|server| settle::store(&server.url).map_err(|error| error.to_string()));
        (*copy, store)
    };
    wanted.copies.iter().map(store).collect()
}
