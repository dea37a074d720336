//! The keeper: every flush it gathers what the workers learned, concludes, and tells.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::capture::{InterfaceState, Watched};
use super::clock;
use super::engine::Engine;
use super::keeping::{Found, Keeping, past};
use super::recorder::Recording;
use super::shared::{Health, Picture, Shared};
use super::telling::{Past, Telling};
use super::world::Changed;
use crate::analysis;
use crate::event::Event;
use crate::event::format::{Facility, Format};
use crate::evidence::Room;
use crate::policy::Policy;
use crate::policy::life::Acknowledgement;
use crate::store::{Cut, Flush, Happened, Kept, Store, StoreError};
use crate::time::Timestamp;
use crate::worker::ShardResult;

/// What the keeper is told to do.
pub enum Order {
    /// Judge by this from now on.
    Policy(Option<Arc<Policy>>),
    /// The policy on disk could not be loaded.
    ReloadFailed(String),
    /// Go on at this pace.
    Pace(Pace),
    /// Somebody has seen the finding of this id; whether there is one is answered when it is written.
    Acknowledge(String, Acknowledgement, Sender<Result<(), String>>),
    /// Gather the last, and end; until then, if there is a time.
    Stop(Option<Instant>),
}

/// What of the settings can change while the sensor runs, and what cannot.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Time between two flushes.
    pub flush: Duration,
    /// What was not seen for so long is forgotten.
    pub keep: Duration,
    /// At this size of the store, in bytes, what was seen longest ago is forgotten.
    pub most: u64,
    /// Frames of findings: how much is remembered, and bytes of all files.
    pub evidence: (Room, u64),
    /// Settings that are other ones now, and need a restart to be in force.
    pub needs_restart: Vec<&'static str>,
}

/// Who hears of every flush, and of what is to be told.
pub type Listener = Box<dyn FnMut(&Shared, &[Event]) + Send>;

/// Gathers, concludes and tells.
pub struct Keeper {
    shared: Arc<Shared>,
    flush: Duration,
    inbox: Receiver<Order>,
    listener: Listener,
    telling: Telling,
    health: Health,
    store: Option<Keeping>,
    recording: Option<Recording>,
    /// Captures of this run.
    own: BTreeSet<u16>,
    /// What is not written yet.
    pending: Pending,
    clock: Clock,
    looks: Looks,
    /// What is too old is forgotten with this flush.
    forgets: bool,
    /// The sensor is to stop: who is in the middle of a flush hurries.
    stopping: Arc<AtomicBool>,
    /// The last flush has begun.
    last: Option<Last>,
    /// When all that was known was written.
    written: Timestamp,
}

/// The last flush.
struct Last {
    /// When it is to be done, if it is not to be whole.
    by: Option<Instant>,
    /// Flows from which there was no time to conclude.
    unconcluded: u64,
}

/// What is not written yet.
#[derive(Default)]
struct Pending {
    changed: Changed,
    findings: BTreeMap<Arc<str>, Kept>,
    events: VecDeque<Happened>,
}

