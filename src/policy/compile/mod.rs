//! From files to a policy: names are resolved, what a child zone inherits is filled in, and everything that does not
//! fit together is told, all of it in one run.

mod ends;
mod load;
mod places;
mod rights;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use dissectors::Class;
use jiff::tz::TimeZone;

use crate::address::Address;
use crate::flow::key::Transport;
use crate::policy::diagnostic::{Diagnostic, Diagnostics, Source, Span, did_you_mean};
use crate::policy::file::{self, Inside, MidStream, Multicast};
use crate::policy::index::Index;
use crate::policy::kind::Kind;
use crate::policy::lint::{self, lint};
use crate::policy::membership::{Claim, Directory, Member, Nesting};
use crate::policy::model::{Asset, AssetId, Defaults, End, Policy, Zone, ZoneId};
use crate::policy::protocol::{self, PRESETS, PROTOCOLS, Protocol};
use crate::policy::read::{At, Mistake, Reader};
use crate::policy::severity::Weights;
use crate::policy::window::instant;
use crate::policy::word::Id;

use load::{Located, Merged, hash};

/// Words that stand for zones and are no ids.
const RESERVED: [&str; 3] = ["any", "external", "unknown"];

/// What a name of the one name space for `from` and `to` is.
#[derive(Clone, Copy, Debug)]
enum Name {
    Zone(ZoneId),
    Asset(AssetId),
    Group(usize),
}

struct Compiler<'r> {
    reader: &'r mut Reader,
    names: BTreeMap<String, (Name, Span)>,
    groups: Vec<file::Group>,
    zones: Vec<Zone>,
    zone_tags: Vec<Vec<String>>,
    assets: Vec<Asset>,
    protocols: Vec<Protocol>,
    protocol_numbers: AHashMap<String, u32>,
    time_zone: TimeZone,
    /// Taps, denies and other statements: ids of their own kinds.
    statements: BTreeMap<String, Span>,
}

impl Nesting for Compiler<'_> {
    fn depth(&self, zone: ZoneId) -> usize {
        self.zones.get(usize::from(zone.0)).map_or(0, |zone| zone.chain.len())
    }

    fn related(&self, a: ZoneId, b: ZoneId) -> bool {
        let lies_in = |inner: ZoneId, outer: ZoneId| {
            self.zones.get(usize::from(inner.0)).is_some_and(|zone| zone.chain.contains(&outer))
        };
        lies_in(a, b) || lies_in(b, a)
    }
}

impl<'r> Compiler<'r> {
    fn new(reader: &'r mut Reader) -> Self {
        Self {
            reader,
            names: BTreeMap::new(),
            groups: Vec::new(),
            zones: Vec::new(),
            zone_tags: Vec::new(),
            assets: Vec::new(),
            protocols: PROTOCOLS.values().cloned().collect(),
            protocol_numbers: AHashMap::new(),
            time_zone: TimeZone::UTC,
            statements: BTreeMap::new(),
        }
    }

