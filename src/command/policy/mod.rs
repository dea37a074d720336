//! The commands on policies, one file each.

use super::Outcome;
use crate::cli::PolicyCommand;

mod check;
mod diff;
mod explain;
mod schema;
mod test;

pub(super) fn run(command: &PolicyCommand) -> Outcome {
    match command {
        PolicyCommand::Check(options) => check::run(options),
        PolicyCommand::Diff(options) => diff::run(options),
        PolicyCommand::Schema => schema::run(),
        PolicyCommand::Explain(options) => explain::run(options),
        PolicyCommand::Test(options) => test::run(options),
    }
}
