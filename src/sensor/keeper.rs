//! The keeper: every flush it gathers what the workers learned, concludes, and tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::capture::InterfaceState;
use super::clock;
use super::engine::Engine;
use super::shared::{Health, Shared};
use crate::policy::Policy;
use crate::worker::ShardResult;

/// What the keeper is told to do.
pub enum Order {
    /// Judge by this from now on.
    Policy(Option<Arc<Policy>>),
    /// The policy on disk could not be loaded.
    ReloadFailed(String),
    /// Gather the last, and end.
    Stop,
}

/// Gathers, concludes and tells.
pub struct Keeper {
    shared: Arc<Shared>,
    flush: Duration,
    inbox: Receiver<Order>,
    listener: Box<dyn FnMut(&Shared) + Send>,
    health: Health,
}

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        flush: Duration,
        inbox: Receiver<Order>,
        listener: Box<dyn FnMut(&Shared) + Send>,
    ) -> Self {
        let now = clock::now();
        let health = Health { at: now, started: now, policy_loaded: Some(now), ..Health::default() };
        shared.set_health(health.clone());
        Self { shared, flush, inbox, listener, health }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self, engine: Arc<Engine>) {
        let mut next = Instant::now() + self.flush;
        loop {
            match self.inbox.recv_deadline(next) {
                Ok(Order::Policy(policy)) => {
                    engine.judge_by(policy.as_ref());
                    self.gather(&engine, engine.drain(clock::now()));
                    self.shared.picture_mut().world.judge_by(policy);
                    self.health.policy_loaded = Some(clock::now());
                    self.health.reload_error = None;
                }
                Ok(Order::ReloadFailed(why)) => self.health.reload_error = Some(why),
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
    }

    fn gather(&mut self, engine: &Engine, results: Vec<ShardResult>) {
        self.health.lost = engine.lost();
        self.health.waiting = engine.waiting();
        self.health.broken = engine.is_broken();
        self.merge(results);
    }

    fn merge(&mut self, results: Vec<ShardResult>) {
        let now = clock::now();
        let interfaces = self.shared.interfaces();
        {
            let mut picture = self.shared.picture_mut();
            picture.world.captures = interfaces.iter().map(InterfaceState::summary).collect();
            let _changed = picture.world.merge(results);
            picture.told = picture.world.analysis.tell(&picture.world.captures);
            picture.at = now;
        }
        self.health.at = now;
        self.health.flushes += 1;
        self.health.interfaces = interfaces;
        self.shared.set_health(self.health.clone());
        (self.listener)(&self.shared);
    }
}