    fn run(mut self, files: Vec<file::File>, sources: Arc<[Source]>) -> Policy {
        let mut whole = Merged::new(files, self.reader);
        let (site, site_name) = self.site(whole.site.as_ref(), whole.first);
        self.protocols(std::mem::take(&mut whole.protocol));

        // Objects stand in the order of their ids, so that the order of blocks in the files is invisible.
        let zones = self.with_ids(whole.zone, "zone", |zone| &zone.id);
        let assets = self.with_ids(whole.asset, "asset", |asset| &asset.id);
        let groups = self.with_ids(whole.group, "group", |group| &group.id);
        for (number, (id, _)) in zones.iter().enumerate() {
            self.name(id, Name::Zone(ZoneId(u16::try_from(number).unwrap_or(u16::MAX))));
        }
        if zones.len() > usize::from(u16::MAX) - 2 {
            self.error(whole.first, "more than 65,000 zones");
        }
        for (number, (id, _)) in assets.iter().enumerate() {
            self.name(id, Name::Asset(AssetId(u32::try_from(number).unwrap_or(u32::MAX))));
        }
        for (number, (id, _)) in groups.iter().enumerate() {
            self.name(id, Name::Group(number));
        }
        self.groups = groups.into_iter().map(|(_, group)| group).collect();
        self.declare_zones(&zones);
        let asset_names = self.declare_assets(&assets);
        let taps = self.taps(&whole.tap);

        let mut claims = Vec::new();
        for (number, (_, zone)) in zones.iter().enumerate() {
            let id = ZoneId(u16::try_from(number).unwrap_or(u16::MAX));
            for member in &zone.members {
                if let Some(wanted) = self.selector(member, &taps) {
                    lint::wide(&wanted, member.at, &mut self.reader.found);
                    claims.push((wanted, Claim { zone: id, at: member.at }));
                }
            }
            let inside = zone.inside.as_ref().map(|table| self.inside(table)).unwrap_or_default();
            if let Some(zone) = self.zones.get_mut(number) {
                zone.inside = inside;
            }
        }
        let mut conflicts = Vec::new();
        let directory = Directory::build(asset_names, claims, &self, &mut conflicts);
        self.reader.found.append(&mut conflicts);

        let denies = self.denies(std::mem::take(&mut whole.deny));
        let mut rules = self.rules(whole.conduit, false, &denies, whole.defaults.as_ref());
        rules.extend(self.rules(whole.exception, true, &denies, whole.defaults.as_ref()));
        rules.sort_by(|a, b| (&a.id, a.at).cmp(&(&b.id, b.at)));
        let ignores = self.ignores(whole.ignore);
        let (translations, represented) = self.translations(&whole.nat, &assets);
        let weights = Weights::new(whole.severity.as_ref(), self.reader);

        let mut policy = Policy {
            sha256: hash(&sources),
            site,
            site_name,
            draft: whole.site.as_ref().is_some_and(|site| site.approved == Some(false)),
            review_due: whole
                .site
                .as_ref()
                .and_then(|site| site.review_due)
                .and_then(|due| instant(due, true, &self.time_zone)),
            max_idle_days: whole.defaults.as_ref().and_then(|table| table.max_idle_days).unwrap_or(90),
            zones: self.zones,
            assets: self.assets,
            rules: Vec::new(),
            weights,
            warnings: Diagnostics::default(),
            sources,
            time_zone: self.time_zone,
            defaults: defaults(whole.defaults.as_ref()),
            denies,
            ignores,
            taps,
            translations,
            represented,
            protocols: self.protocols,
            protocol_numbers: self.protocol_numbers,
            directory,
            index: Index::default(),
        };
        for rule in &mut rules {
            rule.from_homes = homes(&policy, &rule.from);
            rule.to_homes = homes(&policy, &rule.to);
        }
        policy.index = Index::build(&rules);
        policy.rules = rules;
        lint(&policy, &mut self.reader.found);
        lint::time(&policy, whole.site.as_ref().map_or(whole.first, |site| site.at), &mut self.reader.found);
        policy
    }

    fn error(&mut self, at: Span, message: impl Into<String>) {
        self.reader.error(at, message);
    }

    fn site(&mut self, site: Option<&file::Site>, first: Span) -> (String, String) {
        let Some(site) = site else {
            let missing = Diagnostic::error(first, "there is no [site]").kind(Kind::MissingKey);
            self.reader.found.push(missing.help("write [site] with at least id and timezone"));
            return (String::new(), String::new());
        };
        let id = site.id.as_ref().map(|id| id.value.0.clone()).unwrap_or_default();
        // What is wrong with a written one has been told.
        if site.id.is_none() && !site.had_id {
            self.reader.found.push(Diagnostic::error(site.at, "[site] has no id").kind(Kind::MissingKey));
        }
        match &site.timezone {
            None => self.reader.found.push(
                Diagnostic::warning(
                    Kind::NoTimeZone,
                    site.at,
                    "[site] has no timezone: windows and dates are taken as UTC",
                )
                .help("write timezone = \"Europe/Stockholm\" or the like"),
            ),
            Some(zone) => match TimeZone::get(&zone.value) {
                Ok(found) => self.time_zone = found,
                Err(_) => {
                    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
                    let error = Diagnostic::error(zone.at, format!("there is no time zone called \"{}\"", zone.value));
                    let near = did_you_mean(&zone.value, known.iter().map(String::as_str));
                    self.reader.found.push(match near {
                        Some(name) => error.help(format!("did you mean \"{name}\"?")),
                        None => error.help("write a name of the IANA time zone database, like \"Europe/Stockholm\""),
                    });
                }
            },
        }
        let name = site.name.clone().unwrap_or_else(|| id.clone());
        (id, name)
    }

