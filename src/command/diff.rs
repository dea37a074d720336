use std::path::Path;

use super::{Done, Failure, Outcome, columns, for_people, origin, print};
use crate::cli::{Diff, DiffFormat};
use crate::output::compare::Comparison;
use crate::output::text::fit;
use crate::output::view::AnalysisView;
use crate::time::Timestamp;

pub(super) fn run(options: &Diff) -> Outcome {
    let (before, since) = side(options, &options.before)?;
    let (after, until) = side(options, &options.after)?;
    let comparison = match (since, until) {
        (Some(since), Some(until)) if until < since => {
            return Err(Failure("B is before A\n  hint: name the earlier time first".to_owned()));
        }
        // Of one store nothing goes: what was not seen any more is told.
        (Some(since), Some(_)) => Comparison::since(&before, &after, since),
        _ => Comparison::new(&before, &after),
    };
    let table = options.format.map_or_else(for_people, |format| format == DiffFormat::Table);
    match table {
        true => print(&fit(&comparison.text(), columns()))?,
        false => print(&format!("{}\n", serde_json::to_string_pretty(&comparison)?))?,
    }
    Ok(Done::Clean)
}

/// One side: a file that is there, or a time.
fn side(options: &Diff, text: &str) -> Result<(AnalysisView, Option<Timestamp>), Failure> {
    let path = Path::new(text);
    if path.is_file() {
        let saved = path.extension().is_some_and(|extension| extension == "json");
        let view = if saved { origin::load(path) } else { origin::stored(&options.origin, Some(path), None) };
        return Ok((view?, None));
    }
    let at = origin::time(text)?;
    Ok((origin::stored(&options.origin, None, Some(at))?, Some(at)))
}
