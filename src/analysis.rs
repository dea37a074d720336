//! One analysis from end to end: captures through the pipeline, facts to an inventory, judgements to findings.

pub mod edges;
pub mod identity;
mod named;
mod seen;
mod uses;

use std::sync::Arc;

use dissectors::Class;
use ipnet::IpNet;

use crate::address::{Host, Realm};
use crate::config::Limits;
use crate::flow::key::{FlowKey, Transport};
use crate::flow::{Flow, facts};
use crate::inventory::{self, Declared, Inventory, Level, Oui, Traffic};
use crate::pipeline::{self, Observed};
use crate::policy::{Member, Policy, TapId, service_name, spoken_name};
use crate::source::Batch;
use crate::source::file::CaptureSummary;
use crate::source::set::Captures;
use crate::worker::Ways;

/// What an analysis is told.
pub struct Options {
    /// Worker threads; the result does not depend on it.
    pub workers: usize,
    /// The declaration to judge by.
    pub policy: Option<Arc<Policy>>,
    /// Makers of MAC addresses.
    pub oui: Oui,
    /// Public networks that are ours.
    pub home_nets: Vec<IpNet>,
    /// Limits of the pipeline.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            policy: None,
            oui: Oui::builtin(),
            home_nets: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What came out.
pub struct Analysis {
    /// What the packets showed.
    pub observed: Observed,
    /// The devices.
    pub inventory: Inventory,
    /// The declaration that was judged by.
    pub policy: Option<Arc<Policy>>,
    /// The tap of the policy that each capture is from, by its place in the list.
    pub taps: Arc<[TapId]>,
    /// Frames that the captures lost, as they say themselves.
    pub lost: u64,
    /// The stations behind each address, where the policy asks.
    pub stations: std::collections::BTreeMap<Host, Vec<u16>>,
    /// See [`Limits::findings`].
    pub most_findings: usize,
    /// Flows that were judged again, since one of their sides is elsewhere than its address says.
    pub judged_again: Vec<FlowKey>,
}

impl Analysis {
    /// TCP conversations of a capture, by the ways that were seen of them; of a sensor's, lately. A tap that the policy
    /// declares to see one way alone has none to wonder at.
    #[must_use]
    pub fn ways(&self, capture: usize) -> Ways {
        let declared = self.policy.as_deref().zip(self.taps.get(capture));
        let on_purpose = declared.is_some_and(|(policy, tap)| !policy.sees_both_ways(*tap));
        let seen = u16::try_from(capture).ok().and_then(|place| self.observed.ways.get(&place));
        seen.copied().filter(|_| !on_purpose).unwrap_or_default()
    }
}

/// Runs captures through the pipeline. `fill` gets each batch from them, so that a caller can filter frames and show
/// progress.
pub fn run(
    captures: &mut Captures,
    mut fill: impl FnMut(&mut Captures, &mut Batch) -> bool,
    options: &Options,
) -> Analysis {
    let taps = taps(&captures.summaries(), options.policy.as_deref());
    let Options { workers, limits, policy, .. } = options;
    let fill = &mut |batch: &mut Batch| fill(captures, batch);
    let mut observed = pipeline::run(fill, *workers, limits, policy.as_ref(), &taps);
    facts::note(&observed.flows, &mut observed.ledger);
    Analysis { taps, lost: lost(&captures.summaries()), ..conclude(observed, options) }
}

/// What follows from what was observed, with the facts of its flows noted: the devices.
#[must_use]
pub fn conclude(mut observed: Observed, options: &Options) -> Analysis {
    let traffic: Vec<Traffic> = observed.flows.iter().map(traffic).collect();
    let declared = options.policy.as_deref().map(declared).unwrap_or_default();
    let zone_level = |host: Host| {
        let policy = options.policy.as_deref()?;
        let zone = policy.zone(policy.zone_of(&Member::at(host.address)).zone);
        // The reserved zones are no declaration.
        zone.at?;
        zone.level.map(Level)
    };
    let inventory = inventory::resolve(&inventory::Input {
        ledger: &observed.ledger,
        traffic: &traffic,
        declared: &declared,
        home_nets: &options.home_nets,
        oui: &options.oui,
        zone_level: &zone_level,
        workers: options.workers,
    });
    let stations = named::stations(&inventory, options.policy.as_deref());
    let judged_again = match &options.policy {
        Some(policy) => named::judge(&mut observed, &inventory, &stations, policy),
        None => Vec::new(),
    };
    let policy = options.policy.clone();
    let (taps, most_findings) = (Arc::default(), options.limits.findings);
    Analysis { observed, inventory, policy, taps, lost: 0, stations, most_findings, judged_again }
}

impl Analysis {
    /// A host with what is known of the device that it is.
    #[must_use]
    pub fn member(&self, host: Host) -> Member<'_> {
        named::member(host, &self.inventory, &self.stations)
    }
}

