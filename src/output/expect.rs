//! What the author of a policy expects of a capture: flows with their verdict, and what the rest may be.

use serde::Deserialize;

use super::junit::Tested;
use super::view::{AnalysisView, FlowView};
use crate::policy::Verdict;

/// An expectation, as `capture.expect.json` has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    #[serde(default)]
    flows: Vec<Expected>,
    /// The verdicts that flows which are not listed may have. Absent: any.
    rest: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    client: String,
    server: String,
    port: Option<u16>,
    transport: Option<String>,
    verdict: String,
    rule: Option<String>,
}

impl Expectation {
    /// Reads one.
    ///
    /// # Errors
    /// What in it says nothing.
    pub fn read(text: &str) -> Result<Self, String> {
        let expectation: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let flows = expectation.flows.iter().map(|flow| &flow.verdict);
        for word in flows.chain(expectation.rest.iter().flatten()) {
            if !Verdict::ALL.iter().any(|verdict| verdict.text() == word) {
                let known = Verdict::ALL.map(Verdict::text).join(", ");
                return Err(format!("there is no verdict \"{word}\": {known}"));
            }
        }
        Ok(expectation)
    }

    /// Compares it with an analysis by the policy.
    #[must_use]
    pub fn compare(&self, analysis: &AnalysisView) -> Vec<Tested> {
        let mut results: Vec<Tested> = self.flows.iter().map(|expected| expected.compare(&analysis.flows)).collect();
        if let Some(rest) = &self.rest {
            let listed = |flow: &FlowView| self.flows.iter().any(|expected| expected.is(flow));
            let other = |flow: &&FlowView| flow.verdict.is_some_and(|verdict| !rest.iter().any(|word| word == verdict));
            let differences = analysis.flows.iter().filter(|flow| !listed(flow)).filter(other).map(told).collect();
            results.push(Tested { name: format!("all other flows are {}", rest.join(" or ")), differences });
        }
        results
    }
}

impl Expected {
    fn is(&self, flow: &FlowView) -> bool {
        let end = |ip: &Option<String>, mac: &Option<String>, asset: &Option<String>, word: &str| {
            [ip, mac, asset].into_iter().any(|name| name.as_deref() == Some(word))
        };
        let (client, server) = (&flow.client, &flow.server.end);
        end(&client.ip, &client.mac, &client.asset, &self.client)
            && end(&server.ip, &server.mac, &server.asset, &self.server)
            && self.port.is_none_or(|port| flow.server.port == Some(port))
            && self.transport.as_ref().is_none_or(|transport| flow.transport == *transport)
    }

    fn compare(&self, flows: &[FlowView]) -> Tested {
        let port = self.port.map(|port| format!(" port {port}")).unwrap_or_default();
        let name = format!("{} -> {}{port} is {}", self.client, self.server, self.verdict);
        let mut matching = flows.iter().filter(|flow| self.is(flow)).peekable();
        if matching.peek().is_none() {
            return Tested { name, differences: vec!["there is no such flow".to_owned()] };
        }
        let wrong = |flow: &&FlowView| {
            flow.verdict != Some(self.verdict.as_str())
                || self.rule.as_ref().is_some_and(|rule| flow.rule.as_ref() != Some(rule))
        };
        Tested { name, differences: matching.filter(wrong).map(told).collect() }
    }
}

/// A flow with its verdict, in a line.
pub(crate) fn told(flow: &FlowView) -> String {
    let rule = flow.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
    format!("{} is {}{rule}", flow_name(flow), flow.verdict.unwrap_or("not judged"))
}

/// `10.60.0.10 -> 10.20.2.10 tcp/502 modbus`.
pub(crate) fn flow_name(flow: &FlowView) -> String {
    let end = |ip: &Option<String>, mac: &Option<String>| ip.clone().or_else(|| mac.clone()).unwrap_or_default();
    let (client, server) = (&flow.client, &flow.server.end);
    let port = flow.server.port.map(|port| format!("/{port}")).unwrap_or_default();
    let protocol = flow.protocol.or(flow.service).map(|name| format!(" {name}")).unwrap_or_default();
    format!("{} -> {} {}{port}{protocol}", end(&client.ip, &client.mac), end(&server.ip, &server.mac), flow.transport)
}
