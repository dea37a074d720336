use std::io::{self, BufWriter, Write};

use super::analyze::format;
use super::{Done, Failure, Outcome, columns, origin, print, written};
use crate::cli::{Ask, Format};
use crate::output::lines;
use crate::output::list::{Item, check};
use crate::output::view::{AnalysisView, SCHEMA};

pub(super) fn assets(options: &Ask) -> Outcome {
    list(options, |view| &mut view.assets)
}

pub(super) fn flows(options: &Ask) -> Outcome {
    list(options, |view| &mut view.flows)
}

pub(super) fn findings(options: &Ask) -> Outcome {
    list(options, |view| &mut view.findings)
}

fn list<I: Item>(options: &Ask, of: fn(&mut AnalysisView) -> &mut Vec<I>) -> Outcome {
    let filters = options.filters.iter().map(|text| filter::<I>(text)).collect::<Result<Vec<_>, _>>()?;
    let items = origin::list(&options.origin, &filters, of)?;
    let out = &mut BufWriter::new(io::stdout().lock());
    let written_out = match format(options.format) {
        Format::Table => return print(&I::table(&items, columns())).map(|()| Done::Clean),
        Format::Json => {
            let list = serde_json::to_string_pretty(&items)?;
            writeln!(out, "{{\n\"schema\": \"{SCHEMA}\",\n\"{}\": {list}\n}}", I::LIST)
        }
        Format::Ndjson => lines::all(out, I::KIND, &items),
        Format::Csv => out.write_all(&I::sheet(&items).unwrap_or_default()),
    };
    written(written_out.and_then(|()| out.flush()))?;
    Ok(Done::Clean)
}

/// `zone=cell-b`, as the API has it.
fn filter<I: Item>(text: &str) -> Result<(&'static str, String), Failure> {
    let known = || format!("  hint: {} are asked for by {}", I::LIST, I::FILTERS.join(", "));
    let (word, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{} is no WORD=VALUE\n{}", crate::output::escape::terminal(text), known()))?;
    let word = I::FILTERS.iter().find(|filter| **filter == word);
    let word = word.ok_or_else(|| format!("{} is not known\n{}", crate::output::escape::terminal(text), known()))?;
    check(word, value)?;
    Ok((word, if *word == "q" { value.to_lowercase() } else { value.to_owned() }))
}
