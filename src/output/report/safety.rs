//! Zones that hold safety functions: who reached in or out, what was changed, and who was there to engineer.

use std::collections::BTreeSet;

use super::table::{Cell, Table};
use super::{Page, Report, service, zones};
use crate::output::view::{FlowEndView, FlowView, OperationView};

/// Classes that change a device or what it does; from `file-write` on they are engineering.
const CHANGES: [&str; 9] =
    ["write", "control", "file-write", "config", "admin", "restart", "mode", "program", "firmware"];

pub(super) fn safety(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let inside: BTreeSet<&str> = view.zones.iter().filter(|zone| zone.safety).map(|zone| zone.id.as_str()).collect();
    if inside.is_empty() {
        return page.say("No safety zone is declared.");
    }
    let touches = |flow: &&FlowView| inside.contains(zones(flow).0) || inside.contains(zones(flow).1);
    let crosses = |flow: &&FlowView| touches(flow) && zones(flow).0 != zones(flow).1;
    let rows = view.flows.iter().filter(crosses).map(|flow| {
        let classes: BTreeSet<&str> = flow.operations.iter().map(|operation| operation.class).collect();
        let [client, from, server, to] = ends(flow);
        [
            client,
            from,
            server,
            to,
            service(flow).into(),
            classes.into_iter().collect::<Vec<_>>().join(" ").into(),
            flow.verdict.into(),
            Cell::time(&flow.last_seen),
        ]
    });
    let heads = ["from", "zone", "to", "zone of it", "protocol", "asked", "verdict", "last"];
    page.say("What crossed the edge of a safety zone:");
    page.table_or(Table::new("safety-crossings", heads, rows), "Nothing crossed the edge of a safety zone.");

    let changes = |operation: &&OperationView| CHANGES.contains(&operation.class) && operation.requests > 0;
    let into = view.flows.iter().filter(|flow| inside.contains(zones(flow).1));
    let rows = into.flat_map(|flow| flow.operations.iter().filter(changes).map(move |operation| (flow, operation)));
    let rows = rows.map(|(flow, operation)| {
        let [client, _, server, to] = ends(flow);
        [
            client,
            server,
            to,
            operation.name.as_str().into(),
            operation.class.into(),
            operation.requests.into(),
            operation.answered.into(),
            operation.refused.into(),
            Cell::time(&operation.first),
            Cell::time(&operation.last),
        ]
    });
    let heads = ["by", "of", "zone", "operation", "class", "#asked", "#answered", "#refused", "first", "last"];
    page.say("What was asked there to be written, controlled or engineered, also from inside:");
    page.table_or(Table::new("safety-changes", heads, rows), "Nothing of the kind was seen.");
    page.say("The position of a key switch is not read from any protocol; changes of the operating mode stand above as mode.");
}

fn ends(flow: &FlowView) -> [Cell; 4] {
    let (from, to) = zones(flow);
    let name = |end: &FlowEndView| Cell::from(end.ip.as_deref().or(end.mac.as_deref()));
    [name(&flow.client), from.into(), name(&flow.server.end), to.into()]
}
