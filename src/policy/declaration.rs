//! Findings about the declaration itself: what is in it and should not be, or is not needed any more.
//!
//! By packet time alone, so that the same captures give the same findings on any day: "now" is the last packet, and
//! what asks for days without traffic is only told when so many days were watched.

use std::time::Duration;

use super::diagnostic::Span;
use super::file::{Consequence, ZoneKind};
use super::lint::{pairs, zones};
use super::model::{AssetId, Policy, Rule, Zone, ZoneId};
use super::reason::Reason;
use super::remote::{idle_clients, overruns, sessions};
use super::review::{DAY, Needed, State, Watched, needed, state};
use super::silence::{Deaf, Silence, silences};
use crate::time::Timestamp;

/// Days before the end of an exception from which on it is told.
const NOTICE_DAYS: u32 = 14;
/// Security levels between consequence and SL-T from which on they diverge: one is a matter of judgement.
const DIVERGENCE: u8 = 2;

/// Bytes of TCP, of a thousand, that a capture may lose: a mirror port that keeps up loses none.
const LOSS_PER_MILLE: u128 = 10;
/// Sessions that a finding names.
const NAMED: usize = 3;

/// What is wrong with a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // `name` and `what` say it.
pub enum Kind {
    Unused,
    Expired,
    ExceptionEnds,
    ExceptionUsed,
    Silent,
    RightUnused,
    NotObservable,
    AssetGone,
    Loss,
    ReviewOverdue,
    WeakConduit,
    RemoteIdle,
    Overrun,
    NoBroker,
    Diverges,
}

impl Kind {
    /// Code, name and severity.
    const fn row(self) -> (&'static str, &'static str, i32) {
        match self {
            Self::Unused => ("DC001", "conduit-unused", 15),
            Self::Expired => ("DC002", "conduit-expired", 20),
            Self::ExceptionEnds => ("DC003", "exception-ends-soon", 10),
            Self::ExceptionUsed => ("DC004", "exception-expired-and-used", 45),
            Self::Silent => ("DC005", "continuous-conduit-silent", 40),
            Self::RightUnused => ("DC006", "right-never-used", 10),
            Self::NotObservable => ("DC007", "not-observable", 15),
            Self::AssetGone => ("DC008", "asset-not-seen", 15),
            Self::Loss => ("DC009", "capture-loss", 20),
            Self::ReviewOverdue => ("DC010", "review-overdue", 20),
            Self::WeakConduit => ("DC011", "sl-c-below-need", 30),
            Self::RemoteIdle => ("DC012", "remote-access-idle", 25),
            Self::Overrun => ("DC013", "remote-session-overran", 35),
            Self::NoBroker => ("DC014", "remote-access-without-broker", 40),
            Self::Diverges => ("DC015", "consequence-and-sl-t-diverge", 10),
        }
    }

    /// `DC001`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// `conduit-unused`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// How bad it is, as a score of 0 to 100.
    #[must_use]
    pub fn score(self) -> i32 {
        self.row().2
    }
}

/// One finding about the declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// What sort.
    pub kind: Kind,
    /// The conduit, zone, asset or site that it is about.
    pub subject: String,
    /// It is a conduit or exception.
    pub is_rule: bool,
    /// Where that stands.
    pub at: Option<Span>,
    /// What was found.
    pub what: String,
    /// What to do.
    pub do_next: Vec<String>,
}

impl Declaration {
    /// `D-` and 16 characters, the same as long as it is the same fault of the same object of the same site.
    #[must_use]
    pub fn id(&self, site: &str) -> String {
        format!("D-{}", crate::id::base32(&format!("v1\n{site}\n{}\n{}", self.kind.code(), self.subject), 16))
    }
}

