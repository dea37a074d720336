//! What is told of a flush: new and changed devices, the lines that the life of findings gives, and the sensor's own
//! troubles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::shared::{Health, Picture};
use crate::event::{self, Change, Event, Kind, Record};
use crate::output::view::{AssetView, FindingView};
use crate::output::{lines, stand};
use crate::policy::Band;
use crate::policy::life::{self, Acknowledgement, Ledger, Line, Occurrence, Pace, Standing, Why};
use crate::store::{Cut, Kept};
use crate::time::Timestamp;

/// Remembers what was told, and finds what is new.
pub struct Telling {
    sensor: String,
    life: Ledger,
    /// Operations of each finding at the last flush.
    counts: BTreeMap<String, u64>,
    assets: BTreeMap<String, Vec<(&'static str, String)>>,
    troubles: Vec<String>,
    revision: u64,
    sequence: u64,
    /// What has ended while no sensor ran, to be told at the next flush.
    over: Vec<Line>,
    /// What else is to be told then: its topic, and the text.
    remarks: Vec<(&'static str, String)>,
    /// Interfaces that were watched at the last flush.
    interfaces: Option<Vec<String>>,
}

/// What was told before, by the run whose store it comes from.
#[derive(Debug, Default)]
pub struct Past {
    /// Findings with what was told of them.
    pub findings: Vec<life::Record>,
    /// SHA-256 of the policy that raised them.
    pub policy: Option<String>,
    /// The number of the newest event.
    pub last_event: u64,
    /// What it had no time for when it stopped.
    pub cut: Cut,
}

impl Telling {
    /// The devices that are known already, and the findings whose life was kept, were told before: by the run whose store
    /// they come from. What has happened to findings since then is told at the first flush.
    #[must_use]
    pub fn new(sensor: String, picture: &Picture, kept: Past) -> Self {
        let policy = picture.world.options().policy.as_deref().map_or("", |policy| &policy.sha256);
        let mut telling = Self {
            sensor,
            life: Ledger::new(Pace::default(), policy),
            counts: BTreeMap::new(),
            assets: BTreeMap::new(),
            troubles: Vec::new(),
            revision: 0,
            sequence: 0,
            over: Vec::new(),
            remarks: Vec::new(),
            interfaces: None,
        };
        telling.recall(kept, picture);
        telling
    }

    /// What was kept of an earlier run is known by now: its devices and findings were told by it.
    pub fn recall(&mut self, kept: Past, picture: &Picture) {
        for asset in picture.told.assets(&picture.world.analysis) {
            self.assets.insert(asset.id.clone(), identity(&asset));
        }
        if kept.cut != Cut::default() {
            let (many, lost) = (kept.cut.unconcluded, lost(kept.cut));
            let text =
                format!("the last stop left no time to conclude what {many} conversations mean; it is done now{lost}");
            self.remark("stop", text);
        }
        let has_findings = !kept.findings.is_empty();
        for record in kept.findings {
            self.life.recall(record);
        }
        for finding in picture.told.findings() {
            // What was written and not told any more before a stop is told at the next flush.
            if let Some(record) = self.life.get(&finding.id) {
                self.counts.insert(finding.id.clone(), finding.count.min(record.count));
            }
        }
        self.sequence = self.sequence.max(kept.last_event);
        let policy = picture.world.options().policy.as_deref().map_or("", |policy| &policy.sha256);
        if has_findings && kept.policy.as_deref().unwrap_or_default() != policy {
            let over = self.judged_anew(picture, picture.at);
            self.over.extend(over);
        }
    }

    /// Something to be told at the next flush, for people.
    pub fn remark(&mut self, topic: &'static str, text: String) {
        self.remarks.push((topic, text));
    }

    /// What is new since the last flush, in the order of ids.
    pub fn flushed(&mut self, picture: &Picture, health: &Health, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        let site = picture.world.options().policy.as_deref().map_or(String::new(), |policy| policy.site.clone());
        for asset in picture.told.assets(&picture.world.analysis) {
            self.asset(asset, &site, &mut events);
        }
        for finding in picture.told.findings() {
            if let Some(line) = self.happened(finding) {
                self.line(&line, finding, &mut events);
            }
        }
        for line in std::mem::take(&mut self.over).into_iter().chain(self.life.tick(now)) {
            self.over(&line, picture, &mut events);
        }
        self.forget_gone(picture);
        for (topic, text) in std::mem::take(&mut self.remarks) {
            self.health(topic, &text, Band::Low, now, &site, &mut events);
        }
        for text in self.interfaces_changed(health) {
            self.health("interfaces", &text, Band::Info, now, &site, &mut events);
        }
        let troubles = health.troubles();
        let before = std::mem::replace(&mut self.troubles, troubles.clone());
        for trouble in troubles.iter().filter(|trouble| !before.contains(trouble)) {
            self.health("trouble", trouble, Band::Medium, now, &site, &mut events);
        }
        if troubles.is_empty() && !before.is_empty() {
            self.health("well", "The sensor sees everything again.", Band::Info, now, &site, &mut events);
        }
        events
    }

    /// Which interfaces came and went since the last flush, by order of the configuration.
    fn interfaces_changed(&mut self, health: &Health) -> Vec<String> {
        let now: Vec<String> = health.interfaces.iter().map(|state| state.name.clone()).collect();
        let Some(before) = self.interfaces.replace(now.clone()) else { return Vec::new() };
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|name| !those.contains(name)).cloned().collect()
        };
        let went = only(&before, &now).into_iter().map(|name| {
            format!("{name} is not watched any more, as the configuration says now; what was seen there stays known")
        });
        let came = only(&now, &before).into_iter().map(|name| format!("{name} is watched from now on"));
        went.chain(came).collect()
    }

