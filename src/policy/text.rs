//! The sentences of a finding: what was seen, why it matters here, what to check, and how to declare it if harmless.
//!
//! Names and values may come from the wire: whoever prints these texts escapes them for the terminal or page.

use std::fmt::Write as _;

use dissectors::Class;

use super::judge::Statement;
use super::model::{Policy, Rule, ZoneId};
use super::rate::Peak;
use super::reason::{Reason, class_row};
use super::verdict::{Stage, Verdict};
use super::word::Classes;
use crate::time::Timestamp;

/// One side of a finding as a reader knows it.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Id of the declared asset, else the address: what a policy can name.
    pub id: &'a str,
    /// Name for people.
    pub name: &'a str,
    /// Role, where known.
    pub role: Option<&'a str>,
    /// Its zone.
    pub zone: ZoneId,
}

/// A range of one address space.
#[derive(Clone, Copy, Debug)]
pub struct Touched<'a> {
    /// The space, e.g. `holding`.
    pub space: &'a str,
    /// First and last.
    pub range: (u64, u64),
}

/// What the sentences are made of.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason.
    pub reason: Reason,
    /// What came nearest to allowing it, or forbids it.
    pub statement: Option<Statement>,
    /// Where that failed.
    pub stage: Option<Stage>,
    /// Who acted.
    pub source: Who<'a>,
    /// On whom.
    pub destination: Who<'a>,
    /// The protocol, or `tcp/445`.
    pub service: &'a str,
    /// The protocol that a policy would name; none: only the transport is known.
    pub protocol: Option<&'a str>,
    /// `tcp`, `udp`.
    pub transport: &'a str,
    /// The server's port.
    pub port: u16,
    /// The operation class.
    pub class: Class,
    /// Code as in the contract; empty: none known.
    pub code: &'a str,
    /// Name of the operation; empty: none known.
    pub operation: &'a str,
    /// Number of the component within the destination, e.g. the Modbus unit.
    pub unit: Option<u32>,
    /// Ranges touched, merged.
    pub ranges: &'a [Touched<'a>],
    /// Names touched.
    pub names: &'a [&'a str],
    /// Positive answers.
    pub answered: u64,
    /// Refusals.
    pub refused: u64,
    /// Operations.
    pub count: u64,
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
    /// For a rate: the most that was counted.
    pub peak: Option<Peak>,
    /// Some frames that show it.
    pub frames: &'a [u64],
}

impl Policy {
    /// What was seen, in one line of facts.
    #[must_use]
    pub fn what(&self, finding: &Context<'_>) -> String {
        let mut text = format!("{} ({}) ", finding.source.name, self.described(&finding.source));
        text.push_str(&self.deed(finding));
        let _ = write!(text, " at {}", self.clock(finding.first));
        let _ = write!(text, "; {}.", self.limit(finding));
        text.push_str(outcome(finding));
        if finding.count > 1 {
            let _ = write!(text, " {} times{}.", finding.count, self.until(finding.first, finding.last));
        }
        if let [first, rest @ ..] = finding.frames {
            let _ = write!(text, " {} {first}", if rest.is_empty() { "Frame" } else { "Frames" });
            for frame in rest {
                let _ = write!(text, ", {frame}");
            }
            text.push('.');
        }
        text
    }

    /// Why it matters at this place.
    #[must_use]
    pub fn why(&self, finding: &Context<'_>) -> String {
        let (from, to) = (self.zone(finding.source.zone), self.zone(finding.destination.zone));
        let mut text = format!("{} ({}): {}.", finding.reason.code(), finding.reason.name(), finding.reason.says());
        if to.safety || from.safety {
            let zone = if to.safety { &to.name } else { &from.name };
            let _ = write!(text, " {zone} is a safety zone.");
        }
        if Classes::changing(finding.class) {
            text.push_str(" The operation changes the device or the process.");
        }
        if from.sl_t.rdf() != to.sl_t.rdf() {
            let (have, need) = (from.sl_t.rdf(), to.sl_t.rdf());
            let _ = write!(text, " It goes from SL-T {have} to SL-T {need} for restricted data flow.");
        }
        if let Some(reason) = finding.statement.and_then(|statement| self.deny_reason(statement)) {
            let _ = write!(text, " The policy says: {reason}.");
        }
        if finding.verdict == Verdict::Attempt {
            text.push_str(" It was not let in: somebody tried, and a boundary or the device itself held.");
        }
        text
    }