/// Of a conduit that was silent for too long: when the last was heard before it, the latest time that it was.
#[must_use]
pub fn last_heard(policy: &Policy, watched: &Watched, subject: &str) -> Option<Timestamp> {
    let (number, rule) = (0..).zip(&policy.rules).find(|(_, rule)| rule.id == subject)?;
    let silences = silences(watched, number, rule, &policy.time_zone);
    silences.iter().filter(|one| one.deaf.is_none()).map(|one| one.from).max()
}

/// Everything that is to be said of a declaration after so much traffic, ordered by kind and subject. `last_seen` says
/// when a declared asset was seen last.
#[must_use]
pub fn declarations(
    policy: &Policy,
    watched: &Watched,
    last_seen: &dyn Fn(AssetId) -> Option<Timestamp>,
) -> Vec<Declaration> {
    let mut found = Vec::new();
    for (number, rule) in (0..).zip(&policy.rules) {
        of_rule(policy, watched, number, rule, &mut found);
    }
    for (number, zone) in (0..).zip(&policy.zones) {
        of_zone(policy, ZoneId(number), zone, &mut found);
    }
    for (number, asset) in (0..).zip(&policy.assets) {
        let seen = last_seen(AssetId(number));
        let days = policy.max_idle_days;
        let gone = match seen {
            Some(last) => watched.last.since(last) >= DAY * days,
            None => watched.days_before(watched.last, days),
        };
        if gone {
            found.push(Declaration {
                kind: Kind::AssetGone,
                subject: asset.id.clone(),
                is_rule: false,
                at: Some(asset.at),
                what: format!("Asset {} was not seen for {days} days or more.", asset.id),
                do_next: vec!["Ask whether it was taken away, and write retired_on or take it out.".to_owned()],
            });
        }
    }
    if let Some(due) = policy.review_due.filter(|due| *due <= watched.last) {
        found.push(Declaration {
            kind: Kind::ReviewOverdue,
            subject: policy.site.clone(),
            is_rule: false,
            at: None,
            what: format!(
                "The review of the policy of {} is overdue by {}.",
                policy.site,
                days(watched.last.since(due))
            ),
            do_next: vec!["Review it with `zonewatch policy review`, then write the next review_due.".to_owned()],
        });
    }
    found.extend(loss(policy, watched));
    found.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    found
}

