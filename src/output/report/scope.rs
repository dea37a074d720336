//! What was looked at, and how well.

use std::collections::BTreeSet;

use super::table::{Cell, Table, seconds};
use super::{Page, Report, safe, share};
use crate::output::view::{AnalysisView, CaptureView, FindingView, FlowView};
use crate::policy::{Band, Policy};
use crate::time::Timestamp;

/// Frames of a TCP connection that is tried and not answered: a SYN and its repetitions.
const KNOCKS: u64 = 7;

/// The times of the first and the last frame, as the contract has them.
pub(super) fn window(view: &AnalysisView) -> Option<(&str, &str)> {
    let first = view.captures.iter().filter_map(|capture| capture.first.as_deref()).min()?;
    let last = view.captures.iter().filter_map(|capture| capture.last.as_deref()).max()?;
    Some((first, last))
}

/// Captures that anything is to be said of. A sensor that was started and heard nothing says nothing.
pub(super) fn captures(view: &AnalysisView) -> impl Iterator<Item = &CaptureView> {
    view.captures.iter().filter(|capture| capture.frames > 0 || capture.damage.is_some())
}

pub(super) fn head(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let (first, last) = window(view).unwrap_or(("never", "never"));
    let decoded = share(view.coverage.decoded, view.coverage.frames);
    let taps: BTreeSet<&str> = captures(view).map(|capture| capture.name.as_str()).collect();
    page.say(&format!(
        "{} to {} UTC: {} frames of {} captures or interfaces, of which {decoded} were decoded.",
        safe(&seconds(first)),
        safe(&seconds(last)),
        view.coverage.frames,
        taps.len(),
    ));
    let open = |band: Band| {
        let of = |finding: &&FindingView| finding.severity.band == band.text() && finding.state == "open";
        view.findings.iter().filter(of).count()
    };
    let bands =
        Band::ALL.iter().rev().map(|band| format!("<span class=\"{0}\">{1} {0}</span>", band.text(), open(*band)));
    page.say(&format!(
        "Open findings: {}. Devices: {}. Conversations: {}.",
        bands.collect::<Vec<_>>().join(", "),
        view.assets.len(),
        view.flows.len()
    ));
    let policy = match (&view.policy, report.policy) {
        (None, _) => "No policy was given: nothing was judged.".to_owned(),
        (Some(policy), Some(declared)) if declared.draft => {
            format!("Judged by the policy {}, which <b>nobody has approved yet</b>.", safe(&hash(&policy.sha256)))
        }
        (Some(policy), _) => format!("Judged by the policy {}.", safe(&hash(&policy.sha256))),
    };
    page.say(&policy);
}

/// The beginning of a hash, by which people compare.
fn hash(sha256: &str) -> String {
    sha256.chars().take(12).collect()
}

pub(super) fn scope(page: &mut Page, report: &Report<'_>) {
    let view = report.view;
    let tap = |capture: &CaptureView| {
        let policy = report.policy?;
        policy.tap_name(policy.tap_of_capture(&capture.name, Some(&capture.name)))
    };
    let rows = captures(view).map(|capture| {
        [
            capture.name.as_str().into(),
            tap(capture).into(),
            capture.format.into(),
            Cell::last(capture.first.as_deref()),
            Cell::last(capture.last.as_deref()),
            capture.frames.into(),
            capture.bytes.into(),
            (&capture.damage).into(),
        ]
    });
    let heads = ["capture or interface", "tap", "format", "first frame", "last frame", "#frames", "#bytes", "damage"];
    page.table(Table::new("captures", heads, rows));
    if let Some(policy) = report.policy {
        taps(page, view, policy);
    }
    coverage(page, view);
    page.say("All times are UTC and those of the frames as they were captured; nothing was put right.");
    let rows = view.coverage.protocols.iter().map(|(name, of)| {
        let [pdus, bytes, skipped, anomalies, opaque] =
            [of.pdus, of.bytes, of.skipped_bytes, of.anomalies, of.opaque].map(Cell::from);
        [(*name).into(), pdus, bytes, skipped, anomalies, opaque]
    });
    let heads = ["protocol", "#PDUs", "#bytes", "#bytes skipped", "#out of specification", "#not readable"];
    page.table(Table::new("protocols", heads, rows));
}

