//! BPF filters (pcap-filter(7)) on frames, compiled by libpcap once for each link type.

use pcap::{BpfProgram, Capture, Linktype};

use super::{Batch, Frame, LinkType};

/// A filter expression.
///
/// The words for lengths (`greater`, `less`, `len`) count captured bytes.
pub struct Filter {
    text: String,
    /// By link type; `None` where the expression has no meaning, such as `vlan` on raw IP: nothing passes there.
    programs: Vec<(LinkType, Option<BpfProgram>)>,
}

impl Filter {
    /// From an expression, such as `tcp port 502 or vlan`.
    ///
    /// # Errors
    /// libpcap's own words on an expression that makes no sense on Ethernet.
    pub fn new(text: &str) -> Result<Self, String> {
        let program = compile(text, LinkType::ETHERNET)?;
        Ok(Self { text: text.into(), programs: vec![(LinkType::ETHERNET, Some(program))] })
    }

    /// Whether a frame passes.
    pub fn passes(&mut self, frame: &Frame<'_>) -> bool {
        let known = self.programs.iter().position(|(link, _)| *link == frame.link).unwrap_or_else(|| {
            self.programs.push((frame.link, compile(&self.text, frame.link).ok()));
            self.programs.len() - 1
        });
        matches!(self.programs.get(known), Some((_, Some(program))) if program.filter(frame.bytes))
    }

    /// Keeps the frames of a batch that pass.
    pub fn retain(&mut self, batch: &mut Batch) {
        let mut frames = std::mem::take(&mut batch.frames);
        frames.retain(|frame| batch.frame(frame).is_some_and(|frame| self.passes(&frame)));
        batch.frames = frames;
    }
}

fn compile(text: &str, link: LinkType) -> Result<BpfProgram, String> {
    // Files number raw IP otherwise than libpcap does inside (tcpdump.org, "Link-layer header types", LINKTYPE_RAW).
    let number = match link {
        LinkType::RAW | LinkType::RAW_14 => 12,
        other => other.0.into(),
    };
    let words = |error: pcap::Error| match error {
        pcap::Error::PcapError(words) => words,
        other => other.to_string(),
    };
    Capture::dead(Linktype(number)).and_then(|capture| capture.compile(text, true)).map_err(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn filters_by_link_type() {
        let ip = "4500 001c 0000 0000 40 11 0000 0a000001 0a000002  1234 01f6 0008 0000";
        let ethernet = format!("020000000001 020000000002 0800 {ip}");
        for (text, link, bytes, want) in [
            ("udp port 502", LinkType::ETHERNET, ethernet.as_str(), true),
            ("udp port 502", LinkType::RAW, ip, true),
            ("udp port 503", LinkType::RAW, ip, false),
            ("ether host 02:00:00:00:00:02", LinkType::ETHERNET, &ethernet, true),
            ("ether host 02:00:00:00:00:02", LinkType::RAW, ip, false),
            ("udp port 502", LinkType::UNKNOWN, ip, false),
            ("udp port 502", LinkType::RAW, "", false),
        ] {
            let bytes = crate::source::tests::hex(bytes);
            let frame = Frame { at: Timestamp::default(), link, bytes: &bytes, wire_len: 60, capture: 0, number: 1 };
            assert_eq!(Filter::new(text).unwrap().passes(&frame), want, "{text} {link:?}");
        }
        assert_eq!(Filter::new("udp porn 502").err().as_deref(), Some("can't parse filter expression: syntax error"));
    }
}
