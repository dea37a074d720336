//! `[[output]]`: where events go, as it is written. What its words mean, and which keys go together, the module `event`
//! knows.

use std::path::PathBuf;

use serde::Deserialize;

use super::unit::Size;

/// An output.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: OutputType,
    /// Name of its queue and in metrics.
    pub name: Option<String>,
    /// How syslog messages travel.
    pub transport: Option<Transport>,
    /// Where the receiver listens: `siem.example:6514`.
    pub address: Option<String>,
    /// The name in the receiver's certificate, where it is not the host of the address.
    pub server_name: Option<String>,
    /// PEM: the authorities that the receiver's certificate may come from.
    pub ca: Option<PathBuf>,
    /// PEM: the sensor's own certificate, with its chain.
    pub certificate: Option<PathBuf>,
    /// PEM: its key.
    pub key: Option<PathBuf>,
    /// The file that events are added to.
    pub path: Option<PathBuf>,
    /// The language of the receiver: `rfc5424`, `cef`, `leef`, `json`, `ocsf`, `ecs`.
    pub format: Option<String>,
    /// Facility of syslog headers: `local0`.
    pub facility: Option<String>,
    /// Events below this band are not sent.
    pub min_severity: Option<String>,
    /// Events of other kinds are not sent.
    pub kinds: Option<Vec<String>>,
    /// What may wait on disk while the receiver is away.
    #[serde(default = "queue")]
    pub queue: Size,
}

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// Lines on standard output.
    Stdout,
    /// Lines at the end of a file.
    File,
    /// Messages to a syslog receiver.
    Syslog,
}

/// How syslog messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 5426. What is lost on the way is lost.
    Udp,
    /// RFC 6587 with octet counting.
    Tcp,
    /// RFC 5425.
    Tls,
}

fn queue() -> Size {
    Size(64 << 20)
}
