//! What the policy says of one operation.
//!
//! The packet path pays little: [`Policy::conversation`] once per flow finds what concerns the two sides, and
//! [`Conversation::judge`] once per distinct operation asks only that. A judgement holds until
//! [`Judgement::valid_until`].

use dissectors::{Class, Component, Mode, Object, Security, Token};

use super::boundary::Way;
use super::conversation::{Cast, Conversation, Without};
use super::file::{Default as Fallback, Inside, MidStream, Multicast};
use super::marking::Markings;
use super::matching::ObjectPattern;
use super::model::{Allow, Carried, Defaults, Minimum, Policy, Rule, ZoneId};
use super::protocol::Protocol;
use super::rate::Table;
use super::reason::Reason;
use super::verdict::{Qualifier, Qualifiers, Stage, Verdict};
use super::word::{Classes, Ports};
use crate::address::{Address, Mac};
use crate::time::Timestamp;

/// One distinct operation, or the flow itself when no operation is known.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The protocol that the bytes confirmed.
    pub protocol: Option<&'a str>,
    /// Payload was seen that the protocol of the port is not, and nothing else known either.
    pub unidentified: bool,
    /// What kind of operation; none: not known, and the protocol's own class counts.
    pub class: Option<Class>,
    /// The protocol's code as text; see the contract.
    pub code: &'a str,
    /// The part of the server that is addressed.
    pub component: Option<Component<'a>>,
    /// What it reads, writes or calls.
    pub objects: &'a [Object<'a>],
    /// A reply whose request was not seen: its objects and component cannot be known.
    pub orphan: bool,
    /// Frames of the conversation were cut by the snap length.
    pub truncated: bool,
    /// How it is protected.
    pub security: Protection<'a>,
    /// The payload is encrypted.
    pub opaque: bool,
    /// Operations per second, where somebody says so: a question to the policy, no measurement.
    pub rate: Option<f64>,
    /// Bytes per second, likewise.
    pub byte_rate: Option<f64>,
    /// Tables whose rate the two sides have used up at that time.
    pub spent: &'a [Table],
    /// How the packets of the side that asks were marked so far.
    pub marked: Markings,
    /// By which way it went, for the check of the boundary. None: nobody asks.
    pub way: Option<Way>,
    /// No answer, a reset, or an ICMP prohibition.
    pub blocked: bool,
    /// When, by the packet.
    pub at: Timestamp,
}

impl Request<'_> {
    /// A flow of which nothing is known but when.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self {
            protocol: None,
            unidentified: false,
            class: None,
            code: "",
            component: None,
            objects: &[],
            orphan: false,
            truncated: false,
            security: Protection::default(),
            opaque: false,
            rate: None,
            byte_rate: None,
            spent: &[],
            marked: Markings::default(),
            way: None,
            blocked: false,
            at,
        }
    }
}

/// Protection as far as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection<'a> {
    /// Of the messages.
    pub mode: Option<Mode>,
    /// The security policy's name.
    pub policy: Option<&'a str>,
    /// How the user signed on.
    pub token: Option<Token>,
    /// Version of the protecting protocol: TLS `1.2`, SNMP `3`.
    pub version: Option<&'a str>,
}

impl<'a> From<Security<'a>> for Protection<'a> {
    fn from(security: Security<'a>) -> Self {
        Self { mode: security.mode, policy: security.policy, token: security.token, version: None }
    }
}

/// The statement that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statement {
    /// A conduit or exception, by its number in [`Policy::rules`].
    Rule(u32),
    /// The inside list of a zone.
    Inside(ZoneId),
    /// A deny.
    Deny(u32),
    /// An ignore.
    Ignore(u32),
}

/// What the policy says of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is a finding.
    pub reason: Option<Reason>,
    /// What allowed it, or came nearest to.
    pub statement: Option<Statement>,
    /// Where the nearest candidate failed.
    pub stage: Option<Stage>,
    /// What a reader should know besides.
    pub qualifiers: Qualifiers,
    /// The table that decided, where it declares a rate: it is to be counted there.
    pub limited: Option<Table>,
    /// The class it was judged as.
    pub class: Class,
    /// The answer for the same operation does not change before this instant.
    pub valid_until: Timestamp,
}

