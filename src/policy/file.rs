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
        schema: Option<At<u32>>,
        site: Option<Site>,
        defaults: Option<Defaults>,
        severity: Option<Severity>,
        zone: Vec<Zone>,
        asset: Vec<Asset>,
        group: Vec<Group>,
        conduit: Vec<Conduit>,
        deny: Vec<Deny>,
        exception: Vec<Conduit>,
        ignore: Vec<Ignore>,
        nat: Vec<Nat>,
        tap: Vec<Tap>,
        protocol: Vec<Private>,
    }

    /// `[site]`: the system under consideration (IEC 62443-3-2, 6.1).
    struct Site as "[site]" {
        id: Option<At<Id>>,
        name: Option<String>,
        timezone: Option<At<String>>,
        owner: Option<String>,
        approved: Option<bool>,
        approved_by: Option<String>,
        approved_on: Option<When>,
        review_due: Option<When>,
        documents: Vec<String>,
        tolerable_risk: Option<String>,
        regulations: Option<TextOrList>,
        threat_reference: Option<TextOrList>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[defaults]`.
    struct Defaults as "[defaults]" {
        inter_zone: Option<Default>,
        intra_zone: Option<Inside>,
        unzoned: Option<Default>,
        external: Option<Default>,
        unapproved: Option<Default>,
        multicast: Option<Multicast>,
        unidentified: Option<Default>,
        mid_stream: Option<MidStream>,
        max_idle_days: Option<u32>,
        exception_max_days: Option<u32>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[severity]`: weights, floors and bands that differ from the built-in ones.
    struct Severity as "[severity]" {
        weights: Option<Numbers>,
        floors: Option<Numbers>,
        bands: Option<Numbers>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[[zone]]`.
    struct Zone as "[[zone]]" {
        id: Option<At<Id>>,
        name: Option<String>,
        parent: Option<At<String>>,
        kind: Option<ZoneKind>,
        purpose: Option<String>,
        level: Option<Level>,
        sl_t: Option<SecurityLevels>,
        sl_c: Option<SecurityLevels>,
        sl_a: Option<SecurityLevels>,
        consequence: Option<Consequence>,
        criticality: Option<Criticality>,
        safety: Option<bool>,
        untrusted: Option<bool>,
        temporary: bool,
        wireless: bool,
        owner: Option<String>,
        physical: Option<String>,
        policies: Option<TextOrList>,
        assumptions: Option<TextOrList>,
        access_points: Option<TextOrList>,
        members: Vec<Selector>,
        inside: Option<InsideTable>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// One entry of `members`.
    struct Selector as "a member" {
        asset: Option<At<String>>,
        mac: Option<At<Mac>>,
        ip: Option<At<Address>>,
        cidr: Option<At<String>>,
        range: Option<At<String>>,
        hostname: Option<At<String>>,
        vlan: Option<At<u16>>,
        subnet_of_tap: Option<At<String>>,
        vendor: Option<At<String>>,
        role: Option<At<String>>,
        dnp3_link: Option<At<u16>>,
        notes: Option<String>,
    }

    /// `inside` of a zone.
    struct InsideTable as "inside" {
        default: Option<Inside>,
        allow: Vec<InsideItem>,
        deny: Vec<InsideItem>,
        notes: Option<String>,
    }

    /// `[[asset]]`.
    struct Asset as "[[asset]]" {
        id: Option<At<Id>>,
        name: Option<String>,
        ip: Vec<At<Address>>,
        mac: Vec<At<Mac>>,
        hostname: Option<At<String>>,
        serial: Option<At<String>>,
        vendor: Option<String>,
        model: Option<String>,
        role: Option<String>,
        zone: Option<At<String>>,
        level: Option<Level>,
        criticality: Option<Criticality>,
        crown_jewel: bool,
        approved: Option<bool>,
        owner: Option<String>,
        location: Option<String>,
        asset_number: Option<String>,
        multi_homed: bool,
        represents: Vec<At<Address>>,
        boundary_of: Vec<At<String>>,
        time_source: bool,
        engineering: bool,
        expected_firmware: Option<String>,
        key_must_be: Option<Key>,
        retired_on: Option<When>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[[group]]`.
    struct Group as "[[group]]" {
        id: Option<At<Id>>,
        name: Option<String>,
        members: Vec<GroupMember>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// A query in a group.
    struct Query as "a group query" {
        role: Option<String>,
        vendor: Option<String>,
        zone: Option<At<String>>,
        tag: Option<At<String>>,
    }

    /// `[[conduit]]` and `[[exception]]`, which is a conduit that ends, with somebody who answers for it.
    struct Conduit as "a conduit or exception" {
        id: Option<At<Id>>,
        name: Option<String>,
        owner: Option<String>,
        ticket: Option<String>,
        reason: Option<String>,
        from: Option<At<Vec<At<String>>>>,
        to: Option<At<Vec<At<String>>>>,
        via: Vec<At<String>>,
        exact: bool,
        initiate: Option<Initiate>,
        one_way: bool,
        allow: Vec<Allow>,
        windows: Vec<Window>,
        valid_from: Option<At<When>>,
        valid_until: Option<At<When>>,
        ephemeral: bool,
        remote_access: bool,
        max_idle_days: Option<u32>,
        max_session: Option<Span>,
        max_idle: Option<Span>,
        max_concurrent: Option<u32>,
        expect: Option<Expect>,
        max_silence: Option<Span>,
        period: Option<Span>,
        sl_t: Option<SecurityLevels>,
        sl_c: Option<SecurityLevels>,
        criticality: Option<Criticality>,
        compensating: Vec<String>,
        policies: Option<TextOrList>,
        assumptions: Option<TextOrList>,
        logging: Option<String>,
        inspected_by: Option<String>,
        risk_owner: Option<At<String>>,
        approved_by: Option<At<Vec<String>>>,
        overrides: Option<At<Vec<At<String>>>>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// One entry of `allow`.
    struct Allow as "an allow table" {
        protocol: Option<At<String>>,
        ports: Option<Vec<Ports>>,
        ops: Option<Vec<Classes>>,
        functions: Option<Vec<Code>>,
        services: Option<Vec<Code>>,
        units: Option<Vec<Code>>,
        objects: Option<Vec<Object>>,
        security: Option<Security>,
        max_rate: Option<Rate>,
        max_bytes: Option<Rate>,
        dscp: Option<u8>,
        vlan: Option<u16>,
        notes: Option<String>,
    }

    /// One entry of `objects`: which keys belong together depends on the protocol.
    struct Object as "an object" {
        table: Option<At<String>>,
        from: Option<At<u64>>,
        to: Option<At<u64>>,
        class: Option<At<u64>>,
        instance: Option<At<u64>>,
        tag: Option<At<String>>,
        node: Option<At<String>>,
        method: Option<At<String>>,
        db: Option<At<u64>>,
        kind = "type" : Option<At<Code>>,
        property: Option<At<Code>>,
        name: Option<At<String>>,
    }

    /// The security minimum.
    struct Security as "security" {
        mode: Option<ModeWord>,
        policies: Option<Vec<String>>,
        tokens: Option<Vec<TokenWord>>,
        version: Option<String>,
        auth: Option<bool>,
    }

    /// `[[deny]]`.
    struct Deny as "[[deny]]" {
        id: Option<At<Id>>,
        name: Option<String>,
        reason: Option<String>,
        from: Option<At<Vec<At<String>>>>,
        to: Option<At<Vec<At<String>>>>,
        except_from: Vec<At<String>>,
        protocols: Option<Vec<At<String>>>,
        ops: Option<Vec<Classes>>,
        owner: Option<String>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[[ignore]]`.
    struct Ignore as "[[ignore]]" {
        id: Option<At<Id>>,
        name: Option<String>,
        reason: Option<String>,
        from: Option<At<Vec<At<String>>>>,
        to: Option<At<Vec<At<String>>>>,
        protocols: Option<Vec<At<String>>>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[[nat]]`.
    struct Nat as "[[nat]]" {
        device: Option<At<String>>,
        outside: Option<At<String>>,
        inside: Option<At<String>>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[[tap]]`: where the sensor listens.
    struct Tap as "[[tap]]" {
        id: Option<At<Id>>,
        name: Option<String>,
        sees: Vec<At<String>>,
        vlans: Vec<u16>,
        direction: Option<TapDirection>,
        notes: Option<String>,
        tags: Vec<String>,
    }

    /// `[[protocol]]`: a private protocol, by port.
    struct Private as "[[protocol]]" {
        id: Option<At<Id>>,
        name: Option<String>,
        transport: Option<At<String>>,
        ports: Vec<Ports>,
        class: Option<At<String>>,
        notes: Option<String>,
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
