//! Events to test with: one of each record, and one whose texts an attacker wrote.

use super::{Change, Event, Health, Kind, Record};
use crate::output::view::*;
use crate::policy::Band;
use crate::time::Timestamp;

/// 2026-11-16T10:15:00.123456789Z.
pub(super) const TIME: Timestamp = Timestamp::new(1_794_824_100, 123_456_789);

fn event(kind: Kind, band: Band, score: u8, revision: u64, record: Record) -> Event {
    let (site, sensor) = ("north-mill".to_owned(), "sensor-1".to_owned());
    Event { sequence: 42, time: TIME, kind, band, score, site, sensor, revision, record }
}

/// A write to registers that the conduit does not list.
pub(super) fn finding() -> Event {
    event(Kind::FindingOpened, Band::High, 64, 3, Record::Finding(Box::new(finding_view())))
}

/// The same, with `text` wherever the network or a person can put text.
pub(super) fn hostile(text: &str) -> Event {
    let mut view = finding_view();
    for field in [&mut view.src.name, &mut view.src.zone, &mut view.dst.name, &mut view.dst.zone, &mut view.src.mac] {
        *field = Some(text.to_owned());
    }
    view.what = text.to_owned();
    view.why = text.to_owned();
    if let Some(conduit) = &mut view.conduit {
        conduit.id = text.to_owned();
    }
    Event {
        sensor: text.to_owned(),
        site: text.to_owned(),
        ..event(Kind::FindingOpened, Band::High, 64, 3, Record::Finding(Box::new(view)))
    }
}

/// Texts that break out of some format.
pub(super) const HOSTILE: [&str; 12] = [
    "two\nlines\r\nand a third",
    "a|pipe|CEF:0|x|y|1|2|3|10|",
    "back\\slash\\",
    "src=10.0.0.1 act=allow",
    "]closing [zonewatch@32473 verdict=\"allow\"]",
    "quote\" and ' more",
    "tab\there\u{0}nul\u{1b}[31mred\u{7f}\u{85}",
    "\u{202e}reversed\u{feff}\u{2028}",
    "replaced \u{fffd} byte",
    "Ångström 10 °C",
    "<165>1 2003-10-11T22:14:15.003Z evil evil - ID47 -",
    "",
];

/// A new controller.
pub(super) fn asset() -> Event {
    event(Kind::AssetNew, Band::Info, 0, 0, Record::Asset(Box::new(asset_view()), Vec::new()))
}

/// It has new firmware, and a name.
pub(super) fn asset_changed() -> Event {
    let changes = vec![
        Change { attribute: "firmware".into(), before: Some("2.0".into()), after: Some("2.1".into()) },
        Change { attribute: "hostname".into(), before: None, after: Some("plc-b1".into()) },
    ];
    event(Kind::AssetChanged, Band::Info, 0, 1, Record::Asset(Box::new(asset_view()), changes))
}

/// Frames were lost.
pub(super) fn health() -> Event {
    let text = "The kernel dropped 12 of 1000 frames in the last minute.".to_owned();
    event(Kind::Health, Band::Medium, 45, 7, Record::Health(Health { topic: "capture-loss".into(), text }))
}

fn finding_view() -> FindingView {
    let end = |asset: &str, zone: &str, ip: &str, mac: &str, role, level| FindingEndView {
        asset: Some(asset.into()),
        zone: Some(zone.into()),
        ip: Some(ip.into()),
        mac: Some(mac.into()),
        role: Some(role),
        name: Some(asset.into()),
        level: Some(level),
        confidence: 0.9,
    };
    FindingView {
        id: "V-gkh2al3yyoxc5ymh".into(),
        schema: SCHEMA,
        site: "north-mill".into(),
        sensor: "sensor-1".into(),
        kind: "violation",
        reason: ReasonView { code: "ZC005", name: "object-not-listed" },
        verdict: "violation",
        state: "open",
        acknowledged: None,
        severity: SeverityView {
            score: 64,
            band: "high",
            terms: vec![TermView { term: "class write".into(), points: 40 }],
        },
        time: SpanView {
            first: "2026-11-16T09:58:00.000000000Z".into(),
            last: "2026-11-16T10:15:00.123456789Z".into(),
        },
        count: 14,
        src: end("scada-1", "supervision", "10.60.0.10", "00:00:5e:00:53:01", "scada-server", 2.0),
        dst: end("plc-b1", "cell-b", "10.20.1.5", "00:00:5e:00:53:02", "plc", 1.0),
        transport: Some("tcp".into()),
        port: Some(502),
        protocol: Some("modbus"),
        operation: Some(FindingOperationView {
            class: "write",
            codes: vec![CodeView { code: "16".into(), name: "write multiple registers".into(), count: 14 }],
            objects: vec![ObjectView::Range { space: "holding".into(), from: 200, to: 201 }],
            outcome: OutcomeView { answered: 14, refused: 0, not_answered: 0 },
            user: None,
        }),
        conduit: Some(FindingConduitView {
            id: "C-031".into(),
            stage: Some("object"),
            detail: "allows writes to 100-119 only".into(),
        }),
        qualifiers: vec![],
        attack: vec![AttackView { id: "T0836".into(), version: "17", name: Some("Modify Parameter") }],
        requirements: vec![RequirementView {
            std: "IEC 62443-3-3",
            id: "SR 2.1".into(),
            edition: "2013",
            evidence_class: Some("direct"),
        }],
        what: "scada-1 wrote holding registers 200-201 of plc-b1; conduit C-031 allows 100-119 only.".into(),
        why: "plc-b1 is in cell-b, level 1.".into(),
        do_next: vec!["Ask the owner of C-031.".into(), "Look at the station's log.".into()],
        details: vec![],
        samples: vec![SampleView {
            evidence: EvidenceView {
                capture: "eth1".into(),
                frame: 1204,
                time: "2026-11-16T10:15:00.123456789Z".into(),
            },
            tap: Some("T1".into()),
            at: crate::ledger::Evidence::default(),
        }],
        evidence: None,
        no_evidence: None,
        policy_hash: Some("0f".into()),
        mapping_version: "1",
        tool_version: "0.1.0",
    }
}

fn asset_view() -> AssetView {
    AssetView {
        id: "A-plc-b1".into(),
        name: "plc-b1".into(),
        ips: vec!["10.20.1.5".into(), "2001:db8::5".into()],
        macs: vec!["00:00:5e:00:53:02".into()],
        vlans: vec![20],
        realm: "default".into(),
        hostnames: vec!["plc-b1.example".into()],
        vendor: Some("Example Controls".into()),
        product: None,
        model: Some("EC-400".into()),
        firmware: Some("2.1".into()),
        serial: Some("0001".into()),
        mac_vendor: None,
        role: RoleView { value: Some("plc"), confidence: 0.93, candidates: vec![] },
        level: Some(LevelView { value: 1.0, source: "zone" }),
        zone: Some("cell-b".into()),
        approved: Some(true),
        protocols: vec![SpeaksView { name: "modbus", side: "server", ports: vec![502] }],
        components: vec![],
        first_seen: "2026-11-16T10:00:00.000000000Z".into(),
        last_seen: "2026-11-16T10:15:00.123456789Z".into(),
        frames_sent: 10,
        bytes_sent: 1000,
        facts: vec![],
    }
}
