use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{Done, Failure, Outcome, analyze, note, print};
use crate::analysis::Options;
use crate::cli::Watch;
use crate::config::{File, Interface, Limits};
use crate::event::{self, Event, Kind, Outbox};
use crate::output::escape::terminal;
use crate::output::http::audit::Audit;
use crate::output::http::{Operator, Served, Server, Streams};
use crate::policy::life::Acknowledgement;
use crate::sensor::notify::Manager;
use crate::sensor::{Desk, Keeping, Sensor, Settings};
use crate::source::live::LiveOptions;
use crate::store::Store;

pub(super) fn run(options: &Watch) -> Outcome {
    let config = configuration(options)?;
    let policy = analyze::load_policy(&config.policy, options.quiet)?;
    let reload = reload_on_signal()?;
    let stop = analyze::stop_on_signals()?;
    let store = open_store(&config.store)?;
    let name = if config.sensor.is_empty() { machine() } else { config.sensor.clone() };
    let settings = Settings {
        name,
        store,
        interfaces: config.interface.iter().map(live).collect(),
        analysis: Options {
            workers: config.workers,
            policy,
            home_nets: config.home_nets.clone(),
            limits: Limits::within(config.memory.0),
            ..Options::default()
        },
        flush: config.flush.duration(),
    };
    let delivery = deliver(&config)?;
    let quiet = options.quiet;
    let outbox = delivery.as_ref().map(|(_, outbox)| Arc::clone(outbox));
    let streams = Arc::new(Streams::new());
    let listeners = Arc::clone(&streams);
    let sensor = Sensor::start(settings, move |shared, events| {
        tell(events, quiet);
        outbox.iter().for_each(|outbox| events.iter().for_each(|event| outbox.put(event)));
        listeners.flushed(shared, events);
    })?;
    let server = serve(&config, &sensor, streams, &reload)?;
    let names: Vec<_> = config.interface.iter().map(|interface| terminal(&interface.name).to_string()).collect();
    note(&format!("watching {}; nothing is ever sent there", names.join(", ")));
    let mut manager = Manager::new();
    manager.ready(&format!("watching {}", names.join(", ")));
    let until = options.duration.map(|time| Instant::now() + time.duration());
    while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
        if reload.swap(false, Ordering::Relaxed) {
            manager.reloading();
            delivery.iter().for_each(|(_, outbox)| outbox.reopen());
            reload_policy(options, &sensor);
            manager.ready("loaded again");
        }
        manager.alive(&sensor.shared, config.flush.duration());
        thread::sleep(Duration::from_millis(50));
    }
    manager.stopping();
    if let Some(server) = server {
        server.stop();
    }
    let shared = sensor.stop();
    if let Some((runtime, outbox)) = delivery {
        if let Some(outbox) = Arc::into_inner(outbox) {
            runtime.block_on(outbox.stop());
        }
        runtime.shutdown_background();
    }
    if let Some(folder) = &options.out {
        let picture = shared.picture();
        analyze::save(folder, &picture.world.analysis.view(&picture.world.captures, &[]))?;
        note(&format!("wrote {}", folder.display()));
    }
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

/// Opens the store. What is wrong with it is told; a sensor that cannot keep anything still watches.
fn open_store(config: &crate::config::Store) -> Result<Option<Keeping>, Failure> {
    if config.path.as_os_str().is_empty() {
        return Ok(None);
    }
    let (store, said) = Store::open(&config.path)?;
    if let Some(said) = said {
        note(&said);
    }
    Ok(Some(Keeping { store, keep: config.keep.duration(), most: config.max_size.0 }))
}

fn live(interface: &Interface) -> LiveOptions {
    let bytes = |size: crate::config::Size| u32::try_from(size.0).unwrap_or(u32::MAX);
    LiveOptions {
        interface: interface.name.clone(),
        filter: interface.filter.clone(),
        snaplen: bytes(interface.snaplen),
        buffer: bytes(interface.buffer),
        promiscuous: interface.promiscuous,
    }
}

/// Serves what the configuration says, if it says so.
fn serve(
    config: &File,
    sensor: &Sensor,
    streams: Arc<Streams>,
    reload: &Arc<AtomicBool>,
) -> Result<Option<Server>, Failure> {
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
        streams,
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

/// Loads the policy again. A bad one is told, and the old one stays in force.
fn reload_policy(options: &Watch, sensor: &Sensor) {
    let loaded = configuration(options).and_then(|config| analyze::load_policy(&config.policy, options.quiet));
    match loaded {
        Ok(policy) => {
            sensor.judge_by(policy);
            note("the policy was loaded again");
        }
        Err(Failure(why)) => {
            super::error(&why);
            note("the policy that was in force stays in force");
            sensor.reload_failed(why);
        }
    }
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

/// Starts the delivery of events, if any are to be delivered. Their queues lie beside the store.
fn deliver(config: &File) -> Result<Option<(Runtime, Arc<Outbox>)>, Failure> {
    if config.output.is_empty() {
        return Ok(None);
    }
    let outputs = event::config::check(&config.output)
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let folder = config.store.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| std::env::temp_dir().join("zonewatch-queue"), |folder| folder.join("queue"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let inside = runtime.enter();
    let outbox = Outbox::start(outputs, &folder)?;
    drop(inside);
    Ok(Some((runtime, Arc::new(outbox))))
}
