//! Which rules may concern an endpoint, without asking all of them.

use ahash::AHashMap;

use super::membership::Interval;
use super::model::{AssetId, End, Rule, ZoneId};
use super::side::Side;
use crate::address::Address;

/// Rules by their `to` end. A look-up gives every rule whose `to` may cover an endpoint, or lies in its zone.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_zone: AHashMap<ZoneId, Vec<u32>>,
    by_asset: AHashMap<AssetId, Vec<u32>>,
    by_host: AHashMap<Address, Vec<u32>>,
    /// Ends that no key finds: any, networks, MAC addresses, queries. Few in a real plant.
    wide: Vec<u32>,
}

impl Index {
    pub(super) fn build(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (number, rule) in (0..).zip(rules) {
            for end in &rule.to {
                match end {
                    End::Zone(zone) => index.by_zone.entry(*zone).or_default().push(number),
                    End::Asset(asset) => index.by_asset.entry(*asset).or_default().push(number),
                    End::Net(net) if net.size() == 0 => {
                        index.by_host.entry(net.first_address()).or_default().push(number);
                    }
                    End::Net(Interval { .. }) | End::Any | End::Mac(_) | End::Query { .. } => index.wide.push(number),
                }
            }
            for zone in &rule.to_homes {
                index.by_zone.entry(*zone).or_default().push(number);
            }
        }
        index
    }

    /// Rules to ask about an endpoint, in order and once each.
    pub(super) fn rules(&self, side: &Side, chain: &[ZoneId]) -> Vec<u32> {
        let zones = chain.iter().filter_map(|zone| self.by_zone.get(zone));
        let asset = side.asset.and_then(|asset| self.by_asset.get(&asset));
        let host = self.by_host.get(&side.address);
        let mut rules: Vec<u32> = zones.chain(asset).chain(host).chain([&self.wide]).flatten().copied().collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}
