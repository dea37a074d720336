//! What a good policy should not have: warnings, each with a way out.

use std::collections::{BTreeMap, BTreeSet};

use ahash::AHashSet;

use super::diagnostic::{Diagnostic, Span};
use super::file::ZoneKind;
use super::kind::Kind;
use super::membership::Wanted;
use super::model::{Allow, Asset, Carried, End, Policy, Rule, Zone, ZoneId};
use super::read::At;
use super::side::Reach;
use super::word::Classes;
use crate::inventory::{DefaultLevel, Role};

/// Looks over a policy that has been put together.
pub(super) fn lint(policy: &Policy, found: &mut Vec<Diagnostic>) {
    for rule in &policy.rules {
        owner(rule, found);
        same_zone(policy, rule, found);
        level_skip(policy, rule, found);
        safety_from_engineering(policy, rule, found);
        engineering(rule, found);
        engineering_from(policy, rule, found);
        time_from(policy, rule, found);
        security_level(policy, rule, found);
        boundary(policy, rule, found);
        clear_text(policy, rule, found);
        approvers(policy, rule, found);
    }
    within_another(policy, found);
    zones_without_members(policy, found);
    levels(policy, found);
    draft(policy, found);
}

/// Words of a purpose by what they are about. Words that go with any of them are not here.
const PURPOSES: &[(&str, &[&str])] = &[
    ("office", &["office", "offices", "erp", "mail", "email", "printing", "printers", "mes"]),
    ("supervision", &["scada", "hmi", "hmis", "historian", "operator", "operators", "supervision"]),
    (
        "control",
        &["plc", "plcs", "controller", "controllers", "control", "drives", "robots", "reactors", "boilers", "line"],
    ),
    ("engineering", &["engineering", "programming"]),
    ("safety", &["safety", "sis", "esd", "burner", "interlocks"]),
    ("remote access", &["vendor", "vendors", "vpn", "remote"]),
    ("video", &["camera", "cameras", "cctv", "video"]),
    ("guests", &["guest", "guests", "visitors"]),
];

/// A zone has one purpose. Around an "and" the words up to the next comma are looked at.
pub(super) fn purpose(purpose: &At<String>, found: &mut Vec<Diagnostic>) {
    let text = purpose.value.to_lowercase().replace('&', " and ");
    let about = |phrase: &str| -> BTreeSet<&str> {
        let words: AHashSet<&str> = phrase.split(|c: char| !c.is_alphanumeric()).collect();
        let is = |list: &[&str]| list.iter().any(|word| words.contains(word));
        PURPOSES.iter().filter(|(_, list)| is(list)).map(|(name, _)| *name).collect()
    };
    for phrase in text.split([',', ';', ':', '.', '(', ')']) {
        let Some((before, after)) = phrase.split_once(" and ") else { continue };
        let (one, other) = (about(before), about(after));
        if let (Some(first), Some(second), true) = (one.first(), other.first(), one.is_disjoint(&other)) {
            let text = format!("this zone has two purposes: {first} and {second}");
            let warning = Diagnostic::warning(Kind::TwoPurposes, purpose.at, text);
            found.push(warning.help("a zone groups what needs the same protection: make it two zones"));
            return;
        }
    }
}

/// Declared assets of one zone that stand two levels apart or more.
fn levels(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let place = |asset: &Asset| asset.zone.or_else(|| asset.ips.first().map(|ip| policy.zone_at(*ip)));
    let stands = policy.assets.iter().filter_map(|asset| {
        let level = asset.level.or_else(|| level_of(asset.role.as_deref()?))?;
        Some((place(asset)?, level, asset.id.as_str()))
    });
    for (zone, text) in policy.far_apart(stands) {
        let warning = Diagnostic::warning(Kind::TwoPurposes, policy.zone(zone).at.unwrap_or_default(), text);
        found.push(warning.help("a zone groups what needs the same protection: make it two zones"));
    }
}

