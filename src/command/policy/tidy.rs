use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::PolicyTidy;
use crate::command::{Done, Failure, Outcome, analyze, note, print};
use crate::output::escape::terminal;
use crate::policy::Policy;
use crate::policy::tidy::{Ended, without};

pub(super) fn run(options: &PolicyTidy) -> Outcome {
    let Some(policy) = analyze::load_policy(&options.policy, true)? else { return Ok(Done::Clean) };
    let at = options.at.as_deref().map_or_else(|| Ok(policy.now()), |at| policy.instant(at))?;
    let ended = policy.ended(at);
    if ended.is_empty() {
        note("no just-in-time conduit has ended");
        return Ok(Done::Clean);
    }
    for (number, (name, text)) in policy.texts().enumerate() {
        let mine: Vec<&Ended> = ended.iter().filter(|ended| ended.place.0 == number).collect();
        for Ended { id, ticket, until, place, text } in &mine {
            let ticket = ticket.as_deref().map_or(String::new(), |ticket| format!(" ({ticket})"));
            let way = if text.is_some() { "" } else { "; it stands in a list: take it out by hand" };
            let line = format!("{name}:{}: {id}{ticket} ended {}{way}", place.1, policy.local_time(*until));
            print(&format!("{}\n", terminal(&line)))?;
        }
        if options.write {
            take_out(&policy, Path::new(name), text, &mine)?;
        }
    }
    if !options.write {
        note("nothing was changed: --write takes them out and keeps them in FILE.history");
    }
    Ok(Done::Clean)
}

/// Writes the file without them; what is taken out is kept beside it first.
fn take_out(policy: &Policy, file: &Path, text: &str, ended: &[&Ended]) -> Result<(), Failure> {
    let parts: Vec<_> = ended.iter().filter_map(|ended| ended.text.clone()).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let mixed = || Failure(format!("{}: they cannot be told from what stands around them", file.display()));
    let rest = without(text, ended).ok_or_else(mixed)?;
    let beside = |ending: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (history, new) = (beside(".history"), beside(".new"));
    let cannot = |path: &Path, error| Failure(format!("cannot write {}: {error}", path.display()));
    let mut kept = String::new();
    for (part, Ended { until, .. }) in parts.iter().zip(ended.iter().filter(|ended| ended.text.is_some())) {
        kept += &format!("# Ended {}, taken out of {}.\n", policy.local_time(*until), file.display());
        kept += text.get(part.clone()).unwrap_or_default().trim_end();
        kept += "\n\n";
    }
    let append = OpenOptions::new().create(true).append(true).open(&history);
    let written = append.and_then(|mut file| file.write_all(kept.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| cannot(&history, error))?;
    let kept_rights = fs::metadata(file).map(|about| about.permissions());
    let written = fs::write(&new, rest).and_then(|()| fs::set_permissions(&new, kept_rights?));
    written.and_then(|()| fs::rename(&new, file)).map_err(|error| cannot(file, error))?;
    note(&format!("took {} out of {}; kept in {}", parts.len(), file.display(), history.display()));
    Ok(())
}
