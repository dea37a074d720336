//! The analysis for people: a table on a terminal that reads well in 80 columns.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};

use super::escape::terminal as safe;
use super::view::{AnalysisView, AssetView, FindingView, FlowView, OperationView};

/// Rows of a table before the rest is counted only; json has them all.
const ROWS: usize = 60;

/// The whole analysis as text with ANSI styles, for a terminal of that many columns. Whoever prints it strips the
/// styles where they are not wanted.
#[must_use]
pub fn render(analysis: &AnalysisView, columns: u16) -> String {
    let mut out = String::new();
    summary(&mut out, analysis);
    findings(&mut out, analysis, columns);
    assets(&mut out, analysis, columns);
    flows(&mut out, analysis, columns);
    closing(&mut out, analysis);
    out
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{BOLD}{text}{BOLD:#}");
}

fn summary(out: &mut String, analysis: &AnalysisView) {
    let coverage = &analysis.coverage;
    for capture in &analysis.captures {
        let span = match (&capture.first, &capture.last) {
            (Some(first), Some(last)) => format!(", {} to {}", short_time(first), short_time(last)),
            _ => String::new(),
        };
        let _ = writeln!(out, "{}: {} frames{span}", safe(&capture.name), thousands(capture.frames));
        if let Some(damage) = &capture.damage {
            let _ = writeln!(out, "  damaged: {}", safe(damage));
        }
    }
    let not_decoded: u64 = coverage.not_decoded.values().sum();
    let mut notes = vec![format!("{} of {} frames decoded", thousands(coverage.decoded), thousands(coverage.frames))];
    for (count, what) in [(coverage.duplicates, "mirror copies"), (coverage.truncated, "cut by the snap length")] {
        if count > 0 {
            notes.push(format!("{} {what}", thousands(count)));
        }
    }
    if not_decoded > 0 {
        let why: Vec<_> = coverage.not_decoded.iter().map(|(why, n)| format!("{why} {n}")).collect();
        notes.push(format!("not decoded: {}", why.join(", ")));
    }
    let _ = writeln!(out, "{}.", notes.join(", "));
    for (name, protocol) in &coverage.protocols {
        let mut notes = vec![format!("{} PDUs", thousands(protocol.pdus))];
        for (count, what) in [
            (protocol.anomalies, "out of specification"),
            (protocol.opaque, "opaque"),
            (protocol.skipped_bytes, "bytes skipped"),
        ] {
            if count > 0 {
                notes.push(format!("{} {what}", thousands(count)));
            }
        }
        let _ = writeln!(out, "  {name}: {}", notes.join(", "));
    }
    if !coverage.limits_hit.is_empty() {
        let hit: Vec<_> = coverage.limits_hit.iter().map(|(limit, n)| format!("{limit} {n}")).collect();
        let _ = writeln!(out, "{BOLD}Limits reached:{BOLD:#} {}. Not everything was kept.", hit.join(", "));
    }
}

fn findings(out: &mut String, analysis: &AnalysisView, columns: u16) {
    if analysis.policy.is_none() && analysis.findings.is_empty() {
        return;
    }
    if analysis.findings.is_empty() {
        heading(out, "Findings: none");
        return;
    }
    heading(out, &format!("Findings ({})", analysis.findings.len()));
    let mut sorted: Vec<&FindingView> = analysis.findings.iter().collect();
    sorted.sort_by(|a, b| b.severity.score.cmp(&a.severity.score).then_with(|| a.id.cmp(&b.id)));
    for finding in sorted.iter().take(ROWS) {
        let style = band_style(finding.severity.band);
        let _ = writeln!(
            out,
            "{style}{:>3} {:<8}{style:#} {} {} {DIM}{}{DIM:#}",
            finding.severity.score, finding.severity.band, finding.reason.code, finding.reason.name, finding.id
        );
        for line in wrap(&safe(&finding.what), usize::from(columns).saturating_sub(6)) {
            let _ = writeln!(out, "    {line}");
        }
    }
    more(out, sorted.len());
}

fn assets(out: &mut String, analysis: &AnalysisView, columns: u16) {
    heading(out, &format!("Assets ({})", analysis.assets.len()));
    let with_zone = analysis.policy.is_some();
    let mut header = vec!["Address", "What it is", "Role", "Speaks"];
    if with_zone {
        header.insert(3, "Zone");
    }
    let mut table = plain(columns, &header);
    for asset in analysis.assets.iter().take(ROWS) {
        let mut row = vec![addresses(asset), what(asset), role(asset), speaks(asset)];
        if with_zone {
            row.insert(3, asset.zone.clone().unwrap_or_default());
        }
        table.add_row(row);
        for component in &asset.components {
            let identity = join(&[&component.vendor, &component.product, &component.model, &component.firmware]);
            let mut row = vec![
                format!("  └ {}", safe(&component.id)),
                safe(&identity).into_owned(),
                component.role.unwrap_or("").to_owned(),
                String::new(),
            ];
            if with_zone {
                row.insert(3, String::new());
            }
            if !identity.is_empty() {
                table.add_row(row);
            }
        }
    }
    let _ = writeln!(out, "{table}");
    more(out, analysis.assets.len());
}

fn flows(out: &mut String, analysis: &AnalysisView, columns: u16) {
    heading(out, &format!("Flows ({})", analysis.flows.len()));
    let with_verdict = analysis.policy.is_some();
    let mut header = vec!["Client", "Server", "Protocol", "Operations"];
    if with_verdict {
        header.push("Verdict");
    }
    let mut table = plain(columns, &header);
    // What was understood first, then what moved most.
    let mut sorted: Vec<&FlowView> = analysis.flows.iter().collect();
    let weight = |flow: &FlowView| flow.frames_to_server + flow.frames_to_client;
    sorted.sort_by(|a, b| {
        let key = |f: &FlowView| (verdict_rank(f.verdict), f.protocol.is_none(), std::cmp::Reverse(weight(f)));
        key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
    });
    for flow in sorted.iter().take(ROWS) {
        let end = |ip: &Option<String>, mac: &Option<String>| ip.clone().or_else(|| mac.clone()).unwrap_or_default();
        let mut row = vec![
            end(&flow.client.ip, &flow.client.mac),
            end(&flow.server.end.ip, &flow.server.end.mac),
            service(flow),
            operations(flow),
        ];
        if with_verdict {
            let rule = flow.rule.as_ref().map_or(String::new(), |rule| format!(" {rule}"));
            row.push(format!("{}{rule}", flow.verdict.unwrap_or("")));
        }
        table.add_row(row);
    }
    let _ = writeln!(out, "{table}");
    more(out, sorted.len());
}

fn closing(out: &mut String, analysis: &AnalysisView) {
    if analysis.policy.is_none() {
        let _ = writeln!(
            out,
            "\n{DIM}No policy: nothing was judged. Declare zones and conduits with --policy FILE.{DIM:#}"
        );
    }
}

fn plain(columns: u16, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    table.set_header(header.iter().map(|h| h.to_uppercase()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn addresses(asset: &AssetView) -> String {
    let all = if asset.ips.is_empty() { &asset.macs } else { &asset.ips };
    match all.as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}\n{second}\n{third}\n+{} more", rest.len())
        }
        all => all.join("\n"),
    }
}

fn what(asset: &AssetView) -> String {
    let vendor = asset.vendor.as_ref().or(asset.mac_vendor.as_ref());
    let own_name = !asset.ips.contains(&asset.name) && !asset.macs.contains(&asset.name);
    let identity = join(&[&vendor.cloned(), &asset.product, &asset.model, &asset.firmware]);
    let text = match (own_name, identity.is_empty()) {
        (true, false) => format!("{}: {identity}", asset.name),
        (true, true) => asset.name.clone(),
        (false, _) => identity,
    };
    safe(&text).into_owned()
}

/// Joins what is known, leaving out what repeats.
fn join(parts: &[&Option<String>]) -> String {
    let mut text = String::new();
    for part in parts.iter().filter_map(|part| part.as_deref()) {
        if !text.contains(part) {
            let _ = write!(text, "{}{part}", if text.is_empty() { "" } else { " " });
        }
    }
    text
}

fn role(asset: &AssetView) -> String {
    match (asset.role.value, asset.role.candidates.first()) {
        (Some(role), _) => role.to_owned(),
        (None, Some(candidate)) => format!("{}?", candidate.value),
        (None, None) => String::new(),
    }
}

fn speaks(asset: &AssetView) -> String {
    let side = |side: &str, label: &str| {
        let mut names: Vec<_> = asset.protocols.iter().filter(|p| p.side == side).map(|p| p.name).collect();
        names.dedup();
        (!names.is_empty()).then(|| format!("{label} {}", names.join(" ")))
    };
    [side("server", "serves"), side("client", "asks")].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn service(flow: &FlowView) -> String {
    match (flow.protocol, flow.service, flow.server.port) {
        (Some(protocol), _, Some(port)) => format!("{protocol} {}/{port}", flow.transport),
        (Some(protocol), _, None) => protocol.to_owned(),
        (None, Some(service), Some(port)) => format!("{}/{port} ({service})", flow.transport),
        (None, None, Some(port)) => format!("{}/{port}", flow.transport),
        (None, _, None) => flow.transport.clone(),
    }
}

/// Classes with their number of requests, or the number of frames where nothing was decoded.
fn operations(flow: &FlowView) -> String {
    if flow.operations.is_empty() {
        return format!("{} frames", thousands(flow.frames_to_server + flow.frames_to_client));
    }
    let mut classes: Vec<(&str, u64, u64)> = Vec::new();
    for OperationView { class, requests, answered, refused, .. } in &flow.operations {
        let count = (*requests).max(answered + refused);
        match classes.iter_mut().find(|known| known.0 == *class) {
            Some(known) => (known.1, known.2) = (known.1 + count, known.2 + refused),
            None => classes.push((class, count, *refused)),
        }
    }
    let text = |(class, count, refused): &(&str, u64, u64)| match refused {
        0 => format!("{class} {}", thousands(*count)),
        _ => format!("{class} {} ({} refused)", thousands(*count), thousands(*refused)),
    };
    classes.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn more(out: &mut String, all: usize) {
    if all > ROWS {
        let _ = writeln!(out, "{DIM}… and {} more; --format json has all.{DIM:#}", all - ROWS);
    }
}

fn verdict_rank(verdict: Option<&str>) -> u8 {
    match verdict {
        Some("violation") => 0,
        Some("attempt") => 1,
        Some("review") => 2,
        Some("exception") => 3,
        Some("ignore") => 5,
        _ => 4,
    }
}

fn band_style(band: &str) -> Style {
    match band {
        "critical" => AnsiColor::Red.on_default().bold(),
        "high" => AnsiColor::Red.on_default(),
        "medium" => AnsiColor::Yellow.on_default(),
        "low" => AnsiColor::Cyan.on_default(),
        _ => Style::new(),
    }
}

/// `2026-11-16T10:15:00.123456789Z` as `2026-11-16 10:15:00`.
fn short_time(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ")
}

/// 1234567 as `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lines of at most `width` characters, broken at blanks.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
