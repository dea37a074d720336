use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::delivery::{self, Delivery};
use super::shares::Shares;
use super::{Done, Failure, Outcome, analyze, note, print};
use crate::analysis::Options;
use crate::cli::Watch;
use crate::config::{File, Interface};
use crate::event::{Event, Kind};
use crate::evidence::Room;
use crate::output::escape::terminal;
use crate::output::http::audit::Audit;
use crate::output::http::{Operator, Served, Server, Streams};
use crate::output::view::AnalysisView;
use crate::policy::life::Acknowledgement;
use crate::sensor::notify::Manager;
use crate::sensor::recorder::Filing;
use crate::sensor::shared::Shared;
use crate::sensor::{Desk, Keeping, Pace, Sensor, Settings};

pub(super) fn run(options: &Watch) -> Outcome {
    let config = configuration(options)?;
    let policy = analyze::load_policy(&config.policy, options.quiet)?;
    let reload = reload_on_signal()?;
    let stop = analyze::stop_on_signals()?;
    let store = open_store(&config.store)?;
    let name = if config.sensor.is_empty() { machine() } else { config.sensor.clone() };
    let memory = Shares::divide(&config);
    let settings = Settings {
        name,
        store,
        interfaces: memory.interfaces(),
        analysis: Options {
            workers: config.workers,
            policy,
            home_nets: config.home_nets.clone(),
            limits: config.limits(),
            ..Options::default()
        },
        flush: config.flush.duration(),
        evidence: filing(&config.evidence, memory.context),
    };
    let delivery = Delivery::start(&config)?;
    let (letterbox, quiet) = (delivery.letterbox(), options.quiet);
    let streams = Arc::new(Streams::new());
    let listeners = Arc::clone(&streams);
    let sensor = Sensor::start(settings, move |shared, events| {
        tell(events, quiet);
        letterbox.put(events);
        shared.set_outputs(letterbox.health());
        listeners.flushed(shared, events);
    })?;
    let started_with = config.clone();
    let mut service = Service { config, started_with, memory, sensor, delivery, server: None, streams, reload };
    service.server = service.serve()?;
    note(&format!("{}, receive-only: nothing is ever sent there", service.watching()));
    let mut manager = Manager::new();
    manager.ready(&service.watching());
    let until = options.duration.map(|time| Instant::now() + time.duration());
    while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
        if service.reload.swap(false, Ordering::Relaxed) {
            manager.reloading();
            service.load_again(options);
            manager.ready("loaded again");
        }
        manager.alive(&service.sensor.shared, service.config.flush.duration());
        thread::sleep(Duration::from_millis(50));
    }
    manager.stopping();
    let shared = service.stop(options.out.is_none());
    if let Some(folder) = &options.out {
        let picture = shared.picture();
        let view = picture.world.analysis.view(&picture.world.captures, &[]);
        // Those that were told name their evidence.
        let view = AnalysisView { findings: picture.told.findings().to_vec(), ..view };
        analyze::save(folder, &view, picture.world.options().policy.as_deref())?;
        note(&format!("wrote {}", folder.display()));
    }
    // To free it piece by piece takes a large plant longer than the system takes for all of it.
    std::mem::forget(shared);
    Ok(Done::Clean)
}

/// The file, and what the command line says instead.
fn configuration(options: &Watch) -> Result<File, Failure> {
    let mut config = options.config.as_deref().map(File::load).transpose()?.unwrap_or_default();
    if !options.interface.is_empty() {
        config.interface = options.interface.iter().map(|name| Interface::named(name)).collect();
    }
    if let Some(filter) = &options.filter {
        config.interface.iter_mut().for_each(|interface| interface.filter = Some(filter.clone()));
    }
    if !options.policy.is_empty() {
        config.policy.clone_from(&options.policy);
    }
    if let Some(workers) = options.workers {
        config.workers = workers.into();
    }
    if !options.listen.is_empty() {
        config.http.listen.clone_from(&options.listen);
        config.check()?;
    }
    if config.interface.is_empty() {
        return Err(Failure(
            "there is nothing to watch\n  hint: name an interface with -i, or in [[interface]] of the configuration; 'zonewatch interfaces' lists them"
                .to_owned(),
        ));
    }
    Ok(config)
}

/// Opens the store. One that cannot be opened now is waited for: a sensor that cannot keep anything still watches.
fn open_store(config: &crate::config::Store) -> Result<Option<Keeping>, Failure> {
    if config.path.as_os_str().is_empty() {
        return Ok(None);
    }
    let (keeping, said) = Keeping::open(&config.path, config.keep.duration(), config.max_size.0)?;
    if let Some(said) = said {
        note(&terminal(&said));
    }
    Ok(Some(keeping))
}

/// Where frames of findings are kept, and how much, with so many bytes of recent ones.
fn filing(config: &crate::config::Evidence, context: u64) -> Option<Filing> {
    let (room, most) = room(config, context);
    (!config.path.as_os_str().is_empty()).then(|| Filing { folder: config.path.clone(), most, room })
}

fn room(config: &crate::config::Evidence, context: u64) -> (Room, u64) {
    let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    (Room { context: size(context), file: size(config.max_file.0) }, config.max_size.0)
}

/// Time for the last flush, and for others to take what they are still to get, when the sensor stops. Two seconds is what an
/// operator is promised; what is begun in time ends a little later.
const STOP: Duration = Duration::from_millis(1400);

