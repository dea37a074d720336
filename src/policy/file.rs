//! The declaration file as it is written: every table and key of the language, each value with its place.
//!
//! Nothing is decided here. What the words mean together, and whether they fit, is found by `compile`.

use super::read::{At, Node, Read, Reader, Value, schema, words};
use super::window::Window;
use super::word::{Classes, Code, Id, Level, Ports, Rate, SecurityLevels, Span, When};
use crate::address::{Address, Mac};

words! {
    /// What happens to traffic that no rule names.
    pub(super) enum Default as "default" {
        /// A violation.
        Deny = "deny",
        /// Somebody looks.
        Review = "review",
        /// Allowed.
        Allow = "allow",
    }
}

words! {
    /// What happens inside a zone.
    pub(super) enum Inside as "default inside a zone" {
        /// What the list says.
        Listed = "listed",
        /// Somebody looks at what the list does not say.
        Review = "review",
        /// Everything, unless the deny list says it.
        Allow = "allow",
        /// As listed; the word for an empty list.
        Deny = "deny",
    }
}

words! {
    /// What multicast and broadcast may do.
    pub(super) enum Multicast as "default for multicast" {
        /// Stay in the zone.
        SameZone = "same-zone",
        /// Nothing.
        Deny = "deny",
        /// Anything.
        Allow = "allow",
    }
}

words! {
    /// What is done with a session whose start was not captured.
    pub(super) enum MidStream as "mid_stream default" {
        /// The initiator is inferred.
        Infer = "infer",
        /// Somebody looks.
        Review = "review",
    }
}

words! {
    /// What a zone is for.
    pub enum ZoneKind as "kind of zone" {
        /// Offices.
        Enterprise = "enterprise",
        /// Where IT and OT meet.
        Dmz = "dmz",
        /// Brokers, jump hosts, VPN pools.
        RemoteAccess = "remote-access",
        /// SCADA servers, operator stations.
        Supervision = "supervision",
        /// Engineering workstations.
        Engineering = "engineering",
        /// Controllers.
        Control = "control",
        /// Instruments, drives.
        Field = "field",
        /// Safety instrumented systems.
        Safety = "safety",
        /// Wireless devices.
        Wireless = "wireless",
        /// Temporarily connected devices.
        Temporary = "temporary",
        /// Network management.
        Management = "management",
        /// Cameras, printers, building.
        Support = "support",
        /// Outside of the site.
        External = "external",
    }
}

words! {
    /// How much depends on something.
    pub enum Criticality as "criticality" {
        /// Little.
        Low = "low",
        /// Something.
        Medium = "medium",
        /// Much.
        High = "high",
        /// Everything.
        Critical = "critical",
    }
}

words! {
    /// What happens when it fails.
    pub enum Consequence as "consequence" {
        /// Nothing much.
        Minimal = "minimal",
        /// Less production.
        ProductionDegradation = "production-degradation",
        /// No production.
        ProductionOutage = "production-outage",
        /// People or environment come to harm.
        MajorIncident = "major-incident",
    }
}

words! {
    /// Who may open a session.
    pub(super) enum Initiate as "initiator" {
        /// The `from` end.
        From = "from",
        /// The `to` end: reverse connect.
        To = "to",
        /// Both.
        Either = "either",
    }
}

words! {
    /// Which way a tap sees traffic.
    pub(super) enum TapDirection as "tap direction" {
        /// Both ways.
        Both = "both",
        /// What the port receives.
        Rx = "rx",
        /// What the port sends.
        Tx = "tx",
    }
}

words! {
    /// How often a conduit is expected to carry traffic.
    pub(super) enum Expect as "expectation" {
        /// Always.
        Continuous = "continuous",
        /// Now and then.
        Periodic = "periodic",
        /// No expectation.
        None = "none",
    }
}

words! {
    /// The least protection of messages.
    pub(super) enum ModeWord as "security mode" {
        /// None needed.
        None = "none",
        /// Signed.
        Sign = "sign",
        /// Signed and encrypted.
        SignAndEncrypt = "sign-and-encrypt",
    }
}

