//! Findings: the judgements of all flows, folded by what they are about, with names and words for people.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter::Peekable;
use std::time::Duration;
use std::vec;

use dissectors::Protocol;

use super::convert::{Teller, VERSION, objects, share, tenths};
use super::rollup::{Hints, hint};
use super::view::{
    AttackView, CodeView, ConduitView, FindingConduitView, FindingEndView, FindingOperationView, FindingView,
    OutcomeView, ReasonView, RequirementView, SCHEMA, SampleView, SeverityView, SpanView, TermView, UseView, ZoneView,
};
use crate::address::Host;
use crate::analysis::{has_ports, protocol_name};
use crate::flow::Flow;
use crate::flow::docket::{signs_of_bypass, tap};
use crate::flow::entry::{Entry, SAMPLES};
use crate::flow::key::FlowKey;
use crate::flow::ops::{Objects, Tally};
use crate::id;
use crate::inventory::{Asset, Conflict};
use crate::ledger::Evidence;
use crate::policy::life::{Pace, State};
use crate::policy::{
    Band, Context, Identity, Judgement, Member, Outcome, Peak, Policy, Qualifier, Reason, Setting, Statement, Touched,
    Verdict, Who, class_attack, evidence_class, mapping_version, technique_name,
};
use crate::time::Timestamp;

/// What a flow's judgements come to.
pub(super) struct JudgedFlow {
    pub(super) verdict: &'static str,
    pub(super) rule: Option<String>,
    pub(super) qualifiers: Vec<&'static str>,
    pub(super) findings: Vec<String>,
}

/// Findings, and which flow is part of which.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) list: Vec<FindingView>,
    by_flow: BTreeMap<FlowKey, BTreeSet<String>>,
    /// What those that flows were judged for were made of, by id.
    bases: Vec<(String, Basis)>,
    /// Those that did not fit.
    pub(super) left_out: u64,
}

/// A finding while it is put together from the judgements of its flows.
pub(super) struct Fold<'a> {
    pub(super) judgement: Judgement,
    pub(super) flow: &'a Flow,
    pub(super) codes: BTreeMap<u64, u64>,
    pub(super) objects: Objects,
    entry: Entry,
    flows: BTreeSet<FlowKey>,
}

impl Fold<'_> {
    fn outcome(&self) -> Outcome {
        match (self.entry.tally.answered, self.entry.tally.refused) {
            (0, 0) => Outcome::Unanswered,
            (0, _) => Outcome::Refused,
            _ => Outcome::Answered,
        }
    }

    /// Messages.
    fn count(&self) -> u64 {
        let tally = &self.entry.tally;
        tally.requests.max(tally.answered + tally.refused)
    }
}

/// What tells that a finding is the same as before.
struct Basis {
    judgement: Judgement,
    setting: Setting,
    tally: Tally,
    peak: Option<Peak>,
    flow: FlowKey,
    flows: usize,
    /// What is known of both ends, and on what the one acted on the other, as a hash.
    named: u64,
}

impl Basis {
    fn is_same(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.judgement, it.setting, it.tally, it.peak, it.flow, it.flows, it.named);
        // Signs of a bypass are in the ways that frames took, too.
        self.judgement.reason != Some(Reason::BoundaryBypass) && of(self) == of(other)
    }
}

/// What was told before, to be taken in the order of ids.
struct Before {
    list: Peekable<vec::IntoIter<FindingView>>,
    bases: Peekable<vec::IntoIter<(String, Basis)>>,
}

impl Before {
    fn of(findings: Findings) -> Self {
        let Findings { list, bases, .. } = findings;
        Self { list: list.into_iter().peekable(), bases: bases.into_iter().peekable() }
    }

    /// The finding of this id, if it is the same.
    fn take(&mut self, id: &str, basis: &Basis) -> Option<FindingView> {
        while self.bases.next_if(|(known, _)| known.as_str() < id).is_some() {}
        while self.list.next_if(|known| known.id.as_str() < id).is_some() {}
        let (_, known) = self.bases.next_if(|(known, _)| known == id)?;
        let finding = self.list.next_if(|known| known.id == id)?;
        known.is_same(basis).then_some(finding)
    }
}

/// What one finding is made of is named up to so much of it: a scan of a large network is millions of destinations.
const NAMED: usize = 1000;

/// A line for each item of a finding of many, and how many are not named.
pub(super) fn named<T>(items: &[T], line: impl Fn(&T) -> String) -> Vec<String> {
    let more = items.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("{more} more"));
    items.iter().take(NAMED).map(line).chain(more).collect()
}

/// After so many flows or findings it is asked whether to go on.
const ASKED: usize = 1 << 10;

