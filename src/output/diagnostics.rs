//! What is wrong with a policy, for machines: JSON, and SARIF 2.1.0 (OASIS), which code review shows on the line.

use serde_json::{Value, json};

use super::VERSION;
use crate::policy::{Diagnostic, Diagnostics, Kind, Policy, Span};

/// The schema of SARIF, for validators.
const SARIF_SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

/// One object: what the policy declares (`null` when it cannot be used), and each diagnostic with its place.
#[must_use]
pub fn json(policy: Option<&Policy>, found: &Diagnostics) -> Value {
    let (errors, warnings) = found.count();
    let declares = |policy: &Policy| {
        let counts: serde_json::Map<_, _> =
            policy.declares().into_iter().map(|(what, count)| (plural(what), count.into())).collect();
        json!({ "site": policy.site, "sha256": policy.sha256, "files": policy.files().collect::<Vec<_>>(), "declares": counts })
    };
    json!({
        "policy": policy.map(declares),
        "errors": errors,
        "warnings": warnings,
        "diagnostics": found.list.iter().map(|diagnostic| entry(found, diagnostic)).collect::<Vec<_>>(),
    })
}

fn entry(found: &Diagnostics, diagnostic: &Diagnostic) -> Value {
    let region = |at: Span| {
        let (start, end) = (found.place(at), found.end(at));
        json!({
            "file": start.file, "line": start.line, "column": start.column,
            "end_line": end.line, "end_column": end.column,
        })
    };
    let mut entry = region(diagnostic.at);
    entry["severity"] = diagnostic.severity.text().into();
    entry["kind"] = diagnostic.kind.id().into();
    entry["message"] = diagnostic.message.as_str().into();
    entry["help"] = diagnostic.help.as_deref().or(some(&diagnostic.label)).into();
    entry["related"] = diagnostic.related.as_ref().map_or(Value::Null, |(at, why)| {
        let mut place = region(*at);
        place["message"] = why.as_str().into();
        place
    });
    entry
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A SARIF log with one run. Columns count characters, as an editor does.
#[must_use]
pub fn sarif(found: &Diagnostics) -> Value {
    let rules: Vec<Value> =
        Kind::ALL.iter().map(|kind| json!({ "id": kind.id(), "shortDescription": { "text": kind.says() } })).collect();
    let results: Vec<Value> = found.list.iter().map(|diagnostic| result(found, diagnostic)).collect();
    json!({
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "zonewatch",
                "version": VERSION,
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            // A log without errors is still a run that was done.
            "invocations": [{ "executionSuccessful": true }],
            "results": results,
        }],
    })
}

fn result(found: &Diagnostics, diagnostic: &Diagnostic) -> Value {
    let mut text = diagnostic.message.clone();
    for more in [some(&diagnostic.label), diagnostic.help.as_deref()].into_iter().flatten() {
        text = format!("{text}: {more}");
    }
    let mut result = json!({
        "ruleId": diagnostic.kind.id(),
        "ruleIndex": Kind::ALL.iter().position(|kind| *kind == diagnostic.kind),
        "level": diagnostic.severity.text(),
        "message": { "text": text },
        "locations": [location(found, diagnostic.at)],
    });
    if let Some((at, why)) = &diagnostic.related {
        let mut related = location(found, *at);
        related["message"] = json!({ "text": why });
        result["relatedLocations"] = json!([related]);
    }
    result
}

fn location(found: &Diagnostics, at: Span) -> Value {
    let (start, end) = (found.place(at), found.end(at));
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(start.file) },
        "region": {
            "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column,
        },
    } })
}

/// A path as a relative reference or file URI (RFC 3986): what is not unreserved or a slash is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(byte.into()),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// How many of what, as a sentence has it: `1 error`, `2 errors`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {}", if count == 1 { what.to_owned() } else { plural(what) })
}

fn plural(what: &str) -> String {
    what.strip_suffix('y').map_or_else(|| format!("{what}s"), |stem| format!("{stem}ies"))
}

/// The last line of a check: what was found, and whether the policy can be used.
#[must_use]
pub fn summary(found: &Diagnostics) -> String {
    let (errors, warnings) = found.count();
    let usable = if found.has_errors() { "the declaration cannot be used" } else { "the declaration can be used" };
    format!("{}, {}: {usable}", counted(errors, "error"), counted(warnings, "warning"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uris() {
        for (path, want) in [
            ("plant.toml", "plant.toml"),
            ("policy.d/cell a.toml", "policy.d/cell%20a.toml"),
            ("/etc/zonewatch/å.toml", "file:///etc/zonewatch/%C3%A5.toml"),
        ] {
            assert_eq!(uri(path), want);
        }
    }
}