/// The Purdue level at which a role stands, in tenths.
#[must_use]
pub fn level_of(role: &str) -> Option<u8> {
    match Role::named(role)?.level {
        DefaultLevel::Fixed(level) => Some(level.0),
        DefaultLevel::Neighbours => None,
    }
}

impl Policy {
    /// The declared zones that hold devices two levels apart or more, each with what is to be said of it. Of a device its
    /// zone, its level in tenths, and its id.
    #[must_use]
    pub fn far_apart<'a>(&self, stands: impl Iterator<Item = (ZoneId, u8, &'a str)>) -> Vec<(ZoneId, String)> {
        let mut by_zone = BTreeMap::<ZoneId, BTreeMap<u8, &str>>::new();
        for (zone, level, id) in stands {
            by_zone.entry(zone).or_default().entry(level).or_insert(id);
        }
        let apart = |(zone, levels): (ZoneId, BTreeMap<u8, &str>)| {
            let ((low, one), (high, other)) = (levels.first_key_value()?, levels.last_key_value()?);
            let known = self.zone(zone);
            let level = |tenths: u8| f64::from(tenths) / 10.0;
            (high.saturating_sub(*low) >= 20 && known.at.is_some()).then(|| {
                let (low, high) = (level(*low), level(*high));
                (zone, format!("zone \"{}\" holds {one} of level {low} and {other} of level {high}", known.id))
            })
        };
        by_zone.into_iter().filter_map(apart).collect()
    }
}

/// Whoever loads a draft should know why nothing is allowed.
fn draft(policy: &Policy, found: &mut Vec<Diagnostic>) {
    if policy.draft {
        let at = policy.rules.first().map(|rule| rule.at).or_else(|| policy.zones.iter().find_map(|zone| zone.at));
        let warning = Diagnostic::warning(
            Kind::Draft,
            at.unwrap_or_default(),
            "this is a draft: what it would allow is reviewed",
        );
        found.push(warning.help("read every line, then write approved = true, approved_by and approved_on in [site]"));
    }
}

fn owner(rule: &Rule, found: &mut Vec<Diagnostic>) {
    if rule.owner.is_none() {
        let key = if rule.exception { "risk_owner" } else { "owner" };
        found.push(
            Diagnostic::warning(Kind::NoOwner, rule.at, format!("{} has no owner", rule.id))
                .help(format!("write {key} = \"...\"")),
        );
    }
    if rule.allow.is_empty() {
        let warning = Diagnostic::warning(Kind::NothingAllowed, rule.at, format!("{} allows nothing", rule.id));
        found.push(warning.help("write allow = [ { protocol = \"...\" } ]"));
    }
}

/// The zones in which one end of a rule lies.
pub(super) fn zones(policy: &Policy, ends: &[End], homes: &[ZoneId]) -> Vec<ZoneId> {
    let named = ends.iter().filter_map(|end| match end {
        End::Zone(zone) => Some(*zone),
        _ => None,
    });
    named.chain(homes.iter().copied()).filter(|zone| policy.zone(*zone).at.is_some()).collect()
}

pub(super) fn pairs<'a>(policy: &'a Policy, rule: &Rule) -> Vec<(&'a Zone, &'a Zone)> {
    let (from, to) = (zones(policy, &rule.from, &rule.from_homes), zones(policy, &rule.to, &rule.to_homes));
    from.iter().flat_map(|from| to.iter().map(move |to| (policy.zone(*from), policy.zone(*to)))).collect()
}

/// Inside a zone only its own list is asked, so such a rule allows nothing.
fn same_zone(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let pairs = pairs(policy, rule);
    let inside = |(from, to): &(&Zone, &Zone)| from.id == to.id;
    // A zone around others joins those others too.
    let around = || {
        policy
            .zones
            .iter()
            .filter_map(|zone| zone.parent)
            .any(|parent| pairs.iter().any(|(_, to)| policy.zone(parent).id == to.id))
    };
    if !pairs.is_empty() && pairs.iter().all(inside) && !around() {
        let warning = Diagnostic::warning(
            Kind::NeverAsked,
            rule.at,
            format!("{} has both ends in one zone and is never asked", rule.id),
        );
        found.push(warning.help("traffic within a zone is allowed by its inside list"));
    }
}

