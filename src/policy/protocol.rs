//! What the policy knows of protocols: names, the ports they are expected on, and sets of functions. All of it is data.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use dissectors::{Class, table};

use crate::flow::key::Transport;

/// A protocol that a policy can name.
#[derive(Clone, Debug, Default)]
pub(super) struct Protocol {
    pub(super) name: String,
    /// Where it is expected. Empty: anywhere.
    pub(super) carriers: Vec<(Transport, u16)>,
    /// Its operations are told apart, so a rule must say which it allows.
    pub(super) operations: bool,
    /// What a conversation is when no operation of it is known.
    pub(super) class: Option<Class>,
    /// Codes that any right to the protocol implies, before the security of the session is known.
    pub(super) setup: Vec<String>,
    /// The protocol that its bytes look like from outside: HTTP in TLS is TLS.
    pub(super) over: Option<String>,
    /// Has no encryption of its own.
    pub(super) clear: bool,
    /// Gives the time.
    pub(super) time: bool,
    /// Only safety systems speak it.
    pub(super) safety: bool,
    /// Passwords cross in the clear.
    pub(super) credentials: bool,
}

impl Protocol {
    /// Whether it is expected there; a protocol without ports is expected anywhere.
    pub(super) fn expects(&self, port: u16) -> bool {
        self.carriers.is_empty() || self.carriers.iter().any(|(_, known)| *known == port)
    }

    /// Whether bytes that are known as the one may be the other: they are the same, or one is what the other looks like.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        self.is_a(other) || other.is_a(self)
    }

    /// Whether it is the other, or looks like it.
    pub(super) fn is_a(&self, other: &Self) -> bool {
        self.name == other.name || self.over.as_ref() == Some(&other.name)
    }

    /// Every message stands for itself: it has no session whose start could be missed.
    pub(super) fn is_of_datagrams(&self) -> bool {
        !self.carriers.is_empty() && self.carriers.iter().all(|(transport, _)| *transport == Transport::Udp)
    }

    /// Whether these carriers hint at it.
    pub(super) fn hinted(&self, transport: Transport, port: u16) -> bool {
        self.carriers.contains(&(transport, port))
    }
}

/// Known protocols by name.
pub(super) static PROTOCOLS: LazyLock<BTreeMap<String, Protocol>> = LazyLock::new(|| {
    rows(include_str!("protocols.csv"))
        .map(|[name, carriers, operations, class, setup, over, traits]| {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let has = |wanted: &str| traits.split_whitespace().any(|word| word == wanted);
            let protocol = Protocol {
                carriers: words(&carriers).iter().filter_map(|text| carrier(text)).collect(),
                operations: operations == "yes",
                class: Class::parse(&class),
                setup: words(&setup),
                over: (!over.is_empty()).then_some(over),
                clear: has("clear"),
                time: has("time"),
                safety: has("safety"),
                credentials: has("credentials"),
                name: name.clone(),
            };
            (name, protocol)
        })
        .collect()
});

/// What is usual by carrier, the first of the table where several share one: every flow asks.
static SERVICES: LazyLock<HashMap<(Transport, u16), &'static Protocol, ahash::RandomState>> = LazyLock::new(|| {
    let mut services = HashMap::default();
    for [name, carriers, ..] in rows::<7>(include_str!("protocols.csv")) {
        let Some(protocol) = PROTOCOLS.get(&name) else { continue };
        for carrier in carriers.split_whitespace().filter_map(carrier) {
            services.entry(carrier).or_insert(protocol);
        }
    }
    services
});

/// Named sets of functions: name to protocol and functions.
pub(super) static PRESETS: LazyLock<BTreeMap<String, (String, Vec<String>)>> = LazyLock::new(|| {
    rows(include_str!("presets.csv"))
        .map(|[name, protocol, functions]| {
            (name, (protocol, functions.split_whitespace().map(str::to_owned).collect()))
        })
        .collect()
});

