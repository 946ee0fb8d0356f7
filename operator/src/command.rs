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

use crate::build::{Surroundings, build};
use crate::local::{self, LocalError, tether};
use crate::validate::{self, InvalidSpec};
use crate::yaml;

/// The image that `plan` names unless told otherwise.
const IMAGE: &str = concat!("logstore:", env!("CARGO_PKG_VERSION"));
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
    /// Print the custom resource definition
    Crd,
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
pub fn run(CommandLine { command }: CommandLine) -> ExitCode {
    let done = match command {
        Command::Local(arguments) => run_local(arguments),
        Command::Plan(arguments) => run_plan(&arguments),
        Command::Crd => print(logstore_crds::MANIFEST),
        Command::ExecStore { parent, command } => match tether::exec(parent, &command) {
            Err(error) => Err(error).with_context(|| format!("failed to run {}", command[0].display())),
        },
    };
    done.map_or_else(|error| explain(&error), |()| ExitCode::SUCCESS)
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
