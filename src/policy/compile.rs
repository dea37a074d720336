//! From files to a policy: names are resolved, what a child zone inherits is filled in, and everything that does not
//! fit together is told, all of it in one run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;
use dissectors::{Class, Mode, Token};
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::diagnostic::{Diagnostic, Diagnostics, Source, Span};
use super::file::{self, GroupMember, Initiate, Inside, InsideItem, MidStream, ModeWord, Multicast, TokenWord};
use super::index::Index;
use super::matching::{CodePattern, ObjectPattern, UnitPattern};
use super::membership::{AssetNames, Claim, Directory, Interval, Member, Nesting, Wanted};
use super::model::{
    Allow, Asset, AssetId, Carried, Defaults, Deny, End, Ignore, InsideRules, Minimum, Policy, Rule, Tap, Zone, ZoneId,
};
use super::protocol::{self, PRESETS, PROTOCOLS, Protocol};
use super::read::{At, Mistake, Read, Reader, parse};
use super::severity::Weights;
use super::window::{Schedule, instant};
use super::word::{Classes, Id};
use crate::address::{Address, Mac};
use crate::flow::key::Transport;

/// Words that stand for zones and are no ids.
const RESERVED: [&str; 3] = ["any", "external", "unknown"];

impl Policy {
    /// Reads files, and folders of `*.toml` and `*.json` files, as one policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, with file, line and column. Warnings of a good policy are in
    /// [`Policy::warnings`].
    pub fn load(paths: &[PathBuf]) -> Result<Self, Diagnostics> {
        let mut sources = Vec::new();
        let mut unreadable = Vec::new();
        for path in paths.iter().flat_map(|path| files(path)) {
            let name = path.display().to_string().into();
            match std::fs::read_to_string(&path) {
                Ok(text) => sources.push(Source { name, text: text.into() }),
                Err(error) => {
                    let at = Span { file: u16::try_from(sources.len()).unwrap_or(u16::MAX), ..Span::default() };
                    unreadable.push(Diagnostic::error(at, format!("cannot read {name}: {error}")));
                    sources.push(Source { name, text: "".into() });
                }
            }
        }
        if sources.is_empty() {
            unreadable.push(Diagnostic::error(Span::default(), "there is no policy file to read"));
        }
        if !unreadable.is_empty() {
            return Err(Diagnostics { sources: sources.into(), list: unreadable });
        }
        compile(sources.into())
    }

    /// Reads one text as a policy; the name appears in errors, and `.json` at its end makes it JSON.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        compile([Source { name: name.into(), text: text.into() }].into())
    }
}

/// The files of a folder in the order of their names; anything else is itself.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_owned()] };
    let policy = |path: &PathBuf| path.extension().is_some_and(|end| end == "toml" || end == "json");
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(policy).collect();
    files.sort();
    files
}

fn compile(sources: Arc<[Source]>) -> Result<Policy, Diagnostics> {
    let mut reader = Reader::default();
    let mut all = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let node = parse(number, source, &mut reader);
        all.extend(file::File::read(node, &mut reader));
    }
    // Half a file leaves names dangling that are only unreadable; its syntax comes first.
    let policy = if reader.syntax_error { None } else { Some(Compiler::new(&mut reader).run(all, sources.clone())) };
    let mut list = reader.found;
    list.sort_by_key(|diagnostic| (diagnostic.severity, diagnostic.at));
    let diagnostics = Diagnostics { sources, list };
    match policy {
        Some(mut policy) if !diagnostics.has_errors() => {
            policy.warnings = diagnostics;
            Ok(policy)
        }
        _ => Err(diagnostics),
    }
}

