//! What tests, fuzz targets and benches share: hex in, one line of text out, and streams fed in any cut.

use crate::{
    Carrier, Direction, Framing, Item, Limits, LinkSide, Object, Observation, Outcome, Party, Pdu, Protocol, Session,
    Sink,
};

/// Bytes from hex digits; blanks, dots and line ends are ignored.
///
/// # Panics
/// On anything else: it is for tests.
#[must_use]
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace() && *c != '.').map(|c| c.to_digit(16).expect("hex") as u8).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Writes each observation as one line of text.
#[derive(Debug, Default)]
pub struct Lines(pub Vec<String>);

impl Sink for Lines {
    fn observe(&mut self, observation: Observation<'_>) {
        self.0.push(line(&observation));
    }
}

fn line(observation: &Observation<'_>) -> String {
    match observation {
        Observation::Identity(i) => {
            let party = if i.party == Party::Sender { "" } else { "receiver " };
            let component = i.component.map_or(String::new(), |c| format!("{c} "));
            let basis = if i.basis.is_empty() { String::new() } else { format!(" ({} % {})", i.weight, i.basis) };
            format!("{party}{component}{}={}{basis}", i.attribute.0, i.value)
        }
        Observation::Operation(o) => {
            let outcome = match o.outcome {
                Outcome::Asked => "ask".to_owned(),
                Outcome::Answered => "answer".to_owned(),
                Outcome::Refused(status) => format!("refuse:{status:#x}"),
                Outcome::Told => "tell".to_owned(),
            };
            let component = o.component.map_or(String::new(), |c| format!("{c} "));
            let objects: Vec<String> = o.objects.iter().map(object).collect();
            format!("{outcome} {component}{:#x} {} {}", o.code, o.class.text(), objects.join(",")).trim_end().to_owned()
        }
        Observation::Security(s) => format!(
            "security {} {} {}",
            s.mode.map_or("?", crate::Mode::text),
            s.policy.unwrap_or("?"),
            s.token.map_or("?", crate::Token::text)
        ),
        Observation::Link(l) => match l.side {
            LinkSide::Opens(Party::Sender) => format!("opens {} {:#x} for sender", l.protocol, l.key),
            LinkSide::Opens(Party::Receiver) => format!("opens {} {:#x} for receiver", l.protocol, l.key),
            LinkSide::Uses => format!("uses {} {:#x}", l.protocol, l.key),
        },
        Observation::Anomaly(a) => format!("anomaly@{} {}", a.at, a.what),
        Observation::Opaque(o) => format!("opaque {} bytes: {}", o.bytes, o.why),
    }
}

fn object(object: &Object<'_>) -> String {
    match object.item {
        Item::Range(from, to) => format!("{} {from}-{to}", object.space),
        Item::Name(name) => format!("{} {name}", object.space),
    }
}

/// One side's bytes of a conversation, in the order in which they were sent.
pub type Turn<'a> = (Direction, &'a [u8]);

/// Feeds whole PDUs, already cut, and returns what was seen, one line an observation.
pub fn dissect(session: &mut dyn Session, direction: Direction, carrier: Carrier, pdu: &[u8]) -> Vec<String> {
    let mut out = Lines::default();
    session.pdu(Pdu { bytes: pdu, direction, carrier, cut: 0 }, &mut out);
    out.0
}

/// Feeds a conversation as byte streams: each turn is cut by [`Protocol::frame`], a PDU may span turns of its direction.
///
/// At a desync one byte is skipped, as the simplest of all resynchronisations, so that this is total on any bytes.
///
/// # Panics
/// When the protocol breaks the laws of framing: a PDU of no bytes or above `max_pdu`, a need that is already met.
#[must_use]
pub fn feed(protocol: &dyn Protocol, turns: &[Turn<'_>]) -> Vec<String> {
    let mut session = protocol.session(&Limits::default());
    let mut held: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
    let mut out = Lines::default();
    for &(direction, bytes) in turns {
        let buffer = &mut held[direction.index()];
        buffer.extend_from_slice(bytes);
        let mut at = 0;
        while at < buffer.len() {
            match protocol.frame(&buffer[at..]) {
                Framing::Pdu(len) => {
                    assert!(len > 0 && len <= protocol.info().max_pdu, "a PDU of {len} bytes");
                    let Some(pdu) = buffer.get(at..at + len) else { break };
                    session.pdu(Pdu { bytes: pdu, direction, carrier: Carrier::Tcp, cut: 0 }, &mut out);
                    at += len;
                }
                Framing::NeedAtLeast(need) => {
                    assert!(need > buffer.len() - at, "asks for {need} bytes and has them");
                    break;
                }
                Framing::Desync => at += 1,
            }
        }
        buffer.drain(..at);
    }
    out.0
}

/// The same conversation with every turn cut into pieces of the given sizes, in rotation.
///
/// # Panics
/// Never: sizes of 0 count as 1.
#[must_use]
pub fn cut<'a>(turns: &[Turn<'a>], sizes: &[usize]) -> Vec<Turn<'a>> {
    let mut pieces = Vec::new();
    let mut sizes = sizes.iter().copied().cycle();
    for &(direction, mut bytes) in turns {
        while !bytes.is_empty() {
            let size = sizes.next().unwrap_or(bytes.len()).clamp(1, bytes.len());
            let (front, rest) = bytes.split_at(size);
            pieces.push((direction, front));
            bytes = rest;
        }
    }
    pieces
}
