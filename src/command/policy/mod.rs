//! The commands on policies, one file each.

use super::Outcome;
use crate::cli::PolicyCommand;

mod check;
mod diff;
mod explain;
mod export;
mod import;
mod review;
mod schema;
mod suggest;
mod test;
mod tidy;

pub(super) fn run(command: &PolicyCommand) -> Outcome {
    match command {
        PolicyCommand::Check(options) => check::run(options),
        PolicyCommand::Diff(options) => diff::run(options),
        PolicyCommand::Schema => schema::run(),
        PolicyCommand::Explain(options) => explain::run(options),
        PolicyCommand::Export(options) => export::run(options),
        PolicyCommand::Import(options) => import::run(options),
        PolicyCommand::Review(options) => review::run(options),
        PolicyCommand::Suggest(options) => suggest::run(options),
        PolicyCommand::Test(options) => test::run(options),
        PolicyCommand::Tidy(options) => tidy::run(options),
    }
}
