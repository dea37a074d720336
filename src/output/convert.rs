//! From what the program knows to what it tells: every field of the contract is filled here, by hand.

use std::collections::BTreeMap;

use dissectors::{Protocol, REGISTRY};
use serde::{Serialize, Serializer};

use super::findings::Findings;
use super::flow_ids::FlowIds;
use super::view::*;
use crate::address::Host;
use crate::analysis::{Analysis, has_ports, protocol_name};
use crate::flow::ops::Objects;
use crate::flow::{Flow, SideView};
use crate::id;
use crate::inventory::{Asset, Known, Part};
use crate::ledger::Evidence;
use crate::policy::{life, service_name};
use crate::source::file::CaptureSummary;
use crate::time::Timestamp;
use crate::worker::Ways;

impl Analysis {
    /// The analysis as the outside sees it. `sha256s` are those of the captures, in their order; without them the view
    /// does not say what bytes it was made from.
    #[must_use]
    pub fn view(&self, captures: &[CaptureSummary], sha256s: &[String]) -> AnalysisView {
        self.view_of(self.tell(captures), captures, sha256s)
    }

    /// All of what is told, at once.
    #[must_use]
    pub fn view_of(&self, told: Told, captures: &[CaptureSummary], sha256s: &[String]) -> AnalysisView {
        AnalysisView {
            schema: SCHEMA,
            tool: ToolView { name: "zonewatch", version: VERSION },
            policy: told.teller(self).policy(),
            captures: self.capture_views(captures, sha256s),
            coverage: self.coverage_view(&told),
            assets: told.assets(self).collect(),
            flows: told.flows(self).collect(),
            zones: told.zones(self),
            conduits: told.conduits(self),
            findings: told.findings.list,
        }
    }

    /// What takes all of the analysis to be said: the findings and the order of flows. The rest is said from it, piece by
    /// piece.
    #[must_use]
    pub fn tell(&self, captures: &[CaptureSummary]) -> Told {
        self.ordered(self.tell_findings(captures))
    }

    /// The same without its flows, which are most of it, for who shows none.
    #[must_use]
    pub fn tell_without_flows(&self, captures: &[CaptureSummary]) -> Told {
        self.tell_findings(captures)
    }

    fn capture_views(&self, captures: &[CaptureSummary], sha256s: &[String]) -> Vec<CaptureView> {
        let sha256s = sha256s.iter().cloned().chain(std::iter::repeat(String::new()));
        let captures = (0..).zip(captures.iter().zip(sha256s));
        captures.map(|(place, (summary, sha256))| capture(summary, sha256, self.ways(place))).collect()
    }

    /// The same for who tells often, with what was told `before` of an earlier state of this analysis by the same policy: of
    /// what has not changed since it is taken over. `looks` at how the network is built and what is used of the declaration,
    /// too, which takes a look at every flow and changes slowly; else that is as it was. `None` when it does not go on.
    #[must_use]
    pub fn tell_again(
        &self,
        captures: &[CaptureSummary],
        mut before: Told,
        looks: bool,
        goes_on: &dyn Fn() -> bool,
    ) -> Option<Told> {
        let standing = std::mem::take(&mut before.standing);
        let mut told = self.begin_telling(captures);
        told.standing = if looks { told.teller(self).standing_findings() } else { standing };
        told.findings = told.teller(self).fold_findings(&told.standing, before.findings, goes_on)?;
        told.flows = FlowIds::of(&self.observed.flows, before.flows);
        Some(told)
    }

    fn ordered(&self, mut told: Told) -> Told {
        told.flows = FlowIds::of(&self.observed.flows, FlowIds::default());
        told
    }

    fn begin_telling(&self, captures: &[CaptureSummary]) -> Told {
        let names = captures.iter().map(|summary| summary.name.clone()).collect();
        let end = captures.iter().filter_map(|summary| summary.last).max().unwrap_or_default();
        Told { names, end, ..Told::default() }
    }

    fn tell_findings(&self, captures: &[CaptureSummary]) -> Told {
        let mut told = self.begin_telling(captures);
        told.standing = told.teller(self).standing_findings();
        let findings = told.teller(self).fold_findings(&told.standing, Findings::default(), &|| true);
        told.findings = findings.unwrap_or_default();
        told
    }

