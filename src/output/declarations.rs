//! Findings about the declaration itself, as the contract has them.

use super::convert::{Teller, VERSION};
use super::findings::severity_of;
use super::view::{FindingConduitView, FindingEndView, FindingView, ReasonView, SCHEMA, SpanView};
use crate::policy::mapping_version;
use crate::policy::review::Watched;

impl Teller<'_> {
    /// One finding each. They have no ends and no frames: what is wrong stands in a file.
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
        let view = |found: crate::policy::declaration::Declaration| FindingView {
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
            samples: Vec::new(),
            evidence: None,
            policy_hash: Some(policy.sha256.clone()),
            mapping_version: mapping_version(),
            tool_version: VERSION,
        };
        self.analysis.declarations(&watched).into_iter().map(view).collect()
    }
}
