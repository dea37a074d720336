//! What became of each conduit: used as declared or not, by whom, and which of its rights nobody needed.
//!
//! Pure, and by packet time alone: "today" is the last packet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dissectors::Class;

use super::decisions::{Decision, Decisions};
use super::judge::Statement;
use super::lint::zones;
use super::matching::{CodePattern, ObjectPattern};
use super::model::{Allow, Carried, Policy, Rule, ZoneId};
use super::rate::{Measure, Peak};
use super::reason::Reason;
use super::remote::{idle_clients, sessions};
use super::suggest::{Act, Talk, narrowest};
use super::verdict::{Qualifier, Qualifiers, Verdict};
use crate::address::Address;
use crate::flow::watch::{Session, Watch};
use crate::time::Timestamp;

/// One conversation's part in a rule: what of it the rule allowed, or came nearest to allowing.
#[derive(Clone, Debug)]
pub struct Use {
    /// The conversation, with only those operations.
    pub talk: Talk,
    /// What was said of them.
    pub verdict: Verdict,
    /// Why it was objected to.
    pub reason: Option<Reason>,
    /// What to know besides.
    pub qualifiers: Qualifiers,
    /// What the operations did.
    pub class: Class,
    /// Messages.
    pub count: u64,
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
}

impl Use {
    /// The rule allowed it; in a draft, would have.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.reason.is_none() && self.verdict != Verdict::Ignore
    }
}

/// What is known of the time that was watched, and how rules were used in it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The first packet.
    pub first: Timestamp,
    /// The last packet.
    pub last: Timestamp,
    /// By the number of the rule in [`Policy::rules`].
    pub uses: BTreeMap<u32, Vec<Use>>,
    /// What the policy asked to be watched over time.
    pub watch: Watch,
    /// Bytes of payload of TCP that were captured.
    pub payload: u64,
    /// Frames that the captures lost, as they say themselves, and frames that they have.
    pub lost: (u64, u64),
}

impl Watched {
    pub(super) fn of(&self, rule: u32) -> &[Use] {
        self.uses.get(&rule).map_or(&[], Vec::as_slice)
    }

    /// Watched for at least so many days before a time.
    pub(super) fn days_before(&self, at: Timestamp, days: u32) -> bool {
        at.since(self.first) >= DAY * days
    }
}

/// What idleness is counted in.
pub const DAY: Duration = Duration::from_secs(86_400);

/// What became of a rule, that which needs a decision first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its end has passed.
    Expired,
    /// Used, and used for what it does not allow.
    Violated,
    /// Not used for at least as many days as it may idle.
    Unused(u64),
    /// Not used while packets were watched, which was not long enough to say more.
    NeverSeen,
    /// No tap sees either end.
    NotObservable,
    /// Used as declared.
    Clean,
}

impl State {
    /// The words of reports.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Expired => "expired".to_owned(),
            Self::Violated => "used with violations".to_owned(),
            Self::Unused(days) => format!("unused for {days} days"),
            Self::NeverSeen => "never seen".to_owned(),
            Self::NotObservable => "not observable".to_owned(),
            Self::Clean => "used clean".to_owned(),
        }
    }

    /// The same without numbers, which change with each capture: what a decision is remembered by.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Violated => "violated",
            Self::Unused(_) => "unused",
            Self::NeverSeen => "never-seen",
            Self::NotObservable => "not-observable",
            Self::Clean => "clean",
        }
    }
}

/// One row of the conduit review (reports.md, section 3).
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The conduit or exception.
    pub rule: &'a Rule,
    /// What became of it.
    pub state: State,
    /// First and last time it allowed something.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Connections that it allowed.
    pub sessions: u64,
    /// Messages that it allowed, by what they did.
    pub operations: BTreeMap<&'static str, u64>,
    /// Who used it: client, server, service, connections, first and last.
    pub users: Vec<User>,
    /// What was attempted in it and not allowed, by reason.
    pub objections: BTreeMap<Reason, u64>,
    /// Rights that nobody used, in words.
    pub unused: Vec<String>,
    /// The allow tables that would have been enough, as TOML.
    pub narrower: Vec<String>,
    /// Of the operations that it allowed, those whose limits could not be checked: they were hidden.
    pub not_verifiable: u64,
    /// For each rate that it declares: how fast it was.
    pub rates: Vec<RateSeen>,
    /// Protection that was seen.
    pub protection: BTreeSet<String>,
    /// Least security that it asks for.
    pub minimum: BTreeSet<String>,
    /// Whether what it allowed passed its boundary devices.
    pub boundary: Option<Boundary>,
    /// Exceptions between the same zones.
    pub exceptions: Vec<String>,
    /// Sessions of remote access.
    pub sessions_seen: Vec<Session>,
    /// Clients that have not used remote access for as long as it may idle.
    pub idle_clients: Vec<(Address, Timestamp)>,
    /// What was decided about it last.
    pub decision: Option<&'a Decision>,
    /// What did not come of that.
    pub follow_up: Option<&'static str>,
}

