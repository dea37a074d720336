//! A day in fast motion: the plant's traffic again and again, while interfaces go, policies change for the better and the
//! worse, the disk is full, the clock jumps and the sensor is killed. It lasts as many seconds as `$ZONEWATCH_SOAK` says; a
//! whole day of the plant:
//!
//!     ZONEWATCH_SOAK=440 cargo test --release --test soak -- --nocapture
//!
//! The plant's time passes 200 times as fast as that of the machine: a clock is preloaded that bends what the sensor reads,
//! and the times of frames alike. Needs root, iproute2, tcpreplay and a C compiler; without them it skips, and says so.

#![cfg(all(feature = "live", feature = "sensor"))]
#![allow(clippy::print_stderr)] // A test that skips says so, and the diary is for people.

#[path = "support/cable.rs"]
mod cable;
#[allow(dead_code)] // It needs little of them.
#[path = "support/packets.rs"]
mod packets;
mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cable::{Cable, run};
use packets::{Talk, Tape, read};
use serde_json::Value;
use support::root;

/// How much faster the plant's time passes.
const SPEED: i64 = 200;
/// Monday 2026-11-16 10:00:00 UTC, when the plant's capture begins.
const MONDAY: i64 = 1_794_823_200;
const HOUR: i64 = 3600;
/// Between two flushes of the sensor.
const FLUSH: Duration = Duration::from_secs(1);
/// What was sent is written after so long: a flush, and the work of one.
const WRITTEN: Duration = Duration::from_millis(2500);
/// The sensor's budget in MiB.
const MEMORY: u64 = 96;

/// What happens to the sensor while it works.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    CablePulled,
    InterfaceGone,
    PolicyChanged,
    PolicyBroken,
    DiskFull,
    ClockStep(i64),
    Killed,
}

/// One of each, killing and the clock more often; each round of them is in another order.
const TROUBLES: [Trouble; 10] = [
    Trouble::CablePulled,
    Trouble::InterfaceGone,
    Trouble::PolicyChanged,
    Trouble::PolicyBroken,
    Trouble::DiskFull,
    Trouble::ClockStep(HOUR),
    Trouble::ClockStep(-HOUR),
    Trouble::ClockStep(-3 * 24 * HOUR),
    Trouble::Killed,
    Trouble::Killed,
];

/// The time that the sensor is shown.
struct Clock {
    file: File,
    true_time: i64,
    shown: i64,
}

impl Clock {
    fn start(path: &Path) -> Self {
        let file = File::options().create(true).truncate(true).read(true).write(true).open(path).unwrap();
        let clock = Self { file, true_time: Self::nanos(), shown: MONDAY * 1_000_000_000 };
        clock.write();
        clock
    }

    fn nanos() -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_nanos()).unwrap()
    }

    fn write(&self) {
        let numbers = [self.true_time, self.shown, SPEED].map(i64::to_ne_bytes).concat();
        self.file.write_all_at(&numbers, 0).unwrap();
    }

    fn step(&mut self, seconds: i64) {
        let now = Self::nanos();
        self.shown += (now - self.true_time) * SPEED + seconds * 1_000_000_000;
        self.true_time = now;
        self.write();
    }
}

/// A small disk of its own.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        assert!(run(&["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", at.to_str().unwrap()]));
        Self(at)
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("fill")).unwrap();
        let block = vec![1; 1 << 16];
        while file.write_all(&block).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("fill")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(&["umount", "-l", self.0.to_str().unwrap()]);
    }
}

/// The sensor and all that it depends on.
struct Stage {
    cable: Cable,
    folder: PathBuf,
    disk: Disk,
    clock: Clock,
    sensor: Option<Child>,
    /// The number of the policy, so that each is another one.
    policies: u32,
    /// Attackers so far.
    attackers: u32,
    /// Those whose finding must be there at the end, and those of late, with when they were sent.
    certain: BTreeSet<String>,
    late: Vec<(Instant, String)>,
    /// Memory of the sensor at the end of each round, in MiB.
    memory: Vec<u64>,
}

impl Stage {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn write_policy(&self, broken: bool) {
        let text = fs::read_to_string(root().join("fixtures/plant/plant.toml")).unwrap();
        let more = if broken { "\n[[conduit]]\nid = 7\n".to_owned() } else { format!("\n# {}\n", self.policies) };
        fs::write(self.path("plant.toml"), text + &more).unwrap();
    }

