use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analysis::{self, Options};
use crate::cli::PolicyDiff;
use crate::command::{Done, Failure, Outcome, analyze, print};
use crate::output::diagnostics::counted;
use crate::output::escape::terminal;
use crate::output::expect::flow_name;
use crate::policy::Policy;

pub(super) fn run(options: &PolicyDiff) -> Outcome {
    let (old, new) = (load(&options.old)?, load(&options.new)?);
    let changes = old.changes(&new);
    let mut text = String::new();
    for change in &changes {
        let _ = writeln!(text, "{}: {}", terminal(&change.subject), change.how);
        for line in &change.says {
            let _ = writeln!(text, "  {}", terminal(line));
        }
    }
    let _ = writeln!(
        text,
        "{}",
        if changes.is_empty() { "nothing changed".to_owned() } else { counted(changes.len(), "change") }
    );
    if !options.captures.is_empty() {
        let (before, after) = (flows(&old, &options.captures)?, flows(&new, &options.captures)?);
        let mut turned = 0;
        for (name, was) in &before {
            let Some(is) = after.get(name).filter(|is| is.0 != was.0) else { continue };
            turned += 1;
            let told = |(verdict, rule): &(&str, Option<String>)| match rule {
                Some(rule) => format!("{verdict} ({})", terminal(rule)),
                None => (*verdict).to_owned(),
            };
            let _ = writeln!(text, "{}: {} -> {}", terminal(name), told(was), told(is));
        }
        let _ = writeln!(text, "{} of {} judged otherwise", turned, counted(before.len(), "flow"));
    }
    print(&text)?;
    Ok(Done::Clean)
}

fn load(path: &Path) -> Result<Arc<Policy>, Failure> {
    Ok(analyze::load_policy(&[path.to_owned()], true)?.ok_or("diff needs two policies")?)
}

/// Flows with their verdict and what decided it.
type Judged = BTreeMap<String, (&'static str, Option<String>)>;

fn flows(policy: &Arc<Policy>, captures: &[PathBuf]) -> Result<Judged, Failure> {
    let mut captures = analyze::open(captures)?;
    let settings = Options { policy: Some(Arc::clone(policy)), ..Options::default() };
    let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &settings);
    let view = analysis.view(&captures.summaries(), &[]);
    let judged =
        view.flows.iter().map(|flow| (flow_name(flow), (flow.verdict.unwrap_or("not judged"), flow.rule.clone())));
    Ok(judged.collect())
}
