//! The life of findings over packet time: what is told of them, and when.
//!
//! A [`Ledger`] takes every occurrence of every finding and gives the few lines that a person should read: it opened, it
//! became worse, it does something new, it has happened ten, a hundred, a thousand times, it still goes on, it is over, it
//! is back. Everything else only updates the record. Pure: the only time is the packets', and the same occurrences give
//! the same lines.
//!
//! ```
//! use zonewatch::policy::Band;
//! use zonewatch::policy::life::{Ledger, Occurrence, Pace, State};
//! use zonewatch::time::Timestamp;
//!
//! let mut ledger = Ledger::new(Pace::default(), "hash of the policy");
//! let nine = Timestamp::parse("2026-11-16T09:00:00Z").unwrap();
//! let write = |seconds| Occurrence {
//!     id: "V-gkh2al3yyoxc5ymh",
//!     at: nine.after(std::time::Duration::from_secs(seconds)),
//!     count: 1,
//!     band: Band::High,
//!     class: "write",
//!     object: "holding 200",
//!     campaign: None,
//! };
//! let told: Vec<String> = (0..60).filter_map(|n| ledger.occurred(&write(n))).map(|line| line.why.to_string()).collect();
//! assert_eq!(told, ["opened", "happened 10 times"]);
//!
//! // A day later nothing more has come.
//! let over = ledger.tick(nine.after(std::time::Duration::from_secs(2 * 86_400)));
//! assert_eq!(over[0].why.to_string(), "resolved: quiet");
//! assert_eq!(ledger.get("V-gkh2al3yyoxc5ymh").unwrap().state, State::Resolved);
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::severity::Band;
use crate::time::Timestamp;

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It happens, and nobody has said anything.
    Open,
    /// Somebody has seen it: only what is worse or over is told.
    Acknowledged,
    /// An exception covers it since the policy was loaded anew.
    Accepted,
    /// It is over.
    Resolved,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Accepted, Self::Resolved];

    /// The word of reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Accepted => "accepted",
            Self::Resolved => "resolved",
        }
    }

    /// How a finding stands that came last at one time, as seen at another.
    #[must_use]
    pub fn after(last: Timestamp, now: Timestamp, pace: &Pace) -> Self {
        if now.since(last) >= pace.quiet { Self::Resolved } else { Self::Open }
    }
}

/// Why a line is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It happened for the first time.
    Opened,
    /// It came back after it was over.
    Reopened,
    /// Its severity rose to this band.
    Worse(Band),
    /// It does what it did not do before.
    NewClass,
    /// It touches what it did not touch before.
    NewObject,
    /// It has happened so often: 10, 100, 1000, ...
    Often(u64),
    /// It still goes on.
    Active,
    /// An exception of the new policy covers it.
    Accepted,
    /// Somebody has seen it.
    Acknowledged,
    /// The time is over for which somebody had seen it.
    Lapsed,
    /// Nothing came of it for a day.
    Quiet,
    /// The new policy allows it.
    PolicyChanged,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("opened"),
            Self::Reopened => f.write_str("reopened"),
            Self::Worse(band) => write!(f, "severity rose to {}", band.text()),
            Self::NewClass => f.write_str("new class of operation"),
            Self::NewObject => f.write_str("new object"),
            Self::Often(count) => write!(f, "happened {count} times"),
            Self::Active => f.write_str("still active"),
            Self::Accepted => f.write_str("accepted by exception"),
            Self::Acknowledged => f.write_str("acknowledged"),
            Self::Lapsed => f.write_str("no longer acknowledged"),
            Self::Quiet => f.write_str("resolved: quiet"),
            Self::PolicyChanged => f.write_str("resolved: policy changed"),
        }
    }
}

