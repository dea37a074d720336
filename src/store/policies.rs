//! Policies that were in force: whoever reads the store judges by them, without the files.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::policy::Policy;
use crate::time::Timestamp;

/// Policies kept: the newest, so that a policy that is edited every day does not fill the store.
const MOST: i64 = 64;

/// Notes which policy is in force; nothing when it is the one that was.
pub(super) fn write(into: &Transaction<'_>, policy: Option<&Policy>, at: Timestamp) -> rusqlite::Result<()> {
    let sha256 = policy.map_or("", |policy| &policy.sha256);
    if last(into)?.map_or("".to_owned(), |(sha256, _)| sha256) == sha256 {
        return Ok(());
    }
    let files: Vec<_> = policy.into_iter().flat_map(Policy::texts).collect();
    // Rows are made here and nowhere else, of types that have a JSON form.
    let files = serde_json::to_string(&files).unwrap_or_default();
    into.execute("INSERT OR REPLACE INTO policy VALUES (?, ?, ?)", params![sha256, at.nanos(), files])?;
    let newest = "DELETE FROM policy WHERE sha256 NOT IN (SELECT sha256 FROM policy ORDER BY rowid DESC LIMIT ?)";
    into.execute(newest, [MOST])?;
    Ok(())
}

/// Hash and files of the policy that was in force last.
pub(super) fn last(from: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    let last = "SELECT sha256, files FROM policy ORDER BY rowid DESC LIMIT 1";
    let row = from.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(row.filter(|(sha256, _): &(String, String)| !sha256.is_empty()))
}

/// The policy of these files, or what is wrong with them.
pub(super) fn load(files: &str) -> Result<Policy, String> {
    let files: Vec<(String, String)> = serde_json::from_str(files).map_err(|error| error.to_string())?;
    Policy::of_texts(files.iter().map(|(name, text)| (name.as_str(), text.as_str()))).map_err(|diagnostics| {
        format!("the policy in it cannot be used any more:\n{}", diagnostics.render(false).trim_end())
    })
}