    /// The same, with findings as they stand by their life, and those that nothing shows any more.
    #[must_use]
    pub fn view_living(
        &self,
        captures: &[CaptureSummary],
        life: &life::Ledger,
        gone: Vec<FindingView>,
    ) -> AnalysisView {
        let mut told = self.tell(captures);
        let list = &mut told.findings.list;
        let gone: Vec<_> = gone.into_iter().filter(|gone| list.iter().all(|known| known.id != gone.id)).collect();
        list.extend(gone);
        list.sort_by(|a, b| a.id.cmp(&b.id));
        told.live(life);
        self.view_of(told, captures, &[])
    }

    /// What happened to frames, and what was left out of what is told.
    #[must_use]
    pub fn coverage_view(&self, told: &Told) -> CoverageView {
        let mut coverage = coverage(self);
        if told.findings.left_out > 0 {
            coverage.limits_hit.insert("findings", told.findings.left_out);
        }
        coverage
    }
}

/// What is said of one analysis. It goes with the analysis that it was made from, and with no other.
#[derive(Default)]
pub struct Told {
    names: Vec<String>,
    end: Timestamp,
    findings: Findings,
    /// Those of them that take a look at every flow.
    standing: Vec<FindingView>,
    flows: FlowIds,
}

impl Told {
    /// The same as [`Analysis::view`], said piece by piece while it is written: no more of it is in memory than one asset or
    /// flow.
    pub fn whole<'a>(
        &'a self,
        analysis: &'a Analysis,
        captures: &[CaptureSummary],
        sha256s: &[String],
    ) -> Whole<'a, impl Serialize + 'a, impl Serialize + 'a> {
        Whole {
            schema: SCHEMA,
            tool: ToolView { name: "zonewatch", version: VERSION },
            policy: self.teller(analysis).policy(),
            captures: analysis.capture_views(captures, sha256s),
            coverage: analysis.coverage_view(self),
            assets: Each(move || self.assets(analysis)),
            flows: Each(move || self.flows(analysis)),
            findings: self.findings(),
            zones: self.zones(analysis),
            conduits: self.conduits(analysis),
        }
    }

    /// Findings as they stand by their life, which is longer than what was seen since the last start.
    pub fn live(&mut self, life: &life::Ledger) {
        for finding in &mut self.findings.list {
            if let Some(record) = life.get(&finding.id) {
                stand(finding, record);
            }
        }
    }

    /// Findings, ordered by id.
    #[must_use]
    pub fn findings(&self) -> &[FindingView] {
        &self.findings.list
    }

    /// Findings, for who adds to them.
    pub fn findings_mut(&mut self) -> &mut [FindingView] {
        &mut self.findings.list
    }

    /// Names the file of each finding whose frames were kept, or says why there is none.
    pub fn cite(&mut self, file: impl Fn(&FindingView) -> Result<String, Option<String>>) {
        for finding in &mut self.findings.list {
            (finding.evidence, finding.no_evidence) = match file(finding) {
                Ok(name) => (Some(name), None),
                Err(why) => (None, why),
            };
        }
    }

    /// Devices, ordered by id.
    pub fn assets<'a>(&'a self, analysis: &'a Analysis) -> impl Iterator<Item = AssetView> + 'a {
        self.assets_from(analysis, "")
    }

    /// Devices whose id is this one or comes after it, ordered by id.
    pub fn assets_from<'a>(&'a self, analysis: &'a Analysis, id: &str) -> impl Iterator<Item = AssetView> + 'a {
        let teller = self.teller(analysis);
        let assets = &analysis.inventory.assets;
        let from = assets.partition_point(|asset| &*asset.id < id);
        assets.iter().skip(from).map(move |asset| teller.asset(asset))
    }

    /// Flows, ordered by id.
    pub fn flows<'a>(&'a self, analysis: &'a Analysis) -> impl Iterator<Item = FlowView> + 'a {
        self.flows_from(analysis, "")
    }

    /// Flows whose id is this one or comes after it, ordered by id.
    pub fn flows_from<'a>(&'a self, analysis: &'a Analysis, id: &str) -> impl Iterator<Item = FlowView> + 'a {
        let teller = self.teller(analysis);
        self.flows.from(id).filter_map(move |(id, place)| {
            let flow = analysis.observed.flows.get(place)?;
            Some(teller.flow(id.to_owned(), flow, &self.findings))
        })
    }

    /// Declared zones, ordered by id.
    #[must_use]
    pub fn zones(&self, analysis: &Analysis) -> Vec<ZoneView> {
        self.teller(analysis).zones()
    }

    /// Declared conduits, ordered by id.
    #[must_use]
    pub fn conduits(&self, analysis: &Analysis) -> Vec<ConduitView> {
        self.teller(analysis).conduits()
    }

    pub(super) fn teller<'a>(&'a self, analysis: &'a Analysis) -> Teller<'a> {
        Teller { analysis, end: self.end, names: &self.names }
    }
}

