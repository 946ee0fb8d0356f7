//! Keeps the store of one copy running: what a StatefulSet with one pod does on a cluster.
//!
//! ```text
//! start ─▶ listens ─▶ ready ⇄ not ready
//!   ▲                    │
//!   └── wait (back-off) ◀┴─ ended by itself        replaced: ended by us, started with the new template at once
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use logstore_client::error::chain;
use logstore_client::{Admin, Readiness, Timeouts};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::ports::Addresses;
use super::process::{Launcher, Process};
use super::store_command::StoreCommand;
use crate::backoff::Backoff;
use crate::build::{CopyName, Fingerprint};

/// How long a store may take to drain and end.
const GRACE: Duration = Duration::from_secs(25);
/// How often a store that is not ready is asked.
const ASK_STARTING: Duration = Duration::from_millis(100);
/// How often a store that is ready is asked.
const ASK_READY: Duration = Duration::from_secs(1);
/// How long a store may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Orders that wait for a supervisor.
const ORDERS_MAX: usize = 16;

/// What a store is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Stands for it.
    pub fingerprint: Fingerprint,
    /// Its command.
    pub command: StoreCommand,
    /// Where it listens.
    pub addresses: Addresses,
}

/// The process of a copy, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its id; that of the last one while there is none.
    pub pid: Option<u32>,
    /// What it was started with.
    pub template: Fingerprint,
    /// Where it listens.
    pub addresses: Addresses,
    /// Whether it serves.
    pub is_ready: bool,
    /// What went wrong since it last served.
    pub trouble: Option<String>,
}

/// What a supervisor is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// Start the next process with this.
    Template(Template),
    /// End the process, unless it was started with this template.
    Replace(Fingerprint),
    /// End the process and be done.
    Stop,
    /// The same, without waiting for it to drain.
    Kill,
}

/// The supervisor of a copy, from outside.
#[derive(Debug)]
pub struct Supervisor {
    orders: mpsc::Sender<Order>,
    pod: watch::Receiver<Pod>,
}

/// A supervisor for the store of a copy, and the future that starts the store and keeps it running. `changed` is told
/// of each change of the pod.
pub fn supervise(
    copy: CopyName,
    template: Template,
    launcher: Launcher,
    changed: Arc<Notify>,
) -> (Supervisor, impl Future<Output = ()> + Send + 'static) {
    let (orders, received) = mpsc::channel(ORDERS_MAX);
    let (pod, seen) = watch::channel(starting(&template, None));
    let task = Task { copy, template, launcher, orders: received, pod, changed };
    (Supervisor { orders, pod: seen }, task.run())
}

impl Supervisor {
    /// The process as it is now.
    #[must_use]
    pub fn pod(&self) -> Pod {
        self.pod.borrow().clone()
    }

    /// Gives an order.
    pub async fn order(&self, order: Order) {
        // Nobody is there to take it when it has stopped; then there is nothing to do.
        let _ = self.orders.send(order).await;
    }
}

fn starting(template: &Template, trouble: Option<String>) -> Pod {
    Pod { pid: None, template: template.fingerprint, addresses: template.addresses, is_ready: false, trouble }
}

/// The supervisor itself.
struct Task {
    copy: CopyName,
    template: Template,
    launcher: Launcher,
    orders: mpsc::Receiver<Order>,
    pod: watch::Sender<Pod>,
    changed: Arc<Notify>,
}

