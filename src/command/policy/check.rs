use crate::cli::PolicyCheck;
use crate::command::{Done, Outcome, analyze, print};

pub(super) fn run(options: &PolicyCheck) -> Outcome {
    if let Some(policy) = analyze::load_policy(&options.policy)? {
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
