//! The contract with the outside: what `analysis.json`, the API and every other machine-readable output look like.
//!
//! Inner types are not `Serialize`; they are converted here, by hand, so that a change inside cannot change what other
//! people parse. Keys stand in the order of the contract. A change of meaning needs a new [`SCHEMA`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::escape::terminal;

/// The version of everything below.
pub const SCHEMA: &str = "zonewatch/1";

/// The whole analysis.
#[derive(Debug, Serialize, Deserialize)]
pub struct AnalysisView {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What made it.
    pub tool: ToolView,
    /// What was declared; `null` without a policy.
    pub policy: Option<PolicyView>,
    /// What was read, ordered by the time of the first frame.
    pub captures: Vec<CaptureView>,
    /// What happened to frames.
    pub coverage: CoverageView,
    /// Devices, ordered by id.
    pub assets: Vec<AssetView>,
    /// Conversations, ordered by id.
    pub flows: Vec<FlowView>,
    /// What is not as declared, ordered by id.
    pub findings: Vec<FindingView>,
    /// Declared zones, ordered by id.
    pub zones: Vec<ZoneView>,
    /// Declared conduits, ordered by id, with their use.
    pub conduits: Vec<ConduitView>,
}

impl AnalysisView {
    /// Reads what another run wrote: `analysis.json`, or a sensor's snapshot. The words of the contract are static, so the
    /// text is kept until the process ends: this is for commands, which read one or two.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: String) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: Option<String>,
        }
        let head: Head = serde_json::from_str(&text).map_err(|error| format!("it is no analysis: {error}"))?;
        match head.schema.as_deref() {
            Some(SCHEMA) => {}
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                return Err(format!("its schema is \"{}\", not \"{SCHEMA}\"", terminal(&other)));
            }
            None => return Err("it is no analysis: it has no schema".to_owned()),
        }
        serde_json::from_str(Box::leak(text.into_boxed_str()))
            .map_err(|error| format!("it is of another version: {error}"))
    }
}

impl FindingView {
    /// Reads one finding, as [`AnalysisView::read`] does.
    #[must_use]
    pub fn read(text: String) -> Option<Self> {
        serde_json::from_str(Box::leak(text.into_boxed_str())).ok()
    }

    /// The frames that are to be kept of it: one of these, the best first; and the others too when it is concluded from all
    /// of them. What operations show the first of them shows as well as the next. What is concluded is so by the last.
    #[must_use]
    pub fn cited(&self) -> (Vec<crate::ledger::Evidence>, bool) {
        let samples = self.samples.iter().map(|sample| sample.at);
        if self.operation.is_some() { (samples.collect(), false) } else { (samples.rev().collect(), true) }
    }
}

/// The program.
#[derive(Debug, Serialize, Deserialize)]
pub struct ToolView {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// The policy in force.
#[derive(Debug, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its files as named on the command line.
    pub files: Vec<String>,
    /// SHA-256 over them.
    pub sha256: String,
    /// The site's id.
    pub site: String,
}

/// One capture.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct CaptureView {
    pub name: String,
    pub sha256: String,
    pub format: &'static str,
    pub compression: &'static str,
    pub link_types: Vec<u16>,
    pub frames: u64,
    pub bytes: u64,
    pub first: Option<String>,
    pub last: Option<String>,
    pub damage: Option<String>,
    /// Set when most TCP conversations were seen one way alone: the mirror lacks the other direction.
    pub one_way: Option<OneWayView>,
}

/// TCP conversations with payload.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct OneWayView {
    pub one_way: u64,
    pub both_ways: u64,
}

impl std::fmt::Display for OneWayView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { one_way, both_ways } = self;
        let all = one_way + both_ways;
        write!(
            f,
            "one direction only of {one_way} of {all} TCP conversations was seen: does the mirror port mirror both?"
        )
    }
}

/// What happened to frames.
#[derive(Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct CoverageView {
    pub frames: u64,
    pub bytes: u64,
    pub decoded: u64,
    #[serde(borrow)]
    pub not_decoded: BTreeMap<&'static str, u64>,
    pub duplicates: u64,
    pub fragments: u64,
    pub truncated: u64,
    pub protocols: BTreeMap<&'static str, ProtocolCoverageView>,
    pub limits_hit: BTreeMap<&'static str, u64>,
    /// Frames of flows that were forgotten at a limit.
    pub frames_of_no_flow: u64,
    /// Dissector failures, each of which cost the rest of one connection: bugs.
    pub dissector_failures: u64,
}

/// What was read of one protocol.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct ProtocolCoverageView {
    pub pdus: u64,
    pub bytes: u64,
    pub skipped_bytes: u64,
    pub anomalies: u64,
    pub opaque: u64,
    pub messages: BTreeMap<String, u64>,
}

