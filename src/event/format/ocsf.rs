//! Open Cybersecurity Schema Framework 1.3.0: findings are Detection Findings (2004), devices are Device Inventory Info
//! (5001), and what the sensor says of itself is a Base Event (0), since no class is for that.
//!
//! What the schema has no attribute for (zones as policy knows them, conduit, operation) stands in `unmapped`.

use serde_json::{Value, json};

use super::{NAME, known, milliseconds, milliseconds_of};
use crate::event::{Change, Event, Kind, Record};
use crate::output::VERSION;
use crate::output::view::{AssetView, FindingEndView, FindingView};
use crate::policy::Band;

/// The version of the schema.
const SCHEMA: &str = "1.3.0";

pub(super) fn object(event: &Event) -> Value {
    let (category, class, activity, own) = match &event.record {
        Record::Finding(finding) => (2, 2004, activity(event.kind), detection(event, finding)),
        // 2: collected, as opposed to read from a log.
        Record::Asset(asset, _) => (5, 5001, 2, inventory(event, asset)),
        Record::Health(health) => (0, 0, 99, json!({ "activity_name": health.topic })),
    };
    let (severity, severity_name) = severity(event.band);
    let mut object = json!({
        "activity_id": activity,
        "category_uid": category,
        "class_uid": class,
        "type_uid": class * 100 + activity,
        "time": milliseconds(event.time.nanos()),
        "severity_id": severity,
        "severity": severity_name,
        "message": event.message(),
        "metadata": {
            "version": SCHEMA,
            "uid": event.id(),
            "event_code": event.kind.text(),
            "sequence": event.sequence,
            "log_provider": event.sensor,
            "product": { "name": NAME, "vendor_name": NAME, "version": VERSION },
        },
    });
    if let (Value::Object(object), Value::Object(own)) = (&mut object, own) {
        object.extend(own);
        let site = json!({ "site": event.site, "sensor": event.sensor, "kind": event.kind.text() });
        match (object.get_mut("unmapped"), site) {
            (Some(Value::Object(unmapped)), Value::Object(site)) => unmapped.extend(site),
            (_, site) => drop(object.insert("unmapped".to_owned(), site)),
        }
    }
    known(object)
}

fn severity(band: Band) -> (u8, &'static str) {
    match band {
        Band::Info => (1, "Informational"),
        Band::Low => (2, "Low"),
        Band::Medium => (3, "Medium"),
        Band::High => (4, "High"),
        Band::Critical => (5, "Critical"),
    }
}

/// 1 create, 2 update, 3 close.
fn activity(kind: Kind) -> u32 {
    match kind {
        Kind::FindingOpened | Kind::Campaign => 1,
        Kind::FindingResolved => 3,
        _ => 2,
    }
}

/// Finding status: 1 new, 2 in progress, 3 suppressed, 4 resolved.
fn status(state: &str, kind: Kind) -> u8 {
    match (kind, state) {
        (Kind::FindingResolved, _) | (_, "resolved") => 4,
        (_, "accepted") => 3,
        (_, "acknowledged") => 2,
        _ => 1,
    }
}

fn detection(event: &Event, finding: &FindingView) -> Value {
    let first = milliseconds_of(&finding.time.first);
    let last = milliseconds_of(&finding.time.last);
    let attacks = finding.attack.iter().map(|attack| {
        json!({ "technique": { "uid": attack.id, "name": attack.name }, "version": format!("ICS {}", attack.version) })
    });
    json!({
        "status_id": status(finding.state, event.kind),
        "is_alert": event.kind.is_alert(),
        "count": finding.count,
        "start_time": first,
        "end_time": last,
        "risk_score": event.score,
        "finding_info": {
            "uid": finding.id,
            "title": finding.reason.name,
            "desc": finding.why,
            "types": [finding.kind],
            "first_seen_time": first,
            "last_seen_time": last,
            "modified_time": milliseconds(event.time.nanos()),
            // 1: a rule.
            "analytic": { "type_id": 1, "type": "Rule", "uid": finding.reason.code, "name": finding.reason.name },
            "attacks": attacks.collect::<Vec<_>>(),
        },
        "evidences": [{
            "src_endpoint": endpoint(&finding.src, None, None),
            "dst_endpoint": endpoint(&finding.dst, finding.port, finding.protocol),
            "connection_info": finding.transport.as_ref().map(|name| json!({
                // The direction is that of the policy's zones, which is not the inside and outside meant here.
                "direction_id": 0,
                "protocol_name": name,
            })),
            "data": { "samples": finding.samples, "details": finding.details },
        }],
        "remediation": remediation(finding),
        "unmapped": {
            "verdict": finding.verdict,
            "state": finding.state,
            "source_zone": finding.src.zone,
            "destination_zone": finding.dst.zone,
            "conduit": finding.conduit,
            "operation": finding.operation,
            "qualifiers": finding.qualifiers,
            "requirements": finding.requirements,
            "severity_terms": finding.severity.terms,
            "policy_hash": finding.policy_hash,
            "mapping_version": finding.mapping_version,
        },
    })
}

