//! Who asks whom, zone by zone, and what the policy says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::table::{Cell, Table};
use super::{Page, Report, safe, share, zones};
use crate::output::view::{FindingView, FlowView};
use crate::policy::{Reason, Verdict};

/// Rows and columns of the matrix that is shown.
const ZONES: usize = 60;

/// Conversations from one zone to another.
type Cells<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a FlowView>>;

/// The gravest verdict of some conversations.
fn gravest(flows: &[&FlowView]) -> Option<&'static str> {
    let words = Verdict::ALL.iter().rev().map(|verdict| verdict.text());
    words.into_iter().find(|verdict| flows.iter().any(|flow| flow.verdict == Some(verdict)))
}

/// Operations asked, by class.
fn asked(flows: &[&FlowView]) -> BTreeMap<&'static str, u64> {
    let mut classes = BTreeMap::new();
    for operation in flows.iter().flat_map(|flow| &flow.operations) {
        *classes.entry(operation.class).or_default() += operation.requests;
    }
    classes
}

pub(super) fn matrix(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let mut cells = Cells::new();
    view.flows.iter().for_each(|flow| cells.entry(zones(flow)).or_default().push(flow));
    let mut names: BTreeSet<&str> = cells.keys().flat_map(|(from, to)| [*from, *to]).collect();
    names.extend(view.zones.iter().map(|zone| zone.id.as_str()));
    // Silence where no tap listens says nothing.
    let unseen: BTreeSet<&str> = names
        .iter()
        .copied()
        .filter(|zone| {
            let tapped = || {
                let policy = report.policy?;
                let id = policy.zone_named(zone)?;
                policy.is_tapped(id).filter(|_| policy.zone(id).at.is_some())
            };
            tapped() == Some(false)
        })
        .collect();
    page.say(
        "Conversations from the zone of the row to the zone of the column, with what was asked and the gravest verdict. A dot: \
         not observed. Hatched: not observed, and no tap sees either zone.",
    );
    let html = &mut page.html;
    html.push_str("<div class=\"wide\"><table class=\"matrix\"><tr><th></th>");
    names.iter().take(ZONES).for_each(|zone| html.push_str(&format!("<th class=\"n\">{}</th>", safe(zone))));
    html.push_str("</tr>");
    for from in names.iter().take(ZONES) {
        let _ = write!(html, "<tr><th>{}</th>", safe(from));
        for to in names.iter().take(ZONES) {
            let Some(flows) = cells.get(&(*from, *to)) else {
                let dark = unseen.contains(from) && unseen.contains(to);
                html.push_str(if dark { "<td class=\"n unseen\"></td>" } else { "<td class=\"n dim\">·</td>" });
                continue;
            };
            let classes: Vec<&str> = asked(flows).into_keys().collect();
            let _ = write!(
                html,
                "<td class=\"n {}\">{}<br><small>{}</small></td>",
                gravest(flows).unwrap_or_default(),
                flows.len(),
                safe(&classes.join(" "))
            );
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
    if names.len() > ZONES {
        page.say(&format!("{ZONES} of {} zones; all pairs stand in matrix.csv (--tables).", names.len()));
    }
    let rows = cells.iter().map(|((from, to), flows)| {
        let operations = asked(flows).into_iter().map(|(class, count)| format!("{class} {count}"));
        let verdicts = Verdict::ALL.iter().filter_map(|verdict| {
            let count = flows.iter().filter(|flow| flow.verdict == Some(verdict.text())).count();
            (count > 0).then(|| format!("{} {count}", verdict.text()))
        });
        [
            (*from).into(),
            (*to).into(),
            flows.len().into(),
            operations.collect::<Vec<_>>().join(", ").into(),
            gravest(flows).into(),
            verdicts.collect::<Vec<_>>().join(", ").into(),
        ]
    });
    let heads = ["from zone", "to zone", "#conversations", "operations", "gravest verdict", "verdicts"];
    page.tables.push(Table::new("matrix", heads, rows));
}

pub(super) fn verdicts(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let rows = Verdict::ALL.iter().map(|verdict| {
        let flows: Vec<_> = view.flows.iter().filter(|flow| flow.verdict == Some(verdict.text())).collect();
        let by_class = asked(&flows);
        let classes = by_class.iter().map(|(class, count)| format!("{class} {count}")).collect::<Vec<_>>().join(", ");
        [
            verdict.text().into(),
            flows.len().into(),
            share(flows.len() as u64, view.flows.len() as u64).into(),
            by_class.values().sum::<u64>().into(),
            classes.into(),
        ]
    });
    let heads = ["gravest verdict", "#conversations", "#share", "#operations asked in them", "by class"];
    page.table(Table::new("verdicts", heads, rows));
    let mut reasons: BTreeMap<(&str, &str), Vec<&FindingView>> = BTreeMap::new();
    for finding in &view.findings {
        reasons.entry((finding.reason.code, finding.reason.name)).or_default().push(finding);
    }
    let rows = reasons.iter().map(|((code, name), of)| {
        let open = of.iter().filter(|finding| finding.state == "open").count();
        let conduits: BTreeSet<&str> = of.iter().filter_map(|it| Some(it.conduit.as_ref()?.id.as_str())).collect();
        let says = Reason::parse(code).map(Reason::says).unwrap_or_default();
        [
            (*code).into(),
            (*name).into(),
            Cell::from(says),
            of.len().into(),
            open.into(),
            conduits.into_iter().collect::<Vec<_>>().join(", ").into(),
        ]
    });
    page.table(Table::new("reasons", ["reason", "name", "what it means", "#findings", "#open", "conduits"], rows));
}
