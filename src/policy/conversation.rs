//! What a policy has to say about two sides, found once a flow.

use super::file::{Initiate, ZoneKind};
use super::judge::Statement;
use super::membership::Member;
use super::model::{End, Policy, Rule, ZoneId};
use super::side::{Reach, Side};
use super::verdict::{Qualifier, Qualifiers};
use crate::flow::key::{Initiator, Transport};

/// To how many a packet goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cast {
    /// One host.
    #[default]
    Unicast,
    /// A group.
    Multicast,
    /// Everybody on the segment.
    Broadcast,
}

/// The two sides of a flow and what carries it.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// Who opened the session.
    pub client: Member<'a>,
    /// Who answers.
    pub server: Member<'a>,
    /// What carries it.
    pub transport: Transport,
    /// The server's port; 0 where there is none.
    pub port: u16,
    /// The VLAN it was seen on, for rules that name one.
    pub vlan: Option<u16>,
    /// How the client was told from the server.
    pub initiator: Initiator,
    /// One host, or many.
    pub cast: Cast,
    /// For multicast and broadcast: zones of the taps that saw it, [`Policy::seen_by`]. Empty: not known.
    pub seen_in: &'a [ZoneId],
    /// The inventory knows that nobody approved one of the two assets.
    pub unapproved: bool,
}

impl<'a> Ends<'a> {
    /// Two members of which only that they meet is known.
    #[must_use]
    pub fn between(client: Member<'a>, server: Member<'a>) -> Self {
        Self {
            client,
            server,
            transport: Transport::Ethertype(0),
            port: 0,
            vlan: None,
            initiator: Initiator::Seen,
            cast: Cast::Unicast,
            seen_in: &[],
            unapproved: false,
        }
    }
}

/// What a policy has to say about two sides, found once.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Who opened the session.
    pub client: Side,
    /// Who answers.
    pub server: Side,
    pub(super) transport: Transport,
    pub(super) port: u16,
    pub(super) vlan: Option<u16>,
    pub(super) cast: Cast,
    /// For multicast: the zone it leaked into, or its own.
    pub(super) destination: ZoneId,
    pub(super) qualifiers: Qualifiers,
    pub(super) unapproved: bool,
    pub(super) ignores: Vec<u32>,
    pub(super) denies: Vec<u32>,
    /// Rules whose ends cover both sides, with how specifically.
    pub(super) candidates: Vec<(u32, u8)>,
    pub(super) without: Without,
    /// The same with the sides exchanged, when nobody knows who opened.
    pub(super) reversed: Option<Box<Self>>,
}

/// What to say when no rule covers both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Without {
    External,
    Unzoned,
    Reverse(u32),
    Near(u32),
    Nothing,
}

impl Policy {
    /// Finds what concerns a flow.
    #[must_use]
    pub fn conversation(&self, ends: &Ends<'_>) -> Conversation {
        let client = Side::locate(self, &ends.client);
        let server = Side::locate(self, &ends.server);
        let undecided = ends.initiator == Initiator::Unknown && ends.cast == Cast::Unicast;
        let mut conversation = self.one_way(client, server, ends);
        if undecided {
            let turned = self.one_way(conversation.server.clone(), conversation.client.clone(), ends);
            conversation.reversed = Some(Box::new(turned));
        }
        conversation
    }

