//! Ctrl-C and SIGTERM, for everybody who waits.

use std::io;

use tokio::sync::watch;

use super::super::failure::{Exit, Failure};
use super::super::interrupt::Interrupts;

/// How many signals have come.
#[derive(Clone, Debug)]
pub(super) struct Signals(watch::Receiver<u32>);

impl Signals {
    /// From here on they do not end the process by themselves.
    pub(super) fn watch() -> io::Result<Self> {
        let mut interrupts = Interrupts::catch()?;
        let (told, signals) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = interrupts.next() => told.send_modify(|count| *count += 1),
                    () = told.closed() => return,
                }
            }
        });
        Ok(Self(signals))
    }

    pub(super) fn is_interrupted(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits for the first one.
    pub(super) async fn interrupted(&self) {
        self.come(1).await;
    }

    /// Waits for the second one.
    pub(super) async fn insisted(&self) {
        self.come(2).await;
    }

    async fn come(&self, wanted: u32) {
        if self.0.clone().wait_for(|count| *count >= wanted).await.is_err() {
            // Nobody sends any more, so that none comes.
            std::future::pending::<()>().await;
        }
    }

    /// Does this, or fails at a signal.
    pub(super) async fn or_interrupted<T>(&self, act: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = act => done,
            () = self.interrupted() => Err(Failure::new(Exit::Refused, "interrupted before the load")),
        }
    }
}
