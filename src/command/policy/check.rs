use std::io::IsTerminal;

use crate::cli::{CheckFormat, PolicyCheck};
use crate::command::{Done, Failure, Outcome, print, tell};
use crate::output::diagnostics;
use crate::policy::{Diagnostics, Policy};

pub(super) fn run(options: &PolicyCheck) -> Outcome {
    let loaded = Policy::load(&options.policy);
    let (policy, found) = match &loaded {
        Ok(policy) => (Some(policy), &policy.warnings),
        Err(found) => (None, found),
    };
    match options.format {
        CheckFormat::Text => text(policy, found)?,
        CheckFormat::Json => print(&format!("{:#}\n", diagnostics::json(policy, found)))?,
        CheckFormat::Sarif => print(&format!("{:#}\n", diagnostics::sarif(found)))?,
    }
    Ok(if policy.is_some() { Done::Clean } else { Done::Unusable })
}

/// Errors and warnings on stderr; what a policy that can be used declares, on stdout.
fn text(policy: Option<&Policy>, found: &Diagnostics) -> Result<(), Failure> {
    tell(&found.render(std::io::stderr().is_terminal()));
    let summary = diagnostics::summary(found);
    match policy {
        None => tell(&format!("{summary}\n")),
        Some(policy) => {
            let declares: Vec<_> =
                policy.declares().into_iter().map(|(what, count)| diagnostics::counted(count, what)).collect();
            print(&format!(
                "{} ({}): {}\nsha256 {}\n{summary}\n",
                policy.site,
                policy.site_name,
                declares.join(", "),
                policy.sha256
            ))?;
        }
    }
    Ok(())
}
