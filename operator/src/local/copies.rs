//! The copies as processes: one supervisor each, and what is known of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use logstore_api::local::CopyEndpoint;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::ports::{Addresses, Ports};
use super::process::Launcher;
use super::state_dir::{StateDir, StateError};
use super::store_command::{Place, store_command};
use super::supervisor::{Order, Pod, Supervisor, Template, supervise};
use crate::build::{CopyName, Fingerprint};
use crate::plan::ObservedPod;
use crate::settle;
use crate::status::{CopyFacts, Trouble};

/// The processes of all copies.
#[derive(Debug)]
pub struct Copies {
    program: PathBuf,
    launcher: Launcher,
    changed: Arc<Notify>,
    copies: BTreeMap<CopyName, Copy>,
    supervisors: JoinSet<()>,
}

#[derive(Debug)]
struct Copy {
    supervisor: Supervisor,
    /// What it should run.
    wanted: Fingerprint,
    /// What it was asked to be replaced for.
    asked: Option<Fingerprint>,
}

impl Copies {
    /// No process yet. `changed` is told when a process has changed.
    #[must_use]
    pub fn new(program: PathBuf, launcher: Launcher, changed: Arc<Notify>) -> Self {
        Self { program, launcher, changed, copies: BTreeMap::new(), supervisors: JoinSet::new() }
    }

    /// Gives a copy its template: the first one starts it, a later one holds for the next process.
    ///
    /// # Errors
    /// When its data folder cannot be made.
    pub async fn apply(
        &mut self,
        copy: CopyName,
        stateful_set: &StatefulSet,
        state: &StateDir,
        ports: Ports,
    ) -> Result<(), StateError> {
        state.create_data(copy).await?;
        let template = self.template(copy, stateful_set, state, ports);
        let wanted = template.fingerprint;
        match self.copies.get_mut(&copy) {
            Some(known) => {
                known.wanted = wanted;
                known.supervisor.order(Order::Template(template)).await;
            }
            None => {
                let (supervisor, supervising) =
                    supervise(copy, template, self.launcher.clone(), Arc::clone(&self.changed));
                self.supervisors.spawn(supervising);
                self.copies.insert(copy, Copy { supervisor, wanted, asked: None });
            }
        }
        Ok(())
    }

    fn template(&self, copy: CopyName, stateful_set: &StatefulSet, state: &StateDir, ports: Ports) -> Template {
        let addresses = ports.of(copy);
        let (root, config) = (state.data(copy), state.config());
        let place = Place { program: &self.program, root: &root, config: &config, addresses };
        Template {
            fingerprint: Fingerprint::of(&stateful_set.spec.template),
            command: store_command(stateful_set, place),
            addresses,
        }
    }

    /// Ends a copy's process, so that a new one is started with the template.
    pub async fn replace(&mut self, copy: CopyName) {
        if let Some(copy) = self.copies.get_mut(&copy) {
            copy.asked = Some(copy.wanted);
            copy.supervisor.order(Order::Replace(copy.wanted)).await;
        }
    }

    /// The processes as pods.
    #[must_use]
    pub fn observed(&self) -> BTreeMap<CopyName, ObservedPod> {
        let observed = |(name, copy): (&CopyName, &Copy)| {
            let pod = copy.supervisor.pod();
            let is_running_it = pod.template == copy.wanted;
            // One that is on its way out is as good as gone.
            let current = is_running_it || copy.asked == Some(copy.wanted);
            (*name, ObservedPod { current, ready: pod.is_ready && (is_running_it || !current) })
        };
        self.copies.iter().map(observed).collect()
    }

    /// What the status says of them.
    #[must_use]
    pub fn facts(&self) -> Vec<CopyFacts> {
        let facts = |(name, copy): (&CopyName, &Copy)| {
            let Pod { pid: _, template, addresses, is_ready, trouble } = copy.supervisor.pod();
            CopyFacts {
                copy: *name,
                url: url(addresses),
                is_running: true,
                is_ready,
                is_current: template == copy.wanted,
                trouble: trouble.map(Trouble::passing),
            }
        };
        self.copies.iter().map(facts).collect()
    }

    /// The copies that serve, each by the process that does.
    #[must_use]
    pub fn serving(&self) -> BTreeMap<CopyName, u32> {
        let serving = |(name, copy): (&CopyName, &Copy)| {
            let pod = copy.supervisor.pod();
            pod.pid.filter(|_| pod.is_ready).map(|pid| (*name, pid))
        };
        self.copies.iter().filter_map(serving).collect()
    }

    /// The stores as a pass over the namespaces calls them. One that is not ready is not called: at its address might
    /// be somebody else.
    #[must_use]
    pub fn stores(&self) -> settle::Stores {
        let store = |(name, copy): (&CopyName, &Copy)| {
            let pod = copy.supervisor.pod();
            let store = match (pod.is_ready, pod.trouble) {
                (true, _) => settle::store(&url(pod.addresses)).map_err(|error| error.to_string()),
                (false, Some(trouble)) => Err(trouble),
                (false, None) => Err("it is starting".to_owned()),
            };
            (*name, store)
        };
        self.copies.iter().map(store).collect()
    }

    /// Where they listen, for the command line and for the next run. None before each has been started.
    #[must_use]
    pub fn endpoints(&self) -> Option<Vec<CopyEndpoint>> {
        let endpoint = |(name, copy): (&CopyName, &Copy)| {
            let pod = copy.supervisor.pod();
            let admin = format!("http://{}", pod.addresses.admin);
            Some(CopyEndpoint { name: name.to_string(), url: url(pod.addresses), admin, pid: pod.pid? })
        };
        self.copies.iter().map(endpoint).collect()
    }

    /// Gives an order to all.
    pub async fn order_all(&self, order: &Order) {
        for copy in self.copies.values() {
            copy.supervisor.order(order.clone()).await;
        }
    }

    /// Waits until all have stopped. To be asked again when it was interrupted.
    pub async fn stopped(&mut self) {
        while let Some(stopped) = self.supervisors.join_next().await {
            if let Err(error) = stopped {
                tracing::error!(%error, "a supervisor has failed");
            }
        }
    }
}

fn url(addresses: Addresses) -> String {
    format!("http://{}", addresses.listen)
}
