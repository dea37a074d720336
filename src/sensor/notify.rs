//! What the service manager is told (sd_notify(3)): nothing where there is none.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::shared::Shared;

/// The line to the service manager.
pub struct Manager {
    /// Time between signs of life, when it wants them.
    every: Option<Duration>,
    last: Instant,
}

impl Manager {
    /// As the environment says.
    #[must_use]
    pub fn new() -> Self {
        // Half the time after which it takes the service for dead, as its manual advises.
        Self { every: sd_notify::watchdog_enabled().map(|within| within / 2), last: Instant::now() }
    }

    /// The service runs; `status` says what it does.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The configuration is being loaded again; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// The service ends.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// A sign of life when it is due, and only while the sensor is alive: its keeper flushes and no worker has failed.
    pub fn alive(&mut self, shared: &Shared, flush: Duration) {
        let Some(every) = self.every else { return };
        if self.last.elapsed() < every {
            return;
        }
        let health = shared.health();
        let flushed = super::clock::now().since(health.at) < 3 * flush + Duration::from_secs(10);
        if flushed && !health.broken {
            self.last = Instant::now();
            tell(&[NotifyState::Watchdog, NotifyState::Status(&status(shared))]);
        }
    }
}

impl Default for Manager {
    fn default() -> Self {
        Self::new()
    }
}

/// One line for `systemctl status`.
fn status(shared: &Shared) -> String {
    let health = shared.health();
    let frames: u64 = health.interfaces.iter().map(|state| state.frames).sum();
    // Whoever gives signs of life waits for nobody.
    let Some(picture) = shared.try_picture() else { return format!("{frames} frames") };
    let analysis = &picture.world.analysis;
    let (assets, flows) = (analysis.inventory.assets.len(), analysis.observed.flows.len());
    let findings = picture.told.findings().len();
    drop(picture);
    let trouble = health.troubles().into_iter().next();
    match trouble {
        Some(trouble) => trouble,
        None => format!("{frames} frames, {assets} assets, {flows} flows, {findings} findings"),
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Nobody listens when it was started by hand.
    let _ = sd_notify::notify(state);
}