    /// Three steps, the first thing first.
    #[must_use]
    pub fn do_next(&self, finding: &Context<'_>) -> [String; 3] {
        let rule = finding.statement.and_then(|statement| self.rule_of(statement));
        let owner = rule
            .and_then(|rule| rule.owner.as_deref())
            .or(self.zone(finding.destination.zone).owner.as_deref())
            .unwrap_or("the owner of the zone");
        let ask = match rule {
            Some(Rule { ticket: Some(ticket), id, .. }) => format!("Ask {owner} about {id} and ticket {ticket}."),
            Some(rule) => format!("Ask {owner} whether {} was meant to cover this.", rule.id),
            None => format!("Ask {owner} whether a change explains this."),
        };
        let source = match finding.reason {
            Reason::UnzonedAddress | Reason::ExternalContact => {
                format!("Find the device behind {}: switch port, MAC address, DHCP lease.", finding.source.id)
            }
            Reason::BoundaryBypass | Reason::FlatLayer2 | Reason::DualHomed | Reason::MulticastLeak => {
                "Check the cabling, VLANs and second network cards between the two zones.".to_owned()
            }
            _ => format!("Look at {}: who was logged in and which program ran then.", finding.source.name),
        };
        let target = if Classes::changing(finding.class) {
            format!("Compare {} with its backup, and read its own log for that time.", finding.destination.name)
        } else if finding.verdict == Verdict::Attempt {
            "Check the boundary device's log for the refused session.".to_owned()
        } else {
            "Check whether the boundary device should have stopped it.".to_owned()
        };
        [ask, source, target]
    }

    /// The declaration that would allow it, ready to paste: a conduit, or an exception with an end for what changes
    /// something, for what comes from outside, and for what a deny forbids.
    #[must_use]
    pub fn harmless(&self, finding: &Context<'_>) -> Option<String> {
        let name = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let (from, to) = (self.zone(finding.source.zone), self.zone(finding.destination.zone));
        match finding.reason {
            Reason::UnapprovedAsset => {
                return Some(format!("# in [[asset]] {}: approved = true\n", finding.source.name));
            }
            Reason::IntraZoneNotListed => {
                let entry = self.allow_text(finding)?;
                return Some(format!("# in [[zone]] {}, add to inside.allow:\n# {entry}\n", to.id));
            }
            Reason::UndeclaredConduit
            | Reason::WrongInitiator
            | Reason::ProtocolNotListed
            | Reason::OperationNotListed
            | Reason::ObjectNotListed
            | Reason::UnzonedAddress
            | Reason::ExternalContact
            | Reason::ExplicitDeny
            | Reason::NotValid
            | Reason::OutsideWindow
            | Reason::EndpointNotListed => {}
            _ => return None,
        }
        let denied = finding.reason == Reason::ExplicitDeny;
        let guarded = denied || Classes::changing(finding.class) || from.untrusted || to.untrusted || to.safety;
        let kind = if guarded { "exception" } else { "conduit" };
        let mut text = format!("[[{kind}]]\nid = \"new-1\"\n");
        let _ = writeln!(text, "from = [{}]\nto = [{}]", name(finding.source.id), name(finding.destination.id));
        let _ = writeln!(text, "allow = [{}]", self.allow_text(finding)?);
        if guarded {
            let day = |days: i64| {
                let end = jiff::Span::new().days(days);
                self.time_zone.to_datetime(finding.last.instant()).date().checked_add(end).ok()
            };
            let today = self.time_zone.to_datetime(finding.first.instant()).date();
            let _ = writeln!(text, "valid_from = {today}\nvalid_until = {}", day(30)?);
            text.push_str("risk_owner = \"\"\napproved_by = []\nreason = \"\"\n");
            if let Some(statement @ Statement::Deny(_)) = finding.statement {
                let _ = writeln!(text, "overrides = [{}]", name(&self.reference(statement)));
            }
        } else {
            text.push_str("owner = \"\"\n");
        }
        Some(text)
    }

