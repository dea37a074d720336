//! What the keeper shows to everybody else.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::capture::{InterfaceState, Watched};
use super::recorder::EvidenceState;
use super::world::World;
use crate::event::health::OutputHealth;
use crate::output::Told;
use crate::time::Timestamp;

/// What is shared: the world, what is said of it, and how the sensor is doing.
pub struct Shared {
    picture: RwLock<Picture>,
    interfaces: RwLock<Vec<Watched>>,
    health: RwLock<Arc<Health>>,
    outputs: RwLock<Vec<OutputHealth>>,
}

/// The world with what is said of it.
pub struct Picture {
    /// What is known.
    pub world: World,
    /// What is said of it.
    pub told: Told,
    /// As of when.
    pub at: Timestamp,
}

/// How the sensor itself is doing.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// When it was last looked at.
    pub at: Timestamp,
    /// When the sensor started.
    pub started: Timestamp,
    /// Flushes since then.
    pub flushes: u64,
    /// Frames that the sensor dropped because its workers were too slow.
    pub lost: u64,
    /// Batches that wait for a worker.
    pub waiting: usize,
    /// The interfaces.
    pub interfaces: Vec<InterfaceState>,
    /// A worker has failed: its share of the traffic is not seen any more.
    pub broken: bool,
    /// Why what was learned could not be written; it is kept in memory, and tried again.
    pub store_error: Option<String>,
    /// Why the policy or the configuration on disk is not in force.
    pub reload_error: Option<String>,
    /// How the keeping of evidence is doing; none when none is kept.
    pub evidence: Option<EvidenceState>,
    /// What the configuration on disk says otherwise and a running sensor cannot change.
    pub needs_restart: Vec<&'static str>,
    /// When the policy in force was loaded.
    pub policy_loaded: Option<Timestamp>,
}

impl Health {
    /// What is wrong, each in a few words; empty when all is well.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        for state in &self.interfaces {
            if let Some(trouble) = &state.trouble {
                troubles.push(format!("{} is not watched: {trouble}", state.name));
            }
            if state.counts.dropped + state.counts.dropped_by_interface > 0 {
                let dropped = state.counts.dropped + state.counts.dropped_by_interface;
                troubles.push(format!("{}: {dropped} of {} frames were lost", state.name, state.counts.received));
            }
            if state.ways.is_one_way() {
                troubles.push(format!(
                    "{} shows one direction only of most TCP conversations: let the switch mirror both, or declare the tap with direction = \"rx\" or \"tx\"",
                    state.name
                ));
            }
            if state.oversized > 0 {
                troubles.push(format!(
                    "{}: {} frames are longer than its MTU, so the card joins frames; 'ethtool -K {} gro off lro off' shows what is on the wire",
                    state.name, state.oversized, state.name
                ));
            }
        }
        if self.lost > 0 {
            troubles.push(format!("{} frames were dropped because the workers were too slow", self.lost));
        }
        if self.broken {
            troubles.push("a worker has failed; its share of the traffic is not seen any more".to_owned());
        }
        troubles.extend(self.store_error.iter().map(|error| format!("not written, and tried again: {error}")));
        let evidence = self.evidence.iter().filter_map(|evidence| evidence.error.as_ref());
        troubles.extend(evidence.map(|error| format!("no frames of findings can be kept: {error}")));
        troubles.extend(self.reload_error.iter().map(|error| format!("the last reload failed: {error}")));
        if !self.needs_restart.is_empty() {
            troubles
                .push(format!("not in force before a restart: {} of the configuration", self.needs_restart.join(", ")));
        }
        troubles
    }
}

impl Shared {
    /// A world that stands still: what captures showed, with this health.
    #[must_use]
    pub fn still(world: World, health: Health) -> Self {
        let mut shared = Self::new(world, Vec::new());
        shared.picture.get_mut().unwrap_or_else(PoisonError::into_inner).at = health.at;
        shared.set_health(health);
        shared
    }

    /// The world back, when nobody looks any more.
    #[must_use]
    pub fn into_world(self) -> World {
        self.picture.into_inner().unwrap_or_else(PoisonError::into_inner).world
    }

    pub(super) fn new(world: World, interfaces: Vec<Watched>) -> Self {
        let told = world.analysis.tell(&world.captures);
        let picture = Picture { world, told, at: Timestamp::default() };
        let interfaces = RwLock::new(interfaces);
        Self { picture: RwLock::new(picture), interfaces, health: RwLock::default(), outputs: RwLock::default() }
    }

    /// The picture, for the time of one look.
    pub fn picture(&self) -> RwLockReadGuard<'_, Picture> {
        self.picture.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, unless it is being written.
    pub(super) fn try_picture(&self) -> Option<RwLockReadGuard<'_, Picture>> {
        self.picture.try_read().ok()
    }

    pub(super) fn picture_mut(&self) -> RwLockWriteGuard<'_, Picture> {
        self.picture.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the sensor was doing at the last flush.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_health(&self, health: Health) {
        *self.health.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(health);
    }

    /// How the outputs were doing at the last flush.
    #[must_use]
    pub fn outputs(&self) -> Vec<OutputHealth> {
        self.outputs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the outputs are doing.
    pub fn set_outputs(&self, outputs: Vec<OutputHealth>) {
        *self.outputs.write().unwrap_or_else(PoisonError::into_inner) = outputs;
    }

    /// How the interfaces are doing now.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfaceState> {
        self.watched().iter().filter(|watched| watched.stays()).map(Watched::state).collect()
    }

    /// The interfaces, with those that leave and were not seen to their end yet.
    pub(super) fn watched(&self) -> Vec<Watched> {
        self.interfaces.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Exchanges the list of interfaces for what `change` makes of it.
    pub(super) fn change_watched(&self, change: impl FnOnce(&mut Vec<Watched>)) {
        change(&mut self.interfaces.write().unwrap_or_else(PoisonError::into_inner));
    }
}
