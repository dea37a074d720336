use std::borrow::Cow;

/// What a dissector can say. A small closed vocabulary: adding a protocol adds no variant.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation<'a> {
    /// Somebody said who they are, or who somebody else is.
    Identity(Identity<'a>),
    /// Somebody asked for something, or answered.
    Operation(Operation<'a>),
    /// How the conversation is protected.
    Security(Security<'a>),
    /// This conversation opens another one, or belongs to one that was opened.
    Link(Link),
    /// Something out of specification. What could be read was read.
    Anomaly(Anomaly),
    /// Bytes whose meaning is hidden (encrypted) or not known.
    Opaque(Opaque),
}

/// Where observations go.
pub trait Sink {
    /// Takes one observation. Everything borrowed dies with the call.
    fn observe(&mut self, observation: Observation<'_>);

    /// Takes an operation, which is what nearly all observations are.
    #[inline]
    fn operation(&mut self, operation: &Operation<'_>) {
        self.observe(Observation::Operation(*operation));
    }
}

/// A party of a conversation, as seen from one PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Who sent this PDU.
    Sender,
    /// To whom it was sent.
    Receiver,
}

/// Something inside a device that has its own address in the protocol: a Modbus unit behind a gateway, a module in a
/// chassis slot. Written `modbus/17`, `cip/1,0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Component<'a> {
    /// The address space, e.g. `modbus`.
    pub space: &'static str,
    /// The address in it.
    pub id: ComponentId<'a>,
}

/// The address of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComponentId<'a> {
    /// A number, e.g. a Modbus unit id.
    Number(u32),
    /// A path in text, e.g. a CIP route path `1,0` (port, link).
    Path(&'a str),
}

impl Component<'static> {
    /// A component with a number.
    #[must_use]
    pub fn number(space: &'static str, number: u32) -> Self {
        Self { space, id: ComponentId::Number(number) }
    }
}

impl<'a> Component<'a> {
    /// A component with a path.
    #[must_use]
    pub fn path(space: &'static str, path: &'a str) -> Self {
        Self { space, id: ComponentId::Path(path) }
    }
}

impl std::fmt::Display for Component<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.id {
            ComponentId::Number(n) => write!(f, "{}/{n}", self.space),
            ComponentId::Path(p) => write!(f, "{}/{p}", self.space),
        }
    }
}

/// The name of an identity attribute; see [`attribute`] for those that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute(pub &'static str);

/// Identity attributes. The inventory knows these words and no protocol.
pub mod attribute {
    use super::Attribute;
    macro_rules! attributes {
        ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
            $($(#[$doc])* pub const $name: Attribute = Attribute($text);)*
            /// All of them.
            pub const ALL: &[Attribute] = &[$($name),*];
        };
    }
    attributes! {
        /// Maker of the device.
        VENDOR = "vendor";
        /// Product name or family.
        PRODUCT = "product";
        /// Model or order number.
        MODEL = "model";
        /// Product code: a model key within a vendor.
        PRODUCT_CODE = "product-code";
        /// Firmware or software version.
        FIRMWARE = "firmware";
        /// Hardware revision.
        HARDWARE = "hardware";
        /// Serial number.
        SERIAL = "serial";
        /// The device's own name: station, application, host or tag name.
        NAME = "name";
        /// Host name.
        HOSTNAME = "hostname";
        /// The type of device that it says to be, e.g. a CIP device type.
        DEVICE_TYPE = "device-type";
        /// What the device says of its state, e.g. the CIP identity status word.
        STATUS = "status";
        /// Free description.
        DESCRIPTION = "description";
        /// Location.
        LOCATION = "location";
        /// Vendor or product address on the web.
        URL = "url";
        /// An address which the device says it has; differs from the packet's behind address translation.
        OWN_ADDRESS = "own-address";
        /// A MAC address of the device (from ARP, or told by a protocol), or of the frames that carry its packets.
        MAC = "mac";
        /// An address of another zone that it asked for by ARP, as for a neighbour.
        ARP_TARGET = "arp-target";
        /// Address of a station on a data link (IEEE 1815, 9.2.4), in decimal: several can be behind one address of IP.
        DNP3_LINK = "dnp3-link";
        /// Root of the spanning tree that a bridge told of (IEEE 802.1D, 9.3.1): priority and MAC, in hex.
        BRIDGE_ROOT = "bridge-root";
        /// VLAN id that its frames were tagged with (IEEE 802.1Q), in decimal.
        VLAN = "vlan";
        /// Time to live (IPv4) or hop limit (IPv6) that its packets arrived with, in decimal.
        TTL = "ttl";
        /// The tunnel that its packets came out of, e.g. `erspan 10.0.0.1 -> 10.0.0.2`.
        TUNNEL = "tunnel";
        /// Build date of its software.
        BUILD_DATE = "build-date";
        /// Build number of its software.
        BUILD = "build";
        /// OPC UA application URI, or a like globally unique name of the software instance.
        APPLICATION_URI = "application-uri";
        /// OPC UA product URI.
        PRODUCT_URI = "product-uri";
        /// Subject of the application's certificate.
        CERTIFICATE_SUBJECT = "certificate-subject";
        /// Issuer of the application's certificate.
        CERTIFICATE_ISSUER = "certificate-issuer";
        /// Start of the certificate's validity, RFC 3339.
        CERTIFICATE_NOT_BEFORE = "certificate-not-before";
        /// End of the certificate's validity, RFC 3339.
        CERTIFICATE_NOT_AFTER = "certificate-not-after";
        /// Size of the certificate's public key in bits, with its kind: `rsa-2048`.
        CERTIFICATE_KEY = "certificate-key";
        /// SHA-1 thumbprint of the certificate, lower-case hex: its identity in OPC UA.
        CERTIFICATE_THUMBPRINT = "certificate-thumbprint";
        /// Security that a server offers: `None`, `Basic256Sha256/sign-and-encrypt`.
        OFFERED_SECURITY = "offered-security";
        /// User tokens that a server offers: `anonymous`.
        OFFERED_TOKEN = "offered-token";
        /// A protocol's raw identity text that has no agreed layout (Modbus report server id).
        RAW_IDENTITY = "raw-identity";
        /// A role that the device's own words mean, e.g. `plc` for CIP device type 0x0E; [`super::Identity::weight`]
        /// is the probability, [`super::Identity::basis`] the reason.
        ROLE = "role";
    }
}

/// How something came to be known. Decides how far it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// The device said it of itself in answer to a question.
    SelfReport,
    /// The device said it of itself unasked.
    Announcement,
    /// What it does.
    Behaviour,
    /// Somebody else said it.
    ThirdParty,
}