/// Frames that captures lost, as they say themselves.
#[must_use]
pub fn lost(captures: &[CaptureSummary]) -> u64 {
    captures.iter().fold(0, |sum, capture| sum.saturating_add(capture.lost))
}

/// The tap of each capture.
#[must_use]
pub fn taps(captures: &[CaptureSummary], policy: Option<&Policy>) -> Arc<[TapId]> {
    let tap = |policy: &Policy| {
        let of = |summary: &CaptureSummary| policy.tap_of_capture(&summary.name, summary.interface.as_deref());
        captures.iter().map(of).collect()
    };
    policy.map(tap).unwrap_or_default()
}

/// The name of a flow's protocol, if its bytes confirmed one: dissected, or recognised by its first bytes.
#[must_use]
pub fn protocol_name(flow: &Flow) -> Option<&'static str> {
    let dissected = flow.dissected().map(|protocol| protocol.info().name);
    let recognised = || flow.recognised.map(|it| spoken_name(it.name, flow.key.transport, flow.key.port));
    dissected.or_else(recognised)
}

fn traffic(flow: &Flow) -> Traffic {
    let operations = flow.book.operations();
    let classes = |wanted: &dyn Fn(&crate::flow::ops::Operation) -> bool| {
        operations.iter().filter(|o| wanted(o)).fold(0, |set, o| set | o.key.class.bit())
    };
    let mut components: Vec<Box<str>> = operations
        .iter()
        .filter(|o| o.tally.answered + o.tally.refused > 0)
        .filter_map(|o| o.key.component.get().map(Into::into))
        .collect();
    components.sort_unstable();
    components.dedup();
    let sum = |part: fn(&crate::flow::ops::Tally) -> u64| operations.iter().map(|o| part(&o.tally)).sum();
    Traffic {
        protocol: protocol_name(flow),
        // The port's usual protocol is what the payload was found not to be.
        service: flow.refuted.map_or_else(|| service_name(flow.key.transport, flow.key.port), |_| None),
        industrial: flow.protocol.is_some() || flow.recognised.is_some_and(|it| it.industrial),
        initiator: flow.initiator,
        asked: classes(&|o| o.tally.requests > 0),
        granted: classes(&|o| o.tally.answered > 0 || o.key.class == Class::Io),
        requests: sum(|t| t.requests),
        answered: sum(|t| t.answered),
        refused: sum(|t| t.refused),
        components,
        served: !flow.is_blocked() && flow.server.traffic().frames > 0,
        connections: flow.connections,
        frames_to_server: flow.client.traffic().frames,
        frames_to_client: flow.server.traffic().frames,
        bytes_to_server: flow.client.traffic().bytes,
        bytes_to_client: flow.server.traffic().bytes,
        last: flow.last(),
        ..Traffic::new(flow.key.client, flow.key.server, flow.key.transport, flow.key.port, flow.first())
    }
}

fn declared(policy: &Policy) -> Vec<Declared> {
    let asset = |asset: &crate::policy::Asset| Declared {
        id: asset.id.as_str().into(),
        name: Some(asset.name.as_str().into()),
        realm: Realm::default(),
        addresses: asset.ips.clone(),
        macs: asset.macs.clone(),
        role: asset.role.as_deref().map(Into::into),
        level: asset.level.map(Level),
        approved: asset.approved,
    };
    policy.assets.iter().map(asset).collect()
}

/// Whether a transport has ports.
#[must_use]
pub fn has_ports(transport: Transport) -> bool {
    matches!(transport, Transport::Tcp | Transport::Udp)
}
