//! The allowed conduits as rules of a packet filter: a proposal for whoever runs the firewall, never applied by us.
//!
//! A packet filter knows addresses and ports. What it cannot hold (functions, registers, windows, security) stays in the
//! policy and is named beside each rule, so that nobody takes the filter for the whole of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ZoneId;
use super::file::Initiate;
use super::membership::Interval;
use super::model::{Allow, Carried, End, Policy, Rule};
use super::side::Reach;
use crate::flow::key::Transport;

/// One line of the proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The conduit or exception.
    pub rule: String,
    /// Who opens: addresses, CIDRs and ranges of one family.
    pub from: Vec<String>,
    /// Who answers.
    pub to: Vec<String>,
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// `tcp`, `udp`, `icmp` or the number of another IP protocol.
    pub transport: String,
    /// Ports of who answers: `502`, `5000-5010`. Empty where there are none.
    pub ports: Vec<String>,
    /// What it allows in the policy's words, and what the filter cannot check of it.
    pub says: String,
}

/// The proposal, and what of the policy cannot be said in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Rules, by conduit.
    pub lines: Vec<Line>,
    /// Conduits or ends without an IP address, each with why.
    pub left_out: Vec<String>,
}

/// The allowed conduits of a policy as rules of a packet filter.
#[must_use]
pub fn proposal(policy: &Policy) -> Proposal {
    let mut proposal = Proposal::default();
    for rule in &policy.rules {
        let from = policy.addresses(&rule.from, rule);
        let to = policy.addresses(&rule.to, rule);
        for (side, ends) in [("from", &from), ("to", &to)] {
            proposal.left_out.extend(ends.without.iter().map(|why| format!("{} {side}: {why}", rule.id)));
        }
        let (opens, answers) = (&from.intervals, &to.intervals);
        let ways = match rule.initiate {
            Initiate::From => vec![(opens, answers)],
            Initiate::To => vec![(answers, opens)],
            Initiate::Either => vec![(opens, answers), (answers, opens)],
        };
        for allow in &rule.allow {
            for (opens, answers) in &ways {
                lines(policy, rule, allow, (opens, answers), &mut proposal);
            }
        }
    }
    proposal.left_out.extend(policy.denies.iter().map(|deny| format!("{}: a deny", deny.id)));
    proposal
}

fn lines(
    policy: &Policy,
    rule: &Rule,
    allow: &Allow,
    (from, to): (&Vec<Interval>, &Vec<Interval>),
    out: &mut Proposal,
) {
    let says = says(policy, rule, allow);
    let ports = |listed: &dyn Fn() -> Vec<String>| match &allow.ports {
        Some(ports) => ports.iter().map(ToString::to_string).collect(),
        None => listed(),
    };
    let mut carriers: BTreeSet<(String, Vec<String>)> = BTreeSet::new();
    let mut carry = |transport: Transport, ports: Vec<String>| match transport {
        Transport::Tcp => Some(carriers.insert(("tcp".to_owned(), ports))),
        Transport::Udp => Some(carriers.insert(("udp".to_owned(), ports))),
        Transport::Icmp => Some(carriers.insert(("icmp".to_owned(), Vec::new()))),
        Transport::Ip(number) => Some(carriers.insert((number.to_string(), Vec::new()))),
        Transport::Ethertype(_) | Transport::Llc(_) => None,
    };
    let mut said = false;
    match allow.protocol {
        Carried::Transport(transport) => said |= carry(transport, ports(&Vec::new)).is_some(),
        Carried::Protocol(number) => {
            let protocol = policy.protocols.get(number as usize);
            let carriers = protocol.map_or(&[][..], |protocol| &protocol.carriers);
            let transports: BTreeSet<Transport> = carriers.iter().map(|(transport, _)| *transport).collect();
            for transport in transports {
                let own = || {
                    let mine = carriers.iter().filter(|(known, _)| *known == transport);
                    mine.map(|(_, port)| port.to_string()).collect()
                };
                said |= carry(transport, ports(&own)).is_some();
            }
        }
    }
    if !said {
        out.left_out.push(format!("{}: {} is carried by nothing that a packet filter tells apart", rule.id, says));
    }
    for (transport, ports) in carriers {
        for v6 in [false, true] {
            let family = |intervals: &Vec<Interval>| {
                intervals.iter().filter(|net| net.v6 == v6).flat_map(texts).collect::<Vec<_>>()
            };
            let (from, to) = (family(from), family(to));
            if !from.is_empty() && !to.is_empty() {
                let (rule, says, transport) = (rule.id.clone(), says.clone(), transport.clone());
                out.lines.push(Line { rule, from, to, v6, transport, ports: ports.clone(), says });
            }
        }
    }
}