/// How the time of a process ended, or a wait between two.
enum End {
    /// By itself; how.
    Died(String),
    /// By us, for a new one.
    Replaced,
    /// By us, for good.
    Stopped,
}

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::of_processes();
        loop {
            let begun = Instant::now();
            match self.one_process().await {
                End::Stopped => return,
                End::Replaced => backoff.reset(),
                End::Died(how) => {
                    let wait = backoff.after(begun.elapsed());
                    tracing::warn!("copy {}: {how}; starting it again in {wait:?}", self.copy);
                    self.change(|pod| (pod.is_ready, pod.trouble) = (false, Some(how)));
                    if let End::Stopped = self.pause(wait).await {
                        return;
                    }
                }
            }
        }
    }

    async fn one_process(&mut self) -> End {
        let template = self.template.clone();
        let mut process = match Process::start(self.copy, &template.command, &self.launcher) {
            Ok(process) => process,
            Err(error) => {
                return End::Died(format!("failed to start {}: {error}", template.command.program.display()));
            }
        };
        tracing::info!(
            "copy {}: started as process {} on http://{}",
            self.copy,
            process.pid(),
            template.addresses.listen
        );
        let trouble = self.pod.borrow().trouble.clone();
        self.change(|pod| *pod = Pod { pid: Some(process.pid()), ..starting(&template, trouble) });
        self.watch_over(&mut process, &template).await
    }

    async fn watch_over(&mut self, process: &mut Process, template: &Template) -> End {
        let (says, mut readiness) = watch::channel(Err("it is starting".to_owned()));
        // Ends with this scope.
        let mut asking = JoinSet::new();
        asking.spawn(ask(template.addresses, process.listening(), says));
        loop {
            tokio::select! {
                how = process.ended() => return End::Died(how),
                Ok(()) = readiness.changed() => {
                    let answer = readiness.borrow_and_update().clone();
                    self.note(answer);
                }
                order = self.orders.recv() => match order {
                    Some(Order::Template(template)) => self.template = template,
                    Some(Order::Replace(wanted)) if wanted == template.fingerprint => {}
                    Some(Order::Replace(_)) => return self.end(process, End::Replaced).await,
                    Some(Order::Stop) | None => return self.end(process, End::Stopped).await,
                    Some(Order::Kill) => {
                        process.kill();
                        return self.end(process, End::Stopped).await;
                    }
                },
            }
        }
    }

    fn note(&self, readiness: Result<(), String>) {
        let was_ready = self.pod.borrow().is_ready;
        match readiness {
            Ok(()) => {
                tracing::info!("copy {}: ready", self.copy);
                self.change(|pod| (pod.is_ready, pod.trouble) = (true, None));
            }
            Err(why) if was_ready => {
                tracing::warn!("copy {}: not ready any more: {why}", self.copy);
                self.change(|pod| (pod.is_ready, pod.trouble) = (false, Some(why)));
            }
            // Not ready yet: that is what starting looks like.
            Err(_) => {}
        }
    }

    /// Lets the process drain, for a bounded time.
    async fn end(&mut self, process: &mut Process, mut end: End) -> End {
        self.change(|pod| pod.is_ready = false);
        process.terminate();
        let deadline = tokio::time::Instant::now() + GRACE;
        let mut is_killed = false;
        loop {
            tokio::select! {
                how = process.ended() => {
                    tracing::info!("copy {}: {how}", self.copy);
                    return end;
                }
                () = sleep_until(deadline), if !is_killed => {
                    tracing::warn!("copy {} has not ended within {GRACE:?}; killing it", self.copy);
                    process.kill();
                    is_killed = true;
                }
                Some(order) = self.orders.recv() => match order {
                    Order::Template(template) => self.template = template,
                    Order::Replace(_) => {}
                    Order::Stop => end = End::Stopped,
                    Order::Kill => {
                        end = End::Stopped;
                        process.kill();
                    }
                },
            }
        }
    }

    /// Waits before the next start.
    async fn pause(&mut self, wait: Duration) -> End {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(deadline) => return End::Replaced,
                order = self.orders.recv() => match order {
                    Some(Order::Template(template)) => self.template = template,
                    // What stands against the old template may not stand against the new one.
                    Some(Order::Replace(_)) => return End::Replaced,
                    Some(Order::Stop | Order::Kill) | None => return End::Stopped,
                },
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Pod)) {
        self.pod.send_modify(change);
        self.changed.notify_one();
    }
}

/// Asks a store that listens whether it is ready, for ever, and says so when the answer changes.
async fn ask(addresses: Addresses, mut listening: watch::Receiver<bool>, says: watch::Sender<Result<(), String>>) {
    let timeouts = Timeouts { connect: ASK_TIMEOUT, request: ASK_TIMEOUT };
    let admin = match Admin::new(&format!("http://{}", addresses.admin), timeouts) {
        Ok(admin) => admin,
        Err(error) => return tracing::error!(%error, "an address that cannot be asked"),
    };
    if listening.wait_for(|listens| *listens).await.is_err() {
        return;
    }
    loop {
        let answer = match admin.ready().await {
            Ok(Readiness::Ready) => Ok(()),
            Ok(Readiness::NotReady(problem)) => Err(problem.detail),
            Err(error) => Err(chain(&error)),
        };
        let pause = if answer.is_ok() { ASK_READY } else { ASK_STARTING };
        says.send_if_modified(|known| {
            *known != answer && {
                *known = answer;
                true
            }
        });
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests;