/// From offices to the process without a DMZ between.
fn level_skip(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let broker = |zone: &Zone| matches!(zone.kind, Some(ZoneKind::Dmz | ZoneKind::RemoteAccess));
    let level = |zone: &Zone| zone.level.unwrap_or(0);
    let skips = pairs(policy, rule).into_iter().any(|(from, to)| {
        let (high, low) = if level(from) >= level(to) { (from, to) } else { (to, from) };
        level(high) >= 40 && low.level.is_some_and(|level| level <= 30) && !broker(high) && !broker(low)
    });
    if skips && !rule.exception {
        let warning = Diagnostic::warning(
            Kind::LevelSkip,
            rule.at,
            format!("{} joins level 4 or above to level 3 or below directly", rule.id),
        );
        found.push(warning.help("let both meet in a zone of kind \"dmz\", or make it an exception with an end"));
    }
}

fn safety_from_engineering(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let reaches = pairs(policy, rule)
        .into_iter()
        .any(|(from, to)| to.safety && !from.safety && from.kind == Some(ZoneKind::Engineering));
    if reaches {
        let warning = Diagnostic::warning(
            Kind::SafetyFromEngineering,
            rule.at,
            format!("{} lets ordinary engineering reach a safety zone", rule.id),
        );
        found.push(warning.help("give the safety zone its own engineering station"));
    }
}

/// Rights to change devices: engineering but for reading programs and files.
fn changes_devices(allow: &Allow) -> bool {
    let grave = Classes(Classes::ENGINEER.0 & !dissectors::Class::Upload.bit() & !dissectors::Class::FileRead.bit());
    matches!(allow.protocol, Carried::Protocol(_)) && allow.classes.is_some_and(|classes| classes.meets(grave))
}

/// Rights to change devices want a window, and a standing remote link should not have them at all.
fn engineering(rule: &Rule, found: &mut Vec<Diagnostic>) {
    if !rule.allow.iter().any(changes_devices) {
        return;
    }
    let bounded = rule.schedule.until.is_some();
    if rule.remote_access && !bounded {
        let warning = Diagnostic::warning(
            Kind::StandingRemoteEngineering,
            rule.at,
            format!("{} is standing remote access with engineering rights", rule.id),
        );
        found.push(warning.help("make it ephemeral: valid_from and valid_until at most a day apart"));
    } else if rule.schedule.windows.is_empty() && !bounded {
        let warning = Diagnostic::warning(
            Kind::EngineeringWithoutWindow,
            rule.at,
            format!("{} allows engineering at any time", rule.id),
        );
        found.push(warning.help("write windows = [\"tue,thu 08:00-16:00\"]"));
    }
}

/// An asset of which the policy says that it may not program, and that a rule lets program.
fn engineering_from(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let not_for_it = |end: &End| match end {
        End::Asset(asset) => policy.asset(*asset).filter(|asset| asset.engineering == Some(false)),
        _ => None,
    };
    if let (true, Some(asset)) = (rule.allow.iter().any(changes_devices), rule.from.iter().find_map(not_for_it)) {
        let text = format!("{} lets {} program, which has engineering = false", rule.id, asset.id);
        let warning = Diagnostic::warning(Kind::EngineeringElsewhere, rule.at, text);
        found.push(warning.related(asset.at, "declared here").help("name the engineering workstation instead"));
    }
}

