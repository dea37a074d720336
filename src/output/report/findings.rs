//! Findings in full, by what they are about.

use super::table::{Cell, Table, moment};
use super::{Page, Report, safe};
use crate::output::view::{AnalysisView, FindingEndView, FindingView};
use crate::policy::Verdict;

/// Reasons that are a crossing which no conduit declares.
const CROSSINGS: [&str; 6] = ["ZC001", "ZC013", "ZC015", "ZC018", "ZC021", "ZC023"];

/// Reasons that lie in how the network is built: one segment for two zones, devices in two zones, a way around the
/// boundary, what is sent to all and heard elsewhere, and tunnels.
const STRUCTURE: [&str; 5] = ["ZC010", "ZC011", "ZC012", "ZC018", "ZC021"];

/// Qualifiers of conversations that pass over a level.
const LEVELS: [&str; 2] = ["level-skip", "dmz-bypass"];

pub(super) fn is_crossing(finding: &FindingView) -> bool {
    CROSSINGS.contains(&finding.reason.code) && finding.verdict != Verdict::Attempt.text()
}

fn is_attempt(finding: &FindingView) -> bool {
    finding.verdict == Verdict::Attempt.text()
}

fn is_structure(finding: &FindingView) -> bool {
    STRUCTURE.contains(&finding.reason.code)
}

fn skips(finding: &FindingView) -> Vec<&str> {
    LEVELS.into_iter().filter(|word| finding.qualifiers.iter().any(|it| it == word)).collect()
}

/// The gravest first.
fn sorted(view: &AnalysisView, takes: impl Fn(&FindingView) -> bool) -> Vec<&FindingView> {
    let mut findings: Vec<&FindingView> = view.findings.iter().filter(|finding| takes(finding)).collect();
    findings.sort_by(|a, b| b.severity.score.cmp(&a.severity.score).then_with(|| a.id.cmp(&b.id)));
    findings
}

/// Who it is, in few words.
fn name(end: &FindingEndView) -> &str {
    [&end.name, &end.ip, &end.mac].into_iter().flatten().next().map_or("", String::as_str)
}

fn end(end: &FindingEndView) -> Cell {
    let name = name(end);
    let about = [end.role, end.zone.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let shown = if about.is_empty() { safe(name) } else { format!("{} <small>{}</small>", safe(name), safe(&about)) };
    Cell::shown(name, shown)
}

/// What is asked of whom for this to end well: one of four acts.
fn act(finding: &FindingView) -> &'static str {
    match finding.reason.code {
        "ZC001" | "ZC013" | "ZC023" if finding.count > 1 => "declare or remove",
        "ZC015" | "ZC018" | "ZC021" => "remove",
        "ZC004" | "ZC005" | "ZC006" | "ZC009" => "narrow the use, or widen the conduit",
        _ => "ask the owner",
    }
}

/// Findings in full: each a row, and what to do folded below it.
fn table(name: &'static str, findings: &[&FindingView]) -> Table {
    let rows = findings.iter().map(|finding| {
        let frames: Vec<String> = finding
            .samples
            .iter()
            .map(|sample| format!("{} {}", sample.evidence.capture, sample.evidence.frame))
            .collect();
        let taps: Vec<&str> = finding.samples.iter().filter_map(|sample| sample.tap.as_deref()).collect();
        let steps: String = finding.do_next.iter().map(|step| format!("<li>{}</li>", safe(step))).collect();
        let terms: Vec<_> =
            finding.severity.terms.iter().map(|term| format!("{} {}", term.points, safe(&term.term))).collect();
        let state = match &finding.acknowledged {
            Some(by) => format!("{}<br><small>{}: {}</small>", finding.state, safe(&by.by), safe(&by.note)),
            None => finding.state.to_owned(),
        };
        let what = format!(
            "{}<details><summary>why, and what to do</summary><p>{}</p><ul>{steps}</ul><p><small>Severity: {}. Frames: {}.</small></p></details>",
            safe(&finding.what),
            safe(&finding.why),
            terms.join(", "),
            safe(&frames.join(", ")),
        );
        let reason = format!("{}<br><small>{}</small>", safe(finding.reason.name), safe(&finding.id));
        let span = [&finding.time.first, &finding.time.last].map(|time| moment(time));
        let score = format!("<span class=\"{}\">{}</span>", finding.severity.band, finding.severity.score);
        let class = finding.operation.as_ref().map(|operation| operation.class);
        let unique: std::collections::BTreeSet<&str> = taps.into_iter().collect();
        [
            Cell::shown(finding.severity.score.to_string(), score),
            Cell::shown(finding.reason.name, reason),
            end(&finding.src),
            end(&finding.dst),
            Cell::shown(finding.what.as_str(), what),
            finding.count.into(),
            Cell::shown(finding.time.first.as_str(), span.join("<br>")),
            act(finding).into(),
            Cell::shown(finding.state, state),
            finding.id.as_str().into(),
            finding.reason.code.into(),
            (&finding.src.zone).into(),
            (&finding.dst.zone).into(),
            finding.protocol.into(),
            class.into(),
            finding.conduit.as_ref().map(|conduit| conduit.id.as_str()).into(),
            finding.time.last.as_str().into(),
            unique.into_iter().collect::<Vec<_>>().join(" ").into(),
            frames.join(", ").into(),
        ]
    });
    let heads = [
        "#score",
        "reason",
        "from",
        "to",
        "what",
        "#count",
        "first and last",
        "suggested",
        "state",
        "-id",
        "-code",
        "-from zone",
        "-to zone",
        "-protocol",
        "-class",
        "-conduit",
        "-last",
        "-taps",
        "-frames",
    ];
    Table::new(name, heads, rows)
}

