//! What a running sensor knows: everything that its shards drained, in one place, and what follows from it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::address::Host;
use crate::analysis::{self, Analysis, Options};
use crate::flow::key::FlowKey;
use crate::flow::table::Flows;
use crate::flow::watch::Watch;
use crate::flow::{again, facts};
use crate::ledger::{Fact, Ledger, Subject};
use crate::pipeline::Observed;
use crate::policy::{Policy, TapId};
use crate::source::file::CaptureSummary;
use crate::source::set::Captures;
use crate::store::Restored;
use crate::time::Timestamp;
use crate::worker::{FEW, ShardResult, Ways};

/// The sum of all that was observed, and the conclusions.
pub struct World {
    /// What the sum shows. Between two merges everything is in here.
    pub analysis: Analysis,
    /// The interfaces that were watched, as captures; evidence names them by their place.
    pub captures: Vec<CaptureSummary>,
    options: Options,
    table: Flows,
}

/// What a merge touched.
#[derive(Debug, Default)]
pub struct Changed {
    /// Flows.
    pub flows: BTreeSet<FlowKey>,
    /// Whom new facts are about.
    pub subjects: BTreeSet<Subject>,
}

impl World {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let observed = Observed { ledger: Ledger::bounded(options.limits.ledger), ..Observed::default() };
        let table = Flows::new(options.limits.flows, ahash::RandomState::new());
        Self { analysis: analysis::conclude(observed, &options), captures: Vec::new(), options, table }
    }

    /// What captures show that are read to their end: a world to look at without an interface.
    #[must_use]
    pub fn read(captures: &mut Captures, options: Options) -> Self {
        let analysis = analysis::run(captures, Captures::fill, &options);
        let table = Flows::new(options.limits.flows, ahash::RandomState::new());
        Self { analysis, captures: captures.summaries(), options, table }
    }

    /// How it was told to conclude.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Goes on from what a store kept. The captures that are known already come before those of the store, whose numbers
    /// are made for that.
    pub fn restore(&mut self, restored: Restored) {
        let mut observed = std::mem::take(&mut self.analysis.observed);
        self.table.restore(observed.flows);
        for flow in restored.flows {
            self.table.add(flow);
        }
        observed.flows = self.table.take();
        observed.flows.sort_by_cached_key(|flow| flow.key);
        observed.ledger.merge(restored.ledger);
        observed.coverage.merge(&restored.coverage);
        observed.watch.merge(restored.watch, self.options.policy.as_deref());
        for (place, own) in std::mem::replace(&mut self.captures, restored.captures).into_iter().enumerate() {
            match self.captures.get_mut(place) {
                Some(known) => *known = own,
                None => self.captures.push(own),
            }
        }
        self.analysis = self.conclude(observed);
    }

    /// A capture begins; its place in the list. Evidence numbers captures in 16 bits: those that are too many share the last.
    pub fn begin(&mut self, capture: CaptureSummary) -> u16 {
        if self.captures.len() <= usize::from(u16::MAX) {
            self.captures.push(capture);
        }
        u16::try_from(self.captures.len().saturating_sub(1)).unwrap_or(u16::MAX)
    }

    /// How a capture is by now.
    pub fn goes_on(&mut self, place: u16, capture: CaptureSummary) {
        if let Some(known) = self.captures.get_mut(usize::from(place)) {
            *known = capture;
        }
    }

    /// Judges by another policy from now on. What was judged is judged again by what is known of it.
    pub fn judge_by(&mut self, policy: Option<Arc<Policy>>) {
        self.options.policy = policy;
        let taps = self.taps();
        let mut observed = std::mem::take(&mut self.analysis.observed);
        observed.flows.iter_mut().for_each(|flow| again::judge(flow, self.options.policy.as_deref(), &taps));
        // What was watched is by the numbers of the old policy's rules.
        observed.watch = Watch::default();
        self.analysis = self.conclude(observed);
    }

    /// The tap of each capture, by the policy in force.
    #[must_use]
    pub fn taps(&self) -> Arc<[TapId]> {
        analysis::taps(&self.captures, self.options.policy.as_deref())
    }

    fn conclude(&self, observed: Observed) -> Analysis {
        Analysis {
            taps: self.taps(),
            lost: analysis::lost(&self.captures),
            ..analysis::conclude(observed, &self.options)
        }
    }

    /// Forgets what was not seen since that time; what follows from it goes at the next merge.
    pub fn forget(&mut self, before: Timestamp) {
        let observed = &mut self.analysis.observed;
        observed.flows.retain(|flow| flow.last().at >= before);
        let mut ledger = Ledger::bounded(self.options.limits.ledger);
        for (subject, facts) in observed.ledger.iter() {
            for (key, support) in facts.iter().filter(|(_, support)| support.last.at >= before) {
                ledger.apply(subject.clone(), Fact { key: key.clone(), support: support.clone() });
            }
        }
        observed.ledger = ledger;
    }

    /// Adds what the shards drained, and concludes anew.
    pub fn merge(&mut self, results: Vec<ShardResult>) -> Changed {
        let mut changed = self.add(results);
        changed.flows.extend(self.conclude_again());
        changed
    }

    /// Adds what the shards drained. What follows from it is to be [concluded](Self::conclude_again).
    pub fn add(&mut self, results: Vec<ShardResult>) -> Changed {
        let mut observed = std::mem::take(&mut self.analysis.observed);
        let mut changed = Changed::default();
        let mut ways: BTreeMap<u16, Ways> = BTreeMap::new();
        self.table.restore(observed.flows);
        for mut result in results {
            observed.coverage.merge(&result.coverage);
            observed.coverage.ledger(&mut result.ledger);
            // Of what the headers tell there is as much as of flows, and no more: it needs no bound of its own.
            let mut headers = Ledger::default();
            facts::note(&result.flows, &mut headers);
            for learned in [result.ledger, headers] {
                changed.subjects.extend(learned.iter().map(|(subject, _)| subject.clone()));
                observed.ledger.merge(learned);
            }
            observed.watch.merge(result.watch, self.options.policy.as_deref());
            let (policy, most) = (self.options.policy.as_deref(), self.options.limits.timings);
            observed.timings.merge(result.timings, policy, most);
            result.ways.into_iter().for_each(|(capture, seen)| ways.entry(capture).or_default().merge(seen));
            for flow in result.flows {
                changed.flows.insert(self.table.add(flow));
            }
        }
        // Too few say nothing, and leave what was said before.
        let telling = ways.into_iter().filter(|(_, ways)| ways.all() >= FEW);
        telling.for_each(|(capture, ways)| _ = observed.ways.insert(capture, ways));
        observed.flows = self.table.take();
        observed.flows.sort_by_cached_key(|flow| flow.key);
        if self.table.tell_limits(&mut observed.coverage) {
            // Whose flows were forgotten is forgotten too, if nothing else is known of him: else a flood of random addresses
            // would fill the inventory.
            let hosts: HashSet<Host, ahash::RandomState> =
                observed.flows.iter().flat_map(|flow| [flow.key.client, flow.key.server]).collect();
            observed.ledger.forget_glimpses(|host| hosts.contains(&host));
        }
        observed.coverage.ledger(&mut observed.ledger);
        self.analysis.observed = observed;
        changed
    }

    /// Concludes from what is known by now, and says which flows were judged again for it.
    pub fn conclude_again(&mut self) -> impl Iterator<Item = FlowKey> + '_ {
        let observed = std::mem::take(&mut self.analysis.observed);
        self.analysis = self.conclude(observed);
        self.analysis.judged_again.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Limits;
    use crate::pipeline;
    use crate::source::Batch;
    use crate::worker::{SHARDS, Shard};

    const CAPTURE: &[u8] = include_bytes!("../../fixtures/plant/capture.pcap");
    const POLICY: &str = include_str!("../../fixtures/plant/plant.toml");

    /// Who is where shows in what he does.
    const ROLES: &str = "[site]\nid = \"p\"\ntimezone = \"UTC\"\n\
        [[zone]]\nid = \"supervision\"\nmembers = [ { role = \"hmi\" }, { role = \"gateway\" }, { role = \"plc\" } ]\n";

    /// The plant of the demo, drained after every so many frames. Who looks sees the world after each merge, and what the
    /// merge says it touched.
    fn watch(every: usize, policy: &str, mut look: impl FnMut(&World, Changed)) -> (World, Captures) {
        let policy = Some(Arc::new(Policy::parse("plant.toml", policy).unwrap()));
        let limits = Limits::default();
        let mut shards: Vec<Shard> = (0..SHARDS).map(|_| Shard::new(&limits, policy.clone())).collect();
        let mut world = World::new(Options { policy, ..Options::default() });
        let mut captures = Captures::stream("plant.pcap", Box::new(CAPTURE)).unwrap();
        let mut batch = Batch::default();
        let mut seen = 0;
        let mut merge = |results| {
            let changed = world.merge(results);
            look(&world, changed);
        };
        while captures.fill(&mut batch) {
            let mut part = Batch { bytes: batch.bytes.clone(), frames: Vec::new() };
            for frame in &batch.frames {
                part.frames.push(*frame);
                seen += 1;
                if seen % every == 0 {
                    pipeline::take(&mut shards, 0, 1, &part);
                    part.frames.clear();
                    merge(shards.iter_mut().map(|shard| shard.drain(frame.at)).collect());
                }
            }
            pipeline::take(&mut shards, 0, 1, &part);
        }
        merge(shards.iter_mut().map(|shard| shard.drain(Timestamp::MAX)).collect());
        merge(shards.into_iter().map(Shard::finish).collect());
        (world, captures)
    }

    /// What it shows at the end.
    fn watched(every: usize) -> String {
        let (world, captures) = watch(every, POLICY, |_, _| {});
        serde_json::to_string_pretty(&world.analysis.view(&captures.summaries(), &[])).unwrap()
    }

    #[test]
    fn draining_now_and_then_adds_up_to_the_whole() {
        let whole = watched(usize::MAX);
        assert!(whole.contains("\"violation\""), "there is something to see");
        for every in [1000, 97, 7] {
            let parts = watched(every);
            let differs = whole.lines().zip(parts.lines()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "drained after every {every} frames");
            assert_eq!(whole.len(), parts.len());
        }
    }

    /// What a device is shows in what it does: its earlier conversations are judged again then.
    #[test]
    fn a_merge_says_which_judgements_it_changed() {
        let (mut before, mut again) = (BTreeMap::new(), 0);
        watch(20, ROLES, |world, changed| {
            let flows = &world.analysis.observed.flows;
            let of = |flow: &crate::flow::Flow| {
                let entries = &flow.judged;
                entries.iter().map(|entry| (entry.judgement().verdict, entry.setting.zones())).collect::<Vec<_>>()
            };
            let now: BTreeMap<FlowKey, _> = flows.iter().map(|flow| (flow.key, of(flow))).collect();
            let differs = now.iter().filter(|(key, judged)| before.get(*key) != Some(*judged));
            for (key, _) in differs {
                assert!(changed.flows.contains(key), "{key:?}");
            }
            again += world.analysis.judged_again.len();
            before = now;
        });
        assert!(again > 0, "some flow is judged again");
    }

    #[test]
    fn what_is_told_again_is_what_is_told_anew() {
        let mut flushes = 0_usize;
        for (every, policy) in [(300, POLICY), (60, ROLES)] {
            let mut before = crate::output::Told::default();
            watch(every, policy, |world, _| {
                flushes += 1;
                let [anew, again] = [
                    world.analysis.tell(&world.captures),
                    world.analysis.tell_again(&world.captures, std::mem::take(&mut before), true, &|| true).unwrap(),
                ];
                let json = |told: &crate::output::Told| serde_json::to_string_pretty(told.findings()).unwrap();
                let (one, other) = (json(&again), json(&anew));
                let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
                assert_eq!(differs, None, "flush {flushes}");
                assert_eq!(one.len(), other.len());
                let ids = |told: &crate::output::Told| -> Vec<_> {
                    told.flows(&world.analysis).map(|flow| (flow.id, flow.findings)).collect()
                };
                assert_eq!(ids(&again), ids(&anew));
                before = again;
                // Whoever tells of them adds to them.
                before.cite(|_| Ok("file.pcapng".to_owned()));
            });
        }
        assert!(flushes > 9);
    }

    #[test]
    fn what_was_not_seen_for_long_is_forgotten() {
        let mut captures = Captures::stream("plant.pcap", Box::new(CAPTURE)).unwrap();
        let mut world = World::read(&mut captures, Options::default());
        let (first, last) = (captures.summaries()[0].first.unwrap(), captures.summaries()[0].last.unwrap());
        let mut known = |before: Timestamp| {
            world.forget(before);
            world.merge(Vec::new());
            (world.analysis.observed.flows.len(), world.analysis.inventory.assets.len())
        };
        let all = known(first);
        let some = known(last.before(std::time::Duration::from_secs(10)));
        assert!(0 < some.0 && some.0 < all.0 && 0 < some.1 && some.1 < all.1, "{some:?} of {all:?}");
        assert_eq!(known(Timestamp::MAX), (0, 0));
    }

    #[test]
    fn another_policy_judges_what_is_known_anew() {
        let findings = |world: &World, captures: &[CaptureSummary]| -> BTreeSet<String> {
            let told = world.analysis.tell(captures);
            let undeclared = told.findings().iter().filter(|finding| finding.kind == "violation");
            undeclared.map(|finding| finding.id.clone()).collect()
        };
        let policy = |text: &str| Some(Arc::new(Policy::parse("plant.toml", text).unwrap()));
        let mut world = World::new(Options { policy: policy(POLICY), ..Options::default() });
        let mut captures = Captures::stream("plant.pcap", Box::new(CAPTURE)).unwrap();
        let options = Options { policy: policy(POLICY), ..Options::default() };
        world.analysis = analysis::run(&mut captures, |c, b| c.fill(b), &options);
        let captures = captures.summaries();
        let before = findings(&world, &captures);
        world.judge_by(policy(POLICY));
        assert_eq!(findings(&world, &captures), before, "the same policy says the same");

        let office = "\n[[conduit]]\nid = \"C-900\"\nfrom = [\"enterprise\"]\nto = [\"cell-b\"]\nowner = \"Operations\"\n\
                      allow = [{ protocol = \"modbus\", ops = [\"all\"] }]\n";
        world.judge_by(policy(&format!("{POLICY}{office}")));
        let after = findings(&world, &captures);
        assert!(after.len() < before.len() && after.is_subset(&before), "{after:?} of {before:?}");
        world.judge_by(None);
        assert_eq!(findings(&world, &captures).len(), 0);
    }
}