fn taps(page: &mut Page, view: &AnalysisView, policy: &Policy) {
    let rows = policy.tap_places().map(|tap| {
        let id = policy.tap_named(tap.id);
        let own = captures(view).filter(|capture| policy.tap_of_capture(&capture.name, Some(&capture.name)) == id);
        let mut spans: Vec<(&str, &str)> =
            own.filter_map(|capture| Some((capture.first.as_deref()?, capture.last.as_deref()?))).collect();
        spans.sort_unstable();
        let vlans: Vec<String> = tap.vlans.iter().map(u16::to_string).collect();
        [
            tap.id.into(),
            tap.sees.join(", ").into(),
            vlans.join(" ").into(),
            if tap.both_ways { "both" } else { "one" }.into(),
            Cell::last(spans.first().map(|(first, _)| *first)),
            Cell::last(spans.iter().map(|(_, last)| *last).max()),
            longest_gap(&spans).into(),
        ]
    });
    let heads = ["tap", "sees zones", "VLANs", "directions", "first frame", "last frame", "longest gap"];
    let table = Table::new("taps", heads, rows);
    if table.is_empty() {
        return page.say("No tap is declared ([[tap]]): which zones are seen cannot be told from the declaration.");
    }
    page.table(table);
    let (seen, unseen) = tapped(policy);
    page.say(&format!("Zones that a tap sees: {} of {}.", seen, seen + unseen.len()));
    if !unseen.is_empty() {
        page.say(&format!("<b>Zones that no tap sees: {}.</b>", safe(&unseen.join(", "))));
    }
}

/// How many declared zones some tap sees, and the ids of the others.
pub(super) fn tapped(policy: &Policy) -> (usize, Vec<&str>) {
    let declared = policy.zones.iter().filter(|zone| zone.at.is_some());
    let unseen =
        |zone: &&crate::policy::Zone| policy.zone_named(&zone.id).is_some_and(|id| policy.is_tapped(id) == Some(false));
    let (unseen, seen): (Vec<_>, Vec<_>) = declared.partition(unseen);
    (seen.len(), unseen.into_iter().map(|zone| zone.id.as_str()).collect())
}

/// The longest time between the end of one capture of a tap and the begin of the next.
fn longest_gap(spans: &[(&str, &str)]) -> String {
    let mut end: Option<Timestamp> = None;
    let mut longest = None;
    for (first, last) in spans {
        let (Some(first), Some(last)) = (Timestamp::parse(first), Timestamp::parse(last)) else { continue };
        if let Some(end) = end.filter(|end| first > *end) {
            longest = longest.max(Some((first.since(end), end)));
        }
        end = end.max(Some(last));
    }
    longest.map_or(String::new(), |(gap, end)| format!("{} s from {}", gap.as_secs(), seconds(&end.to_string())))
}

fn coverage(page: &mut Page, view: &AnalysisView) {
    let coverage = &view.coverage;
    // Knocking that nobody answers is no conversation.
    let talks = |flow: &&FlowView| flow.transport == "tcp" && flow.frames_to_client.max(flow.frames_to_server) > KNOCKS;
    let talking: Vec<&FlowView> = view.flows.iter().filter(talks).collect();
    let one_way = talking.iter().filter(|flow| flow.frames_to_client.min(flow.frames_to_server) == 0).count();
    let of_frames = |what: &str, count: u64| [what.into(), count.into(), share(count, coverage.frames).into()];
    let mut rows: Vec<[Cell; 3]> = vec![
        ["frames".into(), coverage.frames.into(), "".into()],
        of_frames("decoded", coverage.decoded),
        of_frames("copies made by mirrors", coverage.duplicates),
        of_frames("cut by the snap length", coverage.truncated),
        [
            "TCP conversations seen in one direction only".into(),
            one_way.into(),
            share(one_way as u64, talking.len() as u64).into(),
        ],
    ];
    rows.extend(coverage.not_decoded.iter().map(|(why, count)| of_frames(&format!("not decoded: {why}"), *count)));
    rows.extend(coverage.limits_hit.iter().map(|(limit, count)| {
        [format!("limit reached, not everything was kept: {limit}").into(), (*count).into(), "".into()]
    }));
    page.table(Table::new("coverage", ["coverage", "#count", "#share"], rows));
    if one_way * 2 > talking.len() {
        page.say(
            "<b>Most conversations were seen in one direction only: the mirror port may copy only what is received or sent.</b>",
        );
    }
    for capture in captures(view) {
        if let Some(one_way) = &capture.one_way {
            page.say(&format!("<b>{}: {}</b>", safe(&capture.name), safe(&one_way.to_string())));
        }
    }
    let lost: Vec<_> = view.findings.iter().filter(|finding| finding.reason.code == "DC009").collect();
    lost.iter().for_each(|finding| page.say(&format!("<b>{}</b>", safe(&finding.what))));
}