    fn protocols(&mut self, private: Vec<file::Private>) {
        for entry in private {
            let Some(id) = &entry.id else {
                self.reader.found.push(Diagnostic::error(entry.at, "[[protocol]] has no id").kind(Kind::MissingKey));
                continue;
            };
            if PROTOCOLS.contains_key(&id.value.0) || PRESETS.contains_key(&id.value.0) {
                self.error(id.at, format!("\"{}\" is a protocol that is known already", id.value.0));
                continue;
            }
            let transport = match entry.transport.as_ref().map(|word| (word, protocol::carrier(&word.value))) {
                None => Some(Transport::Tcp),
                Some((_, Some((transport, _)))) => Some(transport),
                Some((word, None)) => {
                    let mistake = Mistake::new(format!("there is no transport called \"{}\"", word.value));
                    self.reader.found.push(mistake.help("write tcp, udp, icmp, ip:89 or l2:0x88a4").at(word.at));
                    None
                }
            };
            let class = entry.class.as_ref().and_then(|word| {
                let class = Class::parse(&word.value);
                if class.is_none() {
                    let known = Class::ALL.map(Class::text);
                    self.reader.found.push(Mistake::unknown("operation class", &word.value, known).at(word.at));
                }
                class
            });
            let ports = entry.ports.iter().flat_map(|ports| ports.from..=ports.to);
            let carriers = match transport {
                Some(transport @ (Transport::Tcp | Transport::Udp)) => ports.map(|port| (transport, port)).collect(),
                Some(transport) => vec![(transport, 0)],
                None => Vec::new(),
            };
            if entry.ports.is_empty() && matches!(transport, Some(Transport::Tcp | Transport::Udp)) {
                let error = Diagnostic::error(entry.at, format!("protocol \"{}\" has no ports", id.value.0));
                self.reader.found.push(error.kind(Kind::PortsMissing));
            }
            let over = entry.over.as_ref().filter(|word| {
                let known = PROTOCOLS.contains_key(&word.value);
                if !known {
                    let names = PROTOCOLS.keys().map(String::as_str);
                    self.reader.found.push(Mistake::unknown("protocol", &word.value, names).at(word.at));
                }
                known
            });
            let over = over.map(|word| word.value.clone());
            let name = id.value.0.clone();
            if self.protocols.iter().any(|known| known.name == name) {
                let error = Diagnostic::error(id.at, format!("protocol \"{name}\" is declared twice"));
                self.reader.found.push(error.kind(Kind::Duplicate));
            }
            self.protocols.push(Protocol { name, carriers, class, over, ..Protocol::default() });
        }
        self.protocols.sort_by(|a, b| a.name.cmp(&b.name));
        self.protocol_numbers =
            (0..).zip(&self.protocols).map(|(number, protocol)| (protocol.name.clone(), number)).collect();
    }

    /// The entries that have an id, in the order of their ids.
    fn with_ids<T>(&mut self, entries: Vec<T>, what: &str, id: impl Fn(&T) -> &Option<At<Id>>) -> Vec<(At<Id>, T)>
    where
        T: Located,
    {
        let mut named = Vec::new();
        for entry in entries {
            match id(&entry).clone() {
                Some(id) => named.push((id, entry)),
                // What is wrong with a written one has been told.
                None if entry.had_id() => {}
                None => {
                    let error = Diagnostic::error(entry.at(), format!("this {what} has no id"));
                    self.reader.found.push(error.kind(Kind::MissingKey));
                }
            }
        }
        named.sort_by(|(a, _), (b, _)| (&a.value, a.at).cmp(&(&b.value, b.at)));
        named
    }

