//! What changed between two policies, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::membership::Member;
use super::model::{Allow, Asset, Carried, Deny, End, Ignore, Policy, Rule, Zone};
use crate::address::Address;

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What: `conduit C-031 "Supervision of cell B"`.
    pub subject: String,
    /// How, in a word: added, removed, widened, narrowed, changed, moved.
    pub how: &'static str,
    /// In what respect, a line each.
    pub says: Vec<String>,
}

impl Policy {
    /// What is different in `new`: the site and its defaults, zones, members, assets, and rules.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let pair = Pair { old: self, new };
        let mut changes = Vec::new();
        changes.extend(pair.site());
        changes.extend(each(
            &self.zones,
            &new.zones,
            |zone| &zone.id,
            |_| "zone",
            |old, new| pair.zone(old, new),
            |_, _| Vec::new(),
        ));
        changes.extend(pair.members());
        changes.extend(each(
            &self.assets,
            &new.assets,
            |asset| &asset.id,
            |_| "asset",
            |old, new| pair.asset(old, new),
            |_, _| Vec::new(),
        ));
        changes.extend(each(
            &self.rules,
            &new.rules,
            |rule| &rule.id,
            |rule| if rule.exception { "exception" } else { "conduit" },
            |old, new| pair.rule(old, new),
            |is_new, rule| pair.of(is_new).rule_lines(rule),
        ));
        let deny = |is_new, deny: &Deny| pair.of(is_new).deny_lines(deny);
        changes.extend(each(
            &self.denies,
            &new.denies,
            |deny| &deny.id,
            |_| "deny",
            |a, b| lines_differ(deny(false, a), deny(true, b)),
            deny,
        ));
        let ignore = |is_new, ignore: &Ignore| pair.of(is_new).ignore_lines(ignore);
        changes.extend(each(
            &self.ignores,
            &new.ignores,
            |it| &it.id,
            |_| "ignore",
            |a, b| lines_differ(ignore(false, a), ignore(true, b)),
            ignore,
        ));
        changes
    }

    fn rule_lines(&self, rule: &Rule) -> Vec<String> {
        let mut lines = vec![format!("{} -> {}", self.ends_words(&rule.from), self.ends_words(&rule.to))];
        lines.extend(rule.allow.iter().map(|allow| format!("allows {}", allow.described(&self.protocols))));
        lines
    }

    fn deny_lines(&self, deny: &Deny) -> Vec<String> {
        let mut lines = vec![format!("{} -> {}", self.ends_words(&deny.from), self.ends_words(&deny.to))];
        if !deny.except_from.is_empty() {
            lines.push(format!("except from {}", self.ends_words(&deny.except_from)));
        }
        lines
            .push(deny.protocols.as_ref().map_or_else(|| "all protocols".to_owned(), |list| self.protocol_names(list)));
        lines.extend(deny.classes.map(|classes| classes.to_string()));
        lines
    }

    fn ignore_lines(&self, ignore: &Ignore) -> Vec<String> {
        let ends = format!("{} -> {}", self.ends_words(&ignore.from), self.ends_words(&ignore.to));
        vec![ends, self.protocol_names(&ignore.protocols)]
    }

    fn protocol_names(&self, numbers: &[u32]) -> String {
        let name = |number: &u32| self.protocols.get(*number as usize).map(|protocol| protocol.name.as_str());
        numbers.iter().filter_map(name).collect::<Vec<_>>().join(", ")
    }

    /// Ends by their names, groups expanded, in order.
    fn ends_words(&self, ends: &[End]) -> String {
        let words: BTreeSet<String> = ends.iter().map(|end| self.end_word(end)).collect();
        words.into_iter().collect::<Vec<_>>().join(", ")
    }

    fn end_word(&self, end: &End) -> String {
        match end {
            End::Any => "any".to_owned(),
            End::Zone(zone) => self.zone(*zone).id.clone(),
            End::Asset(asset) => self.asset(*asset).map(|asset| asset.id.clone()).unwrap_or_default(),
            End::Net(net) if net.first == net.last => net.first_address().to_string(),
            End::Net(net) => format!("{}-{}", net.first_address(), net.last_address()),
            End::Mac(mac) => mac.to_string(),
            End::Query { vendor, role } => {
                let word = |key: &str, value: &Option<String>| value.as_ref().map(|value| format!("{key} {value}"));
                [word("vendor", vendor), word("role", role)].into_iter().flatten().collect::<Vec<_>>().join(" and ")
            }
        }
    }
}

/// The two policies.
#[derive(Clone, Copy)]
struct Pair<'a> {
    old: &'a Policy,
    new: &'a Policy,
}