impl Method {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::SelfReport => "self-report",
            Self::Announcement => "announcement",
            Self::Behaviour => "behaviour",
            Self::ThirdParty => "third-party",
        }
    }

    /// How far it is trusted by itself, in per cent.
    #[must_use]
    pub fn weight(self) -> u8 {
        match self {
            Self::SelfReport => 95,
            Self::Announcement => 90,
            Self::Behaviour => 60,
            Self::ThirdParty => 50,
        }
    }
}

/// An identity attribute of a party or of one of its components.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity<'a> {
    /// Who it is about.
    pub party: Party,
    /// The part of it, if not the whole.
    pub component: Option<Component<'a>>,
    /// What is known.
    pub attribute: Attribute,
    /// Its value; wire text already lossily UTF-8, not yet escaped.
    pub value: Cow<'a, str>,
    /// How it is known.
    pub method: Method,
    /// Probability in per cent that the value means what it says; [`Method::weight`] unless it is a role sign.
    pub weight: u8,
    /// For a role sign: why, e.g. `CIP device type 0x0E`. Else empty.
    pub basis: &'static str,
}

impl<'a> Identity<'a> {
    /// What the sender says of itself in an answer.
    pub fn told(component: Option<Component<'a>>, attribute: Attribute, value: impl Into<Cow<'a, str>>) -> Self {
        let method = Method::SelfReport;
        Self {
            party: Party::Sender,
            component,
            attribute,
            value: value.into(),
            method,
            weight: method.weight(),
            basis: "",
        }
    }

    /// A sign of the sender's role, with its probability in per cent and the reason.
    #[must_use]
    pub fn role(component: Option<Component<'a>>, role: &'static str, weight: u8, basis: &'static str) -> Self {
        Self { weight, basis, ..Self::told(component, attribute::ROLE, role) }
    }

    /// The same, known by another method, with that method's weight.
    #[must_use]
    pub fn by(self, method: Method) -> Self {
        Self { method, weight: method.weight(), ..self }
    }

    /// The same, about the receiver.
    #[must_use]
    pub fn of_receiver(self) -> Self {
        Self { party: Party::Receiver, ..self }
    }
}

/// Operation classes, over all protocols. What a policy grants and what severity weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // The words are the documentation; `text` gives them as policies write them.
pub enum Class {
    Session,
    Discovery,
    Browse,
    Read,
    Subscribe,
    Diagnostic,
    AlarmAck,
    Other,
    Unknown,
    TimeSet,
    FileRead,
    Upload,
    Write,
    RemoteAccess,
    Io,
    Control,
    FileWrite,
    Config,
    Admin,
    Restart,
    Mode,
    Program,
    Firmware,
    SafetyConfig,
}