/// Where the policy names what gives the time, time comes from there.
fn time_from(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let sources = || policy.assets.iter().filter(|asset| asset.time_source);
    let is_at = |end: &End, asset: &Asset| match end {
        End::Any => true,
        End::Zone(zone) => {
            let home = asset.zone.or_else(|| asset.ips.first().map(|ip| policy.zone_at(*ip)));
            home.is_some_and(|home| policy.reaches(*zone, home, Reach::Whole))
        }
        End::Asset(named) => policy.asset(*named).is_some_and(|named| named.id == asset.id),
        End::Net(net) => asset.ips.iter().any(|ip| net.contains(*ip)),
        End::Mac(mac) => asset.macs.contains(mac),
        End::Query { .. } => true,
    };
    let from_there = || rule.to.iter().any(|end| sources().any(|asset| is_at(end, asset)));
    if rule.allow.iter().any(|allow| gives_time(policy, allow)) && sources().next().is_some() && !from_there() {
        let text = format!("{} carries time from where no asset is a time_source", rule.id);
        let warning = Diagnostic::warning(Kind::TimeFromElsewhere, rule.at, text);
        found
            .push(warning.help("let it lead to the time source, or write time_source = true in the asset it leads to"));
    }
}

fn gives_time(policy: &Policy, allow: &Allow) -> bool {
    match allow.protocol {
        Carried::Protocol(number) => policy.protocols.get(number as usize).is_some_and(|protocol| protocol.time),
        Carried::Transport(_) => false,
    }
}

fn security_level(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let Some(have) = rule.sl_c else { return };
    let need = pairs(policy, rule).into_iter().map(|(from, to)| from.sl_t.rdf().max(to.sl_t.rdf())).max().unwrap_or(0);
    if have.rdf() < need {
        let warning = Diagnostic::warning(
            Kind::WeakConduit,
            rule.at,
            format!("{} is capable of SL {} where its ends need SL {need}", rule.id, have.rdf()),
        );
        found.push(warning.help("strengthen the conduit, or name what compensates"));
    }
}

/// A step of two security levels wants a device that enforces it.
fn boundary(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let apart = pairs(policy, rule).into_iter().find(|(from, to)| from.sl_t.rdf().abs_diff(to.sl_t.rdf()) >= 2);
    if let (Some((from, to)), true) = (apart, rule.via.is_empty()) {
        let text = format!(
            "{} joins \"{}\" (SL-T {}) and \"{}\" (SL-T {}) with no boundary device",
            rule.id,
            from.id,
            from.sl_t.rdf(),
            to.id,
            to.sl_t.rdf()
        );
        let warning = Diagnostic::warning(Kind::SlGap, rule.at, text);
        found.push(warning.help("write via = [\"...\"] with the asset of the firewall or data diode between them"));
    }
}

