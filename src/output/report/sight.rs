//! Where each conversation was seen, which the lists of an analysis do not tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::flow::docket::tap;
use crate::output::convert::flow_id;
use crate::source::file::CaptureSummary;

/// By the id of the conversation.
pub type Sights = BTreeMap<String, Sight>;

/// What the lists do not tell of one conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The taps, and the captures that belong to none, that saw it.
    pub seen_at: BTreeSet<String>,
    /// Nothing came of it: no answer, a reset, or an ICMP prohibition.
    pub blocked: bool,
}

impl Analysis {
    /// Where its conversations were seen.
    #[must_use]
    pub fn sights(&self, captures: &[CaptureSummary]) -> Sights {
        let policy = self.policy.as_deref();
        let flows = self.observed.flows.iter().map(|flow| {
            let paths = flow.client.ways().chain(flow.server.ways());
            let seen_at = paths.filter_map(|used| {
                let place = usize::from(used.first.capture());
                let named = policy.and_then(|policy| {
                    let by_capture = self.taps.get(place).and_then(|tap| policy.tap_name(*tap));
                    policy.tap_name(tap(policy, &used.path)).or(by_capture)
                });
                named.or_else(|| captures.get(place).map(|capture| capture.name.as_str())).map(str::to_owned)
            });
            (flow_id(flow), Sight { seen_at: seen_at.collect(), blocked: flow.is_blocked() })
        });
        flows.collect()
    }
}
