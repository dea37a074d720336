//! What was measured, by the requirement that it is evidence on. Ids and topics of our own, never the text of a clause.

use std::collections::{BTreeMap, BTreeSet};

use super::conduits::is_idle;
use super::table::{Cell, Table};
use super::{Page, Report, zones};
use crate::output::view::FlowView;

/// A count, and what it is of. None: there is nothing of the kind to look at.
type Count = Option<(usize, usize)>;

/// One statement: what passive evidence can say, and the number that it rests on.
struct Row {
    standard: &'static str,
    id: &'static str,
    topic: &'static str,
    class: Class,
    /// What is counted, and of what.
    what: &'static str,
    count: fn(&Facts<'_>) -> Count,
    /// The part of the report that shows it.
    part: usize,
}

/// What passive evidence can say of a requirement: see the note below the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Direct,
    Refuting,
    Supporting,
    None,
}

use Class::{Direct, Refuting, Supporting};

impl Class {
    fn text(self) -> &'static str {
        match self {
            Direct => "E1",
            Refuting => "E2",
            Supporting => "E3",
            Self::None => "E0",
        }
    }

    /// The words that evidence of this class allows.
    fn says(self, count: usize) -> &'static str {
        match (self, count) {
            (Direct, 0) => "not observed in this window on the taps listed",
            (Direct, _) => "observed",
            (Refuting, 0) => "not refuted",
            (Refuting, _) => "refuted",
            (Supporting, 0) => "no sign of",
            (Supporting, _) => "seen, which is to be looked at",
            (Self::None, _) => "not assessed",
        }
    }
}

const SR: &str = "IEC 62443-3-3:2013";
const SPE: &str = "IEC 62443-2-1:2024";
const ZCR: &str = "IEC 62443-3-2:2020";