/// One device.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(
    deserialize = "RoleView: Deserialize<'de>, Option<LevelView>: Deserialize<'de>, Vec<SpeaksView>: Deserialize<'de>, Vec<ComponentView>: Deserialize<'de>, Vec<FactView>: Deserialize<'de>"
))]
#[allow(missing_docs)] // The contract says what each is.
pub struct AssetView {
    pub id: String,
    pub name: String,
    pub ips: Vec<String>,
    pub macs: Vec<String>,
    pub vlans: Vec<u16>,
    pub realm: String,
    pub hostnames: Vec<String>,
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub model: Option<String>,
    pub firmware: Option<String>,
    pub serial: Option<String>,
    pub mac_vendor: Option<String>,
    pub role: RoleView,
    pub level: Option<LevelView>,
    pub zone: Option<String>,
    pub approved: Option<bool>,
    pub protocols: Vec<SpeaksView>,
    pub components: Vec<ComponentView>,
    pub first_seen: String,
    pub last_seen: String,
    pub frames_sent: u64,
    pub bytes_sent: u64,
    pub facts: Vec<FactView>,
}

/// What a device is for.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoleView {
    /// The role; `null` when nothing is likely enough.
    #[serde(borrow)]
    pub value: Option<&'static str>,
    /// Its probability.
    pub confidence: f64,
    /// What else it may be, and why, the likeliest first.
    pub candidates: Vec<CandidateView>,
}

/// A role with its reasons.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct CandidateView {
    pub value: &'static str,
    pub confidence: f64,
    pub reasons: Vec<String>,
}

/// A Purdue level.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct LevelView {
    pub value: f64,
    pub source: &'static str,
}

/// A protocol that a device speaks.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct SpeaksView {
    pub name: &'static str,
    pub side: &'static str,
    pub ports: Vec<u16>,
}

/// A part of a device.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct ComponentView {
    pub id: String,
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub model: Option<String>,
    pub firmware: Option<String>,
    pub serial: Option<String>,
    #[serde(borrow)]
    pub role: Option<&'static str>,
}

/// Something known, and the frames that show it.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct FactView {
    pub attribute: &'static str,
    pub value: String,
    pub component: Option<String>,
    /// The address that it was learned at, for a device with several.
    pub address: String,
    pub protocol: &'static str,
    pub method: &'static str,
    pub confidence: f64,
    pub count: u64,
    pub first: EvidenceView,
    pub last: EvidenceView,
}

/// A frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct EvidenceView {
    pub capture: String,
    pub frame: u64,
    pub time: String,
}

/// A conversation.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct FlowView {
    pub id: String,
    pub client: FlowEndView,
    pub server: FlowServerView,
    pub transport: String,
    /// What the payload was found to be; `null` when no dissector knows it.
    pub protocol: Option<&'static str>,
    /// The protocol whose port this is, when the payload is something else.
    pub not_protocol: Option<&'static str>,
    /// The usual service of the port: a name, not a finding.
    pub service: Option<&'static str>,
    pub vlans: Vec<u16>,
    pub initiator: &'static str,
    pub connections: u64,
    pub frames_to_server: u64,
    pub frames_to_client: u64,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    /// Copies that a mirror made, which the counts above leave out.
    pub copies: CopiesView,
    pub first_seen: String,
    pub last_seen: String,
    pub operations: Vec<OperationView>,
    pub security: Option<SecurityView>,
    /// Out-of-spec events by kind.
    pub anomalies: Vec<AnomalyView>,
    pub verdict: Option<&'static str>,
    pub rule: Option<String>,
    /// What to know of its judgements besides: `operations-hidden`, `boundary-not-checkable`.
    pub qualifiers: Vec<&'static str>,
    /// Findings that this flow is part of.
    pub findings: Vec<String>,
}

/// Mirror copies of a flow's frames.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct CopiesView {
    pub frames_to_server: u64,
    pub frames_to_client: u64,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
}

/// The asking end of a flow.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct FlowEndView {
    pub asset: Option<String>,
    pub ip: Option<String>,
    pub mac: Option<String>,
    pub zone: Option<String>,
}

/// The answering end of a flow.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct FlowServerView {
    #[serde(flatten)]
    pub end: FlowEndView,
    pub port: Option<u16>,
}

/// What was asked.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct OperationView {
    pub code: String,
    pub name: String,
    pub class: &'static str,
    pub component: Option<String>,
    pub objects: Vec<ObjectView>,
    pub requests: u64,
    pub answered: u64,
    pub refused: u64,
    pub first: String,
    pub last: String,
}

/// What it was asked of: a range, or a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)] // The contract says what each is.
pub enum ObjectView {
    Range { space: String, from: u64, to: u64 },
    Name { space: String, name: String },
}

/// How a conversation is protected.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The contract says what each is.
pub struct SecurityView {
    #[serde(borrow)]
    pub mode: Option<&'static str>,
    pub policy: Option<String>,
    pub tokens: Vec<&'static str>,
}

/// Something out of specification.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct AnomalyView {
    pub what: &'static str,
    pub count: u64,
    pub first: EvidenceView,
}

