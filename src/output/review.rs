//! The conduit review, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::escape::terminal;
use super::view::SCHEMA;
use crate::flow::watch::Session;
use crate::policy::remote::idle_share;
use crate::policy::review::{RateSeen, Row, User};
use crate::policy::{Policy, Reason};
use crate::time::Timestamp;

pub use crate::policy::review::Watched;

/// The whole review.
#[derive(Debug, Serialize)]
pub struct ReviewView {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The site's id.
    pub site: String,
    /// SHA-256 over the policy.
    pub policy_sha256: String,
    /// First and last packet.
    pub first: String,
    /// First and last packet.
    pub last: String,
    /// What is to be said of zones by what was seen in them.
    pub zones: Vec<String>,
    /// One row for each conduit and exception, those that need a decision first.
    pub conduits: Vec<RowView>,
}

/// One conduit or exception.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // reports.md, section 3, says what each is.
pub struct RowView {
    pub id: String,
    pub name: String,
    pub exception: bool,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub owner: Option<String>,
    pub ticket: Option<String>,
    pub valid_until: Option<String>,
    pub state: String,
    pub first_used: Option<String>,
    pub last_used: Option<String>,
    pub sessions: u64,
    pub operations: BTreeMap<&'static str, u64>,
    pub used_by: Vec<UserView>,
    pub objections: BTreeMap<&'static str, u64>,
    pub rights: String,
    pub unused_rights: Vec<String>,
    pub narrower: Vec<String>,
    pub remote_access: bool,
    pub not_verifiable: u64,
    pub rates: Vec<RateView>,
    pub windows: Option<WindowsView>,
    pub protection: ProtectionView,
    pub via: Vec<String>,
    pub boundary: Option<String>,
    pub sl_t: Vec<EndView>,
    pub sl_c: Option<u8>,
    pub compensating: Vec<String>,
    pub logging: Option<String>,
    pub inspected_by: Option<String>,
    pub exceptions: Vec<String>,
    pub remote: Vec<SessionView>,
    pub idle_clients: Vec<IdleView>,
    pub decision: Option<DecisionView>,
    pub follow_up: Option<&'static str>,
}

/// How fast it was, of a rate that it declares.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct RateView {
    pub of: &'static str,
    pub maximum: String,
    pub peak: u64,
    /// Of the same pair, over the windows from its first to its last.
    pub mean: f64,
    pub client: String,
    pub server: String,
    pub exceeded: bool,
}

/// Whether its windows were kept.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct WindowsView {
    pub declared: Vec<String>,
    pub outside: u64,
}

/// What was seen of protection, and the least that it asks for.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct ProtectionView {
    pub seen: Vec<String>,
    pub minimum: Vec<String>,
    pub below: u64,
}

/// A zone that it joins, with its target for restricted data flow.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct EndView {
    pub zone: String,
    pub rdf: u8,
}

/// One session of remote access.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct SessionView {
    pub client: String,
    pub server: String,
    pub port: u16,
    pub start: String,
    pub end: String,
    pub seconds: u64,
    /// Per cent of it in pauses of a minute or longer.
    pub idle_percent: u8,
    pub longest_pause_seconds: u64,
    pub in_window: bool,
}

/// A client that has not used remote access for as long as it may idle.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct IdleView {
    pub client: String,
    pub last: String,
}

/// What was decided last.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct DecisionView {
    pub decision: &'static str,
    pub by: String,
    pub on: String,
    pub note: String,
}

/// Who used it.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct UserView {
    pub client: String,
    pub server: String,
    pub service: String,
    pub sessions: u64,
    pub first: String,
    pub last: String,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            client: user.client.clone(),
            server: user.server.clone(),
            service: user.service.clone(),
            sessions: user.sessions,
            first: user.first.to_string(),
            last: user.last.to_string(),
        }
    }
}

