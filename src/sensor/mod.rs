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
pub mod keeping;
pub mod notify;
pub mod recorder;
pub mod shared;
pub mod telling;
pub mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::analysis::Options;
use crate::event::Event;
use crate::policy::life::Acknowledgement;
use crate::source::live::{Live, LiveError, LiveOptions};
use crate::store::StoreError;
use capture::Watched;
use engine::Engine;
pub use keeper::Pace;
use keeper::{Keeper, Order};
pub use keeping::Keeping;
use recorder::{Filing, Recording};
use shared::Shared;
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
    pub flush: Duration,
    /// What outlives the process, if anything does.
    pub store: Option<Keeping>,
    /// Where frames of findings are kept, if any are.
    pub evidence: Option<Filing>,
}

/// Takes what operators say to a sensor that runs.
#[derive(Clone)]
pub struct Desk(crossbeam_channel::Sender<Order>);

/// An operator waits for so long: a flush may be under way.
const PATIENCE: Duration = Duration::from_secs(20);

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
    engine: Arc<Engine>,
    orders: crossbeam_channel::Sender<Order>,
    stop: Arc<AtomicBool>,
    captures: Vec<JoinHandle<()>>,
    /// Dropped by each reader when it ends; then nothing more is read, which the other end hears.
    reads: crossbeam_channel::Sender<()>,
    reading: crossbeam_channel::Receiver<()>,
    keeper: JoinHandle<()>,
}

/// Interfaces that could be opened, or will be when they are there.
pub struct Opened(Vec<(Watched, Option<Live>)>);

impl Opened {
    fn new<'a>(interfaces: impl Iterator<Item = &'a LiveOptions>) -> Result<Self, LiveError> {
        let open = |options: &LiveOptions| {
            let watched = Watched::new(options.clone());
            let live = watched.open()?;
            Ok((watched, live))
        };
        interfaces.map(open).collect::<Result<_, _>>().map(Self)
    }
}

impl Sensor {
    /// Opens the interfaces and starts. An interface that is not there yet is waited for.
    ///
    /// `listener` hears of every flush and of what is to be told, in the keeper's thread.
    ///
    /// # Errors
    /// [`LiveError`] when an interface may not be read, or its filter makes no sense; [`StoreError`] when what was kept
    /// is of a newer version or another program.
    pub fn start(
        settings: Settings,
        listener: impl FnMut(&Shared, &[Event]) + Send + 'static,
    ) -> Result<Self, StartError> {
        let Settings { name, interfaces, analysis, flush, mut store, evidence } = settings;
        let opened = Opened::new(interfaces.iter())?;
        let (workers, limits, policy) = (analysis.workers, analysis.limits, analysis.policy.clone());
        let mut world = World::new(analysis);
        let past = store.as_mut().map(|keeping| keeping.restore(&mut world)).transpose()?.unwrap_or_default();
        let recording = evidence.map(|filing| Recording::start(filing, names(&world)));
        let line = recording.as_ref().map(Recording::line);
        let engine = Arc::new(Engine::start(workers, &limits.between_flushes(), policy.as_ref(), &world.taps(), line));
        let shared = Arc::new(Shared::new(world, Vec::new()));
        let (reads, reading) = crossbeam_channel::bounded(0);
        let (orders, inbox) = crossbeam_channel::bounded(16);
        let stop = Arc::new(AtomicBool::new(false));
        let telling = (name, Box::new(listener) as keeper::Listener);
        let stopping = Arc::clone(&stop);
        let keeper = Keeper::new(Arc::clone(&shared), flush, inbox, (store, past), recording, stopping, telling);
        let mut captures = Vec::new();
        watch(opened, &shared, &engine, &mut |watched, live| {
            let (engine, stop, reads) = (Arc::clone(&engine), Arc::clone(&stop), reads.clone());
            captures.push(thread::spawn(move || watched.run(live, engine, &stop, reads)));
        });
        let keeper = {
            let engine = Arc::clone(&engine);
            thread::spawn(move || keeper.run(engine))
        };
        Ok(Self { shared, engine, orders, stop, captures, reads, reading, keeper })
    }

    /// Opens those of these interfaces that are not watched in this way already. They are not read yet.
    ///
    /// # Errors
    /// [`LiveError`] as in [`Self::start`].
    pub fn open(&self, interfaces: &[LiveOptions]) -> Result<Opened, LiveError> {
        let known: Vec<LiveOptions> = self.watched().collect();
        Opened::new(interfaces.iter().filter(|options| !known.contains(options)))
    }

    /// Watches these interfaces from now on, of which those that were not watched yet are [opened](Self::open). Interfaces
    /// that are watched already are not disturbed; others are closed.
    pub fn watch(&mut self, interfaces: &[LiveOptions], opened: Opened) {
        let Self { shared, engine, stop, captures, reads, .. } = self;
        shared.watched().iter().filter(|watched| !interfaces.contains(&watched.options)).for_each(Watched::leave);
        captures.retain(|thread| !thread.is_finished());
        watch(opened, shared, engine, &mut |watched, live| {
            let (engine, stop, reads) = (Arc::clone(engine), Arc::clone(stop), reads.clone());
            captures.push(thread::spawn(move || watched.run(live, engine, &stop, reads)));
        });
    }

    /// How each interface is watched.
    pub fn watched(&self) -> impl Iterator<Item = LiveOptions> + use<> {
        self.shared.watched().into_iter().filter(Watched::stays).map(|watched| watched.options)
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

    /// Stops reading, finishes what was read, and writes and tells it one last time. When that is to be done by a time, what
    /// is written comes before what is told; a disk that hangs is not waited for, and the second value says whether all was done.
    pub fn stop(self, by: Option<Instant>) -> (Arc<Shared>, bool) {
        self.stop.store(true, Ordering::Relaxed);
        // The keeper is the last to have it, and stops it.
        drop((self.engine, self.reads));
        // Nothing is ever sent: this ends when the last reader does.
        let _ = self.reading.recv();
        let _ = self.orders.send(Order::Stop(by));
        if let Some(by) = by {
            while !self.keeper.is_finished() {
                if Instant::now() > by + GRACE {
                    return (self.shared, false);
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        let _ = self.keeper.join();
        for thread in self.captures {
            // A thread that panicked has nothing left to finish.
            let _ = thread.join();
        }
        (self.shared, true)
    }
}

/// What is begun before the time is over may take so long.
const GRACE: Duration = Duration::from_millis(350);

/// Begins to read interfaces: each is a capture of the world's, whose tap the workers know before its first frame comes.
fn watch(opened: Opened, shared: &Shared, engine: &Engine, start: &mut dyn FnMut(Watched, Option<Live>)) {
    let Opened(mut opened) = opened;
    if opened.is_empty() {
        return;
    }
    let (taps, names) = {
        let world = &mut shared.picture_mut().world;
        for (watched, _) in &mut opened {
            watched.capture = world.begin(watched.state().summary());
        }
        (world.taps(), names(world))
    };
    engine.listen(&taps, names);
    shared.change_watched(|all| all.extend(opened.iter().map(|(watched, _)| watched.clone())));
    opened.into_iter().for_each(|(watched, live)| start(watched, live));
}

/// The names of the captures, by their place in the list.
fn names(world: &World) -> Vec<String> {
    world.captures.iter().map(|capture| capture.name.clone()).collect()
}
