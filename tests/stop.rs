//! A sensor that knows much stops in two seconds, whatever it is in the middle of, and what it has seen is in its store:
//! right after a flush, before one that has everything to write, and while one is being written. It knows as many flows as
//! `$ZONEWATCH_FLOWS` says, of which every fifth breaks the policy:
//!
//!     ZONEWATCH_FLOWS=100000 ZONEWATCH_PPS=40000 cargo test --release --test stop -- --nocapture
//!
//! Needs root, iproute2 and tcpreplay; without them it skips, and says so.

#![cfg(all(feature = "live", feature = "sensor"))]
#![allow(clippy::print_stderr)] // A test that skips says so, and the figures are for people.

#[path = "support/cable.rs"]
mod cable;
#[allow(dead_code)] // It needs little of them.
#[path = "support/packets.rs"]
mod packets;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use cable::{Cable, Watching};
use packets::{Talk, Tape, read, write};

/// What an operator is promised.
const PROMISED: Duration = Duration::from_secs(2);

/// Servers that one client polls: one more, and what it does to them would be one campaign.
const SERVERS: usize = 8;

const POLICY: &str = "[site]\nid = \"p\"\ntimezone = \"UTC\"\n\
    [[zone]]\nid = \"clients\"\nmembers = [ { cidr = \"10.1.0.0/16\" } ]\n\
    [[zone]]\nid = \"servers\"\nmembers = [ { cidr = \"10.2.0.0/16\" } ]\n\
    [[conduit]]\nid = \"C-1\"\nfrom = [\"clients\"]\nto = [\"servers\"]\nowner = \"Operations\"\n\
    allow = [{ protocol = \"modbus\", ops = [\"read\"] }]\n";