impl<'a> Pair<'a> {
    fn of(self, new: bool) -> &'a Policy {
        if new { self.new } else { self.old }
    }

    fn site(self) -> Option<Change> {
        let (old, new) = (self.old, self.new);
        let zone = |policy: &Policy| policy.time_zone.iana_name().unwrap_or("UTC").to_owned();
        let mut says = Vec::new();
        differ(&mut says, "id", &old.site, &new.site);
        differ(&mut says, "time zone", &zone(old), &zone(new));
        let (a, b) = (&old.defaults, &new.defaults);
        differ(&mut says, "defaults.inter_zone", a.inter_zone.text(), b.inter_zone.text());
        differ(&mut says, "defaults.intra_zone", a.intra_zone.text(), b.intra_zone.text());
        differ(&mut says, "defaults.unzoned", a.unzoned.text(), b.unzoned.text());
        differ(&mut says, "defaults.external", a.external.text(), b.external.text());
        differ(&mut says, "defaults.unapproved", a.unapproved.text(), b.unapproved.text());
        differ(&mut says, "defaults.unidentified", a.unidentified.text(), b.unidentified.text());
        differ(&mut says, "defaults.multicast", a.multicast.text(), b.multicast.text());
        differ(&mut says, "defaults.mid_stream", a.mid_stream.text(), b.mid_stream.text());
        let numbers = |policy: &Policy| {
            let list: Vec<String> =
                policy.weights.overridden.iter().map(|(name, value)| format!("{name} {value}")).collect();
            list.join(", ")
        };
        differ(&mut says, "severity", &numbers(old), &numbers(new));
        (!says.is_empty()).then(|| Change { subject: "site".to_owned(), how: "changed", says })
    }

    fn zone(self, old: &Zone, new: &Zone) -> (&'static str, Vec<String>) {
        let mut says = Vec::new();
        let parent =
            |policy: &Policy, zone: &Zone| zone.parent.map_or("none", |parent| &policy.zone(parent).id).to_owned();
        let level = |zone: &Zone| zone.level.map_or("none".to_owned(), |level| (f64::from(level) / 10.0).to_string());
        differ(&mut says, "parent", &parent(self.old, old), &parent(self.new, new));
        differ(
            &mut says,
            "kind",
            old.kind.map_or("none", |kind| kind.text()),
            new.kind.map_or("none", |kind| kind.text()),
        );
        differ(&mut says, "level", &level(old), &level(new));
        differ(&mut says, "SL-T", &format!("{:?}", old.sl_t.0), &format!("{:?}", new.sl_t.0));
        let word = |criticality: Option<super::Criticality>| criticality.map_or("none", |word| word.text());
        differ(&mut says, "criticality", word(old.criticality), word(new.criticality));
        differ(&mut says, "safety", yes(old.safety), yes(new.safety));
        differ(&mut says, "untrusted", yes(old.untrusted), yes(new.untrusted));
        let inside = |policy: &Policy, zone: &Zone| {
            let list = |list: &[Allow]| -> BTreeSet<String> {
                list.iter().map(|allow| allow.described(&policy.protocols)).collect()
            };
            let default = zone.inside.default.unwrap_or(policy.defaults.intra_zone).text();
            (default, list(&zone.inside.allow), list(&zone.inside.deny))
        };
        let (a, b) = (inside(self.old, old), inside(self.new, new));
        differ(&mut says, "the rest inside", a.0, b.0);
        for (old, new, word) in [(&a.1, &b.1, "allows"), (&a.2, &b.2, "denies")] {
            says.extend(new.difference(old).map(|item| format!("inside also {word} {item}")));
            says.extend(old.difference(new).map(|item| format!("inside no longer {word} {item}")));
        }
        ("changed", says)
    }

    fn asset(self, old: &Asset, new: &Asset) -> (&'static str, Vec<String>) {
        let mut says = Vec::new();
        let place = |policy: &Policy, asset: &Asset| {
            let zone = |address: Address| policy.zone(policy.zone_of(&Member::at(address)).zone).id.clone();
            let at = asset.ips.first().copied().or_else(|| asset.macs.first().copied().map(Address::mac));
            at.map(zone).unwrap_or_default()
        };
        let (from, to) = (place(self.old, old), place(self.new, new));
        let how = if from == to { "changed" } else { "moved" };
        differ(&mut says, "zone", &from, &to);
        let list = |list: Vec<String>| list.join(", ");
        let text = |asset: &Asset| {
            list(asset.ips.iter().map(ToString::to_string).chain(asset.macs.iter().map(ToString::to_string)).collect())
        };
        differ(&mut says, "addresses", &text(old), &text(new));
        let none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        differ(&mut says, "role", &none(&old.role), &none(&new.role));
        differ(&mut says, "approved", yes(old.approved), yes(new.approved));
        differ(&mut says, "crown jewel", yes(old.crown_jewel), yes(new.crown_jewel));
        let said = |may: Option<bool>| may.map_or("not said", yes);
        differ(&mut says, "engineering", said(old.engineering), said(new.engineering));
        differ(&mut says, "time source", yes(old.time_source), yes(new.time_source));
        let edges = |policy: &Policy, asset: &Asset| {
            list(asset.boundary_of.iter().map(|zone| policy.zone(*zone).id.clone()).collect())
        };
        differ(&mut says, "boundary of", &edges(self.old, old), &edges(self.new, new));
        (how, says)
    }

    /// Addresses and other selectors that another zone claims now.
    fn members(self) -> Vec<Change> {
        let zone = |policy: &Policy, first: Address| policy.zone(policy.zone_of(&Member::at(first)).zone).id.clone();
        let mut changes = Vec::new();
        let edges = self.old.directory.edges().into_iter().chain(self.new.directory.edges());
        let edges: BTreeSet<(bool, u128)> = edges.collect();
        let mut open: Option<(Address, (String, String))> = None;
        let mut moved = |first: Address, last: Option<Address>, (from, to): &(String, String)| {
            let range = match last {
                Some(last) if last == first => first.to_string(),
                Some(last) => format!("{first}-{last}"),
                None => format!("{first} and above"),
            };
            changes.push(Change { subject: range, how: "moved", says: vec![format!("from \"{from}\" to \"{to}\"")] });
        };
        for edge in edges {
            let first = super::membership::address(edge);
            let now = (zone(self.old, first), zone(self.new, first));
            if open.as_ref().is_some_and(|(_, before)| *before == now) {
                continue;
            }
            if let Some((begin, before)) = open.take() {
                // The end of a family of addresses is no edge of a claim.
                let same_family = begin.ip().is_some_and(|ip| ip.is_ipv6()) == edge.0;
                let last = same_family.then(|| super::membership::address((edge.0, edge.1.saturating_sub(1))));
                moved(begin, last, &before);
            }
            if now.0 != now.1 {
                open = Some((first, now));
            }
        }
        if let Some((begin, before)) = open {
            moved(begin, None, &before);
        }
        let named = |policy: &Policy| -> BTreeMap<String, String> {
            let name = |(selector, zone): (String, _)| (selector, policy.zone(zone).id.clone());
            policy.directory.selectors().into_iter().map(name).collect()
        };
        let (old, new) = (named(self.old), named(self.new));
        let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for selector in all {
            let (from, to) = (old.get(selector), new.get(selector));
            if from != to {
                let word = |zone: Option<&String>| zone.map_or("no zone".to_owned(), |zone| format!("\"{zone}\""));
                let says = vec![format!("from {} to {}", word(from), word(to))];
                changes.push(Change { subject: format!("members with {selector}"), how: "moved", says });
            }
        }
        changes
    }

    fn rule(self, old: &Rule, new: &Rule) -> (&'static str, Vec<String>) {
        let mut says = Vec::new();
        let kind = |rule: &Rule| if rule.exception { "an exception" } else { "a conduit" };
        differ(&mut says, "it is", kind(old), kind(new));
        let mut wider = false;
        let mut narrower = false;
        for (word, old_ends, new_ends) in [("from", &old.from, &new.from), ("to", &old.to, &new.to)] {
            let words = |policy: &Policy, ends: &[End]| -> BTreeSet<String> {
                ends.iter().map(|end| policy.end_word(end)).collect()
            };
            let (a, b) = (words(self.old, old_ends), words(self.new, new_ends));
            for end in b.difference(&a) {
                wider = true;
                says.push(format!("also {word} {end}"));
            }
            for end in a.difference(&b) {
                narrower = true;
                says.push(format!("no longer {word} {end}"));
            }
        }
        // Protocols have other numbers in another policy.
        let translated = |allow: &Allow| {
            let name = match allow.protocol {
                Carried::Protocol(number) => {
                    self.old.protocols.get(number as usize).map(|protocol| protocol.name.as_str())
                }
                Carried::Transport(_) => return allow.clone(),
            };
            let number = name.and_then(|name| self.new.protocol_numbers.get(name).copied()).unwrap_or(u32::MAX);
            Allow { protocol: Carried::Protocol(number), ..allow.clone() }
        };
        let before: Vec<Allow> = old.allow.iter().map(translated).collect();
        for allow in new.allow.iter().filter(|allow| !before.iter().any(|old| allow.within(old))) {
            wider = true;
            says.push(format!("now allows {}", allow.described(&self.new.protocols)));
        }
        for (allow, _) in old.allow.iter().zip(&before).filter(|(_, old)| !new.allow.iter().any(|new| old.within(new)))
        {
            narrower = true;
            says.push(format!("no longer allows all of {}", allow.described(&self.old.protocols)));
        }
        let date = |at: Option<crate::time::Timestamp>| at.map_or("open".to_owned(), |at| self.new.clock(at));
        differ(&mut says, "begins", &date(old.schedule.from), &date(new.schedule.from));
        differ(&mut says, "ends", &date(old.schedule.until), &date(new.schedule.until));
        let windows = |rule: &Rule| {
            let list: Vec<String> = rule.schedule.windows.iter().map(ToString::to_string).collect();
            if list.is_empty() { "any time".to_owned() } else { list.join(" and ") }
        };
        differ(&mut says, "open", &windows(old), &windows(new));
        wider |= !new.schedule_within(old);
        narrower |= !old.schedule_within(new);
        let via = |policy: &Policy, rule: &Rule| {
            let ids: Vec<&str> =
                rule.via.iter().filter_map(|device| policy.asset(*device)).map(|device| device.id.as_str()).collect();
            if ids.is_empty() { "not checked".to_owned() } else { ids.join(", ") }
        };
        let (a, b) = (via(self.old, old), via(self.new, new));
        differ(&mut says, "via", &a, &b);
        wider |= a != b && new.via.is_empty();
        narrower |= a != b && old.via.is_empty();
        for (word, a, b) in [("exact", old.exact, new.exact), ("one_way", old.one_way, new.one_way)] {
            differ(&mut says, word, yes(a), yes(b));
            wider |= a && !b;
            narrower |= b && !a;
        }
        differ(&mut says, "initiate", old.initiate.text(), new.initiate.text());
        let beats = |policy: &Policy, rule: &Rule| {
            let ids = rule.overrides.iter().filter_map(|number| policy.denies.get(*number as usize));
            ids.map(|deny| deny.id.as_str()).collect::<Vec<_>>().join(", ")
        };
        differ(&mut says, "overrides", &beats(self.old, old), &beats(self.new, new));
        let owner = |rule: &Rule| rule.owner.clone().unwrap_or_else(|| "none".to_owned());
        differ(&mut says, "owner", &owner(old), &owner(new));
        let how = match (wider, narrower) {
            (true, false) => "widened",
            (false, true) => "narrowed",
            _ => "changed",
        };
        (how, says)
    }
}