/// Destinations within this time that make one finding of many.
const CAMPAIGN: Duration = Duration::from_secs(300);
/// So many destinations make a campaign.
pub(super) const DESTINATIONS: usize = 10;

impl Teller<'_> {
    /// All findings, ordered by id. `standing` are those of [`Teller::standing_findings`]; what was told `before` of the same
    /// analysis is taken over where it is the same. `None` when it does not go on.
    pub(super) fn fold_findings(
        &self,
        standing: &[FindingView],
        before: Findings,
        goes_on: &dyn Fn() -> bool,
    ) -> Option<Findings> {
        let mut findings = Findings::default();
        let most = self.analysis.most_findings;
        if let Some(policy) = self.analysis.policy.as_deref() {
            let mut folds: BTreeMap<String, Fold<'_>> = BTreeMap::new();
            for flows in self.analysis.observed.flows.chunks(ASKED) {
                goes_on().then_some(())?;
                for flow in flows {
                    for entry in flow.judged.iter().filter(|entry| entry.is_finding()) {
                        self.fold(policy, flow, entry, &mut folds);
                    }
                }
            }
            let hints = self.hints(policy, &folds);
            let mut before = Before::of(before);
            for campaign in self.campaigns(&folds) {
                self.campaign(policy, &campaign, &hints, &mut folds, &mut findings);
            }
            for (place, (id, fold)) in folds.iter().enumerate() {
                if place % ASKED == 0 {
                    goes_on().then_some(())?;
                }
                let basis = self.basis(fold);
                let known = before.take(id, &basis).map(|known| self.again(known, fold));
                let mut finding = known.unwrap_or_else(|| self.finding(policy, id, fold));
                finding.details.extend(hint(fold, &hints).cloned());
                findings.add(finding, &fold.flows);
                findings.bases.push((id.clone(), basis));
                if findings.list.len() >= most.saturating_mul(2) {
                    findings.keep(most);
                }
            }
        }
        for conflict in &self.analysis.inventory.conflicts {
            findings.list.push(self.conflict(conflict));
        }
        findings.list.extend(self.differences());
        findings.list.extend_from_slice(standing);
        findings.keep(most);
        findings.list.sort_by(|a, b| a.id.cmp(&b.id));
        Some(findings)
    }

    /// Findings about how the network is built and what of the declaration is used, which take a look at every flow.
    pub(super) fn standing_findings(&self) -> Vec<FindingView> {
        let mut findings: Vec<FindingView> = self.edges().into_iter().collect();
        findings.extend(self.declarations());
        findings
    }

    fn fold<'a>(&self, policy: &Policy, flow: &'a Flow, entry: &Entry, folds: &mut BTreeMap<String, Fold<'a>>) {
        let Some(reason) = entry.judgement().reason else { return };
        let (from, to) = entry.setting.zones();
        let id = Identity {
            site: &policy.site,
            reason: reason.code(),
            source_zone: &policy.zone(from).id,
            destination_zone: &policy.zone(to).id,
            source: &self.entity(flow.key.client),
            destination: &self.entity(flow.key.server),
            service: &service(flow),
            class: entry.judgement().class.text(),
            bucket: &entry.bucket,
            reference: &entry.judgement().statement.map(|s| rule_reference(policy, s)).unwrap_or_default(),
        }
        .id();
        let fold = folds.entry(id).or_insert_with(|| Fold {
            judgement: entry.judgement(),
            flow,
            codes: BTreeMap::new(),
            objects: Objects::default(),
            entry: {
                let mut folded = entry.clone();
                folded.tally = Tally::new(entry.tally.first);
                folded.show().samples.clear();
                folded
            },
            flows: BTreeSet::new(),
        });
        // Of an attempt and a violation of the same kind the violation counts; of equal ones what was first, since what a
        // sensor drained came together in no order.
        let is_first = entry.tally.first < fold.entry.tally.first;
        let (rank, known) = (entry.judgement().rank(policy), fold.judgement.rank(policy));
        if rank > known || (rank == known && is_first) {
            fold.judgement = entry.judgement();
        }
        if is_first {
            fold.entry.setting = entry.setting;
        }
        entry.codes.iter().for_each(|(code, count)| *fold.codes.entry(*code).or_default() += count);
        fold.objects.merge(entry.objects());
        fold.entry.tally.merge(&entry.tally);
        fold.entry.note_peak(entry.peak());
        let samples = &mut fold.entry.show().samples;
        samples.extend_from_slice(entry.samples());
        samples.sort_unstable();
        samples.dedup();
        samples.truncate(SAMPLES);
        fold.flows.insert(flow.key);
    }

    /// What a policy calls a host: the id of its asset, else its address.
    pub(super) fn entity(&self, host: Host) -> String {
        self.analysis.inventory.at(host).map_or_else(|| host.address.to_string(), |asset| asset.id.to_string())
    }

    fn finding(&self, policy: &Policy, id: &str, fold: &Fold<'_>) -> FindingView {
        let Fold { judgement, flow, .. } = fold;
        let setting = &fold.entry.setting;
        let tally = &fold.entry.tally;
        let reason = judgement.reason.unwrap_or(Reason::UndeclaredConduit);
        let score = policy.score(setting, judgement, fold.outcome());
        let (from, to) = setting.zones();
        let protocol = flow.dissected();
        let codes: Vec<CodeView> = protocol.map(|protocol| codes(protocol, &fold.codes)).unwrap_or_default();
        let (source, destination) = (self.naming(flow.key.client), self.naming(flow.key.server));
        let names: Vec<&str> = fold.objects.names().map(|(_, name)| name).collect();
        let ranges: Vec<Touched<'_>> =
            fold.objects.ranges().map(|(space, from, to)| Touched { space, range: (from, to) }).collect();
        let frames: Vec<u64> = fold.entry.samples().iter().map(|sample| sample.frame()).collect();
        let service = service(flow);
        let transport = flow.key.transport.to_string();
        let count = fold.count();
        let only = |code: &CodeView| (code.code.clone(), code.name.clone());
        let (code, operation) = match codes.as_slice() {
            [one] => only(one),
            _ => Default::default(),
        };
        let context = Context {
            verdict: judgement.verdict,
            reason,
            statement: judgement.statement,
            stage: judgement.stage,
            source: Who { id: &source.id, name: &source.name, role: source.role, zone: from },
            destination: Who { id: &destination.id, name: &destination.name, role: destination.role, zone: to },
            service: &service,
            protocol: protocol_name(flow),
            transport: &transport,
            port: flow.key.port,
            class: judgement.class,
            code: &code,
            operation: &operation,
            unit: fold.entry.bucket.rsplit_once('@').and_then(|(_, unit)| unit.parse().ok()),
            ranges: &ranges,
            names: &names,
            answered: tally.answered,
            refused: tally.refused,
            count,
            first: tally.first.at,
            last: tally.last.at,
            peak: fold.entry.peak(),
            frames: &frames,
        };
        let mut do_next = policy.do_next(&context).to_vec();
        do_next.extend(policy.harmless(&context).map(|text| format!("{HARMLESS}{}", one_line(&text))));
        FindingView {
            id: id.to_owned(),
            schema: SCHEMA,
            site: policy.site.clone(),
            sensor: String::new(),
            kind: "violation",
            reason: ReasonView { code: reason.code(), name: reason.name() },
            verdict: judgement.verdict.text(),
            state: self.state(tally.last.at),
            acknowledged: None,
            severity: severity(score),
            time: span(tally.first.at, tally.last.at),
            count,
            src: self.finding_end(flow.key.client, Some(&policy.zone(from).id), setting.confidence()),
            dst: self.finding_end(flow.key.server, Some(&policy.zone(to).id), setting.confidence()),
            transport: Some(transport.clone()),
            port: has_ports(flow.key.transport).then_some(flow.key.port),
            protocol: protocol_name(flow),
            operation: Some(FindingOperationView {
                class: judgement.class.text(),
                codes,
                objects: objects(&fold.objects),
                outcome: OutcomeView {
                    answered: tally.answered,
                    refused: tally.refused,
                    not_answered: tally.requests.saturating_sub(tally.answered + tally.refused),
                },
                user: None,
            }),
            conduit: judgement.statement.map(|statement| FindingConduitView {
                id: policy.reference(statement),
                stage: judgement.stage.map(|stage| stage.text()),
                detail: policy.limit(&context),
            }),
            qualifiers: judgement.qualifiers.iter().map(|q| q.text().to_owned()).collect(),
            attack: attack(reason, Some(judgement.class)),
            requirements: requirements(reason),
            what: policy.what(&context),
            why: policy.why(&context),
            do_next,
            details: details(policy, fold, reason),
            samples: self.samples_of(policy, flow, fold.entry.samples()),
            evidence: None,
            no_evidence: None,
            policy_hash: Some(policy.sha256.clone()),
            mapping_version: mapping_version(),
            tool_version: VERSION,
        }
    }

    /// What a finding is made of, as far as that can change while it has the same id.
    fn basis(&self, fold: &Fold<'_>) -> Basis {
        // With the same keys in each: what was hashed at the last flush is compared.
        let mut hasher = DefaultHasher::new();
        for host in [fold.flow.key.client, fold.flow.key.server] {
            if let Some(asset) = self.analysis.inventory.at(host) {
                let (mac, level) = (asset.macs.first(), asset.level.map(|level| level.value.0));
                (&asset.id, &asset.name, asset.role.value, mac, level).hash(&mut hasher);
            }
        }
        (&fold.codes, fold.entry.samples(), fold.objects.dropped()).hash(&mut hasher);
        fold.objects.ranges().for_each(|range| range.hash(&mut hasher));
        fold.objects.names().for_each(|name| name.hash(&mut hasher));
        Basis {
            judgement: fold.judgement,
            setting: fold.entry.setting,
            tally: fold.entry.tally,
            peak: fold.entry.peak(),
            flow: fold.flow.key,
            flows: fold.flows.len(),
            named: hasher.finish(),
        }
    }

    /// A finding as it was told before, without what was added to it then.
    fn again(&self, known: FindingView, fold: &Fold<'_>) -> FindingView {
        let tally = &fold.entry.tally;
        FindingView {
            state: self.state(tally.last.at),
            acknowledged: None,
            time: span(tally.first.at, tally.last.at),
            details: Vec::new(),
            evidence: None,
            no_evidence: None,
            ..known
        }
    }

    /// Findings of one source, reason and service with many destinations in a short time, by id. A source is what the id of a
    /// campaign names: all addresses of a device are one, so that no two campaigns have one id.
    fn campaigns(&self, folds: &BTreeMap<String, Fold<'_>>) -> Vec<Vec<String>> {
        let mut groups: BTreeMap<_, Vec<(Timestamp, Host, &String)>> = BTreeMap::new();
        for (id, fold) in folds {
            let key = (self.entity(fold.flow.key.client), fold.judgement.reason, service(fold.flow));
            groups.entry(key).or_default().push((fold.entry.tally.first.at, fold.flow.key.server, id));
        }
        let mut found = Vec::new();
        for mut members in groups.into_values() {
            members.sort_unstable();
            let busy = members.iter().enumerate().any(|(i, (start, ..))| {
                let within = members.iter().skip(i).take_while(|(at, ..)| at.since(*start) <= CAMPAIGN);
                within.map(|(_, host, _)| host).collect::<BTreeSet<_>>().len() >= DESTINATIONS
            });
            if busy {
                found.push(members.into_iter().map(|(.., id)| id.clone()).collect());
            }
        }
        found
    }

    /// Many equal findings of one source as one, with its destinations.
    fn campaign(
        &self,
        policy: &Policy,
        ids: &[String],
        hints: &Hints,
        folds: &mut BTreeMap<String, Fold<'_>>,
        out: &mut Findings,
    ) {
        let children: Vec<(String, Fold<'_>)> = ids.iter().filter_map(|id| folds.remove_entry(id)).collect();
        // The worst child speaks for all.
        let score = |fold: &Fold<'_>| {
            let score = policy.score(&fold.entry.setting, &fold.judgement, fold.outcome());
            score.map_or(0, |score| score.value)
        };
        let worst = children.iter().max_by_key(|(id, fold)| (score(fold), Reverse(id)));
        let (Some((id, worst)), Some((_, first))) = (worst, children.first()) else { return };
        let worst = self.finding(policy, id, worst);
        let (from, to) = first.entry.setting.zones();
        let reason = first.judgement.reason.unwrap_or(Reason::UndeclaredConduit);
        let source = self.naming(first.flow.key.client);
        let key = Identity {
            site: &policy.site,
            reason: reason.code(),
            source_zone: &policy.zone(from).id,
            destination_zone: &policy.zone(to).id,
            source: &self.entity(first.flow.key.client),
            destination: "*",
            service: &service(first.flow),
            class: first.judgement.class.text(),
            bucket: "",
            reference: "",
        };
        let count: u64 = children.iter().map(|(_, fold)| fold.count()).sum();
        let mut samples: Vec<Evidence> = children.iter().flat_map(|(_, fold)| fold.entry.samples().to_vec()).collect();
        samples.sort_unstable();
        samples.truncate(SAMPLES);
        let first_seen = children.iter().map(|(_, fold)| fold.entry.tally.first.at).min().unwrap_or_default();
        let last_seen = children.iter().map(|(_, fold)| fold.entry.tally.last.at).max().unwrap_or_default();
        let verdict = |fold: &Fold<'_>| fold.judgement.verdict;
        let answered = match children.iter().filter(|(_, fold)| verdict(fold) != Verdict::Attempt).count() {
            0 => "none".to_owned(),
            count if count == children.len() => "all".to_owned(),
            count => count.to_string(),
        };
        let what = format!(
            "{} ({}) tried {} destinations in {} over {}; {answered} of them answered.",
            source.name,
            policy.zone(from).name,
            children.len(),
            policy.zone(to).name,
            service(first.flow),
        );
        let flows: BTreeSet<FlowKey> = children.iter().flat_map(|(_, fold)| fold.flows.clone()).collect();
        let mut destinations: Vec<&(String, Fold<'_>)> = children.iter().collect();
        destinations.sort_by_key(|(_, fold)| fold.flow.key.server);
        // Where others break the same conduit too, it is more likely wrong than they are.
        let told: BTreeSet<&String> = children.iter().flat_map(|(_, fold)| hint(fold, hints)).collect();
        // What would allow one destination allows no campaign.
        let do_next = first_steps(&worst);
        let view = FindingView {
            id: format!("K-{}", key.id().trim_start_matches("V-")),
            kind: "campaign",
            state: self.state(last_seen),
            acknowledged: None,
            time: span(first_seen, last_seen),
            count,
            dst: FindingEndView {
                asset: None,
                ip: None,
                mac: None,
                role: None,
                name: Some("*".to_owned()),
                ..worst.dst.clone()
            },
            what,
            do_next,
            details: {
                let line = |(id, fold): &&(String, Fold<'_>)| {
                    format!("{} {} {id}", fold.flow.key.server.address, verdict(fold).text())
                };
                named(&destinations, line).into_iter().chain(told.into_iter().cloned()).collect()
            },
            samples: self.samples(&samples),
            ..worst
        };
        out.add(view, &flows);
    }

    /// Knowledge that contradicts itself is a finding too, with the frames of both claims.
    fn conflict(&self, conflict: &Conflict) -> FindingView {
        let policy = self.analysis.policy.as_deref();
        let site = policy.map(|policy| policy.site.clone()).unwrap_or_default();
        let reason = Reason::IdentityConflict;
        let place = conflict.component.as_deref().unwrap_or("");
        let attribute = conflict.attribute.0;
        let (earlier, later) = (&conflict.earlier, &conflict.later);
        let key = format!(
            "v1\n{site}\n{}\n{}\n{place}\n{attribute}\n{}\n{}",
            conflict.kind.text(),
            conflict.asset,
            earlier.value,
            later.value
        );
        let name = self.naming(conflict.host).name;
        let part = if place.is_empty() { String::new() } else { format!(" {place}") };
        let end = || self.finding_end(conflict.host, None, 100);
        FindingView {
            id: format!("V-{}", id::base32(&key, 16)),
            schema: SCHEMA,
            sensor: String::new(),
            kind: "inventory",
            reason: ReasonView { code: reason.code(), name: reason.name() },
            verdict: "review",
            state: "open",
            acknowledged: None,
            severity: conflict_severity(policy, conflict),
            time: span(earlier.first.at, later.last.at.max(earlier.last.at)),
            count: 1,
            src: end(),
            dst: end(),
            transport: None,
            port: None,
            protocol: None,
            operation: None,
            conduit: None,
            qualifiers: vec![conflict.kind.text().to_owned()],
            attack: attack(reason, None),
            requirements: requirements(reason),
            what: format!(
                "{name}{part}: {} ({attribute} {} since frame {}, {} since frame {}).",
                conflict.kind.says(),
                earlier.value,
                earlier.first.frame(),
                later.value,
                later.first.frame()
            ),
            why: format!("{} ({}): {}.", reason.code(), reason.name(), reason.says()),
            do_next: vec![
                format!(
                    "Look at frames {} and {}: they contradict each other.",
                    earlier.first.frame(),
                    later.first.frame()
                ),
                "Ask who changed or replaced the device, and whether there is a ticket.".to_owned(),
                "If the same addresses are used twice on purpose, give the two networks realms of their own."
                    .to_owned(),
            ],
            details: vec![
                format!("{attribute} {}: {} times", earlier.value, earlier.count),
                format!("{attribute} {}: {} times", later.value, later.count),
            ],
            samples: self.samples(&[earlier.first, later.first]),
            evidence: None,
            no_evidence: None,
            policy_hash: policy.map(|policy| policy.sha256.clone()),
            mapping_version: mapping_version(),
            tool_version: VERSION,
            site,
        }
    }

    /// Samples of a flow: where the capture is of no tap, the VLAN of a way's first frame may tell it.
    fn samples_of(&self, policy: &Policy, flow: &Flow, samples: &[Evidence]) -> Vec<SampleView> {
        let ways = || flow.client.ways().chain(flow.server.ways());
        let by_way = |sample: &Evidence| {
            let used = ways().find(|used| used.first == *sample)?;
            policy.tap_name(tap(policy, &used.path)).map(str::to_owned)
        };
        let views = self.samples(samples).into_iter().zip(samples);
        views.map(|(view, sample)| SampleView { tap: view.tap.or_else(|| by_way(sample)), ..view }).collect()
    }

    /// How a finding stands at the end of the captures.
    fn state(&self, last: Timestamp) -> &'static str {
        State::after(last, self.end, &Pace::default()).text()
    }

    pub(super) fn samples(&self, samples: &[Evidence]) -> Vec<SampleView> {
        let tap = |sample: &Evidence| {
            let tap = self.analysis.taps.get(usize::from(sample.capture())).copied()?;
            self.analysis.policy.as_ref()?.tap_name(tap).map(str::to_owned)
        };
        samples
            .iter()
            .map(|sample| SampleView { evidence: self.evidence(*sample), tap: tap(sample), at: *sample })
            .collect()
    }

    pub(super) fn naming(&self, host: Host) -> Naming {
        match self.analysis.inventory.at(host) {
            // A learned id says nothing to a reader, and a policy cannot name it: the address does both.
            Some(asset) if asset.id.starts_with("A-") => {
                Naming { id: host.address.to_string(), name: asset.name.to_string(), role: asset.role.value }
            }
            Some(asset) => Naming { id: asset.id.to_string(), name: asset.name.to_string(), role: asset.role.value },
            None => Naming { id: host.address.to_string(), name: host.address.to_string(), role: None },
        }
    }

    pub(super) fn finding_end(&self, host: Host, zone: Option<&str>, confidence: u8) -> FindingEndView {
        let asset = self.analysis.inventory.at(host);
        FindingEndView {
            asset: asset.map(|asset| asset.id.to_string()),
            zone: zone.map(str::to_owned).or_else(|| self.zone_of_host(host)),
            ip: host.address.ip().map(|ip| ip.to_string()),
            mac: host
                .address
                .as_mac()
                .or(asset.and_then(|asset| asset.macs.first().copied()))
                .map(|mac| mac.to_string()),
            role: asset.and_then(|asset| asset.role.value),
            name: asset.map(|asset| asset.name.to_string()),
            level: asset.and_then(|asset| asset.level).map(|level| tenths(level.value.0)),
            confidence: share(confidence),
        }
    }

    pub(super) fn policy_member(&self, host: Host) -> Member<'_> {
        self.analysis.member(host)
    }

    pub(super) fn zone_of_host(&self, host: Host) -> Option<String> {
        let policy = self.analysis.policy.as_deref()?;
        if host.address.is_group() {
            return None;
        }
        Some(policy.zone(policy.zone_of(&self.analysis.member(host)).zone).id.clone())
    }

    pub(super) fn zone_of_asset(&self, asset: &Asset) -> Option<String> {
        let address = asset.ips.first().copied().or_else(|| asset.macs.first().map(|mac| (*mac).into()))?;
        self.zone_of_host(Host { realm: asset.realm, address })
    }

    pub(super) fn judged(&self, flow: &Flow, findings: &Findings) -> Option<JudgedFlow> {
        let policy = self.analysis.policy.as_deref()?;
        let worst = self.worst(flow)?;
        let qualifiers: BTreeSet<Qualifier> =
            flow.judged.iter().flat_map(|entry| entry.judgement().qualifiers.iter()).collect();
        Some(JudgedFlow {
            verdict: worst.verdict.text(),
            rule: worst.statement.map(|statement| policy.reference(statement)),
            qualifiers: qualifiers.into_iter().map(Qualifier::text).collect(),
            findings: findings.by_flow.get(&flow.key).into_iter().flatten().cloned().collect(),
        })
    }

    /// The gravest judgement of a flow. Of equally grave ones the one that stands first in the docket: the earliest.
    pub(super) fn worst(&self, flow: &Flow) -> Option<Judgement> {
        let policy = self.analysis.policy.as_deref()?;
        let worst = flow.judged.iter().rev().max_by_key(|entry| entry.judgement().rank(policy))?;
        Some(worst.judgement())
    }

    pub(super) fn zones(&self) -> Vec<ZoneView> {
        let Some(policy) = self.analysis.policy.as_deref() else { return Vec::new() };
        let mut assets: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for asset in &self.analysis.inventory.assets {
            if let Some(zone) = self.zone_of_asset(asset) {
                assets.entry(zone).or_default().push(asset.id.to_string());
            }
        }
        let mut zones: Vec<ZoneView> = policy
            .zones
            .iter()
            .map(|zone| ZoneView {
                id: zone.id.clone(),
                name: (zone.name != zone.id).then(|| zone.name.clone()),
                parent: zone.parent.map(|parent| policy.zone(parent).id.clone()),
                kind: zone.kind.map(|kind| kind.text().to_owned()),
                level: zone.level.map(tenths),
                safety: zone.safety,
                assets: assets.remove(&zone.id).unwrap_or_default(),
            })
            .collect();
        zones.sort_by(|a, b| a.id.cmp(&b.id));
        zones
    }

    pub(super) fn conduits(&self) -> Vec<ConduitView> {
        let Some(policy) = self.analysis.policy.as_deref() else { return Vec::new() };
        let mut uses: BTreeMap<u32, Used> = BTreeMap::new();
        for flow in &self.analysis.observed.flows {
            let mut counted = BTreeSet::new();
            for entry in &flow.judged {
                let Some(Statement::Rule(number)) = entry.judgement().statement else { continue };
                let used = uses.entry(number).or_default();
                used.note(entry);
                if counted.insert(number) {
                    used.view.sessions += flow.connections;
                }
            }
        }
        let mut conduits: Vec<ConduitView> = (0..)
            .zip(&policy.rules)
            .map(|(number, rule)| ConduitView {
                id: rule.id.clone(),
                name: (rule.name != rule.id).then(|| rule.name.clone()),
                from: rule.from_words.clone(),
                to: rule.to_words.clone(),
                owner: rule.owner.clone(),
                used: uses.remove(&number).unwrap_or_default().into_view(),
            })
            .collect();
        conduits.sort_by(|a, b| a.id.cmp(&b.id));
        conduits
    }
}