impl Judgement {
    /// Orders by gravity: of a flow's operations the worst is the flow's verdict.
    #[must_use]
    pub fn rank(&self, policy: &Policy) -> (Verdict, i32) {
        (self.verdict, policy.weights.class(self.class))
    }
}

/// A request with what the policy knows of its protocol.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) class: Class,
    /// The confirmed protocol, by number.
    number: Option<u32>,
    /// Confirmed, and one whose operations are told apart.
    decoded: bool,
    /// A code that every right to the protocol implies.
    setup: bool,
}

impl Conversation {
    /// The zones of the two sides; for multicast the second is the one it was seen in.
    #[must_use]
    pub fn zones(&self) -> (ZoneId, ZoneId) {
        (self.client.zone, self.destination)
    }

    /// How sure the zones of the two sides and the direction are, in per cent.
    #[must_use]
    pub fn confidence(&self) -> u8 {
        let sides = self.client.by.confidence().min(self.server.by.confidence());
        let inferred = self.qualifiers.has(Qualifier::InitiatorInferred);
        if inferred { sides.saturating_sub(20) } else { sides }
    }

    /// Judges one operation. What a draft would allow is to be reviewed, without a reason to object: traffic that was
    /// seen is not traffic that was approved.
    #[must_use]
    pub fn judge(&self, policy: &Policy, request: &Request<'_>) -> Judgement {
        let judgement = self.judge_as_approved(policy, request);
        let passes = matches!(judgement.verdict, Verdict::Allow | Verdict::Exception);
        let verdict = if policy.draft && passes { Verdict::Review } else { judgement.verdict };
        Judgement { verdict, ..judgement }
    }

    /// What the policy says of a tunnel around the conversation: nothing when its ends lie where the conversation's do.
    #[must_use]
    pub fn tunnel(&self, policy: &Policy, src: Address, dst: Address, at: Timestamp) -> Option<Judgement> {
        let zone = |address| policy.zone_at(policy.untranslated(address));
        let (from, to) = (self.client.zone, self.destination);
        let same = match (zone(src), dst.is_group()) {
            (outer, true) => [from, to].contains(&outer),
            (outer, false) => [[from, to], [to, from]].contains(&[outer, zone(dst)]),
        };
        (!same).then(|| self.noted(policy, Reason::Tunnel, at))
    }

    /// A violation that no operation is part of.
    #[must_use]
    pub fn noted(&self, policy: &Policy, reason: Reason, at: Timestamp) -> Judgement {
        let request = Request::at(at);
        let asked = Asked { class: Class::Unknown, ..self.asked(policy, &request) };
        self.finding(&asked, Verdict::Violation, reason)
    }

    fn judge_as_approved(&self, policy: &Policy, request: &Request<'_>) -> Judgement {
        let Some(reversed) = &self.reversed else { return self.judge_one(policy, request) };
        let (one, other) = (self.judge_one(policy, request), reversed.judge_one(policy, request));
        let valid_until = one.valid_until.min(other.valid_until);
        let best = if other.verdict < one.verdict { other } else { one };
        if !best.verdict.is_finding() {
            return Judgement { valid_until, ..best };
        }
        // Neither way passes. Nobody knows which one happened, so a person has to look.
        let worst = if other.rank(policy) > one.rank(policy) { other } else { one };
        Judgement { verdict: Verdict::Review, valid_until, ..worst }
    }

    fn judge_one(&self, policy: &Policy, request: &Request<'_>) -> Judgement {
        let asked = self.asked(policy, request);
        let mut judgement = self.decide(policy, &asked);
        judgement.valid_until = self
            .candidates
            .iter()
            .filter_map(|(number, _)| policy.rule(*number))
            .map(|rule| rule.schedule.steady_until(request.at, &policy.time_zone))
            .chain(self.retirements(policy).filter(|day| *day > request.at))
            .min()
            .unwrap_or(Timestamp::MAX);
        judgement
    }

