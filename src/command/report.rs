use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use super::origin::{Known, known};
use super::{Done, Failure, Outcome, note, print};
use crate::cli;
use crate::output::escape::terminal;
use crate::output::report::{Plan, Report, Table};

pub(super) fn run(options: &cli::Report) -> Outcome {
    let plan = options.test_plan.as_deref().map(plan).transpose()?;
    let Known { view, policy, sights, history } = known(&options.origin, &options.inputs, true)?;
    let report = Report {
        view: &view,
        policy: policy.as_deref(),
        sights: sights.as_ref(),
        history: history.as_ref(),
        plan: plan.as_ref(),
    };
    let page = report.page();
    match &options.out {
        None => print(&page.html)?,
        Some(path) => {
            let name = path.display();
            fs::write(path, page.html).map_err(|error| format!("cannot write {name}: {error}"))?;
            note(&format!("wrote {name}"));
        }
    }
    if let Some(folder) = &options.tables {
        sheets(folder, &page.tables)?;
        note(&format!("wrote {} tables to {}", page.tables.len(), folder.display()));
    }
    Ok(Done::Clean)
}

fn plan(path: &Path) -> Result<Plan, Failure> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    Plan::read(&text)
        .map_err(|why| Failure(format!("{name}: {}\n  hint: zonewatch report --help shows a plan", terminal(&why))))
}

/// Writes each table as CSV and JSON.
fn sheets(folder: &Path, tables: &[Table]) -> Result<(), Failure> {
    let wrong = |error| Failure(format!("cannot write to {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(wrong)?;
    for table in tables {
        let file = |ending: &str| File::create(folder.join(table.name).with_extension(ending)).map(BufWriter::new);
        file("csv").and_then(|to| table.csv(to)).map_err(wrong)?;
        file("json").and_then(|to| table.json(to)).map_err(wrong)?;
    }
    Ok(())
}
