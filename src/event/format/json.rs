//! The native record: reports.md, section 7, with the event around it.

use serde::Serialize;

use crate::event::{Change, Event, Record};
use crate::output::view::{AssetView, FindingView, SCHEMA};

/// An event as the outside sees it. Keys stand in the order of the contract.
#[derive(Serialize)]
struct EventView<'a> {
    schema: &'static str,
    id: String,
    sequence: u64,
    time: String,
    kind: &'static str,
    band: &'static str,
    score: u8,
    site: &'a str,
    sensor: &'a str,
    revision: u64,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<&'a FindingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asset: Option<&'a AssetView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<ChangeView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthView<'a>>,
}

#[derive(Serialize)]
struct ChangeView<'a> {
    attribute: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

#[derive(Serialize)]
struct HealthView<'a> {
    topic: &'a str,
    text: &'a str,
}

/// One object, on one line.
pub(super) fn line(event: &Event) -> String {
    let mut view = EventView {
        schema: SCHEMA,
        id: event.id(),
        sequence: event.sequence,
        time: event.time.to_string(),
        kind: event.kind.text(),
        band: event.band.text(),
        score: event.score,
        site: &event.site,
        sensor: &event.sensor,
        revision: event.revision,
        message: event.message(),
        finding: None,
        asset: None,
        changes: None,
        health: None,
    };
    match &event.record {
        Record::Finding(finding) => view.finding = Some(finding),
        Record::Asset(asset, changes) => {
            view.asset = Some(asset);
            view.changes = Some(changes.iter().map(change).collect());
        }
        Record::Health(health) => view.health = Some(HealthView { topic: &health.topic, text: &health.text }),
    }
    // Maps with keys of text and finite numbers always serialize.
    serde_json::to_string(&view).unwrap_or_default()
}

fn change(change: &Change) -> ChangeView<'_> {
    let Change { attribute, before, after } = change;
    ChangeView { attribute, before: before.as_deref(), after: after.as_deref() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::testkit;

    fn read(event: &Event) -> Value {
        serde_json::from_str(&line(event)).unwrap()
    }

    #[test]
    fn a_finding_is_whole() {
        let event = testkit::finding();
        let start = "{\"schema\":\"zonewatch/1\",\"id\":\"V-gkh2al3yyoxc5ymh.3\",\"sequence\":42,\
                     \"time\":\"2026-11-16T10:15:00.123456789Z\",\"kind\":\"finding-opened\",\"band\":\"high\",\
                     \"score\":64,\"site\":\"north-mill\",\"sensor\":\"sensor-1\",\"revision\":3,\"message\":\"scada-1 ";
        assert!(line(&event).starts_with(start), "{}", line(&event));
        let Record::Finding(finding) = &event.record else { unreachable!() };
        assert_eq!(read(&event)["finding"], serde_json::to_value(finding).unwrap());
    }

    #[test]
    fn an_asset_has_its_changes() {
        let read = read(&testkit::asset_changed());
        assert_eq!(read["asset"]["ips"], json!(["10.20.1.5", "2001:db8::5"]));
        assert_eq!(
            read["changes"],
            json!([
                { "attribute": "firmware", "before": "2.0", "after": "2.1" },
                { "attribute": "hostname", "before": null, "after": "plc-b1" },
            ])
        );
    }

    #[test]
    fn health_is_a_topic_and_a_sentence() {
        let read = read(&testkit::health());
        assert_eq!(read["health"]["topic"], "capture-loss");
        assert_eq!(read["id"], "H-capture-loss.7");
    }

    #[test]
    fn hostile_text_comes_back_as_it_was() {
        for text in testkit::HOSTILE {
            let read = read(&testkit::hostile(text));
            assert_eq!((&read["finding"]["src"]["name"], &read["sensor"]), (&json!(text), &json!(text)));
        }
    }
}