/// What a table allows, and the limits that stay with the policy.
fn says(policy: &Policy, rule: &Rule, allow: &Allow) -> String {
    let mut text = allow.described(&policy.protocols);
    let limits = [
        (allow.looks_inside(), "operations"),
        (allow.security.is_some(), "security"),
        (allow.vlan.is_some(), "VLAN"),
        (allow.dscp.is_some(), "DSCP"),
        (allow.max_rate.is_some() || allow.max_bytes.is_some(), "rates"),
        (!rule.schedule.windows.is_empty(), "windows"),
        (rule.schedule.from.is_some() || rule.schedule.until.is_some(), "dates"),
    ];
    let limits: Vec<&str> = limits.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect();
    if !limits.is_empty() {
        let _ = write!(text, " (not in the filter: {})", limits.join(", "));
    }
    text
}

/// The addresses of some ends.
struct Addresses {
    intervals: Vec<Interval>,
    /// Ends that have none, each with why.
    without: Vec<String>,
}

impl Policy {
    fn addresses(&self, ends: &[End], rule: &Rule) -> Addresses {
        let reach = if rule.exact { Reach::Exact } else { Reach::Grant };
        let (mut intervals, mut without) = (Vec::new(), Vec::new());
        for end in ends {
            match end {
                End::Any => intervals.extend([Interval::all(false), Interval::all(true)]),
                End::Zone(zone) if [self.external(), self.unknown()].contains(zone) => {
                    without.push(format!("\"{}\" is every address that no zone claims", self.zone(*zone).id));
                }
                End::Zone(zone) => {
                    let count = u16::try_from(self.zones.len()).unwrap_or(u16::MAX);
                    let covered = (0..count).map(ZoneId).filter(|other| self.reaches(*zone, *other, reach));
                    let found: Vec<Interval> = covered.flat_map(|zone| self.addresses_of(zone)).collect();
                    if found.is_empty() {
                        without.push(format!("zone \"{}\" has no IP addresses", self.zone(*zone).id));
                    }
                    intervals.extend(found);
                }
                End::Asset(asset) => {
                    let Some(asset) = self.asset(*asset) else { continue };
                    if asset.ips.is_empty() {
                        without.push(format!("asset \"{}\" has no IP address", asset.id));
                    }
                    intervals.extend(asset.ips.iter().filter_map(|ip| Interval::one(*ip)));
                }
                End::Net(net) => intervals.push(*net),
                End::Mac(mac) => without.push(format!("{mac} is no IP address")),
                End::Query { .. } => without.push("a query has no fixed addresses".to_owned()),
            }
        }
        intervals.sort_unstable();
        intervals.dedup();
        Addresses { intervals, without }
    }

    /// The addresses that a zone claims: its networks less what is more closely another's, and its single hosts.
    fn addresses_of(&self, zone: ZoneId) -> Vec<Interval> {
        let pinned = |asset: &super::Asset| asset.zone.map(|pin| (pin, asset.ips.clone()));
        let pins: Vec<_> = self.assets.iter().filter_map(pinned).collect();
        let mut mine = self.directory.networks(zone);
        let hosts = pins.iter().flat_map(|(pin, ips)| ips.iter().map(move |ip| (*pin, *ip)));
        for (owner, address) in self.directory.hosts_by_ip().chain(hosts) {
            let Some(host) = Interval::one(address) else { continue };
            if owner == zone {
                mine.push(host);
            } else {
                mine = mine.into_iter().flat_map(|net| net.without(host)).collect();
            }
        }
        mine.sort_unstable();
        mine.dedup();
        mine
    }
}

