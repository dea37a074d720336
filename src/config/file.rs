//! `/etc/zonewatch/zonewatch.toml`: how the service runs. Every field has a default, so that no file is needed.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use super::limits::Limits;
use super::output::Output;
use super::unit::{Seconds, Size};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// The sensor's name in events and records; the machine's when empty.
    pub sensor: String,
    /// What is watched.
    pub interface: Vec<Interface>,
    /// The declaration of zones and conduits: files, or folders of them.
    pub policy: Vec<PathBuf>,
    /// Public networks that are ours: their hosts are not external.
    pub home_nets: Vec<IpNet>,
    /// Worker threads.
    pub workers: usize,
    /// Memory for the whole sensor.
    pub memory: Size,
    /// How often what was learned is written, shown and told: at most so much is lost when it is killed,
    /// and when the power fails also what the disk had not taken yet.
    pub flush: Seconds,
    /// The store.
    pub store: Store,
    /// Frames kept of findings.
    pub evidence: Evidence,
    /// Metrics, API and web page.
    pub http: Http,
    /// Where events go.
    pub output: Vec<Output>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            sensor: String::new(),
            interface: Vec::new(),
            policy: Vec::new(),
            home_nets: Vec::new(),
            workers: 1,
            memory: Size(256 << 20),
            flush: Seconds(10),
            store: Store::default(),
            evidence: Evidence::default(),
            http: Http::default(),
            output: Vec::new(),
        }
    }
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its name, such as `eth1`.
    pub name: String,
    /// Only frames that pass this filter, in the language of tcpdump.
    #[serde(default)]
    pub filter: Option<String>,
    /// Bytes kept of a frame.
    #[serde(default = "snaplen")]
    pub snaplen: Size,
    /// The kernel's ring, which bridges a sensor that is busy for a moment. Unless it is said, all interfaces share a quarter
    /// of the memory, up to 64 MiB each.
    #[serde(default)]
    pub buffer: Option<Size>,
    /// Take frames that are addressed to others as well.
    #[serde(default = "yes")]
    pub promiscuous: bool,
}

impl Interface {
    /// An interface as it is watched when nothing else is said.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), filter: None, snaplen: snaplen(), buffer: None, promiscuous: true }
    }
}

fn snaplen() -> Size {
    Size(256 << 10)
}

/// Bytes of a finding in a sensor: as it is told, written, kept and sent (measured: 11 KB).
const FINDING: u64 = 16 << 10;

/// The largest ring that an interface gets unless it is said.
const RING: u64 = 64 << 20;

/// What the rings and the recent frames must leave of the memory.
const LEFT: u64 = 48 << 20;

fn yes() -> bool {
    true
}

/// The embedded store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Its file; empty: nothing is kept over a restart.
    pub path: PathBuf,
    /// What was not seen for so long is forgotten.
    pub keep: Seconds,
    /// At this size what was seen longest ago is forgotten.
    pub max_size: Size,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: PathBuf::new(), keep: Seconds(400 * 86_400), max_size: Size(2 << 30) }
    }
}

/// Frames kept of findings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evidence {
    /// Their folder; empty: none are kept.
    pub path: PathBuf,
    /// All files together; the oldest goes first.
    pub max_size: Size,
    /// One file.
    pub max_file: Size,
    /// Memory for recent frames, from which those around a finding are taken; as much again for what else is remembered.
    pub context: Size,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { path: PathBuf::new(), max_size: Size(256 << 20), max_file: Size(256 << 10), context: Size(16 << 20) }
    }
}

/// Metrics, API and web page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where to listen; empty: nowhere. Other addresses than loopback need TLS and a token.
    pub listen: Vec<SocketAddr>,
    /// TLS.
    pub tls: Option<Tls>,
    /// Who may ask.
    pub token: Vec<Token>,
    /// Connections at once; further ones are closed.
    pub connections: usize,
    /// A client that says nothing, or takes nothing, for so long is cut off.
    pub timeout: Seconds,
    /// The log of what operators did and of what was refused; empty: stderr.
    pub audit: PathBuf,
}