    fn start(&mut self) {
        let program = std::env::var("ZONEWATCH_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_zonewatch").to_owned());
        let said = File::options().create(true).append(true).open(self.path("said")).unwrap();
        let (config, out) = (self.path("z.toml"), self.path("out"));
        let mut command = self.cable.command(&[&program, "watch", "--quiet", "--config", &config, "--out", &out]);
        command.env("LD_PRELOAD", self.path("clock.so")).env("ZONEWATCH_CLOCK", self.path("clock"));
        self.sensor = Some(command.stdout(Stdio::null()).stderr(Stdio::from(said)).spawn().unwrap());
        self.until_it_watches();
    }

    /// Waits until the sensor has its packet socket.
    fn until_it_watches(&self) {
        let started = Instant::now();
        let sockets = || String::from_utf8(self.cable.command(&["cat", "/proc/net/packet"]).output().unwrap().stdout);
        while sockets().unwrap().lines().count() < 2 {
            assert!(started.elapsed() < Duration::from_secs(30), "the sensor does not watch:\n{}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(Duration::from_millis(300));
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }

    fn signal(&mut self, signal: &str) -> Option<i32> {
        let mut sensor = self.sensor.take().unwrap();
        // `ip netns exec` has become the sensor.
        run(&["kill", signal, &sensor.id().to_string()]);
        if signal == "-HUP" {
            self.sensor = Some(sensor);
            return None;
        }
        sensor.wait().unwrap().code()
    }

    /// The plant's five minutes, and an attacker whom nobody has seen before.
    fn traffic(&mut self) {
        self.cable.replay(&root().join("fixtures/plant/capture.pcap"), "5000");
        let attacker = format!("10.10.{}.{}", 8 + self.attackers / 250, 1 + self.attackers % 250);
        self.attackers += 1;
        let mut tape = Tape::default();
        let mut talk = Talk::new(&attacker, "10.20.2.10", 502, 0).open(&mut tape);
        for tid in 1..4 {
            let [ask, answer] = read(tid);
            talk.exchange(&mut tape, &ask, &answer);
        }
        let capture = self.folder.join("attack.pcap");
        fs::write(&capture, tape.pcap()).unwrap();
        self.cable.replay(&capture, "5000");
        self.late.push((Instant::now(), attacker));
    }

    /// What was sent long ago enough must not get lost any more.
    fn settle(&mut self) {
        let (old, late) = std::mem::take(&mut self.late).into_iter().partition(|(sent, _)| sent.elapsed() > WRITTEN);
        self.late = late;
        let old: Vec<(Instant, String)> = old;
        self.certain.extend(old.into_iter().map(|(_, attacker)| attacker));
    }

    fn happen(&mut self, trouble: Trouble, random: u64) {
        match trouble {
            Trouble::CablePulled => {
                self.cable.inside(&["ip", "link", "set", "tx0", "down"]);
                thread::sleep(Duration::from_millis(1200));
                self.cable.inside(&["ip", "link", "set", "tx0", "up"]);
                thread::sleep(Duration::from_millis(1500));
            }
            Trouble::InterfaceGone => {
                // What is still in the kernel's ring goes with the interface.
                thread::sleep(Duration::from_millis(300));
                self.cable.inside(&["ip", "link", "del", "tx0"]);
                thread::sleep(Duration::from_millis(500 + random % 1000));
                self.cable.plug();
                self.until_it_watches();
            }
            Trouble::PolicyChanged => {
                self.policies += 1;
                self.write_policy(false);
                self.signal("-HUP");
            }
            Trouble::PolicyBroken => {
                self.write_policy(true);
                self.signal("-HUP");
                self.traffic();
                thread::sleep(FLUSH);
                self.write_policy(false);
                self.signal("-HUP");
            }
            Trouble::DiskFull => {
                self.disk.fill();
                self.traffic();
                thread::sleep(2 * FLUSH);
                self.disk.free();
                thread::sleep(WRITTEN);
            }
            Trouble::ClockStep(seconds) => self.clock.step(seconds),
            Trouble::Killed => {
                thread::sleep(Duration::from_millis(random % 2000));
                self.settle();
                self.signal("-KILL");
                self.late.clear();
                self.start();
            }
        }
    }

    fn note_memory(&mut self) -> u64 {
        let sensor = self.sensor.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{sensor}/status")).unwrap();
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| {
                panic!("the sensor has ended:\n{}", self.said());
            });
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let (now, peak) = (kilobytes("VmRSS:") / 1024, kilobytes("VmHWM:") / 1024);
        self.memory.push(now);
        peak
    }
}

/// Compiles the clock; `None` where there is no compiler.
fn clock(folder: &Path) -> Option<()> {
    let source = root().join("tests/support/clock.c");
    let library = folder.join("clock.so");
    let words = ["cc", "-O1", "-shared", "-fPIC", "-o", library.to_str()?, source.to_str()?, "-ldl"];
    run(&words).then_some(())
}