impl Findings {
    fn add(&mut self, view: FindingView, flows: &BTreeSet<FlowKey>) {
        for flow in flows {
            self.by_flow.entry(*flow).or_default().insert(view.id.clone());
        }
        self.list.push(view);
    }

    /// Leaves out those of the least severity when there are more.
    fn keep(&mut self, most: usize) {
        if self.list.len() <= most {
            return;
        }
        let rank = |one: &FindingView, other: &FindingView| {
            other.severity.score.cmp(&one.severity.score).then_with(|| one.id.cmp(&other.id))
        };
        self.list.sort_unstable_by(rank);
        let gone: BTreeSet<String> = self.list.drain(most..).map(|finding| finding.id).collect();
        self.left_out += gone.len() as u64;
        self.by_flow.values_mut().for_each(|ids| ids.retain(|id| !gone.contains(id)));
    }
}

pub(super) struct Naming {
    pub(super) id: String,
    pub(super) name: String,
    role: Option<&'static str>,
}

/// The use of a rule.
#[derive(Default)]
struct Used {
    span: Option<(Timestamp, Timestamp)>,
    view: UseView,
}

impl Used {
    fn note(&mut self, entry: &Entry) {
        let count = entry.tally.requests.max(entry.tally.answered + entry.tally.refused);
        *self.view.verdicts.entry(entry.judgement().verdict.text()).or_default() += count;
        // A rule that was only nearest to allowing something was not used.
        if entry.judgement().verdict <= Verdict::Exception {
            let (first, last) = (entry.tally.first.at, entry.tally.last.at);
            let (earliest, latest) = self.span.unwrap_or((first, last));
            self.span = Some((earliest.min(first), latest.max(last)));
            self.view.operations += count;
        }
    }

