//! Findings about the declaration itself, as the contract has them.

use super::convert::{Teller, VERSION};
use super::findings::severity_of;
use super::view::{FindingConduitView, FindingEndView, FindingView, ReasonView, SCHEMA, SampleView, SpanView};
use crate::flow::entry::Entry;
use crate::ledger::Evidence;
use crate::policy::declaration::{Declaration, Kind, last_heard};
use crate::policy::review::Watched;
use crate::policy::{Policy, Statement, mapping_version};

impl Teller<'_> {
    /// One finding each. They have no ends and, but for a silence, no frames: what is wrong stands in a file.
    pub(super) fn declarations(&self) -> Vec<FindingView> {
        let Some(policy) = self.analysis.policy.as_deref() else { return Vec::new() };
        let Some(watched) = self.analysis.watched_for_declarations() else { return Vec::new() };
        let Watched { first, last, .. } = &watched;
        let end = || FindingEndView {
            asset: None,
            zone: None,
            ip: None,
            mac: None,
            role: None,
            name: None,
            level: None,
            confidence: 1.0,
        };
        let view = |(found, samples): (Declaration, Vec<SampleView>)| FindingView {
            id: found.id(&policy.site),
            schema: SCHEMA,
            site: policy.site.clone(),
            sensor: String::new(),
            kind: "declaration",
            reason: ReasonView { code: found.kind.code(), name: found.kind.name() },
            verdict: "review",
            state: "open",
            acknowledged: None,
            severity: severity_of(Some(policy), found.kind.name(), found.kind.score()),
            time: SpanView { first: first.to_string(), last: last.to_string() },
            count: 1,
            src: end(),
            dst: end(),
            transport: None,
            port: None,
            protocol: None,
            operation: None,
            conduit: found.is_rule.then(|| FindingConduitView {
                id: found.subject.clone(),
                stage: None,
                detail: policy
                    .rules
                    .iter()
                    .find(|rule| rule.id == found.subject)
                    .map(|rule| policy.rights(rule))
                    .unwrap_or_default(),
            }),
            qualifiers: Vec::new(),
            attack: Vec::new(),
            requirements: Vec::new(),
            why: format!("{} ({}).", found.kind.code(), found.kind.name()),
            what: found.what,
            do_next: found.do_next,
            details: found.at.map(|at| policy.place(at).to_string()).into_iter().collect(),
            samples,
            evidence: None,
            no_evidence: None,
            policy_hash: Some(policy.sha256.clone()),
            mapping_version: mapping_version(),
            tool_version: VERSION,
        };
        let with_samples = |found: Declaration| {
            let samples = self.samples(self.last_heard(policy, &watched, &found).as_slice());
            (found, samples)
        };
        self.analysis.declarations(&watched).into_iter().map(with_samples).map(view).collect()
    }

    /// The last frame of a conduit that fell silent, as far as its flows still know it.
    fn last_heard(&self, policy: &Policy, watched: &Watched, found: &Declaration) -> Option<Evidence> {
        let heard = (found.kind == Kind::Silent).then(|| last_heard(policy, watched, &found.subject)).flatten()?;
        let is_of = |entry: &&Entry| match entry.judgement().statement {
            Some(Statement::Rule(number)) => {
                policy.rules.get(number as usize).is_some_and(|rule| rule.id == found.subject)
            }
            _ => false,
        };
        let flows = self.analysis.observed.flows.iter();
        let frames = flows.flat_map(|flow| {
            let of_rule = flow.judged.iter().filter(is_of);
            of_rule.flat_map(|entry| [entry.tally.last, flow.last()])
        });
        frames.filter(|frame| frame.at <= heard).max()
    }
}
