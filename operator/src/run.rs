//! The operator in a cluster: every `LogStore` that it is told to watch is brought to what its spec says.
//!
//! ```text
//! caches     what the API server holds, watched                    → triggers: this LogStore was touched
//! pass       observe → validate → build → plan → apply → settle → status, bounded in number and time
//!   observe, belonging, drift, claims, pods                        pure: from what there is to what it means
//!   carry_out                                                      the plan, step by step
//!   api                                                            every call
//! settlers   the namespaces inside the stores, over HTTP, beside the workers → triggers
//! lease      one replica acts
//! permissions  what it must be allowed to do
//! health     /livez, /readyz, /metrics
//! ```
//!
//! At rest nothing is asked and nothing is written but the Lease.

pub mod api;
pub mod belonging;
pub mod caches;
mod carry_out;
pub mod claims;
pub mod drift;
pub mod health;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod pass;
pub mod permissions;
pub mod pods;
pub mod resource;
pub mod settlers;
pub mod triggers;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::api::ApiServer;
use self::caches::Caches;
use self::health::Health;
use self::lease::Elector;
use self::memory::Memory;
use self::metrics::{Metrics, PassLabels};
use self::pass::{Context, Outcome, TimedOut};
use self::resource::StoredObject;
use self::settlers::Settlers;
use self::triggers::Triggers;

/// Passes that are made at the same time.
const CONCURRENCY: u16 = 16;
/// What changes within this time is looked at once.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long a pass may take.
const PASS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the API server may say nothing on a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// How long passes under way may go on after a signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the operator is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its own image, which holds the stores.
    pub image: String,
    /// The Kubernetes namespaces that it watches; none is all.
    pub namespaces: Vec<String>,
    /// Name of the Lease.
    pub lease_name: String,
    /// Where the Lease is; none is the namespace of the pod.
    pub lease_namespace: Option<String>,
    /// Tells this replica from all others.
    pub identity: String,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
}

/// Why the operator ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It does not know how to reach the API server.
    #[error("failed to find the API server; in a pod a service account is needed, elsewhere a kubeconfig")]
    Configuration(#[source] Box<kube::config::InferConfigError>),
    /// The configuration cannot be used.
    #[error("failed to set up the connection to the API server")]
    Client(#[source] Box<kube::Error>),
    /// Health cannot be served.
    #[error("failed to listen on {address}; choose another address with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Signals cannot be waited for.
    #[error("failed to wait for signals")]
    Signals(#[source] std::io::Error),
    /// Another replica may act by now.
    #[error("the lease is lost: this replica ends, so that never two act")]
    LeaseLost,
    /// A part of it has ended that never should.
    #[error("a watch or the controller has ended by itself")]
    Ended,
}

/// Runs until a signal says to stop.
///
/// # Errors
/// When it cannot begin, or must not go on.
pub async fn run(options: Options) -> Result<(), RunError> {
    let metrics = Metrics::new();
    let health = Health::new(Arc::clone(&metrics));
    let address = options.listen;
    health.clone().listen(address).await.map_err(|source| RunError::Listen { address, source })?;
    let mut stop = Stop::on_signals().map_err(RunError::Signals)?;

    let (client, own_namespace) = client().await?;
    let namespace = options.lease_namespace.clone().unwrap_or(own_namespace);
    let elector = Elector::new(client.clone(), &namespace, options.lease_name.clone(), options.identity.clone());
    let mut tasks = JoinSet::new();
    let scopes = scopes(&client, &options, &metrics, &mut tasks);

    tokio::select! {
        filled = fill(&scopes) => filled?,
        () = stop.wait() => return Ok(()),
    }
    health.ready();
    tracing::info!("the caches are filled; waiting for lease {namespace}/{}", options.lease_name);
    tokio::select! {
        () = elector.acquire() => {}
        () = stop.wait() => return Ok(()),
    }
    tracing::info!("acting as {}", options.identity);
    metrics.leading.set(1);
    let ended = act(scopes, &elector, &metrics, &mut stop, &mut tasks).await;
    metrics.leading.set(0);
    ended?;
    elector.release().await;
    tracing::info!("stopped");
    Ok(())
}

/// A signal to stop, for everybody who waits for one.
#[derive(Clone, Debug)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    fn on_signals() -> std::io::Result<Self> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (send, receive) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            send.send_replace(true);
            // Whoever waits later must find it too.
            send.closed().await;
        });
        Ok(Self(receive))
    }

    async fn wait(&mut self) {
        // The sender lives until all receivers are gone.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// A client that asks once: an eviction that is refused must not be tried again behind our back.
async fn client() -> Result<(Client, String), RunError> {
    let mut config = Config::infer().await.map_err(|error| RunError::Configuration(Box::new(error)))?;
    config.default_retry = false;
    // Longer than a quiet watch lasts. An API server whose machine has died never answers, and never closes either.
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| RunError::Client(Box::new(error)))?;
    Ok((client, namespace))
}