/// Makes the review of a policy.
#[must_use]
pub fn view(policy: &Policy, watched: &Watched, rows: &[Row<'_>], zones: Vec<String>) -> ReviewView {
    let text = |at: Timestamp| at.to_string();
    let rate = |seen: &RateSeen| RateView {
        of: seen.peak.measure.text(),
        maximum: seen.peak.limit.text(),
        peak: seen.peak.most,
        mean: seen.mean as f64 / 100.0, // Two digits, far below 2^52.
        client: seen.pair.0.to_string(),
        server: seen.pair.1.to_string(),
        exceeded: seen.peak.most > seen.peak.limit.count,
    };
    let session = |row: &Row<'_>, session: &Session| SessionView {
        client: session.client.address.to_string(),
        server: session.server.address.to_string(),
        port: session.port,
        start: text(session.first),
        end: text(session.last),
        seconds: session.duration().as_secs(),
        idle_percent: idle_share(session),
        longest_pause_seconds: session.pause.as_secs(),
        in_window: policy.in_window(row.rule, session),
    };
    let end = |(zone, rdf): (&str, u8)| EndView { zone: zone.to_owned(), rdf };
    let count = |row: &Row<'_>, reason: Reason| row.objections.get(&reason).copied().unwrap_or(0);
    let row = |row: &Row<'_>| RowView {
        not_verifiable: row.not_verifiable,
        rates: row.rates.iter().map(rate).collect(),
        windows: Some(policy.windows_of(row.rule))
            .filter(|windows| !windows.is_empty())
            .map(|declared| WindowsView { declared, outside: count(row, Reason::OutsideWindow) }),
        protection: ProtectionView {
            seen: row.protection.iter().cloned().collect(),
            minimum: row.minimum.iter().cloned().collect(),
            below: count(row, Reason::WeakSecurity),
        },
        via: policy.via_of(row.rule),
        boundary: row.boundary.map(|boundary| boundary.text()),
        sl_t: policy.targets_of(row.rule).into_iter().map(end).collect(),
        sl_c: row.rule.sl_c.map(|levels| levels.rdf()),
        compensating: row.rule.compensating.clone(),
        logging: row.rule.logging.clone(),
        inspected_by: row.rule.inspected_by.clone(),
        exceptions: row.exceptions.clone(),
        remote: row.sessions_seen.iter().map(|seen| session(row, seen)).collect(),
        idle_clients: row
            .idle_clients
            .iter()
            .map(|(client, last)| IdleView { client: client.to_string(), last: text(*last) })
            .collect(),
        decision: row.decision.map(|decision| DecisionView {
            decision: decision.decision.text(),
            by: decision.by.clone(),
            on: decision.on.clone(),
            note: decision.note.clone(),
        }),
        follow_up: row.follow_up,
        id: row.rule.id.clone(),
        name: row.rule.name.clone(),
        exception: row.rule.exception,
        from: row.rule.from_words.clone(),
        to: row.rule.to_words.clone(),
        owner: row.rule.owner.clone(),
        ticket: row.rule.ticket.clone(),
        valid_until: row.rule.valid_until().map(text),
        state: row.state.text(),
        first_used: row.span.map(|(first, _)| text(first)),
        last_used: row.span.map(|(_, last)| text(last)),
        sessions: row.sessions,
        operations: row.operations.clone(),
        used_by: row.users.iter().map(UserView::from).collect(),
        objections: row.objections.iter().map(|(reason, count)| (reason.code(), *count)).collect(),
        rights: policy.rights(row.rule),
        unused_rights: row.unused.clone(),
        narrower: row.narrower.clone(),
        remote_access: row.rule.remote_access,
    };
    ReviewView {
        schema: SCHEMA,
        site: policy.site.clone(),
        policy_sha256: policy.sha256.clone(),
        first: watched.first.to_string(),
        last: watched.last.to_string(),
        zones,
        conduits: rows.iter().map(row).collect(),
    }
}