fn setting(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// So many flows, each a connection that asks once; every fifth writes as well.
fn tape(flows: usize) -> Tape {
    let mut tape = Tape::default();
    for n in 0..flows {
        let (client, server) = (n / SERVERS, n % (SERVERS * 20));
        let address = |net: u8, host: usize| format!("10.{net}.{}.{}", host / 200, 1 + host % 200);
        let at = 1_700_000_000_000_000 + 20 * n as u64;
        let mut talk = Talk::new(&address(1, client), &address(2, server), 502, at).open(&mut tape);
        let [ask, answer] = read(1);
        talk.exchange(&mut tape, &ask, &answer);
        if n % 5 == 0 {
            let [ask, answer] = write(2, 7);
            talk.exchange(&mut tape, &ask, &answer);
        }
    }
    tape
}

/// A store, as somebody else reads it.
struct Reader(PathBuf);

impl Reader {
    /// A number, as long as there is a store to ask; 0 else.
    fn number(&self, of: &str) -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(&self.0, flags);
        db.and_then(|db| db.query_row(&format!("SELECT ifnull(sum(n), 0) FROM ({of})"), [], |row| row.get(0)))
            .unwrap_or(0)
    }

    fn frames(&self) -> i64 {
        self.number("SELECT value AS n FROM coverage WHERE kind = 'frames'")
    }

    fn connections(&self) -> i64 {
        self.number("SELECT connections AS n FROM flow")
    }

    /// How often what is not declared was done, as it was told.
    fn told(&self) -> i64 {
        self.number("SELECT count AS n FROM finding WHERE id LIKE 'V-%' AND record LIKE '%\"write\"%'")
    }

    /// What the last stop had no time for.
    fn cut(&self) -> [i64; 2] {
        ["unconcluded", "unwritten"].map(|name| {
            self.number(&format!("SELECT value AS n FROM coverage WHERE kind = 'stop' AND name = '{name}'"))
        })
    }

    fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !is(self) {
            let (frames, told) = (self.frames(), self.told());
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "{what}: {frames} frames, {told} told, {:?}",
                self.cut()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn log_of(store: &Path) -> Option<(u64, std::time::SystemTime)> {
    let log = std::fs::metadata(store.with_extension("db-wal")).ok()?;
    Some((log.len(), log.modified().ok()?))
}

#[test]
fn a_sensor_that_knows_much_stops_in_time_and_forgets_nothing() {
    let Some(cable) = Cable::lay("much") else { return };
    let flows: usize = setting("ZONEWATCH_FLOWS", "2000").parse().unwrap();
    let rate = setting("ZONEWATCH_PPS", "10000");
    let folder = tempfile::tempdir().unwrap();
    let path = |leaf: &str| folder.path().join(leaf);
    let tape = tape(flows);
    let (frames, writes) = (tape.frames.len() as i64, flows.div_ceil(5) as i64);
    std::fs::write(path("much.pcap"), tape.pcap()).unwrap();
    drop(tape);
    std::fs::write(path("plant.toml"), POLICY).unwrap();
    let store = Reader(path("z.db"));
    let start = |flush: &str| {
        let config = format!(
            "memory = \"4GiB\"\nflush = \"{flush}\"\npolicy = [{:?}]\n[store]\npath = {:?}\n[evidence]\npath = {:?}\n[http]\nlisten = []\n",
            path("plant.toml"),
            path("z.db"),
            path("evidence"),
        );
        std::fs::write(path("z.toml"), config).unwrap();
        let began = Instant::now();
        let sensor = cable.watch(&["--config", path("z.toml").to_str().unwrap()]);
        let took = began.elapsed();
        eprintln!("watches after {took:?}");
        assert!(took < Duration::from_secs(10), "the service manager waits: {took:?}");
        sensor
    };
    let replay = || {
        cable.replay(&path("much.pcap"), &rate);
        // What is in the kernel's ring is read.
        thread::sleep(Duration::from_millis(300));
    };
    let (mut rounds, mut lost) = (0, 0);
    let mut stop = |when: &str, sensor: Watching<'_>| {
        rounds += 1;
        let took = sensor.stop();
        let [unconcluded, unwritten] = store.cut();
        lost += unwritten;
        eprintln!("{when}: stopped after {took:?}; {unconcluded} flows to be concluded, {unwritten} not written");
        assert!(took < PROMISED, "{when}: {took:?}");
        assert!(unwritten == 0 || flows > 20_000, "{when}: {unwritten} flows were not written");
        assert_eq!(store.frames(), rounds * frames, "{when}: frames");
        let connections = rounds * flows as i64;
        assert!((connections - lost..=connections).contains(&store.connections()), "{when}: {}", store.connections());
        let told = store.told();
        assert!(told >= rounds * writes - lost || unconcluded > 0, "{when}: {told} were told, and no word of the rest");
        lost
    };

    let sensor = start("2s");
    replay();
    store.until("the first flushes", |store| store.frames() == frames && store.told() == writes);
    stop("right after a flush", sensor);

    let sensor = start("10m");
    replay();
    stop("before a flush with everything", sensor);

    let sensor = start(if flows > 20_000 { "15s" } else { "3s" });
    replay();
    let before = log_of(&store.0);
    while log_of(&store.0) == before {
        thread::sleep(Duration::from_millis(1));
    }
    let lost = stop("in the middle of a flush", sensor);

    // What was left to conclude is concluded from what is stored: as if much more had been left.
    let db = rusqlite::Connection::open(&store.0).unwrap();
    db.execute_batch(
        "UPDATE finding SET count = count - 1; DELETE FROM finding WHERE id < 'V-k';
         INSERT OR REPLACE INTO coverage VALUES ('stop', 'unconcluded', 7);",
    )
    .unwrap();
    drop(db);
    let sensor = start("1s");
    store.until("what was left", |store| store.told() >= 3 * writes - lost && store.cut() == [0, 0]);
    assert!(store.told() <= 3 * writes, "nothing is told twice");
    let said = "SELECT 1 AS n FROM event WHERE kind = 'health' AND record LIKE '%left no time to conclude what % conversations%'";
    assert!(store.number(said) > 0, "it is told");
    let took = sensor.stop();
    assert!(took < PROMISED, "with nothing new: {took:?}");
}
