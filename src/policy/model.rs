//! A policy after loading: names are numbers, texts are values, and what a child inherits is filled in.

use std::sync::Arc;

use ahash::AHashMap;
use dissectors::{Class, Mode, Token};
use jiff::tz::TimeZone;

use super::diagnostic::{Place, Source, Span, place};
use super::file::{Consequence, Criticality, Default as Fallback, Initiate, Inside, MidStream, Multicast, ZoneKind};
use super::index::Index;
use super::matching::{CodePattern, ObjectPattern, UnitPattern};
use super::membership::{Directory, Interval};
use super::protocol::Protocol;
use super::severity::Weights;
use super::tap::Tap;
use super::window::Schedule;
use super::word::{Classes, Ports, Rate, SecurityLevels};
use crate::address::{Address, Mac};
use crate::flow::key::Transport;

/// A zone by its number in [`Policy::zones`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub u16);

/// A declared asset by its number in [`Policy::assets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId(pub u32);

/// The declared model of a site, ready to judge by. Made by [`Policy::load`] or [`Policy::parse`].
#[derive(Debug)]
pub struct Policy {
    /// SHA-256 over the files in the order of their names, lower-case hex.
    pub sha256: String,
    /// Id of the site.
    pub site: String,
    /// Name of the site for people.
    pub site_name: String,
    /// `[site] approved = false`: nobody has approved it yet, so what it would allow is to be reviewed.
    pub draft: bool,
    /// When somebody has to look at it again.
    pub review_due: Option<crate::time::Timestamp>,
    /// Days without a sign of a declared asset, or of a conduit that says no other number, after which it is told.
    pub max_idle_days: u32,
    /// Declared zones, then `external` and `unknown`.
    pub zones: Vec<Zone>,
    /// Declared assets.
    pub assets: Vec<Asset>,
    /// Conduits and exceptions, by id.
    pub rules: Vec<Rule>,
    /// Weights of the severity, with the file's overrides.
    pub weights: Weights,
    /// What the loader found worth a look.
    pub warnings: super::Diagnostics,
    pub(super) sources: Arc<[Source]>,
    pub(super) time_zone: TimeZone,
    pub(super) defaults: Defaults,
    pub(super) denies: Vec<Deny>,
    pub(super) ignores: Vec<Ignore>,
    pub(super) taps: Vec<Tap>,
    pub(super) translations: Vec<(Interval, Interval)>,
    pub(super) represented: AHashMap<Address, Address>,
    pub(super) protocols: Vec<Protocol>,
    pub(super) protocol_numbers: AHashMap<String, u32>,
    pub(super) directory: Directory,
    pub(super) index: Index,
}

impl Policy {
    /// The zone of this number; `unknown` for a number of another policy.
    #[must_use]
    pub fn zone(&self, id: ZoneId) -> &Zone {
        self.zones.get(usize::from(id.0)).unwrap_or(&NOWHERE)
    }

    /// The zone of this name, reserved ones included.
    #[must_use]
    pub fn zone_named(&self, id: &str) -> Option<ZoneId> {
        let number = self.zones.iter().position(|zone| zone.id == id)?;
        u16::try_from(number).ok().map(ZoneId)
    }

    /// The zone of public addresses that no zone claims.
    #[must_use]
    pub fn external(&self) -> ZoneId {
        ZoneId(u16::try_from(self.zones.len().saturating_sub(2)).unwrap_or(u16::MAX))
    }

    /// The zone of all other addresses that no zone claims.
    #[must_use]
    pub fn unknown(&self) -> ZoneId {
        ZoneId(u16::try_from(self.zones.len().saturating_sub(1)).unwrap_or(u16::MAX))
    }

    /// Different zones that are both declared.
    #[must_use]
    pub fn are_apart(&self, (one, other): (ZoneId, ZoneId)) -> bool {
        one != other && [one, other].into_iter().all(|zone| self.zone(zone).at.is_some())
    }

    /// The declared asset of this number.
    #[must_use]
    pub fn asset(&self, id: AssetId) -> Option<&Asset> {
        self.assets.get(id.0 as usize)
    }

    /// The zones that a tap sees, by the tap's id: for judging what was multicast.
    #[must_use]
    pub fn seen_by(&self, tap: &str) -> &[ZoneId] {
        self.taps.iter().find(|known| known.id == tap).map_or(&[], |tap| &tap.sees)
    }

