//! Why the policy says what it says of a question: every stage of the evaluation in words, in the order of asking.
//!
//! Nothing is decided here. The stages are asked of the evaluation itself, so that the two cannot differ.

use std::fmt::Write as _;

use super::conversation::{Cast, Conversation, Without};
use super::diagnostic::Span;
use super::judge::{Asked, Request, Statement};
use super::membership::Selector;
use super::model::{Allow, Minimum, Policy, Rule, ZoneId};
use super::question::{self, Answer, Question};
use super::side::{Reach, Side};
use super::verdict::{Qualifiers, Stage, Verdict};
use crate::address::Address;
use crate::time::Timestamp;

/// One stage, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// What came of it, a line each.
    pub says: Vec<String>,
}

impl Step {
    fn new(name: &'static str, says: impl Into<Vec<String>>) -> Self {
        Self { name, says: says.into() }
    }

    fn one(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, says: vec![says.into()] }
    }
}

/// Rules that cover only one side and are named as a hint.
const NEAR: usize = 5;

impl Policy {
    /// The sides, every stage, and the verdict with its reason and score.
    #[must_use]
    pub fn trace(&self, question: &Question) -> Vec<Step> {
        let conversation = question.conversation(self);
        let protocol = question.protocol.as_deref().unwrap_or("no known protocol");
        let port = if question.port > 0 { format!("/{}", question.port) } else { String::new() };
        let mut steps = vec![
            Step::one(
                "flow",
                format!(
                    "{} -> {}, {protocol} over {}{port}, {}",
                    question.client,
                    question.server,
                    question.transport,
                    self.local_time(question.at)
                ),
            ),
            Step::new("source", self.side_text(&conversation.client, question.client)),
            Step::new("destination", self.side_text(&conversation.server, question.server)),
        ];
        let several = question.operations.len() > 1;
        let operations: Vec<Option<&question::Asked>> =
            if question.operations.is_empty() { vec![None] } else { question.operations.iter().map(Some).collect() };
        for operation in operations {
            let text = operation
                .map_or_else(|| "none given: judged as the flow itself".to_owned(), |operation| operation.to_string());
            steps.push(Step::one("operation", text));
            let answer = question.judge(self, operation);
            question.request(operation, |request| self.stages(&conversation, request, &mut steps));
            steps.push(Step::new("verdict", self.verdict_text(&answer)));
        }
        if several {
            steps.push(Step::new("of the flow", self.verdict_text(&question.answer(self))));
        }
        steps
    }

    fn stages(&self, conversation: &Conversation, request: &Request<'_>, steps: &mut Vec<Step>) {
        let asked = conversation.asked(self, request);
        let asked = &asked;
        if let Some(number) = conversation.ignored(self, asked) {
            let id = self.reference(Statement::Ignore(number));
            return steps.push(Step::one("1 ignore", format!("{id} matches: nothing else is asked")));
        }
        steps.push(Step::one("1 ignore", "nothing tells to ignore it"));
        steps.push(Step::one(
            "2 multicast",
            match conversation.cast {
                Cast::Unicast => "to one host: not asked".to_owned(),
                Cast::Multicast | Cast::Broadcast => {
                    format!("to many, seen in zone \"{}\"", self.zone(conversation.destination).id)
                }
            },
        ));
        let denies: Vec<String> = conversation
            .denies
            .iter()
            .map(|number| {
                let speaks = conversation.matches_deny(self, *number, asked);
                let says = if speaks { "forbids this" } else { "covers both ends, but not this protocol or operation" };
                let reason = self.deny_reason(Statement::Deny(*number)).filter(|_| speaks);
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("{} {says}{reason}", self.reference(Statement::Deny(*number)))
            })
            .collect();
        steps.push(if denies.is_empty() {
            Step::one("3 deny", "no deny covers both ends")
        } else {
            Step::new("3 deny", denies)
        });
        let (from, to) = conversation.zones();
        let reserved = [self.external(), self.unknown()].contains(&from);
        if from == to && !reserved {
            steps.push(Step::new("4 inside", self.inside_text(conversation, from, asked)));
            return;
        }
        steps.push(Step::one(
            "4 inside",
            if reserved && from == to { "no zone claims the two" } else { "the zones differ: not asked" },
        ));
        if conversation.candidates.is_empty() {
            steps.push(Step::new("5 rules", self.no_rules_text(conversation)));
            steps.push(Step::one("6 default", self.without_text(conversation)));
            return;
        }
        let mut says = Vec::new();
        for (number, rule) in
            conversation.candidates.iter().filter_map(|(number, _)| Some((*number, self.rule(*number)?)))
        {
            says.push(format!("{} covers both ends: {}", self.rule_text(rule), ends_text(rule)));
            for allow in &rule.allow {
                let result = conversation.try_table(self, Statement::Rule(number), allow, asked);
                says.push(self.table_text(rule, allow, asked, result));
            }
        }
        steps.push(Step::new("5 rules", says));
    }

