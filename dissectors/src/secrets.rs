//! Where credentials stand in what one side sent, so that who keeps the bytes can blank them.
//!
//! Nothing here depends on a session: kept bytes may begin anywhere. What looks like a credential is taken for one, since
//! a byte too many that is blanked costs less than one too few.

use std::ops::Range;

use crate::{Carrier, REGISTRY};

/// Credentials in consecutive bytes of one direction of a stream, or in one datagram, in order and without overlaps.
/// `to_port` is the port that they went to.
#[must_use]
pub fn secrets(carrier: Carrier, to_port: u16, bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut find = |range: Range<usize>| {
        let range = range.start..range.end.min(bytes.len());
        if !range.is_empty() {
            found.push(range);
        }
    };
    for protocol in REGISTRY {
        if protocol.info().carriers.iter().any(|(of, _)| *of == carrier) {
            protocol.secrets(bytes, &mut find);
        }
    }
    match carrier {
        // What is typed into a terminal goes a letter at a time, so that no password can be told from the rest.
        Carrier::Tcp if to_port == TELNET => find(0..bytes.len()),
        Carrier::Tcp => {
            lines(bytes, &mut find);
            fields(bytes, &mut find);
            mqtt(bytes, &mut find);
        }
        Carrier::Udp => community(bytes, &mut find),
    }
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in found {
        match apart.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => apart.push(range),
        }
    }
    apart
}

/// RFC 854.
const TELNET: u16 = 23;

type Find<'a> = &'a mut dyn FnMut(Range<usize>);

/// What stands behind these words is secret, to the end of the line: header fields of HTTP, RTSP and SIP (RFC 9110, 11.6),
/// commands of FTP (RFC 959, 4.1.1), POP3 (RFC 1939) and SMTP (RFC 4954).
const WORDS: &[&[u8]] = &[
    b"authorization:",
    b"proxy-authorization:",
    b"cookie:",
    b"set-cookie:",
    b"x-api-key:",
    b"user ",
    b"pass ",
    b"acct ",
    b"apop ",
    b"auth ",
];

/// A command of IMAP, behind the tag (RFC 9051, 6.2.3).
const LOGIN: &[u8] = b" login ";

fn lines(bytes: &[u8], find: Find<'_>) {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        let starts = |word: &&&[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let behind_word = WORDS.iter().find(starts).map(|word| word.len());
        let behind_tag = || {
            let tag = text.iter().take(16).position(|byte| *byte == b' ')?;
            let login = text.get(tag..tag.checked_add(LOGIN.len())?)?;
            login.eq_ignore_ascii_case(LOGIN).then_some(tag + LOGIN.len())
        };
        if let Some(from) = behind_word.or_else(behind_tag) {
            find(at + from..at + text.len());
        }
        at += line.len();
    }
}

/// Fields of forms and of JSON whose value is secret, as a web page sends them.
const FIELDS: &[&[u8]] = &[b"password", b"passwd", b"pwd", b"passwort", b"secret", b"token"];

fn fields(bytes: &[u8], find: Find<'_>) {
    for field in FIELDS {
        for at in places(bytes, field) {
            let Some(rest) = bytes.get(at + field.len()..) else { continue };
            let value = match rest {
                [b'=', ..] => Some((1, &b"& \r\n\"<"[..])),
                [b'"', ..] => {
                    // `"password": "..."`, with blanks where they may be.
                    let blanks = |from: usize| {
                        rest.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| **byte == b' ').count())
                    };
                    let colon = 1 + blanks(1);
                    let quote = colon + 1 + blanks(colon + 1);
                    (rest.get(colon) == Some(&b':') && rest.get(quote) == Some(&b'"'))
                        .then_some((quote + 1, &b"\"\r\n"[..]))
                }
                _ => None,
            };
            if let Some((from, ends)) = value {
                let value = rest.get(from..).unwrap_or(&[]);
                let len = value.iter().position(|byte| ends.contains(byte)).unwrap_or(value.len());
                find(at + field.len() + from..at + field.len() + from + len);
            }
        }
    }
}

/// Where a lower-case word stands, in letters of any case.
fn places<'a>(bytes: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(word.len()).enumerate().filter(|(_, part)| part.eq_ignore_ascii_case(word)).map(|(at, _)| at)
}

/// The community of SNMP 1 and 2c (RFC 1901, 3), in BER: SEQUENCE, INTEGER version, OCTET STRING community.
fn community(bytes: &[u8], find: Find<'_>) {
    let Some((0x30, version)) = bytes.split_first().and_then(|(tag, rest)| Some((*tag, behind_length(rest)?.0))) else {
        return;
    };
    let at = |rest: &[u8]| bytes.len() - rest.len();
    if let [0x02, 0x01, 0 | 1, 0x04, rest @ ..] = version
        && let Some((rest, len)) = behind_length(rest)
    {
        find(at(rest)..at(rest).saturating_add(len));
    }
}

