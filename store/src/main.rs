//! The `logstore` binary: the server, and the command line that speaks to it.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use logstore_store::{cli, serve};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What a shell says of a process that SIGTERM has ended.
const TERMINATED: u8 = 128 + 15;

/// An append-only log per namespace, over HTTP
#[derive(Debug, Parser)]
#[command(name = "logstore", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    #[command(flatten)]
    Tool(Tool),
}

/// A command that does one thing and ends.
#[derive(Debug, Subcommand)]
enum Tool {
    Append(cli::append::Args),
    Bench(cli::bench::Args),
    Read(cli::read::Args),
    Ls(cli::ls::Args),
    Verify(cli::verify::Args),
    Cat(cli::cat::Args),
    Dump(cli::dump::Args),
    Export(cli::export::Args),
    Import(cli::import::Args),
    Repair(cli::repair::Args),
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    // A server tells what it does; a command only what goes wrong.
    let level = if matches!(command, Command::Serve(_)) { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("LOGSTORE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(command));
    // A command that has its answer does not wait for a read of standard input that may never return.
    runtime.shutdown_background();
    code
}

async fn run(command: Command) -> ExitCode {
    match command {
        // A server has an end of its own.
        Command::Serve(args) => match serve::run(args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        },
        // They have something to print when they are told to end: results, and what was acknowledged.
        Command::Tool(tool @ (Tool::Bench(_) | Tool::Append(_))) => finish(tool).await,
        Command::Tool(tool) => tokio::select! {
            code = finish(tool) => code,
            () = told_to_end() => ExitCode::from(TERMINATED),
        },
    }
}

/// SIGTERM ends a process that has not said what to do with it, but not the first process of a container.
async fn told_to_end() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        // Then it ends as every process does.
        Err(_) => std::future::pending().await,
    }
}

async fn finish(tool: Tool) -> ExitCode {
    match tool {
        Tool::Append(args) => cli::finish(cli::append::run(args).await),
        Tool::Bench(args) => cli::finish(cli::bench::run(args).await),
        Tool::Read(args) => cli::finish(cli::read::run(args).await),
        Tool::Ls(args) => cli::finish(cli::ls::run(args).await),
        Tool::Verify(args) => cli::finish(cli::verify::run(args).await),
        Tool::Cat(args) => cli::finish(cli::cat::run(args).await),
        Tool::Dump(args) => cli::finish(cli::dump::run(args).await),
        Tool::Export(args) => cli::finish(cli::export::run(args).await),
        Tool::Import(args) => cli::finish(cli::import::run(args).await),
        Tool::Repair(args) => cli::finish(cli::repair::run(args).await),
    }
}
