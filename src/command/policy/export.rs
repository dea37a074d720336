use std::fs;

use crate::cli::{ExportFormat, PolicyExport};
use crate::command::{Done, Failure, Outcome, analyze, note, print};
use crate::policy::{exchange, firewall};

pub(super) fn run(options: &PolicyExport) -> Outcome {
    let Some(policy) = analyze::load_policy(&options.policy, true)? else { return Ok(Done::Clean) };
    let text = match options.format {
        ExportFormat::Csv => {
            let folder = options.out.as_deref().ok_or("csv is several files\n  hint: say where with --out DIR")?;
            let name = |error| Failure(format!("cannot write to {}: {error}", folder.display()));
            fs::create_dir_all(folder).map_err(name)?;
            for sheet in exchange::export(&policy)? {
                fs::write(folder.join(&sheet.name), &sheet.text).map_err(name)?;
                note(&format!("wrote {}", folder.join(&sheet.name).display()));
            }
            return Ok(Done::Clean);
        }
        ExportFormat::Firewall => firewall::table(&policy, &firewall::proposal(&policy)),
        ExportFormat::Nftables => firewall::nftables(&policy, &firewall::proposal(&policy)),
    };
    match &options.out {
        Some(path) => fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?,
        None => print(&text)?,
    }
    Ok(Done::Clean)
}
