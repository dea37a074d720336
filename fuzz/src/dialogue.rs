//! What two sides say in one protocol: no bytes make a dissector panic or say more than was said, and where they are cut does
//! not matter.

use dissectors::{Carrier, Direction, Framing, Limits, Pdu, Probe, Protocol, REGISTRY, recognise, secrets, testkit};

use super::change::Dice;

/// Whom it is about, and what is said: a kind, and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialogue {
    /// Which protocol of the registry, modulo their number.
    pub protocol: u8,
    /// What is said.
    pub turns: Vec<(u8, Vec<u8>)>,
}

/// Bits of a turn's kind.
pub const TO_CLIENT: u8 = 1;
/// Bytes were lost before it.
pub const AFTER_A_GAP: u8 = 2;
/// It is a datagram.
pub const DATAGRAM: u8 = 4;
/// Its end was not captured.
pub const CUT: u8 = 8;

impl Dialogue {
    /// From the form in which it is kept: the protocol, then of each turn its kind, length (16 bits, little-endian) and bytes.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let (&protocol, rest) = bytes.split_first()?;
        bytes = rest;
        let mut turns = Vec::new();
        while let [kind, low, high, rest @ ..] = bytes {
            let (turn, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([*low, *high]).into()));
            turns.push((*kind, turn.to_vec()));
            bytes = rest;
        }
        Some(Self { protocol, turns })
    }

    /// The form in which it is kept.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = vec![self.protocol];
        for (kind, turn) in &self.turns {
            let len = turn.len().min(usize::from(u16::MAX));
            bytes.push(*kind);
            bytes.extend((len as u16).to_le_bytes());
            bytes.extend(&turn[..len]);
        }
        bytes
    }

    /// Changes one thing. `other` changes bytes.
    pub fn change(&mut self, dice: &mut Dice, mut other: impl FnMut(&mut Dice, &mut Vec<u8>)) {
        let place = dice.below(self.turns.len());
        let Some((kind, bytes)) = self.turns.get_mut(place) else { return self.turns.push((0, vec![0; 8])) };
        match dice.below(16) {
            0 => drop(self.turns.remove(place)),
            1 => {
                let (again, to) = ((*kind, bytes.clone()), dice.below(self.turns.len() + 1));
                self.turns.insert(to, again);
            }
            2 => {
                let to = dice.below(self.turns.len());
                self.turns.swap(place, to);
            }
            3 => *kind ^= 1 << dice.below(4),
            4 if dice.once_in(4) => self.protocol = dice.below(REGISTRY.len()) as u8,
            5 => {
                let (kind, cut) = (*kind, dice.below(bytes.len() + 1));
                let rest = bytes.split_off(cut);
                self.turns.insert(place + 1, (kind, rest));
            }
            _ => other(dice, bytes),
        }
    }

    fn protocol(&self) -> &'static dyn Protocol {
        REGISTRY[usize::from(self.protocol) % REGISTRY.len()]
    }
}

fn direction(kind: u8) -> Direction {
    if kind & TO_CLIENT == 0 { Direction::ToServer } else { Direction::ToClient }
}

/// A byte that was sent is worth so many observations at most.
const OBSERVATIONS: usize = 4;

/// Checks a dialogue.
///
/// # Panics
/// When a promise is broken.
pub fn check(input: &[u8]) {
    let Some(dialogue) = Dialogue::read(input) else { return };
    let protocol = dialogue.protocol();
    let turns: Vec<_> = dialogue.turns.iter().map(|(kind, bytes)| (direction(*kind), bytes.as_slice())).collect();
    let said: usize = turns.iter().map(|(_, bytes)| bytes.len()).sum();

    let whole = testkit::feed(protocol, &turns);
    assert!(whole.len() <= OBSERVATIONS * said + 64, "{} observations of {said} bytes", whole.len());
    for sizes in [[1].as_slice(), &[3, 7, 24, 1]] {
        assert_eq!(whole, testkit::feed(protocol, &testkit::cut(&turns, sizes)), "where it is cut matters");
    }

    let mut session = protocol.session(&Limits::default());
    let mut out = testkit::Lines::default();
    for (kind, bytes) in &dialogue.turns {
        let direction = direction(*kind);
        if kind & AFTER_A_GAP != 0 {
            session.gap(direction);
        }
        let carrier = if kind & DATAGRAM == 0 { Carrier::Tcp } else { Carrier::Udp };
        if !bytes.is_empty() {
            let cut = if kind & CUT == 0 { 0 } else { 100 };
            session.pdu(Pdu { bytes, direction, carrier, cut }, &mut out);
        }
        protocol.message_text(protocol.message(bytes));
        ahead(protocol, bytes);
        let hidden = secrets(carrier, [23, 161, 1883, 502][bytes.len() % 4], bytes);
        let mut end = 0;
        for range in hidden {
            assert!(
                range.start >= end && range.start < range.end && range.end <= bytes.len(),
                "{range:?} of {}",
                bytes.len()
            );
            end = range.end;
        }
    }
    let heard = [0, 1].map(|turn| turns.get(turn).map_or([].as_slice(), |(_, bytes)| bytes));
    for carrier in [Carrier::Tcp, Carrier::Udp] {
        let _ = recognise::recognise(carrier, &heard);
    }
}

/// What a probe or a framer says of some bytes it does not take back when there are more of them.
fn ahead(protocol: &dyn Protocol, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(64)];
    let (mut framed, mut probed) = (None, None);
    for len in 0..=bytes.len() {
        let now = protocol.frame(&bytes[..len]);
        match (now, framed) {
            (now, Some(before)) => assert_eq!(now, before, "framing of {len} bytes"),
            (Framing::NeedAtLeast(need), None) => assert!(need > len, "needs {need} and has {len}"),
            (now, None) => framed = Some(now),
        }
        match (protocol.probe(&bytes[..len]), probed) {
            (Probe::NeedAtLeast(need), _) => assert!(need > len, "a probe needs {need} and has {len}"),
            (Probe::No, Some(_)) | (Probe::Yes { .. }, None) => probed = Some(len),
            _ => {}
        }
    }
}