impl Default for Http {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 9470));
        Self {
            listen: vec![loopback],
            tls: None,
            token: Vec::new(),
            connections: 64,
            timeout: Seconds(10),
            audit: PathBuf::new(),
        }
    }
}

/// The keys of TLS, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate with its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Clients need a certificate of this authority.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// A bearer token. Only its SHA-256 is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Who has it, for the audit log.
    pub name: String,
    /// SHA-256 of the token in hex, as `printf %s TOKEN | sha256sum` prints it.
    pub sha256: String,
    /// What it allows: `read`, or `operate` (acknowledge findings, reload).
    #[serde(default = "read")]
    pub role: String,
}

fn read() -> String {
    "read".to_owned()
}

/// Why the file cannot be used.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl File {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, column and the text where it is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("cannot read {}: {error}", path.display())))?;
        Self::parse(&text).map_err(|why| ConfigError(format!("{}{why}", path.display())))
    }

    /// An error begins with where it is: `:3:9: ` for the ninth character of the third line.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let (line, column) =
                (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
            format!(":{line}:{column}: {}", error.to_string().trim_end())
        };
        let file: Self = toml::from_str(text).map_err(wrong)?;
        file.check().map_err(|why| format!(": {why}"))?;
        Ok(file)
    }

    /// What differs between this file and another that a running sensor cannot change: it needs a restart.
    #[must_use]
    pub fn fixed(&self, other: &Self) -> Vec<&'static str> {
        let same = [
            ("sensor", self.sensor == other.sensor),
            ("home_nets", self.home_nets == other.home_nets),
            ("workers", self.workers == other.workers),
            ("memory", self.memory == other.memory),
            ("store.path", self.store.path == other.store.path),
            ("evidence.path", self.evidence.path == other.evidence.path),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }

    /// The kernel's ring of an interface.
    #[must_use]
    pub fn ring(&self, interface: &Interface) -> Size {
        let share = self.memory.0 / 4 / (self.interface.len().max(1) as u64);
        interface.buffer.unwrap_or(Size(share.min(RING)))
    }

    /// The limits of the tables: they have the memory that the rings of the interfaces, the recent frames and the program
    /// leave, but for a sixteenth, which lies unused between what is in use. Where there is a policy, findings have a sixth of
    /// it.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let left = (self.left() / 16 * 15).saturating_sub(Limits::PROGRAM + Limits::SERVICE);
        let findings = left / 6;
        let most = usize::try_from(findings / FINDING).unwrap_or(usize::MAX).max(64);
        let judged = !self.policy.is_empty();
        let tables = if judged { left - findings } else { left };
        Limits { findings: most, ..Limits::watching(tables, judged) }
    }

    fn left(&self) -> u64 {
        let rings = self.interface.iter().map(|interface| self.ring(interface).0);
        // As much again is what else is remembered of frames.
        let context = if self.evidence.path.as_os_str().is_empty() { 0 } else { 2 * self.evidence.context.0 };
        rings.chain([context]).fold(self.memory.0, u64::saturating_sub)
    }

    /// Whether the parts make sense together.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        if self.memory < Size(64 << 20) {
            return Err(format!("memory = \"{}\" is too little: give it 64MiB or more", self.memory));
        }
        if self.left() < LEFT {
            return Err(format!(
                "memory = \"{}\" leaves less than {} beside the buffer of each interface and twice evidence.context: give it more, or them less",
                self.memory,
                Size(LEFT)
            ));
        }
        if self.flush.0 == 0 || self.flush.0 > 3600 {
            return Err(format!("flush = \"{}\": write between 1s and 1h", self.flush));
        }
        if !(1..=4096).contains(&self.http.connections) || !(1..=600).contains(&self.http.timeout.0) {
            return Err("http: connections are between 1 and 4096, timeout between 1s and 10m".to_owned());
        }
        let Evidence { max_size, max_file, context, .. } = self.evidence;
        if max_file < Size(16 << 10) || max_file > max_size || context < Size(1 << 20) || context > Size(1 << 30) {
            return Err(
                "evidence: max_file is at least 16KiB and at most max_size, context between 1MiB and 1GiB".to_owned()
            );
        }
        for token in &self.http.token {
            if token.sha256.len() != 64 || !token.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!(
                    "token '{}': sha256 is 64 hex digits, as 'printf %s TOKEN | sha256sum' prints them",
                    token.name
                ));
            }
            if !["read", "operate"].contains(&token.role.as_str()) {
                return Err(format!("token '{}': role is 'read' or 'operate'", token.name));
            }
        }
        let open = self.http.listen.iter().find(|address| !address.ip().is_loopback());
        if let Some(address) = open
            && (self.http.tls.is_none() || (self.http.token.is_empty() && !self.has_client_ca()))
        {
            return Err(format!(
                "http.listen has {address}, which others can reach: that needs [http.tls] and a [[http.token]], or listen on 127.0.0.1"
            ));
        }
        Ok(())
    }

    fn has_client_ca(&self) -> bool {
        self.http.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_wrong_say_where_and_what_to_do() {
        let token = "[[http.token]]\nname = \"x\"\nsha256 = \"12\"\n";
        for (text, want) in [
            ("", ""),
            ("memory = \"512MiB\"\n[[interface]]\nname = \"eth1\"\nfilter = \"tcp\"", ""),
            ("memroy = \"512MiB\"", "unknown field `memroy`"),
            ("memory = \"12 bananas\"", "write it like 64KiB"),
            ("memory = \"1MiB\"", "give it 64MiB or more"),
            ("memory = \"64MiB\"\n[[interface]]\nname = \"a\"\nbuffer = \"48MiB\"", "leaves less than 48MiB"),
            ("memory = \"64MiB\"\n[evidence]\npath = \"/x\"\ncontext = \"40MiB\"", "leaves less than 48MiB"),
            ("flush = \"0s\"", "between 1s and 1h"),
            ("[[interface]]\nnmae = \"eth1\"", "unknown field `nmae`"),
            ("[http]\nlisten = [\"0.0.0.0:9470\"]", "listen on 127.0.0.1"),
            ("[http]\nlisten = [\"[::1]:9470\"]", ""),
            ("[http]\nconnections = 0", "between 1 and 4096"),
            ("[evidence]\npath = \"/x\"\nmax_file = \"1GiB\"", "max_file is at least 16KiB"),
            ("[evidence]\ncontext = \"2GiB\"", "context between 1MiB and 1GiB"),
            ("[http]\ntimeout = \"1d\"", "between 1s and 10m"),
            (token, "64 hex digits"),
        ] {
            let error = File::parse(text).err().unwrap_or_default();
            assert_eq!(error.is_empty(), want.is_empty(), "{text}: {error}");
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(File::parse("workers = 1\nflush = 3\n").err().unwrap().starts_with(":2:9: "));
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        let read = |text: &str| File::parse(text).unwrap();
        for (text, want) in [
            ("", &[][..]),
            ("policy = [\"x\"]\nflush = \"3s\"\n[store]\nkeep = \"3d\"\n[http]\nlisten = []", &[]),
            ("[[output]]\ntype = \"stdout\"", &[]),
            ("workers = 2\nmemory = \"1GiB\"", &["workers", "memory"]),
            ("sensor = \"x\"\nhome_nets = [\"192.0.2.0/24\"]", &["sensor", "home_nets"]),
            ("[[interface]]\nname = \"a\"\n[evidence]\nmax_size = \"1MiB\"", &[]),
            ("[store]\npath = \"/x\"\n[evidence]\npath = \"/y\"", &["store.path", "evidence.path"]),
        ] {
            assert_eq!(File::default().fixed(&read(text)), want, "{text}");
        }
    }
}