/// What everybody on the way can read, where the zone asks that not everybody can.
fn clear_text(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let Some(zone) = pairs(policy, rule).into_iter().flat_map(|(from, to)| [from, to]).find(|zone| zone.sl_t.dc() >= 2)
    else {
        return;
    };
    let clear = |allow: &Allow| match allow.protocol {
        Carried::Protocol(number) => policy.protocols.get(number as usize).filter(|protocol| protocol.clear),
        Carried::Transport(_) => None,
    };
    let names: BTreeSet<&str> = rule.allow.iter().filter_map(clear).map(|protocol| protocol.name.as_str()).collect();
    if names.is_empty() || !rule.compensating.is_empty() {
        return;
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let text = format!(
        "{} carries {names} in clear text, and \"{}\" has SL-T {} for confidentiality (DC)",
        rule.id,
        zone.id,
        zone.sl_t.dc()
    );
    let warning = Diagnostic::warning(Kind::ClearText, rule.at, text);
    found.push(
        warning.help("use an encrypted variant, or write compensating = [\"...\"] with what protects it instead"),
    );
}

/// USER 2.3 of IEC 62443-2-1: who may loosen a safety zone does not do it alone.
fn approvers(policy: &Policy, rule: &Rule, found: &mut Vec<Diagnostic>) {
    let safety = pairs(policy, rule).into_iter().flat_map(|(from, to)| [from, to]).find(|zone| zone.safety);
    let names: BTreeSet<&str> =
        rule.approved_by.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
    if let (true, Some(zone), true) = (rule.exception, safety, names.len() < 2) {
        let text = format!("{} is an exception for the safety zone \"{}\" and not approved by two", rule.id, zone.id);
        let warning = Diagnostic::warning(Kind::OneApprover, rule.at, text);
        found.push(warning.help("write approved_by = [\"...\", \"...\"] with two names"));
    }
}

/// Two conduits of the same zones: whatever the wider one allows, the limits of the other do not matter.
fn within_another(policy: &Policy, found: &mut Vec<Diagnostic>) {
    // Compared only where both join the same zones, and so many of those at most: a policy has few a pair.
    const MOST: usize = 64;
    let mut same = BTreeMap::<(Vec<ZoneId>, Vec<ZoneId>), Vec<&Rule>>::new();
    for rule in policy.rules.iter().filter(|rule| !rule.exception && !rule.allow.is_empty()) {
        let sorted = |mut zones: Vec<ZoneId>| {
            zones.sort_unstable();
            zones.dedup();
            zones
        };
        let (from, to) = (zones(policy, &rule.from, &rule.from_homes), zones(policy, &rule.to, &rule.to_homes));
        same.entry((sorted(from), sorted(to))).or_default().push(rule);
    }
    for rules in same.values() {
        for (place, rule) in rules.iter().take(MOST).enumerate() {
            let wider = rules.iter().take(MOST).enumerate().find(|(other, wider)| {
                // Of two equal ones the second is told.
                *other != place && rule.within(wider) && (*other < place || !wider.within(rule))
            });
            if let Some((_, wider)) = wider {
                let text = format!("{} never decides: {} allows all of it", rule.id, wider.id);
                let warning =
                    Diagnostic::warning(Kind::WithinAnother, rule.at, text).related(wider.at, "the wider one");
                found.push(warning.help(format!("narrow {}, or drop {}", wider.id, rule.id)));
            }
        }
    }
}

/// Devices agree on the time only if it reaches their zones.
pub(super) fn time(policy: &Policy, at: Span, found: &mut Vec<Diagnostic>) {
    let mut conduits = policy.rules.iter().filter(|rule| !rule.exception).peekable();
    if conduits.peek().is_some() && !conduits.any(|rule| rule.allow.iter().any(|allow| gives_time(policy, allow))) {
        let names: Vec<&str> =
            policy.protocols.iter().filter(|protocol| protocol.time).map(|protocol| protocol.name.as_str()).collect();
        let warning = Diagnostic::warning(Kind::NoTime, at, "no conduit carries time between zones");
        found.push(warning.help(format!("devices need one clock for their logs: allow {}", names.join(" or "))));
    }
}

/// A zone of millions of addresses says little about what is in it.
pub(super) fn wide(wanted: &Wanted, at: Span, found: &mut Vec<Diagnostic>) {
    let (Wanted::Net(net) | Wanted::VlanNet(_, net)) = wanted else { return };
    let bits = if net.v6 { 96 } else { 24 };
    if net.size() >= (1 << bits) - 1 {
        let prefix = if net.v6 { "/32" } else { "/8" };
        let warning =
            Diagnostic::warning(Kind::WideMembers, at, format!("this member is as wide as a {prefix} or wider"));
        found.push(warning.help("name the networks that are really there: what appears elsewhere should be noticed"));
    }
}

fn zones_without_members(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let claimed = policy.directory.claimed();
    let pinned: AHashSet<ZoneId> = policy.assets.iter().filter_map(|asset| asset.zone).collect();
    let parents: AHashSet<ZoneId> = policy.zones.iter().filter_map(|zone| zone.parent).collect();
    for (number, zone) in (0..).zip(&policy.zones) {
        let id = ZoneId(number);
        let Some(at) = zone.at else { continue };
        if ![claimed, &pinned, &parents].iter().any(|zones| zones.contains(&id)) {
            let warning = Diagnostic::warning(Kind::NoMembers, at, format!("zone \"{}\" has no members", zone.id));
            found.push(warning.help("write members = [ { cidr = \"10.20.1.0/24\" } ]"));
        }
    }
}