    fn side_text(&self, side: &Side, asked: Address) -> Vec<String> {
        let mut text = String::new();
        if let Some(asset) = side.asset.and_then(|asset| self.asset(asset)) {
            let _ = write!(text, "{} ({}), ", asset.id, asset.name);
        }
        let zone = self.zone(side.zone);
        let _ = write!(text, "{} is in zone \"{}\"", side.address, zone.id);
        let _ = match (side.by, side.at) {
            (Selector::None, _) if self.asks_identity() => {
                let what = "a name, a serial number, a station, a maker or a role";
                write!(text, ": no zone claims its address; whether one claims {what} of it, only traffic tells")
            }
            (Selector::None, _) => write!(text, ": no zone claims it, and the address decides"),
            (by, at) => write!(text, ", by {}{}", by.text(), self.place_text(at)),
        };
        let mut lines = vec![text];
        if side.address != asked {
            lines.push(format!("{asked} stands for {} ([[nat]] or represents)", side.address));
        }
        let mut more = vec![format!("SL-T {} for restricted data flow", zone.sl_t.rdf())];
        if let Some(level) = zone.level {
            more.push(format!("level {}", f64::from(level) / 10.0));
        }
        let around: Vec<&str> = zone.chain.iter().skip(1).map(|zone| self.zone(*zone).id.as_str()).collect();
        if !around.is_empty() {
            more.push(format!("in {}", around.join(", in ")));
        }
        for (is, word) in [(zone.safety, "safety"), (zone.untrusted, "untrusted")] {
            if is {
                more.push(word.to_owned());
            }
        }
        lines.push(more.join(", "));
        lines
    }

    /// The line of a policy that says so.
    fn place_text(&self, at: Option<Span>) -> String {
        let Some(at) = at else { return String::new() };
        let source = self.sources.get(usize::from(at.file));
        let quoted = source.and_then(|source| source.text.get(at.start as usize..at.end as usize));
        let quoted = quoted.filter(|text| !text.contains('\n')).map(|text| format!(": {text}")).unwrap_or_default();
        format!(", {}{quoted}", self.place(at))
    }

    fn rule_text(&self, rule: &Rule) -> String {
        let kind = if rule.exception { "exception" } else { "conduit" };
        let name = if rule.name == rule.id { String::new() } else { format!(" \"{}\"", rule.name) };
        format!("{kind} {}{name} ({})", rule.id, self.place(rule.at))
    }

    fn inside_text(&self, conversation: &Conversation, zone: ZoneId, asked: &Asked<'_>) -> Vec<String> {
        let rules = &self.zone(zone).inside;
        let mut says =
            vec![format!("both ends are in \"{}\": its inside list is asked, not the conduits", self.zone(zone).id)];
        for allow in &rules.deny {
            let result = conversation.try_allow(self, allow, asked);
            says.push(format!("  denied: {}", self.listed_text(allow, result)));
        }
        for allow in &rules.allow {
            let result = conversation.try_table(self, Statement::Inside(zone), allow, asked);
            says.push(format!("  allowed: {}", self.listed_text(allow, result)));
        }
        let default = rules.default.unwrap_or(self.defaults.intra_zone);
        says.push(format!("  the rest: {}", default.text()));
        says
    }

    fn listed_text(&self, allow: &Allow, result: Result<Qualifiers, Stage>) -> String {
        let described = allow.described(&self.protocols);
        match result {
            Ok(_) => format!("{described}: this is it"),
            Err(Stage::Security) => format!("{described}: {}", asked_security(allow)),
            Err(Stage::Rate) => format!("{described}: faster than it allows"),
            Err(stage) => format!("{described}: another {}", stage.text()),
        }
    }

    /// Which rules come near: those that cover one of the two ends.
    fn no_rules_text(&self, conversation: &Conversation) -> Vec<String> {
        let mut says = vec!["no conduit or exception covers both ends in this direction".to_owned()];
        let (client, server) = (&conversation.client, &conversation.server);
        let near = self.rules.iter().filter_map(|rule| {
            let reach = if rule.exact { Reach::Exact } else { Reach::Grant };
            let one = (self.covers(&rule.from, client, reach) > 1, self.covers(&rule.to, server, reach) > 1);
            let other = match one {
                (true, false) => format!("leads to {}", rule.to_words.join(", ")),
                (false, true) => format!("comes from {}", rule.from_words.join(", ")),
                _ => return None,
            };
            Some(format!("  {} {other}", self.rule_text(rule)))
        });
        let near: Vec<String> = near.collect();
        says.extend(near.iter().take(NEAR).cloned());
        if near.len() > NEAR {
            says.push(format!("  and {} more cover one end", near.len() - NEAR));
        }
        says
    }

