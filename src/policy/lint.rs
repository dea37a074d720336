//! What a good policy should not have: warnings, each with a way out.

use super::diagnostic::Diagnostic;
use super::model::Policy;

/// Looks over a policy that has been put together.
pub(super) fn lint(policy: &Policy, found: &mut Vec<Diagnostic>) {
    for rule in &policy.rules {
        if rule.owner.is_none() {
            found.push(Diagnostic::warning(rule.at, format!("{} has no owner", rule.id)).help("write owner = \"...\""));
        }
    }
}