    fn one_way(&self, client: Side, server: Side, ends: &Ends<'_>) -> Conversation {
        let mut qualifiers = Qualifiers::default();
        let destination = match ends.cast {
            Cast::Unicast => server.zone,
            _ if ends.seen_in.is_empty() || ends.seen_in.contains(&client.zone) => client.zone,
            _ => ends.seen_in.iter().min().copied().unwrap_or(client.zone),
        };
        match ends.cast {
            Cast::Unicast => {}
            Cast::Multicast => qualifiers.add(Qualifier::Multicast),
            Cast::Broadcast => qualifiers.add(Qualifier::Broadcast),
        }
        match (ends.cast, ends.initiator) {
            (Cast::Unicast, Initiator::Inferred) => qualifiers.add(Qualifier::InitiatorInferred),
            (Cast::Unicast, Initiator::Unknown) => qualifiers.add(Qualifier::InitiatorUndecided),
            _ => {}
        }
        if ends.cast == Cast::Unicast && self.bypasses_dmz(client.zone, destination) {
            qualifiers.add(Qualifier::DmzBypass);
        }
        let server = Side { zone: destination, ..server };
        let asset_unapproved =
            [client.asset, server.asset].into_iter().flatten().filter_map(|id| self.asset(id)).any(|it| !it.approved);

        let ignores = (0..)
            .zip(&self.ignores)
            .filter(|(_, ignore)| {
                self.covers(&ignore.from, &client, Reach::Grant) > 0
                    && self.covers(&ignore.to, &server, Reach::Grant) > 0
            })
            .map(|(number, _)| number)
            .collect();
        let denies = (0..)
            .zip(&self.denies)
            .filter(|(_, deny)| {
                self.covers(&deny.to, &server, Reach::Whole) > 0
                    && self.covers(&deny.from, &client, Reach::Whole) > 0
                    && self.covers(&deny.except_from, &client, Reach::Grant) == 0
            })
            .map(|(number, _)| number)
            .collect();

        let asked = |to: &Side| self.index.rules(to, &self.zone(to.zone).chain);
        let forward: Vec<u32> = asked(&server);
        let backward: Vec<u32> = asked(&client);
        let rules = |numbers: &[u32]| -> Vec<(u32, &Rule)> {
            numbers.iter().filter_map(|number| Some((*number, self.rule(*number)?))).collect()
        };
        // How specifically a rule covers who opens and who answers; None: not both.
        let fit = |rule: &Rule, from: &Side, to: &Side| {
            let reach = if rule.exact { Reach::Exact } else { Reach::Grant };
            let (a, b) = (self.covers(&rule.from, from, reach), self.covers(&rule.to, to, reach));
            (a > 0 && b > 0).then(|| a.saturating_add(b))
        };
        let mut candidates = Vec::new();
        let mut reverse = None;
        let as_declared = rules(&forward).into_iter().map(|rule| (rule, false));
        for ((number, rule), turned) in as_declared.chain(rules(&backward).into_iter().map(|rule| (rule, true))) {
            let (from, to) = if turned { (&server, &client) } else { (&client, &server) };
            let Some(specificity) = fit(rule, from, to) else { continue };
            let may_open = match rule.initiate {
                Initiate::Either => true,
                Initiate::From => !turned,
                Initiate::To => turned,
            };
            if may_open {
                candidates.push((number, specificity));
            } else {
                // Rules stand in order of their ids, so the first is the same however the file is ordered.
                let graver =
                    reverse.is_none_or(|old: u32| rule.one_way && !self.rule(old).is_some_and(|old| old.one_way));
                if graver {
                    reverse = Some(number);
                }
            }
        }
        candidates.sort_unstable();
        candidates.dedup_by_key(|(number, _)| *number);
        // A conduit joins the same two zones for other assets.
        let near = || {
            let lies = |ends: &[End], homes: &[ZoneId], zone: ZoneId| {
                let named = |end: &End| matches!(end, End::Zone(named) if self.reaches(*named, zone, Reach::Grant));
                homes.contains(&zone) || ends.iter().any(named)
            };
            let joins = |rule: &Rule| {
                lies(&rule.from, &rule.from_homes, client.zone) && lies(&rule.to, &rule.to_homes, destination)
            };
            rules(&forward).into_iter().find(|(_, rule)| !rule.exception && joins(rule)).map(|(number, _)| number)
        };
        let zones = [client.zone, destination];
        let without = if zones.contains(&self.external()) {
            Without::External
        } else if zones.contains(&self.unknown()) {
            Without::Unzoned
        } else {
            reverse.map(Without::Reverse).or_else(|| near().map(Without::Near)).unwrap_or(Without::Nothing)
        };
        Conversation {
            transport: ends.transport,
            port: ends.port,
            vlan: ends.vlan,
            cast: ends.cast,
            destination,
            qualifiers,
            unapproved: ends.unapproved || asset_unapproved,
            ignores,
            denies,
            candidates,
            without,
            reversed: None,
            client,
            server,
        }
    }

    /// From level 4 or above, or untrusted, to level 3 or below, or back, with neither end a DMZ or broker.
    fn bypasses_dmz(&self, from: ZoneId, to: ZoneId) -> bool {
        if from == to || [from, to].contains(&self.unknown()) {
            return false;
        }
        let (from, to) = (self.zone(from), self.zone(to));
        let (high, low) = if from.level.unwrap_or(0) >= to.level.unwrap_or(0) { (from, to) } else { (to, from) };
        (high.untrusted || high.level.is_some_and(|level| level >= 40))
            && low.level.is_some_and(|level| level <= 30)
            && !matches!(low.kind, Some(ZoneKind::Dmz | ZoneKind::RemoteAccess))
    }

    /// The id of a statement as findings cite it: `C-031`, `zone:cell-a`.
    #[must_use]
    pub fn reference(&self, statement: Statement) -> String {
        let id = match statement {
            Statement::Rule(number) => self.rule(number).map(|rule| rule.id.clone()),
            Statement::Deny(number) => self.denies.get(number as usize).map(|deny| deny.id.clone()),
            Statement::Ignore(number) => self.ignores.get(number as usize).map(|ignore| ignore.id.clone()),
            Statement::Inside(zone) => Some(format!("zone:{}", self.zone(zone).id)),
        };
        id.unwrap_or_default()
    }

    /// The statement that findings cite so.
    #[must_use]
    pub fn statement(&self, reference: &str) -> Option<Statement> {
        let number = |place: usize| u32::try_from(place).ok();
        if let Some(zone) = reference.strip_prefix("zone:") {
            return self.zone_named(zone).map(Statement::Inside);
        }
        let rule = self.rules.iter().position(|rule| rule.id == reference).and_then(number).map(Statement::Rule);
        let deny = || self.denies.iter().position(|deny| deny.id == reference).and_then(number).map(Statement::Deny);
        let ignore = || self.ignores.iter().position(|one| one.id == reference).and_then(number).map(Statement::Ignore);
        rule.or_else(deny).or_else(ignore)
    }

    /// Why a deny is there, in its author's words.
    #[must_use]
    pub fn deny_reason(&self, statement: Statement) -> Option<&str> {
        match statement {
            Statement::Deny(number) => self.denies.get(number as usize)?.reason.as_deref(),
            _ => None,
        }
    }
}