/// Row of the table below.
const fn row(
    (standard, id, topic): (&'static str, &'static str, &'static str),
    class: Class,
    what: &'static str,
    count: fn(&Facts<'_>) -> Count,
    part: usize,
) -> Row {
    Row { standard, id, topic, class, what, count, part }
}

const ROWS: [Row; 23] = [
    row(
        (SR, "SR 1.13", "access from untrusted networks"),
        Direct,
        "conversations opened from untrusted zones, of those between zones",
        |facts| facts.between(|flow| facts.is_untrusted(zones(flow).0)),
        5,
    ),
    row(
        (SR, "SR 1.13 RE1", "approval of each such access"),
        Direct,
        "of them outside of what a conduit allows",
        |facts| facts.among(|flow| facts.is_untrusted(zones(flow).0), is_violation),
        5,
    ),
    row(
        (SR, "SR 5.1", "segmentation"),
        Refuting,
        "findings of zones that share a segment or a device",
        |facts| facts.findings(&["ZC011", "ZC012", "ZC018"]),
        9,
    ),
    row(
        (SR, "SR 5.2", "protection of zone boundaries"),
        Direct,
        "conversations between zones outside of what a conduit allows",
        |facts| facts.between(is_violation),
        5,
    ),
    row(
        (SR, "SR 5.2 RE1", "deny by default"),
        Refuting,
        "undeclared conversations between zones that were answered, of all that were tried",
        |facts| {
            let tried = |flow: &FlowView| matches!(flow.verdict, Some("violation" | "attempt"));
            facts.among(tried, is_violation)
        },
        8,
    ),
    row((SR, "SR 5.2 RE2", "island mode"), Class::None, "no drill is declared", |_| None, 17),
    row((SR, "SR 5.2 RE3", "fail close"), Class::None, "no outage of a boundary is declared", |_| None, 17),
    row(
        (SR, "SR 5.3", "messages between people"),
        Direct,
        "conversations of mail, chat or telephony with a zone of the plant",
        |facts| facts.all(|flow| facts.is_service(flow, &MESSAGES) && facts.touches_plant(flow)),
        3,
    ),
    row(
        (SR, "SR 7.6", "settings of network and security"),
        Direct,
        "findings of addresses and devices that are not as declared",
        |facts| facts.findings(&["ZC013", "ZC014", "ZC022", "DC008"]),
        13,
    ),
    row(
        (SR, "SR 7.7", "least functionality"),
        Direct,
        "findings of protocols that no rule lists",
        |facts| facts.findings(&["ZC003", "ZC016", "ZC020"]),
        13,
    ),
    row(
        (SPE, "NET 1.1", "separation from other networks"),
        Direct,
        "conversations between the plant and offices or the outside",
        |facts| facts.out_of_the_plant(),
        3,
    ),
    row(
        (SPE, "NET 1.2", "record of connections between segments"),
        Direct,
        "pairs of zones that talk with no conduit between them, of all that talk",
        |facts| facts.pairs(),
        3,
    ),
    row(
        (SPE, "NET 1.3", "separation of safety systems"),
        Direct,
        "conversations across the edge of a safety zone",
        |facts| facts.across_safety(),
        10,
    ),
    row(
        (SPE, "NET 1.4", "network autonomy"),
        Refuting,
        "conversations by which the plant asks offices or the outside for names, time, logins or addresses",
        |facts| facts.between(|flow| facts.leaves_plant(flow) && facts.is_service(flow, &SERVICES)),
        3,
    ),
    row((SPE, "NET 1.5", "disconnection"), Class::None, "no drill is declared", |_| None, 17),
    row(
        (SPE, "NET 1.6", "access inside of a network"),
        Refuting,
        "devices of the site that nobody approved",
        |facts| facts.unapproved(),
        14,
    ),
    row(
        (SPE, "NET 1.7", "services that can be reached"),
        Direct,
        "services that answered what no rule allows, of all that answered",
        |facts| facts.services(),
        5,
    ),
    row(
        (ZCR, "ZCR 3.1", "zones and conduits established"),
        Supporting,
        "conduits without use in this window",
        |facts| facts.idle(),
        6,
    ),
    row(
        (ZCR, "ZCR 3.2", "business and control assets apart"),
        Direct,
        "conversations between the plant and offices or the outside",
        |facts| facts.out_of_the_plant(),
        3,
    ),
    row(
        (ZCR, "ZCR 3.3", "safety assets apart"),
        Direct,
        "conversations across the edge of a safety zone",
        |facts| facts.across_safety(),
        10,
    ),
    row(
        (ZCR, "ZCR 3.4", "temporarily connected devices apart"),
        Direct,
        "conversations of temporary zones with others",
        |facts| facts.between(|flow| facts.touches(flow, &["temporary"])).filter(|_| facts.has("temporary")),
        3,
    ),
    row(
        (ZCR, "ZCR 3.5", "wireless devices apart"),
        Supporting,
        "conversations of wireless zones with others, as seen on the wire",
        |facts| facts.between(|flow| facts.touches(flow, &["wireless"])).filter(|_| facts.has("wireless")),
        3,
    ),
    row(
        (ZCR, "ZCR 3.6", "devices on external networks apart"),
        Direct,
        "conversations opened from the outside or a remote-access zone",
        |facts| facts.between(|flow| facts.is(zones(flow).0, &["external", "remote-access"])),
        3,
    ),
];

/// Names of services by which people write and talk to each other.
const MESSAGES: [&str; 12] =
    ["smtp", "smtps", "submission", "pop3", "pop3s", "imap", "imaps", "sip", "sips", "xmpp", "irc", "rtsp"];

/// Names of services that hosts depend on.
const SERVICES: [&str; 9] = ["dns", "domain", "ntp", "kerberos", "ldap", "ldaps", "dhcp", "bootps", "snmp"];

fn is_violation(flow: &FlowView) -> bool {
    flow.verdict == Some("violation")
}

/// What requirements are measured by.
struct Facts<'a> {
    report: &'a Report<'a>,
    kinds: BTreeMap<&'a str, &'a str>,
    safety: BTreeSet<&'a str>,
    untrusted: BTreeSet<&'a str>,
}

impl<'a> Facts<'a> {
    fn new(report: &'a Report<'a>) -> Self {
        let zones = &report.view.zones;
        let declared = report.policy.into_iter().flat_map(|policy| &policy.zones);
        Self {
            report,
            kinds: zones.iter().filter_map(|zone| Some((zone.id.as_str(), zone.kind.as_deref()?))).collect(),
            safety: zones.iter().filter(|zone| zone.safety).map(|zone| zone.id.as_str()).collect(),
            untrusted: declared.filter(|zone| zone.untrusted).map(|zone| zone.id.as_str()).collect(),
        }
    }

    fn is(&self, zone: &str, kinds: &[&str]) -> bool {
        self.kinds.get(zone).is_some_and(|kind| kinds.contains(kind))
    }

    fn has(&self, kind: &str) -> bool {
        self.kinds.values().any(|known| *known == kind)
    }

    fn is_untrusted(&self, zone: &str) -> bool {
        self.untrusted.contains(zone) || self.is(zone, &["external", "remote-access", "wireless", "temporary"])
    }

    /// Neither the offices nor the outside.
    fn is_plant(&self, zone: &str) -> bool {
        self.kinds.contains_key(zone) && !self.is(zone, &["enterprise", "external"])
    }

    fn touches(&self, flow: &FlowView, kinds: &[&str]) -> bool {
        self.is(zones(flow).0, kinds) || self.is(zones(flow).1, kinds)
    }

    fn touches_plant(&self, flow: &FlowView) -> bool {
        self.is_plant(zones(flow).0) || self.is_plant(zones(flow).1)
    }

    fn touches_safety(&self, flow: &FlowView) -> bool {
        self.safety.contains(zones(flow).0) || self.safety.contains(zones(flow).1)
    }

    fn leaves_plant(&self, flow: &FlowView) -> bool {
        self.touches_plant(flow) && self.touches(flow, &["enterprise", "external"])
    }

    fn is_service(&self, flow: &FlowView, names: &[&str]) -> bool {
        flow.protocol.or(flow.service).is_some_and(|name| names.contains(&name))
    }

    fn flows(&self) -> impl Iterator<Item = &'a FlowView> {
        self.report.view.flows.iter()
    }

    /// Conversations of a kind, of all.
    fn all(&self, takes: impl Fn(&FlowView) -> bool) -> Count {
        Some((self.flows().filter(|flow| takes(flow)).count(), self.flows().count()))
    }

    /// Conversations between zones of a kind, of all between zones.
    fn between(&self, takes: impl Fn(&FlowView) -> bool) -> Count {
        self.among(|_| true, takes)
    }

    /// Of the conversations between zones of one kind, those of another.
    fn among(&self, of: impl Fn(&FlowView) -> bool, takes: impl Fn(&FlowView) -> bool) -> Count {
        let crosses = |flow: &&FlowView| zones(flow).0 != zones(flow).1 && of(flow);
        Some((self.flows().filter(crosses).filter(|flow| takes(flow)).count(), self.flows().filter(crosses).count()))
    }

    fn out_of_the_plant(&self) -> Count {
        self.between(|flow| self.leaves_plant(flow))
    }

    /// Nothing where no zone is a safety zone.
    fn across_safety(&self) -> Count {
        self.between(|flow| self.touches_safety(flow)).filter(|_| !self.safety.is_empty())
    }

    fn findings(&self, codes: &[&str]) -> Count {
        let findings = &self.report.view.findings;
        Some((findings.iter().filter(|finding| codes.contains(&finding.reason.code)).count(), findings.len()))
    }

    fn pairs(&self) -> Count {
        let crosses = |flow: &&FlowView| zones(flow).0 != zones(flow).1;
        let pairs: BTreeSet<_> = self.flows().filter(crosses).map(zones).collect();
        let joined: BTreeSet<_> = self.flows().filter(crosses).filter(|flow| flow.rule.is_some()).map(zones).collect();
        Some((pairs.difference(&joined).count(), pairs.len()))
    }

    fn unapproved(&self) -> Count {
        let outside = |zone: &Option<String>| zone.as_deref().is_some_and(|zone| self.is(zone, &["external"]));
        let assets: Vec<_> = self.report.view.assets.iter().filter(|asset| !outside(&asset.zone)).collect();
        Some((assets.iter().filter(|asset| asset.approved == Some(false)).count(), assets.len()))
    }

    fn services(&self) -> Count {
        let answered = |flow: &&FlowView| flow.frames_to_client > 0 && flow.verdict != Some("attempt");
        let service = |flow: &'a FlowView| {
            let end = &flow.server.end;
            (end.ip.as_deref().or(end.mac.as_deref()), flow.transport.as_str(), flow.server.port)
        };
        let all: BTreeSet<_> = self.flows().filter(answered).map(service).collect();
        let beyond: BTreeSet<_> =
            self.flows().filter(answered).filter(|flow| is_violation(flow)).map(service).collect();
        Some((beyond.len(), all.len()))
    }

    fn idle(&self) -> Count {
        let conduits = &self.report.view.conduits;
        Some((conduits.iter().filter(|conduit| is_idle(conduit)).count(), conduits.len()))
    }
}