    /// The sensor stops, and had no time for this.
    pub fn cut(&mut self, cut: Cut, picture: &Picture, now: Timestamp) -> Event {
        let site = picture.world.options().policy.as_deref().map_or(String::new(), |policy| policy.site.clone());
        let lost = lost(cut);
        let text = format!(
            "the sensor had to stop before it had concluded what {} conversations mean, which it does when it starts again{lost}",
            cut.unconcluded
        );
        let record = Record::Health(event::Health { topic: "stop".to_owned(), text });
        self.event(Kind::Health, now, (Band::Medium, 50), site, record)
    }

    /// Forgets what the picture has forgotten, at a limit.
    fn forget_gone(&mut self, picture: &Picture) {
        let assets = &picture.world.analysis.inventory.assets;
        self.assets.retain(|id, _| assets.binary_search_by(|asset| (*asset.id).cmp(id)).is_ok());
        let findings = picture.told.findings();
        self.counts.retain(|id, _| findings.binary_search_by(|finding| finding.id.cmp(id)).is_ok());
    }

    /// Another policy is in force: findings that it does not raise are over.
    pub fn reloaded(&mut self, picture: &Picture, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for line in self.judged_anew(picture, now) {
            self.over(&line, picture, &mut events);
        }
        // What was judged anew is counted anew.
        self.counts = picture.told.findings().iter().map(|finding| (finding.id.clone(), finding.count)).collect();
        events
    }

    /// What another policy says of the findings that are not over.
    fn judged_anew(&mut self, picture: &Picture, now: Timestamp) -> Vec<Line> {
        let raised: BTreeSet<&str> = picture.told.findings().iter().map(|finding| finding.id.as_str()).collect();
        let hash = picture.world.options().policy.as_deref().map_or("", |policy| &policy.sha256);
        let standing =
            |record: &life::Record| if raised.contains(&*record.id) { Standing::Raised } else { Standing::Gone };
        self.life.reload(now, hash, standing)
    }

    /// Forgets findings that did not happen since that time.
    pub fn forget(&mut self, before: Timestamp) {
        self.life.forget(before);
        self.counts.retain(|id, _| self.life.get(id).is_some());
    }

    /// How a finding stands, for the API.
    #[must_use]
    pub fn life(&self) -> &Ledger {
        &self.life
    }

    /// Somebody has seen a finding. `None`: there is none of that id that is open.
    pub fn acknowledge(&mut self, id: &str, by: Acknowledgement, picture: &Picture) -> Option<Vec<Event>> {
        let line = self.life.acknowledge(id, by)?;
        let mut events = Vec::new();
        self.over(&line, picture, &mut events);
        Some(events)
    }

    /// The findings that something was noted of since this was asked last, to be kept.
    pub fn changed(&mut self, picture: &Picture) -> Vec<Kept> {
        let findings = picture.told.findings();
        let changed = self.life.changed();
        let kept = |id: Arc<str>| {
            let life = self.life.get(&id)?.clone();
            let place = findings.binary_search_by(|finding| finding.id.as_str().cmp(&id)).ok();
            let finding = place.and_then(|place| findings.get(place));
            let score = finding.map_or(0, |finding| finding.severity.score);
            let record = finding.map(lines::json).unwrap_or_default();
            Some(Kept { life, score, record })
        };
        changed.into_iter().filter_map(kept).collect()
    }

    fn happened(&mut self, finding: &FindingView) -> Option<Line> {
        let before = self.counts.insert(finding.id.clone(), finding.count).unwrap_or(0);
        let count = finding.count.saturating_sub(before);
        if count == 0 && self.life.get(&finding.id).is_some() {
            return None;
        }
        let operation = finding.operation.as_ref();
        self.life.occurred(&Occurrence {
            id: &finding.id,
            at: Timestamp::parse(&finding.time.last).unwrap_or_default(),
            count: count.max(1),
            band: band(finding),
            class: operation.map_or("", |operation| operation.class),
            object: "",
            campaign: None,
        })
    }