/// An interval as filters write it: one address, a CIDR, or a range.
fn texts(net: &Interval) -> Vec<String> {
    let address = |number: u128| -> IpAddr {
        match u32::try_from(number) {
            Ok(v4) if !net.v6 => Ipv4Addr::from(v4).into(),
            _ => Ipv6Addr::from(number).into(),
        }
    };
    let size = net.size();
    let bits: u32 = if net.v6 { 128 } else { 32 };
    let aligned = size.wrapping_add(1).is_power_of_two() || size == u128::MAX;
    let host_bits = if size == u128::MAX { 128 } else { size.wrapping_add(1).trailing_zeros() };
    let text = if size == 0 {
        address(net.first).to_string()
    } else if aligned && net.first & size == 0 {
        format!("{}/{}", address(net.first), bits.saturating_sub(host_bits))
    } else {
        format!("{}-{}", address(net.first), address(net.last))
    };
    vec![text]
}

const WARNING: &str =
    "A PROPOSAL, made from the policy and applied to nothing. Read it, test it, then apply it by hand.";

/// As a table for people.
#[must_use]
pub fn table(policy: &Policy, proposal: &Proposal) -> String {
    let mut out = format!(
        "Firewall rules for {}. {WARNING}\nWhat stands in no rule is dropped; answers are implied.\n",
        policy.site
    );
    let all = |items: &[String], none: &str| if items.is_empty() { none.to_owned() } else { items.join(", ") };
    for line in &proposal.lines {
        let _ = writeln!(
            out,
            "\n{}  {} {}\n  from  {}\n  to    {}\n  for   {}",
            line.rule,
            line.transport,
            all(&line.ports, "all"),
            line.from.join(", "),
            line.to.join(", "),
            line.says
        );
    }
    left_out(&mut out, proposal, "");
    out
}

/// As a ruleset of nftables (`nft -f`, or `nft -c -f` to check it only).
#[must_use]
pub fn nftables(policy: &Policy, proposal: &Proposal) -> String {
    let mut out = format!(
        "# Firewall rules for {}.\n# {WARNING}\n# Check it with: nft -c -f FILE\n\
         table inet zonewatch_proposal {{\n  chain forward {{\n    type filter hook forward priority filter; policy drop;\n    \
         ct state established,related accept\n",
        policy.site
    );
    for line in &proposal.lines {
        let family = if line.v6 { "ip6" } else { "ip" };
        let set = |items: &[String]| match items {
            [one] => one.clone(),
            many => format!("{{ {} }}", many.join(", ")),
        };
        let transport = match (line.transport.as_str(), line.ports.as_slice()) {
            ("icmp", _) if line.v6 => "meta l4proto ipv6-icmp".to_owned(),
            (transport @ ("tcp" | "udp"), [_, ..]) => format!("{transport} dport {}", set(&line.ports)),
            (transport, _) => format!("meta l4proto {transport}"),
        };
        let _ = writeln!(
            out,
            "    # {}: {}\n    {family} saddr {} {family} daddr {} {transport} accept comment \"{}\"",
            line.rule,
            line.says.replace(|c: char| c.is_control(), "?"),
            set(&line.from),
            set(&line.to),
            line.rule
        );
    }
    out.push_str("  }\n}\n");
    left_out(&mut out, proposal, "# ");
    out
}

fn left_out(out: &mut String, proposal: &Proposal, mark: &str) {
    if proposal.left_out.is_empty() {
        return;
    }
    let _ = writeln!(out, "{mark}\n{mark}Not in it:");
    for why in &proposal.left_out {
        let _ = writeln!(out, "{mark}  {}", why.replace(|c: char| c.is_control(), "?"));
    }
}
