use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Done, Failure, Outcome, analyze, note, print};
use crate::analysis::Options;
use crate::cli::Watch;
use crate::config::{File, Interface, Limits};
use crate::output::escape::terminal;
use crate::sensor::notify::Manager;
use crate::sensor::shared::Shared;
use crate::sensor::{Sensor, Settings};
use crate::source::live::LiveOptions;

pub(super) fn run(options: &Watch) -> Outcome {
    let config = configuration(options)?;
    let policy = analyze::load_policy(&config.policy, options.quiet)?;
    let reload = reload_on_signal()?;
    let stop = analyze::stop_on_signals()?;
    let settings = Settings {
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
    let mut news = News::new(options.quiet);
    let sensor = Sensor::start(settings, move |shared| news.tell(shared))?;
    let names: Vec<_> = config.interface.iter().map(|interface| terminal(&interface.name).to_string()).collect();
    note(&format!("watching {}; nothing is ever sent there", names.join(", ")));
    let mut manager = Manager::new();
    manager.ready(&format!("watching {}", names.join(", ")));
    let until = options.duration.map(|time| Instant::now() + time.duration());
    while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
        if reload.swap(false, Ordering::Relaxed) {
            manager.reloading();
            reload_policy(options, &sensor);
            manager.ready("loaded again");
        }
        manager.alive(&sensor.shared, config.flush.duration());
        thread::sleep(Duration::from_millis(50));
    }
    manager.stopping();
    let shared = sensor.stop();
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
    if config.interface.is_empty() {
        return Err(Failure(
            "there is nothing to watch\n  hint: name an interface with -i, or in [[interface]] of the configuration; 'zonewatch interfaces' lists them"
                .to_owned(),
        ));
    }
    Ok(config)
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

/// Tells on stdout what is new since the last flush.
struct News {
    quiet: bool,
    assets: BTreeMap<String, String>,
    findings: BTreeMap<String, i32>,
    troubles: Vec<String>,
}

impl News {
    fn new(quiet: bool) -> Self {
        Self { quiet, assets: BTreeMap::new(), findings: BTreeMap::new(), troubles: Vec::new() }
    }

    fn tell(&mut self, shared: &Shared) {
        let troubles = shared.health().troubles();
        for trouble in troubles.iter().filter(|trouble| !self.troubles.contains(trouble)) {
            note(trouble);
        }
        self.troubles = troubles;
        if self.quiet {
            return;
        }
        let mut text = String::new();
        let picture = shared.picture();
        for asset in &picture.world.analysis.inventory.assets {
            let says = format!("{} {}", terminal(&asset.name), asset.role.value.unwrap_or(""));
            if self.assets.insert(asset.id.to_string(), says.clone()).is_none() {
                text += &format!("asset    {}\n", says.trim());
            }
        }
        for finding in picture.told.findings() {
            let score = finding.severity.score;
            if self.findings.insert(finding.id.clone(), score).is_none() {
                text += &format!("{:8} {:3} {}\n", finding.severity.band, score, terminal(&finding.what));
            }
        }
        drop(picture);
        // Who does not listen any more does not stop the sensor.
        let _ = print(&text);
    }
}
