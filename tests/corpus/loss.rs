//! What a sensor misses when it joins late or loses frames: no more than those frames carried, and one PDU at each gap.

use std::collections::BTreeSet;
use std::path::Path;

use crate::analysis::{Analysis, analyze, outcome, outcomes};
use crate::pcap::Pcap;
use crate::support::for_each;

/// Which frames are not seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// A sensor that is plugged in when half of it is over.
    FirstHalf,
    /// An overloaded mirror port. Which frames is drawn from a seed, so that every run loses the same.
    OneInAHundred,
}

impl Loss {
    fn is_lost(self, index: usize, len: usize) -> bool {
        match self {
            Self::FirstHalf => index < len / 2,
            Self::OneInAHundred => mix(index as u64 ^ (len as u64) << 32).is_multiple_of(100),
        }
    }
}

/// SplitMix64's output function: a number that looks random and is not.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}

/// The length of the PDU at the start of some bytes.
type Length = fn(&[u8]) -> Option<usize>;

/// The protocols whose PDUs a test can count on its own: how long the one at the start of some bytes is.
const PROTOCOLS: &[(&str, Length)] = &[
    ("modbus", |b| Some(6 + usize::from(u16::from_be_bytes([*b.get(4)?, *b.get(5)?])))),
    ("enip", |b| Some(24 + usize::from(u16::from_le_bytes([*b.get(2)?, *b.get(3)?])))),
    ("opcua", |b| usize::try_from(u32::from_le_bytes(*b.get(4..)?.first_chunk()?)).ok()),
];

/// Fewer frames than this show nothing.
const FEW: usize = 20;

/// Loses frames of every capture with PDUs that are counted here, and looks at what is still found.
pub(crate) fn check(corpus: &Path, case: &str, loss: Loss) {
    let spoken = |analysis: &Analysis, protocol: &str| analysis.coverage.protocols.get(protocol).map_or(0, |p| p.pdus);
    let subjects: Vec<_> = outcomes(corpus)
        .iter()
        .filter_map(|(name, outcome)| {
            let whole = outcome.analysis.as_ref()?;
            let speaks = PROTOCOLS.iter().any(|(protocol, _)| spoken(whole, protocol) > 0);
            let pcap = Pcap::read(&corpus.join("captures").join(name)).filter(|pcap| speaks && pcap.len() >= FEW)?;
            Some((name, whole, pcap))
        })
        .collect();
    assert!(subjects.len() > 20, "the corpus has captures to lose frames of");
    let folder = tempfile::tempdir().unwrap();
    let indices: Vec<_> = (0..subjects.len()).collect();
    let complaints = for_each(&indices, |&index| {
        let (name, whole, pcap) = &subjects[index];
        let path = folder.path().join(format!("{index}.pcap"));
        let lost = |frame: usize| loss.is_lost(frame, pcap.len());
        pcap.write(&path, |frame| !lost(frame));
        let Some(part) = outcome(analyze(&path, &[])).analysis else { return vec![format!("{name}: no analysis")] };
        let mut complaints = Vec::new();
        for (protocol, length) in PROTOCOLS {
            let before = spoken(whole, protocol);
            if before == 0 {
                continue;
            }
            let carried: u64 =
                (0..pcap.len()).filter(|frame| lost(*frame)).map(|frame| pdus(pcap.frame(frame), *length)).sum();
            // Each gap may cost the PDU that it cuts; a late start cuts one in each direction of each connection.
            let gaps = match loss {
                Loss::OneInAHundred => (0..pcap.len()).filter(|frame| lost(*frame)).count() as u64,
                Loss::FirstHalf => 2 * flows_of(whole, protocol),
            };
            let found = spoken(&part, protocol);
            if found + carried + gaps < before {
                complaints.push(format!(
                    "{name}: {protocol}: {found} PDUs of {before}, {carried} were lost with their frames, {gaps} gaps"
                ));
            }
        }
        complaints.extend(turned(whole, &part).into_iter().map(|pair| format!("{name}: turned round: {pair}")));
        complaints
    });
    let complaints: Vec<_> = complaints.into_iter().flatten().collect();
    assert!(complaints.is_empty(), "{case}: {} of {}: {complaints:#?}", complaints.len(), subjects.len());
}

/// Connections of a protocol.
fn flows_of(analysis: &Analysis, protocol: &str) -> u64 {
    let flows = analysis.flows.iter().filter(|flow| flow.protocol.as_deref() == Some(protocol));
    flows.map(|flow| flow.connections).sum()
}

/// PDUs that a frame carries a part of. What is not TCP or UDP on IPv4 or IPv6 on a common link carries none; a payload
/// that starts in the middle of a PDU is the rest of that one.
fn pdus(frame: &[u8], length: Length) -> u64 {
    let Some(mut payload) = payload(frame).filter(|payload| !payload.is_empty()) else { return 0 };
    let mut count = 0;
    while !payload.is_empty() {
        count += 1;
        match length(payload).filter(|len| *len >= 6).and_then(|len| payload.get(len..)) {
            Some(rest) => payload = rest,
            None => break,
        }
    }
    count
}

/// What a TCP segment or datagram carries, found by trying the link layers of the corpus: where a link header ends, the
/// version of IP, a length that fits and the protocol's number must stand.
fn payload(frame: &[u8]) -> Option<&[u8]> {
    [14, 18, 4, 16, 20, 0].into_iter().find_map(|link| {
        let ip = frame.get(link..)?;
        let (number, upper) = match ip.first()? >> 4 {
            4 => {
                let total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
                // A host that leaves segmentation to its network card writes 0.
                let datagram = if total == 0 { ip } else { ip.get(..total)? };
                (*ip.get(9)?, datagram.get(usize::from(ip.first()? & 0xF) * 4..)?)
            }
            6 => (*ip.get(6)?, ip.get(40..)?),
            _ => return None,
        };
        match number {
            6 => upper.get(usize::from(upper.get(12)? >> 4) * 4..),
            17 => upper.get(8..),
            _ => None,
        }
    })
}

/// Pairs of hosts whose first analysis saw who asks, and whose second has them the other way round.
fn turned(whole: &Analysis, part: &Analysis) -> Vec<String> {
    let ends = |analysis: &Analysis, only_seen: bool| -> BTreeSet<(String, String, String)> {
        let flows = analysis.flows.iter().filter(|flow| !only_seen || flow.initiator == "seen");
        let spoken = flows.filter(|flow| flow.protocol.is_some());
        spoken.map(|f| (f.client.address().into(), f.server.address().into(), f.transport.clone())).collect()
    };
    let (all, seen) = (ends(whole, false), ends(whole, true));
    ends(part, true)
        .into_iter()
        .filter(|(client, server, transport)| {
            let this = (client.clone(), server.clone(), transport.clone());
            let other = (server.clone(), client.clone(), transport.clone());
            client != server && seen.contains(&other) && !all.contains(&this)
        })
        .map(|(client, server, transport)| format!("{client} > {server} {transport}"))
        .collect()
}
