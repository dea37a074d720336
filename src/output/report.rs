//! The report on how well a network is segmented, for people who have to decide about it: one HTML file that opens
//! offline, prints, and says the same whenever it is made from the same analysis.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::escape::html as safe;
use super::html::{STYLE, table};
use super::view::{AnalysisView, ConduitView, FindingEndView, FindingView, FlowView};
use crate::policy::{Band, Reason, Verdict};

const PRINT: &str = include_str!("report.css");

/// Rows of a table; the rest is in the analysis.
const ROWS: usize = 500;
/// Frames of a TCP connection that is tried and not answered: a SYN and its repetitions.
const KNOCKS: u64 = 7;
/// Rows and columns of the matrix of zones.
const ZONES: usize = 60;

/// Reasons that are a crossing which no conduit declares.
const CROSSINGS: [&str; 6] = ["ZC001", "ZC013", "ZC015", "ZC018", "ZC021", "ZC023"];

/// Writes a part of the report.
type Part = fn(&mut String, &AnalysisView);

/// Parts, with the names that links lead to.
const PARTS: [(&str, Part); 12] = [
    ("Scope and coverage", scope),
    ("Declared model", model),
    ("Who asks whom", matrix),
    ("Verdicts", verdicts),
    ("Crossings without a conduit", crossings),
    ("Conduits", conduits),
    ("The boundary at work", boundary),
    ("Safety zones", safety),
    ("Other findings", others),
    ("Devices", assets),
    ("Evidence by requirement", requirements),
    ("Not assessed, and how this was made", annex),
];

/// The whole report.
#[must_use]
pub fn html(view: &AnalysisView) -> String {
    let site = view.policy.as_ref().map_or("no policy", |policy| &policy.site);
    let site = safe(site);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Segmentation report: {site}</title><style>{STYLE}{PRINT}</style></head><body>\
         <h1>Segmentation report: {site}</h1>"
    );
    head(&mut page, view);
    let links = PARTS.iter().enumerate().map(|(n, (name, _))| format!("<a href=\"#p{n}\">{n}. {name}</a> ", n = n + 1));
    let _ = write!(page, "<nav>{}</nav>", links.collect::<String>());
    for (n, (name, part)) in PARTS.iter().enumerate() {
        let _ = write!(page, "<h2 id=\"p{n}\">{n}. {name}</h2>", n = n + 1);
        part(&mut page, view);
    }
    page.push_str("</body></html>\n");
    page
}

fn say(page: &mut String, text: &str) {
    let _ = write!(page, "<p>{text}</p>");
}

/// The times of the first and the last frame.
fn window(view: &AnalysisView) -> (String, String) {
    let first = view.captures.iter().filter_map(|capture| capture.first.as_deref()).min();
    let last = view.captures.iter().filter_map(|capture| capture.last.as_deref()).max();
    (time(first.unwrap_or("never")), time(last.unwrap_or("never")))
}

/// A time to the second.
fn time(text: &str) -> String {
    safe(&text.get(..19).map_or(text.to_owned(), |text| text.replace('T', " ")))
}

fn share(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1000).checked_div(whole).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn head(page: &mut String, view: &AnalysisView) {
    let (first, last) = window(view);
    let open = |band: Band| {
        let of = |finding: &&FindingView| finding.severity.band == band.text() && finding.state == "open";
        view.findings.iter().filter(of).count()
    };
    say(
        page,
        &format!(
            "{first} to {last} UTC: {} frames, of which {} were decoded.",
            view.coverage.frames,
            share(view.coverage.decoded, view.coverage.frames)
        ),
    );
    let bands =
        Band::ALL.iter().rev().map(|band| format!("<span class=\"{0}\">{1} {0}</span>", band.text(), open(*band)));
    say(
        page,
        &format!(
            "Open findings: {}. Devices: {}. Conversations: {}.",
            bands.collect::<Vec<_>>().join(", "),
            view.assets.len(),
            view.flows.len()
        ),
    );
}

