//! Datagrams of IT protocols, each of which is a message from end to end.

use super::Answer::Is;
use super::{Answer, Heads, Recognised, either};
use crate::{ParseError, Reader};

static DNS: Recognised = Recognised::new("dns");
static NBNS: Recognised = Recognised::new("nbns");
static SNMP_1: Recognised = Recognised::version("snmp", "1");
static SNMP_2: Recognised = Recognised::version("snmp", "2c");
static SNMP_3: Recognised = Recognised::version("snmp", "3");
static NTP: Recognised = Recognised::new("ntp");
static DHCP: Recognised = Recognised::new("dhcp");

/// RFC 1035: a header that makes sense, and questions that can be read.
pub(super) fn dns(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| message(head).ok().flatten().map(Is))
}

/// The same behind a length of two bytes (RFC 1035, 4.2.2).
pub(super) fn dns_stream(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let (len, rest) = head.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        // The first message of a client stands alone; that of a server may go on in the next segment.
        (len >= rest.len()).then(|| message(rest).ok().flatten().map(Is)).flatten()
    })
}

fn message(head: &[u8]) -> Result<Option<&'static Recognised>, ParseError> {
    let mut r = Reader::new(head);
    r.be16("id")?;
    let flags = r.be16("flags")?;
    let questions = r.be16("questions")?;
    let answers = r.be16("answers")?;
    let authorities = r.be16("authorities")?;
    let additional = r.be16("additional")?;
    let is_reply = flags & 0x8000 != 0;
    let opcode = flags >> 11 & 15;
    // One question; a query has no answers, and at most an OPT or TSIG record behind.
    let sane = questions == 1
        && matches!(opcode, 0 | 4..=8)
        && flags & 0x0040 == 0
        && (is_reply || (answers == 0 && authorities <= 1 && additional <= 3))
        && answers <= 64
        && authorities <= 64
        && additional <= 64;
    if !sane {
        return Ok(None);
    }
    let Some(encoded) = name(&mut r)? else { return Ok(None) };
    let (kind, class) = (r.be16("question type")?, r.be16("question class")?);
    // The upper bit asks for a unicast answer in multicast DNS.
    if !matches!(class & 0x7FFF, 1 | 255) {
        return Ok(None);
    }
    // NetBIOS names (RFC 1002): 32 letters, and the types NB and NBSTAT.
    let netbios = encoded && matches!(kind, 32 | 33);
    let whole = is_reply || additional > 0 || authorities > 0 || r.is_empty();
    let asked = matches!(kind, 1..=65 | 99..=109 | 249..=258);
    Ok(match (netbios, asked && whole) {
        (true, _) => Some(&NBNS),
        (false, true) => Some(&DNS),
        _ => None,
    })
}

/// The host name that a NetBIOS registration claims for its sender alone (RFC 1002, 4.2.2): a workstation's (suffix 0) or
/// a server's (0x20), not that of a group.
pub(super) fn registered_name(head: &[u8]) -> Option<String> {
    let mut r = Reader::new(head);
    r.be16("id").ok()?;
    let flags = r.be16("flags").ok()?;
    // Opcode 5 is a registration, 8 and 9 refresh it; the first bit is that of a reply.
    if !matches!(flags >> 11, 5 | 8 | 9) {
        return None;
    }
    r.bytes("counts", 8).ok()?;
    let [32] = r.array::<1>("label length").ok()? else { return None };
    let encoded = r.array::<32>("name").ok()?;
    // Root, type, class; then the record: a pointer to the name, type, class, time to live, length, flags.
    r.bytes("question and record head", 1 + 4 + 2 + 4 + 4 + 2).ok()?;
    let is_group = r.be16("name flags").ok()? & 0x8000 != 0;
    let (pairs, _) = encoded.as_chunks::<2>();
    let bytes: Vec<u8> =
        pairs.iter().map(|[high, low]| high.wrapping_sub(b'A') << 4 | low.wrapping_sub(b'A') & 15).collect();
    let (suffix, name) = bytes.split_last()?;
    let name = str::from_utf8(name).ok()?.trim_end();
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (!is_group && matches!(suffix, 0 | 0x20) && plain).then(|| name.to_owned())
}