/// An [`AnalysisView`] whose long lists are made while they are written.
#[derive(Serialize)]
pub struct Whole<'a, A: Serialize, F: Serialize> {
    schema: &'static str,
    tool: ToolView,
    policy: Option<PolicyView>,
    /// What was read.
    pub captures: Vec<CaptureView>,
    /// What happened to frames.
    pub coverage: CoverageView,
    assets: A,
    flows: F,
    findings: &'a [FindingView],
    zones: Vec<ZoneView>,
    conduits: Vec<ConduitView>,
}

/// A list that is made while it is written.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq((self.0)())
    }
}

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What names need to be told: the inventory for assets, the captures for frames.
pub(super) struct Teller<'a> {
    pub(super) analysis: &'a Analysis,
    /// The last frame of all captures.
    pub(super) end: Timestamp,
    names: &'a [String],
}

/// Says of a finding how it stands by its life.
pub fn stand(finding: &mut FindingView, record: &life::Record) {
    finding.state = record.state.text();
    finding.acknowledged = record.acknowledged.as_ref().map(|by| AcknowledgedView {
        by: by.who.to_string(),
        at: by.at.to_string(),
        note: by.note.to_string(),
        until: by.until.map(|until| until.to_string()),
    });
    // What it is made of may be forgotten, and that it was there before is not.
    if Timestamp::parse(&finding.time.first).is_none_or(|first| record.first < first) {
        finding.time.first = record.first.to_string();
    }
}

/// The stable id of a flow.
pub(super) fn flow_id(flow: &Flow) -> String {
    let key = &flow.key;
    let realm = key.client.realm.0;
    let text = format!("{realm}\n{}\n{}\n{}\n{}", key.client.address, key.server.address, key.transport, key.port);
    format!("F-{}", id::base32(&text, 12))
}

fn capture(summary: &CaptureSummary, sha256: String, ways: Ways) -> CaptureView {
    CaptureView {
        name: summary.name.clone(),
        sha256,
        format: summary.format.text(),
        compression: summary.compression.text(),
        link_types: summary.link_types.iter().map(|link| link.0).collect(),
        frames: summary.frames,
        bytes: summary.bytes,
        first: summary.first.map(|time| time.to_string()),
        last: summary.last.map(|time| time.to_string()),
        damage: summary.damage.as_ref().map(|damage| damage.to_string()),
        one_way: ways.is_one_way().then_some(OneWayView { one_way: ways.one, both_ways: ways.both }),
    }
}

fn coverage(analysis: &Analysis) -> CoverageView {
    let coverage = &analysis.observed.coverage;
    let protocol = |(protocol, of): (&&dyn Protocol, &crate::worker::ProtocolCoverage)| {
        let mut messages = BTreeMap::new();
        for (message, count) in &of.messages {
            *messages.entry(protocol.message_text(*message)).or_default() += count;
        }
        let view = ProtocolCoverageView {
            pdus: of.pdus,
            bytes: of.bytes,
            skipped_bytes: of.skipped_bytes,
            anomalies: of.anomalies,
            opaque: of.opaque,
            messages,
        };
        (of.pdus > 0).then(|| (protocol.info().name, view))
    };
    CoverageView {
        frames: coverage.frames,
        bytes: coverage.bytes,
        decoded: coverage.decoded,
        not_decoded: coverage.not_decoded.clone(),
        duplicates: coverage.duplicates,
        fragments: coverage.fragments,
        truncated: coverage.truncated,
        protocols: REGISTRY.iter().zip(coverage.protocols.iter()).filter_map(protocol).collect(),
        limits_hit: coverage.limits.clone(),
        frames_of_no_flow: coverage.forgotten.0,
        dissector_failures: coverage.panics,
    }
}