/// What was measured of a conduit, a line each.
fn details(out: &mut String, row: &RowView) {
    for rate in &row.rates {
        let RateView { of, maximum, peak, mean, client, server, exceeded } = rate;
        let above = if *exceeded { ", exceeded" } else { "" };
        let _ = writeln!(
            out,
            "    rate of {of}: peak {peak}, mean {mean:.2}, maximum {maximum}{above} ({client} -> {server})"
        );
    }
    if let Some(WindowsView { declared, outside }) = &row.windows {
        let kept = if *outside == 0 { "kept".to_owned() } else { format!("{outside} outside") };
        let _ = writeln!(out, "    windows {}: {kept}", declared.join(" and "));
    }
    let ProtectionView { seen, minimum, below } = &row.protection;
    if !seen.is_empty() || !minimum.is_empty() {
        let or_none = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join("; ") };
        let (seen, minimum) = (or_none(seen, "nothing"), or_none(minimum, "none"));
        let below = if *below == 0 { String::new() } else { format!(", {below} below it") };
        let _ = writeln!(out, "    protection seen: {}; minimum: {}{below}", terminal(&seen), terminal(&minimum));
    }
    if let Some(boundary) = &row.boundary {
        let _ = writeln!(out, "    boundary {}: {boundary}", row.via.join(", "));
    }
    for (what, said) in [("logging", &row.logging), ("inspected by", &row.inspected_by)] {
        if let Some(said) = said {
            let _ = writeln!(out, "    {what}, as declared: {}", terminal(said));
        }
    }
    if row.not_verifiable > 0 {
        let _ = writeln!(out, "    not verifiable: {} operations were hidden", row.not_verifiable);
    }
    if !row.exceptions.is_empty() {
        let _ = writeln!(out, "    exceptions between these zones: {}", row.exceptions.join(", "));
    }
    for session in row.remote.iter().take(NAMED) {
        let SessionView { client, server, start, end, seconds, idle_percent, in_window, .. } = session;
        let outside = if *in_window { "" } else { ", outside of its window" };
        let minutes = seconds / 60;
        let _ = writeln!(
            out,
            "      session {client} -> {server} {start} to {end}: {minutes} min, {idle_percent} % idle{outside}"
        );
    }
    for IdleView { client, last } in &row.idle_clients {
        let _ = writeln!(out, "    disable? {client} has not used it since {last}");
    }
    if let Some(DecisionView { decision, by, on, note }) = &row.decision {
        let words = [by, on, note].into_iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>();
        let _ = writeln!(out, "    decided last: {decision} ({})", terminal(&words.join(", ")));
    }
    if let Some(follow_up) = row.follow_up {
        let _ = writeln!(out, "    {follow_up}");
    }
}

/// Users of a conduit that the text names; all stand in the JSON.
const NAMED: usize = 8;

/// The review for people.
#[must_use]
pub fn render(view: &ReviewView) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Conduit review of {}, {} to {}. What needs a decision stands first.",
        view.site, view.first, view.last
    );
    for zone in &view.zones {
        let _ = writeln!(out, "\n{}", terminal(zone));
    }
    for row in &view.conduits {
        let exception = if row.exception { ", exception" } else { "" };
        let _ = writeln!(out, "\n{} {}: {}{exception}", row.id, terminal(&row.name), row.state);
        let _ = writeln!(out, "    {} -> {}", row.from.join(", "), row.to.join(", "));
        let owner = row.owner.as_deref().unwrap_or("nobody");
        let ticket = row.ticket.as_ref().map(|ticket| format!(", ticket {ticket}")).unwrap_or_default();
        let until = row.valid_until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
        let _ = writeln!(out, "    owner {}{}{until}", terminal(owner), terminal(&ticket));
        let _ = writeln!(out, "    allows {}", terminal(&row.rights));
        if let (Some(first), Some(last)) = (&row.first_used, &row.last_used) {
            let operations: Vec<String> =
                row.operations.iter().map(|(class, count)| format!("{class} {count}")).collect();
            let _ = writeln!(out, "    used {first} to {last}: {} sessions, {}", row.sessions, operations.join(", "));
        }
        for user in row.used_by.iter().take(NAMED) {
            let _ =
                write!(out, "      {} -> {} {}, {} sessions", user.client, user.server, user.service, user.sessions);
            let _ = if row.remote_access { writeln!(out, ", {} to {}", user.first, user.last) } else { writeln!(out) };
        }
        if let Some(more) = row.used_by.len().checked_sub(NAMED).filter(|more| *more > 0) {
            let _ = writeln!(out, "      and {more} more");
        }
        details(&mut out, row);
        if !row.objections.is_empty() {
            let reasons: Vec<String> = row.objections.iter().map(|(code, count)| format!("{code} {count}")).collect();
            let _ = writeln!(out, "    objected to: {}", reasons.join(", "));
        }
        for unused in &row.unused_rights {
            let _ = writeln!(out, "    never used: {}", terminal(unused));
        }
        if !row.narrower.is_empty() {
            let _ = writeln!(out, "    would have been enough:");
            for table in &row.narrower {
                let _ = writeln!(out, "      {}", terminal(table));
            }
        }
    }
    out
}
