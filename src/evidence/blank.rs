//! Credentials in kept frames become zeros. Checksums stay as they were, so that it shows.

use std::collections::BTreeMap;

use dissectors::{Carrier, secrets};

use super::Kept;
use super::recorder::{headers_of, key_of};
use crate::decode::{Tcp, Transport};
use crate::flow::connection::{ConnectionKey, Side};

/// A piece of one direction's payload.
struct Piece {
    /// Which of the frames, and where its payload lies in it.
    frame: usize,
    offset: usize,
    len: usize,
    /// Where it lies in the stream, from any start.
    at: i64,
}

/// Consecutive bytes, and how far they are from the start of the pieces' count.
struct Run {
    from: i64,
    bytes: Vec<u8>,
}

/// Zeros credentials, and gives the number of bytes zeroed in each frame.
///
/// The segments of a TCP direction are put together first, so that what is cut over two of them is found as well; and a
/// segment that was sent again is blanked in both.
pub(super) fn blank(frames: &mut [Kept]) -> Vec<usize> {
    let mut blanked = vec![0; frames.len()];
    let mut streams: BTreeMap<(String, bool), (u16, u32, Vec<Piece>)> = BTreeMap::new();
    let mut ranges: Vec<(usize, std::ops::Range<usize>)> = Vec::new();
    for (index, kept) in frames.iter().enumerate() {
        let frame = kept.frame();
        let Some(headers) = headers_of(&frame) else { continue };
        // The payload is a part of the frame.
        let offset = headers.payload.as_ptr().addr().wrapping_sub(kept.bytes.as_ptr().addr());
        let len = headers.payload.len();
        if len == 0 || offset.checked_add(len).is_none_or(|end| end > kept.bytes.len()) {
            continue;
        }
        let [_, to_port] = headers.ports;
        match headers.transport {
            Transport::Tcp if !headers.is_fragment => {
                let sender = Side::of(&headers);
                let seq = headers.seq.wrapping_add(u32::from(headers.has(Tcp::SYN)));
                let name = (name(&key_of(&headers)), sender == Side::A);
                let (_, first, pieces) = streams.entry(name).or_insert_with(|| (to_port, seq, Vec::new()));
                let at = i64::from(seq.wrapping_sub(*first).cast_signed());
                pieces.push(Piece { frame: index, offset, len, at });
            }
            // Others are looked at as they are, a fragment as well.
            transport => {
                let carrier = if transport == Transport::Tcp { Carrier::Tcp } else { Carrier::Udp };
                let found = secrets(carrier, to_port, headers.payload).into_iter();
                ranges.extend(found.map(|range| (index, offset + range.start..offset + range.end)));
            }
        }
    }
    for (to_port, _, mut pieces) in streams.into_values() {
        pieces.sort_by_key(|piece| piece.at);
        for run in runs(&pieces, frames) {
            for secret in secrets(Carrier::Tcp, to_port, &run.bytes) {
                let place = |at: usize| run.from + i64::try_from(at).unwrap_or(i64::MAX / 2);
                let (start, end) = (place(secret.start), place(secret.end));
                for piece in &pieces {
                    let inside = |at: i64| usize::try_from((at - piece.at).max(0)).unwrap_or(0).min(piece.len);
                    let (from, to) = (inside(start), inside(end));
                    if from < to {
                        ranges.push((piece.frame, piece.offset + from..piece.offset + to));
                    }
                }
            }
        }
    }
    for (index, range) in ranges {
        let bytes = frames.get_mut(index).and_then(|kept| kept.bytes.get_mut(range));
        if let (Some(bytes), Some(blanked)) = (bytes, blanked.get_mut(index)) {
            *blanked += bytes.len();
            bytes.fill(0);
        }
    }
    blanked
}

fn name(key: &ConnectionKey) -> String {
    let [port_a, port_b] = key.ports;
    format!("{} {port_a} {} {port_b}", key.a, key.b)
}

/// The stretches without a gap that pieces in order make.
fn runs(pieces: &[Piece], frames: &[Kept]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for piece in pieces {
        let bytes = frames.get(piece.frame).and_then(|kept| kept.bytes.get(piece.offset..piece.offset + piece.len));
        let bytes = bytes.unwrap_or(&[]);
        match runs.last_mut() {
            Some(run) if piece.at <= run.from + run.bytes.len() as i64 => {
                // What is new of it.
                let known = usize::try_from(run.from + run.bytes.len() as i64 - piece.at).unwrap_or(usize::MAX);
                run.bytes.extend_from_slice(bytes.get(known..).unwrap_or(&[]));
            }
            _ => runs.push(Run { from: piece.at, bytes: bytes.to_vec() }),
        }
    }
    runs
}
