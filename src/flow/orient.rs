//! Who asks: from a SYN, from the protocol, else from the ports.

use super::connection::{ConnectionKey, Orientation, Side};
use super::key::{Initiator, Transport};
use crate::decode::{Headers, Tcp};

/// Ports below this belong to services (RFC 6335: system ports and user ports; dynamic ports start at 49152).
const DYNAMIC: u16 = 49152;

/// The first guess, at the first packet of a connection.
#[must_use]
pub(super) fn first(key: &ConnectionKey, sender: Side, headers: &Headers<'_>) -> Orientation {
    if headers.opens() {
        let client = if headers.has(Tcp::ACK) { sender.other() } else { sender };
        return Orientation { client, how: Initiator::Seen };
    }
    let (mine, theirs) = (key.end(sender), key.end(sender.other()));
    if theirs.address.is_group() {
        // Nobody answers as a group.
        return Orientation { client: sender, how: Initiator::Seen };
    }
    match key.transport {
        Transport::Tcp | Transport::Udp => by_port(sender, mine.port, theirs.port),
        _ => Orientation { client: sender, how: Initiator::Unknown },
    }
}

/// A service has the lower port, or the one outside the dynamic range.
fn by_port(sender: Side, mine: u16, theirs: u16) -> Orientation {
    let (low, high) = (mine.min(theirs), mine.max(theirs));
    if low == high {
        return Orientation { client: sender, how: Initiator::Unknown };
    }
    let client = if mine > theirs { sender } else { sender.other() };
    // Two dynamic ports say little, but the lower is still the better guess.
    let how = if low < DYNAMIC { Initiator::Inferred } else { Initiator::Unknown };
    Orientation { client, how }
}

impl Orientation {
    /// Takes a better-known client; what was seen is never overruled.
    pub fn improve(&mut self, client: Side, how: Initiator) {
        if how < self.how {
            *self = Self { client, how };
        }
    }
}