/// How fast a conduit was, of a rate that it declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateSeen {
    /// The most in one window of one client-server pair, and what is declared.
    pub peak: Peak,
    /// Whose.
    pub pair: (Address, Address),
    /// Of that pair, the mean of its windows, in hundredths.
    pub mean: u64,
}

/// What the frames say of the boundary devices of a conduit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Nothing went past them.
    NoBypass,
    /// So many messages did.
    Bypassed(u64),
    /// Their MAC addresses are not declared, or a conversation was seen on neither segment.
    NotCheckable,
}

impl Boundary {
    /// The words of reports.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::NoBypass => "no bypass seen".to_owned(),
            Self::Bypassed(count) => format!("bypassed {count} times"),
            Self::NotCheckable => {
                "boundary not checkable: neither segment was seen, or no MAC address of the devices is declared"
                    .to_owned()
            }
        }
    }
}

/// Who used a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// Who opened.
    pub client: String,
    /// Who answered.
    pub server: String,
    /// By what.
    pub service: String,
    /// Connections.
    pub sessions: u64,
    /// First packet.
    pub first: Timestamp,
    /// Last packet.
    pub last: Timestamp,
}

/// The review: one row for each conduit and exception, those that need a decision first. What was decided to be kept and
/// is as it was then comes last.
#[must_use]
pub fn review<'a>(policy: &'a Policy, watched: &Watched, decisions: &'a Decisions) -> Vec<Row<'a>> {
    let with_decision = |(number, rule): (u32, &'a Rule)| {
        let row = row(policy, watched, number, rule);
        let decision = decisions.of(&rule.id);
        Row { decision, follow_up: decision.and_then(|decision| decision.follow_up(&row)), ..row }
    };
    let mut rows: Vec<Row<'a>> = (0..).zip(&policy.rules).map(with_decision).collect();
    let settled = |row: &Row<'_>| row.decision.is_some_and(|decision| decision.settles(row.state));
    rows.sort_by_key(|row| (settled(row), row.follow_up.is_none(), row.state, &row.rule.id));
    rows
}

/// How fast the pairs of a rule were, for each rate that it declares: that of the fastest pair.
fn rates(watched: &Watched, number: u32) -> Vec<RateSeen> {
    let mut fastest: BTreeMap<(u32, Measure), RateSeen> = BTreeMap::new();
    for meter in watched.watch.rates().into_iter().filter(|meter| meter.table.statement == Statement::Rule(number)) {
        for (measure, gauge) in [(Measure::Operations, &meter.operations), (Measure::Bytes, &meter.bytes)] {
            let Some(gauge) = gauge.as_ref().filter(|gauge| gauge.total > 0) else { continue };
            let seen = RateSeen {
                peak: Peak { measure, most: gauge.most, limit: gauge.limit },
                pair: (meter.client.address, meter.server.address),
                mean: gauge.total.saturating_mul(100) / gauge.windows(),
            };
            let known = fastest.entry((meter.table.place, measure)).or_insert_with(|| seen.clone());
            if seen.peak.most > known.peak.most {
                *known = seen;
            }
        }
    }
    fastest.into_values().collect()
}