    fn into_view(self) -> UseView {
        UseView {
            first: self.span.map(|(first, _)| first.to_string()),
            last: self.span.map(|(_, last)| last.to_string()),
            ..self.view
        }
    }
}

/// What shows that a conversation did not pass its boundary, a line for each sign.
fn details(policy: &Policy, fold: &Fold<'_>, reason: Reason) -> Vec<String> {
    let Some(statement) = fold.judgement.statement.filter(|_| reason == Reason::BoundaryBypass) else {
        return Vec::new();
    };
    let (devices, macs) = policy.boundary(statement);
    let signs = signs_of_bypass(policy, fold.flow, &macs).into_iter();
    signs
        .map(|(sign, at)| {
            let at = at.map(|at| format!(" (frame {})", at.frame())).unwrap_or_default();
            format!("not through {}: {sign}{at}", devices.join(", "))
        })
        .collect()
}

/// What a finding's identity names as its rule: a zone's own list is no rule, the zones are in the identity anyway.
fn rule_reference(policy: &Policy, statement: Statement) -> String {
    match statement {
        Statement::Inside(_) => String::new(),
        rule => policy.reference(rule),
    }
}

/// The protocol, or `tcp/445`.
fn service(flow: &Flow) -> String {
    match protocol_name(flow) {
        Some(protocol) => protocol.to_owned(),
        None if has_ports(flow.key.transport) => format!("{}/{}", flow.key.transport, flow.key.port),
        None => flow.key.transport.to_string(),
    }
}