/// Reads a name of labels. Some: whether it is one encoded NetBIOS name; none: it is no name.
fn name(r: &mut Reader<'_>) -> Result<Option<bool>, ParseError> {
    let (mut labels, mut total, mut encoded) = (0, 0, false);
    loop {
        let len = usize::from(r.u8("label length")?);
        if len == 0 {
            // The root alone is asked for as well, but so are zeros of anything.
            return Ok((labels > 0).then_some(encoded));
        }
        total += len + 1;
        if len > 63 || total > 254 {
            return Ok(None);
        }
        let label = r.bytes("label", len)?;
        if !label.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte >= 0x80) {
            return Ok(None);
        }
        encoded = labels == 0 && len == 32 && label.iter().all(|byte| (b'A'..=b'P').contains(byte));
        labels += 1;
    }
}

/// RFC 1157, 1901 and 3412: a sequence as long as the datagram, a version, and what comes next in that version.
pub(super) fn snmp(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let mut r = Reader::new(head);
        let len = element(&mut r, 0x30).ok()??;
        if len != r.rest().len() {
            return None;
        }
        let [2, 1, version] = r.array::<3>("version").ok()? else { return None };
        let known = match version {
            0 => &SNMP_1,
            1 => &SNMP_2,
            3 => &SNMP_3,
            _ => return None,
        };
        if version == 3 {
            // The global header: a sequence that begins with the message id.
            element(&mut r, 0x30).ok()??;
            return (r.u8("message id").ok()? == 2).then_some(Is(known));
        }
        let community = element(&mut r, 4).ok()??;
        r.bytes("community", community).ok()?;
        matches!(r.u8("PDU").ok()?, 0xA0..=0xA8).then_some(Is(known))
    })
}

/// The length of an element of this tag (BER, X.690, 8.1.3).
fn element(r: &mut Reader<'_>, tag: u8) -> Result<Option<usize>, ParseError> {
    if r.u8("tag")? != tag {
        return Ok(None);
    }
    Ok(match r.u8("length")? {
        short @ 0..=0x7F => Some(short.into()),
        0x81 => Some(r.u8("length")?.into()),
        0x82 => Some(r.be16("length")?.into()),
        _ => None,
    })
}

/// RFC 5905: a reply repeats the sender's time as its origin, which nothing else does; a reply alone has its two times
/// within a second.
pub(super) fn ntp(heads: &Heads<'_>) -> Option<Answer> {
    let packet = |head: &[u8], modes: &[u8]| -> Option<[u64; 4]> {
        let (first, rest) = head.split_first()?;
        let (version, mode) = (first >> 3 & 7, first & 7);
        let stratum = *rest.first()?;
        if head.len() < 48 || !(1..=4).contains(&version) || !modes.contains(&mode) || stratum > 16 {
            return None;
        }
        let (times, _) = head.get(16..48)?.as_chunks::<8>();
        <[u64; 4]>::try_from(times.iter().map(|time| u64::from_be_bytes(*time)).collect::<Vec<_>>()).ok()
    };
    let answers = |asked: &[u8], answered: &[u8]| {
        let ([.., sent], [_, origin, ..]) = (packet(asked, &[1, 3])?, packet(answered, &[2, 4])?);
        (sent != 0 && sent == origin).then_some(Is(&NTP))
    };
    let [a, b] = heads;
    let alone = |head: &[u8]| {
        let [_, origin, received, sent] = packet(head, &[4])?;
        let near = (received >> 32).abs_diff(sent >> 32) <= 1;
        (origin != 0 && received >> 63 == 1 && near && head.len() == 48).then_some(Is(&NTP))
    };
    answers(a, b).or_else(|| answers(b, a)).or_else(|| either(heads, alone))
}

/// RFC 2131: BOOTP's fixed part with the magic cookie behind it.
pub(super) fn dhcp(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let cookie = head.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63]);
        (cookie && matches!(head, [1 | 2, ..])).then_some(Is(&DHCP))
    })
}