    fn name(&mut self, id: &At<Id>, name: Name) {
        let word = &id.value.0;
        if RESERVED.contains(&word.as_str()) {
            self.error(id.at, format!("\"{word}\" is a reserved word"));
        } else if let Some((_, first)) = self.names.get(word) {
            let twice = Diagnostic::error(id.at, format!("the id \"{word}\" is used twice"))
                .kind(Kind::Duplicate)
                .label("again here");
            let help = "ids of zones, assets and groups share one name space, over all files";
            self.reader.found.push(twice.related(*first, "first here").help(help));
        } else {
            self.names.insert(word.clone(), (name, id.at));
        }
    }

    fn statement(&mut self, id: &At<Id>) {
        if let Some(first) = self.statements.insert(id.value.0.clone(), id.at) {
            let twice = Diagnostic::error(id.at, format!("the id \"{}\" is used twice", id.value.0))
                .kind(Kind::Duplicate)
                .label("again here");
            self.reader.found.push(twice.related(first, "first here").help("ids are unique over all files"));
        }
    }

    fn dangling(&mut self, what: &str, word: &At<String>) {
        let error =
            Diagnostic::error(word.at, format!("no {what} is called \"{}\"", word.value)).kind(Kind::UnknownName);
        let known = self.names.keys().map(String::as_str).chain(RESERVED);
        self.reader.found.push(match did_you_mean(&word.value, known) {
            Some(name) => error.label(format!("did you mean \"{name}\"?")),
            None => error.label("unknown name"),
        });
    }

    fn zone_named(&mut self, word: &At<String>) -> Option<ZoneId> {
        match self.names.get(&word.value) {
            Some((Name::Zone(zone), _)) => Some(*zone),
            _ => {
                self.dangling("zone", word);
                None
            }
        }
    }

    fn asset_named(&mut self, word: &At<String>) -> Option<AssetId> {
        match self.names.get(&word.value) {
            Some((Name::Asset(asset), _)) => Some(*asset),
            _ => {
                self.dangling("asset", word);
                None
            }
        }
    }
}

/// Zones in which the assets and addresses among these ends lie.
fn homes(policy: &Policy, ends: &[End]) -> Vec<ZoneId> {
    let at = |address: Address| policy.zone_of(&Member::at(address)).zone;
    let mut homes: Vec<ZoneId> = ends
        .iter()
        .flat_map(|end| match end {
            End::Asset(asset) => policy
                .asset(*asset)
                .map_or(Vec::new(), |asset| asset.zone.into_iter().chain(asset.ips.iter().map(|ip| at(*ip))).collect()),
            End::Net(net) => vec![at(net.first_address())],
            _ => Vec::new(),
        })
        .collect();
    homes.sort_unstable();
    homes.dedup();
    homes
}

fn defaults(table: Option<&file::Defaults>) -> Defaults {
    use file::Default::{Deny, Review};
    Defaults {
        inter_zone: table.and_then(|table| table.inter_zone).unwrap_or(Deny),
        intra_zone: table.and_then(|table| table.intra_zone).unwrap_or(Inside::Listed),
        unzoned: table.and_then(|table| table.unzoned).unwrap_or(Deny),
        external: table.and_then(|table| table.external).unwrap_or(Deny),
        unapproved: table.and_then(|table| table.unapproved).unwrap_or(Review),
        unidentified: table.and_then(|table| table.unidentified).unwrap_or(Review),
        multicast: table.and_then(|table| table.multicast).unwrap_or(Multicast::SameZone),
        mid_stream: table.and_then(|table| table.mid_stream).unwrap_or(MidStream::Infer),
    }
}
