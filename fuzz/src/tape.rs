//! Captures as the fuzzer changes them: a frame at a time, so that what comes out is still a capture, and mostly still a
//! conversation.

use super::change::Dice;

/// A frame: seconds, microseconds, length on the wire, bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Seconds and microseconds of its time.
    pub at: [u32; 2],
    /// Bytes on the wire that were not captured.
    pub missing: u32,
    /// What was captured.
    pub bytes: Vec<u8>,
}

/// A pcap file of little-endian microseconds, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// The link type and what stands beside it.
    pub link: u32,
    /// The frames.
    pub frames: Vec<Frame>,
}

const MAGIC: u32 = 0xA1B2_C3D4;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

impl Tape {
    /// A pcap file; `None` when it is none of this kind. What is cut off at its end is left out.
    #[must_use]
    pub fn read(file: &[u8]) -> Option<Self> {
        if word(file, 0)? != MAGIC {
            return None;
        }
        let (link, mut at, mut frames) = (word(file, 20)?, 24, Vec::new());
        while let (Some(seconds), Some(micros), Some(len), Some(wire)) =
            (word(file, at), word(file, at + 4), word(file, at + 8), word(file, at + 12))
        {
            let Some(bytes) = (at + 16).checked_add(len as usize).and_then(|end| file.get(at + 16..end)) else { break };
            frames.push(Frame { at: [seconds, micros], missing: wire.saturating_sub(len), bytes: bytes.to_vec() });
            at += 16 + bytes.len();
        }
        Some(Self { link, frames })
    }

    /// The file.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for word in [MAGIC, 0x0004_0002, 0, 0, 262_144, self.link] {
            file.extend(word.to_le_bytes());
        }
        for frame in &self.frames {
            let len = frame.bytes.len() as u32;
            for word in [frame.at[0], frame.at[1], len, len.saturating_add(frame.missing)] {
                file.extend(word.to_le_bytes());
            }
            file.extend(&frame.bytes);
        }
        file
    }

    /// Changes one thing. `other` changes bytes.
    pub fn change(&mut self, dice: &mut Dice, mut other: impl FnMut(&mut Dice, &mut Vec<u8>)) {
        let place = dice.below(self.frames.len());
        let Some(frame) = self.frames.get_mut(place) else { return };
        match dice.below(24) {
            0 => drop(self.frames.remove(place)),
            1 => {
                let again = frame.clone();
                let to = dice.below(self.frames.len() + 1);
                self.frames.insert(to, again);
            }
            2 => {
                let to = dice.below(self.frames.len());
                self.frames.swap(place, to);
            }
            3 => frame.at[dice.below(2)] = [0, 1, 999_999, 1_000_000, u32::MAX, 1_700_000_000][dice.below(6)],
            4 => frame.at[0] = frame.at[0].wrapping_add(dice.below(100_000) as u32),
            5 => {
                frame.missing = dice.below(2000) as u32;
                let keep = dice.below(frame.bytes.len() + 1);
                frame.bytes.truncate(keep);
            }
            6 => drop(self.frames.drain(..place)),
            7 => self.frames.truncate(place + 1),
            8 => other(dice, &mut frame.bytes),
            9 if dice.once_in(8) => self.link = dice.below(300) as u32,
            10 => {
                // The other way: addresses and ports change places.
                if let Some(at) = Transport::of(&frame.bytes) {
                    for (one, two, len) in [(0, 6, 6), (26, 30, 4), (at.header, at.header + 2, 2)] {
                        for place in 0..len {
                            if two + place < frame.bytes.len() {
                                frame.bytes.swap(one + place, two + place);
                            }
                        }
                    }
                }
            }
            _ => self.payload(place, |bytes| other(dice, bytes)),
        }
    }

    /// Changes the payload of a frame, and what says how long it is: in its headers, and in the sequence numbers of those
    /// that follow.
    fn payload(&mut self, place: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let Some(frame) = self.frames.get_mut(place) else { return };
        let Some(at) = Transport::of(&frame.bytes) else { return change(&mut frame.bytes) };
        let mut payload = frame.bytes.split_off(at.payload);
        let before = payload.len();
        change(&mut payload);
        let grown = (payload.len() as u32).wrapping_sub(before as u32);
        frame.bytes.append(&mut payload);
        let total = (frame.bytes.len() - 14) as u16;
        frame.bytes[16..18].copy_from_slice(&total.to_be_bytes());
        if !at.is_tcp {
            let len = (frame.bytes.len() - at.header) as u16;
            frame.bytes[at.header + 4..at.header + 6].copy_from_slice(&len.to_be_bytes());
            return;
        }
        if grown == 0 {
            return;
        }
        let (_, rest) = self.frames.split_at_mut(place);
        let Some((first, rest)) = rest.split_first_mut() else { return };
        let ends = at.ends(&first.bytes);
        for frame in rest {
            let Some(at) = Transport::of(&frame.bytes).filter(|at| at.is_tcp) else { continue };
            let theirs = at.ends(&frame.bytes);
            let field = if theirs == ends {
                4
            } else if theirs == [ends[1], ends[0]] {
                8
            } else {
                continue;
            };
            let number = &mut frame.bytes[at.header + field..at.header + field + 4];
            let moved = u32::from_be_bytes(number.try_into().unwrap_or_default()).wrapping_add(grown);
            number.copy_from_slice(&moved.to_be_bytes());
        }
    }
}

/// Where things are in a frame that is Ethernet, IPv4 and TCP or UDP, and nothing else.
struct Transport {
    is_tcp: bool,
    header: usize,
    payload: usize,
}

impl Transport {
    fn of(frame: &[u8]) -> Option<Self> {
        let [high, low, first] = [*frame.get(12)?, *frame.get(13)?, *frame.get(14)?];
        if [high, low, first & 0xF0] != [8, 0, 0x40] {
            return None;
        }
        let header = 14 + usize::from(first & 15) * 4;
        let is_tcp = match frame.get(23)? {
            6 => true,
            17 => false,
            _ => return None,
        };
        let payload = header + if is_tcp { usize::from(frame.get(header + 12)? >> 4) * 4 } else { 8 };
        (header >= 34 && payload >= header + if is_tcp { 20 } else { 8 } && payload <= frame.len()).then_some(Self {
            is_tcp,
            header,
            payload,
        })
    }

    /// Sender and receiver, with their ports.
    fn ends<'a>(&self, frame: &'a [u8]) -> [(&'a [u8], &'a [u8]); 2] {
        let ports = &frame[self.header..self.header + 4];
        [(&frame[26..30], &ports[..2]), (&frame[30..34], &ports[2..])]
    }
}
