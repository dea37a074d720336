//! What this report does not say, and how it was made.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::scope::{captures, tapped};
use super::table::Table;
use super::{Page, Report, safe, zones};
use crate::output::view::FlowView;
use crate::policy::Reason;

pub(super) fn annex(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let touched: BTreeSet<&str> = view.flows.iter().flat_map(|flow| <[&str; 2]>::from(zones(flow))).collect();
    let silent: Vec<&str> =
        view.zones.iter().map(|zone| zone.id.as_str()).filter(|zone| !touched.contains(zone)).collect();
    let opaque: Vec<_> = view.coverage.protocols.iter().filter(|(_, of)| of.opaque > 0).collect();
    let opaque: Vec<_> = opaque.into_iter().map(|(name, of)| format!("{} ({})", safe(name), of.opaque)).collect();
    let hidden = |flow: &&FlowView| flow.qualifiers.contains(&"operations-hidden");
    let hidden = view.flows.iter().filter(hidden).count();
    page.html.push_str("<ul>");
    let mut item = |text: &str| {
        let _ = write!(page.html, "<li>{text}</li>");
    };
    item("What does not pass a tap or mirror port: serial lines, wireless links and cables inside a cell.");
    item("How hosts are configured, patched and who may log in; physical access; procedures.");
    item("Island mode and failure of a boundary: nobody declared a drill or an outage.");
    if !silent.is_empty() {
        item(&format!("Zones without any traffic here: {}.", safe(&silent.join(", "))));
    }
    if let Some((_, unseen)) = report.policy.map(tapped).filter(|(_, unseen)| !unseen.is_empty()) {
        item(&format!("Zones that no tap sees: {}.", safe(&unseen.join(", "))));
    }
    if !opaque.is_empty() {
        item(&format!("What is encrypted or not readable, in PDUs: {}.", opaque.join(", ")));
    }
    if hidden > 0 {
        item(&format!("The operations of {hidden} conversations that are encrypted or not dissected."));
    }
    match report.plan {
        None => item("No test of the boundary is part of this report: only what happened by itself."),
        Some(_) => item("Of the test record, what was not seen at a tap."),
    }
    page.html.push_str("</ul>");
    let mapping = view.findings.first().map_or("", |finding| finding.mapping_version);
    page.say(&format!(
        "Made by {} {} from passive observation; {} reasons are told apart; mapping tables {}. Severity is the sum of the terms that stand with each finding, from 0 to 100. \
         Values that were written, names of users and payload are not part of it.",
        safe(view.tool.name),
        safe(view.tool.version),
        Reason::ALL.len(),
        safe(mapping)
    ));
    if let Some(policy) = report.policy {
        let changed = policy.weights.overridden.iter();
        let changed: Vec<String> = changed.map(|(name, value)| format!("{name} {value}")).collect();
        match changed.is_empty() {
            true => page.say("Weights of the severity are the built-in ones."),
            false => {
                page.say(&format!("Weights of the severity that the policy changes: {}.", safe(&changed.join(", "))))
            }
        }
    }
    let hashed = captures(view).filter(|capture| !capture.sha256.is_empty());
    let rows = hashed.map(|capture| [capture.name.as_str().into(), capture.sha256.as_str().into()]);
    page.table_or(Table::new("hashes", ["capture", "SHA-256"], rows), "No capture was hashed.");
    page.say(
        "To make it again: the same captures and the same declaration give the same bytes with <code>zonewatch report</code> of \
         the same version. <code>--tables DIR</code> writes each table as CSV and JSON.",
    );
}