/// Something that is not as declared.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // reports.md, section 7, is the contract of this record.
pub struct FindingView {
    pub id: String,
    pub schema: &'static str,
    pub site: String,
    pub sensor: String,
    pub kind: &'static str,
    pub reason: ReasonView,
    pub verdict: &'static str,
    pub state: &'static str,
    /// Who has seen it; `null` when nobody said so.
    pub acknowledged: Option<AcknowledgedView>,
    pub severity: SeverityView,
    pub time: SpanView,
    pub count: u64,
    pub src: FindingEndView,
    pub dst: FindingEndView,
    pub transport: Option<String>,
    pub port: Option<u16>,
    pub protocol: Option<&'static str>,
    pub operation: Option<FindingOperationView>,
    pub conduit: Option<FindingConduitView>,
    pub qualifiers: Vec<String>,
    pub attack: Vec<AttackView>,
    pub requirements: Vec<RequirementView>,
    pub what: String,
    pub why: String,
    pub do_next: Vec<String>,
    /// Destinations of a campaign, or contradicting values of a conflict.
    pub details: Vec<String>,
    pub samples: Vec<SampleView>,
    /// The file of its frames, in the folder of evidence; none when no frames were kept.
    pub evidence: Option<String>,
    /// Why a sensor that keeps frames has none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_evidence: Option<String>,
    pub policy_hash: Option<String>,
    /// Of the tables behind `attack` and `requirements`.
    pub mapping_version: &'static str,
    pub tool_version: &'static str,
}

/// Somebody has seen a finding.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct AcknowledgedView {
    pub by: String,
    pub at: String,
    pub note: String,
    /// What still happens then is open again; `null`: there is no such time.
    pub until: Option<String>,
}

/// A frame that shows a finding, and the declared tap that saw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct SampleView {
    #[serde(flatten)]
    pub evidence: EvidenceView,
    pub tap: Option<String>,
    /// The same frame, for those who look for it.
    #[serde(skip)]
    pub at: crate::ledger::Evidence,
}

/// Why.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct ReasonView {
    pub code: &'static str,
    pub name: &'static str,
}

/// How bad, and the sum that says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct SeverityView {
    pub score: i32,
    pub band: &'static str,
    pub terms: Vec<TermView>,
}

/// One term of the sum.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct TermView {
    pub term: String,
    pub points: i32,
}

/// From when to when.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct SpanView {
    pub first: String,
    pub last: String,
}

/// One end of a finding.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // reports.md, section 7, is the contract of this record.
pub struct FindingEndView {
    pub asset: Option<String>,
    pub zone: Option<String>,
    pub ip: Option<String>,
    pub mac: Option<String>,
    #[serde(borrow)]
    pub role: Option<&'static str>,
    pub name: Option<String>,
    pub level: Option<f64>,
    pub confidence: f64,
}

/// What was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // reports.md, section 7, is the contract of this record.
pub struct FindingOperationView {
    pub class: &'static str,
    pub codes: Vec<CodeView>,
    pub objects: Vec<ObjectView>,
    pub outcome: OutcomeView,
    /// Who was logged in, where that is told in clear.
    pub user: Option<String>,
}

/// An operation code with its number of requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct CodeView {
    pub code: String,
    pub name: String,
    pub count: u64,
}

/// What came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct OutcomeView {
    pub answered: u64,
    pub refused: u64,
    pub not_answered: u64,
}

/// The rule that came nearest, and where it failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct FindingConduitView {
    pub id: String,
    #[serde(borrow)]
    pub stage: Option<&'static str>,
    /// What it allows, or why it does not hold, in half a sentence.
    pub detail: String,
}

/// An ATT&CK for ICS technique.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct AttackView {
    pub id: String,
    pub version: &'static str,
    pub name: Option<&'static str>,
}

/// A requirement of a standard that this is evidence on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct RequirementView {
    pub std: &'static str,
    pub id: String,
    pub edition: &'static str,
    /// What passive evidence can say of it, by [`crate::policy::evidence_class`].
    pub evidence_class: Option<&'static str>,
}

/// A declared zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct ZoneView {
    pub id: String,
    pub name: Option<String>,
    pub parent: Option<String>,
    pub kind: Option<String>,
    pub level: Option<f64>,
    pub safety: bool,
    pub assets: Vec<String>,
}

/// A declared conduit, with its use.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "UseView: Deserialize<'de>"))]
#[allow(missing_docs)] // The names are the documentation.
pub struct ConduitView {
    pub id: String,
    pub name: Option<String>,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub owner: Option<String>,
    #[serde(rename = "use")]
    pub used: UseView,
}

/// How a conduit was used.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct UseView {
    pub first: Option<String>,
    pub last: Option<String>,
    pub sessions: u64,
    pub operations: u64,
    #[serde(borrow)]
    pub verdicts: BTreeMap<&'static str, u64>,
}
