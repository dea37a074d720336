//! Protocols that begin with a line of text.

use super::Answer::Is;
use super::{Answer, Heads, Recognised, either};

static SSH_1: Recognised = Recognised::version("ssh", "1");
static SSH_2: Recognised = Recognised::version("ssh", "2");
static HTTP: Recognised = Recognised::new("http");
static SSDP: Recognised = Recognised::new("ssdp");
static RTSP: Recognised = Recognised::new("rtsp");
static SIP: Recognised = Recognised::new("sip");
static FTP: Recognised = Recognised::new("ftp");
static SMTP: Recognised = Recognised::new("smtp");
static POP3: Recognised = Recognised::new("pop3");
static IMAP: Recognised = Recognised::new("imap");
static VNC: Recognised = Recognised::new("vnc");

/// RFC 9110, section 9, and those of WebDAV (RFC 4918) that start a conversation.
const METHODS: &[&[u8]] =
    &[b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ", b"PROPFIND "];

/// Longest first line that is looked at.
const LINE: usize = 2048;

/// The first line without its end, and whether the end was there; none when it holds what is not printable, or starts
/// with no word.
fn line(head: &[u8]) -> Option<(&[u8], bool)> {
    let head = head.get(..LINE).unwrap_or(head);
    head.first().filter(|first| first.is_ascii_graphic())?;
    let end = head.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = head.get(..end.unwrap_or(head.len()))?;
    line.iter()
        .all(|byte| (0x20..0x7F).contains(byte) || *byte >= 0x80 || *byte == b'\t')
        .then_some((line, end.is_some()))
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

fn starts(line: &[u8], word: &[u8]) -> bool {
    line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// RFC 4253, section 4.2: a server may send other lines before its version; none that is in use does.
pub(super) fn ssh(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        // 1.99 speaks 2 with those who can.
        match head {
            [b'S', b'S', b'H', b'-', b'2', b'.', ..] | [b'S', b'S', b'H', b'-', b'1', b'.', b'9', b'9', ..] => {
                Some(Is(&SSH_2))
            }
            [b'S', b'S', b'H', b'-', b'1', b'.', ..] => Some(Is(&SSH_1)),
            _ => None,
        }
    })
}

/// Protocols by the first line of a side: looked at once for all of them.
pub(super) fn by_line(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let (line, whole) = line(head)?;
        let what = if is_http(line, whole, head) {
            &HTTP
        } else {
            rtsp_or_sip(line).or_else(|| mail_or_files(line, whole, heads))?
        };
        Some(Is(what))
    })
}

/// A session of SIP over datagrams.
pub(super) fn sip(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| line(head).is_some_and(|(line, _)| is_sip(line)).then_some(Is(&SIP)))
}

/// A request line or a status line. A request whose end is not there yet, or was cut off, asks for a path.
fn is_http(line: &[u8], whole: bool, head: &[u8]) -> bool {
    let status = matches!(line, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'1'..=b'5', ..]);
    let request = METHODS.iter().any(|method| {
        let target = line.strip_prefix(*method);
        target.is_some_and(|target| match whole {
            true => target.ends_with(b" HTTP/1.1") || target.ends_with(b" HTTP/1.0"),
            false => target.len() > 1 && target.starts_with(b"/") && !contains(target, b" "),
        })
    });
    // The preface of HTTP/2, RFC 9113, section 3.4.
    status || request || head.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM")
}

/// UPnP Device Architecture 2.0, section 1.
pub(super) fn ssdp(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| {
        let search = head.starts_with(b"M-SEARCH * HTTP/1.1\r\n") || head.starts_with(b"NOTIFY * HTTP/1.1\r\n");
        let reply = head.starts_with(b"HTTP/1.1 200 OK\r\n") && contains(head, b"\r\nUSN:");
        (search || reply).then_some(Is(&SSDP))
    })
}

/// RFC 7826 and RFC 3261, section 7 of both.
fn rtsp_or_sip(line: &[u8]) -> Option<&'static Recognised> {
    let request = line.ends_with(b" RTSP/1.0") || line.ends_with(b" RTSP/2.0");
    let rtsp = request || line.starts_with(b"RTSP/1.0 ") || line.starts_with(b"RTSP/2.0 ");
    if rtsp { Some(&RTSP) } else { is_sip(line).then_some(&SIP) }
}

fn is_sip(line: &[u8]) -> bool {
    line.ends_with(b" SIP/2.0") || line.starts_with(b"SIP/2.0 ")
}

/// The greeting of SMTP and FTP is the same number: a word of the greeting, or the first command, tells them apart.
fn mail_or_files(line: &[u8], whole: bool, heads: &Heads<'_>) -> Option<&'static Recognised> {
    let rest = line.strip_prefix(b"220").filter(|rest| matches!(rest.first(), Some(b' ' | b'-')));
    let told = match (rest, line) {
        (Some(rest), _) if contains(rest, b"SMTP") => Some(&SMTP),
        (Some(rest), _) if contains(rest, b"FTP") => Some(&FTP),
        (None, line) if starts(line, b"+OK ") => Some(&POP3),
        (None, line) if starts(line, b"* OK ") && contains(line, b"IMAP") => Some(&IMAP),
        (None, line) if whole && (starts(line, b"EHLO ") || starts(line, b"HELO ")) => Some(&SMTP),
        _ => None,
    };
    // A user name alone may be FTP or POP3; with the greeting of FTP it is that.
    let asks = |head: &&[u8]| starts(head, b"USER ") || starts(head, b"AUTH TLS") || starts(head, b"FEAT");
    told.or_else(|| (rest.is_some() && heads.iter().any(asks)).then_some(&FTP))
}

/// RFC 6143, section 7.1.1: `RFB 003.008`.
pub(super) fn vnc(heads: &Heads<'_>) -> Option<Answer> {
    either(heads, |head| match head {
        [b'R', b'F', b'B', b' ', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'.', b'0'..=b'9', ..] => Some(Is(&VNC)),
        _ => None,
    })
}
