//! A run of `local` in a folder of its own, and what can be seen of it from outside.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use logstore_api::NamespaceName;
use logstore_api::local::{ENDPOINTS_FILE, Endpoints};
use logstore_api::namespace::NamespaceInfo;
use logstore_client::Store;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long anything may take that should take a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A resource's file with a state folder, and ports that nobody else has.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) port_base: u16,
}

impl Place {
    pub(crate) fn new(spec: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), port_base: free_ports() };
        place.write(spec);
        place
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("events.yaml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join(".logstore/events")
    }

    /// Writes the resource with these lines under `spec`.
    pub(crate) fn write(&self, spec: &str) {
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        let head = "apiVersion: logstore.dev/v1alpha1\nkind: LogStore\nmetadata: {name: events}\n";
        std::fs::write(self.file(), format!("{head}spec:\n  storage: {{size: 1Gi}}\n{spec}")).unwrap();
    }

    /// The command, without a binary.
    pub(crate) fn bare_command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logstore-operator"));
        command.arg("local").arg("-f").arg(self.file()).kill_on_drop(true);
        command
    }

    /// The command, with the ports of this place.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.bare_command();
        command.args(["--port-base", &self.port_base.to_string(), "--logstore"]).arg(store_binary());
        command
    }

    pub(crate) fn start(&self) -> Run<'_> {
        self.start_as(self.command())
    }

    /// With the port that the resource says.
    pub(crate) fn start_on_its_port(&self) -> Run<'_> {
        let mut command = self.bare_command();
        command.arg("--logstore").arg(store_binary());
        self.start_as(command)
    }

    fn start_as(&self, mut command: Command) -> Run<'_> {
        let output = std::fs::File::create(self.folder.path().join("status.yaml")).unwrap();
        let log = std::fs::File::create(self.folder.path().join("log.txt")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(output).stderr(log).spawn().unwrap();
        Run { place: self, child }
    }

    /// What the run has written to standard output.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("status.yaml")).unwrap()
    }

    /// What the run has written to standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap()
    }
}

pub(crate) fn store_binary() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_logstore-operator")).with_file_name("logstore");
    assert!(binary.exists(), "there is no {}; run: cargo build --bin logstore", binary.display());
    binary
}

/// The first of 104 ports: ten for stores, one for the status. Tests run side by side, so each takes others.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 200;
    loop {
        let base = start + NEXT.fetch_add(12, Ordering::Relaxed) % 1_200;
        let needed = (base..base + 12).chain([base + 100]);
        let held: Option<Vec<_>> = needed.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()).collect();
        if held.is_some() {
            return base;
        }
    }
}

/// A run of `local`. What it says when a test fails is printed.
pub(crate) struct Run<'a> {
    place: &'a Place,
    child: Child,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}\n{}", self.place.printed(), self.place.log());
        }
    }
}

impl Run<'_> {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// The status as it is served, once there is one.
    pub(crate) async fn status(&self) -> Option<Value> {
        let document: Value = serde_json::from_str(&get(self.place.port_base + 100, "/json").await?).ok()?;
        document.get("status").cloned()
    }

    /// Waits until a condition has this reason; gives the status.
    pub(crate) async fn until(&mut self, condition: &str, reason: &str) -> Value {
        self.until_status(&format!("{condition}={reason}"), |status| find(status, condition)["reason"] == reason).await
    }

    /// Waits until everything is as this revision says.
    pub(crate) async fn until_ready(&mut self, revision: u64) -> Value {
        self.until_status(&format!("ready at revision {revision}"), |status| {
            status["observedGeneration"] == revision && find(status, "Ready")["status"] == "True"
        })
        .await
    }

    pub(crate) async fn until_status(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < deadline {
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("it has ended ({ended}) before it was {what}");
            }
            match self.status().await {
                Some(status) if holds(&status) => return status,
                status => last = status,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it is not {what} within {PATIENCE:?}: {last:#?}");
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        serde_json::from_slice(&std::fs::read(self.place.state().join(ENDPOINTS_FILE)).unwrap()).unwrap()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.endpoints().copies.iter().map(|copy| copy.pid).collect()
    }

    pub(crate) fn stores(&self) -> Vec<Store> {
        self.endpoints().copies.iter().map(|copy| Store::new(&copy.url).unwrap()).collect()
    }

    /// What each copy says of a namespace.
    pub(crate) async fn described(&self, name: &str) -> Vec<NamespaceInfo> {
        let mut described = Vec::new();
        for store in self.stores() {
            described.push(store.namespace(&namespace(name)).await.unwrap());
        }
        described
    }

    /// The names of the namespaces on each copy.
    pub(crate) async fn listed(&self) -> Vec<Vec<String>> {
        let mut listed = Vec::new();
        for store in self.stores() {
            let entries = store.all_namespaces("").await.unwrap();
            listed.push(entries.into_iter().map(|entry| entry.name.to_string()).collect());
        }
        listed
    }

    /// Ctrl-C, and what it ends with.
    pub(crate) async fn interrupt(mut self) -> ExitStatus {
        send(self.pid(), Signal::INT);
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it does not end").unwrap()
    }

    /// The end without warning.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

pub(crate) fn namespace(name: &str) -> NamespaceName {
    NamespaceName::parse(name).unwrap()
}

pub(crate) fn find<'a>(status: &'a Value, condition: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|found| found["type"] == condition).unwrap()
}

pub(crate) fn message<'a>(status: &'a Value, condition: &str) -> &'a str {
    find(status, condition)["message"].as_str().unwrap()
}

pub(crate) fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// Waits until a process is gone.
pub(crate) async fn gone(pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    while is_running(pid) {
        assert!(Instant::now() < deadline, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A zombie runs no more; whoever adopted it takes its time.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

/// The body of an answer; none where nobody answers.
pub(crate) async fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}
