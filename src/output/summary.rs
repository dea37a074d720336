//! What there is, in numbers: what metrics and the first page show. Made once a flush, so that nobody who asks often
//! makes the sensor count often.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Told;
use super::view::{ConduitView, CoverageView, PolicyView, ZoneView};
use crate::analysis::Analysis;
use crate::flow::timing::{Pair, Timing};
use crate::policy::Verdict;
use crate::time::Timestamp;

/// The numbers of one analysis.
#[derive(Debug, Default)]
pub struct Summary {
    /// As of when.
    pub at: Timestamp,
    /// What is judged by.
    pub policy: Option<PolicyView>,
    /// What happened to frames.
    pub coverage: CoverageView,
    /// Assets by zone and role.
    pub assets: BTreeMap<(String, &'static str), u64>,
    /// Assets by zone that were first seen within [`NEW`].
    pub new_assets: BTreeMap<String, u64>,
    /// Flows by verdict, for each pair of zones: the client's and the server's.
    pub flows: BTreeMap<(String, String), BTreeMap<&'static str, u64>>,
    /// Requested operations by class, for each pair of zones.
    pub operations: BTreeMap<(String, String), BTreeMap<&'static str, u64>>,
    /// Poll intervals and response times, by the client's zone, the server's, and the protocol.
    pub timings: BTreeMap<(String, String, &'static str), Timing>,
    /// Findings by band, code and name of the reason.
    pub findings: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    /// Zones with their assets.
    pub zones: Vec<ZoneView>,
    /// Conduits with their use.
    pub conduits: Vec<ConduitView>,
}

/// For so long an asset is new.
pub const NEW: Duration = Duration::from_secs(86_400);

/// Where there is no zone, no role, or no verdict.
pub const NONE: &str = "none";

/// Pairs of zones that are told apart; the rest is told as [`OTHER`].
const PAIRS: usize = 1024;

/// Beyond the limit.
pub const OTHER: &str = "other";

impl Told {
    /// The numbers of the analysis that this was made from, as of this time.
    #[must_use]
    pub fn summary(&self, analysis: &Analysis, at: Timestamp) -> Summary {
        let teller = self.teller(analysis);
        let zone = |zone: Option<String>| zone.unwrap_or_else(|| NONE.to_owned());
        let mut summary = Summary {
            at,
            policy: teller.policy(),
            coverage: analysis.coverage_view(self),
            zones: teller.zones(),
            conduits: teller.conduits(),
            ..Summary::default()
        };
        for asset in &analysis.inventory.assets {
            let zone = zone(teller.zone_of_asset(asset));
            if at.since(asset.first.at) < NEW {
                *summary.new_assets.entry(zone.clone()).or_default() += 1;
            }
            *summary.assets.entry((zone, asset.role.value.unwrap_or(NONE))).or_default() += 1;
        }
        for flow in &analysis.observed.flows {
            let pair = (zone(teller.zone_of_host(flow.key.client)), zone(teller.zone_of_host(flow.key.server)));
            let verdict = teller.worst(flow).map_or(NONE, |judgement| judgement.verdict.text());
            *entry(&mut summary.flows, &pair).entry(verdict).or_default() += 1;
            for operation in flow.book.operations().iter().filter(|operation| operation.tally.requests > 0) {
                let classes = entry(&mut summary.operations, &pair);
                *classes.entry(operation.key.class.text()).or_default() += operation.tally.requests;
            }
        }
        for (pair, protocol, timing) in analysis.observed.timings.iter() {
            let (from, to) = match pair {
                Pair::Zones(from, to) => (from.as_str(), to.as_str()),
                Pair::None => (NONE, NONE),
                Pair::Other => (OTHER, OTHER),
            };
            summary.timings.insert((from.to_owned(), to.to_owned(), protocol), timing.clone());
        }
        for finding in self.findings() {
            let kind = (finding.severity.band, finding.reason.code, finding.reason.name);
            *summary.findings.entry(kind).or_default() += 1;
        }
        summary
    }
}

impl Summary {
    /// Flows by verdict, every verdict named.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<&'static str, u64> {
        let mut verdicts: BTreeMap<_, _> = Verdict::ALL.iter().map(|verdict| (verdict.text(), 0)).collect();
        verdicts.insert(NONE, 0);
        for (verdict, count) in self.flows.values().flatten() {
            *verdicts.entry(verdict).or_default() += count;
        }
        verdicts
    }
}

/// The place of a pair of zones, or of all that do not fit.
fn entry<'a, T: Default>(pairs: &'a mut BTreeMap<(String, String), T>, pair: &(String, String)) -> &'a mut T {
    let full = pairs.len() >= PAIRS && !pairs.contains_key(pair);
    let pair = if full { (OTHER.to_owned(), OTHER.to_owned()) } else { pair.clone() };
    pairs.entry(pair).or_default()
}