/// Events that wait to be written. What is told meanwhile reaches those who listen, and is missing in the store.
const EVENTS: usize = 1 << 14;

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        flush: Duration,
        inbox: Receiver<Order>,
        (store, past): (Option<Keeping>, Past),
        recording: Option<Recording>,
        stopping: Arc<AtomicBool>,
        (name, listener): (String, Listener),
    ) -> Self {
        let now = clock::now();
        let evidence = recording.as_ref().map(Recording::state);
        let store_error = store.as_ref().and_then(|keeping| keeping.error.clone());
        let policy_loaded = Some(now);
        let health = Health { at: now, started: now, policy_loaded, evidence, store_error, ..Health::default() };
        shared.set_health(health.clone());
        let telling = Telling::new(name, &shared.picture(), past);
        shared.picture_mut().told.live(telling.life());
        Self {
            shared,
            flush,
            inbox,
            listener,
            telling,
            health,
            store,
            recording,
            own: BTreeSet::new(),
            pending: Pending::default(),
            clock: Clock::new(now),
            looks: Looks::default(),
            forgets: false,
            stopping,
            last: None,
            written: now,
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self, engine: Arc<Engine>) {
        let mut next = Instant::now() + self.flush;
        let by = loop {
            match self.inbox.recv_deadline(next.min(Instant::now() + LOOK)) {
                Err(RecvTimeoutError::Timeout) if Instant::now() < next && !engine.is_crowded() => {}
                // Nothing more is judged by it.
                Ok(Order::Policy(_)) if self.stopping.load(Ordering::Relaxed) => {}
                Ok(Order::Policy(policy)) => {
                    let taps = analysis::taps(&self.shared.picture().world.captures, policy.as_deref());
                    self.gather(&engine, engine.judge_by(clock::now(), policy.as_ref(), &taps));
                    self.judge_by(policy);
                    self.health.policy_loaded = Some(clock::now());
                    self.health.reload_error = None;
                }
                Ok(Order::ReloadFailed(why)) => self.health.reload_error = Some(why),
                Ok(Order::Pace(pace)) => {
                    self.flush = pace.flush;
                    next = next.min(Instant::now() + self.flush);
                    self.health.needs_restart = pace.needs_restart;
                    if let Some(keeping) = &mut self.store {
                        (keeping.keep, keeping.most) = (pace.keep, pace.most);
                    }
                    let (room, most) = pace.evidence;
                    self.recording.iter().for_each(|recording| recording.resize(room.clone(), most));
                }
                Ok(Order::Acknowledge(id, by, answer)) => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.acknowledge(&id, by));
                }
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + self.flush;
                    self.gather(&engine, engine.drain(clock::now()));
                }
                Ok(Order::Stop(by)) => break by,
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        self.health.lost = engine.lost();
        // The capture threads have ended: nobody else holds the engine.
        let results = Arc::into_inner(engine).map(Engine::stop).unwrap_or_default();
        self.end(results, by);
        if let Some(recording) = self.recording {
            recording.stop();
        }
        self.store.and_then(|keeping| keeping.store).into_iter().for_each(Store::close);
    }

    /// The last flush. What was observed is written first; what follows from it is concluded if it is done in time, as the
    /// flush before shows. If not that is told, and the next start concludes it from what is stored.
    fn end(&mut self, results: Vec<ShardResult>, by: Option<Instant>) {
        let now = clock::now();
        let shared = Arc::clone(&self.shared);
        self.last = Some(Last { by, unconcluded: 0 });
        self.add(&mut shared.picture_mut(), results, now);
        let unconcluded = self.pending.changed.flows.len() as u64;
        if by.is_some() {
            self.leave(unconcluded);
            self.write(now);
        }
        // A flush is not like the one before.
        let takes = self.looks.concluding * 5 / 4;
        let in_time = by.is_none_or(|by| Instant::now() + takes <= by);
        let concluded = in_time.then(|| self.conclude(&mut shared.picture_mut(), now)).flatten();
        let events = match concluded {
            Some(events) => {
                self.leave(0);
                events
            }
            None => {
                let waits = self.store.as_ref().map_or(0, |_| self.pending.changed.flows.len());
                let cut = Cut { unconcluded, unwritten: waits as u64 };
                vec![self.telling.cut(cut, &shared.picture(), now)]
            }
        };
        self.told(&events, now);
    }

    /// From so many flows the next start has to conclude, as it stands.
    fn leave(&mut self, unconcluded: u64) {
        self.last.iter_mut().for_each(|last| last.unconcluded = unconcluded);
    }

    fn gather(&mut self, engine: &Engine, results: Vec<ShardResult>) {
        self.health.lost = engine.lost();
        self.health.waiting = engine.waiting();
        self.health.broken = engine.is_broken();
        self.merge(results);
    }

    fn merge(&mut self, results: Vec<ShardResult>) {
        let now = clock::now();
        // Asked before their state: it is their last.
        let ended: Vec<u16> =
            self.shared.watched().iter().filter(|watched| watched.has_ended()).map(|it| it.capture).collect();
        let shared = Arc::clone(&self.shared);
        let events = {
            let mut picture = shared.picture_mut();
            self.add(&mut picture, results, now);
            match self.conclude(&mut picture, now) {
                Some(events) => events,
                None => return, // The last flush is next, and concludes from all of it.
            }
        };
        self.told(&events, now);
        self.shared.change_watched(|all| all.retain(|one| one.stays() || !ended.contains(&one.capture)));
    }

    /// Adds what the workers learned to what is known. What is said of it stands as it was until it is concluded.
    fn add(&mut self, picture: &mut Picture, mut results: Vec<ShardResult>, now: Timestamp) {
        let marks = results.iter_mut().flat_map(|result| std::mem::take(&mut result.marks)).collect();
        if let Some(recording) = &self.recording {
            recording.mark(marks);
        }
        let watched = self.shared.watched();
        self.own.extend(watched.iter().map(|watched| watched.capture));
        self.health.at = now;
        self.health.flushes += 1;
        self.clock.look(now);
        // Once an hour is often enough: nothing hangs on it.
        self.forgets = self.last.is_none() && self.health.flushes.is_multiple_of(FORGET) && self.clock.is_steady();
        if let Some(keeping) = self.store.as_ref().filter(|_| self.forgets) {
            picture.world.forget(now.before(keeping.keep));
            self.telling.forget(now.before(keeping.keep));
        }
        for one in &watched {
            picture.world.goes_on(one.capture, one.state().summary());
        }
        let mut changed = picture.world.add(results);
        self.pending.changed.flows.append(&mut changed.flows);
        self.pending.changed.subjects.append(&mut changed.subjects);
    }

    /// What follows from what is known, and what is to be told of it. `None` when there is no time for it any more.
    fn conclude(&mut self, picture: &mut Picture, now: Timestamp) -> Option<Vec<Event>> {
        let began = Instant::now();
        let (by, stopping) = (self.last.as_ref().map(|last| last.by), Arc::clone(&self.stopping));
        let goes_on = || goes_on(by, &stopping);
        goes_on().then_some(())?;
        self.pending.changed.flows.extend(picture.world.conclude_again());
        self.looks.tell(picture, self.last.is_none(), &goes_on)?;
        picture.at = now;
        let state = |one: &Watched| {
            let ways = picture.world.analysis.ways(one.capture.into());
            InterfaceState { ways, ..one.state() }
        };
        self.health.interfaces = self.shared.watched().iter().filter(|one| one.stays()).map(state).collect();
        if let Some(recording) = &mut self.recording {
            recording.file(&mut picture.told);
            self.health.evidence = Some(recording.state());
        }
        let events = self.telling.flushed(picture, &self.health, now);
        self.findings_stand(picture);
        self.looks.concluding = began.elapsed();
        Some(events)
    }

    /// What was told reaches its listeners first and is written then: after a kill in between it is told twice, and never not
    /// at all.
    fn told(&mut self, events: &[Event], now: Timestamp) {
        (self.listener)(&self.shared, events);
        for event in events {
            if self.pending.events.len() >= EVENTS {
                self.pending.events.pop_front();
            }
            self.pending.events.push_back(Happened {
                sequence: event.sequence,
                at: event.time,
                kind: event.kind.text(),
                subject: event.subject(),
                record: Format::Json.line(event, Facility::default()),
            });
        }
        self.write(now);
        self.shared.set_health(self.health.clone());
    }

    /// Says of each finding how it stands, and keeps what changed.
    fn findings_stand(&mut self, picture: &mut Picture) {
        picture.told.live(self.telling.life());
        if self.store.is_some() {
            let changed = self.telling.changed(picture).into_iter();
            self.pending.findings.extend(changed.map(|kept| (Arc::clone(&kept.life.id), kept)));
        }
    }

    fn acknowledge(&mut self, id: &str, by: Acknowledgement) -> Result<(), String> {
        let now = clock::now();
        let shared = Arc::clone(&self.shared);
        let events = {
            let mut picture = shared.picture_mut();
            let events = self.telling.acknowledge(id, by, &picture);
            self.findings_stand(&mut picture);
            events
        };
        let events = events.ok_or("it is not open: what is over or accepted needs nobody to acknowledge it")?;
        self.told(&events, now);
        match (&self.store, &self.health.store_error) {
            (Some(_), Some(error)) => {
                Err(format!("it holds until the sensor stops, and could not be written: {error}"))
            }
            _ => Ok(()),
        }
    }

    fn judge_by(&mut self, policy: Option<Arc<Policy>>) {
        let shared = Arc::clone(&self.shared);
        let events = {
            let mut picture = shared.picture_mut();
            picture.world.judge_by(policy);
            picture.told = picture.world.analysis.tell(&picture.world.captures);
            self.recording.iter().for_each(|recording| recording.name(&mut picture.told));
            let events = self.telling.reloaded(&picture, clock::now());
            // Every flow is judged anew, and so is to be written anew.
            self.pending.changed.flows = picture.world.analysis.observed.flows.iter().map(|flow| flow.key).collect();
            self.findings_stand(&mut picture);
            events
        };
        self.told(&events, clock::now());
    }

    /// Writes what changed. What cannot be written is tried again at the next flush: it stays in memory, which is bounded,
    /// and that is told.
    fn write(&mut self, now: Timestamp) {
        let written = self.open_again().and_then(|()| self.write_flush(now));
        self.health.store_error = written.err().map(|error| error.to_string());
        if self.health.store_error.is_some() {
            self.forget_pending();
        }
    }

    /// Opens the store if it could not be until now, and goes on from what it holds.
    fn open_again(&mut self) -> Result<(), StoreError> {
        let Some(keeping) = &mut self.store else { return Ok(()) };
        let shared = Arc::clone(&self.shared);
        let (captures, policy) = {
            let world = &shared.picture().world;
            (u16::try_from(world.captures.len()).unwrap_or(u16::MAX), world.options().policy.clone())
        };
        let Found { restored, said } = keeping.open_again(captures, policy.as_deref())?;
        said.into_iter().for_each(|said| self.telling.remark("store", said));
        if let Some(restored) = restored {
            let mut picture = shared.picture_mut();
            let past = past(restored, &mut picture.world);
            picture.told = picture.world.analysis.tell(&picture.world.captures);
            self.recording.iter().for_each(|recording| recording.name(&mut picture.told));
            self.telling.recall(past, &picture);
            self.findings_stand(&mut picture);
        }
        Ok(())
    }

    fn write_flush(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(Keeping { store: Some(store), keep, most, .. }) = &mut self.store else { return Ok(()) };
        let picture = self.shared.picture();
        let observed = &picture.world.analysis.observed;
        let of = |place: &u16| Some((*place, picture.world.captures.get(usize::from(*place))?));
        let captures: Vec<_> = self.own.iter().filter_map(of).collect();
        let facts: Vec<_> = self
            .pending
            .changed
            .subjects
            .iter()
            .filter_map(|subject| Some((subject, observed.ledger.get(subject)?)))
            .collect();
        let mut flows: Vec<_> = self
            .pending
            .changed
            .flows
            .iter()
            .filter_map(|key| observed.flows.binary_search_by_key(key, |flow| flow.key).ok())
            .filter_map(|place| observed.flows.get(place))
            .collect();
        let policy = picture.world.options().policy.as_deref();
        if self.last.is_some() {
            // There may not be time for all. A conversation that is not stored at all is worth more than later counters of one.
            flows.sort_by_key(|flow| flow.first().at < self.written);
        }
        let unconcluded = self.last.as_ref().map_or(0, |last| last.unconcluded);
        // What is observed matters more than what it means: it gets a part of what others have for what they began.
        let by = self.last.as_ref().map(|last| last.by.map(|by| by + WRITING));
        let stopping = &self.stopping;
        let flush = Flush {
            captures: &captures,
            facts: &facts,
            flows: &flows,
            policy,
            at: now,
            watch: &observed.watch,
            findings: &self.pending.findings.values().collect::<Vec<_>>(),
            events: self.pending.events.make_contiguous(),
            coverage: &observed.coverage,
            unconcluded,
        };
        let written = store.write_while(&flush, &|| goes_on(by, stopping))?;
        // What there was no time for waits.
        let waits: BTreeSet<_> = flows.iter().skip(written).map(|flow| flow.key).collect();
        if waits.is_empty() {
            self.written = now;
        }
        drop(picture);
        self.pending = Pending { changed: Changed { flows: waits, ..Changed::default() }, ..Pending::default() };
        if std::mem::take(&mut self.forgets) {
            store.forget(now.before(*keep), *most)?;
        }
        Ok(())
    }

    /// Of what waits to be written forgets what the world has forgotten: a flood while the disk is full must not fill the
    /// memory with names of what is gone.
    fn forget_pending(&mut self) {
        let Pending { changed, findings, .. } = &mut self.pending;
        let picture = self.shared.picture();
        let observed = &picture.world.analysis.observed;
        changed.flows.retain(|key| observed.flows.binary_search_by_key(key, |flow| flow.key).is_ok());
        changed.subjects.retain(|subject| observed.ledger.get(subject).is_some());
        findings.retain(|id, _| self.telling.life().get(id).is_some());
    }
}