impl Teller<'_> {
    pub(super) fn policy(&self) -> Option<PolicyView> {
        let policy = self.analysis.policy.as_deref()?;
        Some(PolicyView {
            files: policy.files().map(str::to_owned).collect(),
            sha256: policy.sha256.clone(),
            site: policy.site.clone(),
        })
    }

    pub(super) fn evidence(&self, evidence: Evidence) -> EvidenceView {
        EvidenceView {
            capture: self.names.get(usize::from(evidence.capture())).cloned().unwrap_or_default(),
            frame: evidence.frame(),
            time: evidence.at.to_string(),
        }
    }

    fn asset(&self, asset: &Asset) -> AssetView {
        let text = |known: &Option<Known>| known.as_ref().map(|known| known.value.to_string());
        let identity = &asset.identity;
        AssetView {
            id: asset.id.to_string(),
            name: asset.name.to_string(),
            ips: asset.ips.iter().map(ToString::to_string).collect(),
            macs: asset.macs.iter().map(ToString::to_string).collect(),
            vlans: asset.vlans.clone(),
            realm: asset.realm.0.to_string(),
            hostnames: asset.hostnames.iter().map(ToString::to_string).collect(),
            vendor: text(&identity.vendor),
            product: text(&identity.product),
            model: text(&identity.model),
            firmware: text(&identity.firmware),
            serial: text(&identity.serial),
            mac_vendor: asset.mac_vendor.as_ref().map(ToString::to_string),
            role: RoleView {
                value: asset.role.value,
                confidence: share(asset.role.confidence),
                candidates: asset
                    .role
                    .candidates
                    .iter()
                    .map(|candidate| CandidateView {
                        value: candidate.role,
                        confidence: share(candidate.confidence),
                        reasons: candidate.reasons.clone(),
                    })
                    .collect(),
            },
            level: asset.level.map(|level| LevelView { value: tenths(level.value.0), source: level.source.text() }),
            zone: self.zone_of_asset(asset),
            approved: self.analysis.policy.as_ref().map(|_| asset.approved),
            protocols: asset
                .protocols
                .iter()
                .map(|speaks| SpeaksView { name: speaks.name, side: speaks.side.text(), ports: speaks.ports.clone() })
                .collect(),
            components: asset.components.iter().map(component).collect(),
            first_seen: asset.first.at.to_string(),
            last_seen: asset.last.at.to_string(),
            frames_sent: asset.frames_sent,
            bytes_sent: asset.bytes_sent,
            facts: asset
                .facts
                .iter()
                .map(|fact| FactView {
                    attribute: fact.attribute.0,
                    value: fact.known.value.to_string(),
                    component: fact.component.as_ref().map(ToString::to_string),
                    address: fact.host.address.to_string(),
                    protocol: fact.known.protocol,
                    method: fact.known.method.text(),
                    confidence: share(fact.known.support.weight),
                    count: fact.known.support.count,
                    first: self.evidence(fact.known.support.first),
                    last: self.evidence(fact.known.support.last),
                })
                .collect(),
        }
    }

    fn flow(&self, id: String, flow: &Flow, findings: &Findings) -> FlowView {
        let protocol = flow.dissected();
        let mut vlans: Vec<u16> = [&flow.client, &flow.server]
            .into_iter()
            .flat_map(|side| side.ways())
            .flat_map(|used| used.path.vlans)
            .collect();
        vlans.retain(|id| *id != 0);
        vlans.sort_unstable();
        vlans.dedup();
        let (client, server) = (flow.client.traffic(), flow.server.traffic());
        let judged = self.judged(flow, findings);
        FlowView {
            id,
            client: self.end(flow.key.client, &flow.client),
            server: FlowServerView {
                end: self.end(flow.key.server, &flow.server),
                port: has_ports(flow.key.transport).then_some(flow.key.port),
            },
            transport: flow.key.transport.to_string(),
            protocol: protocol_name(flow),
            not_protocol: flow.not_dissected().map(|protocol| protocol.info().name),
            service: service_name(flow.key.transport, flow.key.port),
            vlans,
            initiator: flow.initiator.text(),
            connections: flow.connections,
            frames_to_server: client.frames,
            frames_to_client: server.frames,
            bytes_to_server: client.bytes,
            bytes_to_client: server.bytes,
            copies: CopiesView {
                frames_to_server: client.copies,
                frames_to_client: server.copies,
                bytes_to_server: client.copied_bytes,
                bytes_to_client: server.copied_bytes,
            },
            first_seen: flow.first().at.to_string(),
            last_seen: flow.last().at.to_string(),
            operations: protocol.map(|protocol| operations(protocol, flow)).unwrap_or_default(),
            security: security(flow),
            anomalies: flow
                .book
                .anomalies()
                .iter()
                .map(|(what, count, first)| AnomalyView { what, count: *count, first: self.evidence(*first) })
                .collect(),
            verdict: judged.as_ref().map(|judged| judged.verdict),
            rule: judged.as_ref().and_then(|judged| judged.rule.clone()),
            qualifiers: judged.as_ref().map(|judged| judged.qualifiers.clone()).unwrap_or_default(),
            findings: judged.map(|judged| judged.findings).unwrap_or_default(),
        }
    }

    fn end(&self, host: Host, side: &SideView) -> FlowEndView {
        let asset = self.analysis.inventory.at(host);
        // The MAC of the asset's own; of a host behind a router there is none to tell.
        let mac = host.address.as_mac().or_else(|| {
            let own = |mac| asset.is_some_and(|asset| asset.macs.contains(&mac));
            side.ways().filter_map(|used| used.path.src_mac).find(|mac| own(*mac))
        });
        FlowEndView {
            asset: asset.map(|asset| asset.id.to_string()),
            ip: host.address.ip().map(|ip| ip.to_string()),
            mac: mac.map(|mac| mac.to_string()),
            zone: self.zone_of_host(host),
        }
    }
}

