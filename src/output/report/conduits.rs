//! Conduits: whether they hold what is declared of them.

use std::collections::BTreeMap;

use super::model::end;
use super::table::{Cell, Table, moment};
use super::{Page, Report, safe};
use crate::output::view::{ConduitView, FindingView, FlowView};
use crate::policy::Rule;
use crate::time::Timestamp;

pub(super) fn conduits(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let mut flows: BTreeMap<&str, Vec<&FlowView>> = BTreeMap::new();
    for flow in &view.flows {
        flow.rule.iter().for_each(|rule| flows.entry(rule).or_default().push(flow));
    }
    let mut broken: BTreeMap<&str, Vec<&FindingView>> = BTreeMap::new();
    for finding in view.findings.iter().filter(|finding| finding.kind != "declaration") {
        finding.conduit.iter().for_each(|conduit| broken.entry(&conduit.id).or_default().push(finding));
    }
    let now = end(report);
    let rows = view.conduits.iter().map(|conduit| {
        let declared = report.policy.and_then(|policy| policy.rules.iter().find(|rule| rule.id == conduit.id));
        let flows = flows.get(&*conduit.id).map_or(&[][..], Vec::as_slice);
        let broken = broken.get(&*conduit.id).map_or(&[][..], Vec::as_slice);
        let used = &conduit.used;
        let verdicts = used.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}"));
        let span = [&used.first, &used.last].map(|at| at.as_deref().map_or("never".to_owned(), moment));
        let last_violation = broken.iter().map(|finding| finding.time.last.as_str()).max();
        let since = last_violation.and_then(Timestamp::parse).zip(now).map(|(last, now)| now.since(last));
        [
            conduit.id.as_str().into(),
            (&conduit.name).into(),
            Cell::shown(
                format!("{} -> {}", conduit.from.join(", "), conduit.to.join(", ")),
                format!("{} → {}", safe(&conduit.from.join(", ")), safe(&conduit.to.join(", "))),
            ),
            (&conduit.owner).into(),
            state(report, conduit, declared),
            Cell::shown(used.first.as_deref().unwrap_or_default(), span.join("<br>")),
            used.sessions.into(),
            used.operations.into(),
            verdicts.collect::<Vec<_>>().join(", ").into(),
            stages(broken).into(),
            since.map_or(String::new(), |since| (since.as_secs() / 86_400).to_string()).into(),
            hidden(flows).into(),
            boundary(declared, flows, broken),
            used.last.as_deref().into(),
            declared.and_then(|rule| rule.ticket.as_deref()).into(),
            last_violation.into(),
        ]
    });
    let heads = [
        "conduit",
        "name",
        "from and to",
        "owner",
        "state",
        "first and last use",
        "#sessions",
        "#operations",
        "verdicts",
        "violations by stage",
        "#days since the last",
        "not verifiable",
        "boundary",
        "-last use",
        "-ticket",
        "-last violation",
    ];
    page.table(Table::new("conduits", heads, rows));
    page.say("A conduit that was not used here may be used at another time; zones that no tap sees show nothing.");
}

fn state(report: &Report<'_>, conduit: &ConduitView, declared: Option<&Rule>) -> Cell {
    let objected: u64 = ["violation", "attempt"].iter().filter_map(|word| conduit.used.verdicts.get(word)).sum();
    let hidden = || report.policy.zip(declared).is_some_and(|(policy, rule)| !policy.is_observable(rule));
    match (conduit.used.last.is_some(), objected) {
        (false, 0) if hidden() => Cell::class("not observable: no tap sees its ends", "medium"),
        (false, 0) => "not used in this window".into(),
        (false, _) => Cell::class("used only for what it does not declare", "bad"),
        (true, 0) => Cell::class("used as declared", "good"),
        (true, _) => Cell::class("used, and more than declared", "bad"),
    }
}

/// Findings by the part of the rule that they break.
fn stages(broken: &[&FindingView]) -> String {
    let mut stages: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in broken {
        let stage = finding.conduit.as_ref().and_then(|conduit| conduit.stage).unwrap_or(finding.reason.name);
        *stages.entry(stage).or_default() += 1;
    }
    stages.into_iter().map(|(stage, count)| format!("{stage} {count}")).collect::<Vec<_>>().join(", ")
}

/// Conversations whose operations could not be read.
fn hidden(flows: &[&FlowView]) -> String {
    let hidden = flows.iter().filter(|flow| flow.qualifiers.contains(&"operations-hidden")).count();
    if hidden == 0 { String::new() } else { format!("{hidden} of {} conversations hide their operations", flows.len()) }
}

/// Whether what it allowed passed its boundary devices, as far as frames can tell.
fn boundary(declared: Option<&Rule>, flows: &[&FlowView], broken: &[&FindingView]) -> Cell {
    let past = broken.iter().filter(|finding| finding.reason.code == "ZC010").count();
    let unchecked = flows.iter().any(|flow| flow.qualifiers.contains(&"boundary-not-checkable"));
    match declared {
        _ if past > 0 => Cell::class("gone around", "bad"),
        Some(rule) if !rule.has_boundary() || flows.is_empty() => "".into(),
        _ if unchecked => "not possible to tell".into(),
        Some(_) => Cell::class("no sign of a bypass", "good"),
        None => "".into(),
    }
}
