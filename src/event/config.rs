//! What `[[output]]` of `zonewatch.toml` means. `systemd/zonewatch.toml` shows every field.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::format::{Facility, Format};
use super::{BANDS, Event, Kind};
use crate::config::{Output as Entry, OutputType, Size, Transport};
use crate::policy::Band;

/// An output that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name, which its queue's folder has as well.
    pub name: String,
    /// Where events go.
    pub target: Target,
    /// In which language.
    pub format: Format,
    /// Facility of syslog headers.
    pub facility: Facility,
    /// Events below it are not sent.
    pub min_severity: Band,
    /// Events of other kinds are not sent.
    pub kinds: BTreeSet<Kind>,
    /// Bytes that may wait on disk.
    pub queue: u64,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// The end of a file.
    File(PathBuf),
    /// Datagrams.
    Udp(Address),
    /// A connection, in clear or protected.
    Tcp(Address, Option<Tls>),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What protects a connection. Files are PEM, and read for each connection: a renewed certificate needs no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The name that the receiver's certificate must be for.
    pub server_name: String,
    /// Certificates of the authorities that the receiver's may come from.
    pub ca: PathBuf,
    /// Our own certificate (with intermediate ones) and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What is wrong with a configuration, and a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key: `output[0].address`.
    pub key: String,
    /// What is wrong with it.
    pub says: String,
    /// What to do.
    pub way_out: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, says, way_out } = self;
        write!(f, "{key}: {says}; {way_out}")
    }
}

impl std::error::Error for Mistake {}

/// The smallest queue that is worth its name.
const SMALLEST_QUEUE: Size = Size(256 << 10);
/// The longest name, in bytes.
const NAME: usize = 64;

impl Output {
    /// Whether it is for this event.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        event.band >= self.min_severity && self.kinds.contains(&event.kind)
    }
}

/// The outputs, or everything that is wrong with them.
///
/// # Errors
/// One mistake for each key that is missing, superfluous or senseless.
pub fn check(entries: &[Entry]) -> Result<Vec<Output>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut outputs: Vec<Output> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let mut check = Check { place, mistakes: Vec::new() };
        let output = check.output(entry);
        mistakes.append(&mut check.mistakes);
        let Some(output) = output else { continue };
        if outputs.iter().any(|other| other.name == output.name) {
            check.wrong(
                "name",
                format!("another output is called `{}` as well", output.name),
                "give each its own `name`",
            );
            mistakes.append(&mut check.mistakes);
        }
        outputs.push(output);
    }
    if mistakes.is_empty() { Ok(outputs) } else { Err(mistakes) }
}

struct Check {
    place: usize,
    mistakes: Vec<Mistake>,
}

impl Check {
    fn wrong(&mut self, key: &str, says: impl Into<String>, way_out: &str) {
        let key = format!("output[{}].{key}", self.place);
        self.mistakes.push(Mistake { key, says: says.into(), way_out: way_out.to_owned() });
    }

    /// `None` after a mistake.
    fn output(&mut self, entry: &Entry) -> Option<Output> {
        let target = self.target(entry);
        if entry.queue < SMALLEST_QUEUE {
            self.wrong("queue", "too small to be of use", &format!("give at least {SMALLEST_QUEUE}"));
        }
        let kinds = match &entry.kinds {
            None => Kind::ALL.into_iter().collect(),
            Some(kinds) if kinds.is_empty() => {
                self.wrong("kinds", "an empty list sends nothing", "name the kinds, or leave the key out for all");
                BTreeSet::new()
            }
            Some(kinds) => {
                let all = Kind::ALL.map(|kind| (kind.text(), kind));
                kinds.iter().filter_map(|kind| self.word("kinds", kind, &all)).collect()
            }
        };
        let format =
            entry.format.as_ref().and_then(|word| self.word("format", word, &Format::ALL.map(|f| (f.text(), f))));
        let facility = entry.facility.as_ref().and_then(|word| self.word("facility", word, &Facility::WORDS));
        let min_severity =
            entry.min_severity.as_ref().and_then(|word| self.word("min_severity", word, &BANDS.map(|b| (b.text(), b))));
        let target = target.filter(|_| self.mistakes.is_empty())?;
        let name = match &entry.name {
            Some(name) if is_name(name) => name.clone(),
            Some(name) => {
                let says = format!("`{name}` cannot be the name of a folder");
                self.wrong("name", says, "use up to 64 letters, digits, `-`, `_` and `.`");
                return None;
            }
            None => usual_name(&target),
        };
        Some(Output {
            name,
            format: format.unwrap_or(match target {
                Target::Stdout | Target::File(_) => Format::Json,
                Target::Udp(_) | Target::Tcp(..) => Format::Rfc5424,
            }),
            target,
            facility: facility.unwrap_or_default(),
            min_severity: min_severity.unwrap_or(Band::Info),
            kinds,
            queue: entry.queue.0,
        })
    }

