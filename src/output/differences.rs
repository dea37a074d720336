//! Findings about declared assets whose devices say otherwise.

use super::convert::{Teller, VERSION};
use super::findings::{attack, requirements, severity_of, span};
use super::view::{FindingView, ReasonView, SCHEMA};
use crate::analysis::identity::Difference;
use crate::id;
use crate::policy::{Policy, Reason, mapping_version};

/// The word of such a finding.
const DECLARED: &str = "declared-otherwise";
/// Points of severity: as much as two claims of the network itself that do not go together.
const WEIGHT: i32 = 35;

impl Teller<'_> {
    /// One finding for each asset and attribute.
    pub(super) fn differences(&self) -> Vec<FindingView> {
        let Some(policy) = self.analysis.policy.as_deref() else { return Vec::new() };
        self.analysis.differences().iter().map(|found| self.difference(policy, found)).collect()
    }

    fn difference(&self, policy: &Policy, found: &Difference) -> FindingView {
        let Difference { asset, attribute, declared, observed, protocol, host, component, at } = found;
        let reason = Reason::IdentityConflict;
        let attribute = attribute.0;
        let place = policy.place(*at).to_string();
        let part = component.as_deref().map(|part| format!(" by {part}")).unwrap_or_default();
        let end = || self.finding_end(*host, None, 100);
        FindingView {
            // The same as long as the two disagree, whatever the device will say next.
            id: format!("V-{}", id::base32(&format!("v1\n{}\n{DECLARED}\n{asset}\n{attribute}", policy.site), 16)),
            schema: SCHEMA,
            site: policy.site.clone(),
            sensor: String::new(),
            kind: "inventory",
            reason: ReasonView { code: reason.code(), name: reason.name() },
            verdict: "review",
            state: "open",
            acknowledged: None,
            severity: severity_of(Some(policy), DECLARED, WEIGHT),
            time: span(observed.first.at, observed.last.at),
            count: observed.count,
            src: end(),
            dst: end(),
            transport: None,
            port: None,
            protocol: None,
            operation: None,
            conduit: None,
            qualifiers: vec![DECLARED.to_owned()],
            attack: attack(reason, None),
            requirements: requirements(reason),
            what: format!(
                "{asset} is declared with {attribute} {declared}, and {} was observed at {}{part} ({protocol}, frame {}).",
                observed.value,
                host.address,
                observed.first.frame()
            ),
            why: format!("{} ({}): {}.", reason.code(), reason.name(), reason.says()),
            do_next: vec![
                format!("Look at frame {} and at the nameplate of the device.", observed.first.frame()),
                format!(
                    "If the device was changed, ask who changed it and whether there is a ticket; if there is none, \
                     treat {} as unknown.",
                    host.address
                ),
                format!("If the declaration is old, correct it: in [[asset]] {asset} at {place}."),
            ],
            details: vec![
                format!("declared: {attribute} {declared} at {place}"),
                format!("observed: {attribute} {}: {} times by {protocol}", observed.value, observed.count),
            ],
            samples: self.samples(&[observed.first]),
            evidence: None,
            no_evidence: None,
            policy_hash: Some(policy.sha256.clone()),
            mapping_version: mapping_version(),
            tool_version: VERSION,
        }
    }
}