fn component(part: &Part) -> ComponentView {
    let text = |known: &Option<Known>| known.as_ref().map(|known| known.value.to_string());
    ComponentView {
        id: part.id.to_string(),
        vendor: text(&part.identity.vendor),
        product: text(&part.identity.product),
        model: text(&part.identity.model),
        firmware: text(&part.identity.firmware),
        serial: text(&part.identity.serial),
        role: part.role,
    }
}

fn operations(protocol: &dyn Protocol, flow: &Flow) -> Vec<OperationView> {
    let mut operations: Vec<_> = flow.book.operations().iter().collect();
    operations.sort_by(|a, b| a.key.cmp(&b.key));
    let view = |operation: &crate::flow::ops::Operation| {
        let name = protocol.operation(operation.key.code);
        OperationView {
            code: name.code,
            name: name.name.into_owned(),
            class: operation.key.class.text(),
            component: operation.key.component.get().map(str::to_owned),
            objects: objects(&operation.objects),
            requests: operation.tally.requests,
            answered: operation.tally.answered,
            refused: operation.tally.refused,
            first: operation.tally.first.at.to_string(),
            last: operation.tally.last.at.to_string(),
        }
    };
    operations.into_iter().map(view).collect()
}

/// Ranges, then names.
pub(super) fn objects(objects: &Objects) -> Vec<ObjectView> {
    let ranges = objects.ranges().map(|(space, from, to)| ObjectView::Range { space: space.to_owned(), from, to });
    let names =
        objects.names().map(|(space, name)| ObjectView::Name { space: space.to_owned(), name: name.to_owned() });
    ranges.chain(names).collect()
}

fn security(flow: &Flow) -> Option<SecurityView> {
    let protection = flow.book.protection();
    (!protection.is_unknown()).then(|| SecurityView {
        mode: protection.mode.map(dissectors::Mode::text),
        policy: (!protection.policies.is_empty()).then(|| protection.policies.join(" ")),
        tokens: protection.tokens.iter().map(|token| token.text()).collect(),
    })
}

/// Per cent as a share of one.
pub(super) fn share(per_cent: u8) -> f64 {
    f64::from(per_cent) / 100.0
}

/// Tenths as a number: 35 is 3.5.
pub(super) fn tenths(tenths: u8) -> f64 {
    f64::from(tenths) / 10.0
}
