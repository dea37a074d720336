//! Events, and how they reach those who wait for them: files and SIEMs.
//!
//! ```text
//!  Outbox::put(&Event) ─ for each output ─▶ format ─bytes─▶ Spool (disk) ─▶ courier ─▶ stdout · file · UDP · TCP · TLS
//!                                                              ▲               │
//!                                                              └── confirmed ──┘
//! ```
//!
//! What an event is about was found elsewhere; this module only tells it. An event is made into bytes once for each
//! output, when it is put, and waits on disk until the other side has it: delivery is at least once, and
//! [`Event::id`] is what a receiver recognises a repetition by.
//!
//! Nothing here reads a clock for its content: times are those of packets. Timers (retries, time limits) are tokio's.

pub mod config;
mod courier;
pub mod format;
pub mod health;
mod outbox;
mod sink;
mod spool;
#[cfg(test)]
mod testkit;

pub use outbox::Outbox;

use crate::output::view::{AssetView, FindingView};
use crate::policy::Band;
use crate::time::Timestamp;

/// Something that others want to know.
#[derive(Debug)]
pub struct Event {
    /// Counts up by one for each event of a sensor.
    pub sequence: u64,
    /// The time of the packet that made it, or of the latest packet where no packet did.
    pub time: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// How bad it is.
    pub band: Band,
    /// The number behind the band, from 0 to 100.
    pub score: u8,
    /// Id of the site; empty without a policy.
    pub site: String,
    /// The sensor's name.
    pub sensor: String,
    /// Grows from event to event, over restarts as well; see [`Event::id`].
    pub revision: u64,
    /// What it is about.
    pub record: Record,
}

/// What happened (policy-model, "Emit").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A device that was not there before.
    AssetNew,
    /// A device is something else than it was.
    AssetChanged,
    /// The first time.
    FindingOpened,
    /// The severity band rose, or there is a new class or object.
    FindingEscalated,
    /// It still happens.
    FindingContinues,
    /// Quiet for long enough.
    FindingResolved,
    /// It was resolved, and is there again.
    FindingReopened,
    /// Somebody has seen it.
    FindingAcknowledged,
    /// Many findings that are one.
    Campaign,
    /// The sensor about itself.
    Health,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::AssetNew,
        Self::AssetChanged,
        Self::FindingOpened,
        Self::FindingEscalated,
        Self::FindingContinues,
        Self::FindingResolved,
        Self::FindingReopened,
        Self::FindingAcknowledged,
        Self::Campaign,
        Self::Health,
    ];

    /// The word of configurations and events.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::AssetNew => "asset-new",
            Self::AssetChanged => "asset-changed",
            Self::FindingOpened => "finding-opened",
            Self::FindingEscalated => "finding-escalated",
            Self::FindingContinues => "finding-continues",
            Self::FindingResolved => "finding-resolved",
            Self::FindingReopened => "finding-reopened",
            Self::FindingAcknowledged => "finding-acknowledged",
            Self::Campaign => "campaign",
            Self::Health => "health",
        }
    }

    /// Whether somebody should look now, rather than when reading the history.
    fn is_alert(self) -> bool {
        matches!(self, Self::FindingOpened | Self::FindingEscalated | Self::FindingReopened | Self::Campaign)
    }
}

/// What an event is about.
#[derive(Debug)]
pub enum Record {
    /// A finding or a campaign, as it is now.
    Finding(Box<FindingView>),
    /// A device as it is now, and what changed.
    Asset(Box<AssetView>, Vec<Change>),
    /// The sensor.
    Health(Health),
}

/// What changed of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The attribute of the contract: `firmware`, `ips`.
    pub attribute: String,
    /// What it was, if anything.
    pub before: Option<String>,
    /// What it is, if anything.
    pub after: Option<String>,
}

/// What the sensor says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What it is about, in kebab case: `capture-loss`.
    pub topic: String,
    /// A sentence for people.
    pub text: String,
}

/// Bands from the mildest, which is the order of counters.
const BANDS: [Band; 5] = [Band::Info, Band::Low, Band::Medium, Band::High, Band::Critical];

impl Event {
    /// What a receiver recognises a repetition by: the id of the subject and the revision, `V-gkh2al3yyoxc5ymh.3`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}.{}", self.subject(), self.revision)
    }

    /// The id of what it is about: of the finding or the asset.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.record {
            Record::Finding(finding) => finding.id.clone(),
            Record::Asset(asset, _) => asset.id.clone(),
            Record::Health(health) => format!("H-{}", health.topic),
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.record {
            Record::Finding(finding) => finding.what.clone(),
            Record::Asset(asset, changes) => {
                let what = match self.kind {
                    Kind::AssetNew => format!("New device {}", asset.name),
                    _ => format!("Device {} changed", asset.name),
                };
                let known = [&asset.vendor, &asset.model, &asset.firmware];
                let known: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
                let addresses = asset.ips.first().or(asset.macs.first()).map(String::as_str);
                let mut parts = vec![what];
                parts.extend((!known.is_empty()).then(|| format!("({})", known.join(" "))));
                parts.extend(addresses.map(|address| format!("at {address}")));
                parts.extend(asset.zone.as_ref().map(|zone| format!("in zone {zone}")));
                let changes: Vec<String> = changes.iter().map(Change::text).collect();
                let changes = if changes.is_empty() { String::new() } else { format!(": {}", changes.join("; ")) };
                format!("{}{changes}.", parts.join(" "))
            }
            Record::Health(health) => health.text.clone(),
        }
    }
}

impl Change {
    /// `firmware 2.1 → 2.2` in words.
    fn text(&self) -> String {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => format!("{} was {before}, is {after}", self.attribute),
            (Some(before), None) => format!("{} was {before}, is no more", self.attribute),
            (None, Some(after)) => format!("{} is {after}", self.attribute),
            (None, None) => self.attribute.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testkit;

    #[test]
    fn ids_and_messages() {
        for (event, id, message) in [
            (
                testkit::finding(),
                "V-gkh2al3yyoxc5ymh.3",
                "scada-1 wrote holding registers 200-201 of plc-b1; conduit C-031 allows 100-119 only.",
            ),
            (
                testkit::asset(),
                "A-plc-b1.0",
                "New device plc-b1 (Example Controls EC-400 2.1) at 10.20.1.5 in zone cell-b.",
            ),
            (
                testkit::asset_changed(),
                "A-plc-b1.1",
                "Device plc-b1 changed (Example Controls EC-400 2.1) at 10.20.1.5 in zone cell-b: \
                 firmware was 2.0, is 2.1; hostname is plc-b1.",
            ),
            (testkit::health(), "H-capture-loss.7", "The kernel dropped 12 of 1000 frames in the last minute."),
        ] {
            assert_eq!((event.id().as_str(), event.message().as_str()), (id, message));
        }
    }
}