/// How often is told, and how much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A finding that goes on is told again after so long without a line.
    pub again: Duration,
    /// Lines of one finding within an hour of its first: what more there is shows in the record of the next.
    pub lines: u32,
    /// Without an occurrence for so long it is over.
    pub quiet: Duration,
    /// So many destinations of one source and reason ...
    pub destinations: usize,
    /// ... within this time are one campaign.
    pub campaign: Duration,
    /// Findings kept. At the limit an eighth goes: those that are over first, then those longest without an occurrence.
    pub findings: usize,
    /// Objects remembered of one finding; further ones are not told.
    pub objects: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            again: HOUR,
            lines: 6,
            quiet: Duration::from_secs(86_400),
            destinations: 10,
            campaign: Duration::from_secs(300),
            findings: 1 << 16,
            objects: 64,
        }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// A finding happened.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence<'a> {
    /// Which finding.
    pub id: &'a str,
    /// When, by the packet.
    pub at: Timestamp,
    /// Operations.
    pub count: u64,
    /// How bad.
    pub band: Band,
    /// What kind of operation.
    pub class: &'a str,
    /// On what; empty: nothing that can be named.
    pub object: &'a str,
    /// The campaign that it would be part of, and the destination.
    pub campaign: Option<(&'a str, &'a str)>,
}

/// Somebody has seen a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who.
    pub who: Box<str>,
    /// When.
    pub at: Timestamp,
    /// Why it may stand; empty when nothing was said.
    pub note: Box<str>,
    /// Until when: what still happens then is open again.
    pub until: Option<Timestamp>,
}

/// What is kept of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id, or that of a campaign.
    pub id: Arc<str>,
    /// How it stands.
    pub state: State,
    /// First time.
    pub first: Timestamp,
    /// Last time.
    pub last: Timestamp,
    /// Operations; of a campaign, those of its children since it was one.
    pub count: u64,
    /// The worst there was.
    pub band: Band,
    /// SHA-256 of the policy that raised it last.
    pub policy: Arc<str>,
    /// The campaign it is part of: it is told there.
    pub campaign: Option<Arc<str>>,
    /// Of a campaign: its destinations so far.
    pub destinations: usize,
    /// Who has seen it; kept until it comes back after it was over.
    pub acknowledged: Option<Acknowledgement>,
    /// What it takes to go on telling.
    pub memory: Memory,
}

/// What was told of a finding, so that it is not told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Classes of operations so far.
    pub classes: BTreeSet<Box<str>>,
    /// Objects so far, as many as the pace has.
    pub objects: BTreeSet<Box<str>>,
    /// When its last line was told.
    pub told: Timestamp,
    /// When the hour began in which lines are counted.
    pub hour: Timestamp,
    /// How many were in it.
    pub lines: u32,
    /// The power of ten that was told or passed last.
    pub passed: u64,
}

impl Memory {
    /// What was told by two who did not know of each other, `later` being the one who goes on.
    fn and(mut self, later: Self) -> Self {
        self.classes.extend(later.classes);
        self.objects.extend(later.objects);
        (self.told, self.passed) = (self.told.max(later.told), self.passed.max(later.passed));
        (self.hour, self.lines) = (later.hour, later.lines);
        self
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            classes: BTreeSet::new(),
            objects: BTreeSet::new(),
            told: Timestamp::MIN,
            hour: Timestamp::MIN,
            lines: 0,
            passed: 1,
        }
    }
}

/// One line to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Why.
    pub why: Why,
    /// When.
    pub at: Timestamp,
    /// The finding as it stands now.
    pub record: Record,
}

/// What a new policy says of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It would be raised again.
    Raised,
    /// An exception covers it.
    Excepted,
    /// It would not be raised.
    Gone,
}

/// All findings and campaigns, by id.
#[derive(Debug)]
pub struct Ledger {
    pace: Pace,
    policy: Arc<str>,
    records: BTreeMap<Arc<str>, Record>,
    /// By campaign: the last destinations, each once, with when they were new.
    recent: BTreeMap<Arc<str>, VecDeque<(Timestamp, Box<str>)>>,
    /// Findings that something was noted of since [`Ledger::changed`] was asked.
    changed: BTreeSet<Arc<str>>,
    /// Findings that were forgotten at the limit.
    pub forgotten: u64,
}

impl Ledger {
    /// Nothing found yet, by the policy of this hash.
    #[must_use]
    pub fn new(pace: Pace, policy: &str) -> Self {
        Self {
            pace,
            policy: policy.into(),
            records: BTreeMap::new(),
            recent: BTreeMap::new(),
            changed: BTreeSet::new(),
            forgotten: 0,
        }
    }

    /// Goes on with what was kept of a finding.
    pub fn restore(&mut self, record: Record) {
        self.make_room();
        self.records.insert(Arc::clone(&record.id), record);
    }

