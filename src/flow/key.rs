//! What a flow is called: client, server, transport and service.

use std::fmt;

use crate::address::Host;
pub use crate::decode::Transport;

/// As the contract writes it: `tcp`, `udp`, `icmp`, `ip/89`, `l2/0x88cc`, `l2/llc:0x42`.
impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Ip(number) => write!(f, "ip/{number}"),
            Self::Ethertype(ethertype) => write!(f, "l2/{ethertype:#06x}"),
            Self::Llc(dsap) => write!(f, "l2/llc:{dsap:#04x}"),
        }
    }
}

impl std::str::FromStr for Transport {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |digits: &str| digits.strip_prefix("0x").and_then(|digits| u16::from_str_radix(digits, 16).ok());
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "icmp" => Ok(Self::Icmp),
            _ => {
                let ip = || text.strip_prefix("ip/")?.parse().ok().map(Self::Ip);
                let llc = || hex(text.strip_prefix("l2/llc:")?)?.try_into().ok().map(Self::Llc);
                let ethertype = || hex(text.strip_prefix("l2/")?).map(Self::Ethertype);
                ip().or_else(llc).or_else(ethertype).ok_or(())
            }
        }
    }
}

/// How the client side of a flow was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Initiator {
    /// A SYN, or a request of the protocol.
    Seen,
    /// The port, or the protocol's role without its first request.
    Inferred,
    /// Nothing tells the sides apart.
    Unknown,
}

impl Initiator {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Inferred => "inferred",
            Self::Unknown => "unknown",
        }
    }
}

/// What a flow is called. Two workers that see parts of one flow give it the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Who asks.
    pub client: Host,
    /// Who answers.
    pub server: Host,
    /// What carries it.
    pub transport: Transport,
    /// The server's port; 0 where the transport has none.
    pub port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_read_as_they_are_written() {
        for transport in [
            Transport::Tcp,
            Transport::Udp,
            Transport::Icmp,
            Transport::Ip(89),
            Transport::Ethertype(0x88cc),
            Transport::Llc(0x42),
        ] {
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
        for text in ["", "ip/", "ip/256", "l2/88cc", "l2/llc:0x142", "sctp"] {
            assert_eq!(text.parse::<Transport>(), Err(()), "{text}");
        }
    }
}