/// The usual name of a service, for labels: a hint of the port, not something that was seen.
#[must_use]
pub fn service_name(transport: Transport, port: u16) -> Option<&'static str> {
    SERVICES.get(&(transport, port)).map(|protocol| protocol.name.as_str())
}

/// The name of what the bytes of a conversation were recognised as: where its port says more than they do, as HTTP in
/// TLS, that of the service.
#[must_use]
pub fn spoken_name(recognised: &'static str, transport: Transport, port: u16) -> &'static str {
    match SERVICES.get(&(transport, port)) {
        Some(protocol) if protocol.over.as_deref() == Some(recognised) => &protocol.name,
        _ => recognised,
    }
}

fn rows<const N: usize>(csv: &'static str) -> impl Iterator<Item = [String; N]> {
    table::records(csv).filter_map(|fields| fields.try_into().ok())
}

/// `tcp:502`, `icmp`, `ip:89`, `l2:0x88cc`, `llc:0x42`; what has no port has port 0.
pub(super) fn carrier(text: &str) -> Option<(Transport, u16)> {
    let (kind, number) = text.split_once(':').unwrap_or((text, "0"));
    let number = u16::try_from(table::number(number)?).ok()?;
    Some(match kind {
        "tcp" => (Transport::Tcp, number),
        "udp" => (Transport::Udp, number),
        "icmp" => (Transport::Icmp, 0),
        "ip" => (Transport::Ip(u8::try_from(number).ok()?), 0),
        "l2" => (Transport::Ethertype(number), 0),
        "llc" => (Transport::Llc(u8::try_from(number).ok()?), 0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_whole() {
        let lines = |csv: &str| csv.lines().count() - 1;
        assert_eq!(PROTOCOLS.len(), lines(include_str!("protocols.csv")));
        assert_eq!(PRESETS.len(), lines(include_str!("presets.csv")));
        let known = ["clear", "time", "safety", "credentials"];
        for [name, carriers, _, class, _, over, traits] in rows::<7>(include_str!("protocols.csv")) {
            assert!(carriers.split_whitespace().all(|text| carrier(text).is_some()), "{name}: {carriers}");
            assert_eq!(Class::parse(&class).is_none(), class.is_empty(), "{name}: {class}");
            assert!(over.is_empty() || PROTOCOLS.contains_key(&over), "{name}: {over}");
            assert!(traits.split_whitespace().all(|word| known.contains(&word)), "{name}: {traits}");
        }
        for (preset, (protocol, _)) in PRESETS.iter() {
            assert!(PROTOCOLS.contains_key(protocol), "{preset}");
        }
    }

    #[test]
    fn what_is_recognised_has_a_name_of_the_table() {
        for name in dissectors::recognise::NAMES {
            assert!(PROTOCOLS.contains_key(*name), "{name}");
        }
        for (recognised, transport, port, want) in [
            ("tls", Transport::Tcp, 443, "https"),
            ("tls", Transport::Tcp, 4444, "tls"),
            ("tls", Transport::Tcp, 502, "tls"),
            ("http", Transport::Tcp, 8080, "http-alt"),
            ("http", Transport::Tcp, 443, "http"),
            ("dns", Transport::Udp, 5353, "mdns"),
            ("ssh", Transport::Tcp, 22, "ssh"),
        ] {
            assert_eq!(spoken_name(recognised, transport, port), want, "{recognised} on {port}");
        }
    }

    #[test]
    fn services() {
        for (transport, port, want) in [
            (Transport::Tcp, 502, Some("modbus")),
            (Transport::Tcp, 102, Some("s7comm")),
            (Transport::Udp, 2222, Some("enip-io")),
            (Transport::Ethertype(0x88CC), 0, Some("lldp")),
            (Transport::Tcp, 50_123, None),
        ] {
            assert_eq!(service_name(transport, port), want, "{transport} {port}");
        }
    }
}