    /// What was kept of a finding comes only now, when it may have happened again already: it is one finding with a longer
    /// life, and whoever has seen it has.
    pub fn recall(&mut self, mut kept: Record) {
        if let Some(known) = self.records.remove(&kept.id) {
            kept.first = kept.first.min(known.first);
            kept.last = kept.last.max(known.last);
            kept.count = kept.count.saturating_add(known.count);
            kept.band = kept.band.max(known.band);
            kept.destinations = kept.destinations.max(known.destinations);
            if known.acknowledged.is_some() || kept.state != State::Acknowledged {
                (kept.state, kept.acknowledged) = (known.state, known.acknowledged);
            }
            kept.policy = known.policy;
            kept.campaign = known.campaign.or(kept.campaign);
            kept.memory = kept.memory.and(known.memory);
            self.changed.insert(Arc::clone(&kept.id));
        }
        self.restore(kept);
    }

    /// Forgets what did not happen since that time.
    pub fn forget(&mut self, before: Timestamp) {
        self.records.retain(|_, record| record.last >= before);
    }

    /// Findings that something was noted of since this was asked last, by id.
    pub fn changed(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.changed)
    }

    /// What is known of a finding.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Record> {
        self.records.get(id)
    }

    /// Every finding, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// A finding happened. At most one line comes of it, for the gravest of its causes: the one that opens a campaign
    /// stands for its children from then on.
    pub fn occurred(&mut self, occurrence: &Occurrence<'_>) -> Option<Line> {
        let campaign = self.campaign(occurrence);
        let line = self.note(occurrence, campaign.as_ref());
        let Some(campaign) = campaign else { return line };
        let destinations = self.recent.get(&campaign).map_or(0, VecDeque::len);
        // The same as its children, under its own name.
        let line = self.note(&Occurrence { id: &campaign, object: "", campaign: None, ..*occurrence }, None);
        if let Some(record) = self.records.get_mut(&campaign) {
            record.destinations = record.destinations.max(destinations);
        }
        line
    }

    /// Time has passed: findings that are over are told. Called as often as lines should be timely.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Line> {
        let quiet = self.pace.quiet;
        let over = |record: &&mut Record| record.state != State::Resolved && now.since(record.last) >= quiet;
        let mut lines = Vec::new();
        for record in self.records.values_mut().filter(over) {
            record.state = State::Resolved;
            self.changed.insert(Arc::clone(&record.id));
            lines.extend(record.tell(Why::Quiet, now));
        }
        for record in self.records.values_mut().filter(|record| record.has_lapsed(now)) {
            record.state = State::Open;
            self.changed.insert(Arc::clone(&record.id));
            lines.extend(record.tell(Why::Lapsed, now));
        }
        self.recent.retain(|_, recent| recent.back().is_some_and(|(at, _)| now.since(*at) < quiet));
        lines
    }

    /// A new policy is in force: what it says of each finding that is not over. A finding that it no longer raises is
    /// over and keeps the hash of the policy that raised it.
    pub fn reload(&mut self, now: Timestamp, policy: &str, standing: impl Fn(&Record) -> Standing) -> Vec<Line> {
        self.policy = policy.into();
        let mut lines = Vec::new();
        for record in self.records.values_mut().filter(|record| record.state != State::Resolved) {
            let (state, why) = match standing(record) {
                Standing::Raised if record.state == State::Accepted => (State::Open, Why::Reopened),
                Standing::Raised => continue,
                Standing::Excepted if record.state == State::Accepted => continue,
                Standing::Excepted => (State::Accepted, Why::Accepted),
                Standing::Gone => (State::Resolved, Why::PolicyChanged),
            };
            record.state = state;
            self.changed.insert(Arc::clone(&record.id));
            lines.extend(record.tell(why, now));
        }
        lines
    }

    /// Somebody has seen a finding, or says once more how long it may stand. `None`: there is none of that id that is open.
    pub fn acknowledge(&mut self, id: &str, by: Acknowledgement) -> Option<Line> {
        let stands = |record: &&mut Record| matches!(record.state, State::Open | State::Acknowledged);
        let record = self.records.get_mut(id).filter(stands)?;
        let at = by.at;
        record.state = State::Acknowledged;
        record.acknowledged = Some(by);
        self.changed.insert(Arc::clone(&record.id));
        // Whoever acknowledged a part of a campaign is told, though its campaign speaks for it otherwise.
        Some(Line { why: Why::Acknowledged, at, record: record.clone() })
    }

    /// The campaign that an occurrence is part of, once there is one.
    fn campaign(&mut self, occurrence: &Occurrence<'_>) -> Option<Arc<str>> {
        let (id, destination) = occurrence.campaign?;
        let id: Arc<str> = id.into();
        let recent = self.recent.entry(Arc::clone(&id)).or_default();
        if !recent.iter().any(|(_, known)| **known == *destination) {
            recent.push_back((occurrence.at, destination.into()));
        }
        let is_one = self.records.get(&id).is_some_and(|record| record.state != State::Resolved);
        // Once it is a campaign its destinations are only counted, in a bound.
        let since = |at: Timestamp| occurrence.at.since(at);
        while recent.len() > self.pace.findings.min(1 << 12)
            || !is_one && recent.front().is_some_and(|(at, _)| since(*at) > self.pace.campaign)
        {
            recent.pop_front();
        }
        (is_one || recent.len() >= self.pace.destinations).then_some(id)
    }

    fn note(&mut self, occurrence: &Occurrence<'_>, campaign: Option<&Arc<str>>) -> Option<Line> {
        if !self.records.contains_key(occurrence.id) {
            self.make_room();
        }
        let policy = Arc::clone(&self.policy);
        let record = self.records.entry(occurrence.id.into()).or_insert_with_key(|id| Record::new(id, occurrence));
        self.changed.insert(Arc::clone(&record.id));
        record.policy = policy;
        record.campaign = campaign.cloned().or(record.campaign.take());
        let why = record.note(occurrence, &self.pace)?;
        record.tell_in_turn(why, occurrence.at, &self.pace)
    }

    fn make_room(&mut self) {
        if self.records.len() < self.pace.findings.max(1) {
            return;
        }
        let mut worth: Vec<_> = self
            .records
            .values()
            .map(|record| (record.state != State::Resolved, record.last, Arc::clone(&record.id)))
            .collect();
        worth.sort_unstable();
        for (.., id) in worth.into_iter().take((self.records.len() / 8).max(1)) {
            self.records.remove(&id);
            self.recent.remove(&id);
            self.changed.remove(&id);
            self.forgotten += 1;
        }
    }
}