/// What to do; `desc` is required where there is one.
fn remediation(finding: &FindingView) -> Option<Value> {
    (!finding.do_next.is_empty()).then(|| json!({ "desc": finding.do_next.join(" ") }))
}

fn endpoint(end: &FindingEndView, port: Option<u16>, service: Option<&str>) -> Value {
    let (kind, name) = device_type(end.role);
    json!({
        "ip": end.ip,
        "mac": end.mac,
        "uid": end.asset,
        "name": end.name,
        "zone": end.zone,
        "port": port,
        "svc_name": service,
        "type_id": kind,
        "type": name,
    })
}

/// The device type of the schema and its caption, which is the role's name where the schema has none.
fn device_type(role: Option<&str>) -> (u8, &str) {
    match role {
        None => (0, "Unknown"),
        Some("firewall") => (9, "Firewall"),
        Some("switch") => (10, "Switch"),
        Some("historian" | "scada-server" | "opc-server" | "database" | "file-server" | "domain-controller") => {
            (1, "Server")
        }
        Some(role) => (99, role),
    }
}

fn inventory(event: &Event, asset: &AssetView) -> Value {
    let (kind, name) = device_type(asset.role.value);
    let interfaces = asset.ips.iter().map(|ip| json!({ "ip": ip, "type_id": 0 }));
    let cards = asset.macs.iter().map(|mac| json!({ "mac": mac, "type_id": 0 }));
    let changes = match &event.record {
        Record::Asset(_, changes) => changes.iter().map(Change::text).collect(),
        _ => Vec::new(),
    };
    json!({
        "device": {
            "uid": asset.id,
            "name": asset.name,
            "hostname": asset.hostnames.first(),
            "ip": asset.ips.first(),
            "mac": asset.macs.first(),
            "type_id": kind,
            "type": name,
            "zone": asset.zone,
            "vlan_uid": asset.vlans.first().map(u16::to_string),
            "first_seen_time": milliseconds_of(&asset.first_seen),
            "last_seen_time": milliseconds_of(&asset.last_seen),
            "is_managed": asset.approved,
            "hw_info": { "serial_number": asset.serial },
            "network_interfaces": interfaces.chain(cards).collect::<Vec<_>>(),
        },
        "unmapped": {
            "vendor": asset.vendor,
            "product": asset.product,
            "model": asset.model,
            "firmware": asset.firmware,
            "role": asset.role.value,
            "level": asset.level.as_ref().map(|level| level.value),
            "changes": changes,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testkit;

    #[test]
    fn a_detection() {
        assert_eq!(
            object(&testkit::finding()),
            json!({
                "activity_id": 1, "category_uid": 2, "class_uid": 2004, "type_uid": 200_401,
                "time": 1_794_824_100_123_u64, "severity_id": 4, "severity": "High", "status_id": 1, "is_alert": true,
                "message": "scada-1 wrote holding registers 200-201 of plc-b1; conduit C-031 allows 100-119 only.",
                "count": 14, "start_time": 1_794_823_080_000_u64, "end_time": 1_794_824_100_123_u64, "risk_score": 64,
                "metadata": {
                    "version": "1.3.0", "uid": "V-gkh2al3yyoxc5ymh.3", "event_code": "finding-opened", "sequence": 42,
                    "log_provider": "sensor-1",
                    "product": { "name": "zonewatch", "vendor_name": "zonewatch", "version": VERSION },
                },
                "finding_info": {
                    "uid": "V-gkh2al3yyoxc5ymh", "title": "object-not-listed", "desc": "plc-b1 is in cell-b, level 1.",
                    "types": ["violation"], "first_seen_time": 1_794_823_080_000_u64,
                    "last_seen_time": 1_794_824_100_123_u64, "modified_time": 1_794_824_100_123_u64,
                    "analytic": { "type_id": 1, "type": "Rule", "uid": "ZC005", "name": "object-not-listed" },
                    "attacks": [{ "technique": { "uid": "T0836", "name": "Modify Parameter" }, "version": "ICS 17" }],
                },
                "evidences": [{
                    "src_endpoint": {
                        "ip": "10.60.0.10", "mac": "00:00:5e:00:53:01", "uid": "scada-1", "name": "scada-1",
                        "zone": "supervision", "type_id": 1, "type": "Server",
                    },
                    "dst_endpoint": {
                        "ip": "10.20.1.5", "mac": "00:00:5e:00:53:02", "uid": "plc-b1", "name": "plc-b1",
                        "zone": "cell-b", "port": 502, "svc_name": "modbus", "type_id": 99, "type": "plc",
                    },
                    "connection_info": { "direction_id": 0, "protocol_name": "tcp" },
                    "data": { "samples": [{
                        "capture": "eth1", "frame": 1204, "time": "2026-11-16T10:15:00.123456789Z", "tap": "T1",
                    }] },
                }],
                "remediation": { "desc": "Ask the owner of C-031. Look at the station's log." },
                "unmapped": {
                    "site": "north-mill", "sensor": "sensor-1", "kind": "finding-opened", "verdict": "violation",
                    "state": "open", "source_zone": "supervision", "destination_zone": "cell-b",
                    "conduit": { "id": "C-031", "stage": "object", "detail": "allows writes to 100-119 only" },
                    "operation": {
                        "class": "write",
                        "codes": [{ "code": "16", "name": "write multiple registers", "count": 14 }],
                        "objects": [{ "space": "holding", "from": 200, "to": 201 }],
                        "outcome": { "answered": 14, "refused": 0, "not_answered": 0 },
                    },
                    "requirements": [{
                        "std": "IEC 62443-3-3", "id": "SR 2.1", "edition": "2013", "evidence_class": "direct",
                    }],
                    "severity_terms": [{ "term": "class write", "points": 40 }],
                    "policy_hash": "0f", "mapping_version": "1",
                },
            })
        );
    }

    #[test]
    fn a_device() {
        assert_eq!(
            object(&testkit::asset_changed()),
            json!({
                "activity_id": 2, "category_uid": 5, "class_uid": 5001, "type_uid": 500_102,
                "time": 1_794_824_100_123_u64, "severity_id": 1, "severity": "Informational",
                "message": "Device plc-b1 changed (Example Controls EC-400 2.1) at 10.20.1.5 in zone cell-b: \
                            firmware was 2.0, is 2.1; hostname is plc-b1.",
                "metadata": {
                    "version": "1.3.0", "uid": "A-plc-b1.1", "event_code": "asset-changed", "sequence": 42,
                    "log_provider": "sensor-1",
                    "product": { "name": "zonewatch", "vendor_name": "zonewatch", "version": VERSION },
                },
                "device": {
                    "uid": "A-plc-b1", "name": "plc-b1", "hostname": "plc-b1.example", "ip": "10.20.1.5",
                    "mac": "00:00:5e:00:53:02", "type_id": 99, "type": "plc", "zone": "cell-b", "vlan_uid": "20",
                    "first_seen_time": 1_794_823_200_000_u64, "last_seen_time": 1_794_824_100_123_u64,
                    "is_managed": true, "hw_info": { "serial_number": "0001" },
                    "network_interfaces": [
                        { "ip": "10.20.1.5", "type_id": 0 }, { "ip": "2001:db8::5", "type_id": 0 },
                        { "mac": "00:00:5e:00:53:02", "type_id": 0 },
                    ],
                },
                "unmapped": {
                    "site": "north-mill", "sensor": "sensor-1", "kind": "asset-changed", "vendor": "Example Controls",
                    "model": "EC-400", "firmware": "2.1", "role": "plc", "level": 1.0,
                    "changes": ["firmware was 2.0, is 2.1", "hostname is plc-b1"],
                },
            })
        );
    }

    #[test]
    fn activities_and_states() {
        for (kind, state, activity, status, alert) in [
            (Kind::FindingOpened, "open", 1, 1, true),
            (Kind::Campaign, "open", 1, 1, true),
            (Kind::FindingEscalated, "open", 2, 1, true),
            (Kind::FindingContinues, "acknowledged", 2, 2, false),
            (Kind::FindingContinues, "accepted", 2, 3, false),
            (Kind::FindingResolved, "open", 3, 4, false),
            (Kind::FindingReopened, "open", 2, 1, true),
        ] {
            let mut event = Event { kind, ..testkit::finding() };
            if let Record::Finding(finding) = &mut event.record {
                finding.state = state;
            }
            let object = object(&event);
            let got = (&object["activity_id"], &object["type_uid"], &object["status_id"], &object["is_alert"]);
            let type_uid = json!(200_400 + activity);
            assert_eq!(got, (&json!(activity), &type_uid, &json!(status), &json!(alert)), "{kind:?} {state}");
        }
    }

    #[test]
    fn health_is_a_base_event() {
        let object = object(&testkit::health());
        let got = (&object["class_uid"], &object["type_uid"], &object["activity_name"], &object["severity_id"]);
        assert_eq!(got, (&json!(0), &json!(99), &json!("capture-loss"), &json!(3)));
    }

    #[test]
    fn hostile_text_comes_back_as_it_was() {
        for text in testkit::HOSTILE.into_iter().filter(|text| !text.is_empty()) {
            let read: Value = serde_json::from_str(&object(&testkit::hostile(text)).to_string()).unwrap();
            assert_eq!(read["evidences"][0]["src_endpoint"]["name"], text);
            assert_eq!(read["unmapped"]["conduit"]["id"], text);
            assert_eq!(read["class_uid"], 2004);
        }
    }
}