    /// One allow table that covers what was seen and no more.
    fn allow_text(&self, finding: &Context<'_>) -> Option<String> {
        let name = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let known = finding.protocol.and_then(|protocol| self.protocol(protocol));
        let Some(protocol) = known else {
            return matches!(finding.transport, "tcp" | "udp")
                .then(|| format!("{{ protocol = {}, ports = [{}] }}", name(finding.transport), finding.port));
        };
        let mut table = format!("{{ protocol = {}", name(&protocol.name));
        if !protocol.expects(finding.port) {
            let _ = write!(table, ", ports = [{}]", finding.port);
        }
        if protocol.operations {
            let _ = if finding.code.is_empty() {
                write!(table, ", ops = [{}]", name(finding.class.text()))
            } else {
                write!(table, ", functions = [{}]", name(finding.code))
            };
            if let Some(unit) = finding.unit {
                let _ = write!(table, ", units = [{unit}]");
            }
            if !finding.ranges.is_empty() {
                let ranges = finding.ranges.iter().map(|Touched { space, range: (from, to) }| {
                    format!("{{ table = {}, from = {from}, to = {to} }}", name(space))
                });
                let _ = write!(table, ", objects = [{}]", ranges.collect::<Vec<_>>().join(", "));
            }
        }
        Some(table + " }")
    }

    fn described(&self, who: &Who<'_>) -> String {
        let zone = &self.zone(who.zone).name;
        match who.role {
            Some(role) => format!("{role}, {zone}"),
            None => zone.clone(),
        }
    }

    /// `wrote holding 200–201 of plc-b1 unit 1 (plc, Utilities cell B) by modbus`.
    fn deed(&self, finding: &Context<'_>) -> String {
        let unread = finding.class == Class::Unknown && finding.protocol.is_none();
        let verb = if unread { "talked to" } else { &class_row(finding.class).verb };
        let spaced = |list: Vec<String>| list.join(", ");
        let what = if !finding.ranges.is_empty() {
            spaced(ranges_text(finding.ranges))
        } else {
            let more = finding.names.len().saturating_sub(3);
            let some = spaced(finding.names.iter().take(3).map(|name| (*name).to_owned()).collect());
            if more > 0 { format!("{some} and {more} more") } else { some }
        };
        // "wrote holding 0 of x", but "changed the mode of x (holding 0)".
        let takes_object =
            matches!(finding.class, Class::Read | Class::Write | Class::Subscribe | Class::Browse | Class::Control);
        let (before, after) = match (what.is_empty(), takes_object) {
            (false, true) => (format!("{what} of "), String::new()),
            (false, false) => (String::new(), format!(", {what},")),
            (true, _) if matches!(finding.class, Class::Read | Class::Write | Class::Subscribe) => {
                ("values of ".to_owned(), String::new())
            }
            (true, _) => (String::new(), String::new()),
        };
        let unit = finding.unit.map(|unit| format!(" unit {unit}")).unwrap_or_default();
        let how = if finding.operation.is_empty() {
            format!("over {}", finding.service)
        } else {
            format!("with {} ({})", finding.operation, finding.service)
        };
        let Who { name, .. } = finding.destination;
        let described = self.described(&finding.destination);
        if finding.reason == Reason::Tunnel {
            return format!("reached {name} ({described}) inside a tunnel, {what}, over {}", finding.service);
        }
        let tried = if finding.verdict == Verdict::Attempt { "tried: " } else { "" };
        format!("{tried}{verb} {before}{name}{unit} ({described}){after} {how}")
    }

