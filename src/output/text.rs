//! The analysis for people: a table on a terminal that reads well in 80 columns.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::escape::terminal as safe;
use super::view::{AnalysisView, AssetView, FindingView, FlowEndView, FlowView, OperationView};

/// Rows of a table before the rest is counted only; json has them all.
const ROWS: usize = 60;

/// The whole analysis as text with ANSI styles, for a terminal of that many columns. Whoever prints it strips the
/// styles where they are not wanted.
#[must_use]
pub fn render(analysis: &AnalysisView, columns: u16) -> String {
    let mut out = String::new();
    summary(&mut out, analysis, columns);
    if analysis.policy.is_some() || !analysis.findings.is_empty() {
        findings(&mut out, &analysis.findings, columns);
    }
    assets(&mut out, &analysis.assets, columns);
    flows(&mut out, &analysis.flows, columns);
    closing(&mut out, analysis);
    out
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{BOLD}{text}{BOLD:#}");
}

fn summary(out: &mut String, analysis: &AnalysisView, columns: u16) {
    let coverage = &analysis.coverage;
    for capture in &analysis.captures {
        let span = match (&capture.first, &capture.last) {
            (Some(first), Some(last)) => format!(", {} to {} UTC", short_time(first), short_time(last)),
            _ => String::new(),
        };
        paragraph(out, &format!("{}: {}{span}", safe(&capture.name), counted(capture.frames, "frame")), columns);
        if let Some(damage) = &capture.damage {
            paragraph(out, &format!("damaged: {}; what stands before was read", safe(damage)), columns);
        }
        if let Some(one_way) = &capture.one_way {
            paragraph(out, &one_way.to_string(), columns);
        }
    }
    let all = counted(coverage.frames, "frame");
    let mut notes = vec![format!("{} of {all} decoded", thousands(coverage.decoded))];
    if coverage.duplicates > 0 {
        notes.push(counted(coverage.duplicates, "mirror copy"));
    }
    if coverage.truncated > 0 {
        notes.push(format!("{} cut by the snap length", thousands(coverage.truncated)));
    }
    if !coverage.not_decoded.is_empty() {
        let why: Vec<_> = coverage.not_decoded.iter().map(|(why, n)| format!("{why} ({})", thousands(*n))).collect();
        notes.push(format!("not decoded: {}", why.join(", ")));
    }
    paragraph(out, &format!("{}.", notes.join(", ")), columns);
    for (name, protocol) in &coverage.protocols {
        let mut notes = vec![counted(protocol.pdus, "PDU")];
        for (count, what) in [(protocol.anomalies, "out of specification"), (protocol.opaque, "opaque")] {
            if count > 0 {
                notes.push(format!("{} {what}", thousands(count)));
            }
        }
        if protocol.skipped_bytes > 0 {
            notes.push(format!("{} skipped", counted(protocol.skipped_bytes, "byte")));
        }
        let _ = writeln!(out, "  {name}: {}", notes.join(", "));
    }
    if !coverage.limits_hit.is_empty() {
        let hit: Vec<_> = coverage.limits_hit.iter().map(|(limit, n)| format!("{limit} ({})", thousands(*n))).collect();
        paragraph(out, &format!("Limits reached: {}. Not everything was kept.", hit.join(", ")), columns);
    }
}

/// The findings, the gravest first.
pub(super) fn findings(out: &mut String, findings: &[FindingView], columns: u16) {
    if findings.is_empty() {
        heading(out, "Findings: none");
        return;
    }
    heading(out, &format!("Findings ({})", findings.len()));
    let mut sorted: Vec<&FindingView> = findings.iter().collect();
    sorted.sort_by(|a, b| b.severity.score.cmp(&a.severity.score).then_with(|| a.id.cmp(&b.id)));
    for finding in sorted.iter().take(ROWS) {
        let style = band_style(finding.severity.band);
        let _ = writeln!(
            out,
            "{style}{:>3} {:<8}{style:#} {} {} {DIM}{}{DIM:#}{}",
            finding.severity.score,
            finding.severity.band,
            finding.reason.code,
            finding.reason.name,
            finding.id,
            stands(finding)
        );
        for line in wrap(&safe(&finding.what), usize::from(columns).saturating_sub(6)) {
            let _ = writeln!(out, "    {line}");
        }
    }
    more(out, sorted.len());
}

/// How a finding stands, when it is not just open.
fn stands(finding: &FindingView) -> String {
    match &finding.acknowledged {
        _ if finding.state == "open" => String::new(),
        Some(by) if finding.state == "acknowledged" => format!(" acknowledged by {}", safe(&by.by)),
        _ => format!(" {}", finding.state),
    }
}

/// Each asset as a few lines: who and where, what it is, what it speaks.
pub(super) fn assets(out: &mut String, assets: &[AssetView], columns: u16) {
    heading(out, &format!("Assets ({})", assets.len()));
    let mut sorted: Vec<&AssetView> = assets.iter().collect();
    // As a network plan would list them: by zone, then by address.
    let place = |asset: &AssetView| (asset.zone.clone(), asset.ips.is_empty(), address_order(asset));
    sorted.sort_by_cached_key(|asset| place(asset));
    let shown = || sorted.iter().take(ROWS);
    let roles = width(shown().map(|asset| role(asset)));
    let zones = width(shown().map(|asset| asset.zone.clone().unwrap_or_default()));
    for asset in shown() {
        let (first, more) = addresses(asset);
        let zone = asset.zone.clone().unwrap_or_default();
        let name = own_name(asset).map_or(String::new(), |name| safe(&name).into_owned());
        row(out, &[(first, ADDRESS), (role(asset), roles), (zone, zones), (name, 0)], columns);
        for text in [more, identity(asset), speaks(asset)].into_iter().filter(|text| !text.is_empty()) {
            indented(out, &text, columns);
        }
        for component in &asset.components {
            let identity = join(&[&component.vendor, &component.product, &component.model, &component.firmware]);
            if !identity.is_empty() {
                let role = component.role.map_or(String::new(), |role| format!("{role}, "));
                indented(out, &format!("{}: {role}{}", safe(&component.id), safe(&identity)), columns);
            }
        }
    }
    more(out, sorted.len());
}

/// Each flow as a line, and what was asked below it.
pub(super) fn flows(out: &mut String, flows: &[FlowView], columns: u16) {
    heading(out, &format!("Flows ({})", flows.len()));
    // Address resolution is no conversation; that it went on is enough.
    let (resolution, mut sorted): (Vec<&FlowView>, Vec<&FlowView>) =
        flows.iter().partition(|flow| flow.transport == "l2/0x0806");
    // What is not allowed first, then what was understood, then what moved most.
    let weight = |flow: &FlowView| flow.frames_to_server + flow.frames_to_client;
    sorted.sort_by(|a, b| {
        let key = |f: &FlowView| (verdict_rank(f.verdict), f.protocol.is_none(), std::cmp::Reverse(weight(f)));
        key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
    });
    let rows = folded(&sorted);
    for row in rows.iter().take(ROWS) {
        let flow = row.flow;
        let server = match row.servers {
            1 => end(&flow.server.end),
            many => format!("{many} hosts"),
        };
        let rule = flow.rule.as_ref().map_or(String::new(), |rule| format!(" {}", safe(rule)));
        let verdict = flow.verdict.map_or(String::new(), |verdict| format!("{verdict}{rule}"));
        let asked = if row.servers == 1 { operations(flow) } else { counted(row.frames, "frame") };
        let client = end(&flow.client);
        self::row(out, &[(client, ADDRESS), (server, ADDRESS), (service(flow), SERVICE), (verdict, 0)], columns);
        indented(out, &asked, columns);
    }
    more(out, rows.len());
    if !resolution.is_empty() {
        let frames = resolution.iter().map(|flow| flow.frames_to_server + flow.frames_to_client).sum();
        let flows = counted(resolution.len() as u64, "flow");
        let _ = writeln!(out, "{DIM}and ARP: {flows}, {}{DIM:#}", counted(frames, "frame"));
    }
}

/// A row of the list of flows: one flow, or one client's equal flows to many servers.
struct Row<'a> {
    flow: &'a FlowView,
    servers: usize,
    frames: u64,
}