/// A length of BER (X.690, 8.1.3) and what stands behind it.
fn behind_length(bytes: &[u8]) -> Option<(&[u8], usize)> {
    match *bytes {
        [len @ 0..=0x7F, ref rest @ ..] => Some((rest, len.into())),
        [0x81, len, ref rest @ ..] => Some((rest, len.into())),
        [0x82, high, low, ref rest @ ..] => Some((rest, u16::from_be_bytes([high, low]).into())),
        _ => None,
    }
}

/// User name and password of CONNECT (MQTT 3.1.1, 3.1; MQTT 5.0, 3.1): all that comes behind the header of the packet,
/// which is nothing but names and secrets.
fn mqtt(bytes: &[u8], find: Find<'_>) {
    for at in places(bytes, b"mqtt").chain(places(bytes, b"mqisdp")) {
        let name = if bytes.get(at + 2..at + 4).is_some_and(|rest| rest.eq_ignore_ascii_case(b"tt")) { 4 } else { 6 };
        // Before the name: packet type and flags, one to four bytes of length, the length of the name.
        let is_connect =
            (2..=5).any(|length| at.checked_sub(length + 2).is_some_and(|at| bytes.get(at) == Some(&0x10)));
        let told = at.checked_sub(2).and_then(|at| bytes.get(at..at + 2)) == Some(&[0, name]);
        let flags = at + usize::from(name) + 1;
        if is_connect && told && bytes.get(flags).is_some_and(|flags| flags & 0xC0 != 0) {
            // Behind flags and keep-alive.
            find(flags + 3..bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with what is secret as dots.
    fn blanked(carrier: Carrier, port: u16, bytes: &[u8]) -> String {
        let mut bytes = bytes.to_vec();
        for range in secrets(carrier, port, &bytes) {
            bytes[range].fill(b'.');
        }
        String::from_utf8_lossy(&bytes).escape_default().to_string()
    }

    #[test]
    fn streams() {
        for (case, port, text, want) in [
            (
                "HTTP Basic",
                80,
                "GET / HTTP/1.1\r\nauthorization: Basic YTpi\r\nHost: x\r\n\r\n",
                "GET / HTTP/1.1\\r\\nauthorization:...........\\r\\nHost: x\\r\\n\\r\\n",
            ),
            ("a cookie at the end of what was kept", 80, "x\r\nCookie: sid=1234", "x\\r\\nCookie:........."),
            ("a form", 80, "user=a&password=b%20c&x=1", "user=a&password=.....&x=1"),
            ("JSON", 80, "{\"Password\" : \"a b\", \"x\": 1}", "{\\\"Password\\\" : \\\"...\\\", \\\"x\\\": 1}"),
            ("FTP", 21, "USER joe\r\nPASS open\r\nLIST\r\n", "USER ...\\r\\nPASS ....\\r\\nLIST\\r\\n"),
            ("IMAP", 143, "a1 LOGIN joe open\r\n", "a1 LOGIN ........\\r\\n"),
            ("nothing secret", 502, "compass rose, password", "compass rose, password"),
            ("a terminal", 23, "letmein", "......."),
            ("its screen", 40_000, "letmein", "letmein"),
        ] {
            assert_eq!(blanked(Carrier::Tcp, port, text.as_bytes()), want, "{case}");
        }
    }

    #[test]
    fn binary() {
        let mqtt = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02id\x00\x03joe\x00\x04open";
        let snmp = b"\x30\x1a\x02\x01\x01\x04\x06public\xa0\x0d\x02\x01\x01";
        let version_3 = b"\x30\x1a\x02\x01\x03\x30\x06public\xa0\x0d\x02\x01\x01";
        for (case, carrier, bytes, want) in [
            ("MQTT", Carrier::Tcp, &mqtt[..], "\\u{10}\\u{1a}\\u{0}\\u{4}MQTT\\u{4}\\u{fffd}\\u{0}<..............."),
            (
                "SNMP 2c",
                Carrier::Udp,
                &snmp[..],
                "0\\u{1a}\\u{2}\\u{1}\\u{1}\\u{4}\\u{6}......\\u{fffd}\\r\\u{2}\\u{1}\\u{1}",
            ),
            (
                "SNMP 3",
                Carrier::Udp,
                &version_3[..],
                "0\\u{1a}\\u{2}\\u{1}\\u{3}0\\u{6}public\\u{fffd}\\r\\u{2}\\u{1}\\u{1}",
            ),
        ] {
            assert_eq!(blanked(carrier, 1883, bytes), want, "{case}");
        }
    }
}