    fn without_text(&self, conversation: &Conversation) -> String {
        let of = |number: u32| self.rule(number).map_or_else(String::new, |rule| self.rule_text(rule));
        match conversation.without {
            Without::External => {
                format!("an end is external: defaults.external = \"{}\"", self.defaults.external.text())
            }
            Without::Unzoned => {
                format!("no zone claims an end: defaults.unzoned = \"{}\"", self.defaults.unzoned.text())
            }
            Without::Reverse(number) => format!("{} lets the other side open", of(number)),
            Without::Near(number) => format!("{} joins these zones, for other assets", of(number)),
            Without::Nothing => {
                format!("nothing joins the two: defaults.inter_zone = \"{}\"", self.defaults.inter_zone.text())
            }
        }
    }

    fn table_text(&self, rule: &Rule, allow: &Allow, asked: &Asked<'_>, result: Result<Qualifiers, Stage>) -> String {
        let described = allow.described(&self.protocols);
        match result {
            Ok(qualifiers) => {
                let words: Vec<&str> = qualifiers.iter().map(|qualifier| qualifier.text()).collect();
                let words = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
                format!("  {described}: passes{words}")
            }
            Err(stage) => {
                format!("  {described}: fails at {}: {}", stage.text(), self.failed(stage, rule, allow, asked))
            }
        }
    }

    fn failed(&self, stage: Stage, rule: &Rule, allow: &Allow, asked: &Asked<'_>) -> String {
        let request = asked.request;
        match stage {
            Stage::Protocol if allow.vlan.is_some() || allow.dscp.is_some() => {
                "another protocol, port, VLAN or DSCP".to_owned()
            }
            Stage::Protocol => "another protocol or port".to_owned(),
            Stage::Mismatch => "the port is not one of this protocol's".to_owned(),
            Stage::Operation if request.code.is_empty() && allow.codes.is_some() => {
                format!("it lists functions: ask by a function instead of {}", asked.class.text())
            }
            Stage::Operation if request.code.is_empty() => format!("{} is not listed", asked.class.text()),
            Stage::Operation => format!("function {} ({}) is not listed", request.code, asked.class.text()),
            Stage::Object => "the unit or an object lies outside".to_owned(),
            Stage::Validity => {
                let date = |at: Option<Timestamp>, word: &str| at.map(|at| format!("{word} {}", self.clock(at)));
                let dates = [date(rule.schedule.from, "from"), date(rule.schedule.until, "until")];
                format!("it holds {}", dates.into_iter().flatten().collect::<Vec<_>>().join(" "))
            }
            Stage::Window => {
                let windows: Vec<String> = rule.schedule.windows.iter().map(ToString::to_string).collect();
                format!("it is open {}", windows.join(" and "))
            }
            Stage::Security => asked_security(allow),
            Stage::Rate => "faster than it allows".to_owned(),
            Stage::Boundary => {
                let devices = rule.via.iter().filter_map(|device| self.asset(*device)).map(|device| device.id.as_str());
                format!("it did not pass {}", devices.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn verdict_text(&self, answer: &Answer) -> Vec<String> {
        let judgement = &answer.judgement;
        let by = judgement.statement.map(|statement| format!(" by {}", self.reference(statement))).unwrap_or_default();
        let mut says = vec![match judgement.reason {
            Some(reason) => {
                format!("{}: {} {}{}", judgement.verdict.text(), reason.code(), reason.name(), by.replace(" by", " of"))
            }
            None => format!("{}{by}", judgement.verdict.text()),
        }];
        if let Some(reason) = judgement.reason {
            says.push(format!("because {}", reason.says()));
        }
        let words: Vec<&str> = judgement.qualifiers.iter().map(|qualifier| qualifier.text()).collect();
        if !words.is_empty() {
            says.push(format!("to know besides: {}", words.join(", ")));
        }
        if let Some(score) = &answer.score {
            let terms: Vec<String> = score.terms.iter().map(|(term, points)| format!("{term} {points:+}")).collect();
            says.push(format!("severity {} {}: {}", score.value, score.band.text(), terms.join(", ")));
        }
        if judgement.verdict == Verdict::Review && judgement.reason.is_some() {
            says.push("somebody has to look".to_owned());
        }
        if judgement.valid_until < Timestamp::MAX {
            says.push(format!("the answer may change at {}", self.local_time(judgement.valid_until)));
        }
        says
    }
}

fn asked_security(allow: &Allow) -> String {
    format!("it asks for {}", allow.security.as_ref().map(Minimum::to_string).unwrap_or_default())
}

fn ends_text(rule: &Rule) -> String {
    format!("{} -> {}", rule.from_words.join(", "), rule.to_words.join(", "))
}

/// What is asked for, in the words of the policy.
impl std::fmt::Display for Minimum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.mode.map(|mode| question::mode_text(mode).to_owned()));
        parts.extend(self.policies.as_ref().map(|list| list.join(" or ")));
        parts.extend(
            self.tokens
                .as_ref()
                .map(|list| list.iter().map(|token| question::token_text(*token)).collect::<Vec<_>>().join(" or ")),
        );
        parts.extend(self.version.as_ref().map(|version| format!("version {version} or later")));
        parts.extend(self.auth.then(|| "a user who is known".to_owned()));
        f.write_str(&parts.join(", "))
    }
}