/// Exceptions that join zones which this conduit joins.
fn exceptions(policy: &Policy, rule: &Rule) -> Vec<String> {
    let zones_of = |rule: &Rule| {
        let ends = [(&rule.from, &rule.from_homes), (&rule.to, &rule.to_homes)];
        ends.map(|(ends, homes)| zones(policy, ends, homes).into_iter().collect::<BTreeSet<ZoneId>>())
    };
    let [from, to] = zones_of(rule);
    let meets = |exception: &&Rule| {
        let [other_from, other_to] = zones_of(exception);
        exception.id != rule.id && !from.is_disjoint(&other_from) && !to.is_disjoint(&other_to)
    };
    policy.rules.iter().filter(|rule| rule.exception).filter(meets).map(|rule| rule.id.clone()).collect()
}

/// The first and the last time that it was used as it allows.
fn span(uses: &[Use]) -> Option<(Timestamp, Timestamp)> {
    let passed = uses.iter().filter(|used| used.passed());
    passed.map(|used| (used.first, used.last)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// What became of a rule that was used so.
pub(super) fn state(policy: &Policy, watched: &Watched, rule: &Rule, uses: &[Use]) -> State {
    let span = span(uses);
    let idle = watched.last.since(span.map_or(watched.first, |(_, last)| last));
    if rule.valid_until().is_some_and(|end| end <= watched.last) {
        State::Expired
    } else if uses.iter().any(|used| used.reason.is_some()) {
        State::Violated
    } else if span.is_none() && !policy.is_observable(rule) {
        State::NotObservable
    } else if idle >= DAY * rule.max_idle_days {
        State::Unused(idle.as_secs() / DAY.as_secs())
    } else if span.is_none() {
        State::NeverSeen
    } else {
        State::Clean
    }
}

/// What of the rights of a rule was needed.
#[derive(Default)]
pub(super) struct Needed {
    /// Rights that nobody used. Nothing is said of a rule that was not used at all.
    pub(super) unused: Vec<String>,
    /// Where there are some: the tables that would have been enough.
    pub(super) narrower: Vec<String>,
}

/// The rights of a rule that its uses needed, and those that they did not.
pub(super) fn needed(policy: &Policy, rule: &Rule, uses: &[Use]) -> Needed {
    // An operation's objects are those of all its messages, also of the ones that were objected to.
    let passed = uses.iter().filter(|used| used.passed());
    let allowed: Vec<Talk> = passed.map(|used| policy.allowed_part(rule, &used.talk)).collect();
    let talks: Vec<&Talk> = allowed.iter().collect();
    let unused = if talks.is_empty() { Vec::new() } else { unused(policy, rule, &talks) };
    let narrower = if unused.is_empty() { Vec::new() } else { narrowest(&talks) };
    Needed { unused, narrower }
}

fn row<'a>(policy: &'a Policy, watched: &Watched, number: u32, rule: &'a Rule) -> Row<'a> {
    let uses = watched.of(number);
    let passed = || uses.iter().filter(|used| used.passed());
    let mut operations = BTreeMap::new();
    let mut users: BTreeMap<(String, String, String), User> = BTreeMap::new();
    for used in passed() {
        *operations.entry(used.class.text()).or_default() += used.count;
        let talk = &used.talk;
        let key = (talk.client.to_string(), talk.server.to_string(), talk.service());
        let user = User {
            client: key.0.clone(),
            server: key.1.clone(),
            service: key.2.clone(),
            sessions: talk.connections,
            first: talk.first.at,
            last: talk.last.at,
        };
        users.insert(key, user);
    }
    let mut objections: BTreeMap<Reason, u64> = BTreeMap::new();
    for used in uses {
        if let Some(reason) = used.reason {
            *objections.entry(reason).or_default() += used.count;
        }
    }
    let Needed { unused, narrower } = needed(policy, rule, uses);
    let hidden = |used: &&Use| used.qualifiers.has(Qualifier::OperationsHidden);
    let unchecked = || passed().any(|used| used.qualifiers.has(Qualifier::BoundaryNotCheckable));
    let boundary = match objections.get(&Reason::BoundaryBypass) {
        _ if rule.via.is_empty() || uses.is_empty() => None,
        Some(count) => Some(Boundary::Bypassed(*count)),
        None if unchecked() => Some(Boundary::NotCheckable),
        None => Some(Boundary::NoBypass),
    };
    Row {
        rule,
        state: state(policy, watched, rule, uses),
        not_verifiable: passed().filter(hidden).map(|used| used.count).sum(),
        rates: rates(watched, number),
        protection: uses.iter().filter_map(|used| used.talk.protection.clone()).collect(),
        minimum: rule.allow.iter().filter_map(|allow| allow.security.as_ref()).map(ToString::to_string).collect(),
        boundary,
        exceptions: exceptions(policy, rule),
        sessions_seen: sessions(watched, number),
        idle_clients: idle_clients(watched, number, rule),
        decision: None,
        follow_up: None,
        span: span(uses),
        sessions: users.values().map(|user| user.sessions).sum(),
        operations,
        users: users.into_values().collect(),
        objections,
        unused,
        narrower,
    }
}

impl Policy {
    /// The windows of a rule, as they are written.
    #[must_use]
    pub fn windows_of(&self, rule: &Rule) -> Vec<String> {
        rule.schedule.windows.iter().map(ToString::to_string).collect()
    }

    /// The boundary devices of a rule.
    #[must_use]
    pub fn via_of(&self, rule: &Rule) -> Vec<String> {
        rule.via.iter().filter_map(|device| self.asset(*device)).map(|device| device.id.clone()).collect()
    }

    /// The zones that a rule joins, each with its target security level for restricted data flow.
    #[must_use]
    pub fn targets_of(&self, rule: &Rule) -> Vec<(&str, u8)> {
        let ends = [zones(self, &rule.from, &rule.from_homes), zones(self, &rule.to, &rule.to_homes)].concat();
        let zones: BTreeSet<ZoneId> = ends.into_iter().collect();
        zones.into_iter().map(|zone| (self.zone(zone).id.as_str(), self.zone(zone).sl_t.rdf())).collect()
    }

    /// Whether some tap sees an end of a rule. Without a declared tap nothing is said of it, and it counts as seen.
    #[must_use]
    pub fn is_observable(&self, rule: &Rule) -> bool {
        if self.taps.is_empty() {
            return true;
        }
        let ends = zones(self, &rule.from, &rule.from_homes).into_iter().chain(zones(self, &rule.to, &rule.to_homes));
        let mut ends = ends.peekable();
        // An end that is no zone (any, external, an unzoned address) is not what taps speak of.
        ends.peek().is_none() || ends.any(|zone| self.zone_is_seen(zone))
    }

    /// Whether some tap sees a zone: itself, one around it, or one in it.
    pub(super) fn zone_is_seen(&self, zone: super::ZoneId) -> bool {
        let seen = self.taps.iter().flat_map(|tap| &tap.sees);
        seen.into_iter()
            .any(|seen| *seen == zone || self.zone(zone).chain.contains(seen) || self.zone(*seen).chain.contains(&zone))
    }
}

/// The rights of a rule that none of these conversations needed.
fn unused(policy: &Policy, rule: &Rule, talks: &[&Talk]) -> Vec<String> {
    let mut unused = Vec::new();
    for allow in &rule.allow {
        let name = allow.described(&policy.protocols);
        let mine: Vec<&Talk> = talks.iter().copied().filter(|talk| policy.speaks(allow, talk)).collect();
        if mine.is_empty() {
            unused.push(name);
            continue;
        }
        let acts: Vec<&Act> = mine.iter().flat_map(|talk| &talk.acts).collect();
        let ports = allow.ports.iter().flatten().filter(|ports| !mine.iter().any(|talk| ports.contains(talk.port)));
        unused.extend(ports.map(|port| format!("{name}: port {port}")));
        // What was encrypted may have been anything.
        if acts.is_empty() {
            continue;
        }
        let codes = allow.codes.iter().flatten();
        let code_used = |code: &&CodePattern| acts.iter().any(|act| code.matches(&act.code));
        let codes: Vec<String> = codes.filter(|code| !code_used(code)).map(ToString::to_string).collect();
        if !codes.is_empty() {
            unused.push(format!("{name}: functions {}", codes.join(", ")));
        }
        let session = |class: &Class| *class != Class::Session;
        let classes: Vec<&str> = Class::ALL
            .into_iter()
            .filter(|class| allow.codes.is_none() && allow.classes.is_some_and(|set| set.contains(*class)))
            .filter(session)
            .filter(|class| !acts.iter().any(|act| act.class == *class))
            .map(Class::text)
            .collect();
        if !classes.is_empty() {
            unused.push(format!("{name}: classes {}", classes.join(", ")));
        }
        let units: BTreeSet<&str> = acts.iter().map(|act| act.unit.as_deref().unwrap_or("255")).collect();
        let idle: Vec<&str> =
            allow.units.iter().flatten().map(|unit| unit.0.as_str()).filter(|unit| !units.contains(unit)).collect();
        if !idle.is_empty() {
            unused.push(format!("{name}: units {}", idle.join(", ")));
        }
        for object in allow.objects.iter().flatten() {
            if let Some(text) = object_unused(object, &acts) {
                unused.push(format!("{name}: {text}"));
            }
        }
    }
    unused
}

/// What of an object nobody touched.
fn object_unused(object: &ObjectPattern, acts: &[&Act]) -> Option<String> {
    match object {
        ObjectPattern::Range { space, from, to } => {
            let ranges = acts.iter().flat_map(|act| &act.ranges);
            let inside = ranges.filter(|(known, first, last)| known == space && from <= first && last <= to);
            let used = inside.map(|(_, first, last)| (*first, *last)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            match used {
                None => Some(format!("{object}, none of it")),
                Some((first, last)) if (first, last) != (*from, *to) => {
                    Some(format!("{object}, only {first} to {last} was used"))
                }
                Some(_) => None,
            }
        }
        ObjectPattern::Name { .. } | ObjectPattern::Class { .. } => {
            let touched = acts.iter().any(|act| {
                let names = act.names.iter().map(|(space, name)| (space.as_str(), name.as_str()));
                names.into_iter().any(|(space, name)| object.names(space, name)) || object.is_class_of(&act.code)
            });
            (!touched).then(|| format!("{object}, none of it"))
        }
    }
}

impl Policy {
    /// A conversation less the objects that no table of a rule covers.
    fn allowed_part(&self, rule: &Rule, talk: &Talk) -> Talk {
        let tables: Vec<&Allow> = rule.allow.iter().filter(|allow| self.speaks(allow, talk)).collect();
        let acts = talk.acts.iter().map(|act| {
            let lists = |allow: &&&Allow| match (&allow.codes, allow.classes) {
                (Some(codes), _) => codes.iter().any(|code| code.matches(&act.code)),
                (None, Some(classes)) => classes.contains(act.class),
                (None, None) => true,
            };
            let objects: Option<Vec<&ObjectPattern>> = tables
                .iter()
                .filter(lists)
                .map(|allow| allow.objects.as_deref())
                .collect::<Option<Vec<_>>>()
                .map(|all| all.into_iter().flatten().collect());
            match objects {
                // Some table asks for no objects.
                None => act.clone(),
                Some(patterns) => Act {
                    ranges: act.ranges.iter().flat_map(|range| common(range, &patterns)).collect(),
                    names: act
                        .names
                        .iter()
                        .filter(|(space, name)| patterns.iter().any(|pattern| pattern.names(space, name)))
                        .cloned()
                        .collect(),
                    ..act.clone()
                },
            }
        });
        Talk { acts: acts.collect(), ..talk.clone() }
    }

    /// Whether an allow table is about the protocol of a conversation.
    fn speaks(&self, allow: &Allow, talk: &Talk) -> bool {
        let port =
            |listed: bool| allow.ports.as_ref().map_or(listed, |ports| ports.iter().any(|p| p.contains(talk.port)));
        match allow.protocol {
            Carried::Transport(transport) => transport == talk.transport && port(true),
            Carried::Protocol(number) => {
                let Some(protocol) = self.protocols.get(number as usize) else { return false };
                match talk.protocol {
                    Some(name) => name == protocol.name,
                    None => port(protocol.expects(talk.port)),
                }
            }
        }
    }
}

/// What of a range lies in some pattern.
fn common((space, first, last): &(String, u64, u64), patterns: &[&ObjectPattern]) -> Vec<(String, u64, u64)> {
    let part = |pattern: &&ObjectPattern| match pattern {
        ObjectPattern::Range { space: known, from, to } if known == space => {
            let (first, last) = ((*first).max(*from), (*last).min(*to));
            (first <= last).then(|| (space.clone(), first, last))
        }
        ObjectPattern::Class { .. } => Some((space.clone(), *first, *last)),
        _ => None,
    };
    patterns.iter().filter_map(part).collect()
}