    /// What the policy says instead, as half a sentence.
    #[must_use]
    pub fn limit(&self, finding: &Context<'_>) -> String {
        let id = finding.statement.map(|statement| self.reference(statement)).unwrap_or_default();
        match (finding.reason, finding.statement.and_then(|statement| self.rule_of(statement))) {
            (Reason::NotValid, Some(rule)) => match (rule.schedule.until, rule.schedule.from) {
                (Some(until), _) if until <= finding.first => format!("{id} ended at {}", self.clock(until)),
                (_, Some(from)) => format!("{id} begins at {}", self.clock(from)),
                _ => format!("{id} does not hold"),
            },
            (Reason::OperationNotListed | Reason::ObjectNotListed | Reason::ProtocolNotListed, Some(rule)) => {
                format!("{id} allows {} only", self.rights(rule))
            }
            (Reason::WrongInitiator, Some(_)) => format!("{id} lets only the other side open this"),
            (Reason::EndpointNotListed, Some(rule)) => {
                format!(
                    "{id} joins these zones for {} to {} only",
                    rule.from_words.join(", "),
                    rule.to_words.join(", ")
                )
            }
            (Reason::RateExceeded, _) if let Some(peak) = finding.peak => format!("{id} {peak}"),
            (reason, Some(_)) => format!("{id}: {}", reason.says()),
            (Reason::ExplicitDeny, None) => format!("{id} forbids it"),
            (reason, None) => reason.says().to_owned(),
        }
    }

    fn rule_of(&self, statement: Statement) -> Option<&Rule> {
        match statement {
            Statement::Rule(number) => self.rule(number),
            _ => None,
        }
    }

    /// What a rule allows, in a few words.
    #[must_use]
    pub fn rights(&self, rule: &Rule) -> String {
        rule.allow.iter().map(|allow| allow.described(&self.protocols)).collect::<Vec<_>>().join("; ")
    }

    /// Date and time of the site, and the name of its time.
    pub(super) fn clock(&self, at: Timestamp) -> String {
        at.instant().to_zoned(self.time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// ` until 11:03:04`, no more than is needed beside the first time; nothing within the same second.
    fn until(&self, first: Timestamp, last: Timestamp) -> String {
        let [from, to] = [first, last].map(|at| self.time_zone.to_datetime(at.instant()));
        let second = |of: jiff::civil::DateTime| of.strftime("%F %T").to_string();
        match () {
            () if second(from) == second(to) => String::new(),
            () if from.date() == to.date() => format!(" until {}", to.strftime("%T")),
            () => format!(" until {}", self.clock(last)),
        }
    }
}

fn outcome(finding: &Context<'_>) -> &'static str {
    match (finding.verdict, finding.answered, finding.refused) {
        (Verdict::Attempt, ..) => " No answer.",
        (_, 0, 0) => " No answer was seen.",
        (_, 0, _) => " Refused.",
        (_, _, 0) => " Answered.",
        _ => " Answered in part, refused in part.",
    }
}

/// Ranges with each space named once: `holding 104`, `110–112`.
fn ranges_text(ranges: &[Touched<'_>]) -> Vec<String> {
    let before = std::iter::once(None).chain(ranges.iter().map(|touched| Some(touched.space)));
    let text = |(touched, before): (&Touched<'_>, Option<&str>)| {
        let text = range_text(touched.space, touched.range);
        match text.strip_prefix(touched.space).map(str::trim_start) {
            Some(bare) if before == Some(touched.space) && !bare.is_empty() => bare.to_owned(),
            _ => text,
        }
    };
    ranges.iter().zip(before).map(text).collect()
}

pub(super) fn range_text(space: &str, (from, to): (u64, u64)) -> String {
    match (from, to) {
        (from, to) if from == to => format!("{space} {from}"),
        (0, u64::MAX) => space.to_owned(),
        (from, u64::MAX) => format!("{space} from {from}"),
        (from, to) => format!("{space} {from}–{to}"),
    }
}
