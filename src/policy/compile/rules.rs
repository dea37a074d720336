//! Conduits, exceptions, denies, ignores and translations, and what may not be in them.

use ahash::AHashMap;

use crate::address::Address;
use crate::flow::key::Transport;
use crate::policy::diagnostic::{Diagnostic, Span, did_you_mean};
use crate::policy::file::{self, Initiate};
use crate::policy::kind::Kind;
use crate::policy::membership::Interval;
use crate::policy::model::{Allow, Carried, Deny, End, Ignore, Rule};
use crate::policy::read::At;
use crate::policy::window::{Schedule, instant};
use crate::policy::word::{Classes, Id};

use super::Compiler;

impl Compiler<'_> {
    pub(super) fn denies(&mut self, entries: Vec<file::Deny>) -> Vec<Deny> {
        let entries = self.with_ids(entries, "deny", |deny| &deny.id);
        let mut denies = Vec::new();
        for (id, entry) in entries {
            self.statement(&id);
            denies.push(Deny {
                from: self.side("from", &entry, entry.from.as_ref()),
                to: self.side("to", &entry, entry.to.as_ref()),
                except_from: self.ends(&entry.except_from),
                protocols: entry
                    .protocols
                    .as_ref()
                    .map(|list| list.iter().filter_map(|word| self.protocol_number(word)).collect()),
                classes: entry.ops.as_ref().map(|list| list.iter().fold(Classes::default(), |a, b| a.or(*b))),
                id: id.value.0,
                reason: entry.reason,
            });
        }
        denies
    }

    pub(super) fn ignores(&mut self, entries: Vec<file::Ignore>) -> Vec<Ignore> {
        let entries = self.with_ids(entries, "ignore", |ignore| &ignore.id);
        let mut ignores = Vec::new();
        for (id, entry) in entries {
            self.statement(&id);
            let mut protocols = Vec::new();
            if entry.protocols.as_ref().is_none_or(Vec::is_empty) && !entry.told("protocols") {
                let error = Diagnostic::error(id.at, format!("{} would hide every protocol", id.value.0))
                    .kind(Kind::IgnoreHidesChanges);
                self.reader.found.push(error.help("write protocols = [\"llmnr\", \"mdns\"]"));
            }
            for word in entry.protocols.iter().flatten() {
                let Some(number) = self.protocol_number(word) else { continue };
                let hides = self.protocols.get(number as usize).is_some_and(|protocol| {
                    let classes = Classes::OPERATE.or(Classes::ENGINEER);
                    protocol.operations || protocol.class.is_some_and(|class| classes.contains(class))
                });
                if hides {
                    let error = Diagnostic::error(
                        word.at,
                        format!("ignoring {} would hide writes and programming", word.value),
                    )
                    .kind(Kind::IgnoreHidesChanges);
                    self.reader.found.push(error.help("declare it with a conduit, or inside the zone"));
                }
                protocols.push(number);
            }
            ignores.push(Ignore {
                from: self.side("from", &entry, entry.from.as_ref()),
                to: self.side("to", &entry, entry.to.as_ref()),
                protocols,
                id: id.value.0,
            });
        }
        ignores
    }

    pub(super) fn rules(
        &mut self,
        entries: Vec<file::Conduit>,
        exception: bool,
        denies: &[Deny],
        defaults: Option<&file::Defaults>,
    ) -> Vec<Rule> {
        let what = if exception { "exception" } else { "conduit" };
        let entries = self.with_ids(entries, what, |entry| &entry.id);
        let mut rules = Vec::new();
        for (id, entry) in entries {
            self.statement(&id);
            self.dates(&id, &entry, exception, defaults);
            let from = self.side("from", &entry, entry.from.as_ref());
            let to = self.side("to", &entry, entry.to.as_ref());
            let allow: Vec<Allow> = entry.allow.iter().filter_map(|table| self.allow(table)).collect();
            self.reach(&id, &entry, &from, &to);
            if entry.one_way {
                self.diode(&entry, &allow);
            }
            let overrides = self.overrides(&entry, exception, denies);
            let words = |side: &Option<At<Vec<At<String>>>>| {
                side.iter().flat_map(|words| &words.value).map(|word| word.value.clone()).collect()
            };
            let date = |when: &Option<At<_>>, end| when.as_ref().and_then(|at| instant(at.value, end, &self.time_zone));
            let idle =
                if entry.remote_access { 30 } else { defaults.and_then(|table| table.max_idle_days).unwrap_or(90) };
            let schedule = Schedule {
                from: date(&entry.valid_from, false),
                until: date(&entry.valid_until, true),
                windows: entry.windows.clone(),
            };
            let period =
                entry.period.filter(|_| entry.expect == Some(super::super::file::Expect::Periodic)).map(|span| span.0);
            rules.push(Rule {
                name: entry.name.clone().unwrap_or_else(|| id.value.0.clone()),
                exception,
                owner: entry.owner.clone().or_else(|| entry.risk_owner.as_ref().map(|owner| owner.value.clone())),
                ticket: entry.ticket.clone(),
                reason: entry.reason.clone(),
                from_words: words(&entry.from),
                to_words: words(&entry.to),
                one_way: entry.one_way,
                ephemeral: entry.ephemeral,
                remote_access: entry.remote_access,
                max_idle_days: entry.max_idle_days.unwrap_or(idle),
                max_session: entry.max_session.map(|span| span.0),
                max_idle: entry.max_idle.map(|span| span.0),
                max_concurrent: entry.max_concurrent,
                period,
                max_silence: entry.max_silence.map(|span| span.0).or(period.map(|period| period + period / 2)),
                sl_t: entry.sl_t,
                sl_c: entry.sl_c,
                approved_by: entry.approved_by.iter().flat_map(|names| names.value.clone()).collect(),
                compensating: entry.compensating.clone(),
                logging: entry.logging.clone(),
                inspected_by: entry.inspected_by.clone(),
                at: id.at,
                from,
                to,
                via: entry.via.iter().filter_map(|word| self.asset_named(word)).collect(),
                exact: entry.exact,
                initiate: entry.initiate.unwrap_or(Initiate::From),
                allow,
                schedule,
                overrides,
                from_homes: Vec::new(),
                to_homes: Vec::new(),
                id: id.value.0,
            });
        }
        rules
    }

    pub(super) fn dates(
        &mut self,
        id: &At<Id>,
        entry: &file::Conduit,
        exception: bool,
        defaults: Option<&file::Defaults>,
    ) {
        let name = &id.value.0;
        let begin = entry.valid_from.as_ref().and_then(|at| instant(at.value, false, &self.time_zone));
        let end = entry.valid_until.as_ref().and_then(|at| instant(at.value, true, &self.time_zone));
        if exception && entry.valid_until.is_none() && !entry.told("valid_until") {
            let error =
                Diagnostic::error(id.at, format!("exception {name} has no end")).kind(Kind::ExceptionWithoutEnd);
            self.reader.found.push(error.help("write valid_until = 2026-12-31; what is allowed for good is a conduit"));
        }
        let dates_told = entry.told("valid_from") || entry.told("valid_until");
        if entry.ephemeral && (begin.is_none() || end.is_none()) && !dates_told {
            let error = Diagnostic::error(id.at, format!("{name} is ephemeral but not bounded in time"))
                .kind(Kind::UnboundedEphemeral);
            self.reader.found.push(error.help("write valid_from and valid_until"));
        }
        let (Some(begin), Some(end)) = (begin, end) else { return };
        let at = entry.valid_until.as_ref().map_or(id.at, |until| until.at);
        if end <= begin {
            self.error(at, format!("{name} ends before it begins"));
        }
        const DAY: u64 = 86_400;
        let length = end.since(begin).as_secs();
        let longest = u64::from(defaults.and_then(|table| table.exception_max_days).unwrap_or(180));
        if exception && length > longest * DAY {
            let error = Diagnostic::error(at, format!("exception {name} lasts {} days", length.div_ceil(DAY)))
                .kind(Kind::ExceptionTooLong);
            self.reader.found.push(error.help(format!("the longest is {longest} days (defaults.exception_max_days)")));
        }
        if entry.ephemeral && length > DAY {
            self.reader.found.push(Diagnostic::warning(
                Kind::LongEphemeral,
                at,
                format!("{name} is ephemeral and lasts longer than a day"),
            ));
        }
    }

    /// `any` is a wide word: a warning, and an error where it reaches a safety zone.
    pub(super) fn reach(&mut self, id: &At<Id>, entry: &file::Conduit, from: &[End], to: &[End]) {
        let safe = |end: &End| match end {
            End::Zone(zone) => self.zones.get(usize::from(zone.0)).is_some_and(|zone| zone.safety),
            End::Asset(asset) => {
                let zone = self.assets.get(asset.0 as usize).and_then(|asset| asset.zone);
                zone.and_then(|zone| self.zones.get(usize::from(zone.0))).is_some_and(|zone| zone.safety)
            }
            _ => false,
        };
        let name = &id.value.0;
        let (from_any, to_any) = (from.contains(&End::Any), to.contains(&End::Any));
        let at = |words: &Option<At<Vec<At<String>>>>| words.as_ref().map_or(id.at, |words| words.at);
        let found = if from_any && to.iter().any(safe) {
            Diagnostic::error(at(&entry.from), format!("{name} opens a safety zone to anybody"))
                .kind(Kind::AnyToSafety)
                .help("name the zones and assets that may reach it")
        } else if from_any || to_any {
            let side = if from_any { &entry.from } else { &entry.to };
            Diagnostic::warning(
                Kind::AnyEnd,
                at(side),
                format!("{name} speaks of any zone, external and unknown included"),
            )
            .help("name the zones that are meant")
        } else {
            return;
        };
        self.reader.found.push(found);
    }

    /// TCP needs answers, which a one-way conduit does not carry.
    pub(super) fn diode(&mut self, entry: &file::Conduit, allow: &[Allow]) {
        let tcp = |allow: &Allow| match allow.protocol {
            Carried::Transport(transport) => transport == Transport::Tcp,
            Carried::Protocol(number) => self.protocols.get(number as usize).is_some_and(|protocol| {
                !protocol.carriers.is_empty()
                    && protocol.carriers.iter().all(|(transport, _)| *transport == Transport::Tcp)
            }),
        };
        let wrong: Vec<Span> =
            entry.allow.iter().zip(allow).filter(|(_, allow)| tcp(allow)).map(|(table, _)| table.at).collect();
        for at in wrong {
            let error =
                Diagnostic::error(at, "a one-way conduit cannot carry TCP, which needs answers").kind(Kind::OneWayTcp);
            self.reader.found.push(error.help("name what crosses the diode (often udp with ports), or drop one_way"));
        }
    }

    pub(super) fn overrides(&mut self, entry: &file::Conduit, exception: bool, denies: &[Deny]) -> Vec<u32> {
        if !exception {
            let only = [
                ("risk_owner", entry.risk_owner.as_ref().map(|owner| owner.at)),
                ("approved_by", entry.approved_by.as_ref().map(|names| names.at)),
                ("overrides", entry.overrides.as_ref().map(|ids| ids.at)),
            ];
            for (key, at) in only {
                if let Some(at) = at {
                    let error = Diagnostic::error(at, format!("\"{key}\" belongs to an exception, not to a conduit"));
                    self.reader.found.push(error.kind(Kind::ConflictingKeys));
                }
            }
            return Vec::new();
        }
        let mut numbers = Vec::new();
        for word in entry.overrides.iter().flat_map(|ids| &ids.value) {
            match (0..).zip(denies).find(|(_, deny)| deny.id == word.value) {
                Some((number, _)) => numbers.push(number),
                None => {
                    let error = Diagnostic::error(word.at, format!("no deny is called \"{}\"", word.value))
                        .kind(Kind::UnknownName);
                    let near = did_you_mean(&word.value, denies.iter().map(|deny| deny.id.as_str()));
                    self.reader.found.push(match near {
                        Some(near) => error.label(format!("did you mean \"{near}\"?")),
                        None => error,
                    });
                }
            }
        }
        numbers
    }

    pub(super) fn translations(
        &mut self,
        nats: &[file::Nat],
        assets: &[(At<Id>, file::Asset)],
    ) -> (Vec<(Interval, Interval)>, AHashMap<Address, Address>) {
        let mut pairs: Vec<(Interval, Interval)> = Vec::new();
        for nat in nats {
            if let Some(device) = &nat.device {
                self.asset_named(device);
            }
            let (Some(outside), Some(inside)) = (&nat.outside, &nat.inside) else {
                if !nat.told("outside") && !nat.told("inside") {
                    let error = Diagnostic::error(nat.at, "an address translation has outside and inside");
                    self.reader.found.push(error.kind(Kind::MissingKey));
                }
                continue;
            };
            let (Some(from), Some(to)) = (self.interval(outside), self.interval(inside)) else { continue };
            if from.size() != to.size() || from.v6 != to.v6 {
                let error = Diagnostic::error(inside.at, "outside and inside are not of one size");
                self.reader.found.push(error.related(outside.at, "outside"));
            } else if pairs.iter().any(|(old, _)| old.v6 == from.v6 && old.first <= from.last && from.first <= old.last)
            {
                self.error(outside.at, "this outside address is translated twice");
            } else {
                pairs.push((from, to));
            }
        }
        // A host that stands for others is judged in their place.
        let represented = assets
            .iter()
            .filter_map(|(_, asset)| Some((asset.ip.first()?.value, asset)))
            .flat_map(|(own, asset)| asset.represents.iter().map(move |other| (other.value, own)))
            .collect();
        (pairs, represented)
    }
}
