//! `zonewatch`: see the library for how it works.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    zonewatch::command::run(zonewatch::cli::Cli::parse())
}