pub(super) fn requirements(page: &mut Page, report: &Report<'_>) {
    if report.view.policy.is_none() {
        return page.say("No policy was given: nothing can be said of requirements on zones and conduits.");
    }
    let facts = Facts::new(report);
    let rows = ROWS.iter().map(|row| {
        let count = (row.count)(&facts);
        let says = match count {
            Some((count, _)) => row.class.says(count),
            None if row.class == Class::None => "not assessed",
            None => "not assessed: no such zone is declared",
        };
        let numbers = count.map_or(String::new(), |(count, whole)| format!("{count} of {whole}"));
        [
            row.standard.into(),
            row.id.into(),
            row.topic.into(),
            row.class.text().into(),
            says.into(),
            row.what.into(),
            numbers.into(),
            Cell::shown(row.part.to_string(), format!("<a href=\"#p{0}\">{0}</a>", row.part)),
        ]
    });
    let heads = ["standard", "requirement", "topic", "class", "statement", "what was counted", "number", "#part"];
    page.table(Table::new("requirements", heads, rows));
    page.say(
        "E1: the wire shows the fact itself. E2: one packet can refute, and none can prove. E3: it supports or does not. E0: it is \
         not on the wire. The window, the taps, losses and the decoded share of part 1 go with every statement.",
    );

    let mut known: BTreeMap<_, (Option<&str>, BTreeSet<&str>, usize)> = BTreeMap::new();
    for finding in &report.view.findings {
        for of in &finding.requirements {
            let entry = known.entry((of.std, of.id.as_str(), of.edition)).or_default();
            entry.0 = of.evidence_class;
            entry.1.insert(finding.reason.name);
            entry.2 += 1;
        }
    }
    let rows = known.into_iter().map(|((std, id, edition), (class, reasons, count))| {
        let reasons = reasons.into_iter().collect::<Vec<_>>().join(", ");
        [std.into(), id.into(), edition.into(), class.into(), reasons.into(), count.into()]
    });
    let heads = ["standard", "requirement", "edition", "class", "reasons", "#findings"];
    page.say("Findings by the requirement that they bear on:");
    page.table_or(Table::new("findings-by-requirement", heads, rows), "No finding is evidence on a requirement.");
    page.say("What was not observed is no evidence that it does not happen.");
}