    /// What a word means.
    fn word<T: Copy>(&mut self, key: &str, word: &str, all: &[(&str, T)]) -> Option<T> {
        let found = all.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            self.wrong(key, format!("`{word}` is not known"), &format!("choose from {}", names.join(", ")));
        }
        found
    }

    fn target(&mut self, entry: &Entry) -> Option<Target> {
        let syslog = entry.kind == OutputType::Syslog;
        let tls = syslog && entry.transport == Some(Transport::Tls);
        for (key, given, fits, whose) in [
            ("path", entry.path.is_some(), entry.kind == OutputType::File, "type = \"file\""),
            ("transport", entry.transport.is_some(), syslog, "type = \"syslog\""),
            ("address", entry.address.is_some(), syslog, "type = \"syslog\""),
            ("server_name", entry.server_name.is_some(), tls, "transport = \"tls\""),
            ("ca", entry.ca.is_some(), tls, "transport = \"tls\""),
            ("certificate", entry.certificate.is_some(), tls, "transport = \"tls\""),
            ("key", entry.key.is_some(), tls, "transport = \"tls\""),
        ] {
            if given && !fits {
                self.wrong(key, format!("belongs to {whose} alone"), "remove the key, or say what the output is");
            }
        }
        match entry.kind {
            OutputType::Stdout => Some(Target::Stdout),
            OutputType::File => match &entry.path {
                Some(path) if path.is_absolute() => Some(Target::File(path.clone())),
                Some(_) => {
                    self.wrong("path", "a service has no folder of its own to start from", "give an absolute path");
                    None
                }
                None => {
                    self.wrong("path", "missing", "say which file events are added to");
                    None
                }
            },
            OutputType::Syslog => self.syslog(entry),
        }
    }

    fn syslog(&mut self, entry: &Entry) -> Option<Target> {
        let address = match entry.address.as_deref().map(address) {
            Some(Some(address)) => Some(address),
            Some(None) => {
                self.wrong("address", "no host and port", "write it like siem.example:6514 or [2001:db8::1]:6514");
                None
            }
            None => {
                self.wrong("address", "missing", "say where the receiver listens, like siem.example:6514");
                None
            }
        };
        match entry.transport {
            None => {
                self.wrong(
                    "transport",
                    "missing",
                    "choose tls, tcp (in clear) or udp (in clear, losses are not noticed)",
                );
                None
            }
            Some(Transport::Udp) => address.map(Target::Udp),
            Some(Transport::Tcp) => address.map(|address| Target::Tcp(address, None)),
            Some(Transport::Tls) => {
                if entry.ca.is_none() {
                    let way_out = "name a PEM file with the certificate of the authority that signed the receiver's";
                    self.wrong("ca", "missing, and nothing else says whom to trust", way_out);
                }
                if entry.certificate.is_some() != entry.key.is_some() {
                    let key = if entry.key.is_some() { "certificate" } else { "key" };
                    self.wrong(key, "missing", "`certificate` and `key` belong together");
                }
                let address = address?;
                let tls = Tls {
                    server_name: entry.server_name.clone().unwrap_or_else(|| address.host.clone()),
                    ca: entry.ca.clone()?,
                    identity: entry.certificate.clone().zip(entry.key.clone()),
                };
                Some(Target::Tcp(address, Some(tls)))
            }
        }
    }
}

/// `host:port`, an IPv6 address in brackets.
fn address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').filter(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/' || c == '[');
    let is_v6 = host.contains(':');
    (is_host && is_v6 == text.starts_with('[')).then(|| Address { host: host.to_owned(), port })
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn is_name(name: &str) -> bool {
    (1..=NAME).contains(&name.len()) && !name.starts_with('.') && name.chars().all(is_name_character)
}