/// What is watched as one: a Kubernetes namespace, or all of them.
struct Scope {
    context: Arc<Context>,
    triggers: Triggers,
}

fn scopes(client: &Client, options: &Options, metrics: &Arc<Metrics>, tasks: &mut JoinSet<()>) -> Vec<Scope> {
    // Named twice is watched once.
    let names: BTreeSet<Option<&str>> = match &options.namespaces[..] {
        [] => [None].into(),
        names => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let scope = |namespace| {
        let triggers = Triggers::default();
        let context = Context {
            caches: Caches::fill(client, namespace, &triggers, tasks),
            api: ApiServer::new(client.clone(), Arc::clone(metrics)),
            settlers: Settlers::new(triggers.clone(), Arc::clone(metrics)),
            memory: Memory::default(),
            own_image: options.image.clone(),
        };
        Scope { context: Arc::new(context), triggers }
    };
    names.into_iter().map(scope).collect()
}

async fn fill(scopes: &[Scope]) -> Result<(), RunError> {
    for scope in scopes {
        scope.context.caches.filled().await.map_err(|_| RunError::Ended)?;
    }
    Ok(())
}

/// Makes passes as long as this replica holds the Lease.
async fn act(
    scopes: Vec<Scope>,
    elector: &Elector,
    metrics: &Arc<Metrics>,
    stop: &mut Stop,
    tasks: &mut JoinSet<()>,
) -> Result<(), RunError> {
    let mut controllers = JoinSet::new();
    for scope in scopes {
        controllers.spawn(control(scope, Arc::clone(metrics), stop.clone()));
    }
    tokio::select! {
        () = elector.keep() => return Err(RunError::LeaseLost),
        _ = tasks.join_next() => return Err(RunError::Ended),
        _ = controllers.join_next() => {
            if !*stop.0.borrow() {
                return Err(RunError::Ended);
            }
        }
        () = stop.wait() => {}
    }
    tracing::info!("stopping; passes under way are finished");
    let finished = async { while controllers.join_next().await.is_some() {} };
    tokio::select! {
        () = finished => {}
        () = tokio::time::sleep(SHUTDOWN_TIMEOUT) => {
            tracing::warn!("passes were still under way after {SHUTDOWN_TIMEOUT:?}");
        }
        () = elector.keep() => return Err(RunError::LeaseLost),
    }
    controllers.abort_all();
    Ok(())
}

/// Looks at every `LogStore` of a scope that is touched.
async fn control(scope: Scope, metrics: Arc<Metrics>, mut stop: Stop) {
    let Scope { context, triggers } = scope;
    // Only the triggers tell what to look at; the cache tells what it looks like.
    let controller = Controller::for_stream(stream::pending(), context.caches.log_stores.clone())
        .with_config(controller::Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_on(triggers.clone().stream())
        .graceful_shutdown_on(async move { stop.wait().await });
    let working = Arc::new((Arc::clone(&context), metrics));
    let results = controller.run(
        |object: Arc<StoredObject>, working| async move { reconcile(&object, &working.0, &working.1).await },
        |object, _: &TimedOut, working| {
            Action::requeue(working.0.memory.failed(&ObjectRef::from_obj(&*object), object.generation()))
        },
        working,
    );
    results
        .for_each(|result| {
            match result {
                Ok(_) => {}
                Err(controller::Error::ObjectNotFound(object)) => {
                    let gone = ObjectRef::new(&object.name).within(object.namespace.as_deref().unwrap_or_default());
                    context.forget(&gone);
                    triggers.forget(&gone);
                }
                Err(error) => tracing::warn!("{error}"),
            }
            async {}
        })
        .await;
}

async fn reconcile(object: &StoredObject, context: &Context, metrics: &Metrics) -> Result<Action, TimedOut> {
    let begun = Instant::now();
    let passed = tokio::time::timeout(PASS_TIMEOUT, context.pass(object)).await;
    metrics.pass_seconds.observe(begun.elapsed().as_secs_f64());
    let outcome = passed.as_ref().map_or(Outcome::Failed, |(outcome, _)| *outcome);
    metrics.passes.get_or_create(&PassLabels { outcome: outcome.name() }).inc();
    passed.map(|(_, action)| action).map_err(|_| TimedOut(PASS_TIMEOUT))
}

impl Outcome {
    /// As it is counted.
    fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Progressing => "progressing",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Resting => "resting",
        }
    }
}
