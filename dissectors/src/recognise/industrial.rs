//! Protocols of control systems that have no dissector yet, where the signature is strong.

use super::Answer::Is;
use super::{Answer, Heads, Recognised, either};
use crate::Reader;

static S7COMM: Recognised = Recognised::industrial("s7comm");
static MMS: Recognised = Recognised::industrial("mms");
static RDP: Recognised = Recognised::new("rdp");
static IEC104: Recognised = Recognised::industrial("iec104");
static DNP3: Recognised = Recognised::industrial("dnp3");
static BACNET: Recognised = Recognised::industrial("bacnet");
static PROFINET_RT: Recognised = Recognised::industrial("profinet-rt");
static PROFINET_DCP: Recognised = Recognised::industrial("profinet-dcp");
static GOOSE: Recognised = Recognised::industrial("goose");
static SAMPLED_VALUES: Recognised = Recognised::industrial("sampled-values");
static ETHERCAT: Recognised = Recognised::industrial("ethercat");

/// The abstract syntax of MMS (ISO 9506), 1.0.9506.2.1, as an object identifier.
const MMS_SYNTAX: &[u8] = &[0x06, 0x05, 0x28, 0xCA, 0x22, 0x02, 0x01];

/// What TPKT (RFC 1006) and the transport protocol of X.224 carry: S7, MMS and remote desktops.
pub(super) fn over_tpkt(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let mut r = Reader::new(head);
        loop {
            let [3, 0, high, low] = r.array::<4>("TPKT").ok()? else { return None };
            let len = usize::from(u16::from_be_bytes([high, low])).checked_sub(4)?;
            // What it carries may have been cut off; its start is enough.
            let have = len.min(r.rest().len());
            let mut tpdu = Reader::new(r.bytes("TPDU", have).ok()?);
            let header = usize::from(tpdu.u8("length indicator").ok()?);
            let (code, header) = tpdu.bytes("TPDU header", header).ok()?.split_first()?;
            let data = tpdu.rest();
            match (code & 0xF0, header, data) {
                // Its variable part, behind references and class, is a cookie or the negotiation of RDP.
                (0xE0 | 0xD0, [_, _, _, _, _, rest @ ..], _) if is_rdp(rest) => return Some(Is(&RDP)),
                (0xE0 | 0xD0, ..) => {}
                (0xF0, _, [0x32, 1 | 2 | 3 | 7, 0, 0, ..]) => return Some(Is(&S7COMM)),
                (0xF0, _, [0x0D | 0x0E, rest @ ..]) => {
                    let found = rest.windows(MMS_SYNTAX.len()).any(|part| part == MMS_SYNTAX);
                    return found.then_some(Is(&MMS));
                }
                _ => return None,
            }
        }
    })
}

/// [MS-RDPBCGR], 2.2.1.1 and 2.2.1.2.
fn is_rdp(rest: &[u8]) -> bool {
    rest.starts_with(b"Cookie: mstshash=") || matches!(rest, [1..=3, _, 8, 0, _, _, _, _])
}

/// IEC 60870-5-104: APDUs from end to end, the first of which starts, stops or tests; or data whose header makes sense.
pub(super) fn iec104(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| are_apdus(head).then_some(Is(&IEC104)))
}

fn are_apdus(mut head: &[u8]) -> bool {
    let mut strong = 0;
    while let [0x68, len @ 4..=253, rest @ ..] = head {
        let Some((apdu, next)) = rest.split_at_checked(usize::from(*len)) else { return false };
        strong += match apdu {
            // STARTDT, STOPDT, TESTFR, each to act or to confirm.
            [0x07 | 0x0B | 0x13 | 0x23 | 0x43 | 0x83, 0, 0, 0] => 2,
            // An acknowledgement says little.
            [1, 0, low, _] if low & 1 == 0 => 1,
            // Type, number of objects, cause of transmission.
            [send, _, receive, _, 1..=127, objects, cause, ..] if (send | receive) & 1 == 0 => {
                let cause = cause & 0x3F;
                if objects & 0x7F == 0 || cause == 0 || cause > 47 || *len < 10 {
                    return false;
                }
                2
            }
            _ => return false,
        };
        head = next;
    }
    head.is_empty() && strong >= 2
}

/// IEEE 1815, 9.2: the start bytes and the checksum of the link header.
pub(super) fn dnp3(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| stations(head).map(|_| Is(&DNP3)))
}

/// Destination and source of the frame that begins there, by the link header (IEEE 1815, 9.2.4).
pub(super) fn stations(head: &[u8]) -> Option<[u16; 2]> {
    let header: &[u8; 10] = head.first_chunk()?;
    let [0x05, 0x64, 5..=255, _control, d0, d1, s0, s1, low, high] = *header else { return None };
    let (covered, _) = header.split_at_checked(8)?;
    let is_whole = crc_dnp(covered) == u16::from_le_bytes([low, high]);
    is_whole.then_some([u16::from_le_bytes([d0, d1]), u16::from_le_bytes([s0, s1])])
}

/// The polynomial 0x3D65, reflected and complemented.
fn crc_dnp(bytes: &[u8]) -> u16 {
    let step = |crc: u16| if crc & 1 == 1 { crc >> 1 ^ 0xA6BC } else { crc >> 1 };
    !bytes.iter().fold(0, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), |crc, _| step(crc)))
}

/// ASHRAE 135, annex J: type 0x81, a function, a length that is the datagram's, and version 1 of the network layer.
pub(super) fn bacnet(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let [0x81, function @ 0..=0x0B, high, low, rest @ ..] = head else { return None };
        if usize::from(u16::from_be_bytes([*high, *low])) != head.len() {
            return None;
        }
        let fits = match function {
            0 => rest.len() == 2,
            1 | 3 => rest.len() % 10 == 0,
            2 | 6 => rest.is_empty(),
            4 => rest.get(6) == Some(&1),
            5 => rest.len() == 2,
            7 => rest.len() % 10 == 0,
            8 => rest.len() == 6,
            _ => rest.first() == Some(&1),
        };
        fits.then_some(Is(&BACNET))
    })
}

/// What an Ethernet frame carries, by its EtherType and the start of its payload.
#[must_use]
pub fn recognise_frame(ethertype: u16, payload: &[u8]) -> Option<&'static Recognised> {
    let starts = payload.first_chunk::<2>().map(|id| u16::from_be_bytes(*id))?;
    match ethertype {
        // IEC 61158-6-10: the frame id tells configuration (DCP) from cyclic data and alarms.
        0x8892 => match starts {
            0xFEFC..=0xFEFF => Some(&PROFINET_DCP),
            0x0020..=0xFC01 | 0xFE01 => Some(&PROFINET_RT),
            _ => None,
        },
        // IEC 61850-8-1 and -9-2: application id, length, two reserved words, then the PDU with its tag.
        0x88B8 => (payload.get(8) == Some(&0x61)).then_some(&GOOSE),
        0x88BA => (payload.get(8) == Some(&0x60)).then_some(&SAMPLED_VALUES),
        // Eleven bits of length, one reserved, type 1 (commands).
        0x88A4 => (payload.get(1).map(|byte| byte >> 4) == Some(1)).then_some(&ETHERCAT),
        _ => None,
    }
}