    /// When the declared assets of the two sides were or will be retired.
    fn retirements<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = Timestamp> + 'p {
        let sides = [self.client.asset, self.server.asset].into_iter().flatten();
        sides.filter_map(|asset| policy.asset(asset)?.retired)
    }

    pub(super) fn asked<'a>(&self, policy: &Policy, request: &'a Request<'a>) -> Asked<'a> {
        let number = request.protocol.and_then(|name| policy.protocol_numbers.get(name).copied());
        let known = number.and_then(|number| policy.protocols.get(number as usize));
        let hinted = || policy.protocols.iter().find(|protocol| protocol.hinted(self.transport, self.port));
        let class = request.class.unwrap_or_else(|| match request.protocol {
            Some(_) => known.map_or(Class::Other, |known| Defaults::class(Some(known))),
            None => hinted().and_then(|protocol| protocol.class).unwrap_or(Class::Unknown),
        });
        Asked {
            request,
            class,
            number,
            decoded: known.is_some_and(|protocol| protocol.operations),
            setup: known.is_some_and(|protocol| protocol.setup.iter().any(|code| code == request.code)),
        }
    }

    fn decide(&self, policy: &Policy, asked: &Asked<'_>) -> Judgement {
        if let Some(ignore) = self.ignored(policy, asked) {
            return self.allowed(asked, Verdict::Ignore, Statement::Ignore(ignore));
        }
        let bad = if asked.request.blocked { Verdict::Attempt } else { Verdict::Violation };
        let changes = Classes::OPERATE.or(Classes::ENGINEER).contains(asked.class);
        if self.cast != Cast::Unicast {
            let leak = self.destination != self.client.zone;
            match policy.defaults.multicast {
                Multicast::SameZone if leak => return self.finding(asked, Verdict::Violation, Reason::MulticastLeak),
                Multicast::Deny => return self.finding(asked, Verdict::Violation, Reason::MulticastLeak),
                // A broadcast write is judged as a write: the zone's list is asked below.
                _ if changes => {}
                _ => return self.allowed(asked, Verdict::Allow, Statement::Inside(self.client.zone)),
            }
        }
        if let Some(denied) = self.denied(policy, asked, bad) {
            return denied;
        }
        // Being claimed by no zone is not being in one zone.
        let zoned = ![policy.external(), policy.unknown()].contains(&self.client.zone);
        if self.client.zone == self.destination && zoned {
            return self.inside(policy, asked, bad);
        }
        if !self.candidates.is_empty() {
            return self.by_rules(policy, asked, bad);
        }
        let (default, reason) = match self.without {
            Without::External => (policy.defaults.external, Reason::ExternalContact),
            Without::Unzoned => (policy.defaults.unzoned, Reason::UnzonedAddress),
            Without::Reverse(number) => {
                let one_way = policy.rule(number).is_some_and(|rule| rule.one_way);
                let reason = if one_way { Reason::DiodeReverse } else { Reason::WrongInitiator };
                return self.finding(asked, bad, reason).by(Statement::Rule(number));
            }
            Without::Near(number) => {
                return self.finding(asked, bad, Reason::EndpointNotListed).by(Statement::Rule(number));
            }
            Without::Nothing => (policy.defaults.inter_zone, Reason::UndeclaredConduit),
        };
        match default {
            Fallback::Deny => self.finding(asked, bad, reason),
            Fallback::Review => self.finding(asked, Verdict::Review, reason),
            Fallback::Allow => Judgement { reason: None, ..self.finding(asked, Verdict::Allow, reason) },
        }
    }

    pub(super) fn ignored(&self, policy: &Policy, asked: &Asked<'_>) -> Option<u32> {
        if Classes::OPERATE.or(Classes::ENGINEER).contains(asked.class) {
            return None;
        }
        self.ignores.iter().copied().find(|number| {
            let ignore = policy.ignores.get(*number as usize);
            ignore.is_some_and(|ignore| self.speaks_any(policy, asked, &ignore.protocols))
        })
    }

    /// The protocol that was confirmed is one of these, or the port hints at one of them when none was.
    fn speaks_any(&self, policy: &Policy, asked: &Asked<'_>, protocols: &[u32]) -> bool {
        match asked.request.protocol {
            Some(_) => protocols.iter().any(|number| policy.is_a(asked.number, *number)),
            None => protocols
                .iter()
                .filter_map(|number| policy.protocols.get(*number as usize))
                .any(|protocol| protocol.hinted(self.transport, self.port)),
        }
    }

    /// A deny whose ends cover both sides speaks of this protocol and operation.
    pub(super) fn matches_deny(&self, policy: &Policy, number: u32, asked: &Asked<'_>) -> bool {
        let Some(deny) = policy.denies.get(number as usize) else { return false };
        let protocol = deny.protocols.as_ref().is_none_or(|list| self.speaks_any(policy, asked, list));
        // Nothing was done by what was blocked, so a deny of operations has nothing to say.
        let operation = deny.classes.is_none_or(|classes| !asked.request.blocked && classes.contains(asked.class));
        protocol && operation
    }

    /// A deny that matches and that no exception beats.
    fn denied(&self, policy: &Policy, asked: &Asked<'_>, bad: Verdict) -> Option<Judgement> {
        let mut overridden = None;
        for number in self.denies.iter().filter(|number| self.matches_deny(policy, **number, asked)) {
            let beating = self.candidates.iter().map(|(rule, _)| *rule);
            let beating = beating.filter(|rule| policy.rule(*rule).is_some_and(|rule| rule.overrides.contains(number)));
            let mut exceeded = None;
            overridden = None;
            for statement in beating.map(Statement::Rule) {
                match self.passes(policy, statement, asked) {
                    Ok((qualifiers, place)) => {
                        overridden = Some((qualifiers, Table { statement, place }));
                        break;
                    }
                    // It would beat the deny, were it not for how often it was used.
                    Err((Stage::Rate, place)) => exceeded = exceeded.or(Some(Table { statement, place })),
                    Err(_) => {}
                }
            }
            match (overridden, exceeded) {
                (Some(_), _) => {}
                (None, Some(table)) => return Some(self.refused(asked, bad, Stage::Rate, policy, table)),
                (None, None) => {
                    return Some(self.finding(asked, bad, Reason::ExplicitDeny).by(Statement::Deny(*number)));
                }
            }
        }
        let (qualifiers, table) = overridden?;
        let judgement = self.passed(policy, asked, Verdict::Exception, table.statement, qualifiers);
        Some(Judgement { limited: limited(policy, table), ..judgement })
    }

    /// What a table of a statement allows but for a stage.
    fn refused(&self, asked: &Asked<'_>, bad: Verdict, stage: Stage, policy: &Policy, table: Table) -> Judgement {
        let finding = self.finding(asked, bad, stage.reason()).by(table.statement);
        let limited = if stage == Stage::Rate { limited(policy, table) } else { None };
        Judgement { stage: Some(stage), limited, ..finding }
    }

    fn inside(&self, policy: &Policy, asked: &Asked<'_>, bad: Verdict) -> Judgement {
        let zone = self.client.zone;
        let rules = &policy.zone(zone).inside;
        let default = rules.default.unwrap_or(policy.defaults.intra_zone);
        let statement = Statement::Inside(zone);
        let not_listed = self.finding(asked, bad, Reason::IntraZoneNotListed).by(statement);
        if rules.deny.iter().any(|allow| self.try_allow(policy, allow, asked).is_ok()) {
            return not_listed;
        }
        let refused = match self.passes(policy, statement, asked) {
            Ok((qualifiers, place)) => {
                let judgement = self.passed(policy, asked, Verdict::Allow, statement, qualifiers);
                return Judgement { limited: limited(policy, Table { statement, place }), ..judgement };
            }
            // It is on the list, with a condition that it does not keep.
            Err((stage @ (Stage::Security | Stage::Rate), place)) => {
                self.refused(asked, bad, stage, policy, Table { statement, place })
            }
            Err(_) => not_listed,
        };
        match default {
            Inside::Allow => self.passed(policy, asked, Verdict::Allow, statement, Qualifiers::default()),
            Inside::Review => Judgement { verdict: Verdict::Review, ..refused },
            Inside::Listed | Inside::Deny => refused,
        }
    }

    /// Any table of any candidate is enough; none: the one that got furthest says why.
    fn by_rules(&self, policy: &Policy, asked: &Asked<'_>, bad: Verdict) -> Judgement {
        let mut best = None;
        let mut furthest = None;
        for (number, specificity) in &self.candidates {
            let Some(rule) = policy.rule(*number) else { continue };
            // Conduits before exceptions, then the more specific, then the smaller id.
            let preference = (!rule.exception, *specificity, std::cmp::Reverse(*number));
            match self.passes(policy, Statement::Rule(*number), asked) {
                Ok(passed) => best = best.max(Some((preference, Aside(passed)))),
                Err((stage, place)) => furthest = furthest.max(Some((stage, preference, Aside(place)))),
            }
        }
        if let Some(((conduit, _, number), Aside((qualifiers, place)))) = best {
            let verdict = if conduit { Verdict::Allow } else { Verdict::Exception };
            let statement = Statement::Rule(number.0);
            let judgement = self.passed(policy, asked, verdict, statement, qualifiers);
            return Judgement { limited: limited(policy, Table { statement, place }), ..judgement };
        }
        let Some((mut stage, (.., number), Aside(place))) = furthest else {
            return self.finding(asked, bad, Reason::UndeclaredConduit);
        };
        if stage == Stage::Protocol && asked.request.protocol.is_some() && self.port_is_listed(policy, asked) {
            stage = Stage::Mismatch;
        }
        self.refused(asked, bad, stage, policy, Table { statement: Statement::Rule(number.0), place })
    }

    /// Some candidate lists this port, for another protocol.
    fn port_is_listed(&self, policy: &Policy, asked: &Asked<'_>) -> bool {
        let tables = self.candidates.iter().filter_map(|(number, _)| policy.rule(*number)).flat_map(|rule| &rule.allow);
        // What is the table's own fails by its VLAN or marking: that is no mismatch.
        let own = |allow: &&Allow| match allow.protocol {
            Carried::Protocol(number) => policy.may_be(asked.number, number),
            Carried::Transport(transport) => transport == self.transport,
        };
        let mut others = tables.into_iter().filter(|allow| !own(allow));
        others.any(|allow| match (&allow.ports, allow.protocol) {
            (Some(ports), _) => listed(ports, self.port),
            (None, Carried::Protocol(number)) => {
                let protocol = policy.protocols.get(number as usize);
                protocol.is_some_and(|protocol| !protocol.carriers.is_empty() && protocol.expects(self.port))
            }
            (None, Carried::Transport(_)) => false,
        })
    }

    /// One of a statement's tables passes every stage, and which; else the furthest that any got.
    fn passes(
        &self,
        policy: &Policy,
        statement: Statement,
        asked: &Asked<'_>,
    ) -> Result<(Qualifiers, u32), (Stage, u32)> {
        let mut furthest = (Stage::Protocol, 0);
        for (place, allow) in (0..).zip(policy.tables(statement)) {
            let spent = asked.request.spent.contains(&Table { statement, place });
            let failed = match self.try_table(policy, statement, allow, asked) {
                Ok(_) | Err(Stage::Boundary) if spent => Stage::Rate,
                Ok(qualifiers) => return Ok((qualifiers, place)),
                Err(stage) => stage,
            };
            if failed > furthest.0 {
                furthest = (failed, place);
            }
        }
        Err(furthest)
    }

    /// One table with the conditions of its statement.
    pub(super) fn try_table(
        &self,
        policy: &Policy,
        statement: Statement,
        allow: &Allow,
        asked: &Asked<'_>,
    ) -> Result<Qualifiers, Stage> {
        let mut qualifiers = self.try_allow(policy, allow, asked)?;
        let rule = match statement {
            Statement::Rule(number) => policy.rule(number),
            _ => None,
        };
        if let Some(rule) = rule {
            self.try_schedule(policy, rule, asked)?;
        }
        self.try_limits(allow, asked, &mut qualifiers)?;
        if let Some(rule) = rule {
            self.try_way(policy, rule, asked, &mut qualifiers)?;
        }
        Ok(qualifiers)
    }

    /// Protocol, operation and object of one table.
    pub(super) fn try_allow(&self, policy: &Policy, allow: &Allow, asked: &Asked<'_>) -> Result<Qualifiers, Stage> {
        let request = asked.request;
        let mut qualifiers = Qualifiers::default();
        let tagged = allow.vlan.is_none_or(|wanted| self.vlan.is_none_or(|vlan| vlan == wanted));
        let marked = allow.dscp.is_none_or(|wanted| request.marked.are_only(wanted));
        if !tagged || !marked {
            return Err(Stage::Protocol);
        }
        match allow.protocol {
            Carried::Transport(transport) => {
                let port = allow.ports.as_ref().is_none_or(|ports| listed(ports, self.port));
                if transport != self.transport || !port {
                    return Err(Stage::Protocol);
                }
            }
            Carried::Protocol(number) => {
                let protocol = policy.protocols.get(number as usize);
                let expected = |protocol: &Protocol| match &allow.ports {
                    Some(ports) => listed(ports, self.port),
                    None => protocol.expects(self.port),
                };
                let expected = protocol.is_some_and(expected);
                match request.protocol {
                    None => {
                        // Nothing decoded: by port, on a carrier of the protocol.
                        let carried = protocol.is_some_and(|protocol| {
                            protocol.carriers.iter().any(|(transport, _)| *transport == self.transport)
                        });
                        if !expected || !carried {
                            return Err(Stage::Protocol);
                        }
                    }
                    Some(_) if !policy.may_be(asked.number, number) => return Err(Stage::Protocol),
                    Some(_) if !expected && !allow.any_port => return Err(Stage::Mismatch),
                    Some(_) => {}
                }
            }
        }
        if request.opaque {
            qualifiers.add(Qualifier::OperationsHidden);
            return Ok(qualifiers);
        }
        if request.protocol.is_none() {
            if allow.looks_inside() && !request.blocked {
                qualifiers.add(Qualifier::OperationsHidden);
            }
            return Ok(qualifiers);
        }
        // Opening a session is implied by any right to the protocol.
        if asked.class == Class::Session || asked.setup || !(asked.decoded || request.class.is_some()) {
            return Ok(qualifiers);
        }
        let by_code = allow.codes.as_ref().map(|codes| codes.iter().any(|code| code.matches(request.code)));
        let by_class = allow.classes.map(|classes| classes.contains(asked.class));
        if !by_code.or(by_class).unwrap_or(true) {
            return Err(Stage::Operation);
        }
        if request.orphan && (allow.units.is_some() || allow.objects.is_some()) {
            qualifiers.add(Qualifier::ObjectsNotSeen);
            return Ok(qualifiers);
        }
        let unit = allow.units.as_ref().is_none_or(|units| units.iter().any(|unit| unit.matches(request.component)));
        let objects =
            allow.objects.as_ref().is_none_or(|list| ObjectPattern::all_covered(list, request.code, request.objects));
        if !unit || !objects {
            return Err(Stage::Object);
        }
        Ok(qualifiers)
    }

    /// Dates and windows.
    fn try_schedule(&self, policy: &Policy, rule: &Rule, asked: &Asked<'_>) -> Result<(), Stage> {
        let at = asked.request.at;
        match (rule.schedule.valid(at), rule.schedule.open(at, &policy.time_zone)) {
            (false, _) => Err(Stage::Validity),
            (true, false) => Err(Stage::Window),
            (true, true) => Ok(()),
        }
    }

    /// Security and rate.
    fn try_limits(&self, allow: &Allow, asked: &Asked<'_>, qualifiers: &mut Qualifiers) -> Result<(), Stage> {
        let request = asked.request;
        let minimum = allow.security.as_ref().filter(|_| request.protocol.is_some() && !asked.setup);
        if minimum.is_some_and(|minimum| !secure_enough(minimum, asked)) {
            return Err(Stage::Security);
        }
        if minimum.is_some_and(|minimum| minimum.version.is_some()) && request.security.version.is_none() {
            qualifiers.add(Qualifier::VersionNotSeen);
        }
        let above = |limit: Option<super::word::Rate>, measured: Option<f64>| {
            limit.zip(measured).is_some_and(|(limit, measured)| measured > limit.per_second())
        };
        if above(allow.max_rate, request.rate) || above(allow.max_bytes, request.byte_rate) {
            return Err(Stage::Rate);
        }
        Ok(())
    }

    /// The boundary devices.
    fn try_way(
        &self,
        policy: &Policy,
        rule: &Rule,
        asked: &Asked<'_>,
        qualifiers: &mut Qualifiers,
    ) -> Result<(), Stage> {
        if let (false, Some(way)) = (rule.via.is_empty(), asked.request.way) {
            let devices = rule.via.iter().filter_map(|device| policy.asset(*device));
            let macs: Vec<Mac> = devices.flat_map(|device| device.macs.iter().copied()).collect();
            match way.against(&macs) {
                Some(signs) if !signs.is_empty() => return Err(Stage::Boundary),
                Some(_) => {}
                None => qualifiers.add(Qualifier::BoundaryNotCheckable),
            }
        }
        Ok(())
    }

    fn finding(&self, asked: &Asked<'_>, verdict: Verdict, reason: Reason) -> Judgement {
        let mut qualifiers = self.qualifiers;
        if asked.request.truncated {
            qualifiers.add(Qualifier::Truncated);
        }
        Judgement {
            verdict,
            reason: Some(reason),
            statement: None,
            stage: None,
            limited: None,
            qualifiers,
            class: asked.class,
            valid_until: Timestamp::MAX,
        }
    }

    fn allowed(&self, asked: &Asked<'_>, verdict: Verdict, statement: Statement) -> Judgement {
        Judgement { reason: None, ..self.finding(asked, verdict, Reason::UndeclaredConduit).by(statement) }
    }

    /// Allowed, unless a side is not approved or the payload is nothing that is known.
    fn passed(
        &self,
        policy: &Policy,
        asked: &Asked<'_>,
        verdict: Verdict,
        statement: Statement,
        qualifiers: Qualifiers,
    ) -> Judgement {
        let mut judgement = self.allowed(asked, verdict, statement);
        judgement.qualifiers = judgement.qualifiers.or(qualifiers);
        let bad = if asked.request.blocked { Verdict::Attempt } else { Verdict::Violation };
        let mut object = |condition: bool, default: Fallback, reason: Reason| {
            let verdict = match default {
                Fallback::Allow => return,
                Fallback::Review => Verdict::Review,
                Fallback::Deny => bad,
            };
            if condition && verdict > judgement.verdict {
                judgement.verdict = verdict;
                judgement.reason = Some(reason);
            }
        };
        let retired = self.retirements(policy).any(|day| day <= asked.request.at);
        object(self.unapproved || retired, policy.defaults.unapproved, Reason::UnapprovedAsset);
        object(asked.request.unidentified, policy.defaults.unidentified, Reason::ProtocolMismatch);
        let inferred = self.qualifiers.has(Qualifier::InitiatorInferred);
        let review = inferred && policy.defaults.mid_stream == MidStream::Review;
        object(review, Fallback::Review, Reason::WrongInitiator);
        judgement
    }
}

