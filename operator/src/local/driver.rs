//! The loop of `local`: something has changed, so plan, carry out, settle, publish.

use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use logstore_api::local::Endpoints;
use logstore_client::error::chain;
use logstore_crds::LogStoreStatus;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::copies::Copies;
use super::publish::Publisher;
use super::signals::Signals;
use super::spec::{self, Current};
use super::state_dir::{StateDir, StateError};
use super::supervisor::Order;
use super::watch_file::{self, Content};
use super::{Launcher, Options, tether};
use crate::backoff::Backoff;
use crate::build::{Applied, Child, Children, Surroundings, build, config_map, namespaces};
use crate::plan::{Held, Observed, Plan, Step, plan};
use crate::settle::passes::{self, Passes};
use crate::status::{self, Facts, Obstacle};
use crate::validate::{Finding, InvalidSpec};

/// Where local stores stand, in the marks beside their namespaces.
const PLACE: &str = "local";
/// Changes of the file that wait to be taken up.
const CHANGES_MAX: usize = 4;

/// Everything that a run knows.
#[derive(Debug)]
pub(super) struct Driver {
    options: Options,
    state: StateDir,
    publisher: Publisher,
    changed: Arc<Notify>,
    copies: Copies,
    passes: Passes<u32>,

    current: Current,
    /// A spec that could be followed, once it has been kept.
    upcoming: Option<Current>,
    rejected: Option<InvalidSpec>,

    applied: Option<(u64, Children<Applied>)>,
    held: Vec<Held>,
    failure: Option<Failure>,
    backoff: Backoff,

    endpoints: Option<Endpoints>,
    status: Option<LogStoreStatus>,
}

/// A step that could not be carried out.
#[derive(Debug)]
struct Failure {
    why: String,
    again_at: Instant,
}

impl Driver {
    pub(super) fn new(
        options: &Options,
        state: StateDir,
        current: Current,
        program: PathBuf,
        publisher: Publisher,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let launcher = tether::ourselves().map_or(Launcher::Plain, Launcher::Tethered);
        Self {
            options: options.clone(),
            state,
            publisher,
            copies: Copies::new(program, launcher, Arc::clone(&changed)),
            changed,
            passes: Passes::new(),
            current,
            upcoming: None,
            rejected: None,
            applied: None,
            held: Vec::new(),
            failure: None,
            backoff: Backoff::of_passes(),
            endpoints: None,
            status: None,
        }
    }

    /// Goes on until a signal says to stop. `content` is what was in the file when it was read first.
    pub(super) async fn run(mut self, content: String, mut signals: Signals) {
        let (send, mut changes) = mpsc::channel(CHANGES_MAX);
        let watching = tokio::spawn(watch_file::watch(self.options.file.clone(), Ok(content), send));
        self.greet();
        loop {
            self.publish();
            self.advance().await;
            self.settle();
            self.publish();
            let wakes_at = self.wakes_at();
            tokio::select! {
                () = signals.next() => break,
                Some(content) = changes.recv() => self.take_up(content),
                Some(settled) = self.passes.next() => self.passes.conclude(settled),
                () = self.changed.notified() => {}
                () = sleep_until(wakes_at) => {}
            }
        }
        watching.abort();
        self.stop(signals).await;
    }

    fn greet(&self) {
        let Current { store, revision, .. } = &self.current;
        tracing::info!(
            "{}: copies: {}, revision {revision}, state in {}, status at {}; Ctrl-C stops",
            store.name(),
            store.copies(),
            self.state.path().display(),
            self.publisher.url()
        );
    }

    /// The file has changed.
    fn take_up(&mut self, content: Content) {
        let document = content.map_err(|error| InvalidSpec::of_document(error.to_string()));
        let next = document
            .and_then(|text| spec::parse(&text))
            .and_then(|document| spec::next(&self.current, document, self.options.port_base));
        match next {
            Ok(next) => {
                tracing::info!("{}: following revision {}", self.options.file.display(), next.revision);
                self.upcoming = Some(next);
                self.rejected = None;
                self.failure = None;
            }
            Err(invalid) => {
                let reasons: Vec<String> = invalid.findings().iter().map(Finding::to_string).collect();
                tracing::warn!("{} cannot be followed: {}", self.options.file.display(), reasons.join("; "));
                self.rejected = Some(invalid);
                self.upcoming = None;
            }
        }
    }

    /// Does what may be done now. What fails is tried again after a while.
    async fn advance(&mut self) {
        if self.failure.as_ref().is_some_and(|failure| Instant::now() < failure.again_at) {
            return;
        }
        match self.try_to_advance().await {
            Ok(()) => {
                self.failure = None;
                self.backoff.reset();
            }
            Err(error) => {
                let wait = self.backoff.after(std::time::Duration::ZERO);
                let why = chain(&error);
                tracing::warn!("{why}; trying again in {wait:?}");
                self.failure = Some(Failure { why, again_at: Instant::now() + wait });
            }
        }
    }

