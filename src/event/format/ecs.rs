//! Elastic Common Schema 8.11. What it has no field for is below `zonewatch`, a name that no ECS field set has.

use serde_json::{Map, Value, json};

use super::{NAME, known, severity_of_ten};
use crate::event::{Change, Event, Kind, Record};
use crate::output::VERSION;
use crate::output::view::{AssetView, FindingEndView, FindingView};

/// The version of the schema.
const SCHEMA: &str = "8.11.0";

pub(super) fn object(event: &Event) -> Value {
    let (category, types) = categories(event);
    let mut out = json!({
        "@timestamp": event.time.to_string(),
        "ecs": { "version": SCHEMA },
        "message": event.message(),
        "event": {
            "id": event.id(),
            "kind": match &event.record {
                Record::Finding(_) if event.kind.is_alert() => "alert",
                Record::Asset(..) => "asset",
                Record::Finding(_) | Record::Health(_) => "event",
            },
            "category": category,
            "type": types,
            "action": event.kind.text(),
            "module": NAME,
            "dataset": format!("{NAME}.{}", match &event.record {
                Record::Finding(_) => "finding",
                Record::Asset(..) => "asset",
                Record::Health(_) => "health",
            }),
            "sequence": event.sequence,
            "severity": severity_of_ten(event.band),
            "risk_score": event.score,
        },
        "observer": {
            "name": event.sensor, "type": "sensor", "vendor": NAME, "product": NAME, "version": VERSION,
        },
        "labels": { "site": event.site, "severity": event.band.text() },
    });
    match &event.record {
        Record::Finding(finding) => merge(&mut out, about_finding(finding)),
        Record::Asset(asset, changes) => merge(&mut out, about_asset(asset, changes)),
        Record::Health(health) => merge(&mut out, json!({ "event": { "reason": health.topic } })),
    }
    known(out)
}

/// `event.category` and `event.type`, from the pairs that the schema allows.
fn categories(event: &Event) -> (&'static [&'static str], &'static [&'static str]) {
    match (&event.record, event.kind) {
        // Nothing is stopped by a passive sensor: neither `allowed` nor `denied` is true of the traffic.
        (Record::Finding(finding), _) if finding.transport.is_some() => {
            (&["network", "intrusion_detection"], &["info"])
        }
        (Record::Finding(_), _) => (&["configuration"], &["info"]),
        (Record::Asset(..), Kind::AssetChanged) => (&["host"], &["change"]),
        (Record::Asset(..), _) => (&["host"], &["info"]),
        (Record::Health(_), _) => (&["host"], &["info"]),
    }
}

fn about_finding(finding: &FindingView) -> Value {
    let attacks = &finding.attack;
    json!({
        "event": {
            "code": finding.reason.code,
            "reason": finding.why,
            "start": finding.time.first,
            "end": finding.time.last,
        },
        "source": end(&finding.src, None),
        "destination": end(&finding.dst, finding.port),
        "network": { "transport": finding.transport, "protocol": finding.protocol },
        "rule": { "id": finding.reason.code, "name": finding.reason.name, "category": finding.kind },
        "threat": {
            "framework": (!attacks.is_empty()).then_some("MITRE ATT&CK for ICS"),
            "technique": {
                "id": attacks.iter().map(|attack| &attack.id).collect::<Vec<_>>(),
                "name": attacks.iter().filter_map(|attack| attack.name).collect::<Vec<_>>(),
            },
        },
        "related": {
            "ip": [&finding.src.ip, &finding.dst.ip],
            "hosts": [&finding.src.name, &finding.dst.name],
        },
        // The schema wants no dots and no nesting in labels.
        "labels": {
            "zone_src": finding.src.zone,
            "zone_dst": finding.dst.zone,
            "conduit": finding.conduit.as_ref().map(|conduit| &conduit.id),
        },
        NAME: { "finding": finding },
    })
}

fn about_asset(asset: &AssetView, changes: &[Change]) -> Value {
    json!({
        "host": {
            "id": asset.id,
            "name": asset.name,
            "hostname": asset.hostnames.first(),
            "ip": asset.ips,
            "mac": asset.macs.iter().map(|mac| hyphens(mac)).collect::<Vec<_>>(),
            "type": asset.role.value,
        },
        "device": {
            "id": asset.id,
            "manufacturer": asset.vendor,
            "model": { "identifier": asset.model, "name": asset.product },
            "serial_number": asset.serial,
        },
        "related": { "ip": asset.ips, "hosts": asset.hostnames },
        "labels": { "zone": asset.zone },
        NAME: {
            "firmware": asset.firmware,
            "level": asset.level.as_ref().map(|level| level.value),
            "first_seen": asset.first_seen,
            "last_seen": asset.last_seen,
            "changes": changes.iter().map(Change::text).collect::<Vec<_>>(),
        },
    })
}