fn scope(page: &mut String, view: &AnalysisView) {
    let coverage = &view.coverage;
    // A sensor that was started and heard nothing says nothing.
    let captures: Vec<_> =
        view.captures.iter().filter(|capture| capture.frames > 0 || capture.damage.is_some()).collect();
    let rows = captures.iter().take(ROWS).map(|capture| {
        [
            safe(&capture.name),
            capture.format.to_owned(),
            time(capture.first.as_deref().unwrap_or("never")),
            time(capture.last.as_deref().unwrap_or("never")),
            capture.frames.to_string(),
            capture.bytes.to_string(),
            capture.damage.as_deref().map_or(String::new(), safe),
        ]
    });
    table(page, ["capture or interface", "format", "first frame", "last frame", "#frames", "#bytes", "damage"], rows);
    more(page, captures.len());
    // Knocking that nobody answers is no conversation.
    let talks = |flow: &&FlowView| flow.transport == "tcp" && flow.frames_to_client.max(flow.frames_to_server) > KNOCKS;
    let talking: Vec<&FlowView> = view.flows.iter().filter(talks).collect();
    let one_way = talking.iter().filter(|flow| flow.frames_to_client.min(flow.frames_to_server) == 0).count();
    let mut rows = vec![
        ["frames".to_owned(), coverage.frames.to_string(), String::new()],
        ["decoded".to_owned(), coverage.decoded.to_string(), share(coverage.decoded, coverage.frames)],
        [
            "copies made by mirrors".to_owned(),
            coverage.duplicates.to_string(),
            share(coverage.duplicates, coverage.frames),
        ],
        [
            "cut by the snap length".to_owned(),
            coverage.truncated.to_string(),
            share(coverage.truncated, coverage.frames),
        ],
        [
            "TCP conversations seen in one direction only".to_owned(),
            one_way.to_string(),
            share(one_way as u64, talking.len() as u64),
        ],
    ];
    rows.extend(coverage.not_decoded.iter().map(|(why, count)| {
        [format!("not decoded: {}", safe(why)), count.to_string(), share(*count, coverage.frames)]
    }));
    rows.extend(coverage.limits_hit.iter().map(|(limit, count)| {
        [format!("limit reached, not everything was kept: {}", safe(limit)), count.to_string(), String::new()]
    }));
    table(page, ["coverage", "#count", "#share"], rows);
    if one_way * 2 > talking.len() {
        say(
            page,
            "<b>Most conversations were seen in one direction only: the mirror port may copy only what is received or sent.</b>",
        );
    }
    let rows = coverage.protocols.iter().map(|(name, of)| {
        let counts = [of.pdus, of.bytes, of.skipped_bytes, of.anomalies, of.opaque].map(|count| count.to_string());
        let [pdus, bytes, skipped, anomalies, opaque] = counts;
        [safe(name), pdus, bytes, skipped, anomalies, opaque]
    });
    table(page, ["protocol", "#PDUs", "#bytes", "#bytes skipped", "#out of specification", "#not readable"], rows);
}

fn model(page: &mut String, view: &AnalysisView) {
    let Some(policy) = &view.policy else { return say(page, "No policy was given: nothing was judged.") };
    let files: Vec<_> = policy.files.iter().map(|file| safe(file)).collect();
    say(page, &format!("{} with SHA-256 <code>{}</code>", files.join(", "), safe(&policy.sha256)));
    let rows = view.zones.iter().take(ROWS).map(|zone| {
        [
            safe(&zone.id),
            zone.name.as_deref().map_or(String::new(), safe),
            zone.parent.as_deref().map_or(String::new(), safe),
            zone.level.map_or(String::new(), |level| level.to_string()),
            zone.kind.as_deref().map_or(String::new(), safe),
            if zone.safety { "yes".to_owned() } else { String::new() },
            zone.assets.len().to_string(),
        ]
    });
    table(page, ["zone", "name", "part of", "#level", "kind", "safety", "#devices seen"], rows);
    more(page, view.zones.len());
}