impl Class {
    /// Every class, from harmless to grave.
    pub const ALL: [Class; 24] = [
        Self::Session,
        Self::Discovery,
        Self::Browse,
        Self::Read,
        Self::Subscribe,
        Self::Diagnostic,
        Self::AlarmAck,
        Self::Other,
        Self::Unknown,
        Self::TimeSet,
        Self::FileRead,
        Self::Upload,
        Self::Write,
        Self::RemoteAccess,
        Self::Io,
        Self::Control,
        Self::FileWrite,
        Self::Config,
        Self::Admin,
        Self::Restart,
        Self::Mode,
        Self::Program,
        Self::Firmware,
        Self::SafetyConfig,
    ];

    /// The word of policies and reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Discovery => "discovery",
            Self::Browse => "browse",
            Self::Read => "read",
            Self::Subscribe => "subscribe",
            Self::Diagnostic => "diagnostic",
            Self::AlarmAck => "alarm-ack",
            Self::Other => "other",
            Self::Unknown => "unknown",
            Self::TimeSet => "time-set",
            Self::FileRead => "file-read",
            Self::Upload => "upload",
            Self::Write => "write",
            Self::RemoteAccess => "remote-access",
            Self::Io => "io",
            Self::Control => "control",
            Self::FileWrite => "file-write",
            Self::Config => "config",
            Self::Admin => "admin",
            Self::Restart => "restart",
            Self::Mode => "mode",
            Self::Program => "program",
            Self::Firmware => "firmware",
            Self::SafetyConfig => "safety-config",
        }
    }

    /// The class of this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.text() == text)
    }

    /// A bit of its own, for sets of classes.
    #[must_use]
    pub fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// What an operation is about: a range of a table, or something with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object<'a> {
    /// The address space: `holding`, `coil`, `tag`, `class`, `node`, `method`.
    pub space: &'static str,
    /// What in it.
    pub item: Item<'a>,
}

/// A range or a name in an object space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item<'a> {
    /// From and to, both inclusive: registers, coils, instances.
    Range(u64, u64),
    /// A name: a tag, a node id.
    Name(&'a str),
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A request. The sender asks.
    Asked,
    /// A positive reply. The sender was asked.
    Answered,
    /// A negative reply of the protocol (Modbus exception, CIP general status, OPC UA bad result) with its code.
    Refused(u32),
    /// A message that expects no reply (cyclic I/O, an indication). The sender acts.
    Told,
}

impl Outcome {
    /// A request, or a message that expects no reply: one more of its operation.
    #[must_use]
    #[inline]
    pub fn is_request(self) -> bool {
        matches!(self, Self::Asked | Self::Told)
    }
}

/// A request or a reply. A reply repeats code, component and objects of its request when the two were paired.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation<'a> {
    /// What kind of thing it does.
    pub class: Class,
    /// The protocol's own code, opaque outside: [`crate::Protocol::operation`] gives its text.
    pub code: u64,
    /// The part of the server that is addressed.
    pub component: Option<Component<'a>>,
    /// What it reads, writes or calls.
    pub objects: &'a [Object<'a>],
    /// Request or reply.
    pub outcome: Outcome,
}

/// Protection of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// In clear, not signed.
    None,
    /// In clear, signed.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
    /// Inside TLS or DTLS.
    Tls,
}

impl Mode {
    /// The word of policies and reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sign => "sign",
            Self::SignAndEncrypt => "sign-and-encrypt",
            Self::Tls => "tls",
        }
    }
}

/// How a user proves who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Token {
    /// Not at all.
    Anonymous,
    /// Name and password.
    Username,
    /// A certificate.
    Certificate,
    /// A token of an authorisation service.
    Issued,
}

impl Token {
    /// The word of policies and reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Username => "username",
            Self::Certificate => "certificate",
            Self::Issued => "issued",
        }
    }
}

/// How the conversation is protected, as far as this PDU shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security<'a> {
    /// Protection of the messages.
    pub mode: Option<Mode>,
    /// The security policy's name, e.g. `Basic256Sha256`.
    pub policy: Option<&'a str>,
    /// How the user signed on. Never the secret itself.
    pub token: Option<Token>,
}

/// Ties two conversations of the same two hosts together: a CIP Forward Open and its I/O on UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The protocol of the conversation that is opened, e.g. `enip-io`.
    pub protocol: &'static str,
    /// What both ends call it, e.g. the CIP connection id.
    pub key: u64,
    /// Opens it, or belongs to it.
    pub side: LinkSide,
}

/// Which end of a [`Link`] this PDU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSide {
    /// This PDU opens the other conversation; the given party is its initiator.
    Opens(Party),
    /// This PDU belongs to a conversation that was opened with this key.
    Uses,
}

/// Something out of specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong, in plain words, e.g. `byte count is not 2 x quantity`.
    pub what: &'static str,
    /// Byte offset in the PDU.
    pub at: usize,
}

/// Bytes whose meaning is hidden or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// Why, e.g. `encrypted`.
    pub why: &'static str,
    /// How many bytes.
    pub bytes: usize,
}
