//! Network interfaces through libpcap: frames as they pass a mirror port. Nothing is ever sent.
//!
//! The handle is opened for reading and never leaves this file, which calls no function of libpcap that transmits.
//! libpcap may wait on an idle link for ever, whatever its timeout; so it is never let wait: an empty ring is asked again
//! after a short sleep, which the ring's size makes safe.

use std::fmt;
use std::thread;
use std::time::Duration;

use pcap::{Active, Capture, Device, Direction, Precision};

use super::{Batch, FrameRef, LinkType};
use crate::time::Timestamp;

/// An interface that could be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `watch --interface` takes it.
    pub name: String,
    /// What libpcap says of it.
    pub description: Option<String>,
    /// Its own IP addresses. A mirror port best has none.
    pub addresses: Vec<std::net::IpAddr>,
    /// It is set up.
    pub up: bool,
    /// A cable is plugged in, as far as it is known.
    pub running: bool,
    /// The machine's own loopback.
    pub loopback: bool,
    /// Largest payload of its frames in bytes, where the system tells.
    pub mtu: Option<u32>,
}

/// The interfaces of this machine that libpcap can read, in its order: the likeliest first.
///
/// # Errors
/// libpcap's words, mostly for missing rights.
pub fn interfaces() -> Result<Vec<Interface>, LiveError> {
    let devices = Device::list().map_err(|error| LiveError::new("the list of interfaces", &error))?;
    let is_network = |device: &Device| std::path::Path::new("/sys/class/net").join(&device.name).exists();
    Ok(devices.into_iter().filter(is_network).map(interface).collect())
}

fn interface(device: Device) -> Interface {
    Interface {
        description: device.desc,
        addresses: device.addresses.iter().map(|address| address.addr).collect(),
        up: device.flags.is_up(),
        running: device.flags.is_running(),
        loopback: device.flags.is_loopback(),
        mtu: mtu(&device.name),
        name: device.name,
    }
}

fn mtu(name: &str) -> Option<u32> {
    attribute(name, "mtu")?.parse().ok()
}

/// What the kernel says of an interface (sysfs-class-net).
fn attribute(name: &str, leaf: &str) -> Option<String> {
    let path = std::path::Path::new("/sys/class/net").join(name).join(leaf);
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Why no frame can come from an interface at the moment, although it is open: libpcap does not tell. `None`: nothing is
/// known to be wrong.
fn dead(name: &str) -> Option<&'static str> {
    if !std::path::Path::new("/sys/class/net").exists() {
        return None;
    }
    let Some(flags) = attribute(name, "flags") else { return Some("no interface has that name any more") };
    let up = u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 == 1);
    match attribute(name, "carrier").as_deref() {
        _ if !up => Some("it is down"),
        Some("0") => Some("no cable is plugged in, or the other end is off"),
        _ => None,
    }
}

/// How an interface is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Its name.
    pub interface: String,
    /// Only frames that pass this filter, in the language of tcpdump. The kernel applies it.
    pub filter: Option<String>,
    /// Bytes kept of a frame.
    pub snaplen: u32,
    /// The kernel's ring in bytes.
    pub buffer: u32,
    /// Frames that are addressed to others as well, which is what a mirror port gives.
    pub promiscuous: bool,
}

/// What is wrong with an interface, with a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveError {
    /// Of what, e.g. `eth1`.
    pub what: String,
    /// libpcap's words.
    pub why: String,
    /// It may work later: the interface is down or not there yet.
    pub passing: bool,
}

impl LiveError {
    fn new(what: &str, error: &pcap::Error) -> Self {
        let why = match error {
            pcap::Error::PcapError(words) => words.trim().to_owned(),
            other => other.to_string(),
        };
        let lower = why.to_lowercase();
        let passing = ["no such device", "not up", "is down", "went down", "disappeared", "network is down"];
        Self { what: what.to_owned(), passing: passing.iter().any(|words| lower.contains(words)), why }
    }
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why, .. } = self;
        write!(f, "cannot watch {what}: {why}")?;
        let lower = why.to_lowercase();
        if lower.contains("permission") || lower.contains("not permitted") {
            write!(f, "\n  hint: capturing needs CAP_NET_RAW: run as the service does, or with sudo")?;
        } else if lower.contains("no such device") {
            write!(f, "\n  hint: 'zonewatch interfaces' lists what there is")?;
        } else if lower.contains("not up") {
            write!(f, "\n  hint: 'ip link set {what} up'")?;
        }
        Ok(())
    }
}

impl std::error::Error for LiveError {}

/// What the kernel and the card counted since the interface was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCounts {
    /// Frames that passed the filter.
    pub received: u64,
    /// Frames that were lost because the ring was full: the sensor was too slow, or its ring too small.
    pub dropped: u64,
    /// Frames that the card or its driver lost.
    pub dropped_by_interface: u64,
}

impl LiveCounts {
    /// With what another opening of the interface counted.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            dropped: self.dropped + other.dropped,
            dropped_by_interface: self.dropped_by_interface + other.dropped_by_interface,
        }
    }
}

/// An open interface.
pub struct Live {
    capture: Capture<Active>,
    name: String,
    link: LinkType,
    /// Frames longer than the interface's MTU allows: put together by the card, so not what was on the wire.
    oversized: u64,
    /// Largest frame that the MTU allows: its payload and the longest header.
    largest: u32,
    /// The longest frame so far, as it was captured.
    longest: usize,
    /// libpcap counts in 32 bits, which wrap.
    counts: LiveCounts,
    raw: [u32; 3],
}

