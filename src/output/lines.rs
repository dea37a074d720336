//! ndjson: one object a line, which says what it is by `"type"`.

use std::io::{self, Write};

use serde::Serialize;

/// Writes one line for each item.
///
/// # Errors
/// The output cannot be written.
pub fn all(out: &mut impl Write, kind: &'static str, items: impl IntoIterator<Item: Serialize>) -> io::Result<()> {
    items.into_iter().try_for_each(|item| one(out, kind, &item))
}

/// Writes one line.
///
/// # Errors
/// The output cannot be written.
pub fn one<T: Serialize>(out: &mut impl Write, kind: &'static str, item: &T) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        item: &'a T,
    }
    serde_json::to_writer(&mut *out, &Line { kind, item })?;
    out.write_all(b"\n")
}

/// Something as JSON in one line, to be kept as it is.
#[must_use]
pub fn json(item: &impl serde::Serialize) -> String {
    // Views have no maps with keys that are no text, which is all that could fail.
    serde_json::to_string(item).unwrap_or_default()
}
