use std::io::Write as _;
use std::sync::Arc;

use crate::analysis::{self, Options};
use crate::cli::{PolicyReview, TableOrJson};
use crate::command::{Done, Outcome, analyze, for_people, print};
use crate::output::review::{render, view};
use crate::policy::decisions::{Decisions, draft};
use crate::policy::review::review;

pub(super) fn run(options: &PolicyReview) -> Outcome {
    let policy = analyze::load_policy(std::slice::from_ref(&options.policy), true)?;
    let mut captures = analyze::open(&options.captures)?;
    let settings = Options { policy: policy.clone(), ..Options::default() };
    let analysis = analysis::run(&mut captures, |captures, batch| captures.fill(batch), &settings);
    let watched = analysis.watched().ok_or("there is no packet in the captures, so nothing to review by")?;
    let Some(policy) = policy.as_ref().map(Arc::as_ref) else { return Ok(Done::Clean) };
    let decisions = match &options.decisions {
        Some(path) => {
            let name = path.display();
            let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
            Decisions::parse(&text, policy).map_err(|wrong| format!("{name}: {wrong}"))?
        }
        None => Decisions::default(),
    };
    let rows = review(policy, &watched, &decisions);
    if let Some(path) = &options.draft {
        let name = path.display();
        // Somebody may have signed what is there.
        let file = std::fs::File::create_new(path);
        file.and_then(|mut file| file.write_all(draft(policy, &watched, &rows).as_bytes()))
            .map_err(|error| format!("cannot write {name}: {error}"))?;
    }
    let review = view(policy, &watched, &rows, analysis.mixed_zones());
    match options.format.unwrap_or(if for_people() { TableOrJson::Table } else { TableOrJson::Json }) {
        TableOrJson::Table => print(&render(&review))?,
        TableOrJson::Json => print(&format!("{}\n", serde_json::to_string_pretty(&review)?))?,
    }
    Ok(Done::Clean)
}