    /// Where in the files something stands.
    #[must_use]
    pub fn place(&self, at: Span) -> Place<'_> {
        place(&self.sources, at)
    }

    /// What it declares: kind of statement, and how many.
    #[must_use]
    pub fn declares(&self) -> [(&'static str, usize); 7] {
        let exceptions = self.rules.iter().filter(|rule| rule.exception).count();
        [
            ("zone", self.zones.len().saturating_sub(2)), // External and unknown are not declared.
            ("asset", self.assets.len()),
            ("conduit", self.rules.len() - exceptions),
            ("deny", self.denies.len()),
            ("exception", exceptions),
            ("ignore", self.ignores.len()),
            ("tap", self.taps.len()),
        ]
    }

    /// Names of the files, in the order of reading.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| &*source.name)
    }

    /// Names and texts of the files, in the order of reading: what [`Policy::of_texts`] makes the same policy from.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sources.iter().map(|source| (&*source.name, &*source.text))
    }

    pub(super) fn rule(&self, number: u32) -> Option<&Rule> {
        self.rules.get(number as usize)
    }

    /// Whether what is known of the bytes is this protocol, or looks like it.
    pub(super) fn is_a(&self, known: Option<u32>, wanted: u32) -> bool {
        known == Some(wanted) || self.both(known, wanted).is_some_and(|(known, wanted)| known.is_a(wanted))
    }

    /// Whether the bytes may be this protocol, as far as is known.
    pub(super) fn may_be(&self, known: Option<u32>, wanted: u32) -> bool {
        known == Some(wanted) || self.both(known, wanted).is_some_and(|(known, wanted)| known.may_be(wanted))
    }

    fn both(&self, known: Option<u32>, wanted: u32) -> Option<(&Protocol, &Protocol)> {
        Some((self.protocols.get(known? as usize)?, self.protocols.get(wanted as usize)?))
    }

    /// Whether rules tell the operations of this protocol apart.
    #[must_use]
    pub fn tells_operations(&self, protocol: &str) -> bool {
        self.protocol(protocol).is_some_and(|protocol| protocol.operations)
    }

    pub(super) fn protocol(&self, name: &str) -> Option<&Protocol> {
        self.protocol_numbers.get(name).and_then(|number| self.protocols.get(*number as usize))
    }
}

static NOWHERE: std::sync::LazyLock<Zone> = std::sync::LazyLock::new(|| Zone::reserved("unknown", None));

/// A zone: assets with common security requirements (IEC 62443-3-2, 3.1).
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its id.
    pub id: String,
    /// Its name for people; the id where none is given.
    pub name: String,
    /// The zone around it.
    pub parent: Option<ZoneId>,
    /// What it is for.
    pub kind: Option<ZoneKind>,
    /// Purdue level in tenths: 35 is 3.5.
    pub level: Option<u8>,
    /// Target security levels.
    pub sl_t: SecurityLevels,
    /// Capability, as declared.
    pub sl_c: Option<SecurityLevels>,
    /// Achieved, as declared; never computed.
    pub sl_a: Option<SecurityLevels>,
    /// What happens when it fails.
    pub consequence: Option<Consequence>,
    /// How much depends on it.
    pub criticality: Option<Criticality>,
    /// Holds safety functions.
    pub safety: bool,
    /// Vendor pools, guests, cellular.
    pub untrusted: bool,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where it stands; none for the reserved zones.
    pub at: Option<Span>,
    /// Itself, then the zones around it, innermost first.
    pub(super) chain: Vec<ZoneId>,
    pub(super) inside: InsideRules,
}

impl Zone {
    pub(super) fn reserved(id: &str, level: Option<u8>) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            parent: None,
            kind: (id == "external").then_some(ZoneKind::External),
            level,
            sl_t: SecurityLevels::default(),
            sl_c: None,
            sl_a: None,
            consequence: None,
            criticality: Some(Criticality::Low),
            safety: false,
            untrusted: id == "external",
            owner: None,
            at: None,
            chain: Vec::new(),
            inside: InsideRules::default(),
        }
    }
}