/// Equal flows of one client to so many servers become one row, as those of a scan do.
const FOLD: usize = 5;

fn folded<'a>(flows: &[&'a FlowView]) -> Vec<Row<'a>> {
    let kind = |flow: &'a FlowView| {
        let plain = flow.operations.is_empty() && flow.server.port.is_some();
        plain.then(|| (end(&flow.client), service(flow), flow.verdict, flow.rule.as_deref()))
    };
    let mut sizes = std::collections::BTreeMap::new();
    flows.iter().filter_map(|flow| kind(flow)).for_each(|kind| *sizes.entry(kind).or_insert(0_usize) += 1);
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for flow in flows {
        let frames = flow.frames_to_server + flow.frames_to_client;
        let many = kind(flow).filter(|kind| sizes.get(kind).is_some_and(|size| *size >= FOLD));
        let known = many.as_ref().and_then(|kind| places.get(kind)).and_then(|place: &usize| rows.get_mut(*place));
        match known {
            Some(row) => {
                row.servers += 1;
                row.frames += frames;
            }
            None => {
                many.map(|kind| places.insert(kind, rows.len()));
                rows.push(Row { flow, servers: 1, frames });
            }
        }
    }
    rows
}

fn end(end: &FlowEndView) -> String {
    end.ip.clone().or_else(|| end.mac.clone()).unwrap_or_default()
}

