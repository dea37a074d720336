//! Findings about the edges of zones below IP.

use std::collections::BTreeMap;

use dissectors::Class;

use super::convert::{Teller, VERSION};
use super::findings::{DESTINATIONS, attack, named, requirements, severity, span};
use super::view::{FindingEndView, FindingView, ReasonView, SCHEMA};
use crate::analysis::edges::{Edge, How};
use crate::ledger::Evidence;
use crate::policy::{Ends, Identity, Outcome, Policy, Verdict, ZoneId, mapping_version};

impl Teller<'_> {
    /// One finding for each edge; of many between the same two zones one for all.
    pub(super) fn edges(&self) -> Vec<FindingView> {
        let Some(policy) = self.analysis.policy.as_deref() else { return Vec::new() };
        let mut between: BTreeMap<(How, ZoneId, ZoneId), Vec<Edge>> = BTreeMap::new();
        for edge in self.analysis.edges() {
            let (one, other) = edge.zones;
            between.entry((edge.how, one.min(other), one.max(other))).or_default().push(edge);
        }
        let mut found = Vec::new();
        for edges in between.into_values() {
            match edges.as_slice() {
                [first, ..] if edges.len() >= DESTINATIONS => found.push(self.many(policy, first, &edges)),
                _ => found.extend(edges.iter().map(|edge| self.edge(policy, edge))),
            }
        }
        found
    }

    /// The id of the finding of one edge.
    fn edge_id(&self, policy: &Policy, edge: &Edge) -> String {
        let Edge { reason, how, from, to, zones, .. } = edge;
        Identity {
            site: &policy.site,
            reason: reason.code(),
            source_zone: &policy.zone(zones.0).id,
            destination_zone: &policy.zone(zones.1).id,
            source: &self.entity(*from),
            destination: &self.entity(*to),
            service: how.text(),
            class: Class::Unknown.text(),
            bucket: "",
            reference: "",
        }
        .id()
    }

    fn edge(&self, policy: &Policy, edge: &Edge) -> FindingView {
        let Edge { reason, how, from, to, zones, .. } = edge;
        let source = self.policy_member(*from);
        let ends = Ends::between(source, self.policy_member(*to));
        let conversation = policy.conversation(&ends);
        let at = |pick: fn(&[Evidence]) -> Option<&Evidence>| pick(&edge.samples).map(|it| it.at).unwrap_or_default();
        let (first, last) = (at(<[_]>::first), at(<[_]>::last));
        let judgement = conversation.noted(policy, *reason, first);
        let zone = |zone: ZoneId| &policy.zone(zone).id;
        let end =
            |host, place| -> FindingEndView { self.finding_end(host, Some(zone(place)), conversation.confidence()) };
        FindingView {
            id: self.edge_id(policy, edge),
            schema: SCHEMA,
            site: policy.site.clone(),
            sensor: String::new(),
            kind: "violation",
            reason: ReasonView { code: reason.code(), name: reason.name() },
            verdict: Verdict::Violation.text(),
            state: "open",
            acknowledged: None,
            severity: severity(policy.score(&conversation.setting(), &judgement, Outcome::Unanswered)),
            time: span(first, last),
            count: edge.count,
            src: end(*from, zones.0),
            dst: end(*to, zones.1),
            transport: None,
            port: None,
            protocol: None,
            operation: None,
            conduit: None,
            qualifiers: vec![how.text().to_owned()],
            attack: attack(*reason, None),
            requirements: requirements(*reason),
            what: self.edge_text(policy, edge),
            why: format!("{} ({}): {}.", reason.code(), reason.name(), reason.says()),
            do_next: steps(*how).map(str::to_owned).to_vec(),
            details: Vec::new(),
            samples: self.samples(&edge.samples),
            evidence: None,
            no_evidence: None,
            policy_hash: Some(policy.sha256.clone()),
            mapping_version: mapping_version(),
            tool_version: VERSION,
        }
    }

    fn edge_text(&self, policy: &Policy, edge: &Edge) -> String {
        let (from, to) = (self.naming(edge.from).name, self.naming(edge.to).name);
        let (one, other) = (&policy.zone(edge.zones.0).name, &policy.zone(edge.zones.1).name);
        let frames: Vec<String> = edge.samples.iter().map(|sample| sample.frame().to_string()).collect();
        let frames = format!("{} {}", if frames.len() == 1 { "Frame" } else { "Frames" }, frames.join(", "));
        match edge.how {
            How::AskedByArp => format!(
                "{from} ({one}) and {to} ({other}) are on one segment: the one asked by ARP for the other{}. {frames}.",
                if edge.count > 1 { format!(" {} times", edge.count) } else { String::new() }
            ),
            How::SpokeDirectly => format!(
                "{from} ({one}) and {to} ({other}) are on one segment: {} frames went from the one's own MAC address to \
                 the other's. {frames}.",
                edge.count
            ),
            How::SameSpanningTree => format!(
                "{one} and {other} are on one segment: {from} and {to}, heard on taps of both, tell of the same root of a \
                 spanning tree. {frames}."
            ),
            How::SameNeighbour => format!(
                "{one} and {other} are on one segment: {from} announces itself to its neighbours (LLDP) on taps of both. \
                 {frames}."
            ),
            How::TwoAddresses => format!(
                "{from} has the address {} in {one} and {} in {other}: what reaches it in the one zone may go on into \
                 the other. {frames}.",
                edge.from.address, edge.to.address
            ),
        }
    }

    /// Many of one kind between two zones are one fault of the network.
    fn many(&self, policy: &Policy, first: &Edge, edges: &[Edge]) -> FindingView {
        let (one, other) = (&policy.zone(first.zones.0), &policy.zone(first.zones.1));
        let id = Identity {
            site: &policy.site,
            reason: first.reason.code(),
            source_zone: &one.id,
            destination_zone: &other.id,
            source: "*",
            destination: "*",
            service: first.how.text(),
            class: "",
            bucket: "",
            reference: "",
        };
        let whole = Edge {
            count: edges.iter().map(|edge| edge.count).sum(),
            samples: {
                let mut samples: Vec<Evidence> = edges.iter().flat_map(|edge| edge.samples.clone()).collect();
                samples.sort_unstable();
                samples.truncate(first.samples.len().max(5));
                samples
            },
            ..first.clone()
        };
        let anybody = |end: FindingEndView| FindingEndView {
            asset: None,
            ip: None,
            mac: None,
            role: None,
            name: Some("*".to_owned()),
            ..end
        };
        let view = self.edge(policy, &whole);
        let what = match first.how {
            How::TwoAddresses => {
                format!("{} devices have addresses in {} and in {}.", edges.len(), one.name, other.name)
            }
            _ => format!(
                "{} pairs of devices of {} and {} are on one segment: the zones are not kept apart below IP.",
                edges.len(),
                one.name,
                other.name
            ),
        };
        FindingView {
            id: format!("K-{}", id.id().trim_start_matches("V-")),
            kind: "campaign",
            src: anybody(view.src),
            dst: anybody(view.dst),
            what,
            details: named(edges, |edge| {
                format!("{} - {} {}", edge.from.address, edge.to.address, self.edge_id(policy, edge))
            }),
            ..view
        }
    }
}

/// What to check first.
fn steps(how: How) -> [&'static str; 3] {
    match how {
        How::TwoAddresses => [
            "Find the device: does it have two network cards, and does it route between them?",
            "Ask its owner why it stands in two zones, and whether a conduit would do.",
            "If it is meant to, declare it: in its [[asset]], multi_homed = true, or boundary_of = [ … ] when it is the edge.",
        ],
        How::SameSpanningTree | How::SameNeighbour => [
            "Check where the switches of the two zones are joined: a cable or a VLAN that nobody planned?",
            "Check that each tap is where the declaration says: its [[tap]] names the zones that it sees.",
            "If both belong together, put them into one zone; if the join is meant, say so in the zones' assumptions.",
        ],
        How::AskedByArp | How::SpokeDirectly => [
            "Check the cabling, VLANs and switch ports of both: where do the two zones meet without a boundary device?",
            "Compare address and mask of both devices with the plan of the network.",
            "If both belong together, put them into one zone; if a boundary device bridges them, say so in the zone's assumptions.",
        ],
    }
}
