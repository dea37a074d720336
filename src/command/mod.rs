//! One file a subcommand. They wire parts together and print; they do no work of their own.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::cli::{Cli, Command};

mod analyze;
#[cfg(all(feature = "live", feature = "sensor"))]
mod ask;
#[cfg(all(feature = "live", feature = "sensor"))]
mod delivery;
mod demo;
#[cfg(all(feature = "live", feature = "sensor"))]
mod diff;
mod evidence;
mod explain;
mod generate;
#[cfg(feature = "live")]
mod interfaces;
mod origin;
mod policy;
mod protocols;
mod report;
#[cfg(all(feature = "live", feature = "sensor"))]
mod shares;
#[cfg(all(feature = "live", feature = "sensor"))]
mod watch;

/// How a command ended. A type, so that no exit code is made up on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Exit code 0.
    Clean,
    /// Exit code 1: done, and there is something to look at.
    Findings,
    /// Exit code 2: what was looked at cannot be used, and the output says why.
    Unusable,
}

/// Why a command could not do its work; exit code 2. The text names the thing, what is wrong, and a way out.
#[derive(Debug)]
pub struct Failure(String);

impl<T: std::fmt::Display> From<T> for Failure {
    fn from(error: T) -> Self {
        Self(error.to_string())
    }
}

/// What a command returns.
pub type Outcome = Result<Done, Failure>;

/// Runs a command and turns its end into an exit code.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Analyze(options) => analyze::run(&options),
        #[cfg(all(feature = "live", feature = "sensor"))]
        Command::Watch(options) => watch::run(&options),
        #[cfg(feature = "live")]
        Command::Interfaces(options) => interfaces::run(&options),
        #[cfg(all(feature = "live", feature = "sensor"))]
        Command::Assets(options) => ask::assets(&options),
        #[cfg(all(feature = "live", feature = "sensor"))]
        Command::Flows(options) => ask::flows(&options),
        #[cfg(all(feature = "live", feature = "sensor"))]
        Command::Findings(options) => ask::findings(&options),
        #[cfg(all(feature = "live", feature = "sensor"))]
        Command::Diff(options) => diff::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Policy(command) => policy::run(&command),
        Command::Protocols(options) => protocols::run(&options),
        Command::Generate(options) => generate::run(&options),
        Command::Demo(options) => demo::run(&options),
    };
    match outcome {
        Ok(Done::Clean) => ExitCode::SUCCESS,
        Ok(Done::Findings) => ExitCode::from(1),
        Ok(Done::Unusable) => ExitCode::from(2),
        Err(Failure(text)) => {
            error(&text);
            ExitCode::from(2)
        }
    }
}

/// Prints an error on stderr. Its text is multi-line where it helps; what came from outside was escaped by its maker.
fn error(text: &str) {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let _ = writeln!(anstream::stderr().lock(), "{style}error{style:#}: {text}");
}

/// Prints a note on stderr.
fn note(text: &str) {
    let style = anstyle::AnsiColor::Yellow.on_default().bold();
    let _ = writeln!(anstream::stderr().lock(), "{style}note{style:#}: {text}");
}

/// Writes text to stderr that brings its own headings.
fn tell(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Writes text to stdout, without styles where they are not wanted.
fn print(text: &str) -> Result<(), Failure> {
    written(anstream::stdout().lock().write_all(text.as_bytes()))
}

/// A closed pipe (`zonewatch … | head`) is a normal end.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure(format!("cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whether stdout is a terminal: tables for people there, json elsewhere.
fn for_people() -> bool {
    io::stdout().is_terminal()
}

/// Columns of the terminal; 80 where there is none, and not wider than lines are read well.
fn columns() -> u16 {
    terminal_size::terminal_size().map_or(80, |(terminal_size::Width(columns), _)| columns.clamp(40, 160))
}