/// Longest link-layer header before a payload that the MTU measures: Ethernet with two VLAN tags.
const HEADER: u32 = 22;

/// Frames put in a batch at most.
const BATCH_FRAMES: usize = 4096;

/// Bytes of frames that a batch is meant for. Where frames are long, it has fewer of them.
const BATCH_BYTES: usize = 256 << 10;

impl Live {
    /// Opens an interface: frames that come in, with nanoseconds where the card has them.
    ///
    /// # Errors
    /// [`LiveError`] when it is not there, is down, may not be read, or the filter makes no sense for it.
    pub fn open(options: &LiveOptions) -> Result<Self, LiveError> {
        let name = options.interface.as_str();
        let wrong = |error: pcap::Error| LiveError::new(name, &error);
        let int = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let inactive = |precision| {
            // Setters ignore what libpcap says; opening does not.
            Capture::from_device(name).map(|capture| {
                capture
                    .promisc(options.promiscuous)
                    .snaplen(int(options.snaplen))
                    .buffer_size(int(options.buffer))
                    .timeout(100)
                    .precision(precision)
            })
        };
        let capture = inactive(Precision::Nano).and_then(Capture::open).map_err(wrong)?;
        let mut capture = capture.setnonblock().map_err(wrong)?;
        // What the sensor's own machine sends there is no traffic of the plant. A loopback has no direction.
        if name != "lo" {
            capture.direction(Direction::In).map_err(wrong)?;
        }
        if let Some(filter) = &options.filter {
            capture.filter(filter, true).map_err(|error| LiveError { passing: false, ..wrong(error) })?;
        }
        let link = LinkType(u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX));
        let largest = mtu(name).map_or(u32::MAX, |mtu| mtu.saturating_add(HEADER));
        Ok(Self {
            capture,
            name: name.to_owned(),
            link,
            oversized: 0,
            largest,
            longest: 0,
            counts: LiveCounts::default(),
            raw: [0; 3],
        })
    }

    /// Why no frame can come at the moment, although it is open.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        dead(&self.name)
    }

    /// How its frames begin.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// Frames longer than the interface's MTU allows.
    #[must_use]
    pub fn oversized(&self) -> u64 {
        self.oversized
    }

    /// Fills a batch with frames of the capture `capture`, numbered on from `number`. When there are none, it looks again
    /// after `wait`. Returns how many there are.
    ///
    /// # Errors
    /// [`LiveError`] when the interface is gone.
    pub fn fill(
        &mut self,
        batch: &mut Batch,
        capture: u16,
        number: &mut u64,
        wait: Duration,
    ) -> Result<usize, LiveError> {
        batch.clear();
        let most = (BATCH_BYTES / self.longest.max(1)).clamp(1, BATCH_FRAMES);
        let Self { link, largest, longest, oversized, .. } = self;
        let mut take = |packet: pcap::Packet<'_>| {
            let Ok(offset) = u32::try_from(batch.bytes.len()) else { return };
            batch.bytes.extend_from_slice(packet.data);
            *number += 1;
            *longest = packet.data.len().max(*longest);
            *oversized += u64::from(packet.header.len > *largest);
            batch.frames.push(FrameRef {
                // The field of microseconds holds nanoseconds at this precision.
                at: Timestamp::new(packet.header.ts.tv_sec, u32::try_from(packet.header.ts.tv_usec).unwrap_or(0)),
                number: *number,
                offset,
                len: u32::try_from(packet.data.len()).unwrap_or(0),
                wire_len: packet.header.len,
                link: *link,
                capture,
            });
        };
        let taken = match self.capture.dispatch(Some(most), &mut take) {
            Ok(0) => {
                thread::sleep(wait);
                self.capture.dispatch(Some(most), &mut take)
            }
            taken => taken,
        };
        taken.map_err(|error| LiveError::new(&self.name, &error))
    }

    /// What was received and lost so far.
    ///
    /// # Errors
    /// [`LiveError`] when the interface is gone.
    pub fn counts(&mut self) -> Result<LiveCounts, LiveError> {
        let stat = self.capture.stats().map_err(|error| LiveError::new(&self.name, &error))?;
        let now = [stat.received, stat.dropped, stat.if_dropped];
        let [received, dropped, dropped_by_interface] =
            [0, 1, 2].map(|i: usize| u64::from(now[i].wrapping_sub(self.raw[i])));
        self.raw = now;
        self.counts.received += received;
        self.counts.dropped += dropped;
        self.counts.dropped_by_interface += dropped_by_interface;
        Ok(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_the_way_out_and_whether_to_try_again() {
        for (words, passing, hint) in [
            ("eth9: No such device exists (No such device exists)", true, Some("zonewatch interfaces")),
            ("That device is not up", true, Some("ip link set eth9 up")),
            ("The interface disappeared", true, None),
            ("socket: Operation not permitted", false, Some("CAP_NET_RAW")),
            ("can't parse filter expression: syntax error", false, None),
        ] {
            let error = LiveError::new("eth9", &pcap::Error::PcapError(words.to_owned()));
            assert_eq!(error.passing, passing, "{words}");
            let text = error.to_string();
            assert!(text.starts_with("cannot watch eth9: "), "{text}");
            assert_eq!(text.contains("hint"), hint.is_some(), "{text}");
            assert!(text.contains(hint.unwrap_or("")), "{text}");
        }
    }
}