fn end(end: &FindingEndView, port: Option<u16>) -> Value {
    let address = end.ip.as_ref().or(end.mac.as_ref());
    json!({
        "address": address,
        "ip": end.ip,
        "mac": end.mac.as_deref().map(hyphens),
        "domain": end.name,
        "port": port,
    })
}

/// A MAC address in the notation of RFC 7042, which ECS asks for: upper case, with hyphens.
fn hyphens(mac: &str) -> String {
    mac.replace(':', "-").to_uppercase()
}

/// Puts the fields of `more` to those of the same objects in `out`.
fn merge(out: &mut Value, more: Value) {
    match (out, more) {
        (Value::Object(out), Value::Object(more)) => merge_fields(out, more),
        (out, more) => *out = more,
    }
}

fn merge_fields(out: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match out.get_mut(&name) {
            Some(place) => merge(place, value),
            None => drop(out.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testkit;

    #[test]
    fn a_finding() {
        let event = testkit::finding();
        let Record::Finding(finding) = &event.record else { unreachable!() };
        let whole = known(serde_json::to_value(finding).unwrap());
        assert_eq!(
            object(&event),
            json!({
                "@timestamp": "2026-11-16T10:15:00.123456789Z",
                "ecs": { "version": "8.11.0" },
                "message": "scada-1 wrote holding registers 200-201 of plc-b1; conduit C-031 allows 100-119 only.",
                "event": {
                    "id": "V-gkh2al3yyoxc5ymh.3", "kind": "alert", "category": ["network", "intrusion_detection"],
                    "type": ["info"], "action": "finding-opened", "module": "zonewatch",
                    "dataset": "zonewatch.finding", "sequence": 42, "severity": 8, "risk_score": 64, "code": "ZC005",
                    "reason": "plc-b1 is in cell-b, level 1.", "start": "2026-11-16T09:58:00.000000000Z",
                    "end": "2026-11-16T10:15:00.123456789Z",
                },
                "observer": {
                    "name": "sensor-1", "type": "sensor", "vendor": "zonewatch", "product": "zonewatch",
                    "version": VERSION,
                },
                "labels": {
                    "site": "north-mill", "severity": "high", "zone_src": "supervision", "zone_dst": "cell-b",
                    "conduit": "C-031",
                },
                "source": {
                    "address": "10.60.0.10", "ip": "10.60.0.10", "mac": "00-00-5E-00-53-01", "domain": "scada-1",
                },
                "destination": {
                    "address": "10.20.1.5", "ip": "10.20.1.5", "mac": "00-00-5E-00-53-02", "domain": "plc-b1",
                    "port": 502,
                },
                "network": { "transport": "tcp", "protocol": "modbus" },
                "rule": { "id": "ZC005", "name": "object-not-listed", "category": "violation" },
                "threat": {
                    "framework": "MITRE ATT&CK for ICS",
                    "technique": { "id": ["T0836"], "name": ["Modify Parameter"] },
                },
                "related": { "ip": ["10.60.0.10", "10.20.1.5"], "hosts": ["scada-1", "plc-b1"] },
                "zonewatch": { "finding": whole },
            })
        );
    }

    #[test]
    fn a_device() {
        let object = object(&testkit::asset_changed());
        assert_eq!(
            (&object["event"]["kind"], &object["event"]["category"], &object["event"]["type"]),
            (&json!("asset"), &json!(["host"]), &json!(["change"]))
        );
        assert_eq!(
            object["host"],
            json!({
                "id": "A-plc-b1", "name": "plc-b1", "hostname": "plc-b1.example", "ip": ["10.20.1.5", "2001:db8::5"],
                "mac": ["00-00-5E-00-53-02"], "type": "plc",
            })
        );
        assert_eq!(
            object["device"],
            json!({
                "id": "A-plc-b1", "manufacturer": "Example Controls", "model": { "identifier": "EC-400" },
                "serial_number": "0001",
            })
        );
        assert_eq!(object["zonewatch"]["changes"], json!(["firmware was 2.0, is 2.1", "hostname is plc-b1"]));
    }

    #[test]
    fn kinds_of_findings() {
        for (kind, want) in [
            (Kind::FindingOpened, "alert"),
            (Kind::FindingContinues, "event"),
            (Kind::FindingResolved, "event"),
            (Kind::Campaign, "alert"),
        ] {
            assert_eq!(object(&Event { kind, ..testkit::finding() })["event"]["kind"], want, "{kind:?}");
        }
    }

    #[test]
    fn hostile_text_comes_back_as_it_was() {
        for text in testkit::HOSTILE.into_iter().filter(|text| !text.is_empty()) {
            let read: Value = serde_json::from_str(&object(&testkit::hostile(text)).to_string()).unwrap();
            assert_eq!((&read["source"]["domain"], &read["labels"]["conduit"]), (&json!(text), &json!(text)));
        }
    }
}
