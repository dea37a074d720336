//! Whether a conversation passed the boundary devices of its conduit. Three signs tell, each by itself; none proves that
//! it did not pass by another way as well.

use super::judge::Statement;
use super::model::Policy;
use crate::address::Mac;

/// What frames told of the way of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Source and destination MAC address of a frame on its sender's own segment.
    pub leaving: Option<(Mac, Mac)>,
    /// The same of a frame on its receiver's segment.
    pub arriving: Option<(Mac, Mac)>,
    /// Time to live on two taps: where they differ at all, two that do.
    pub ttls: Option<(u8, u8)>,
}

/// What speaks against a boundary device in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// On the source's segment a frame went to this MAC address, not to the device's.
    SentPast(Mac),
    /// On the destination's segment a frame came from this MAC address, not from the device's.
    CameFrom(Mac),
    /// The time to live was the same on two taps: nothing routed it.
    SameTtl(u8),
}

impl std::fmt::Display for Sign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SentPast(mac) => write!(f, "on the source's segment frames went to {mac}"),
            Self::CameFrom(mac) => write!(f, "on the destination's segment frames came from {mac}"),
            Self::SameTtl(ttl) => write!(f, "the TTL was {ttl} on two taps, so nothing routed it"),
        }
    }
}

impl Way {
    /// The signs against a device with these MAC addresses. None: the frames do not tell.
    #[must_use]
    pub fn against(&self, device: &[Mac]) -> Option<Vec<Sign>> {
        let same_ttl = self.ttls.filter(|(one, other)| one == other).map(|(ttl, _)| Sign::SameTtl(ttl));
        // Without the device's address that the TTL dropped says only that something routed it.
        let frames = || [self.leaving, self.arriving].into_iter().flatten();
        if same_ttl.is_none() && (device.is_empty() || frames().next().is_none()) {
            return None;
        }
        let past = |(source, destination): &(Mac, Mac)| {
            !device.is_empty() && !device.contains(source) && !device.contains(destination)
        };
        let leaving = self.leaving.filter(past).map(|(_, to)| Sign::SentPast(to));
        let arriving = self.arriving.filter(past).map(|(from, _)| Sign::CameFrom(from));
        Some([leaving, arriving, same_ttl].into_iter().flatten().collect())
    }
}

impl Policy {
    /// Ids of the boundary devices of the rule that decided, and their MAC addresses.
    #[must_use]
    pub fn boundary(&self, statement: Statement) -> (Vec<&str>, Vec<Mac>) {
        let rule = match statement {
            Statement::Rule(number) => self.rule(number),
            _ => None,
        };
        let devices = || rule.into_iter().flat_map(|rule| &rule.via).filter_map(|device| self.asset(*device));
        (
            devices().map(|device| device.id.as_str()).collect(),
            devices().flat_map(|device| device.macs.clone()).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_speaks_by_itself() {
        let [client, server, wall, other] = [1, 2, 3, 4].map(|last| Mac([2, 0, 0, 0, 0, last]));
        let (sent, came) = (Sign::SentPast, Sign::CameFrom);
        for (case, leaving, arriving, ttls, device, want) in [
            ("nothing seen", None, None, None, vec![wall], None),
            ("to the device", Some((client, wall)), None, None, vec![wall], Some(vec![])),
            ("past it", Some((client, server)), None, None, vec![wall], Some(vec![sent(server)])),
            ("from the device", None, Some((wall, server)), None, vec![wall], Some(vec![])),
            ("from another", None, Some((other, server)), None, vec![wall], Some(vec![came(other)])),
            (
                "to it and from another",
                Some((client, wall)),
                Some((other, server)),
                None,
                vec![wall],
                Some(vec![came(other)]),
            ),
            ("the TTL dropped, no segment seen", None, None, Some((128, 127)), vec![wall], None),
            ("the TTL did not", None, None, Some((128, 128)), vec![wall], Some(vec![Sign::SameTtl(128)])),
            (
                "all three",
                Some((client, server)),
                Some((client, server)),
                Some((64, 64)),
                vec![wall],
                Some(vec![sent(server), came(client), Sign::SameTtl(64)]),
            ),
            ("a device without an address", Some((client, server)), None, Some((64, 63)), vec![], None),
            (
                "such a device, and the TTL",
                Some((client, server)),
                None,
                Some((64, 64)),
                vec![],
                Some(vec![Sign::SameTtl(64)]),
            ),
        ] {
            assert_eq!(Way { leaving, arriving, ttls }.against(&device), want, "{case}");
        }
    }
}