fn codes(protocol: &dyn Protocol, counts: &BTreeMap<u64, u64>) -> Vec<CodeView> {
    let view = |(code, count): (&u64, &u64)| {
        let name = protocol.operation(*code);
        CodeView { code: name.code, name: name.name.into_owned(), count: *count }
    };
    counts.iter().filter(|(code, _)| **code != 0).map(view).collect()
}

pub(super) fn severity(score: Option<crate::policy::Score>) -> SeverityView {
    let Some(score) = score else { return SeverityView { score: 0, band: Band::Info.text(), terms: Vec::new() } };
    SeverityView {
        score: i32::from(score.value),
        band: score.band.text(),
        terms: score.terms.into_iter().map(|(term, points)| TermView { term, points }).collect(),
    }
}

/// A contradiction in the inventory has to be looked at: the weight of what it may hide, kept to the ceiling of reviews.
fn conflict_severity(policy: Option<&Policy>, conflict: &Conflict) -> SeverityView {
    severity_of(policy, conflict.kind.text(), conflict.kind.weight())
}

/// A severity of one term.
pub(super) fn severity_of(policy: Option<&Policy>, term: &str, points: i32) -> SeverityView {
    let defaults = crate::policy::Weights::default();
    let band = policy.map_or(&defaults, |policy| &policy.weights).band(points);
    SeverityView { score: points, band: band.text(), terms: vec![TermView { term: term.to_owned(), points }] }
}