words! {
    /// How a user proves who they are.
    pub(super) enum TokenWord as "user token" {
        /// Not at all.
        Anonymous = "anonymous",
        /// Name and password.
        Username = "username",
        /// A certificate.
        Certificate = "certificate",
        /// A token of an authorisation service.
        Issued = "issued",
    }
}

words! {
    /// The position that a controller's key must have.
    pub(super) enum Key as "key position" {
        /// RUN.
        Run = "run",
    }
}

schema! {
    /// One file.
    struct File as "a policy file" {
        /// Version of this language; 1.
        schema: Option<At<u32>>,
        /// The system under consideration.
        site: Option<Site>,
        /// What happens to traffic that no rule names.
        defaults: Option<Defaults>,
        /// Weights, floors and bands that differ from the built-in ones.
        severity: Option<Severity>,
        /// Assets with common security requirements.
        zone: Vec<Zone>,
        /// Devices that the declaration knows by name.
        asset: Vec<Asset>,
        /// Shorter ends for rules.
        group: Vec<Group>,
        /// What may pass between zones.
        conduit: Vec<Conduit>,
        /// What may never pass: wins over conduits.
        deny: Vec<Deny>,
        /// Conduits that end, at somebody's risk.
        exception: Vec<Conduit>,
        /// Noise that makes no finding.
        ignore: Vec<Ignore>,
        /// Address translations to undo.
        nat: Vec<Nat>,
        /// Where the sensor listens.
        tap: Vec<Tap>,
        /// Private protocols, by port.
        protocol: Vec<Private>,
    }

    /// `[site]`: the system under consideration (IEC 62443-3-2, 6.1).
    struct Site as "[site]" needs ["id"] {
        /// Id of the site; part of the id of every finding.
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// IANA time zone, like "Europe/Stockholm": windows and dates are in it.
        timezone: Option<At<String>>,
        /// Who answers for the declaration. Documentation.
        owner: Option<String>,
        /// false: a draft, which nobody approved yet.
        approved: Option<bool>,
        /// Who approved it (IEC 62443-3-2, ZCR 7.1). Documentation.
        approved_by: Option<String>,
        /// When it was approved. Documentation.
        approved_on: Option<When>,
        /// When it has to be looked at again.
        review_due: Option<When>,
        /// References: risk assessment, drawings, requirements. Documentation.
        documents: Vec<String>,
        /// The tolerable risk, or where it is written. Documentation.
        tolerable_risk: Option<String>,
        /// Regulations that apply. Documentation.
        regulations: Option<TextOrList>,
        /// The threat assumptions, or where they are written. Documentation.
        threat_reference: Option<TextOrList>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[defaults]`.
    struct Defaults as "[defaults]" {
        /// Between zones, when no rule covers both ends: deny (default), review or allow.
        inter_zone: Option<Default>,
        /// Within a zone that does not say: listed (default), review, allow or deny.
        intra_zone: Option<Inside>,
        /// To or from a private address that no zone claims: deny (default), review or allow.
        unzoned: Option<Default>,
        /// To or from a public address: deny (default), review or allow.
        external: Option<Default>,
        /// Allowed traffic of an asset that nobody approved: review (default), deny or allow.
        unapproved: Option<Default>,
        /// Multicast and broadcast: same-zone (default), allow or deny.
        multicast: Option<Multicast>,
        /// Payload that no decoder knows, on an allowed port: review (default), deny or allow.
        unidentified: Option<Default>,
        /// A session whose start was not captured: infer (default) or review.
        mid_stream: Option<MidStream>,
        /// Days without use after which a conduit is reported; 90.
        max_idle_days: Option<u32>,
        /// Longest exception in days; 180.
        exception_max_days: Option<u32>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[severity]`: weights, floors and bands that differ from the built-in ones.
    struct Severity as "[severity]" {
        /// Points by operation class or term.
        weights: Option<Numbers>,
        /// Least score by reason code, or "safety".
        floors: Option<Numbers>,
        /// Scores at which low, medium, high and critical begin.
        bands: Option<Numbers>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[[zone]]`.
    struct Zone as "[[zone]]" needs ["id"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-".
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// The zone around it, whose level, SL-T, criticality, owner and flags it inherits.
        parent: Option<At<String>>,
        /// What it is for.
        kind: Option<ZoneKind>,
        /// Its one purpose.
        purpose: Option<At<String>>,
        /// Purdue level: 0, 1, 2, 3, 3.5, 4 or 5. A label for severity and reports, not a rule.
        level: Option<Level>,
        /// Target security levels, 0 to 4: one number, a list of the seven, or a table with "all" and any of IAC, UC,
        /// SI, DC, RDF, TRE, RA.
        sl_t: Option<SecurityLevels>,
        /// Capability security levels, as declared.
        sl_c: Option<SecurityLevels>,
        /// Achieved security levels, as declared; never computed.
        sl_a: Option<SecurityLevels>,
        /// What happens when it fails.
        consequence: Option<Consequence>,
        /// How much depends on it.
        criticality: Option<Criticality>,
        /// Holds safety functions: a grant to the zone around it does not reach it.
        safety: Option<bool>,
        /// Vendor pools, guests, cellular.
        untrusted: Option<bool>,
        /// Temporarily connected devices (IEC 62443-3-2, ZCR 3.4). Documentation.
        temporary: bool,
        /// Wireless devices (ZCR 3.5). Documentation.
        wireless: bool,
        /// Who answers for it.
        owner: Option<String>,
        /// Where it is. Documentation.
        physical: Option<String>,
        /// Policies that apply. Documentation.
        policies: Option<TextOrList>,
        /// Assumptions that were made. Documentation.
        assumptions: Option<TextOrList>,
        /// Physical and logical access points. Documentation.
        access_points: Option<TextOrList>,
        /// Who is in it. The most specific selector of any zone wins.
        members: Vec<Selector>,
        /// What its members may do among themselves.
        inside: Option<InsideTable>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// One entry of `members`.
    struct Selector as "a member" {
        /// A declared asset.
        asset: Option<At<String>>,
        /// A MAC address.
        mac: Option<At<Mac>>,
        /// One address.
        ip: Option<At<Address>>,
        /// A network, like "10.20.1.0/24".
        cidr: Option<At<String>>,
        /// From and to, like "10.20.1.10-10.20.1.19".
        range: Option<At<String>>,
        /// A host name, or "*.suffix".
        hostname: Option<At<String>>,
        /// A VLAN, alone or with cidr.
        vlan: Option<At<u16>>,
        /// The segment on which a tap listens.
        subnet_of_tap: Option<At<String>>,
        /// A maker, as observed.
        vendor: Option<At<String>>,
        /// A role, as observed.
        role: Option<At<String>>,
        /// The link address of a DNP3 station, 0 to 65519. Of several behind one address the lowest that a zone claims decides.
        dnp3_link: Option<At<u16>>,
        /// Free text. Documentation.
        notes: Option<String>,
    }

    /// `inside` of a zone.
    struct InsideTable as "inside" {
        /// What happens to the rest: listed, review, allow or deny.
        default: Option<Inside>,
        /// Protocols with all their operations, or allow tables.
        allow: Vec<InsideItem>,
        /// The same, forbidden.
        deny: Vec<InsideItem>,
        /// Free text. Documentation.
        notes: Option<String>,
    }

    /// `[[asset]]`.
    struct Asset as "[[asset]]" needs ["id"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-".
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// Its addresses.
        ip: Vec<At<Address>>,
        /// Its MAC addresses.
        mac: Vec<At<Mac>>,
        /// Its host name.
        hostname: Option<At<String>>,
        /// Its serial number.
        serial: Option<At<String>>,
        /// Its maker.
        vendor: Option<String>,
        /// Its model.
        model: Option<String>,
        /// Its role, like "plc" or "scada-server".
        role: Option<String>,
        /// Pins it to this zone.
        zone: Option<At<String>>,
        /// Purdue level, where it differs from its zone's.
        level: Option<Level>,
        /// How much depends on it.
        criticality: Option<Criticality>,
        /// What an attacker would want most.
        crown_jewel: bool,
        /// false: known, but nobody said yes to it.
        approved: Option<bool>,
        /// Who answers for it.
        owner: Option<String>,
        /// Where it stands. Documentation.
        location: Option<String>,
        /// Its number in the asset register. Documentation.
        asset_number: Option<String>,
        /// May have addresses in two zones.
        multi_homed: bool,
        /// Addresses that it stands for: a proxy, a protocol gateway.
        represents: Vec<At<Address>>,
        /// Zones whose edge it forms: a firewall, a router.
        boundary_of: Vec<At<String>>,
        /// Gives the time: a conduit that carries time from anywhere else is warned of.
        time_source: bool,
        /// true: may program controllers. false: a rule that lets it is warned of.
        engineering: Option<bool>,
        /// The firmware it should have.
        expected_firmware: Option<String>,
        /// The position its key switch must have. Not evaluated yet: a warning.
        key_must_be: Option<At<Key>>,
        /// The day it was retired: what it does from then on is not approved.
        retired_on: Option<At<When>>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[[group]]`.
    struct Group as "[[group]]" needs ["id"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-".
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// Assets, addresses, networks, or queries.
        members: Vec<GroupMember>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// A query in a group.
    struct Query as "a group query" {
        /// Assets of this role.
        role: Option<String>,
        /// Assets of this maker.
        vendor: Option<String>,
        /// Members of this zone.
        zone: Option<At<String>>,
        /// Zones and assets with this tag.
        tag: Option<At<String>>,
    }

    /// `[[conduit]]` and `[[exception]]`, which is a conduit that ends, with somebody who answers for it.
    struct Conduit as "a conduit or exception" needs ["id", "from", "to"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-".
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// Who answers for it.
        owner: Option<String>,
        /// The change that made it.
        ticket: Option<String>,
        /// Why it is there.
        reason: Option<String>,
        /// Who opens the session: zones, assets, groups, addresses, or any, external, unknown. The reply is implied.
        from: Option<At<Vec<At<String>>>>,
        /// Who answers.
        to: Option<At<Vec<At<String>>>>,
        /// Boundary devices that it must pass; empty: not checked.
        via: Vec<At<String>>,
        /// true: a zone that is named does not cover the zones in it.
        exact: bool,
        /// Who may open: from (default), to (reverse connect) or either.
        initiate: Option<Initiate>,
        /// true: no payload in the reverse direction, as through a data diode.
        one_way: bool,
        /// What may pass: any one table is enough for an operation.
        allow: Vec<Allow>,
        /// Times of the week, like "mon-fri 06:00-18:00"; several are allowed.
        windows: Vec<Window>,
        /// First day or instant.
        valid_from: Option<At<When>>,
        /// Last day (whole) or instant. An exception must have it.
        valid_until: Option<At<When>>,
        /// Just in time: needs valid_from and valid_until, at most a day apart.
        ephemeral: bool,
        /// Counts in the review of remote access.
        remote_access: bool,
        /// Days without use after which it is reported.
        max_idle_days: Option<u32>,
        /// Longest session, like "4h".
        max_session: Option<Span>,
        /// Longest idle time of a session.
        max_idle: Option<Span>,
        /// Most sessions at once.
        max_concurrent: Option<u32>,
        /// How often it should carry traffic.
        expect: Option<Expect>,
        /// Longest silence of a continuous one, like "10m".
        max_silence: Option<Span>,
        /// Period of a periodic one.
        period: Option<Span>,
        /// Its target security levels.
        sl_t: Option<SecurityLevels>,
        /// Its capability security levels.
        sl_c: Option<SecurityLevels>,
        /// How much depends on it.
        criticality: Option<Criticality>,
        /// What makes up for what it lacks.
        compensating: Vec<String>,
        /// Policies that apply. Documentation.
        policies: Option<TextOrList>,
        /// Assumptions that were made. Documentation.
        assumptions: Option<TextOrList>,
        /// What the boundary device logs. Shown in the review.
        logging: Option<String>,
        /// What inspects it. Shown in the review.
        inspected_by: Option<String>,
        /// Who carries the risk of an exception.
        risk_owner: Option<At<String>>,
        /// Who approved an exception; two names for a safety zone.
        approved_by: Option<At<Vec<String>>>,
        /// Denies that an exception beats.
        overrides: Option<At<Vec<At<String>>>>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// One entry of `allow`.
    struct Allow as "an allow table" needs ["protocol"] {
        /// A protocol, a set like "modbus.read-only", or tcp or udp with ports.
        protocol: Option<At<String>>,
        /// Server ports, like 502 or "5000-5010"; without: the protocol's own.
        ports: Option<Vec<Ports>>,
        /// Operation classes (read, write, ...) or groups (observe, discover, operate, engineer, all).
        ops: Option<Vec<Classes>>,
        /// Exact function codes, like 3 or "43/14".
        functions: Option<Vec<Code>>,
        /// Exact services: CIP codes in hex, OPC UA names.
        services: Option<Vec<Code>>,
        /// Parts of the server: Modbus units, link addresses, route paths.
        units: Option<Vec<Code>>,
        /// What may be touched: a range passes only if it lies wholly in one entry.
        objects: Option<Vec<Object>>,
        /// The least protection.
        security: Option<Security>,
        /// Operations in time, like "50/s".
        max_rate: Option<Rate>,
        /// Bytes in time, like "50MB/h".
        max_bytes: Option<Rate>,
        /// Only where all packets with payload of the side that opens have this DSCP, 0 to 63.
        dscp: Option<At<u8>>,
        /// Only on this VLAN.
        vlan: Option<At<u16>>,
        /// Free text. Documentation.
        notes: Option<String>,
    }

    /// One entry of `objects`: which keys belong together depends on the protocol.
    struct Object as "an object" {
        /// An address space, like "holding"; with from and to.
        table: Option<At<String>>,
        /// First, in it.
        from: Option<At<u64>>,
        /// Last, in it.
        to: Option<At<u64>>,
        /// A class of objects.
        class: Option<At<u64>>,
        /// One instance of it.
        instance: Option<At<u64>>,
        /// A tag name, with * and ?.
        tag: Option<At<String>>,
        /// A node id, with * and ?.
        node: Option<At<String>>,
        /// A method, with * and ?.
        method: Option<At<String>>,
        /// A data block; with from and to.
        db: Option<At<u64>>,
        /// An object type; with instance and property.
        kind = "type" : Option<At<Code>>,
        /// A property. Not evaluated: which property is asked for is not read.
        property: Option<At<Code>>,
        /// A file name, with * and ?.
        name: Option<At<String>>,
    }

    /// The security minimum.
    struct Security as "security" {
        /// Of the messages: none, sign or sign-and-encrypt.
        mode: Option<ModeWord>,
        /// Security policies, any of which will do.
        policies: Option<Vec<String>>,
        /// User tokens, any of which will do.
        tokens: Option<Vec<TokenWord>>,
        /// Lowest version, like TLS "1.2".
        version: Option<String>,
        /// true: a user who is known.
        auth: Option<bool>,
    }

    /// `[[deny]]`.
    struct Deny as "[[deny]]" needs ["id", "from", "to"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-".
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// Why it is forbidden.
        reason: Option<String>,
        /// Who opens.
        from: Option<At<Vec<At<String>>>>,
        /// Who answers.
        to: Option<At<Vec<At<String>>>>,
        /// Whom it does not concern.
        except_from: Vec<At<String>>,
        /// Only these; without: all.
        protocols: Option<Vec<At<String>>>,
        /// Only these operation classes; without: all.
        ops: Option<Vec<Classes>>,
        /// Who answers for it.
        owner: Option<String>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[[ignore]]`.
    struct Ignore as "[[ignore]]" needs ["id", "from", "to", "protocols"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-".
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// Why it is noise.
        reason: Option<String>,
        /// Who opens.
        from: Option<At<Vec<At<String>>>>,
        /// Who answers.
        to: Option<At<Vec<At<String>>>>,
        /// Which protocols: none of those that can write or program.
        protocols: Option<Vec<At<String>>>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[[nat]]`.
    struct Nat as "[[nat]]" needs ["outside", "inside"] {
        /// The asset that translates.
        device: Option<At<String>>,
        /// Address or network as seen outside.
        outside: Option<At<String>>,
        /// The same, as it is inside; of equal size.
        inside: Option<At<String>>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[[tap]]`: where the sensor listens.
    struct Tap as "[[tap]]" needs ["id"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-". A capture is from the tap whose id is
        /// the name of its interface (pcapng), or its file name up to the first dot.
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// Zones whose traffic passes it.
        sees: Vec<At<String>>,
        /// VLANs that it carries. Frames of a capture that is tied to no tap by its name are tied by their VLAN.
        vlans: Vec<At<u16>>,
        /// both (default), rx or tx. Where one way is seen alone, a missing answer says nothing.
        direction: Option<TapDirection>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }

    /// `[[protocol]]`: a private protocol, by port.
    struct Private as "[[protocol]]" needs ["id"] {
        /// Its id: a letter or digit, then up to 63 letters, digits, "_", "." or "-".
        id: Option<At<Id>>,
        /// Name for people.
        name: Option<String>,
        /// tcp (default), udp, icmp, ip:89 or l2:0x88a4.
        transport: Option<At<String>>,
        /// Its server ports.
        ports: Vec<Ports>,
        /// The operation class that its conversations count as.
        class: Option<At<String>>,
        /// The known protocol that its bytes look like: "tls", "http".
        over: Option<At<String>>,
        /// Free text. Documentation.
        notes: Option<String>,
        /// Free words.
        tags: Vec<String>,
    }
}

/// Documentation that is one text or several.
#[derive(Clone, Debug)]
pub(super) struct TextOrList;

impl Read for TextOrList {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::<String>::read(node, reader).map(|_| Self),
            _ => String::read(node, reader).map(|_| Self),
        }
    }
}

/// A protocol by name, with all its operations, or an allow table.
#[derive(Clone, Debug)]
pub(super) enum InsideItem {
    Name(At<String>),
    Table(Box<Allow>),
}

impl Read for InsideItem {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Table(_) => Allow::read(node, reader).map(|table| Self::Table(Box::new(table))),
            _ => At::read(node, reader).map(Self::Name),
        }
    }
}

/// A name or an address, or a query.
#[derive(Clone, Debug)]
pub(super) enum GroupMember {
    Name(At<String>),
    Query(Query),
}

impl Read for GroupMember {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Table(_) => Query::read(node, reader).map(Self::Query),
            _ => At::read(node, reader).map(Self::Name),
        }
    }
}

/// Numbers by name; which names there are is checked where they are used.
#[derive(Clone, Debug)]
pub(super) struct Numbers(pub(super) Vec<(String, At<i64>)>);

impl Read for Numbers {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        let Value::Table(fields) = node.value else {
            reader.error(node.at, "expected a table of numbers");
            return None;
        };
        let mut numbers = Vec::new();
        for (key, (at, node)) in fields {
            match node.value {
                Value::Integer(value @ -100..=100) => numbers.push((key, At { value, at })),
                _ => reader.error(node.at, format!("\"{key}\" is a whole number from -100 to 100")),
            }
        }
        Some(Self(numbers))
    }
}