/// A sensor with all around it.
struct Service {
    /// What is in force, but for what needs a restart.
    config: File,
    /// What it was started with.
    started_with: File,
    memory: Shares,
    sensor: Sensor,
    delivery: Delivery,
    server: Option<Server>,
    streams: Arc<Streams>,
    /// Somebody wants the configuration to be loaded again.
    reload: Arc<AtomicBool>,
}

impl Service {
    /// Serves what the configuration says, if it says so.
    fn serve(&self) -> Result<Option<Server>, Failure> {
        let Self { config, sensor, streams, reload, .. } = self;
        if config.http.listen.is_empty() {
            return Ok(None);
        }
        let path = &config.http.audit;
        let audit = if path.as_os_str().is_empty() {
            Audit::to(Box::new(std::io::stderr()))
        } else {
            Audit::open(path).map_err(|error| format!("cannot go on with the audit log {}: {error}", path.display()))?
        };
        let served = Served {
            shared: Arc::clone(&sensor.shared),
            streams: Arc::clone(streams),
            flush: config.flush.duration(),
            audit,
            operator: Arc::new(Console { reload: Arc::clone(reload), desk: sensor.desk() }),
        };
        let server = Server::start(&config.http, served)?;
        let scheme = if config.http.tls.is_some() { "https" } else { "http" };
        for address in &server.addresses {
            note(&format!("serving {scheme}://{address}/"));
        }
        Ok(Some(server))
    }

    /// Loads configuration and policy again. When anything is wrong with them, what was in force stays in force.
    fn load_again(&mut self, options: &Watch) {
        match self.exchange(options) {
            Ok(()) => note("policy and configuration were loaded again"),
            Err(Failure(why)) => {
                super::error(&why);
                note("what was in force stays in force");
                self.sensor.reload_failed(why);
            }
        }
    }

    fn exchange(&mut self, options: &Watch) -> Result<(), Failure> {
        let config = configuration(options)?;
        let policy = analyze::load_policy(&config.policy, options.quiet)?;
        let outputs = delivery::outputs(&config)?;
        Server::check(&config.http)?;
        let memory = self.memory.divide_again(&config);
        let interfaces = memory.interfaces();
        let opened = self.sensor.open(&interfaces)?;
        // What can fail comes first, so that all is as it was then.
        let before = self.serve_by(config)?;

        let mut needs_restart = self.started_with.fixed(&self.config);
        needs_restart.extend(memory.lacks());
        for name in &needs_restart {
            note(&format!("'{name}' is another one now, which is in force after a restart"));
        }
        // Before the policy: who judges by another one knows the taps of all captures.
        self.sensor.watch(&interfaces, opened);
        self.sensor.judge_by(policy);
        let File { flush, store, evidence, .. } = &self.config;
        self.sensor.pace(Pace {
            flush: flush.duration(),
            keep: store.keep.duration(),
            most: store.max_size.0,
            evidence: room(evidence, memory.context),
            needs_restart,
        });
        self.memory = memory;
        self.delivery.change(outputs)?;
        if before.interface != self.config.interface {
            note(&self.watching());
        }
        Ok(())
    }

    /// Serves by another configuration, which is in force then; gives the one before. When that cannot be, nothing changes.
    fn serve_by(&mut self, config: File) -> Result<File, Failure> {
        // Keys of TLS are read when a server starts; what they are does not stand in the configuration.
        let other = config.http != self.config.http || config.flush != self.config.flush || config.http.tls.is_some();
        let before = std::mem::replace(&mut self.config, config);
        if other {
            self.server.take().into_iter().for_each(Server::stop);
            match self.serve() {
                Ok(server) => self.server = server,
                Err(why) => {
                    self.config = before;
                    self.server = self.serve()?;
                    return Err(why);
                }
            }
        }
        Ok(before)
    }

    /// What it does, in a line.
    fn watching(&self) -> String {
        let names: Vec<_> = self.config.interface.iter().map(|interface| terminal(&interface.name)).collect();
        format!("watching {}", names.join(", "))
    }

    /// Stops everything, and gives what was known last. Clients and receivers have the same time together: whoever of
    /// them hangs holds up nobody else. Unless it is asked for, the picture is not brought up to date at any cost.
    fn stop(self, soon: bool) -> Arc<Shared> {
        let end = Instant::now() + STOP;
        let clients = self.server.map(|server| thread::spawn(|| server.stop()));
        let (shared, done) = self.sensor.stop(soon.then_some(end));
        if !done {
            note("the disk did not take the last flush in time; what it has taken stays known");
        }
        self.delivery.stop(end);
        // A thread that panicked has nothing left to finish.
        clients.into_iter().for_each(|clients| _ = clients.join());
        shared
    }
}

/// What operators ask for by HTTP.
struct Console {
    reload: Arc<AtomicBool>,
    desk: Desk,
}

impl Operator for Console {
    fn acknowledge(&self, finding: &str, by: Acknowledgement) -> Result<(), String> {
        self.desk.acknowledge(finding, by)
    }

    fn reload(&self) -> Result<(), String> {
        self.reload.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn reload_on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let reload = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&reload))?;
    Ok(reload)
}

/// Tells on stdout what is new, for people.
fn tell(events: &[Event], quiet: bool) {
    let mut text = String::new();
    for event in events {
        if event.kind == Kind::Health {
            note(terminal(&event.message()).as_ref());
        } else if !quiet {
            let score = if event.score == 0 { String::new() } else { event.score.to_string() };
            text += &format!("{:17} {score:>3} {}\n", event.kind.text(), terminal(&event.message()));
        }
    }
    // Who does not listen any more does not stop the sensor.
    let _ = print(&text);
}

/// The machine's name, which is the sensor's when nothing else is said.
fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
