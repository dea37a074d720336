//! The commands on policies: one file each.

mod export;
mod import;
mod review;
mod suggest;

use super::{Done, Outcome, analyze, print};
use crate::cli::{PolicyCheck, PolicyCommand};

pub(super) fn run(command: &PolicyCommand) -> Outcome {
    match command {
        PolicyCommand::Check(options) => check(options),
        PolicyCommand::Export(options) => export::run(options),
        PolicyCommand::Import(options) => import::run(options),
        PolicyCommand::Review(options) => review::run(options),
        PolicyCommand::Suggest(options) => suggest::run(options),
    }
}

fn check(options: &PolicyCheck) -> Outcome {
    if let Some(policy) = analyze::load_policy(&options.policy, false)? {
        print(&format!(
            "{}: {} zones, {} assets, {} conduits and exceptions, sha256 {}\n",
            policy.site,
            policy.zones.len().saturating_sub(2), // External and unknown are not declared.
            policy.assets.len(),
            policy.rules.len(),
            policy.sha256
        ))?;
    }
    Ok(Done::Clean)
}