pub(super) fn span(first: Timestamp, last: Timestamp) -> SpanView {
    SpanView { first: first.to_string(), last: last.to_string() }
}

pub(super) fn attack(reason: Reason, class: Option<dissectors::Class>) -> Vec<AttackView> {
    let own = reason.attack().v19.iter();
    let of_class = class.into_iter().flat_map(|class| &class_attack(class).v19);
    let mut seen = BTreeSet::new();
    own.chain(of_class)
        .filter(|id| seen.insert(id.as_str()))
        .map(|id| AttackView { id: id.clone(), version: "19", name: technique_name(id) })
        .collect()
}

pub(super) fn requirements(reason: Reason) -> Vec<RequirementView> {
    let view = |id: &String| RequirementView {
        std: "IEC 62443-3-3",
        id: format!("SR {id}"),
        edition: "2013",
        evidence_class: evidence_class(id),
    };
    reason.requirements().iter().map(view).collect()
}

/// How the step begins that would declare what was seen.
const HARMLESS: &str = "If it is harmless, declare it: ";

/// The steps that do not declare anything.
fn first_steps(view: &FindingView) -> Vec<String> {
    view.do_next.iter().filter(|step| !step.starts_with(HARMLESS)).cloned().collect()
}

/// A declaration in one line, for a list of steps.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::analysis::{self, Options};
    use crate::source::set::Captures;

    #[test]
    fn the_gravest_stay_when_there_are_too_many() {
        let capture = include_bytes!("../../fixtures/plant/capture.pcap").as_slice();
        let policy = Policy::parse("plant.toml", include_str!("../../fixtures/plant/plant.toml")).unwrap();
        let options = Options { policy: Some(Arc::new(policy)), ..Options::default() };
        let mut captures = Captures::stream("eth1", Box::new(capture)).unwrap();
        let mut analysis = analysis::run(&mut captures, |captures, batch| captures.fill(batch), &options);
        let scores = |told: &super::super::Told| {
            let mut scores: Vec<_> = told.findings().iter().map(|finding| finding.severity.score).collect();
            scores.sort_unstable_by(|a, b| b.cmp(a));
            scores
        };
        let all = scores(&analysis.tell(&captures.summaries()));
        assert!(all.len() > 3);
        for most in 1..=all.len() {
            analysis.most_findings = most;
            let told = analysis.tell(&captures.summaries());
            assert_eq!(scores(&told), all[..most]);
            let known: BTreeSet<_> = told.findings().iter().map(|finding| &*finding.id).collect();
            let named = || told.flows(&analysis).flat_map(|flow| flow.findings);
            assert!(named().all(|id| known.contains(&*id)));
            let left_out = analysis.coverage_view(&told).limits_hit.get("findings").copied().unwrap_or_default();
            assert_eq!(left_out as usize, all.len() - most);
        }
    }
}
