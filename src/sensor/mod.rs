//! The service: interfaces in, and a picture that is always up to date.
//!
//! ```text
//!  interface ─▶ capture thread ─batches─▶ workers (shards) ─drained every flush─▶ keeper ─▶ World
//!                                   └────▶ recorder (frames of findings) ◀─claims───┤
//!                                             HTTP · metrics ◀── Shared ◀───────────┤
//!                                             store · events · evidence ◀───────────┘
//! ```
//!
//! The keeper is the only one that writes the [`world::World`]. Readers take a lock on it for the time of one page, and
//! what takes all of it to be said (findings, the order of flows) is made once a flush. Nothing that may wait for
//! somebody else, a client, a disk or a SIEM, runs in the threads that see packets.

pub mod capture;
pub mod clock;
pub mod engine;
pub mod keeper;
pub mod notify;
pub mod recorder;
pub mod shared;
pub mod telling;
pub mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::analysis::Options;
use crate::event::Event;
use crate::policy::life::Acknowledgement;
use crate::source::live::{LiveError, LiveOptions};
use crate::store::{Store, StoreError};
use capture::Watched;
use engine::Engine;
pub use keeper::Pace;
use keeper::{Keeper, Order};
use recorder::{Filing, Recording};
use shared::Shared;
use telling::Past;
use world::World;

/// What a sensor is told.
pub struct Settings {
    /// The sensor's name in events.
    pub name: String,
    /// What is watched.
    pub interfaces: Vec<LiveOptions>,
    /// How it is read and concluded.
    pub analysis: Options,
    /// Time between two flushes.
    pub flush: std::time::Duration,
    /// What outlives the process, if anything does.
    pub store: Option<Keeping>,
    /// Where frames of findings are kept, if any are.
    pub evidence: Option<Filing>,
}

/// A store, and how long what is in it is kept.
pub struct Keeping {
    /// The store.
    pub store: Store,
    /// What was not seen for so long is forgotten.
    pub keep: std::time::Duration,
    /// At this size in bytes what was seen longest ago is forgotten.
    pub most: u64,
}

/// Takes what operators say to a sensor that runs.
#[derive(Clone)]
pub struct Desk(crossbeam_channel::Sender<Order>);

/// An operator waits for so long: a flush may be under way.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

impl Desk {
    /// Somebody has seen a finding. Waits until it is written.
    ///
    /// # Errors
    /// Why not, for the one who asked.
    pub fn acknowledge(&self, id: &str, by: Acknowledgement) -> Result<(), String> {
        let (answer, outcome) = crossbeam_channel::bounded(1);
        let busy = "the sensor is busy; ask again, which does no harm";
        let order = Order::Acknowledge(id.to_owned(), by, answer);
        self.0.send_timeout(order, PATIENCE).map_err(|_| busy)?;
        outcome.recv_timeout(PATIENCE).map_err(|_| busy)?
    }
}

/// Why a sensor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An interface.
    #[error("{0}")]
    Live(#[from] LiveError),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// A sensor that runs.
pub struct Sensor {
    /// What everybody may read.
    pub shared: Arc<Shared>,
    orders: crossbeam_channel::Sender<Order>,
    stop: Arc<AtomicBool>,
    captures: Vec<JoinHandle<()>>,
    /// Empty, and closed when nothing more is read.
    reading: crossbeam_channel::Receiver<()>,
    keeper: JoinHandle<()>,
}

impl Sensor {
    /// Opens the interfaces and starts. An interface that is not there yet is waited for.
    ///
    /// `listener` hears of every flush and of what is to be told, in the keeper's thread.
    ///
    /// # Errors
    /// [`LiveError`] when an interface may not be read, or its filter makes no sense; [`StoreError`] when what was kept
    /// cannot be read.
    pub fn start(
        settings: Settings,
        listener: impl FnMut(&Shared, &[Event]) + Send + 'static,
    ) -> Result<Self, StartError> {
        let Settings { name, interfaces, analysis, flush, store, evidence } = settings;
        let interfaces: Vec<Watched> = interfaces.into_iter().map(Watched::new).collect();
        let open = interfaces.iter().map(Watched::open).collect::<Result<Vec<_>, _>>()?;
        let (workers, limits, policy) = (analysis.workers, analysis.limits, analysis.policy.clone());
        let mut world = World::new(analysis);
        let mut past = Past::default();
        if let Some(keeping) = &store {
            let mut restored = keeping.store.read(world.options().policy.as_deref())?;
            let findings = std::mem::take(&mut restored.findings).into_iter().map(|kept| kept.life).collect();
            past = Past { findings, policy: restored.policy.take(), last_event: restored.last_event };
            world.restore(restored);
        }
        // Evidence numbers captures in 16 bits; sensors that were started more often share the last number.
        let earlier = u16::try_from(world.captures.len()).unwrap_or(u16::MAX).min(u16::MAX - 256);
        world.captures.truncate(earlier.into());
        world.captures.extend(interfaces.iter().map(|watched| watched.state().summary()));
        let names = || world.captures.iter().map(|capture| capture.name.clone()).collect();
        let recording = evidence.map(|filing| Recording::start(&filing, names()));
        let line = recording.iter().flatten().next().map(Recording::line);
        let engine = Arc::new(Engine::start(workers, &limits, policy.as_ref(), &world.taps(), line));
        let shared = Arc::new(Shared::new(world, interfaces.clone()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut captures = Vec::new();
        let (read, reading) = crossbeam_channel::bounded(0);
        for ((place, watched), live) in (earlier..).zip(interfaces).zip(open) {
            let (engine, stop, read) = (Arc::clone(&engine), Arc::clone(&stop), read.clone());
            captures.push(thread::spawn(move || watched.run(live, place, engine, &stop, read)));
        }
        drop(read);
        let (orders, inbox) = crossbeam_channel::bounded(16);
        let keeping = (store, earlier.into(), past);
        let keeper = Keeper::new(Arc::clone(&shared), flush, inbox, keeping, recording, (name, Box::new(listener)));
        let keeper = thread::spawn(move || keeper.run(engine));
        Ok(Self { shared, orders, stop, captures, reading, keeper })
    }

    /// Takes what operators say.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk(self.orders.clone())
    }

    /// Judges by another policy from now on.
    pub fn judge_by(&self, policy: Option<Arc<crate::policy::Policy>>) {
        let _ = self.orders.send(Order::Policy(policy));
    }

    /// Goes on at this pace.
    pub fn pace(&self, pace: Pace) {
        let _ = self.orders.send(Order::Pace(pace));
    }

    /// The policy or the configuration on disk could not be loaded; what was in force stays.
    pub fn reload_failed(&self, why: String) {
        let _ = self.orders.send(Order::ReloadFailed(why));
    }

    /// Stops reading, finishes what was read, and tells it one last time.
    pub fn stop(self) -> Arc<Shared> {
        self.stop.store(true, Ordering::Relaxed);
        // Nothing is ever sent: this ends when the last reader does.
        let _ = self.reading.recv();
        let _ = self.orders.send(Order::Stop);
        let _ = self.keeper.join();
        for thread in self.captures {
            // A thread that panicked has nothing left to finish.
            let _ = thread.join();
        }
        self.shared
    }
}