/// Columns of an IPv4 or MAC address, and of a service.
const ADDRESS: usize = 17;
const SERVICE: usize = 22;

/// The width of a column: that of its longest text, 0 when there is none.
fn width(texts: impl Iterator<Item = String>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// A line of cells in columns of those widths. A last cell that has no room stands below; where even that does not help,
/// as with long IPv6 addresses, the cells follow each other.
fn row(out: &mut String, cells: &[(String, usize)], columns: u16) {
    let columns = usize::from(columns);
    let padded = |cells: &[(String, usize)]| {
        let cells = cells.iter().filter(|(text, width)| !text.is_empty() || *width > 0);
        let line: Vec<_> = cells.map(|(text, width)| format!("{text:<width$}")).collect();
        line.join(" ").trim_end().to_owned()
    };
    let fits = |line: &String| line.chars().count() <= columns;
    let line = padded(cells);
    if fits(&line) {
        let _ = writeln!(out, "{line}");
        return;
    }
    let texts = || cells.iter().map(|(text, _)| text.as_str()).filter(|text| !text.is_empty());
    match cells.split_last().map(|(last, rest)| (last, padded(rest))) {
        Some(((last, _), rest)) if !last.is_empty() && fits(&rest) => {
            let _ = writeln!(out, "{rest}\n    {last}");
        }
        _ => paragraph(out, &texts().collect::<Vec<_>>().join("  "), columns.try_into().unwrap_or(u16::MAX)),
    }
}

/// Text from the first column on, continued with an indent.
fn paragraph(out: &mut String, text: &str, columns: u16) {
    let lines = wrap(text, usize::from(columns).saturating_sub(4));
    let _ = writeln!(out, "{}", lines.join("\n    "));
}

fn indented(out: &mut String, text: &str, columns: u16) {
    for line in wrap(text, usize::from(columns).saturating_sub(6)) {
        let _ = writeln!(out, "    {DIM}{line}{DIM:#}");
    }
}

fn closing(out: &mut String, analysis: &AnalysisView) {
    if analysis.policy.is_none() {
        let _ = writeln!(
            out,
            "\n{DIM}No policy: nothing was judged. Declare zones and conduits with --policy FILE.{DIM:#}"
        );
    }
}

/// Numeric order of the first address.
fn address_order(asset: &AssetView) -> Option<std::net::IpAddr> {
    asset.ips.first().and_then(|ip| ip.parse().ok())
}

/// The first address, and the others.
fn addresses(asset: &AssetView) -> (String, String) {
    let all = if asset.ips.is_empty() { &asset.macs } else { &asset.ips };
    match all.split_first() {
        Some((first, [])) => (first.clone(), String::new()),
        Some((first, rest)) if rest.len() > 6 => {
            (first.clone(), format!("also {}, and {} more", rest.get(..6).unwrap_or(rest).join(" "), rest.len() - 6))
        }
        Some((first, rest)) => (first.clone(), format!("also {}", rest.join(" "))),
        None => (String::new(), String::new()),
    }
}

/// A name that is not just an address.
fn own_name(asset: &AssetView) -> Option<String> {
    (!asset.ips.contains(&asset.name) && !asset.macs.contains(&asset.name)).then(|| asset.name.clone())
}

fn identity(asset: &AssetView) -> String {
    let known = join(&[&asset.vendor, &asset.product, &asset.model, &asset.firmware]);
    let text = match (&asset.mac_vendor, asset.vendor.is_none()) {
        (Some(maker), true) if known.is_empty() => format!("network card by {maker}"),
        (Some(maker), true) => format!("{known} (network card by {maker})"),
        _ => known,
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
        // Everybody resolves addresses and answers a ping: that tells nothing.
        let plumbing = |name| matches!(name, "arp" | "icmp" | "igmp");
        let own = asset.protocols.iter().filter(|p| p.side == side && !plumbing(p.name));
        let mut names: Vec<_> = own.map(|p| p.name).collect();
        names.dedup();
        (!names.is_empty()).then(|| format!("{label} {}", names.join(" ")))
    };
    [side("server", "serves"), side("client", "asks")].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn service(flow: &FlowView) -> String {
    match (flow.protocol, flow.service, flow.server.port) {
        (Some(protocol), _, Some(port)) => format!("{protocol} {}/{port}", flow.transport),
        (Some(protocol), _, None) => protocol.to_owned(),
        (None, _, Some(port)) if flow.not_protocol.is_some() => {
            format!("{}/{port} (not {})", flow.transport, flow.not_protocol.unwrap_or_default())
        }
        (None, Some(service), Some(port)) => format!("{}/{port} ({service})", flow.transport),
        (None, None, Some(port)) => format!("{}/{port}", flow.transport),
        (None, Some(service), None) => format!("{} ({service})", flow.transport),
        (None, None, None) => flow.transport.clone(),
    }
}

/// Classes with their number of requests, or the number of frames where nothing was decoded.
fn operations(flow: &FlowView) -> String {
    let frames = counted(flow.frames_to_server + flow.frames_to_client, "frame");
    if flow.operations.is_empty() {
        return match &flow.security {
            Some(security) => {
                let words = [security.mode.unwrap_or(""), security.policy.as_deref().unwrap_or("")];
                format!("{frames}, protected: {}", safe(words.join(" ").trim()))
            }
            None => frames,
        };
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

/// Every line that is longer than the terminal broken at blanks, its rest indented below it.
#[must_use]
pub fn fit(text: &str, columns: u16) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let width = usize::from(columns).saturating_sub(indent + 4).max(20);
        for (place, part) in wrap(line, width).iter().enumerate() {
            let indent = if place == 0 { indent } else { indent + 4 };
            let _ = writeln!(out, "{:indent$}{part}", "");
        }
    }
    out
}

/// `1 frame`, `2,000 frames`, `2 mirror copies`.
fn counted(number: u64, what: &str) -> String {
    let count = thousands(number);
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("{count} {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {what}s"),
    }
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