/// From the zone of the client to that of the server.
type Cell<'a> = (&'a str, &'a str);

fn cell(flow: &FlowView) -> Cell<'_> {
    (flow.client.zone.as_deref().unwrap_or("no zone"), flow.server.end.zone.as_deref().unwrap_or("no zone"))
}

fn matrix(page: &mut String, view: &AnalysisView) {
    let mut cells: BTreeMap<Cell<'_>, Vec<&FlowView>> = BTreeMap::new();
    view.flows.iter().for_each(|flow| cells.entry(cell(flow)).or_default().push(flow));
    let mut zones: BTreeSet<&str> = cells.keys().flat_map(|(from, to)| [*from, *to]).collect();
    zones.extend(view.zones.iter().map(|zone| zone.id.as_str()));
    say(
        page,
        "Conversations from the zone of the row to the zone of the column, with what was asked and the gravest verdict. A dot: not observed.",
    );
    page.push_str("<div class=\"wide\"><table><tr><th></th>");
    zones.iter().take(ZONES).for_each(|zone| page.push_str(&format!("<th class=\"n\">{}</th>", safe(zone))));
    page.push_str("</tr>");
    for from in zones.iter().take(ZONES) {
        let _ = write!(page, "<tr><th>{}</th>", safe(from));
        for to in zones.iter().take(ZONES) {
            let Some(flows) = cells.get(&(*from, *to)) else {
                page.push_str("<td class=\"n dim\">·</td>");
                continue;
            };
            let gravest = Verdict::ALL.iter().rev().map(|verdict| verdict.text());
            let gravest = gravest.into_iter().find(|verdict| flows.iter().any(|flow| flow.verdict == Some(verdict)));
            let classes: BTreeSet<&str> =
                flows.iter().flat_map(|flow| flow.operations.iter().map(|o| o.class)).collect();
            let classes = classes.into_iter().collect::<Vec<_>>().join(" ");
            let _ = write!(
                page,
                "<td class=\"n {}\">{}<br><small>{}</small></td>",
                gravest.unwrap_or_default(),
                flows.len(),
                safe(&classes)
            );
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
    more_than(page, zones.len(), ZONES);
}

fn verdicts(page: &mut String, view: &AnalysisView) {
    let rows = Verdict::ALL.iter().map(|verdict| {
        let flows: Vec<_> = view.flows.iter().filter(|flow| flow.verdict == Some(verdict.text())).collect();
        let asked: u64 = flows.iter().flat_map(|flow| &flow.operations).map(|operation| operation.requests).sum();
        [
            verdict.text().to_owned(),
            flows.len().to_string(),
            share(flows.len() as u64, view.flows.len() as u64),
            asked.to_string(),
        ]
    });
    table(page, ["gravest verdict", "#conversations", "#share", "#operations asked in them"], rows);
    let mut reasons: BTreeMap<(&str, &str), [usize; 2]> = BTreeMap::new();
    for finding in &view.findings {
        let [all, open] = reasons.entry((finding.reason.code, finding.reason.name)).or_default();
        *all += 1;
        *open += usize::from(finding.state == "open");
    }
    let rows =
        reasons.iter().map(|((code, name), [all, open])| [safe(code), safe(name), all.to_string(), open.to_string()]);
    table(page, ["reason", "name", "#findings", "#open"], rows);
}

/// The gravest first.
fn sorted(view: &AnalysisView, takes: impl Fn(&FindingView) -> bool) -> Vec<&FindingView> {
    let mut findings: Vec<&FindingView> = view.findings.iter().filter(|finding| takes(finding)).collect();
    findings.sort_by(|a, b| b.severity.score.cmp(&a.severity.score).then_with(|| a.id.cmp(&b.id)));
    findings
}

fn end(end: &FindingEndView) -> String {
    let name = [&end.name, &end.ip, &end.mac].into_iter().flatten().next().map_or("", String::as_str);
    let about = [end.role, end.zone.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    if about.is_empty() { safe(name) } else { format!("{} <small>{}</small>", safe(name), safe(&about)) }
}

/// Findings in full: each a row, and what to do folded below it.
fn in_full(page: &mut String, findings: &[&FindingView], nothing: &str) {
    if findings.is_empty() {
        return say(page, nothing);
    }
    let rows = findings.iter().take(ROWS).map(|finding| {
        let frames = finding.samples.iter().map(|sample| format!("{} {}", safe(&sample.evidence.capture), sample.evidence.frame));
        let steps: String = finding.do_next.iter().map(|step| format!("<li>{}</li>", safe(step))).collect();
        let terms: Vec<_> = finding.severity.terms.iter().map(|term| format!("{} {}", term.points, safe(&term.term))).collect();
        let stands = match &finding.acknowledged {
            Some(by) => format!("{}<br><small>{}: {}</small>", finding.state, safe(&by.by), safe(&by.note)),
            None => finding.state.to_owned(),
        };
        [
            format!("<span class=\"{}\">{}</span>", finding.severity.band, finding.severity.score),
            format!("{}<br><small>{}</small>", safe(finding.reason.name), safe(&finding.id)),
            end(&finding.src),
            end(&finding.dst),
            format!(
                "{}<details><summary>why, and what to do</summary><p>{}</p><ul>{steps}</ul><p><small>Severity: {}. Frames: {}.</small></p></details>",
                safe(&finding.what),
                safe(&finding.why),
                terms.join(", "),
                frames.collect::<Vec<_>>().join(", "),
            ),
            finding.count.to_string(),
            format!("{}<br>{}", time(&finding.time.first), time(&finding.time.last)),
            stands,
        ]
    });
    table(page, ["#score", "reason", "from", "to", "what", "#count", "first and last", "state"], rows);
    more(page, findings.len());
}

fn is_crossing(finding: &FindingView) -> bool {
    CROSSINGS.contains(&finding.reason.code) && finding.verdict != Verdict::Attempt.text()
}

fn crossings(page: &mut String, view: &AnalysisView) {
    in_full(page, &sorted(view, is_crossing), "None was observed.");
}

fn conduits(page: &mut String, view: &AnalysisView) {
    let state = |conduit: &ConduitView| {
        let objected: u64 = ["violation", "attempt"].iter().filter_map(|word| conduit.used.verdicts.get(word)).sum();
        match (conduit.used.last.is_some(), objected) {
            (false, 0) => "not used in this window".to_owned(),
            (false, _) => "<span class=\"bad\">used only for what it does not declare</span>".to_owned(),
            (true, 0) => "<span class=\"good\">used as declared</span>".to_owned(),
            (true, _) => "<span class=\"bad\">used, and more than declared</span>".to_owned(),
        }
    };
    let rows = view.conduits.iter().take(ROWS).map(|conduit| {
        let counts = conduit.used.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}"));
        let time = |at: &Option<String>| at.as_deref().map_or("never".to_owned(), time);
        [
            safe(&conduit.id),
            conduit.name.as_deref().map_or(String::new(), safe),
            format!("{} → {}", safe(&conduit.from.join(", ")), safe(&conduit.to.join(", "))),
            conduit.owner.as_deref().map_or(String::new(), safe),
            state(conduit),
            format!("{}<br>{}", time(&conduit.used.first), time(&conduit.used.last)),
            conduit.used.sessions.to_string(),
            conduit.used.operations.to_string(),
            counts.collect::<Vec<_>>().join(", "),
        ]
    });
    table(
        page,
        [
            "conduit",
            "name",
            "from and to",
            "owner",
            "state",
            "first and last use",
            "#sessions",
            "#operations",
            "verdicts",
        ],
        rows,
    );
    more(page, view.conduits.len());
    say(page, "A conduit that was not used here may be used at another time; zones that no tap sees show nothing.");
}

fn boundary(page: &mut String, view: &AnalysisView) {
    let attempts = sorted(view, |finding| finding.verdict == Verdict::Attempt.text());
    let outcome =
        |finding: &FindingView| finding.operation.as_ref().map_or((0, 0), |o| (o.outcome.answered, o.outcome.refused));
    let passed = view.findings.iter().filter(|f| f.verdict == Verdict::Violation.text() && outcome(f).0 > 0).count();
    let refused = view.findings.iter().filter(|f| outcome(f).0 == 0 && outcome(f).1 > 0).count();
    say(
        page,
        &format!(
            "{} kinds of attempts stayed without an answer; {refused} kinds of operations were refused by the device; {passed} kinds of undeclared operations were answered.",
            attempts.len()
        ),
    );
    in_full(page, &attempts, "No attempt was observed.");
}

fn safety(page: &mut String, view: &AnalysisView) {
    let zones: BTreeSet<&str> = view.zones.iter().filter(|zone| zone.safety).map(|zone| zone.id.as_str()).collect();
    if zones.is_empty() {
        return say(page, "No safety zone is declared.");
    }
    let inside = |zone: &str| zones.contains(zone);
    let flows: Vec<_> = view
        .flows
        .iter()
        .filter(|flow| {
            let (from, to) = cell(flow);
            from != to && (inside(from) || inside(to))
        })
        .collect();
    if flows.is_empty() {
        return say(page, "Nothing crossed the edge of a safety zone.");
    }
    let rows = flows.iter().take(ROWS).map(|flow| {
        let (from, to) = cell(flow);
        let end = |end: &super::view::FlowEndView| safe(end.ip.as_deref().or(end.mac.as_deref()).unwrap_or_default());
        let classes: BTreeSet<&str> = flow.operations.iter().map(|operation| operation.class).collect();
        [
            format!("{} <small>{}</small>", end(&flow.client), safe(from)),
            format!("{} <small>{}</small>", end(&flow.server.end), safe(to)),
            safe(flow.protocol.or(flow.service).unwrap_or(&flow.transport)),
            safe(&classes.into_iter().collect::<Vec<_>>().join(" ")),
            flow.verdict.unwrap_or_default().to_owned(),
            time(&flow.last_seen),
        ]
    });
    table(page, ["from", "to", "protocol", "asked", "verdict", "last"], rows);
    more(page, flows.len());
}

fn others(page: &mut String, view: &AnalysisView) {
    let skips = |word: &str| view.findings.iter().filter(|f| f.qualifiers.iter().any(|q| q == word)).count();
    say(
        page,
        &format!(
            "Findings that pass over a level: {}; that go around a DMZ: {}.",
            skips("level-skip"),
            skips("dmz-bypass")
        ),
    );
    let rest = sorted(view, |finding| !is_crossing(finding) && finding.verdict != Verdict::Attempt.text());
    in_full(page, &rest, "There are none.");
}

fn assets(page: &mut String, view: &AnalysisView) {
    let text = |text: &Option<String>| text.as_deref().map_or(String::new(), safe);
    let rows = view.assets.iter().take(ROWS).map(|asset| {
        let addresses = if asset.ips.is_empty() { &asset.macs } else { &asset.ips };
        let product = [&asset.product, &asset.model].into_iter().flatten().map(|text| safe(text)).collect::<Vec<_>>();
        let protocols: BTreeSet<&str> = asset.protocols.iter().map(|speaks| speaks.name).collect();
        [
            format!("{}<br><small>{}</small>", safe(&asset.name), safe(&asset.id)),
            safe(&addresses.join(" ")),
            text(&asset.zone),
            safe(asset.role.value.unwrap_or_default()),
            text(&asset.vendor),
            product.join(" "),
            text(&asset.firmware),
            text(&asset.serial),
            safe(&protocols.into_iter().collect::<Vec<_>>().join(" ")),
            match asset.approved {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => String::new(),
            },
            time(&asset.last_seen),
        ]
    });
    table(
        page,
        [
            "name",
            "addresses",
            "zone",
            "role",
            "vendor",
            "model",
            "firmware",
            "serial",
            "speaks",
            "approved",
            "last seen",
        ],
        rows,
    );
    more(page, view.assets.len());
}

fn requirements(page: &mut String, view: &AnalysisView) {
    let mut known: BTreeMap<_, (Option<&str>, BTreeSet<&str>, usize)> = BTreeMap::new();
    for finding in &view.findings {
        for of in &finding.requirements {
            let entry = known.entry((of.std, of.id.as_str(), of.edition)).or_default();
            entry.0 = of.evidence_class;
            entry.1.insert(finding.reason.name);
            entry.2 += 1;
        }
    }
    if known.is_empty() {
        return say(page, "No finding is evidence on a requirement.");
    }
    let rows = known.into_iter().map(|((std, id, edition), (class, reasons, count))| {
        let reasons = reasons.into_iter().collect::<Vec<_>>().join(", ");
        [safe(std), safe(id), safe(edition), class.map_or(String::new(), safe), safe(&reasons), count.to_string()]
    });
    table(page, ["standard", "requirement", "edition", "what passive evidence can say", "reasons", "#findings"], rows);
    say(page, "What was not observed is no evidence that it does not happen.");
}

fn annex(page: &mut String, view: &AnalysisView) {
    let touched: BTreeSet<&str> = view
        .flows
        .iter()
        .flat_map(|flow| {
            let (from, to) = cell(flow);
            [from, to]
        })
        .collect();
    let silent = view.zones.iter().filter(|zone| !touched.contains(zone.id.as_str())).map(|zone| safe(&zone.id));
    let silent: Vec<_> = silent.collect();
    let opaque: Vec<_> = view
        .coverage
        .protocols
        .iter()
        .filter(|(_, of)| of.opaque > 0)
        .map(|(name, of)| format!("{} ({})", safe(name), of.opaque))
        .collect();
    page.push_str("<ul>");
    let mut item = |text: &str| page.push_str(&format!("<li>{text}</li>"));
    item("What does not pass a tap or mirror port: serial lines, wireless links and cables inside a cell.");
    item("How hosts are configured, patched and who may log in; physical access; procedures.");
    if !silent.is_empty() {
        item(&format!("Zones without any traffic here: {}.", silent.join(", ")));
    }
    if !opaque.is_empty() {
        item(&format!("What is encrypted or not readable, in PDUs: {}.", opaque.join(", ")));
    }
    item("No test of the boundary is part of this report: only what happened by itself.");
    page.push_str("</ul>");
    let mapping = view.findings.first().map_or("", |finding| finding.mapping_version);
    let hashes = view.captures.iter().filter(|capture| !capture.sha256.is_empty());
    let hashes: String = hashes
        .map(|capture| format!("<li>{}: <code>{}</code></li>", safe(&capture.name), safe(&capture.sha256)))
        .collect();
    say(
        page,
        &format!(
            "Made by {} {} from passive observation; {} reasons are told apart; mapping tables {}. Severity is the sum of the terms that stand with each finding, from 0 to 100.",
            view.tool.name,
            view.tool.version,
            Reason::ALL.len(),
            safe(mapping)
        ),
    );
    if !hashes.is_empty() {
        let _ = write!(page, "<p>SHA-256 of the captures:</p><ul>{hashes}</ul>");
    }
}

fn more(page: &mut String, count: usize) {
    more_than(page, count, ROWS);
}

fn more_than(page: &mut String, count: usize, most: usize) {
    if count > most {
        let _ = write!(page, "<p class=\"dim\">{most} of {count}; the rest is in analysis.json.</p>");
    }
}
