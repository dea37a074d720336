//! The keeper: every flush it gathers what the workers learned, concludes, and tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::capture::InterfaceState;
use super::engine::Engine;
use super::recorder::{EvidenceState, Recording};
use super::shared::{Health, Shared};
use super::telling::Telling;
use super::world::Changed;
use super::{Keeping, clock};
use crate::analysis;
use crate::event::Event;
use crate::policy::Policy;
use crate::store::Flush;
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
    /// Gather the last, and end.
    Stop,
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
    /// Captures of earlier starts.
    earlier: usize,
    /// What is not written yet.
    pending: Changed,
}

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        flush: Duration,
        inbox: Receiver<Order>,
        (store, earlier): (Option<Keeping>, usize),
        recording: Option<std::io::Result<Recording>>,
        (name, listener): (String, Listener),
    ) -> Self {
        let now = clock::now();
        // What is found is told all the same when no frames of it can be kept.
        let broken = |error| EvidenceState { error: Some(error), ..EvidenceState::default() };
        let evidence = recording
            .as_ref()
            .map(|begun| begun.as_ref().err().map_or_else(EvidenceState::default, |error| broken(error.to_string())));
        let recording = recording.and_then(Result::ok);
        let health = Health { at: now, started: now, policy_loaded: Some(now), evidence, ..Health::default() };
        shared.set_health(health.clone());
        let telling = Telling::new(name, &shared.picture());
        Self { shared, flush, inbox, listener, telling, health, store, recording, earlier, pending: Changed::default() }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self, engine: Arc<Engine>) {
        let mut next = Instant::now() + self.flush;
        loop {
            match self.inbox.recv_deadline(next) {
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
                }
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + self.flush;
                    self.gather(&engine, engine.drain(clock::now()));
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.health.lost = engine.lost();
        // The capture threads have ended: nobody else holds the engine.
        let results = Arc::into_inner(engine).map(Engine::stop).unwrap_or_default();
        self.merge(results);
        if let Some(recording) = self.recording {
            recording.stop();
        }
    }

    fn gather(&mut self, engine: &Engine, results: Vec<ShardResult>) {
        self.health.lost = engine.lost();
        self.health.waiting = engine.waiting();
        self.health.broken = engine.is_broken();
        self.merge(results);
    }

    fn merge(&mut self, mut results: Vec<ShardResult>) {
        let now = clock::now();
        let marks = results.iter_mut().flat_map(|result| std::mem::take(&mut result.marks)).collect();
        let mut interfaces = self.shared.interfaces();
        {
            let mut picture = self.shared.picture_mut();
            picture.world.captures.truncate(self.earlier);
            picture.world.captures.extend(interfaces.iter().map(InterfaceState::summary));
            let mut changed = picture.world.merge(results);
            self.pending.flows.append(&mut changed.flows);
            self.pending.subjects.append(&mut changed.subjects);
            picture.told = picture.world.analysis.tell(&picture.world.captures);
            picture.at = now;
            for (place, state) in (self.earlier..).zip(&mut interfaces) {
                state.ways = picture.world.analysis.ways(place);
            }
        }
        if let Some(recording) = &mut self.recording {
            recording.file(marks, &self.shared);
            self.health.evidence = Some(recording.state());
        }
        self.health.at = now;
        self.health.flushes += 1;
        self.health.interfaces = interfaces;
        self.write(now);
        self.shared.set_health(self.health.clone());
        let events = self.telling.flushed(&self.shared.picture(), &self.health, now);
        (self.listener)(&self.shared, &events);
    }

    fn judge_by(&mut self, policy: Option<Arc<Policy>>) {
        let events = {
            let mut picture = self.shared.picture_mut();
            picture.world.judge_by(policy);
            picture.told = picture.world.analysis.tell(&picture.world.captures);
            self.recording.iter().for_each(|recording| recording.name(&mut picture.told));
            self.telling.reloaded(&picture, clock::now())
        };
        // Every flow is judged anew, and so is to be written anew.
        let flows = self.shared.picture().world.analysis.observed.flows.iter().map(|flow| flow.key).collect();
        self.pending.flows = flows;
        (self.listener)(&self.shared, &events);
    }

    /// Writes what changed. What cannot be written is tried again at the next flush: it stays in memory, which is bounded,
    /// and that is told.
    fn write(&mut self, now: Timestamp) {
        let Some(Keeping { store, keep, most }) = &mut self.store else { return };
        let picture = self.shared.picture();
        let observed = &picture.world.analysis.observed;
        let captures: Vec<_> = (0..).zip(&picture.world.captures).skip(self.earlier).collect();
        let facts: Vec<_> =
            self.pending.subjects.iter().filter_map(|subject| Some((subject, observed.ledger.get(subject)?))).collect();
        let flows: Vec<_> = self
            .pending
            .flows
            .iter()
            .filter_map(|key| observed.flows.binary_search_by_key(key, |flow| flow.key).ok())
            .filter_map(|place| observed.flows.get(place))
            .collect();
        let policy = picture.world.options().policy.as_deref();
        let written = store.write(&Flush {
            captures: &captures,
            facts: &facts,
            flows: &flows,
            policy,
            findings: &[],
            coverage: &observed.coverage,
        });
        drop(picture);
        let written = written.and_then(|()| {
            self.pending = Changed::default();
            // Once an hour is often enough: nothing hangs on it.
            if self.health.flushes % FORGET == 1 { store.forget(now.before(*keep), *most).map(|_| ()) } else { Ok(()) }
        });
        self.health.store_error = written.err().map(|error| error.to_string());
    }
}

/// Flushes between two looks for what is too old.
const FORGET: u64 = 360;