    fn line(&mut self, line: &Line, finding: &FindingView, events: &mut Vec<Event>) {
        let kind = match line.why {
            Why::Opened if finding.kind == "campaign" => Kind::Campaign,
            Why::Opened => Kind::FindingOpened,
            Why::Reopened => Kind::FindingReopened,
            Why::Worse(_) | Why::NewClass | Why::NewObject => Kind::FindingEscalated,
            Why::Often(_) | Why::Active | Why::Lapsed => Kind::FindingContinues,
            Why::Acknowledged => Kind::FindingAcknowledged,
            Why::Accepted | Why::Quiet | Why::PolicyChanged => Kind::FindingResolved,
        };
        let mut record = FindingView { sensor: self.sensor.clone(), ..finding.clone() };
        stand(&mut record, &line.record);
        let score = u8::try_from(finding.severity.score).unwrap_or(0);
        let (band, site) = (band(finding), finding.site.clone());
        let event = self.event(kind, line.at, (band, score), site, Record::Finding(Box::new(record)));
        events.push(event);
    }

    /// A finding is over. It may be gone from the picture, and is then only told of by its id.
    fn over(&mut self, line: &Line, picture: &Picture, events: &mut Vec<Event>) {
        let findings = picture.told.findings();
        if let Ok(place) = findings.binary_search_by(|finding| finding.id.as_str().cmp(&line.record.id))
            && let Some(finding) = findings.get(place)
        {
            return self.line(line, finding, events);
        }
        let text = format!("{} is {}", line.record.id, line.why);
        let site = picture.world.options().policy.as_deref().map_or(String::new(), |policy| policy.site.clone());
        let health = event::Health { topic: format!("finding-{}", line.record.id), text };
        let event = self.event(Kind::FindingResolved, line.at, (Band::Info, 0), site, Record::Health(health));
        events.push(event);
    }

    fn asset(&mut self, asset: AssetView, site: &str, events: &mut Vec<Event>) {
        let now = identity(&asset);
        let (kind, changes) = match self.assets.get(&asset.id) {
            None => (Kind::AssetNew, Vec::new()),
            Some(before) if *before == now => return,
            Some(before) => (Kind::AssetChanged, changes(before, &now)),
        };
        self.assets.insert(asset.id.clone(), now);
        // What was only learned completes a device; what was known and is another is news.
        if kind == Kind::AssetChanged && changes.iter().all(|change| change.before.is_none()) {
            return;
        }
        let at = Timestamp::parse(&asset.last_seen).unwrap_or_default();
        let band = if kind == Kind::AssetNew { Band::Low } else { Band::Medium };
        let score = if kind == Kind::AssetNew { 20 } else { 40 };
        let event = self.event(kind, at, (band, score), site.to_owned(), Record::Asset(Box::new(asset), changes));
        events.push(event);
    }

    fn health(&mut self, topic: &str, text: &str, band: Band, now: Timestamp, site: &str, events: &mut Vec<Event>) {
        let record = Record::Health(event::Health { topic: topic.to_owned(), text: text.to_owned() });
        let score = if band == Band::Info { 0 } else { 50 };
        let event = self.event(Kind::Health, now, (band, score), site.to_owned(), record);
        events.push(event);
    }

    fn event(&mut self, kind: Kind, time: Timestamp, (band, score): (Band, u8), site: String, record: Record) -> Event {
        self.sequence += 1;
        // By the time of the event, so that it grows over a restart as well; two of one instant differ by one.
        self.revision = (self.revision + 1).max(u64::try_from(time.nanos()).unwrap_or(0));
        let (sequence, revision, sensor) = (self.sequence, self.revision, self.sensor.clone());
        Event { sequence, time, kind, band, score, site, sensor, revision, record }
    }
}

/// What of it nobody can make good.
fn lost(cut: Cut) -> String {
    match cut.unwritten {
        0 => String::new(),
        many => format!("; what came of {many} others since the flush before is lost"),
    }
}

fn band(finding: &FindingView) -> Band {
    let all = [Band::Info, Band::Low, Band::Medium, Band::High, Band::Critical];
    all.into_iter().find(|band| band.text() == finding.severity.band).unwrap_or(Band::Info)
}

/// What makes a device the one that it is: a change of it is an event.
fn identity(asset: &AssetView) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        ("vendor", text(&asset.vendor)),
        ("model", text(&asset.model)),
        ("firmware", text(&asset.firmware)),
        ("serial", text(&asset.serial)),
        ("macs", asset.macs.join(" ")),
        ("zone", text(&asset.zone)),
    ]
}

fn changes(before: &[(&'static str, String)], after: &[(&'static str, String)]) -> Vec<Change> {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    before
        .iter()
        .zip(after)
        .filter(|((_, before), (_, after))| before != after)
        .map(|((name, before), (_, after))| Change {
            attribute: (*name).to_owned(),
            before: some(before),
            after: some(after),
        })
        .collect()
}