fn of_rule(policy: &Policy, watched: &Watched, number: u32, rule: &Rule, found: &mut Vec<Declaration>) {
    let uses = watched.of(number);
    let state = state(policy, watched, rule, uses);
    let what = if rule.exception { "Exception" } else { "Conduit" };
    let mut tell = |kind: Kind, text: String, step: &str| {
        found.push(of_this_rule(rule, what, kind, &text, step));
    };
    let expired = rule.valid_until().filter(|end| *end <= watched.last);
    let used_late = uses.iter().any(|used| used.reason == Some(Reason::NotValid));
    match (expired, rule.exception) {
        (Some(_), true) if used_late => tell(
            Kind::ExceptionUsed,
            "has ended and is still used.".to_owned(),
            "Ask its risk owner: end the use, declare a conduit, or approve it anew with an end.",
        ),
        (Some(end), _) => tell(
            Kind::Expired,
            format!("has ended {} ago and is still in the file.", days(watched.last.since(end))),
            "Take it out, or give it a new end with a new approval.",
        ),
        (None, true) => {
            let left = rule.valid_until().map(|end| end.since(watched.last)).filter(|left| *left <= DAY * NOTICE_DAYS);
            if let Some(left) = left {
                tell(
                    Kind::ExceptionEnds,
                    format!("ends in {}.", days(left)),
                    "Decide before it ends: take away the need for it, or approve it anew.",
                );
            }
        }
        (None, false) => {}
    }
    match state {
        State::NotObservable => tell(
            Kind::NotObservable,
            "joins zones that no tap sees: nothing can be said of its use.".to_owned(),
            "Place a tap at one of its ends, or write in notes how it is watched otherwise.",
        ),
        State::Unused(days) => tell(
            Kind::Unused,
            format!("was not used for {days} days; it may idle for {}.", rule.max_idle_days),
            "Ask its owner whether it is still needed, and take it out if not.",
        ),
        _ => {}
    }
    // Not a day's traffic says which rights are needed: as long as a conduit may idle, a right of it may.
    if watched.days_before(watched.last, rule.max_idle_days) {
        let Needed { unused, narrower } = needed(policy, rule, uses);
        if !unused.is_empty() {
            tell(
                Kind::RightUnused,
                format!("has rights that nobody used: {}.", unused.join("; ")),
                &format!("Narrow it: allow = [{}]", narrower.join(", ")),
            );
        }
    }
    if let (Some(longest), false) = (rule.max_silence, state == State::NotObservable) {
        let silences = silences(watched, number, rule, &policy.time_zone);
        let (heard, deaf): (Vec<Silence>, Vec<Silence>) = silences.into_iter().partition(|one| one.deaf.is_none());
        let word = if rule.period.is_some() { "periodic" } else { "continuous" };
        if let Some(text) = silent(policy, watched, &heard) {
            tell(
                Kind::Silent,
                format!("is {word} and {text}; {} is the longest.", span(longest)),
                "Look whether the sender runs and the link is up.",
            );
        }
        if let Some(text) = silent(policy, watched, &deaf) {
            let stopped = deaf.iter().any(|one| one.deaf == Some(Deaf::Stopped));
            let why = if stopped { "gave no frames at all" } else { "lost frames" };
            tell(
                Kind::Loss,
                format!("is {word} and {text}, while the tap {why}: it may not have been silent."),
                "Look whether the mirror port, its link and the sensor keep up.",
            );
        }
    }
    let overran = overruns(rule, &sessions(watched, number));
    if !overran.is_empty() {
        let mut told: Vec<String> = overran.iter().take(NAMED).map(|overrun| overrun.says(policy)).collect();
        told.extend(overran.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("{more} more")));
        tell(
            Kind::Overrun,
            format!("is remote access, and sessions overran its limits: {}.", told.join("; ")),
            "Ask who was working then and whether the session was forgotten; end sessions that nobody needs.",
        );
    }
    for (client, last) in idle_clients(watched, number, rule) {
        found.push(Declaration {
            kind: Kind::RemoteIdle,
            subject: format!("{} {client}", rule.id),
            is_rule: false,
            at: Some(rule.at),
            what: format!(
                "{client} (known by its address: no account was read) used {what} {} last {} ago; remote access may \
                 idle for {} days.",
                rule.id,
                days(watched.last.since(last)),
                rule.max_idle_days
            ),
            do_next: vec!["Disable the account or the address, or ask its owner why it is still needed.".to_owned()],
        });
    }
    let mut tell = |kind: Kind, text: String, step: &str| {
        found.push(of_this_rule(rule, what, kind, &text, step));
    };
    if let Some(have) = rule.sl_c {
        let need = pairs(policy, rule).into_iter().map(|(a, b)| a.sl_t.rdf().max(b.sl_t.rdf())).max().unwrap_or(0);
        if have.rdf() < need {
            tell(
                Kind::WeakConduit,
                format!("is capable of SL {} for restricted data flow where its ends need SL {need}.", have.rdf()),
                "Strengthen it, or write in compensating what makes up for it.",
            );
        }
    }
    if rule.remote_access && !has_broker(policy, rule) {
        tell(
            Kind::NoBroker,
            "is remote access with neither end in a DMZ or a remote-access zone.".to_owned(),
            "Let the session end at a jump host in such a zone, and begin anew there.",
        );
    }
}

fn of_this_rule(rule: &Rule, what: &str, kind: Kind, text: &str, step: &str) -> Declaration {
    Declaration {
        kind,
        subject: rule.id.clone(),
        is_rule: true,
        at: Some(rule.at),
        what: format!("{what} {} {text}", rule.id),
        do_next: vec![step.to_owned()],
    }
}

