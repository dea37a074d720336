//! The first page in plain words: what each reader asks first, with a number and the part that shows it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::conduits::is_idle;
use super::findings::is_crossing;
use super::model::{end, in_force, overdue};
use super::scope::tapped;
use super::table::{Cell, Table};
use super::{Page, Report, zones};
use crate::output::view::FindingView;
use crate::time::Timestamp;

/// Classes that change what a controller does.
const CHANGES: [&str; 5] = ["program", "firmware", "mode", "config", "restart"];

/// Reasons that lie in the time: outside of a window, before or after a rule held.
const UNTIMELY: [&str; 2] = ["ZC006", "ZC007"];

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn glance(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    if view.policy.is_none() {
        return;
    }
    let now = end(report).unwrap_or_default();
    let recent = |text: &str| Timestamp::parse(text).is_some_and(|at| now.since(at) < DAY);
    let open = || view.findings.iter().filter(|finding| finding.state == "open");
    let count = |takes: &dyn Fn(&FindingView) -> bool| open().filter(|finding| takes(finding)).count();
    let safety: BTreeSet<&str> = view.zones.iter().filter(|zone| zone.safety).map(|zone| zone.id.as_str()).collect();
    let between = || view.flows.iter().filter(|flow| zones(flow).0 != zones(flow).1);
    let verdict = |word: &str| between().filter(|flow| flow.verdict == Some(word)).count();
    let class = |finding: &FindingView| finding.operation.as_ref().map_or("", |operation| operation.class);
    let touched: BTreeSet<&str> =
        open().flat_map(|finding| [&finding.src, &finding.dst]).filter_map(|end| end.asset.as_deref()).collect();
    let fresh = view.assets.iter().filter(|asset| asset.approved == Some(false) && recent(&asset.first_seen)).count();

    let mut rows: Vec<[Cell; 3]> = Vec::new();
    let mut row = |what: &str, number: usize, is_bad: bool, part: usize| {
        let number = number.to_string();
        let shown = if is_bad && number != "0" { Cell::class(&number, "bad") } else { number.into() };
        rows.push([what.into(), shown, Cell::shown(part.to_string(), format!("<a href=\"#p{part}\">{part}</a>"))]);
    };
    row("Conversations between zones", between().count(), false, 3);
    row("– allowed by a conduit", verdict("allow"), false, 6);
    row("– allowed by an exception", verdict("exception"), false, 7);
    row("– tried and not answered", verdict("attempt"), false, 8);
    row("– violations", verdict("violation"), true, 5);
    row("Open findings of what crosses zones with no conduit", count(&is_crossing), true, 5);
    if !safety.is_empty() {
        let crosses =
            |flow: &&crate::output::view::FlowView| safety.contains(zones(flow).0) || safety.contains(zones(flow).1);
        row("Conversations across the edge of a safety zone", between().filter(crosses).count(), false, 10);
    }
    row(
        "Controllers changed when nobody was to change them",
        count(&|finding| UNTIMELY.contains(&finding.reason.code) && CHANGES.contains(&class(finding))),
        true,
        13,
    );
    row("Continuous conduits that fell silent", count(&|finding| finding.reason.code == "DC005"), true, 13);
    row("Campaigns: one source, many destinations", count(&|finding| finding.kind == "campaign"), true, 8);
    row("Devices that open findings touch", touched.len(), false, 14);
    row("Open findings that happened in the last 24 hours", count(&|finding| recent(&finding.time.last)), false, 13);
    row("Devices first seen in the last 24 hours that nobody approved", fresh, true, 14);
    row("Conduits without use in this window", view.conduits.iter().filter(|it| is_idle(it)).count(), false, 6);
    if let Some(policy) = report.policy {
        let exceptions = || policy.rules.iter().filter(|rule| rule.exception);
        row("Exceptions in force", exceptions().filter(|rule| in_force(rule, now)).count(), false, 7);
        row(
            "Exceptions that have ended and are still declared",
            exceptions().filter(|it| overdue(it, now)).count(),
            true,
            7,
        );
        if policy.tap_places().next().is_some() {
            row("Zones that no tap sees", tapped(policy).1.len(), true, 1);
        }
    }
    page.table(Table::new("glance", ["at a glance", "#number", "#part"], rows));
}
