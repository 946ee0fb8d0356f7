//! The binary: see [`logstore_operator`].

use std::process::ExitCode;

use clap::Parser;
use logstore_operator::command::{self, CommandLine};

fn main() -> ExitCode {
    command::execute(CommandLine::parse())
}
