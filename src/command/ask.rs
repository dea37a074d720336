use std::io::{self, BufWriter, Write};

use super::analyze::format;
use super::{Done, Failure, Outcome, columns, origin, print, written};
use crate::cli::{Ask, Format};
use crate::output::list::{Item, check};
use crate::output::view::{AnalysisView, SCHEMA};
use crate::output::{lines, text};

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
    let mut view = origin::view(&options.origin, &[])?;
    of(&mut view).retain(|item| filters.iter().all(|(word, value)| item.matches(word, value)));
    let out = &mut BufWriter::new(io::stdout().lock());
    match format(options.format) {
        Format::Table => {
            let text = text::list(&view, I::LIST, columns());
            print(&text)?;
        }
        Format::Json => {
            let items = serde_json::to_string_pretty(of(&mut view))?;
            written(
                write!(out, "{{\n\"schema\": \"{SCHEMA}\",\n\"{}\": {items}\n}}\n", I::LIST).and_then(|()| out.flush()),
            )?;
        }
        Format::Ndjson => written(lines::all(out, I::KIND, of(&mut view)).and_then(|()| out.flush()))?,
        Format::Csv => written(out.write_all(&I::sheet(of(&mut view)).unwrap_or_default()).and_then(|()| out.flush()))?,
    }
    // The program ends here: to give everything back one by one would only delay that.
    std::mem::forget(view);
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
