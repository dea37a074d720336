//! What became of each conduit: used as declared or not, by whom, and which of its rights nobody needed.
//!
//! Pure, and by packet time alone: "today" is the last packet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dissectors::Class;

use super::lint::zones;
use super::matching::{CodePattern, ObjectPattern};
use super::model::{Allow, Carried, Policy, Rule};
use super::reason::Reason;
use super::suggest::{Act, Talk, narrowest};
use super::verdict::Verdict;
use crate::flow::watch::Watch;
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

pub(super) const DAY: Duration = Duration::from_secs(86_400);

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

/// The review: one row for each conduit and exception, those that need a decision first.
#[must_use]
pub fn review<'a>(policy: &'a Policy, watched: &Watched) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> =
        (0..).zip(&policy.rules).map(|(number, rule)| row(policy, watched, number, rule)).collect();
    rows.sort_by(|a, b| (a.state, &a.rule.id).cmp(&(b.state, &b.rule.id)));
    rows
}

pub(super) fn row<'a>(policy: &'a Policy, watched: &Watched, number: u32, rule: &'a Rule) -> Row<'a> {
    let uses = watched.of(number);
    let passed = || uses.iter().filter(|used| used.passed());
    let span = passed().map(|used| (used.first, used.last)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
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
    let idle = match span {
        Some((_, last)) => watched.last.since(last),
        None => watched.last.since(watched.first),
    };
    let idle_days = idle.as_secs() / DAY.as_secs();
    let state = if rule.valid_until().is_some_and(|end| end <= watched.last) {
        State::Expired
    } else if !objections.is_empty() {
        State::Violated
    } else if span.is_none() && !policy.observable(rule) {
        State::NotObservable
    } else if idle >= DAY * rule.max_idle_days {
        State::Unused(idle_days)
    } else if span.is_none() {
        State::NeverSeen
    } else {
        State::Clean
    };
    // An operation's objects are those of all its messages, also of the ones that were objected to.
    let allowed: Vec<Talk> = passed().map(|used| policy.allowed_part(rule, &used.talk)).collect();
    let talks: Vec<&Talk> = allowed.iter().collect();
    let unused = if talks.is_empty() { Vec::new() } else { unused(policy, rule, &talks) };
    let narrower = if unused.is_empty() { Vec::new() } else { narrowest(&talks) };
    Row {
        rule,
        state,
        span,
        sessions: users.values().map(|user| user.sessions).sum(),
        operations,
        users: users.into_values().collect(),
        objections,
        unused,
        narrower,
    }
}

impl Policy {
    /// Whether some tap sees an end of a rule. Without a declared tap nothing is said of it, and it counts as seen.
    pub(super) fn observable(&self, rule: &Rule) -> bool {
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
