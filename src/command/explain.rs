use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Done, Failure, Outcome, analyze, columns, for_people, print};
use crate::analysis::{self, Options};
use crate::cli::Explain;
use crate::output::explain::explain;
use crate::output::text::fit;

pub(super) fn run(options: &Explain) -> Outcome {
    let analysis = match options.inputs.as_slice() {
        [saved] if saved.extension().is_some_and(|extension| extension == "json") => load(saved)?,
        captures => {
            let policy = analyze::load_policy(&options.policy, false)?;
            let mut captures = analyze::open(captures)?;
            let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &Options { policy, ..Options::default() });
            serde_json::to_value(analysis.view(&captures.summaries(), &[]))?
        }
    };
    let told = explain(&analysis, &options.subject)?;
    if for_people() {
        print(&fit(&told, columns()))?
    } else {
        print(&told)?
    }
    Ok(Done::Clean)
}

fn load(path: &Path) -> Result<Value, Failure> {
    let name = path.display();
    let text = fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let analysis: Value = serde_json::from_slice(&text).map_err(|error| format!("{name} is not JSON: {error}"))?;
    let schema = analysis["schema"].as_str().unwrap_or_default();
    if schema != crate::output::view::SCHEMA {
        return Err(Failure(format!(
            "{name} is no analysis of this version: its schema is \"{}\", not \"{}\"\n  hint: make one with zonewatch analyze --out",
            crate::output::escape::terminal(schema),
            crate::output::view::SCHEMA
        )));
    }
    Ok(analysis)
}