/// Added, removed and changed objects of one kind.
fn each<T>(
    old: &[T],
    new: &[T],
    id: impl Fn(&T) -> &String,
    kind: impl Fn(&T) -> &'static str,
    compare: impl Fn(&T, &T) -> (&'static str, Vec<String>),
    lines: impl Fn(bool, &T) -> Vec<String>,
) -> Vec<Change> {
    let map = |list: &[T]| -> BTreeMap<String, usize> {
        list.iter().enumerate().map(|(place, object)| (id(object).clone(), place)).collect()
    };
    let (olds, news) = (map(old), map(new));
    let all: BTreeSet<&String> = olds.keys().chain(news.keys()).collect();
    let change = |word: &String| {
        let before = olds.get(word).and_then(|place| old.get(*place));
        let after = news.get(word).and_then(|place| new.get(*place));
        let (how, says) = match (before, after) {
            (None, Some(after)) => ("added", lines(true, after)),
            (Some(before), None) => ("removed", lines(false, before)),
            (Some(before), Some(after)) => compare(before, after),
            (None, None) => return None,
        };
        let unchanged = before.is_some() && after.is_some() && says.is_empty();
        (!unchanged).then(|| Change { subject: format!("{} {word}", after.or(before).map_or("", &kind)), how, says })
    };
    all.into_iter().filter_map(change).collect()
}

/// Lines that went and lines that came.
fn lines_differ(old: Vec<String>, new: Vec<String>) -> (&'static str, Vec<String>) {
    let mut says: Vec<String> =
        old.iter().filter(|line| !new.contains(line)).map(|line| format!("was {line}")).collect();
    says.extend(new.iter().filter(|line| !old.contains(line)).map(|line| format!("is {line}")));
    ("changed", says)
}

fn differ(says: &mut Vec<String>, what: &str, old: &str, new: &str) {
    if old != new {
        says.push(format!("{what}: {old} -> {new}"));
    }
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
