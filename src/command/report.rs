use super::{Done, Outcome, note, origin, print};
use crate::cli::Report;
use crate::output::report;

pub(super) fn run(options: &Report) -> Outcome {
    let view = origin::view(&options.origin, &options.inputs)?;
    let text = report::html(&view);
    match &options.out {
        None => print(&text)?,
        Some(path) => {
            let name = path.display();
            std::fs::write(path, text).map_err(|error| format!("cannot write {name}: {error}"))?;
            note(&format!("wrote {name}"));
        }
    }
    Ok(Done::Clean)
}
