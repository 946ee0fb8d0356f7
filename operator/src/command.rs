//! The command line.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use logstore_client::error::chain;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::build::{Surroundings, build};
use crate::definition;
use crate::local::{self, LocalError, tether};
use crate::run::{self, Options};
use crate::validate::{self, InvalidSpec};
use crate::yaml;

/// The image that `plan` names unless told otherwise.
const IMAGE: &str = concat!("logstore:", env!("CARGO_PKG_VERSION"));
/// Names the variable with the filter of the log.
const LOG_ENVIRONMENT: &str = "LOGSTORE_LOG";
/// What the libraries below may say unless that variable says otherwise: kube puts each line of ours into a span of its own.
const LIBRARY_LOG: &str = "kube_runtime=warn,kube_client=warn";
/// What an invalid file ends with.
const EXIT_INVALID: u8 = 2;

/// Runs LogStores, a replicated append-only log over HTTP.
#[derive(Debug, Parser)]
#[command(name = "logstore-operator", version)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a LogStore as plain processes on this machine, and follow changes of its file
    Local(LocalArguments),
    /// Print the Kubernetes objects that a LogStore becomes, in the order in which they are applied
    Plan(PlanArguments),
    /// Keep every LogStore of a cluster as its spec says
    Run(RunArguments),
    /// Print the custom resource definition, or give it to a cluster
    Crd {
        #[command(subcommand)]
        command: Option<CrdCommand>,
    },
    /// Become a store that ends with its parent
    #[command(name = tether::COMMAND, hide = true)]
    ExecStore {
        #[arg(long)]
        parent: u32,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct LocalArguments {
    /// The LogStore, as YAML
    #[arg(short, long)]
    file: PathBuf,
    /// Folder for data and state [default: .logstore/NAME beside the file]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The logstore binary [default: beside this one, or on PATH]
    #[arg(long, value_name = "PATH")]
    logstore: Option<PathBuf>,
    /// First port: each copy takes two [default: spec.listener.port]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port_base: Option<u16>,
    /// Where the status is served [default: 127.0.0.1, 100 behind the first port]
    #[arg(long, value_name = "ADDR")]
    status_listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum CrdCommand {
    /// Give it to the cluster of the kubeconfig, or replace an older one there
    Apply,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The image of the stores, for every LogStore that names none: the operator's own holds them
    #[arg(long, env = "LOGSTORE_IMAGE", default_value = IMAGE)]
    image: String,
    /// Watch this Kubernetes namespace only; may be repeated [default: all]
    #[arg(long = "namespace", env = "LOGSTORE_NAMESPACES", value_name = "NAME", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Name of the Lease by which replicas agree who acts
    #[arg(long, env = "LOGSTORE_LEASE_NAME", default_value = "logstore-operator")]
    lease_name: String,
    /// Kubernetes namespace of the Lease [default: that of the pod]
    #[arg(long, env = "LOGSTORE_LEASE_NAMESPACE", value_name = "NAME")]
    lease_namespace: Option<String>,
    /// What tells this replica from all others: the name of its pod [default: made up]
    #[arg(long, env = "LOGSTORE_IDENTITY", value_name = "NAME")]
    identity: Option<String>,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "LOGSTORE_LISTEN", value_name = "ADDR", default_value = "[::]:8080")]
    listen: SocketAddr,
}

#[derive(Debug, Args)]
struct PlanArguments {
    /// The LogStore, as YAML; - reads standard input
    #[arg(short, long)]
    file: PathBuf,
    /// The image of the stores
    #[arg(long, env = "LOGSTORE_IMAGE", default_value = IMAGE)]
    image: String,
}

/// Does what the command line says.
#[must_use]
pub fn execute(CommandLine { command }: CommandLine) -> ExitCode {
    let done = match command {
        Command::Local(arguments) => run_local(arguments),
        Command::Plan(arguments) => run_plan(&arguments),
        Command::Run(arguments) => run_in_cluster(arguments),
        Command::Crd { command: None } => print(logstore_crds::MANIFEST),
        Command::Crd { command: Some(CrdCommand::Apply) } => apply_definition(),
        Command::ExecStore { parent, command } => match tether::exec(parent, &command) {
            Err(error) => Err(error).with_context(|| format!("failed to run {}", command[0].display())),
        },
    };
    done.map_or_else(|error| explain(&error), |()| ExitCode::SUCCESS)
}

fn run_in_cluster(arguments: RunArguments) -> anyhow::Result<()> {
    let RunArguments { image, namespaces, lease_name, lease_namespace, identity, listen } = arguments;
    let asked = std::env::var(LOG_ENVIRONMENT).unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(format!("{LIBRARY_LOG},{asked}")).with_context(|| {
        format!("{LOG_ENVIRONMENT}={asked} is no filter of the log; an example: info,kube_client=debug")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    let identity = identity.unwrap_or_else(|| format!("logstore-operator-{}", Uuid::new_v4().simple()));
    let namespaces = namespaces.into_iter().filter(|name| !name.is_empty()).collect();
    let options = Options { image, namespaces, lease_name, lease_namespace, identity, listen };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start")?;
    Ok(runtime.block_on(run::run(options))?)
}

fn apply_definition() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    let name = runtime.block_on(async {
        let client = kube::Client::try_default().await.context("failed to find the API server")?;
        anyhow::Ok(definition::apply(client).await?)
    })?;
    print(&format!("{name} is served\n"))
}

fn run_local(arguments: LocalArguments) -> anyhow::Result<()> {
    let LocalArguments { file, state, logstore, port_base, status_listen } = arguments;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    // One thread: the kernel ties each store to the thread that has started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    let options = local::Options { file, state, logstore, port_base, status_listen };
    Ok(runtime.block_on(local::run(&options))?)
}

fn run_plan(PlanArguments { file, image }: &PlanArguments) -> anyhow::Result<()> {
    let store = validate::text(&read(file)?)?;
    print(&manifests(&build(&store, &Surroundings { image: image.clone() }))?)
}

/// The children as one YAML text, in the order in which they are applied.
fn manifests(children: &crate::build::Children<crate::build::Desired>) -> Result<String, yaml::YamlError> {
    let document = |child| Ok(format!("---\n{}", yaml::to_string(&child)?));
    children.in_apply_order().into_iter().map(document).collect()
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).context("failed to read standard input")?;
        return Ok(text);
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "faults are injected into the store's disk, not into a file of a user"
    )]
    std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))
}

fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("failed to write to standard output"),
    }
}

/// Says why on standard error: for an invalid file every reason, one on each line.
fn explain(error: &anyhow::Error) -> ExitCode {
    let mut output = io::stderr().lock();
    let invalid = match (error.downcast_ref::<InvalidSpec>(), error.downcast_ref::<LocalError>()) {
        (Some(invalid), _) | (None, Some(LocalError::Invalid(invalid))) => Some(invalid),
        _ => None,
    };
    // Where nobody reads, the exit code still says it.
    let code = match invalid {
        Some(invalid) => {
            for finding in invalid.findings() {
                let _ = writeln!(output, "{finding}");
            }
            EXIT_INVALID
        }
        None => {
            let _ = writeln!(output, "logstore-operator: {}", chain(error.as_ref()));
            1
        }
    };
    ExitCode::from(code)
}
