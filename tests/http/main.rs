//! The sensor by HTTP, from outside: what a capture shows is served, and clients do to it what clients do.

#![cfg(all(feature = "live", feature = "sensor"))]
#![allow(clippy::print_stderr)] // A test that skips says so.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod client;
mod contract;
mod lists;
mod metrics;
mod prometheus;
mod rough;
mod schema;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use zonewatch::analysis::Options;
use zonewatch::config::{Http, Limits, Seconds, Token};
use zonewatch::event::health::OutputHealth;
use zonewatch::output::http::audit::Audit;
use zonewatch::output::http::{Operator, Served, Server, Streams};
use zonewatch::policy::Policy;
use zonewatch::policy::life::Acknowledgement;
use zonewatch::sensor::capture::InterfaceState;
use zonewatch::sensor::clock;
use zonewatch::sensor::shared::{Health, Shared};
use zonewatch::sensor::world::World;
use zonewatch::source::live::LiveCounts;
use zonewatch::source::set::Captures;

use client::{Answer, Client};

/// What the capture of the plant shows.
fn plant() -> Arc<Shared> {
    static PLANT: OnceLock<Arc<Shared>> = OnceLock::new();
    let make = || {
        let folder = support::root().join("fixtures/plant");
        let text = std::fs::read_to_string(folder.join("plant.toml")).unwrap();
        let policy = Some(Arc::new(Policy::parse("plant.toml", &text).unwrap()));
        let capture = std::fs::File::open(folder.join("capture.pcap")).unwrap();
        let mut captures = Captures::stream("capture.pcap", Box::new(capture)).unwrap();
        let limits = Limits::within(Limits::BUDGET);
        let world = World::read(&mut captures, Options { policy, limits, ..Options::default() });
        let frames = world.captures[0].frames;
        let interface = InterfaceState {
            name: "eth1".to_owned(),
            opened: 1,
            frames,
            counts: LiveCounts { received: frames + 2, dropped: 2, dropped_by_interface: 0 },
            last: world.captures[0].last,
            ..InterfaceState::default()
        };
        let now = clock::now();
        let health = Health {
            at: now,
            started: now,
            flushes: 1,
            interfaces: vec![interface],
            policy_loaded: Some(now),
            ..Health::default()
        };
        let shared = Shared::still(world, health);
        shared.set_outputs(vec![OutputHealth { name: "siem".to_owned(), delivered: 7, ..OutputHealth::default() }]);
        Arc::new(shared)
    };
    Arc::clone(PLANT.get_or_init(make))
}

/// What operators asked for.
#[derive(Default)]
struct Wishes(Mutex<Vec<String>>);

impl Operator for Wishes {
    fn acknowledge(&self, finding: &str, by: Acknowledgement) -> Result<(), String> {
        let Acknowledgement { who, note, until, .. } = by;
        let until = until.map_or(String::new(), |until| format!(" until {until}"));
        self.0.lock().unwrap().push(format!("{who} acknowledges {finding}{until}: {note}"));
        if &*note == "no" { Err("it was resolved long ago".to_owned()) } else { Ok(()) }
    }

    fn reload(&self) -> Result<(), String> {
        self.0.lock().unwrap().push("reload".to_owned());
        Ok(())
    }
}

/// A server of the plant.
struct Running {
    server: Server,
    streams: Arc<Streams>,
    wishes: Arc<Wishes>,
    folder: tempfile::TempDir,
}

impl Running {
    fn start(config: &Http) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (streams, wishes) = (Arc::new(Streams::new()), Arc::new(Wishes::default()));
        let served = Served {
            shared: plant(),
            streams: Arc::clone(&streams),
            flush: Duration::from_secs(600),
            audit: Audit::open(&folder.path().join("audit.jsonl")).unwrap(),
            operator: Arc::clone(&wishes) as Arc<dyn Operator>,
        };
        Self { server: Server::start(config, served).unwrap(), streams, wishes, folder }
    }

    fn client(&self) -> Client {
        Client::new(self.server.addresses[0])
    }

    fn get(&self, path: &str) -> Answer {
        self.client().get(path)
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap()
    }
}

/// Any free port of loopback.
fn loopback() -> Http {
    Http { listen: vec!["127.0.0.1:0".parse().unwrap()], timeout: Seconds(1), ..Http::default() }
}

/// With two tokens: `secret` operates, `reader` reads.
fn guarded() -> Http {
    let token = |name: &str, sha256: &str, role: &str| Token {
        name: name.to_owned(),
        sha256: sha256.to_owned(),
        role: role.to_owned(),
    };
    let token = vec![
        token("shift lead", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "operate"),
        token("historian", "3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30", "read"),
    ];
    Http { token, ..loopback() }
}

/// A program that a test needs; without it the test skips, and says so.
fn program(name: &str) -> Option<&str> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&folders).any(|folder| Path::new(&folder).join(name).is_file());
    if !there {
        eprintln!("SKIPPED: there is no {name} here");
    }
    there.then_some(name)
}
