//! Names for what is not dissected: which protocol the first bytes of a conversation are, by signatures that nothing else
//! matches by chance.
//!
//! Asked when no dissector takes the payload. A recogniser sees the start of what each side sent and answers only when it
//! is sure: a wrong name is worse than none, because a policy judges by it. Names are those that policies use.

mod binary;
mod industrial;
mod packet;
mod text;

use crate::Carrier;

/// A protocol by its bytes, with its version where that bears on security.
#[derive(Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The word that policies use, e.g. `ssh`.
    pub name: &'static str,
    /// The version, where the protocol's versions differ in protection: TLS `1.2`, SNMP `3`.
    pub version: Option<&'static str>,
    /// Control systems speak it.
    pub industrial: bool,
}

impl Recognised {
    const fn new(name: &'static str) -> Self {
        Self { name, version: None, industrial: false }
    }

    const fn version(name: &'static str, version: &'static str) -> Self {
        Self { name, version: Some(version), industrial: false }
    }

    const fn industrial(name: &'static str) -> Self {
        Self { name, version: None, industrial: true }
    }
}

/// The answer of a recogniser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is this, and more bytes tell nothing more.
    Is(&'static Recognised),
    /// It is this by now; what the other side sends may tell its version.
    Until(&'static Recognised),
}

impl Answer {
    /// What it is.
    #[must_use]
    pub fn recognised(self) -> &'static Recognised {
        match self {
            Self::Is(what) | Self::Until(what) => what,
        }
    }
}

/// The first bytes that each side sent: of a stream from its start, of datagrams the first. Empty: nothing yet. Which of
/// the two sides asks is not known.
pub type Heads<'a> = [&'a [u8]; 2];

type Recogniser = fn(&Heads<'_>) -> Option<Answer>;

/// For streams, in the order in which they are asked. No two take the same bytes.
const STREAMS: &[Recogniser] = &[
    text::ssh,
    binary::tls,
    text::http,
    text::rtsp,
    text::sip,
    industrial::over_tpkt,
    binary::smb,
    industrial::iec104,
    industrial::dnp3,
    text::mail_or_files,
    text::vnc,
    binary::telnet,
    binary::mqtt,
    binary::msrpc,
    packet::dns_stream,
];

/// For datagrams.
const DATAGRAMS: &[Recogniser] = &[
    packet::dns,
    packet::snmp,
    packet::ntp,
    industrial::bacnet,
    industrial::dnp3,
    text::ssdp,
    text::sip,
    packet::dhcp,
    binary::dtls,
];

/// Which protocol a conversation is, by the first bytes of its sides.
#[must_use]
pub fn recognise(carrier: Carrier, heads: &Heads<'_>) -> Option<Answer> {
    let list = match carrier {
        Carrier::Tcp => STREAMS,
        Carrier::Udp => DATAGRAMS,
    };
    list.iter().find_map(|recogniser| recogniser(heads))
}

pub use industrial::recognise_frame;

/// The host name that the first datagram tells of its sender, where the protocol's first word is a name.
#[must_use]
pub fn told_name(recognised: &Recognised, datagram: &[u8]) -> Option<String> {
    (recognised.name == "nbns").then(|| packet::registered_name(datagram)).flatten()
}

/// The link addresses of the station that a message goes to and of the one that sent it, where the protocol has such:
/// DNP3. None for what goes to all, and for the numbers that the standard reserves (IEEE 1815, 9.2.5.2).
#[must_use]
pub fn told_stations(recognised: &Recognised, message: &[u8]) -> Option<[Option<u16>; 2]> {
    const RESERVED: u16 = 0xFFF0;
    let stations = (recognised.name == "dnp3").then(|| industrial::stations(message)).flatten()?;
    Some(stations.map(|station| Some(station).filter(|station| *station < RESERVED)))
}

/// Every name that can be answered.
pub const NAMES: &[&str] = &[
    "bacnet",
    "dhcp",
    "dnp3",
    "dns",
    "ethercat",
    "ftp",
    "goose",
    "http",
    "iec104",
    "imap",
    "mms",
    "mqtt",
    "msrpc",
    "nbns",
    "nbss",
    "ntp",
    "pop3",
    "profinet-dcp",
    "profinet-rt",
    "rdp",
    "rtsp",
    "s7comm",
    "sampled-values",
    "sip",
    "smb",
    "smtp",
    "snmp",
    "ssdp",
    "ssh",
    "telnet",
    "tls",
    "vnc",
];

/// The answer for the first side that gives one.
fn either(heads: &Heads<'_>, test: impl Fn(&[u8]) -> Option<Answer>) -> Option<Answer> {
    heads.iter().find_map(|head| test(head))
}

#[cfg(test)]
mod tests;