/// What a zone says of the traffic between its own members.
#[derive(Clone, Debug, Default)]
pub(super) struct InsideRules {
    pub(super) default: Option<Inside>,
    pub(super) allow: Vec<Allow>,
    pub(super) deny: Vec<Allow>,
}

/// A declared asset.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its id.
    pub id: String,
    /// Its name for people; the id where none is given.
    pub name: String,
    /// Its addresses.
    pub ips: Vec<Address>,
    /// Its MAC addresses.
    pub macs: Vec<Mac>,
    /// Its host name.
    pub hostname: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its maker.
    pub vendor: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// The zone it is pinned to.
    pub zone: Option<ZoneId>,
    /// Purdue level in tenths, where it differs from its zone's.
    pub level: Option<u8>,
    /// How much depends on it.
    pub criticality: Option<Criticality>,
    /// What an attacker would want most.
    pub crown_jewel: bool,
    /// Somebody said yes to it.
    pub approved: bool,
    /// From when on it should not be there any more.
    pub retired: Option<crate::time::Timestamp>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// May be in two zones.
    pub multi_homed: bool,
    /// Zones whose edge it forms.
    pub boundary_of: Vec<ZoneId>,
    /// Whether it may program controllers, where the policy says.
    pub engineering: Option<bool>,
    /// Gives the time.
    pub time_source: bool,
    /// The firmware it should have.
    pub expected_firmware: Option<String>,
    /// Where it stands.
    pub at: Span,
    pub(super) tags: Vec<String>,
}

/// A conduit, or an exception: what may pass between two ends.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Its name for people; the id where none is given.
    pub name: String,
    /// Allowed for a time and at somebody's risk, instead of declared for good.
    pub exception: bool,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The change that made it.
    pub ticket: Option<String>,
    /// Why it is there.
    pub reason: Option<String>,
    /// Ends as written, who opens.
    pub from_words: Vec<String>,
    /// Ends as written, who answers.
    pub to_words: Vec<String>,
    /// No payload in the reverse direction.
    pub one_way: bool,
    /// Just in time: it is taken out of the declaration when it has ended.
    pub ephemeral: bool,
    /// Counts in the review of remote access.
    pub remote_access: bool,
    /// Days without use after which it is reported.
    pub max_idle_days: u32,
    /// Longest session of remote access.
    pub max_session: Option<std::time::Duration>,
    /// Longest pause of such a session.
    pub max_idle: Option<std::time::Duration>,
    /// Most of such sessions at a time.
    pub max_concurrent: Option<u32>,
    /// Period of a conduit that is expected to carry traffic periodically.
    pub period: Option<std::time::Duration>,
    /// Longest silence of a conduit that is expected to be continuous; of a periodic one, one and a half periods.
    pub max_silence: Option<std::time::Duration>,
    /// Its target security levels.
    pub sl_t: Option<SecurityLevels>,
    /// Its capability.
    pub sl_c: Option<SecurityLevels>,
    /// Who approved an exception.
    pub approved_by: Vec<String>,
    /// What makes up for what it lacks.
    pub compensating: Vec<String>,
    /// What the boundary device is said to log.
    pub logging: Option<String>,
    /// What is said to inspect it.
    pub inspected_by: Option<String>,
    /// Where it stands.
    pub at: Span,
    pub(super) from: Vec<End>,
    pub(super) to: Vec<End>,
    pub(super) via: Vec<AssetId>,
    pub(super) exact: bool,
    pub(super) initiate: Initiate,
    pub(super) allow: Vec<Allow>,
    pub(super) schedule: Schedule,
    /// Denies, by number, that this exception beats.
    pub(super) overrides: Vec<u32>,
    /// Zones in which the assets and addresses of its ends lie: it joins those zones, for these ends alone.
    pub(super) from_homes: Vec<ZoneId>,
    pub(super) to_homes: Vec<ZoneId>,
}

impl Rule {
    /// First instant at which it holds.
    #[must_use]
    pub fn valid_from(&self) -> Option<crate::time::Timestamp> {
        self.schedule.from
    }

    /// Its traffic has to pass a boundary device.
    #[must_use]
    pub fn has_boundary(&self) -> bool {
        !self.via.is_empty()
    }

    /// First instant at which it holds no more.
    #[must_use]
    pub fn valid_until(&self) -> Option<crate::time::Timestamp> {
        self.schedule.until
    }
}