impl Judgement {
    fn by(self, statement: Statement) -> Self {
        Self { statement: Some(statement), ..self }
    }
}

/// Rides along in a comparison without taking part in it.
#[derive(Clone, Copy)]
struct Aside<T>(T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<T> Eq for Aside<T> {}
impl<T> PartialOrd for Aside<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Aside<T> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

/// The table, where it declares a rate: what it decides about is counted there.
fn limited(policy: &Policy, table: Table) -> Option<Table> {
    policy.rates(table).map(|_| table)
}

fn listed(ports: &[Ports], port: u16) -> bool {
    ports.iter().any(|ports| ports.contains(port))
}

/// Whether the protection that was seen reaches the minimum. What was not seen does not reach it, but for a session
/// that is only being opened, for the user token, which is often hidden by the very encryption asked for, and for the
/// version, which only the start of a session tells.
fn secure_enough(minimum: &Minimum, asked: &Asked<'_>) -> bool {
    let seen = asked.request.security;
    if asked.class == Class::Session && seen == Protection::default() {
        return true;
    }
    let hidden = asked.request.opaque && seen.policy.is_some_and(|policy| !policy.eq_ignore_ascii_case("None"));
    let mode = seen.mode.or(hidden.then_some(Mode::SignAndEncrypt));
    let version = |have: &str| {
        // 1.2 is below 1.3, 2c below 3; what is not a number is compared as a word.
        let numbers = |text: &str| -> Vec<u32> {
            text.split('.').map(|part| part.trim_end_matches(char::is_alphabetic).parse().unwrap_or(0)).collect()
        };
        minimum.version.as_deref().is_none_or(|want| numbers(have) >= numbers(want))
    };
    minimum.mode.is_none_or(|want| mode.is_some_and(|mode| mode >= want))
        && minimum
            .policies
            .as_ref()
            .is_none_or(|list| seen.policy.is_some_and(|policy| list.iter().any(|known| known == policy)))
        && minimum.tokens.as_ref().is_none_or(|list| seen.token.is_none_or(|token| list.contains(&token)))
        && seen.version.is_none_or(version)
        && !(minimum.auth && seen.token == Some(Token::Anonymous))
}