pub(super) fn crossings(page: &mut Page, report: &Report<'_>) {
    let findings = sorted(report.view, is_crossing);
    page.table_or(table("crossings", &findings), "None was observed.");
}

pub(super) fn boundary(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let attempts = sorted(view, is_attempt);
    let outcome =
        |finding: &FindingView| finding.operation.as_ref().map_or((0, 0), |o| (o.outcome.answered, o.outcome.refused));
    let is_violation = |finding: &&FindingView| finding.verdict == Verdict::Violation.text();
    let passed = view.findings.iter().filter(is_violation).filter(|finding| outcome(finding).0 > 0).count();
    let refused = view.findings.iter().filter(|it| outcome(it).0 == 0 && outcome(it).1 > 0).count();
    page.say(&format!(
        "{} kinds of attempts stayed without an answer; {refused} kinds of operations were refused by the device; {passed} kinds of undeclared operations were answered.",
        attempts.len()
    ));
    if let Some(policy) = report.policy {
        boundaries(page, view, policy);
    }
    page.table_or(table("attempts", &attempts), "No attempt was observed.");
}

/// Attempts and what passed, by boundary device.
fn boundaries(page: &mut Page, view: &AnalysisView, policy: &crate::policy::Policy) {
    let devices = policy.assets.iter().filter(|asset| !asset.boundary_of.is_empty());
    let rows = devices.map(|device| {
        let edges: Vec<&str> = device.boundary_of.iter().map(|zone| policy.zone(*zone).id.as_str()).collect();
        let at = |finding: &&FindingView| {
            let (from, to) = (finding.src.zone.as_deref(), finding.dst.zone.as_deref());
            from != to && [from, to].into_iter().flatten().any(|zone| edges.contains(&zone))
        };
        let here: Vec<&FindingView> = view.findings.iter().filter(at).collect();
        let attempts = here.iter().filter(|finding| is_attempt(finding)).count();
        let answered = |finding: &&&FindingView| {
            finding.verdict == Verdict::Violation.text()
                && finding.operation.as_ref().is_some_and(|operation| operation.outcome.answered > 0)
        };
        let past = here.iter().filter(|finding| finding.reason.code == "ZC010").count();
        [
            device.id.as_str().into(),
            edges.join(", ").into(),
            attempts.into(),
            here.iter().filter(answered).count().into(),
            past.into(),
        ]
    });
    let heads =
        ["boundary device", "edge of zones", "#attempts without an answer", "#violations answered", "#gone around it"];
    let table = Table::new("boundaries", heads, rows);
    match table.is_empty() {
        true => page.say("No boundary device is declared (boundary_of)."),
        false => page.table(table),
    }
}

pub(super) fn structure(page: &mut Page, report: &Report<'_>) {
    let findings = sorted(report.view, |finding| is_structure(finding) && !is_attempt(finding));
    page.say(
        "Two zones on one segment, devices in two zones, ways around the boundary, multicast that leaks, tunnels; and devices \
         that route where no boundary is declared.",
    );
    page.table_or(table("structure", &findings), "None was observed.");
    let declared = |address: &str| {
        let policy = report.policy?;
        policy.assets.iter().find(|asset| asset.ips.iter().any(|ip| ip.to_string() == address))
    };
    let routers = report.view.assets.iter().filter(|asset| matches!(asset.role.value, Some("router" | "firewall")));
    let undeclared = routers.filter(|asset| {
        report.policy.is_some()
            && !asset.ips.iter().any(|ip| declared(ip).is_some_and(|it| !it.boundary_of.is_empty()))
            && !report
                .policy
                .is_some_and(|policy| policy.assets.iter().any(|it| it.id == asset.id && !it.boundary_of.is_empty()))
    });
    let rows = undeclared.map(|asset| {
        [
            asset.name.as_str().into(),
            asset.ips.join(" ").into(),
            asset.macs.join(" ").into(),
            asset.role.value.into(),
            (&asset.zone).into(),
            Cell::time(&asset.first_seen),
        ]
    });
    let heads = ["device that routes", "addresses", "MACs", "role", "zone", "first seen"];
    let nothing = "No router or firewall was seen that is not declared as a boundary.";
    page.table_or(Table::new("routers", heads, rows), nothing);
}

pub(super) fn levels(page: &mut Page, report: &Report<'_>) {
    let findings = sorted(report.view, |finding| !skips(finding).is_empty());
    let count = |word: &str| findings.iter().filter(|finding| skips(finding).contains(&word)).count();
    page.say(&format!(
        "Findings that pass over a level: {}; that go around a DMZ: {}. They stand in full in the other parts.",
        count("level-skip"),
        count("dmz-bypass")
    ));
    let level = |end: &FindingEndView| end.level.map_or(String::new(), |level| level.to_string());
    let rows = findings.iter().map(|finding| {
        [
            skips(finding).join(", ").into(),
            end(&finding.src),
            level(&finding.src).into(),
            end(&finding.dst),
            level(&finding.dst).into(),
            finding.verdict.into(),
            finding.count.into(),
            finding.id.as_str().into(),
        ]
    });
    let heads = ["what", "from", "#its level", "to", "#level of it", "verdict", "#count", "finding"];
    page.table_or(Table::new("levels", heads, rows), "None was observed.");
}

pub(super) fn others(page: &mut Page, report: &Report<'_>) {
    let rest = sorted(report.view, |finding| !is_crossing(finding) && !is_structure(finding) && !is_attempt(finding));
    page.table_or(table("others", &rest), "There are none.");
}