/// One end of a rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    Any,
    Zone(ZoneId),
    Asset(AssetId),
    Net(Interval),
    Mac(Mac),
    Query { vendor: Option<String>, role: Option<String> },
}

/// One allow table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allow {
    pub(super) protocol: Carried,
    /// None: the protocol's own ports.
    pub(super) ports: Option<Vec<Ports>>,
    /// A bare name inside a zone: the port is not asked when the bytes said which protocol it is.
    pub(super) any_port: bool,
    /// None: the protocol's operations are not told apart, or `codes` says them.
    pub(super) classes: Option<Classes>,
    pub(super) codes: Option<Vec<CodePattern>>,
    pub(super) units: Option<Vec<UnitPattern>>,
    pub(super) objects: Option<Vec<ObjectPattern>>,
    pub(super) security: Option<Minimum>,
    pub(super) max_rate: Option<Rate>,
    pub(super) max_bytes: Option<Rate>,
    pub(super) vlan: Option<u16>,
    pub(super) dscp: Option<u8>,
}

impl Allow {
    /// Whether it can only be checked by looking into messages.
    pub(super) fn looks_inside(&self) -> bool {
        self.codes.is_some()
            || self.objects.is_some()
            || self.units.is_some()
            || self.classes.is_some_and(|classes| classes != Classes::ALL)
    }
}

impl Allow {
    /// `modbus functions 6, 16 on unit 1, holding 100–119`.
    pub(super) fn described(&self, protocols: &[Protocol]) -> String {
        fn list<T: ToString>(items: &[T]) -> String {
            items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
        }
        let mut text = match self.protocol {
            Carried::Protocol(number) => {
                protocols.get(number as usize).map(|protocol| protocol.name.clone()).unwrap_or_default()
            }
            Carried::Transport(transport) => transport.to_string(),
        };
        if let Some(codes) = &self.codes {
            text = format!("{text} functions {}", list(codes));
        } else if let Some(classes) = self.classes {
            text = format!("{text} {classes}");
        }
        if let Some(ports) = &self.ports {
            text = format!("{text} on port {}", list(ports));
        }
        if let Some(units) = &self.units {
            text = format!("{text} on unit {}", list(&units.iter().map(|unit| &unit.0).collect::<Vec<_>>()));
        }
        if let Some(objects) = &self.objects {
            text = format!("{text}, {}", list(objects));
        }
        for (what, value) in [("VLAN", self.vlan), ("DSCP", self.dscp.map(u16::from))] {
            if let Some(value) = value {
                text = format!("{text}, {what} {value}");
            }
        }
        text
    }
}

/// What an allow table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// A protocol, by number.
    Protocol(u32),
    /// Anything on these ports of this transport.
    Transport(Transport),
}

/// The least security.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Minimum {
    pub(super) mode: Option<Mode>,
    pub(super) policies: Option<Vec<String>>,
    pub(super) tokens: Option<Vec<Token>>,
    pub(super) version: Option<String>,
    pub(super) auth: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Deny {
    pub(super) id: String,
    pub(super) reason: Option<String>,
    pub(super) from: Vec<End>,
    pub(super) to: Vec<End>,
    pub(super) except_from: Vec<End>,
    pub(super) protocols: Option<Vec<u32>>,
    pub(super) classes: Option<Classes>,
}

#[derive(Clone, Debug)]
pub(super) struct Ignore {
    pub(super) id: String,
    pub(super) from: Vec<End>,
    pub(super) to: Vec<End>,
    pub(super) protocols: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) inter_zone: Fallback,
    pub(super) intra_zone: Inside,
    pub(super) unzoned: Fallback,
    pub(super) external: Fallback,
    pub(super) unapproved: Fallback,
    pub(super) unidentified: Fallback,
    pub(super) multicast: Multicast,
    pub(super) mid_stream: MidStream,
}

impl Defaults {
    /// The weight of a conversation of which no operation is known.
    pub(super) fn class(protocol: Option<&Protocol>) -> Class {
        match protocol {
            Some(Protocol { class: Some(class), .. }) => *class,
            Some(protocol) if !protocol.operations => Class::Other,
            _ => Class::Unknown,
        }
    }
}
