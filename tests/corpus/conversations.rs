//! Conversations: who talks to whom, over what, with how many frames and bytes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::analysis::{Analysis, Flow};
use crate::differences::Differences;
use crate::truth::{Conversation, Truth};

/// A conversation in the terms of both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    client: String,
    server: String,
    transport: String,
    port: String,
}

impl Key {
    /// The two ends without their order, and what carries it: what a guess about the sides cannot change.
    fn pair(&self) -> (String, String, String) {
        let (a, b) = (self.client.clone(), self.server.clone());
        (a.clone().min(b.clone()), a.max(b), self.transport.clone())
    }

    fn text(&self) -> String {
        format!("{} > {} {} {}", self.client, self.server, self.transport, self.port)
    }
}

/// Both directions summed for rows whose sides are a guess.
fn add(sum: &mut [u64; 4], counts: &[u64; 4]) {
    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

fn total(counts: &[u64; 4]) -> [u64; 2] {
    [counts[0] + counts[2], counts[1] + counts[3]]
}

/// Compares all conversations of a capture.
///
/// A row that both have alike is done. What is left is compared by pair of hosts: where the sides are a guess of the
/// other dissector, or many services were folded to one, the sums must agree; where a SYN was seen, the row itself.
pub(crate) fn compare(capture: &str, analysis: &Analysis, truth: &Truth, out: &mut Differences) {
    let mut ours = BTreeMap::<Key, [u64; 4]>::new();
    analysis.flows.iter().for_each(|flow| add(ours.entry(our_key(flow)).or_default(), &flow.counts()));
    let mut theirs = BTreeMap::<Key, ([u64; 4], bool)>::new();
    // A link without addresses (CAN, ZigBee) has no conversations of ours; its frames are counted as not decoded.
    for row in truth.conversations.iter().filter(|row| !row.client.is_empty() || !row.server.is_empty()) {
        let entry = theirs.entry(their_key(row)).or_default();
        add(&mut entry.0, &row.counts);
        entry.1 |= row.sure;
    }
    // They name the tag of a tagged frame, we what stands behind it.
    let tags: Vec<_> = theirs.extract_if(.., |key, _| matches!(&*key.transport, "l2/0x8100" | "l2/0x88a8")).collect();
    for (tagged, (counts, sure)) in tags {
        let is_behind = |key: &&Key| {
            let (a, b, transport) = key.pair();
            transport.starts_with("l2/") && (a, b) == (tagged.pair().0, tagged.pair().1)
        };
        let key = ours.keys().find(is_behind).cloned().unwrap_or_else(|| tagged.clone());
        let turned = if key.client == tagged.client { counts } else { [counts[2], counts[3], counts[0], counts[1]] };
        add(&mut theirs.entry(key).or_insert(([0; 4], sure)).0, &turned);
    }
    theirs.retain(|key, (counts, _)| {
        let alike = ours.get(key) == Some(&*counts);
        if alike {
            ours.remove(key);
        }
        !alike
    });
    let mut pairs = BTreeMap::<_, (Vec<_>, Vec<_>)>::new();
    ours.into_iter().for_each(|(key, counts)| pairs.entry(key.pair()).or_default().0.push((key, counts)));
    theirs.into_iter().for_each(|(key, counts)| pairs.entry(key.pair()).or_default().1.push((key, counts)));
    for ((a, b, transport), (ours, theirs)) in pairs {
        let folded = ours.iter().any(|(key, _)| key.port.is_empty() && matches!(&*transport, "tcp" | "udp"));
        let sure = !folded && theirs.iter().any(|(_, (_, sure))| *sure);
        if sure {
            let rows = |rows: &mut dyn Iterator<Item = (&Key, &[u64; 4])>| {
                rows.map(|(key, counts)| format!("{} {counts:?}", key.text())).collect::<Vec<_>>().join(" + ")
            };
            let what = format!("{a} {b} {transport}");
            let our_rows = rows(&mut ours.iter().map(|(key, counts)| (key, counts)));
            out.compare(capture, what, our_rows, rows(&mut theirs.iter().map(|(key, (counts, _))| (key, counts))));
        } else {
            let sum = |rows: &mut dyn Iterator<Item = &[u64; 4]>| {
                let mut all = [0; 4];
                rows.for_each(|counts| add(&mut all, counts));
                format!("{:?}", total(&all))
            };
            let what = format!("{a} {b} {transport}");
            let our_sum = sum(&mut ours.iter().map(|(_, counts)| counts));
            out.compare(capture, what, our_sum, sum(&mut theirs.iter().map(|(_, (counts, _))| counts)));
        }
    }
}

fn our_key(flow: &Flow) -> Key {
    Key {
        client: flow.client.address().to_owned(),
        server: flow.server.address().to_owned(),
        transport: flow.transport.clone(),
        port: flow.server.port.filter(|port| *port != 0).map_or(String::new(), |port| port.to_string()),
    }
}

/// Their words in ours.
fn their_key(row: &Conversation) -> Key {
    let proto = row.proto.strip_prefix("tun/").unwrap_or(&row.proto);
    let (transport, port) = match (proto, row.port.as_str()) {
        ("tcp" | "udp", port) => (proto.to_owned(), port),
        // They keep errors apart from the other messages, and name the hop-by-hop header before multicast reports.
        ("icmp" | "ipproto1" | "ipproto58", _) => ("icmp".to_owned(), ""),
        ("ipproto0", _) if row.client.contains(':') => ("icmp".to_owned(), ""),
        ("sctp", _) => ("ip/132".to_owned(), ""),
        ("l2", kind) => (format!("l2/{kind}"), ""),
        (other, _) => (other.replace("ipproto", "ip/"), ""),
    };
    let port = if port == "0" { "" } else { port };
    Key { client: address(&row.client), server: address(&row.server), transport, port: port.to_owned() }
}

/// An IPv4-mapped address is the IPv4 address.
fn address(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => text.to_owned(),
    }
}
