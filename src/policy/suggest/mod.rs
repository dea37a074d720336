//! A first declaration from traffic: what was seen, written as the narrowest policy that would have allowed it, with
//! the evidence of each line beside it. It is a draft: what must not be approved unseen is only a comment in it, and
//! loading it allows nothing until somebody has signed it.
//!
//! Pure: the same observations give the same text. Nothing is widened, with two exceptions that the text names: gaps of
//! up to four registers between ranges are closed, and a subnet belongs as a whole to the zone most of its hosts are in.

mod caution;
mod grants;
mod hold_out;
mod text;
mod zones;

use std::collections::{BTreeMap, BTreeSet};

use dissectors::Class;

use crate::address::Address;
use crate::flow::key::{Initiator, Transport};
use crate::ledger::Evidence;

pub use caution::Caution;
pub use hold_out::{Cause, cause};
pub use text::draft;
pub use zones::subnet;

use grants::{Table, tables};
pub(super) use text::quoted;

/// What was seen, in plain words.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Names of the captures, by [`Evidence::capture`].
    pub captures: Vec<String>,
    /// Every address that sent something, once.
    pub nodes: Vec<Node>,
    /// Every conversation.
    pub talks: Vec<Talk>,
    /// The IP addresses whose packets came under each MAC address.
    pub carried: BTreeMap<Address, BTreeSet<Address>>,
}

/// An address in use.
#[derive(Clone, Debug)]
pub struct Node {
    /// The address.
    pub address: Address,
    /// What people call the device: text from the wire, not escaped.
    pub name: String,
    /// What the device is for.
    pub role: Option<&'static str>,
    /// Its Purdue level in tenths.
    pub level: Option<u8>,
    /// The VLAN of its frames, if there is exactly one.
    pub vlan: Option<u16>,
    /// Outside of the site.
    pub external: bool,
    /// An address of the same device that says better where it belongs: for link-local and MAC addresses.
    pub anchor: Option<Address>,
}

/// One conversation: all connections of one client to one service.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Who asks.
    pub client: Address,
    /// Who answers; a group for multicast.
    pub server: Address,
    /// What carries it.
    pub transport: Transport,
    /// The server's port; 0 where there is none.
    pub port: u16,
    /// What its bytes are.
    pub protocol: Option<&'static str>,
    /// The protocol of the port that its bytes are not.
    pub refuted: Option<&'static str>,
    /// How the client was told from the server.
    pub initiator: Initiator,
    /// Nothing came of it.
    pub blocked: bool,
    /// A password was sent that nothing hid.
    pub clear_password: bool,
    /// How it is protected, as text.
    pub protection: Option<String>,
    /// What was asked.
    pub acts: Vec<Act>,
    /// Connections.
    pub connections: u64,
    /// Frames of both sides.
    pub frames: u64,
    /// Its first frame.
    pub first: Evidence,
    /// Its last frame.
    pub last: Evidence,
}

/// One operation of a conversation, over all its requests.
#[derive(Clone, Debug)]
pub struct Act {
    /// Its code as policies write it.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// What it does.
    pub class: Class,
    /// The part of the server that is addressed; none: the device itself.
    pub unit: Option<String>,
    /// Ranges: space, first, last.
    pub ranges: Vec<(String, u64, u64)>,
    /// Names: space and name.
    pub names: Vec<(String, String)>,
    /// More objects were seen than were kept.
    pub partial: bool,
    /// Messages.
    pub count: u64,
    /// The first one.
    pub first: Evidence,
    /// The last one.
    pub last: Evidence,
}

impl Talk {
    /// The word of the policy language for what it speaks, and whether the language tells its operations apart.
    fn word(&self) -> (String, bool) {
        let known = super::protocol::PROTOCOLS.get(self.protocol.unwrap_or_default());
        let hinted = || {
            let name = super::protocol::service_name(self.transport, self.port).filter(|_| self.refuted.is_none())?;
            super::protocol::PROTOCOLS.get(name)
        };
        match known.or_else(hinted) {
            Some(protocol) => (protocol.name.clone(), protocol.operations),
            None => (carrier_word(self.transport), false),
        }
    }

    /// Its protocol is not decoded and known to change something: what is judged of it is its protocol's own class.
    fn changes_unread(&self) -> bool {
        let class = super::protocol::PROTOCOLS.get(&self.word().0).and_then(|protocol| protocol.class);
        class.is_some_and(super::word::Classes::changing)
    }

    /// The ports to write: none where the protocol is on its own.
    fn ports(&self) -> Option<u16> {
        let (word, _) = self.word();
        let expected = super::protocol::PROTOCOLS.get(&word).is_some_and(|protocol| protocol.expects(self.port));
        let has_ports = matches!(self.transport, Transport::Tcp | Transport::Udp);
        (has_ports && !expected).then_some(self.port)
    }

    /// What people call its service.
    #[must_use]
    pub fn service(&self) -> String {
        match (self.word().0, self.ports()) {
            (word, Some(port)) => format!("{word}/{port}"),
            (word, None) => word,
        }
    }
}

fn carrier_word(transport: Transport) -> String {
    match transport {
        Transport::Tcp => "tcp".to_owned(),
        Transport::Udp => "udp".to_owned(),
        Transport::Icmp => "icmp".to_owned(),
        Transport::Ip(number) => format!("ip:{number}"),
        Transport::Ethertype(number) => format!("l2:{number:#06x}"),
        Transport::Llc(dsap) => format!("llc:{dsap:#04x}"),
    }
}

