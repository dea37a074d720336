//! The sensor by HTTP: metrics, health, the API and a page for people.
//!
//! Everything here only reads what the keeper shows ([`Shared`]); what changes something goes through [`Operator`]. It runs
//! in a thread of its own, with limits on whatever a client decides: connections, sizes, times, items of a page, listeners.
//!
//! - `listen`: connections, TLS, slow clients.
//! - `route`: paths, and what stands before every answer. `access`: who may what. [`audit`]: who did what.
//! - `api`: the answers; `query`: what lists are asked for; `events`, `health`, `page`.

mod access;
mod api;
pub mod ask;
pub mod audit;
mod events;
mod health;
mod listen;
mod page;
mod problem;
mod query;
mod route;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};

use self::access::Access;
use self::api::Api;
use self::audit::Audit;
use self::listen::Door;
use super::metrics;
use crate::config::Http;
use crate::policy::life::Acknowledgement;
use crate::sensor::shared::Shared;

pub use self::events::Streams;

/// The description of the API, by the rules of OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

/// What an operator can have done.
pub trait Operator: Send + Sync {
    /// Somebody has seen a finding.
    ///
    /// # Errors
    /// Why it cannot be done, for the one who asked.
    fn acknowledge(&self, finding: &str, by: Acknowledgement) -> Result<(), String>;

    /// Load the policy again, soon.
    ///
    /// # Errors
    /// Why it cannot be done, for the one who asked.
    fn reload(&self) -> Result<(), String>;
}

/// What is served.
pub struct Served {
    /// What the keeper shows.
    pub shared: Arc<Shared>,
    /// Who tells what is new; the keeper's listener calls [`Streams::flushed`].
    pub streams: Arc<Streams>,
    /// Time between two flushes.
    pub flush: Duration,
    /// Where operator actions and refusals are noted.
    pub audit: Audit,
    /// Who does what operators ask for.
    pub operator: Arc<dyn Operator>,
}

/// Why nothing can be served.
#[derive(Debug)]
pub struct ServeError(String);

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServeError {}

/// A server that runs.
pub struct Server {
    /// Where it listens; with the ports that were given for port 0.
    pub addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    streams: Arc<Streams>,
    thread: JoinHandle<()>,
}

/// Connections may finish what they are at for so long, when the server stops.
const FINISH: Duration = Duration::from_millis(1000);

/// Answers that are made at the same time.
const WORKERS: usize = 4;

impl Server {
    /// Whether the keys of TLS could be used.
    ///
    /// # Errors
    /// [`ServeError`] with the file that cannot.
    pub fn check(config: &Http) -> Result<(), ServeError> {
        listen::check(config)
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// [`ServeError`] when an address is not free, or a key of TLS cannot be used.
    pub fn start(config: &Http, served: Served) -> Result<Self, ServeError> {
        let Served { shared, streams, flush, audit, operator } = served;
        let api = Arc::new(Api {
            shared,
            flush,
            access: Access::new(config),
            audit: Mutex::new(audit),
            service: metrics::Service::new().map_err(|error| ServeError(format!("http: {error}")))?,
            streams: Arc::clone(&streams),
            operator,
            summary: Mutex::default(),
            large: Semaphore::new(1),
        });
        let door = Door::new(config, Arc::clone(&api), route::router(&api))?;
        let listeners: Vec<TcpListener> =
            config.listen.iter().map(|address| bind(*address)).collect::<Result<_, _>>()?;
        let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(WORKERS)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(|error| ServeError(format!("http: {error}")))?;
        streams.open();
        let (stop, told) = watch::channel(false);
        let thread = std::thread::spawn(move || run(runtime, door, listeners, told));
        Ok(Self { addresses, stop, streams, thread })
    }

    /// Stops within two seconds; what is not finished then is cut off.
    pub fn stop(self) {
        self.stop.send_replace(true);
        self.streams.close();
        // A thread that panicked has nothing left to finish.
        let _ = self.thread.join();
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listener = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| {
        ServeError(format!(
            "cannot listen on {address}: {error}\n  hint: [http] listen of the configuration says where; [] is nowhere"
        ))
    })
}

fn run(runtime: Runtime, door: Door, listeners: Vec<TcpListener>, mut stop: watch::Receiver<bool>) {
    runtime.block_on(async {
        for listener in listeners {
            // It was made ready for this when it was bound.
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                tokio::spawn(door.clone().open(listener, stop.clone()));
            }
        }
        listen::stopped(&mut stop).await;
        door.empty(FINISH).await;
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
}