    async fn try_to_advance(&mut self) -> Result<(), StateError> {
        if let Some(upcoming) = self.upcoming.take() {
            if let Err(error) = self.state.accept(&upcoming.accepted()).await {
                self.upcoming = Some(upcoming);
                return Err(error);
            }
            self.current = upcoming;
            self.passes.hasten();
            // That it is begun is said before anything is done about it.
            self.publish();
        }
        // What is applied in the first round makes pods old that the second one replaces.
        self.carry_out().await?;
        self.carry_out().await?;
        self.write_endpoints().await
    }

    /// Carries out what the plan allows now.
    async fn carry_out(&mut self) -> Result<(), StateError> {
        // Processes need no image; the word stands in a template that nobody pulls.
        let desired = build(&self.current.store, &Surroundings { image: PLACE.to_owned() });
        let observed = self.observed();
        let Plan { steps, held } = plan(&desired, &observed);
        for step in steps {
            match step {
                Step::Apply(child) => self.apply(child).await?,
                Step::ReplacePod(copy) => {
                    tracing::info!("copy {copy}: replacing it, because its command has changed");
                    self.copies.replace(copy).await;
                }
            }
        }
        self.held = held;
        self.applied = Some((self.current.revision, desired.into_applied()));
        Ok(())
    }

    async fn apply(&mut self, child: Child<'_>) -> Result<(), StateError> {
        match child {
            Child::ConfigMap(config) => {
                let json = config.data.as_ref().and_then(|data| data.get(config_map::FILE));
                self.state.write_config(json.map_or("", String::as_str)).await
            }
            Child::StatefulSet(copy, stateful_set) => {
                self.copies.apply(copy, stateful_set, &self.state, self.current.ports).await
            }
            // Processes on one machine need neither names in a network nor an account, and nobody drains it.
            Child::ServiceAccount(_) | Child::Service(_) | Child::PodDisruptionBudget(_) => Ok(()),
        }
    }

    fn observed(&self) -> Observed {
        let fingerprint = |child: Child<'_>| (child.id(), child.fingerprint());
        let children = self.applied.iter().flat_map(|(_, children)| children.in_apply_order());
        Observed { children: children.map(fingerprint).collect(), pods: self.copies.observed(), hold: None }
    }

    /// Begins a pass over the namespaces when one is due.
    fn settle(&mut self) {
        let Current { store, revision, .. } = &self.current;
        let desired = namespaces::build(store, PLACE, *revision);
        self.passes.begin_if_due(&desired, self.copies.serving(), || self.copies.stores());
    }

    async fn write_endpoints(&mut self) -> Result<(), StateError> {
        let Some(copies) = self.copies.endpoints() else { return Ok(()) };
        let name = self.current.store.name().to_owned();
        let endpoints = Endpoints { name, copies, status: self.publisher.url() };
        if self.endpoints.as_ref() != Some(&endpoints) {
            self.state.write_endpoints(&endpoints).await?;
            self.endpoints = Some(endpoints);
        }
        Ok(())
    }

    /// Publishes the status where it has changed.
    fn publish(&mut self) {
        let copies = self.copies.facts();
        let obstacle = self.failure.as_ref().map(|failure| Obstacle::passing(failure.why.clone()));
        let facts = Facts {
            store: &self.current.store,
            generation: self.current.revision,
            revision: self.current.revision,
            rejected: self.rejected.as_ref(),
            applied: self.applied.as_ref().map(|(generation, _)| *generation),
            obstacle: obstacle.as_ref(),
            image: None,
            growing: None,
            copies: &copies,
            held: &self.held,
            settled: self.passes.settled(),
        };
        let status = status::compute(&facts, self.status.as_ref(), Timestamp::now());
        if self.status.as_ref() != Some(&status) {
            self.publisher.publish(&self.current.store, &status);
            self.status = Some(status);
        }
    }

    fn wakes_at(&self) -> Instant {
        let again = self.failure.as_ref().map(|failure| failure.again_at);
        let due = self.passes.due_at();
        again.into_iter().chain(due).min().unwrap_or_else(passes::far_future)
    }

    /// Lets all stores drain. A second signal does not wait for that.
    async fn stop(mut self, mut signals: Signals) {
        tracing::info!("stopping the stores; once more kills them");
        self.copies.order_all(&Order::Stop).await;
        loop {
            tokio::select! {
                () = self.copies.stopped() => break,
                () = signals.next() => self.copies.order_all(&Order::Kill).await,
            }
        }
        if let Err(error) = self.state.remove_endpoints().await {
            tracing::warn!("{}", chain(&error));
        }
        tracing::info!("{}: stopped; the data is in {}", self.current.store.name(), self.state.path().display());
    }
}