impl Record {
    fn new(id: &Arc<str>, occurrence: &Occurrence<'_>) -> Self {
        Self {
            id: Arc::clone(id),
            // Its first occurrence opens it.
            state: State::Resolved,
            first: occurrence.at,
            last: occurrence.at,
            count: 0,
            band: occurrence.band,
            policy: "".into(),
            campaign: None,
            destinations: 0,
            acknowledged: None,
            memory: Memory::default(),
        }
    }

    /// The time is over for which somebody had seen it.
    fn has_lapsed(&self, now: Timestamp) -> bool {
        let until = self.acknowledged.as_ref().and_then(|by| by.until);
        self.state == State::Acknowledged && until.is_some_and(|until| until <= now)
    }

    /// Takes note, and says what is to be told of it.
    fn note(&mut self, occurrence: &Occurrence<'_>, pace: &Pace) -> Option<Why> {
        let known = self.count > 0;
        self.count = self.count.saturating_add(occurrence.count.max(1));
        self.last = self.last.max(occurrence.at);
        let rose = (occurrence.band > self.band).then_some(Why::Worse(occurrence.band));
        self.band = self.band.max(occurrence.band);
        let memory = &mut self.memory;
        let class = memory.classes.insert(occurrence.class.into()).then_some(Why::NewClass);
        let room = !occurrence.object.is_empty() && memory.objects.len() < pace.objects;
        let object = (room && memory.objects.insert(occurrence.object.into())).then_some(Why::NewObject);
        let power = 10_u64.checked_pow(self.count.ilog10()).unwrap_or(u64::MAX);
        let often = (power > memory.passed).then_some(Why::Often(power));
        memory.passed = memory.passed.max(power);
        match self.state {
            State::Resolved => {
                self.state = State::Open;
                self.acknowledged = None;
                Some(if known { Why::Reopened } else { Why::Opened })
            }
            State::Acknowledged | State::Accepted => rose,
            State::Open => {
                let again = (occurrence.at.since(self.memory.told) >= pace.again).then_some(Why::Active);
                rose.or(class).or(object).or(often).or(again)
            }
        }
    }