/// The allow tables that are just enough for these conversations, as TOML.
pub(super) fn narrowest(talks: &[&Talk]) -> Vec<String> {
    let units = talks.iter().any(|talk| talk.acts.iter().any(|act| act.unit.is_some()));
    let all = talks.iter().flat_map(|talk| tables(talk, &talk.acts.iter().collect::<Vec<_>>(), units)).collect();
    grants::merged(all).iter().map(Table::text).collect()
}

/// A line of the draft that is to be read before it is approved, and its evidence.
#[derive(Clone, Debug)]
struct Withheld {
    caution: Caution,
    text: String,
}

/// What the draft says, before it is text.
struct Plan<'a> {
    seen: &'a Seen,
    zones: Vec<zones::DraftZone>,
    inside: BTreeMap<usize, Vec<Table>>,
    conduits: Vec<DraftConduit>,
    withheld: Vec<Withheld>,
}

/// One conduit of the draft.
#[derive(Clone, Debug)]
struct DraftConduit {
    zones: (Option<usize>, Option<usize>),
    service: String,
    from: Vec<Address>,
    to: Vec<Address>,
    tables: Vec<Table>,
    notes: Vec<String>,
}

impl<'a> Plan<'a> {
    fn new(seen: &'a Seen) -> Self {
        let places = zones::Places::new(seen);
        let with_units = grants::protocols_with_units(seen);
        let mut withheld = Vec::new();
        let mut attempts: BTreeMap<(Address, String), Vec<&Talk>> = BTreeMap::new();
        let mut inside: BTreeMap<usize, Vec<Table>> = BTreeMap::new();
        // Rights of each pair of ends, by zones and service: what conduits are made of.
        let mut pairs: BTreeMap<PairKey, Rights> = BTreeMap::new();
        for talk in &seen.talks {
            let cautions = caution::Cautions::new(talk, &places);
            let mut good = Vec::new();
            let mut bad: BTreeMap<Caution, Vec<&Act>> = BTreeMap::new();
            for act in &talk.acts {
                match cautions.of(act) {
                    Some(caution) => bad.entry(caution).or_default().push(act),
                    None => good.push(act),
                }
            }
            if cautions.whole() == Some(Caution::Attempt) {
                attempts.entry((talk.client, talk.service())).or_default().push(talk);
                continue;
            }
            if let Some(caution) = cautions.whole() {
                withheld
                    .push(Withheld { caution, text: text::told(seen, talk, &talk.acts.iter().collect::<Vec<_>>()) });
                continue;
            }
            for (caution, acts) in bad {
                withheld.push(Withheld { caution, text: text::told(seen, talk, &acts) });
            }
            if talk.server.is_group() {
                // What looks only stays in its zone without a rule; what changes something is judged by the zone's list.
                good.retain(|act| super::word::Classes::changing(act.class));
                if good.is_empty() && (!talk.acts.is_empty() || !talk.changes_unread()) {
                    continue;
                }
            } else if good.is_empty() && !talk.acts.is_empty() {
                continue;
            }
            let units = with_units.contains(talk.word().0.as_str());
            let tables = tables(talk, &good, units);
            let (from, to) = places.zones_of(talk);
            match (from, to) {
                (Some(zone), Some(same)) if zone == same => inside.entry(zone).or_default().extend(tables),
                _ if talk.server.is_group() => {}
                ends => {
                    let rights = pairs.entry((ends, talk.service(), talk.client, talk.server)).or_default();
                    rights.tables.extend(tables);
                    rights.notes.extend(text::notes(talk));
                }
            }
        }
        let inside = inside.into_iter().map(|(zone, tables)| (zone, grants::merged(tables))).collect();
        withheld.extend(
            attempts.into_values().map(|talks| Withheld { caution: Caution::Attempt, text: text::tried(seen, &talks) }),
        );
        withheld.sort_by(|a, b| (a.caution, &a.text).cmp(&(b.caution, &b.text)));
        Self { seen, zones: places.zones, inside, conduits: conduits(pairs), withheld }
    }
}

type PairKey = ((Option<usize>, Option<usize>), String, Address, Address);

#[derive(Clone, Debug, Default)]
struct Rights {
    tables: Vec<Table>,
    notes: Vec<String>,
}

/// One conduit for each pair of zones and purpose, split only where one would join ends that were not seen to talk, or
/// give one of them the rights of another.
fn conduits(pairs: BTreeMap<PairKey, Rights>) -> Vec<DraftConduit> {
    type Group = ((Option<usize>, Option<usize>), String, String);
    let mut groups: BTreeMap<Group, BTreeMap<Address, Vec<(Address, Rights)>>> = BTreeMap::new();
    for ((zones, service, client, server), rights) in pairs {
        let rights = Rights { tables: grants::merged(rights.tables), ..rights };
        let same: Vec<String> = rights.tables.iter().map(Table::text).collect();
        let clients = groups.entry((zones, service, same.join("\n"))).or_default();
        clients.entry(client).or_default().push((server, rights));
    }
    let mut conduits = Vec::new();
    for ((zones, service, _), clients) in groups {
        let mut by_servers: BTreeMap<Vec<Address>, (Vec<Address>, Rights)> = BTreeMap::new();
        for (client, served) in clients {
            let servers = served.iter().map(|(server, _)| *server).collect();
            let (from, all) = by_servers.entry(servers).or_default();
            from.push(client);
            for (_, rights) in served {
                all.tables.extend(rights.tables);
                all.notes.extend(rights.notes);
            }
        }
        for (to, (from, rights)) in by_servers {
            let mut notes = rights.notes;
            notes.sort_unstable();
            notes.dedup();
            let tables = grants::merged(rights.tables);
            conduits.push(DraftConduit { zones, service: service.clone(), from, to, tables, notes });
        }
    }
    conduits
}

#[cfg(test)]
mod tests;
