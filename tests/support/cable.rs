//! A sensor on a real interface: a namespace with two ends of a cable, one to send on and one to watch. Needs root,
//! iproute2 and tcpreplay; without them the tests skip, and say so.

#![allow(dead_code)] // Each test binary uses its part.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A network of its own with a cable from `tx0` to `rx0`; gone with the value.
pub(crate) struct Cable(pub(crate) String);

impl Cable {
    /// `None` where there can be none, which is said.
    pub(crate) fn lay(name: &str) -> Option<Self> {
        let name = format!("zw-{name}-{}", std::process::id());
        let has =
            |tool: &str| Command::new(tool).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        let made = has("ip") && has("tcpreplay") && run(&["ip", "netns", "add", &name]);
        if !made {
            eprintln!("SKIPPED: network namespaces need root, and the packages iproute2 and tcpreplay");
            return None;
        }
        let cable = Self(name);
        cable.plug();
        Some(cable)
    }

    /// Makes both ends.
    pub(crate) fn plug(&self) {
        self.plug_in(["tx0", "rx0"]);
    }

    /// Makes both ends of another cable.
    pub(crate) fn plug_in(&self, ends: [&str; 2]) {
        self.inside(&["ip", "link", "add", "name", ends[0], "type", "veth", "peer", "name", ends[1]]);
        for end in ends {
            // The kernel's own neighbour discovery is no traffic of the capture.
            self.inside(&["sysctl", "-qw", &format!("net.ipv6.conf.{end}.disable_ipv6=1")]);
            self.inside(&["ip", "link", "set", end, "up"]);
        }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).args(words);
        command
    }

    pub(crate) fn inside(&self, words: &[&str]) {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn replay(&self, capture: &Path, rate: &str) {
        self.replay_on("tx0", capture, rate);
    }

    pub(crate) fn replay_on(&self, end: &str, capture: &Path, rate: &str) {
        self.inside(&["tcpreplay", "-q", "--pps", rate, "-i", end, capture.to_str().unwrap()]);
    }

    pub(crate) fn watch(&self, more: &[&str]) -> Watching<'_> {
        self.start(&[&["-i", "rx0"], more].concat())
    }

    /// A sensor that watches what it is told, here or by its configuration.
    pub(crate) fn start(&self, more: &[&str]) -> Watching<'_> {
        let program = std::env::var("ZONEWATCH_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_zonewatch").to_owned());
        let words: Vec<&str> = ["watch", "--quiet"].iter().chain(more).copied().collect();
        let words: Vec<&str> = [program.as_str()].iter().chain(&words).copied().collect();
        let child = self.command(&words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let watching = Watching { child, cable: self };
        // The ring is there when the packet socket is.
        let socket = || {
            let sockets = self.command(&["cat", "/proc/net/packet"]).output().unwrap();
            String::from_utf8_lossy(&sockets.stdout).lines().count() > 1
        };
        let started = Instant::now();
        while !socket() {
            assert!(started.elapsed() < Duration::from_secs(30), "the sensor did not start to watch");
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(200));
        watching
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        run(&["ip", "netns", "del", &self.0]);
    }
}

/// A sensor that runs in a namespace.
pub(crate) struct Watching<'a> {
    child: Child,
    cable: &'a Cable,
}

impl Watching<'_> {
    /// The process, and whoever else runs in the namespace.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let pids = Command::new("ip").args(["netns", "pids", &self.cable.0]).output().unwrap();
        String::from_utf8_lossy(&pids.stdout).split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// `ip netns exec` has become the sensor.
    pub(crate) fn signal(&self, signal: &str) {
        run(&["kill", signal, &self.child.id().to_string()]);
    }

    /// Ends it as the service manager does, and says how long that took.
    pub(crate) fn stop(mut self) -> Duration {
        let started = Instant::now();
        self.signal("-TERM");
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "a stop that was asked for is no failure");
        started.elapsed()
    }

    /// Ends it, and tells what it said on stderr.
    pub(crate) fn said(mut self) -> String {
        self.signal("-TERM");
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        self.child.wait().unwrap();
        said
    }

    pub(crate) fn kill(self) {
        drop(self);
    }
}

/// A test that fails leaves no sensor behind.
impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may have ended.
        let _ = self.child.wait();
    }
}

pub(crate) fn run(words: &[&str]) -> bool {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.is_ok_and(|output| output.status.success())
}