/// Time between two looks whether the workers have to be drained before it is time: their tables are small.
const LOOK: Duration = Duration::from_secs(1);

/// Flushes between two looks for what is too old.
const FORGET: u64 = 360;

/// Whether there is time: in the last flush until it is to be done, if it is not to be whole; before it until it is next.
fn goes_on(last: Option<Option<Instant>>, stopping: &AtomicBool) -> bool {
    match last {
        None => !stopping.load(Ordering::Relaxed),
        Some(by) => by.is_none_or(|by| Instant::now() < by),
    }
}

/// So much longer than what is concluded may what was observed take to be written.
const WRITING: Duration = Duration::from_millis(200);

/// How often everything is told, in a plant so large that it takes long.
#[derive(Default)]
struct Looks {
    looked: Option<Instant>,
    took: Duration,
    /// What it took to conclude at the last flush.
    concluding: Duration,
}

/// To look at every flow takes at most one part of so many of the time.
const PART: u32 = 20;

impl Looks {
    /// Says what there is to say. What changes slowly is looked at when that `may` be, and was long enough ago.
    fn tell(&mut self, picture: &mut Picture, may: bool, goes_on: &dyn Fn() -> bool) -> Option<()> {
        let began = Instant::now();
        let looks = self.looked.is_none_or(|looked| may && began.duration_since(looked) >= self.took * PART);
        // The findings of both would take twice the room.
        let before = std::mem::take(&mut picture.told);
        picture.told = picture.world.analysis.tell_again(&picture.world.captures, before, looks, goes_on)?;
        if looks {
            (self.looked, self.took) = (Some(began), began.elapsed());
        }
        Some(())
    }
}

/// A clock that was set by a year would have everything forgotten: it has to go on steadily for a while first.
struct Clock {
    wall: Timestamp,
    looked: Instant,
    steady: Instant,
}

/// The wall clock may differ by so much from the time that has passed.
const STEP: Duration = Duration::from_secs(60);
/// Without a step for so long it is believed.
const STEADY: Duration = Duration::from_secs(1800);

impl Clock {
    fn new(wall: Timestamp) -> Self {
        Self { wall, looked: Instant::now(), steady: Instant::now() }
    }

    fn look(&mut self, wall: Timestamp) {
        let expected = self.wall.after(self.looked.elapsed());
        if wall.since(expected) > STEP || expected.since(wall) > STEP {
            self.steady = Instant::now();
        }
        (self.wall, self.looked) = (wall, Instant::now());
    }

    fn is_steady(&self) -> bool {
        self.steady.elapsed() >= STEADY
    }
}