#[test]
fn a_day_in_fast_motion() {
    let seconds = std::env::var("ZONEWATCH_SOAK").map_or(60, |text| text.parse().unwrap());
    let Some(cable) = Cable::lay("soak") else { return };
    let folder = tempfile::tempdir().unwrap();
    if clock(folder.path()).is_none() {
        eprintln!("SKIPPED: a clock that can be set needs a C compiler");
        return;
    }
    let disk = Disk::mount(folder.path().join("disk"));
    let clock = Clock::start(&folder.path().join("clock"));
    let mut stage = Stage {
        cable,
        disk,
        clock,
        folder: folder.path().to_owned(),
        sensor: None,
        policies: 0,
        attackers: 0,
        certain: BTreeSet::new(),
        late: Vec::new(),
        memory: Vec::new(),
    };
    let config = format!(
        "memory = \"{MEMORY}MiB\"\nflush = \"{}s\"\npolicy = [\"{}\"]\n[[interface]]\nname = \"rx0\"\n[store]\npath = \"{}\"\n",
        FLUSH.as_secs(),
        stage.path("plant.toml"),
        stage.path("disk/z.db"),
    ) + "[http]\nlisten = []\n";
    fs::write(stage.path("z.toml"), config).unwrap();
    stage.write_policy(false);
    stage.start();

    let (started, mut random) = (Instant::now(), 88_172_645_463_325_252_u64);
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (mut rounds, mut kills, mut peak) = (0, 0, 0);
    let mut ahead: Vec<Trouble> = Vec::new();
    while started.elapsed() < Duration::from_secs(seconds) {
        if ahead.is_empty() {
            ahead = TROUBLES.to_vec();
        }
        let trouble = ahead.swap_remove((next() % ahead.len() as u64) as usize);
        stage.traffic();
        stage.happen(trouble, next());
        stage.settle();
        peak = stage.note_memory().max(peak);
        rounds += 1;
        kills += u32::from(trouble == Trouble::Killed);
        let (at, memory) = (started.elapsed().as_secs(), stage.memory.last().unwrap());
        eprintln!("{at:4} s  {trouble:?}: {memory} MiB, {} findings are certain", stage.certain.len());
    }
    thread::sleep(WRITTEN);
    stage.settle();
    let stopping = Instant::now();
    assert_eq!(stage.signal("-TERM"), Some(0), "{}", stage.said());
    let stopped = stopping.elapsed();
    eprintln!("{rounds} rounds, {kills} kills, {} attackers, peak {peak} MiB, stopped in {stopped:?}", stage.attackers);

    let said = stage.said();
    assert!(!said.contains("panicked"), "{said}");
    assert!(!said.contains("set aside"), "the store was damaged:\n{said}");
    for wanted in
        ["rx0 is not watched", "the last reload failed", "not written, and tried again", "sees everything again"]
    {
        assert!(said.contains(wanted), "nobody was told that {wanted:?}:\n{said}");
    }
    let store = rusqlite::Connection::open(stage.path("disk/z.db")).unwrap();
    let sound: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let analysis: Value = serde_json::from_slice(&fs::read(stage.path("out/analysis.json")).unwrap()).unwrap();
    let findings = analysis["findings"].as_array().unwrap();
    let sources: BTreeSet<&str> = findings.iter().filter_map(|finding| finding["src"]["ip"].as_str()).collect();
    let lost: Vec<_> = stage.certain.iter().filter(|attacker| !sources.contains(attacker.as_str())).collect();
    assert!(stage.certain.len() as u64 > seconds / 10, "attackers: {:?}", stage.certain);
    let known = |attacker: &String| {
        let flows = analysis["flows"].as_array().unwrap().iter();
        flows
            .filter(|flow| flow["client"]["ip"] == **attacker)
            .map(|flow| format!("{attacker}: {flow}"))
            .collect::<String>()
    };
    let flows: Vec<_> = lost.iter().map(|attacker| known(attacker)).collect();
    assert!(lost.is_empty(), "findings that got lost: {lost:?} of {}, with flows {flows:#?}", stage.certain.len());
    assert!(peak <= MEMORY, "{peak} MiB of {MEMORY}");
    let (first, second) = stage.memory.split_at(stage.memory.len() / 2);
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    assert!(most(second) <= most(first) + 8, "memory grows: {:?}", stage.memory);
    assert!(stopped < Duration::from_secs(2), "{stopped:?}");
}
