//! The commands on policies, one file each.

use super::Outcome;
use crate::cli::PolicyCommand;

mod check;
mod explain;

pub(super) fn run(command: &PolicyCommand) -> Outcome {
    match command {
        PolicyCommand::Check(options) => check::run(options),
        PolicyCommand::Explain(options) => explain::run(options),
    }
}
