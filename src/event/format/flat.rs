//! A record as short texts, for the formats that know only names and values.

use crate::event::{Change, Event, Record};
use crate::output::view::{FindingEndView, FindingOperationView, ObjectView};

use super::milliseconds_of;

/// What flat formats tell of an event. Nothing is escaped yet; what is not known is `None`.
#[derive(Default)]
pub(super) struct Flat {
    /// What kind of event this is to a machine: the reason code, else the event's kind.
    pub(super) code: String,
    /// The same in words.
    pub(super) name: String,
    pub(super) category: &'static str,
    pub(super) source: End,
    pub(super) destination: End,
    pub(super) port: Option<u16>,
    pub(super) transport: Option<String>,
    pub(super) application: Option<&'static str>,
    pub(super) verdict: Option<&'static str>,
    pub(super) state: Option<&'static str>,
    pub(super) count: Option<u64>,
    /// Milliseconds since the epoch.
    pub(super) first: Option<i64>,
    /// Milliseconds since the epoch.
    pub(super) last: Option<i64>,
    pub(super) conduit: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) user: Option<String>,
    pub(super) techniques: Option<String>,
    pub(super) requirements: Option<String>,
    pub(super) changes: Option<String>,
}

/// One end of a conversation, or a device.
#[derive(Default)]
pub(super) struct End {
    pub(super) ip: Option<String>,
    pub(super) mac: Option<String>,
    pub(super) name: Option<String>,
    pub(super) zone: Option<String>,
}

impl Flat {
    pub(super) fn of(event: &Event) -> Self {
        match &event.record {
            Record::Finding(finding) => Self {
                code: finding.reason.code.to_owned(),
                name: finding.reason.name.to_owned(),
                category: finding.kind,
                source: End::of(&finding.src),
                destination: End::of(&finding.dst),
                port: finding.port,
                transport: finding.transport.clone(),
                application: finding.protocol,
                verdict: Some(finding.verdict),
                state: Some(finding.state),
                count: Some(finding.count),
                first: milliseconds_of(&finding.time.first),
                last: milliseconds_of(&finding.time.last),
                conduit: finding.conduit.as_ref().map(|conduit| conduit.id.clone()),
                operation: finding.operation.as_ref().map(operation),
                user: finding.operation.as_ref().and_then(|operation| operation.user.clone()),
                techniques: joined(finding.attack.iter().map(|technique| technique.id.clone())),
                requirements: joined(finding.requirements.iter().map(|row| format!("{} {}", row.std, row.id))),
                changes: None,
            },
            Record::Asset(asset, changes) => Self {
                code: event.kind.text().to_owned(),
                name: event.kind.text().to_owned(),
                category: "asset",
                source: End {
                    ip: asset.ips.first().cloned(),
                    mac: asset.macs.first().cloned(),
                    name: Some(asset.name.clone()),
                    zone: asset.zone.clone(),
                },
                first: milliseconds_of(&asset.first_seen),
                last: milliseconds_of(&asset.last_seen),
                changes: Some(changes.iter().map(Change::text).collect::<Vec<_>>().join("; ")),
                ..Self::default()
            },
            Record::Health(health) => Self {
                code: event.kind.text().to_owned(),
                name: health.topic.clone(),
                category: "health",
                ..Self::default()
            },
        }
    }
}

impl End {
    fn of(end: &FindingEndView) -> Self {
        Self {
            ip: end.ip.clone(),
            mac: end.mac.clone(),
            name: end.name.clone().or_else(|| end.asset.clone()),
            zone: end.zone.clone(),
        }
    }
}

/// `write: write multiple registers: holding 200-201`.
fn operation(operation: &FindingOperationView) -> String {
    let codes = operation.codes.iter().map(|code| code.name.clone());
    let objects = operation.objects.iter().map(|object| match object {
        ObjectView::Range { space, from, to } if from == to => format!("{space} {from}"),
        ObjectView::Range { space, from, to } => format!("{space} {from}-{to}"),
        ObjectView::Name { space, name } => format!("{space} {name}"),
    });
    [Some(operation.class.to_owned()), joined(codes), joined(objects)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(": ")
}

/// The parts with commas between them.
fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
