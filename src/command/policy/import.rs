use std::fs;

use crate::cli::PolicyImport;
use crate::command::{Done, Failure, Outcome, note, print};
use crate::output::escape::terminal;
use crate::policy::exchange::{Sheet, import};

pub(super) fn run(options: &PolicyImport) -> Outcome {
    let folder = options.csv.display();
    let mut sheets = Vec::new();
    let entries = fs::read_dir(&options.csv).map_err(|error| format!("cannot read {folder}: {error}"))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|end| end == "csv") {
            let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            sheets.push(Sheet { name, text });
        }
    }
    // The order of a folder is not one.
    sheets.sort_by(|a, b| a.name.cmp(&b.name));
    if sheets.is_empty() {
        return Err(Failure(format!("there is no *.csv in {folder}")));
    }
    match import(&sheets) {
        Ok((text, odd)) => {
            odd.iter().for_each(|cell| note(&terminal(&cell.to_string())));
            match &options.out {
                Some(path) => {
                    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?
                }
                None => print(&text)?,
            }
            Ok(Done::Clean)
        }
        Err(bad) => {
            let lines: Vec<String> = bad.iter().map(|cell| terminal(&cell.to_string()).into_owned()).collect();
            Err(Failure(format!("the tables are no policy\n{}", lines.join("\n"))))
        }
    }
}
