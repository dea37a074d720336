use super::{Done, Outcome, columns, for_people, origin, print};
use crate::cli::Explain;
use crate::output::explain::explain;
use crate::output::text::fit;

pub(super) fn run(options: &Explain) -> Outcome {
    let analysis = serde_json::to_value(origin::view(&options.origin, &options.inputs)?)?;
    let told = explain(&analysis, &options.subject)?;
    if for_people() {
        print(&fit(&told, columns()))?
    } else {
        print(&told)?
    }
    Ok(Done::Clean)
}