/// The longest of some silences, in words.
fn silent(policy: &Policy, watched: &Watched, silences: &[Silence]) -> Option<String> {
    // Of equally long ones the first.
    let longest = silences.iter().rev().max_by_key(|silence| silence.to.since(silence.from))?;
    let long = span(longest.to.since(longest.from));
    let mut text = if longest.to == watched.last {
        format!("has been silent for {long}")
    } else {
        format!("was silent for {long} from {}", policy.clock(longest.from))
    };
    match silences.len() {
        0 | 1 => {}
        2 => text.push_str(" and once more"),
        many => text.push_str(&format!(" and {} times more", many - 1)),
    }
    Some(text)
}

/// More was lost than a capture may lose: bytes that TCP shows to be missing, or frames that the capture says it lost.
fn loss(policy: &Policy, watched: &Watched) -> Option<Declaration> {
    let share = |lost: u64, seen: u64| {
        let all = u128::from(lost.saturating_add(seen)).max(1);
        let above = u128::from(lost) * 1000 > all * LOSS_PER_MILLE;
        above.then(|| (u128::from(lost) * 1000).div_ceil(all))
    };
    let bytes = (watched.watch.lost_bytes, watched.payload);
    let told = [
        (bytes, "bytes of TCP were on the wire and not captured"),
        (watched.lost, "frames were lost by the card or the system that captured them"),
    ]
    .map(|((lost, seen), what)| {
        share(lost, seen).map(|share| format!("{lost} {what}, {}.{} % of all", share / 10, share % 10))
    });
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| Declaration {
        kind: Kind::Loss,
        subject: policy.site.clone(),
        is_rule: false,
        at: None,
        what: format!("{}: what did not happen and what was not seen cannot be told apart.", told.join("; ")),
        do_next: vec!["Look whether the mirror port, its link and the sensor keep up.".to_owned()],
    })
}

fn has_broker(policy: &Policy, rule: &Rule) -> bool {
    let ends = zones(policy, &rule.from, &rule.from_homes).into_iter().chain(zones(policy, &rule.to, &rule.to_homes));
    let broker = |zone: ZoneId| matches!(policy.zone(zone).kind, Some(ZoneKind::Dmz | ZoneKind::RemoteAccess));
    ends.into_iter().any(broker)
}

fn of_zone(policy: &Policy, id: ZoneId, zone: &Zone, found: &mut Vec<Declaration>) {
    let Some(at) = zone.at else { return };
    let mut tell = |kind: Kind, what: String, step: &str| {
        found.push(Declaration {
            kind,
            subject: zone.id.clone(),
            is_rule: false,
            at: Some(at),
            what,
            do_next: vec![step.to_owned()],
        });
    };
    if !policy.taps.is_empty() && !policy.zone_is_seen(id) {
        tell(
            Kind::NotObservable,
            format!("Zone {} is seen by no tap: what happens inside it is not known.", zone.id),
            "Place a tap in it, or write in notes how it is watched otherwise.",
        );
    }
    if let Some(consequence) = zone.consequence {
        let (wanted, have) = (security_level(consequence), zone.sl_t.0.into_iter().max().unwrap_or(0));
        if wanted.abs_diff(have) >= DIVERGENCE {
            tell(
                Kind::Diverges,
                format!(
                    "Zone {} has the consequence {} and a highest SL-T of {have}; others of that consequence have {wanted}.",
                    zone.id,
                    consequence.text()
                ),
                "Look at the risk assessment again: one of the two is likely wrong.",
            );
        }
    }
}

/// The security level that a consequence alone would suggest, in the order of both.
fn security_level(consequence: Consequence) -> u8 {
    match consequence {
        Consequence::Minimal => 1,
        Consequence::ProductionDegradation => 2,
        Consequence::ProductionOutage => 3,
        Consequence::MajorIncident => 4,
    }
}

fn days(duration: Duration) -> String {
    match duration.as_secs() / DAY.as_secs() {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

pub(super) fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => days(duration),
    }
}