/// What an output is called whom nobody named.
fn usual_name(target: &Target) -> String {
    let name = match target {
        Target::Stdout => "stdout".to_owned(),
        Target::File(path) => format!("file{}", path.display()),
        Target::Udp(to) => format!("udp-{}-{}", to.host, to.port),
        Target::Tcp(to, None) => format!("tcp-{}-{}", to.host, to.port),
        Target::Tcp(to, Some(_)) => format!("tls-{}-{}", to.host, to.port),
    };
    name.chars().map(|c| if is_name_character(c) { c } else { '-' }).take(NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testkit;

    fn read(text: &str) -> Result<Vec<Output>, String> {
        let file: crate::config::File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        check(&file.output).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_sample_configuration_with_all_its_fields() {
        let sample = include_str!("../../systemd/zonewatch.toml");
        // A field is behind a `#`, a sentence behind a `#` and a space.
        let lines = sample.lines().skip_while(|line| *line != "#[[output]]").filter_map(|line| line.strip_prefix('#'));
        let lines: Vec<&str> = lines.filter(|line| !line.starts_with(' ')).collect();
        let outputs = read(&lines.join("\n")).unwrap();
        assert_eq!(outputs.len(), 3);
        assert_eq!(
            outputs[0],
            Output {
                name: "siem".into(),
                target: Target::Tcp(
                    Address { host: "siem.example".into(), port: 6514 },
                    Some(Tls {
                        server_name: "siem.example".into(),
                        ca: "/etc/zonewatch/tls/siem-ca.pem".into(),
                        identity: Some((
                            "/etc/zonewatch/tls/sensor.pem".into(),
                            "/etc/zonewatch/tls/sensor.key".into()
                        )),
                    })
                ),
                format: Format::Rfc5424,
                facility: Facility::Local0,
                min_severity: Band::Info,
                kinds: Kind::ALL.into(),
                queue: 64 << 20,
            }
        );
        let file = &outputs[1];
        assert_eq!(
            (file.name.as_str(), file.format, file.queue),
            ("file-var-log-zonewatch-events.json", Format::Json, 64 << 20)
        );
        assert_eq!((file.min_severity, file.kinds.len()), (Band::Info, 10));
    }

    #[test]
    fn mistakes_name_the_key_and_a_way_out() {
        for (text, want) in [
            ("type = \"fax\"", "unknown variant `fax`, expected one of `stdout`, `file`, `syslog`"),
            ("type = \"stdout\"\nlevel = 3", "unknown field `level`, expected one of `type`, `name`, "),
            (
                "type = \"stdout\"\nmin_severity = \"loud\"",
                "output[0].min_severity: `loud` is not known; choose from info, low, medium, high, critical",
            ),
            (
                "type = \"stdout\"\nkinds = [\"finding\"]",
                "output[0].kinds: `finding` is not known; choose from asset-new, asset-changed, finding-opened, ",
            ),
            (
                "type = \"stdout\"\nformat = \"xml\"",
                "output[0].format: `xml` is not known; choose from json, rfc5424, cef, leef, ocsf, ecs",
            ),
            (
                "type = \"stdout\"\nfacility = \"mail\"",
                "output[0].facility: `mail` is not known; choose from user, daemon, ",
            ),
            ("type = \"file\"", "output[0].path: missing; say which file events are added to"),
            ("type = \"file\"\npath = \"a\"", "output[0].path: a service has no folder of its own to start from; give"),
            (
                "type = \"syslog\"",
                "output[0].address: missing; say where the receiver listens, like siem.example:6514\noutput[0].transport: \
                 missing; choose tls, tcp",
            ),
            (
                "type = \"syslog\"\ntransport = \"tls\"\naddress = \"siem.example:6514\"",
                "output[0].ca: missing, and nothing else says whom to trust; name a PEM file",
            ),
            (
                "type = \"syslog\"\ntransport = \"tls\"\naddress = \"a:1\"\nca = \"/a\"\nkey = \"/b\"",
                "output[0].certificate: missing; `certificate` and `key` belong together",
            ),
            (
                "type = \"syslog\"\ntransport = \"tcp\"\naddress = \"a:1\"\nca = \"/a\"",
                "output[0].ca: belongs to transport = \"tls\" alone; remove the key, or say what the output is",
            ),
            ("type = \"stdout\"\naddress = \"a:1\"", "output[0].address: belongs to type = \"syslog\" alone; remove"),
            ("type = \"stdout\"\nqueue = \"lots\"", "'lots' is no size: write it like 64KiB, 256MiB or 2GiB"),
            ("type = \"stdout\"\nqueue = \"1KiB\"", "output[0].queue: too small to be of use; give at least 256KiB"),
            ("type = \"stdout\"\nkinds = []", "output[0].kinds: an empty list sends nothing; name the kinds, or leave"),
            (
                "type = \"stdout\"\nname = \"../x\"",
                "output[0].name: `../x` cannot be the name of a folder; use up to 64",
            ),
            (
                "type = \"stdout\"\n[[output]]\ntype = \"stdout\"",
                "output[1].name: another output is called `stdout` as well; give each its own `name`",
            ),
        ] {
            let says = read(&format!("[[output]]\n{text}")).unwrap_err();
            assert!(says.starts_with(want), "{text}\n got {says}\nwant {want}");
        }
    }

    #[test]
    fn addresses() {
        for (text, want) in [
            ("siem.example:6514", Some(("siem.example", 6514))),
            ("10.0.0.1:514", Some(("10.0.0.1", 514))),
            ("[2001:db8::1]:6514", Some(("2001:db8::1", 6514))),
            ("2001:db8::1:6514", None),
            ("siem.example", None),
            ("siem.example:", None),
            ("siem.example:0", None),
            ("siem.example:70000", None),
            (":514", None),
            ("https://siem.example:443", None),
            ("[siem.example]:514", None),
        ] {
            let got = address(text);
            assert_eq!(got.as_ref().map(|to| (to.host.as_str(), to.port)), want, "{text}");
        }
    }

    #[test]
    fn an_output_takes_what_it_was_told_to() {
        let [mut output]: [Output; 1] = read("[[output]]\ntype = \"stdout\"").unwrap().try_into().unwrap();
        assert!(output.wants(&testkit::asset()) && output.wants(&testkit::finding()));
        output.min_severity = Band::High;
        assert!(!output.wants(&testkit::asset()) && output.wants(&testkit::finding()));
        output.kinds = [Kind::Health].into();
        assert!(!output.wants(&testkit::finding()));
    }
}