    /// What changes its state is told at once; of the rest no more than the pace has.
    fn tell_in_turn(&mut self, why: Why, at: Timestamp, pace: &Pace) -> Option<Line> {
        let memory = &mut self.memory;
        if memory.hour == Timestamp::MIN || at.since(memory.hour) >= HOUR {
            (memory.hour, memory.lines) = (at, 0);
        }
        let changes_state = matches!(why, Why::Opened | Why::Reopened);
        (changes_state || memory.lines < pace.lines).then(|| self.tell(why, at)).flatten()
    }

    fn tell(&mut self, why: Why, at: Timestamp) -> Option<Line> {
        // Its campaign speaks for it.
        if self.campaign.is_some() {
            return None;
        }
        let memory = &mut self.memory;
        (memory.told, memory.lines) = (at, memory.lines.saturating_add(1));
        Some(Line { why, at, record: self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60;
    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(1_800_000_000, 0).after(Duration::from_secs(seconds))
    }

    fn occurrence(seconds: u64) -> Occurrence<'static> {
        let (class, object) = ("write", "holding 200");
        Occurrence { id: "V-1", at: at(seconds), count: 1, band: Band::Medium, class, object, campaign: None }
    }

    fn seen(until: Option<Timestamp>) -> Acknowledgement {
        Acknowledgement { who: "shift lead".into(), at: at(0), note: "planned".into(), until }
    }

    fn said(line: impl IntoIterator<Item = Line>) -> Vec<String> {
        line.into_iter().map(|line| format!("{} {}", line.record.id, line.why)).collect()
    }

    /// Takes occurrences, with a look at the clock before each, and says every line.
    fn run(ledger: &mut Ledger, occurrences: &[Occurrence<'_>]) -> String {
        let mut lines = Vec::new();
        for occurrence in occurrences {
            lines.extend(ledger.tick(occurrence.at));
            lines.extend(ledger.occurred(occurrence));
        }
        said(lines).join(", ").replace("V-1 ", "")
    }

    #[test]
    fn what_was_kept_may_come_late() {
        use State::{Acknowledged, Open, Resolved};
        for (case, before, since, want) in [
            ("nothing since", Open, None, Open),
            ("open", Open, Some(Open), Open),
            ("acknowledged", Acknowledged, Some(Open), Acknowledged),
            ("acknowledged now", Open, Some(Acknowledged), Acknowledged),
            ("it was over, and is back", Resolved, Some(Open), Open),
        ] {
            let life = |state: Option<State>, seconds| {
                let mut ledger = Ledger::new(Pace::default(), "hash");
                if state.is_some() {
                    ledger.occurred(&occurrence(seconds));
                }
                match state {
                    Some(Acknowledged) => _ = ledger.acknowledge("V-1", seen(None)),
                    Some(Resolved) => _ = ledger.tick(at(seconds + 2 * DAY)),
                    _ => {}
                }
                ledger
            };
            let kept = life(Some(before), 0).get("V-1").unwrap().clone();
            let mut now = life(since, 3 * DAY);
            now.recall(kept);
            let record = now.get("V-1").unwrap();
            let count = 1 + u64::from(since.is_some());
            assert_eq!((record.state, record.first, record.count), (want, at(0), count), "{case}");
            assert_eq!(record.acknowledged.is_some(), want == Acknowledged, "{case}");
            assert_eq!(now.changed().contains("V-1"), since.is_some(), "{case}: it is to be written anew");
        }
    }

    #[test]
    fn what_is_told() {
        let once = occurrence(0);
        for (case, occurrences, want) in [
            ("once", vec![once], "opened"),
            ("twice", vec![once, occurrence(1)], "opened"),
            ("worse", vec![once, Occurrence { band: Band::High, ..once }], "opened, severity rose to high"),
            ("milder is nothing", vec![once, Occurrence { band: Band::Low, ..once }], "opened"),
            ("another class", vec![once, Occurrence { class: "mode", ..once }], "opened, new class of operation"),
            ("another object", vec![once, Occurrence { object: "holding 7", ..once }], "opened, new object"),
            ("ten at once", vec![once, Occurrence { count: 9, ..once }], "opened, happened 10 times"),
            ("past a hundred", vec![once, Occurrence { count: 200, ..once }], "opened, happened 100 times"),
            ("an hour later", vec![once, occurrence(59 * MINUTE), occurrence(60 * MINUTE)], "opened, still active"),
            ("a day later", vec![once, occurrence(DAY)], "opened, resolved: quiet, reopened"),
            ("a day less a second later", vec![once, occurrence(DAY - 1)], "opened, still active"),
            ("out of order", vec![occurrence(10), once], "opened"),
        ] {
            let mut ledger = Ledger::new(Pace::default(), "p");
            assert_eq!(run(&mut ledger, &occurrences), want, "{case}");
        }
    }

    #[test]
    fn five_thousand_in_an_hour_are_one_record_and_few_lines() {
        let mut ledger = Ledger::new(Pace::default(), "p");
        let many: Vec<_> = (0..5_000).map(|n| occurrence(n * 3_600 / 5_000)).collect();
        let told = run(&mut ledger, &many);
        assert_eq!(told, "opened, happened 10 times, happened 100 times, happened 1000 times");
        assert_eq!(ledger.iter().map(|record| record.count).collect::<Vec<_>>(), [5_000]);
    }

    #[test]
    fn somebody_has_seen_it() {
        let mut ledger = Ledger::new(Pace::default(), "p");
        run(&mut ledger, &[occurrence(0)]);
        assert_eq!(said(ledger.acknowledge("V-1", seen(None))), ["V-1 acknowledged"]);
        assert_eq!(said(ledger.acknowledge("V-2", seen(None))), [""; 0], "there is none");
        let later = [
            Occurrence { count: 100, object: "holding 9", ..occurrence(2 * 3_600) },
            Occurrence { band: Band::Critical, ..occurrence(3 * 3_600) },
            occurrence(3 * 3_600 + DAY),
        ];
        assert_eq!(run(&mut ledger, &later), "severity rose to critical, resolved: quiet, reopened");
        assert_eq!(ledger.get("V-1").unwrap().acknowledged, None, "what comes back is seen by nobody");
    }

    #[test]
    fn somebody_has_seen_it_for_a_while() {
        let mut ledger = Ledger::new(Pace::default(), "p");
        run(&mut ledger, &[occurrence(0)]);
        ledger.acknowledge("V-1", seen(Some(at(10 * MINUTE))));
        ledger.acknowledge("V-1", seen(Some(at(20 * MINUTE))));
        assert_eq!(said(ledger.tick(at(20 * MINUTE - 1))), [""; 0]);
        assert_eq!(said(ledger.tick(at(20 * MINUTE))), ["V-1 no longer acknowledged"]);
        assert_eq!(ledger.get("V-1").unwrap().state, State::Open);
        assert_eq!(said(ledger.tick(at(21 * MINUTE))), [""; 0], "once");
    }

    #[test]
    fn what_was_kept_goes_on_where_it_was() {
        let occurrences: Vec<_> = (0..40).map(|n| Occurrence { count: 3, ..occurrence(n * 400) }).collect();
        let mut whole = Ledger::new(Pace::default(), "p");
        let told = run(&mut whole, &occurrences);
        for cut in 1..occurrences.len() {
            let (before, after) = occurrences.split_at(cut);
            let mut first = Ledger::new(Pace::default(), "p");
            let mut parts = run(&mut first, before);
            assert_eq!(first.changed().len(), 1);
            assert_eq!(first.changed().len(), 0, "it was asked");
            let mut second = Ledger::new(Pace::default(), "p");
            first.iter().for_each(|record| second.restore(record.clone()));
            for more in [run(&mut second, after)].iter().filter(|more| !more.is_empty()) {
                parts = format!("{parts}, {more}");
            }
            assert_eq!(parts, told, "cut after {cut}");
        }
    }

    #[test]
    fn a_new_policy() {
        for (case, standing, want, state, policy) in [
            ("still raised", Standing::Raised, "", State::Open, "old"),
            ("allowed now", Standing::Gone, "resolved: policy changed", State::Resolved, "old"),
            ("under an exception", Standing::Excepted, "accepted by exception", State::Accepted, "old"),
        ] {
            let mut ledger = Ledger::new(Pace::default(), "old");
            run(&mut ledger, &[occurrence(0)]);
            let lines = ledger.reload(at(60), "new", |_| standing);
            assert_eq!(said(lines).join(", ").replace("V-1 ", ""), want, "{case}");
            let record = ledger.get("V-1").unwrap();
            assert_eq!((record.state, &*record.policy), (state, policy), "{case}");
            // What is over is not asked again; what the new policy raises carries its hash.
            let again = ledger.reload(at(61), "newer", |record| match record.state {
                State::Resolved => panic!("{case}"),
                _ => standing,
            });
            assert!(again.is_empty(), "{case}");
            ledger.occurred(&occurrence(62));
            assert_eq!(&*ledger.get("V-1").unwrap().policy, "newer", "{case}");
        }
    }

    #[test]
    fn a_campaign_is_one_line() {
        let mut ledger = Ledger::new(Pace::default(), "p");
        let ids: Vec<(String, String)> = (0..200).map(|n| (format!("V-{n}"), format!("10.0.0.{n}"))).collect();
        let mut lines = Vec::new();
        for (second, (id, host)) in (0..).zip(&ids) {
            let campaign = Some(("K-1", host.as_str()));
            lines.extend(ledger.occurred(&Occurrence { id, campaign, ..occurrence(second) }));
        }
        let told = said(lines);
        // What was told at once before anybody could know, then the campaign alone.
        assert_eq!(told.iter().filter(|line| line.starts_with("V-")).count(), 9);
        assert_eq!(told[9..], ["K-1 opened", "K-1 happened 10 times", "K-1 happened 100 times"]);
        assert_eq!(ledger.get("K-1").unwrap().destinations, 200);
        // The children are kept, and silent when they end.
        assert_eq!(ledger.iter().count(), 201);
        let over = said(ledger.tick(at(2 * DAY)));
        assert_eq!(over.iter().filter(|line| line.starts_with("K-1")).count(), 1);
        assert!(over.len() <= 10, "{over:?}");
    }

    #[test]
    fn slow_knocking_is_no_campaign() {
        let mut ledger = Ledger::new(Pace::default(), "p");
        for n in 0..50 {
            let (id, host) = (format!("V-{n}"), n.to_string());
            let campaign = Some(("K-1", host.as_str()));
            ledger.occurred(&Occurrence { id: &id, campaign, ..occurrence(n * 60) });
        }
        assert!(ledger.get("K-1").is_none());
    }

    #[test]
    fn the_ledger_is_bounded_and_what_is_over_goes_first() {
        let mut ledger = Ledger::new(Pace { findings: 8, ..Pace::default() }, "p");
        for n in 0..100 {
            let id = format!("V-{n}");
            ledger.occurred(&Occurrence { id: &id, ..occurrence(n) });
            ledger.occurred(&Occurrence { id: "V-0", ..occurrence(n) });
        }
        assert!(ledger.iter().count() <= 8 && ledger.forgotten == 92, "{}", ledger.forgotten);
        assert_eq!(ledger.get("V-0").unwrap().count, 101);
    }

    proptest! {
        /// However many they are and however they lie, equal violations of one hour are at most six lines.
        #[test]
        fn an_hour_is_at_most_six_lines(mut times in proptest::collection::vec(0..3_600_u64, 1..300), each in 1..100_000_u64) {
            times.sort_unstable();
            let mut ledger = Ledger::new(Pace::default(), "p");
            let equal = times.iter().map(|time| Occurrence { count: each, ..occurrence(*time) });
            let lines = equal.filter_map(|occurrence| ledger.occurred(&occurrence)).count();
            prop_assert!((1..=6).contains(&lines), "{} lines of {}", lines, times.len());
            prop_assert_eq!(ledger.get("V-1").unwrap().count, each * times.len() as u64);
        }

        /// What differs every time is no more than that either: nobody can flood the reader.
        #[test]
        fn nor_can_anything_else_flood_the_reader(objects in proptest::collection::vec(0..1_000_u32, 1..300)) {
            let mut ledger = Ledger::new(Pace::default(), "p");
            let objects: Vec<String> = objects.iter().map(u32::to_string).collect();
            let each = objects.iter().map(|object| Occurrence { object, class: object, ..occurrence(0) });
            prop_assert!(each.filter_map(|occurrence| ledger.occurred(&occurrence)).count() <= 6);
        }
    }
}