/// SHA-256 over name and content, in the order of the names; folders do not count, so a copy has the same hash.
fn hash(sources: &[Source]) -> String {
    let mut parts: Vec<_> = sources
        .iter()
        .map(|source| (source.name.rsplit('/').next().unwrap_or_default(), source.text.as_bytes()))
        .collect();
    parts.sort_unstable();
    let mut hasher = Sha256::new();
    for (name, text) in parts {
        for part in [name.as_bytes(), text] {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

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
        super::lint::lint(&policy, &mut self.reader.found);
        policy
    }

    fn error(&mut self, at: Span, message: impl Into<String>) {
        self.reader.error(at, message);
    }

    fn site(&mut self, site: Option<&file::Site>, first: Span) -> (String, String) {
        let Some(site) = site else {
            let missing = Diagnostic::error(first, "there is no [site]");
            self.reader.found.push(missing.help("write [site] with at least id and timezone"));
            return (String::new(), String::new());
        };
        let id = site.id.as_ref().map(|id| id.value.0.clone()).unwrap_or_default();
        if site.id.is_none() {
            self.error(site.at, "[site] has no id");
        }
        match &site.timezone {
            None => self.reader.found.push(
                Diagnostic::warning(site.at, "[site] has no timezone: windows and dates are taken as UTC")
                    .help("write timezone = \"Europe/Stockholm\" or the like"),
            ),
            Some(zone) => match TimeZone::get(&zone.value) {
                Ok(found) => self.time_zone = found,
                Err(_) => {
                    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
                    let error = Diagnostic::error(zone.at, format!("there is no time zone called \"{}\"", zone.value));
                    let near = super::diagnostic::did_you_mean(&zone.value, known.iter().map(String::as_str));
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
                self.error(entry.at, "[[protocol]] has no id");
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
                self.error(entry.at, format!("protocol \"{}\" has no ports", id.value.0));
            }
            let name = id.value.0.clone();
            if self.protocols.iter().any(|known| known.name == name) {
                self.error(id.at, format!("protocol \"{name}\" is declared twice"));
            }
            self.protocols.push(Protocol { name, carriers, operations: false, class, setup: Vec::new() });
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
                None => self.error(entry.at(), format!("this {what} has no id")),
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
            let twice = Diagnostic::error(id.at, format!("the id \"{word}\" is used twice")).label("again here");
            let help = "ids of zones, assets and groups share one name space, over all files";
            self.reader.found.push(twice.related(*first, "first here").help(help));
        } else {
            self.names.insert(word.clone(), (name, id.at));
        }
    }

    fn statement(&mut self, id: &At<Id>) {
        if let Some(first) = self.statements.insert(id.value.0.clone(), id.at) {
            let twice =
                Diagnostic::error(id.at, format!("the id \"{}\" is used twice", id.value.0)).label("again here");
            self.reader.found.push(twice.related(first, "first here").help("ids are unique over all files"));
        }
    }

    fn dangling(&mut self, what: &str, word: &At<String>) {
        let error = Diagnostic::error(word.at, format!("no {what} is called \"{}\"", word.value));
        let known = self.names.keys().map(String::as_str).chain(RESERVED);
        self.reader.found.push(match super::diagnostic::did_you_mean(&word.value, known) {
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

    fn declare_zones(&mut self, entries: &[(At<Id>, file::Zone)]) {
        let parents: Vec<Option<ZoneId>> =
            entries.iter().map(|(_, zone)| zone.parent.as_ref().and_then(|parent| self.zone_named(parent))).collect();
        for (number, (id, entry)) in entries.iter().enumerate() {
            let mut chain = vec![ZoneId(u16::try_from(number).unwrap_or(u16::MAX))];
            let mut around = parents.get(number).copied().flatten();
            while let Some(zone) = around {
                if chain.contains(&zone) {
                    let at = entry.parent.as_ref().map_or(entry.at, |parent| parent.at);
                    self.error(at, format!("zone \"{}\" lies in itself", id.value.0));
                    break;
                }
                chain.push(zone);
                around = parents.get(usize::from(zone.0)).copied().flatten();
            }
            let line: Vec<&file::Zone> =
                chain.iter().filter_map(|zone| entries.get(usize::from(zone.0))).map(|(_, zone)| zone).collect();
            // The nearest zone around that says something says it for this one too.
            fn inherited<'a, T>(line: &[&'a file::Zone], field: impl Fn(&'a file::Zone) -> Option<T>) -> Option<T> {
                line.iter().find_map(|zone| field(zone))
            }
            self.zones.push(Zone {
                id: id.value.0.clone(),
                name: entry.name.clone().unwrap_or_else(|| id.value.0.clone()),
                parent: parents.get(number).copied().flatten(),
                kind: entry.kind,
                level: inherited(&line, |zone| zone.level).map(|level| level.0),
                sl_t: inherited(&line, |zone| zone.sl_t).unwrap_or_default(),
                sl_c: entry.sl_c,
                sl_a: entry.sl_a,
                consequence: inherited(&line, |zone| zone.consequence),
                criticality: inherited(&line, |zone| zone.criticality),
                safety: inherited(&line, |zone| zone.safety).unwrap_or(false),
                untrusted: inherited(&line, |zone| zone.untrusted).unwrap_or(false),
                owner: inherited(&line, |zone| zone.owner.clone()),
                at: Some(id.at),
                chain,
                inside: InsideRules::default(),
            });
            self.zone_tags.push(entry.tags.clone());
        }
        for (id, level) in [("external", Some(50)), ("unknown", None)] {
            let number = ZoneId(u16::try_from(self.zones.len()).unwrap_or(u16::MAX));
            self.zones.push(Zone { chain: vec![number], ..Zone::reserved(id, level) });
        }
    }

    fn declare_assets(&mut self, entries: &[(At<Id>, file::Asset)]) -> AssetNames {
        let mut names = AssetNames::default();
        let mut seen = BTreeMap::<String, Span>::new();
        for (number, (id, entry)) in entries.iter().enumerate() {
            let asset = AssetId(u32::try_from(number).unwrap_or(u32::MAX));
            let mut once = |what: String, at: Span, reader: &mut Reader| match seen.get(&what) {
                Some(first) => {
                    let twice = Diagnostic::error(at, format!("two assets have the {what}")).label("again here");
                    reader.found.push(twice.related(*first, "first here"));
                }
                None => {
                    seen.insert(what, at);
                }
            };
            for ip in entry.ip.iter().chain(&entry.represents) {
                once(format!("address {}", ip.value), ip.at, self.reader);
                names.ips.insert(ip.value, asset);
            }
            for mac in &entry.mac {
                once(format!("MAC address {}", mac.value), mac.at, self.reader);
                names.macs.insert(mac.value, asset);
            }
            if let Some(host) = &entry.hostname {
                once(format!("host name {}", host.value.to_ascii_lowercase()), host.at, self.reader);
                names.hosts.insert(host.value.to_ascii_lowercase(), asset);
            }
            if let Some(serial) = &entry.serial {
                once(format!("serial number {}", serial.value), serial.at, self.reader);
                names.serials.insert(serial.value.clone(), asset);
            }
            let zone = entry.zone.as_ref().and_then(|word| self.zone_named(word));
            let boundary_of = entry.boundary_of.iter().filter_map(|word| self.zone_named(word)).collect();
            self.assets.push(Asset {
                id: id.value.0.clone(),
                name: entry.name.clone().unwrap_or_else(|| id.value.0.clone()),
                ips: entry.ip.iter().map(|ip| ip.value).collect(),
                macs: entry.mac.iter().map(|mac| mac.value).collect(),
                hostname: entry.hostname.as_ref().map(|host| host.value.clone()),
                serial: entry.serial.as_ref().map(|serial| serial.value.clone()),
                vendor: entry.vendor.clone(),
                model: entry.model.clone(),
                role: entry.role.clone(),
                zone,
                level: entry.level.map(|level| level.0),
                criticality: entry.criticality,
                crown_jewel: entry.crown_jewel,
                approved: entry.approved.unwrap_or(true),
                owner: entry.owner.clone(),
                multi_homed: entry.multi_homed,
                boundary_of,
                engineering: entry.engineering,
                expected_firmware: entry.expected_firmware.clone(),
                at: id.at,
                tags: entry.tags.clone(),
            });
        }
        names
    }

    fn taps(&mut self, entries: &[file::Tap]) -> Vec<Tap> {
        let mut taps = Vec::new();
        for entry in entries {
            let Some(id) = &entry.id else {
                self.error(entry.at, "this tap has no id");
                continue;
            };
            self.statement(id);
            let sees = entry.sees.iter().filter_map(|word| self.zone_named(word)).collect();
            taps.push(Tap { id: id.value.0.clone(), sees });
        }
        taps
    }

    fn selector(&mut self, entry: &file::Selector, taps: &[Tap]) -> Option<Wanted> {
        let file::Selector {
            asset, mac, ip, cidr, range, hostname, vlan, subnet_of_tap, vendor, role, dnp3_link, ..
        } = entry;
        if let Some(vlan) = vlan.as_ref().filter(|vlan| vlan.value > 4094) {
            self.error(vlan.at, "a VLAN is a number from 0 to 4094");
        }
        let words = [asset, cidr, range, hostname, subnet_of_tap];
        let given = words.iter().filter(|word| word.is_some()).count()
            + usize::from(mac.is_some())
            + usize::from(ip.is_some())
            + usize::from(dnp3_link.is_some())
            + usize::from(vendor.is_some() || role.is_some());
        let alone = (given == 1 && vlan.is_none()) || (given == 0 && vlan.is_some());
        let with_vlan = given == 1 && vlan.is_some() && cidr.is_some();
        if !alone && !with_vlan {
            let error = Diagnostic::error(entry.at, "this is not one selector");
            self.reader.found.push(error.help(
                "a member is one of asset, mac, ip, cidr, range, hostname, vlan, vlan with cidr, subnet_of_tap, \
                 vendor and/or role; write the others as members of their own",
            ));
            return None;
        }
        if let Some(word) = asset {
            return self.asset_named(word).map(Wanted::Asset);
        }
        if let Some(word) = cidr.as_ref().or(range.as_ref()) {
            let net = self.interval(word)?;
            return Some(match vlan {
                Some(vlan) => Wanted::VlanNet(vlan.value, net),
                None => Wanted::Net(net),
            });
        }
        if let Some(word) = subnet_of_tap {
            if taps.iter().any(|tap| tap.id == word.value) {
                return Some(Wanted::Tap(word.value.clone()));
            }
            self.error(word.at, format!("no tap is called \"{}\"", word.value));
            return None;
        }
        if let Some(word) = hostname {
            return Some(Wanted::Host(word.value.to_ascii_lowercase()));
        }
        if let Some(link) = dnp3_link {
            let warning = Diagnostic::warning(link.at, "a link address decides no membership yet");
            self.reader.found.push(warning.help("name the station by its ip as well"));
            return None;
        }
        let text = |word: &Option<At<String>>| word.as_ref().map(|word| word.value.clone());
        let simple = mac.as_ref().map(|mac| Wanted::Mac(mac.value));
        let simple = simple.or_else(|| ip.as_ref().map(|ip| Wanted::Ip(ip.value)));
        let simple = simple.or_else(|| vlan.as_ref().map(|vlan| Wanted::Vlan(vlan.value)));
        simple.or_else(|| Some(Wanted::Query { vendor: text(vendor), role: text(role) }))
    }

    fn interval(&mut self, word: &At<String>) -> Option<Interval> {
        Interval::parse(&word.value).map_err(|mistake| self.reader.found.push(mistake.at(word.at))).ok()
    }

    fn inside(&mut self, table: &file::InsideTable) -> InsideRules {
        let mut list = |items: &[InsideItem]| {
            items
                .iter()
                .filter_map(|item| match item {
                    InsideItem::Table(table) => self.allow(table),
                    InsideItem::Name(word) => self.allow_all(word),
                })
                .collect()
        };
        let (allow, deny) = (list(&table.allow), list(&table.deny));
        InsideRules { default: table.default, allow, deny }
    }

    /// A bare protocol name: all its operations.
    fn allow_all(&mut self, word: &At<String>) -> Option<Allow> {
        let (protocol, codes) = self.carried(word)?;
        Some(Allow {
            protocol,
            ports: None,
            any_port: true,
            classes: codes.is_none().then_some(Classes::ALL),
            codes,
            units: None,
            objects: None,
            security: None,
            max_rate: None,
            max_bytes: None,
            vlan: None,
        })
    }

    /// A protocol, a transport, or a named set with its codes.
    fn carried(&mut self, word: &At<String>) -> Option<(Carried, Option<Vec<CodePattern>>)> {
        let name = word.value.as_str();
        if let Some((protocol, functions)) = PRESETS.get(name) {
            let number = self.protocol_numbers.get(protocol)?;
            let all = functions.iter().any(|code| code == "*");
            let codes = (!all).then(|| functions.iter().map(|code| CodePattern::new(code)).collect());
            return Some((Carried::Protocol(*number), codes));
        }
        if let Some(number) = self.protocol_numbers.get(name) {
            return Some((Carried::Protocol(*number), None));
        }
        if let Some((transport, 0)) = protocol::carrier(name) {
            return Some((Carried::Transport(transport), None));
        }
        let known = self.protocol_numbers.keys().chain(PRESETS.keys()).map(String::as_str).chain(["tcp", "udp"]);
        let mut known: Vec<&str> = known.collect();
        known.sort_unstable();
        let error = Diagnostic::error(word.at, format!("there is no protocol called \"{name}\""));
        self.reader.found.push(match super::diagnostic::did_you_mean(name, known) {
            Some(near) => error.label(format!("did you mean \"{near}\"?")),
            None => error.label("unknown protocol").help(
                "declare it with [[protocol]], or write tcp or udp with ports; \
                 `zonewatch protocols` lists those that are known",
            ),
        });
        None
    }

    fn protocol_number(&mut self, word: &At<String>) -> Option<u32> {
        match self.carried(word)? {
            (Carried::Protocol(number), None) => Some(number),
            _ => {
                self.error(word.at, format!("\"{}\" is not a single protocol", word.value));
                None
            }
        }
    }

    fn allow(&mut self, entry: &file::Allow) -> Option<Allow> {
        let Some(word) = &entry.protocol else {
            self.error(entry.at, "this allow table has no protocol");
            return None;
        };
        let (carried, preset) = self.carried(word)?;
        let name = &word.value;
        let is_preset = PRESETS.contains_key(name);
        let code_lists = [&entry.functions, &entry.services];
        let lists = usize::from(entry.ops.is_some())
            + code_lists.iter().filter(|list| list.is_some()).count()
            + usize::from(is_preset);
        if lists > 1 {
            let error = Diagnostic::error(entry.at, "this allow table says its operations in two ways");
            self.reader
                .found
                .push(error.help("write one of ops, functions or services, and a second table for the rest"));
        }
        if let Carried::Transport(transport) = carried
            && matches!(transport, Transport::Tcp | Transport::Udp)
            && entry.ports.as_ref().is_none_or(Vec::is_empty)
        {
            let error = Diagnostic::error(word.at, format!("{name} without ports would allow everything on it"));
            self.reader.found.push(error.help("write ports = [5140], or name a protocol"));
        }
        let decoded = match carried {
            Carried::Protocol(number) => {
                self.protocols.get(number as usize).is_some_and(|protocol| protocol.operations)
            }
            Carried::Transport(_) => false,
        };
        if decoded && lists == 0 {
            let error =
                Diagnostic::error(word.at, format!("{name} without operations would allow writing and programming"));
            self.reader.found.push(error.label("which operations?").help(
                "write ops = [\"observe\"], functions = [3, 4], or ops = [\"all\"] to allow everything on purpose",
            ));
        }
        let codes =
            code_lists.into_iter().flatten().flatten().map(|code| CodePattern::new(&code.0)).collect::<Vec<_>>();
        let by_codes = code_lists.iter().any(|list| list.is_some());
        let classes = entry.ops.as_ref().map(|list| list.iter().fold(Classes::default(), |a, b| a.or(*b)));
        let everything = is_preset && preset.is_none();
        let objects = entry
            .objects
            .as_ref()
            .map(|list| list.iter().filter_map(|object| ObjectPattern::new(object, self.reader)).collect());
        Some(Allow {
            protocol: carried,
            ports: entry.ports.clone(),
            any_port: false,
            classes: if everything { Some(Classes::ALL) } else { classes },
            codes: if by_codes { Some(codes) } else { preset },
            units: entry.units.as_ref().map(|list| list.iter().map(|unit| UnitPattern(unit.0.clone())).collect()),
            objects,
            security: entry.security.as_ref().map(minimum),
            max_rate: entry.max_rate,
            max_bytes: entry.max_bytes,
            vlan: entry.vlan,
        })
    }

    fn ends(&mut self, words: &[At<String>]) -> Vec<End> {
        words.iter().flat_map(|word| self.end(word)).collect()
    }

    /// `from` or `to`, which every rule has.
    fn side(&mut self, what: &str, rule: Span, words: Option<&At<Vec<At<String>>>>) -> Vec<End> {
        match words {
            Some(words) if !words.value.is_empty() => self.ends(&words.value),
            _ => {
                let error = Diagnostic::error(words.map_or(rule, |words| words.at), format!("\"{what}\" names nobody"));
                self.reader
                    .found
                    .push(error.help(format!("write {what} = [...] with zones, assets, groups or addresses")));
                Vec::new()
            }
        }
    }

    fn end(&mut self, word: &At<String>) -> Vec<End> {
        let reserved = |from_last: usize| {
            End::Zone(ZoneId(u16::try_from(self.zones.len().saturating_sub(from_last)).unwrap_or(u16::MAX)))
        };
        match word.value.as_str() {
            "any" => return vec![End::Any],
            "external" => return vec![reserved(2)],
            "unknown" => return vec![reserved(1)],
            _ => {}
        }
        match self.names.get(&word.value) {
            Some((Name::Zone(zone), _)) => vec![End::Zone(*zone)],
            Some((Name::Asset(asset), _)) => vec![End::Asset(*asset)],
            Some((Name::Group(group), _)) => self.group(*group),
            None => self.literal(word).into_iter().collect(),
        }
    }

    fn literal(&mut self, word: &At<String>) -> Option<End> {
        if let Ok(mac) = word.value.parse::<Mac>() {
            return Some(End::Mac(mac));
        }
        match Interval::parse(&word.value) {
            Ok(net) => Some(End::Net(net)),
            Err(mistake) if word.value.contains(['/', ':']) => {
                self.reader.found.push(mistake.at(word.at));
                None
            }
            Err(_) => {
                self.dangling("zone, asset or group", word);
                None
            }
        }
    }

    fn group(&mut self, number: usize) -> Vec<End> {
        let Some(group) = self.groups.get(number).cloned() else { return Vec::new() };
        let mut ends = Vec::new();
        for member in &group.members {
            match member {
                GroupMember::Name(word) => match self.names.get(&word.value) {
                    Some((Name::Asset(asset), _)) => ends.push(End::Asset(*asset)),
                    Some(_) => {
                        let error = Diagnostic::error(word.at, "a group holds assets, addresses and queries");
                        self.complain_once(error.help("name zones in from and to themselves"));
                    }
                    None => ends.extend(self.literal(word)),
                },
                GroupMember::Query(query) => {
                    ends.extend(query.zone.as_ref().and_then(|word| self.zone_named(word)).map(End::Zone));
                    if let Some(tag) = &query.tag {
                        let tagged = |tags: &[String]| tags.contains(&tag.value);
                        let zones = (0..).zip(&self.zone_tags).filter(|(_, tags)| tagged(tags));
                        ends.extend(zones.map(|(number, _)| End::Zone(ZoneId(number))));
                        let assets = (0..).zip(&self.assets).filter(|(_, asset)| tagged(&asset.tags));
                        ends.extend(assets.map(|(number, _)| End::Asset(AssetId(number))));
                    }
                    if query.role.is_some() || query.vendor.is_some() {
                        ends.push(End::Query { vendor: query.vendor.clone(), role: query.role.clone() });
                    }
                }
            }
        }
        ends
    }

    /// A group is expanded wherever it is named; its mistakes are told once.
    fn complain_once(&mut self, error: Diagnostic) {
        if !self.reader.found.iter().any(|old| old.at == error.at && old.message == error.message) {
            self.reader.found.push(error);
        }
    }

    fn denies(&mut self, entries: Vec<file::Deny>) -> Vec<Deny> {
        let entries = self.with_ids(entries, "deny", |deny| &deny.id);
        let mut denies = Vec::new();
        for (id, entry) in entries {
            self.statement(&id);
            denies.push(Deny {
                from: self.side("from", entry.at, entry.from.as_ref()),
                to: self.side("to", entry.at, entry.to.as_ref()),
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

    fn ignores(&mut self, entries: Vec<file::Ignore>) -> Vec<Ignore> {
        let entries = self.with_ids(entries, "ignore", |ignore| &ignore.id);
        let mut ignores = Vec::new();
        for (id, entry) in entries {
            self.statement(&id);
            let mut protocols = Vec::new();
            if entry.protocols.as_ref().is_none_or(Vec::is_empty) {
                let error = Diagnostic::error(id.at, format!("{} would hide every protocol", id.value.0));
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
                    );
                    self.reader.found.push(error.help("declare it with a conduit, or inside the zone"));
                }
                protocols.push(number);
            }
            ignores.push(Ignore {
                from: self.side("from", entry.at, entry.from.as_ref()),
                to: self.side("to", entry.at, entry.to.as_ref()),
                protocols,
                id: id.value.0,
            });
        }
        ignores
    }

    fn rules(
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
            let from = self.side("from", entry.at, entry.from.as_ref());
            let to = self.side("to", entry.at, entry.to.as_ref());
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
            rules.push(Rule {
                name: entry.name.clone().unwrap_or_else(|| id.value.0.clone()),
                exception,
                owner: entry.owner.clone().or_else(|| entry.risk_owner.as_ref().map(|owner| owner.value.clone())),
                ticket: entry.ticket.clone(),
                reason: entry.reason.clone(),
                from_words: words(&entry.from),
                to_words: words(&entry.to),
                one_way: entry.one_way,
                remote_access: entry.remote_access,
                max_idle_days: entry.max_idle_days.unwrap_or(idle),
                max_silence: entry.max_silence.map(|span| span.0),
                sl_t: entry.sl_t,
                sl_c: entry.sl_c,
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

    fn dates(&mut self, id: &At<Id>, entry: &file::Conduit, exception: bool, defaults: Option<&file::Defaults>) {
        let name = &id.value.0;
        let begin = entry.valid_from.as_ref().and_then(|at| instant(at.value, false, &self.time_zone));
        let end = entry.valid_until.as_ref().and_then(|at| instant(at.value, true, &self.time_zone));
        if exception && entry.valid_until.is_none() {
            let error = Diagnostic::error(id.at, format!("exception {name} has no end"));
            self.reader.found.push(error.help("write valid_until = 2026-12-31; what is allowed for good is a conduit"));
        }
        if entry.ephemeral && (begin.is_none() || end.is_none()) {
            let error = Diagnostic::error(id.at, format!("{name} is ephemeral but not bounded in time"));
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
            let error = Diagnostic::error(at, format!("exception {name} lasts {} days", length / DAY));
            self.reader.found.push(error.help(format!("the longest is {longest} days (defaults.exception_max_days)")));
        }
        if entry.ephemeral && length > DAY {
            self.reader.found.push(Diagnostic::warning(at, format!("{name} is ephemeral and lasts longer than a day")));
        }
    }

    /// `any` is a wide word: a warning, and an error where it reaches a safety zone.
    fn reach(&mut self, id: &At<Id>, entry: &file::Conduit, from: &[End], to: &[End]) {
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
                .help("name the zones and assets that may reach it")
        } else if from_any || to_any {
            let side = if from_any { &entry.from } else { &entry.to };
            Diagnostic::warning(at(side), format!("{name} speaks of any zone, external and unknown included"))
                .help("name the zones that are meant")
        } else {
            return;
        };
        self.reader.found.push(found);
    }

    /// TCP needs answers, which a one-way conduit does not carry.
    fn diode(&mut self, entry: &file::Conduit, allow: &[Allow]) {
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
            let error = Diagnostic::error(at, "a one-way conduit cannot carry TCP, which needs answers");
            self.reader.found.push(error.help("name what crosses the diode (often udp with ports), or drop one_way"));
        }
    }

    fn overrides(&mut self, entry: &file::Conduit, exception: bool, denies: &[Deny]) -> Vec<u32> {
        if !exception {
            let only = [
                ("risk_owner", entry.risk_owner.as_ref().map(|owner| owner.at)),
                ("approved_by", entry.approved_by.as_ref().map(|names| names.at)),
                ("overrides", entry.overrides.as_ref().map(|ids| ids.at)),
            ];
            for (key, at) in only {
                if let Some(at) = at {
                    let error = Diagnostic::error(at, format!("\"{key}\" belongs to an exception, not to a conduit"));
                    self.reader.found.push(error);
                }
            }
            return Vec::new();
        }
        let mut numbers = Vec::new();
        for word in entry.overrides.iter().flat_map(|ids| &ids.value) {
            match (0..).zip(denies).find(|(_, deny)| deny.id == word.value) {
                Some((number, _)) => numbers.push(number),
                None => {
                    let error = Diagnostic::error(word.at, format!("no deny is called \"{}\"", word.value));
                    let near = super::diagnostic::did_you_mean(&word.value, denies.iter().map(|deny| deny.id.as_str()));
                    self.reader.found.push(match near {
                        Some(near) => error.label(format!("did you mean \"{near}\"?")),
                        None => error,
                    });
                }
            }
        }
        numbers
    }

    fn translations(
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
                self.error(nat.at, "an address translation has outside and inside");
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

fn minimum(entry: &file::Security) -> Minimum {
    Minimum {
        mode: entry.mode.map(|mode| match mode {
            ModeWord::None => Mode::None,
            ModeWord::Sign => Mode::Sign,
            ModeWord::SignAndEncrypt => Mode::SignAndEncrypt,
        }),
        policies: entry.policies.clone(),
        tokens: entry.tokens.as_ref().map(|tokens| {
            let token = |token: &TokenWord| match token {
                TokenWord::Anonymous => Token::Anonymous,
                TokenWord::Username => Token::Username,
                TokenWord::Certificate => Token::Certificate,
                TokenWord::Issued => Token::Issued,
            };
            tokens.iter().map(token).collect()
        }),
        version: entry.version.clone(),
        auth: entry.auth.unwrap_or(false),
    }
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

/// All files as one. `[site]`, `[defaults]` and `[severity]` may stand in one file only.
struct Merged {
    first: Span,
    site: Option<file::Site>,
    defaults: Option<file::Defaults>,
    severity: Option<file::Severity>,
    zone: Vec<file::Zone>,
    asset: Vec<file::Asset>,
    group: Vec<file::Group>,
    conduit: Vec<file::Conduit>,
    deny: Vec<file::Deny>,
    exception: Vec<file::Conduit>,
    ignore: Vec<file::Ignore>,
    nat: Vec<file::Nat>,
    tap: Vec<file::Tap>,
    protocol: Vec<file::Private>,
}

impl Merged {
    fn new(files: Vec<file::File>, reader: &mut Reader) -> Self {
        let mut whole = Self {
            first: Span::default(),
            site: None,
            defaults: None,
            severity: None,
            zone: Vec::new(),
            asset: Vec::new(),
            group: Vec::new(),
            conduit: Vec::new(),
            deny: Vec::new(),
            exception: Vec::new(),
            ignore: Vec::new(),
            nat: Vec::new(),
            tap: Vec::new(),
            protocol: Vec::new(),
        };
        fn once<T: Located>(slot: &mut Option<T>, entry: Option<T>, what: &str, reader: &mut Reader) {
            match (slot.as_ref(), entry) {
                (Some(first), Some(second)) => {
                    let twice = Diagnostic::error(second.at(), format!("{what} is given twice")).label("again here");
                    reader.found.push(twice.related(first.at(), "first here").help("keep it in one file"));
                }
                (None, Some(entry)) => *slot = Some(entry),
                (_, None) => {}
            }
        }
        for file in files {
            if let Some(schema) = file.schema.filter(|schema| schema.value != 1) {
                reader.error(schema.at, format!("schema {} is not known; this version reads 1", schema.value));
            }
            once(&mut whole.site, file.site, "[site]", reader);
            once(&mut whole.defaults, file.defaults, "[defaults]", reader);
            once(&mut whole.severity, file.severity, "[severity]", reader);
            whole.zone.extend(file.zone);
            whole.asset.extend(file.asset);
            whole.group.extend(file.group);
            whole.conduit.extend(file.conduit);
            whole.deny.extend(file.deny);
            whole.exception.extend(file.exception);
            whole.ignore.extend(file.ignore);
            whole.nat.extend(file.nat);
            whole.tap.extend(file.tap);
            whole.protocol.extend(file.protocol);
        }
        whole
    }
}

/// An entry that knows its place.
trait Located {
    fn at(&self) -> Span;
    fn had_id(&self) -> bool;
}

macro_rules! located {
    ($($name:ident)*) => { $(
        impl Located for file::$name {
            fn at(&self) -> Span {
                self.at
            }

            fn had_id(&self) -> bool {
                self.had_id
            }
        }
    )* };
}
located!(Site Defaults Severity Zone Asset Group Conduit Deny Ignore);
