//! One store process: started, listened to, ended.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::BufReader;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::lines::{each_line, pass_on};
use super::store_command::StoreCommand;
use crate::build::CopyName;

/// How the line begins by which a store says that it listens.
const LISTENING: &str = "logstore serve: listening on ";
/// How long to read on when the process is gone.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// How processes are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// Through ourselves, so that they end when we are killed: see [`super::tether`].
    Tethered(PathBuf),
    /// As they are.
    Plain,
}

/// A running store.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: u32,
    /// Turns true when the store has said that it listens. Before that, somebody else might answer at its address.
    listening: watch::Receiver<bool>,
    /// Ends by itself when the process has closed its outputs.
    readers: JoinSet<()>,
}

impl Process {
    /// Starts a store.
    pub(super) fn start(copy: CopyName, command: &StoreCommand, launcher: &Launcher) -> io::Result<Self> {
        let mut child = launch(command, launcher)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to a whole group. The stores are ended by us, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the process ended at once"))?;
        let (says, listening) = watch::channel(false);
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(each_line(BufReader::new(stdout), move |line| {
                if line.starts_with(LISTENING) {
                    says.send_replace(true);
                }
                pass_on(copy, line);
            }));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(each_line(BufReader::new(stderr), move |line| pass_on(copy, line)));
        }
        Ok(Self { child, pid, listening, readers })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn listening(&self) -> watch::Receiver<bool> {
        self.listening.clone()
    }

    /// Waits for its end; says how it ended. What it wrote last has been passed on by then.
    pub(super) async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        let last_words = async { while self.readers.join_next().await.is_some() {} };
        // If it had started a process that is still there, its outputs would stay open.
        let _ = timeout(LAST_WORDS_TIMEOUT, last_words).await;
        status.map_or_else(|error| format!("it cannot be waited for: {error}"), describe)
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // An id is only ours until the process has been waited for.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = id
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::warn!(pid = self.pid, ?signal, %error, "failed to send a signal");
        }
    }
}

fn launch(command: &StoreCommand, launcher: &Launcher) -> Command {
    let StoreCommand { program, arguments } = command;
    let mut launched = match launcher {
        Launcher::Plain => Command::new(program),
        Launcher::Tethered(ourselves) => {
            let mut tether = Command::new(ourselves);
            tether.args(super::tether::arguments(std::process::id())).arg(program);
            tether
        }
    };
    launched.args(arguments);
    launched
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit status {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}
