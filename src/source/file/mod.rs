//! Capture files: pcap, pcapng and snoop, plain or compressed, from a path or stdin.
//!
//! Ours, because the capture path is the core: a block of the file is read straight into the batch and its records are
//! listed where they are. What libpcap refuses is read as well: interfaces of different link types, sections of
//! either byte order, compressed files.

mod gzip;
mod input;
mod pcap;
mod pcapng;
mod snoop;
mod zstd;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use self::input::Input;
pub use self::input::{Compression, sha256};
use self::pcap::Pcap;
use self::pcapng::Pcapng;
use self::snoop::Snoop;
use super::{Batch, FrameRef, LARGE, LinkType};
use crate::time::Timestamp;

/// Bytes read at once, unless a batch is a large one. More fall out of the cache before the frames in them are looked at.
pub(super) const BLOCK: usize = 64 * 1024;

/// Longest captured frame in bytes: the largest snap length that capture tools set. A record that claims more is
/// damage.
const MAX_FRAME: u32 = 256 * 1024;

/// Container of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The classic file, in any of its variants.
    Pcap,
    /// Blocks in sections.
    Pcapng,
    /// That of Solaris (RFC 1761).
    Snoop,
    /// No container: an interface that is watched.
    Live,
}

impl Format {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
            Self::Snoop => "snoop",
            Self::Live => "live",
        }
    }
}

/// Where reading a capture had to stop before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the damaged record in bytes; in a compressed capture it counts the bytes after decompression.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

/// What was read of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureSummary {
    /// As it was given on the command line, or found in a folder; `-` for stdin.
    pub name: String,
    /// Its container.
    pub format: Format,
    /// How it is stored.
    pub compression: Compression,
    /// Link types of its interfaces, sorted, each once.
    pub link_types: Vec<LinkType>,
    /// The name of the interface it was captured on, when it says so (pcapng) and is of one alone.
    pub interface: Option<String>,
    /// Frames in it.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames that it lost, as it says itself (pcapng) or as its interface counts: the card or the system had no room.
    pub lost: u64,
    /// The earliest time in it.
    pub first: Option<Timestamp>,
    /// The latest time in it.
    pub last: Option<Timestamp>,
    /// Why its end was not reached.
    pub damage: Option<Damage>,
}

/// Why a capture cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It starts like a capture and ends before the first record could start.
    #[error("the capture ends inside its file header")]
    Cut,
    /// It is compressed, and what it holds does not come out.
    #[error("the {compression} data is damaged at its start: {error}", compression = .0.text(), error = .1)]
    Compressed(Compression, io::Error),
    /// Something else.
    #[error("not a pcap, pcapng or snoop capture{}", looks_like(.0))]
    NotACapture(Option<&'static str>),
}

fn looks_like(what: &Option<&'static str>) -> String {
    what.map_or_else(String::new, |what| format!(": it looks like {what}"))
}

/// A capture that is being read.
pub struct CaptureFile {
    path: Option<PathBuf>,
    input: Input,
    parser: Parser,
    /// Bytes that were read and not yet walked.
    carry: Vec<u8>,
    /// Offset of the first of them in the capture.
    offset: u64,
    /// Length of a block that need not be looked at, 0 when there is none; its bytes are read and dropped.
    skip: u64,
    /// How many of them were.
    skipped: u64,
    ended: bool,
    /// Why the input ended, when it was not its end.
    fault: Option<String>,
    capture: u16,
    summary: CaptureSummary,
}

enum Parser {
    Pcap(Pcap),
    Pcapng(Pcapng),
    Snoop(Snoop),
}

/// Why a walk over records stopped.
enum Stop {
    /// The record at the cursor has so many bytes, or more, and they are not all there.
    Need(usize),
    /// The block at the cursor has so many bytes, and none of them matter.
    Skip(u64),
    /// The record at the cursor makes no sense.
    Damage(&'static str),
}

/// Where a walk puts the frames it finds.
struct Frames<'a> {
    list: &'a mut Vec<FrameRef>,
    capture: u16,
    /// Number of the last frame.
    number: u64,
    bytes: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Frames<'_> {
    #[inline]
    fn push(&mut self, at: Timestamp, offset: usize, len: u32, wire_len: u32, link: LinkType) {
        self.number += 1;
        // A record that claims less on the wire than was captured is mistaken about the wire.
        let wire_len = wire_len.max(len);
        self.bytes = self.bytes.saturating_add(wire_len.into());
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        let offset = offset as u32; // A batch is far below 4 GiB.
        self.list.push(FrameRef { at, number: self.number, offset, len, wire_len, link, capture: self.capture });
    }
}

impl CaptureFile {
    /// Opens a capture file.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be read or is no capture.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::from(Input::open(path)?, Some(path.to_owned()), path.to_string_lossy().into_owned())
    }

    /// Reads a capture from stdin.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be read or is no capture.
    pub fn stdin() -> Result<Self, OpenError> {
        Self::stream("-", Box::new(io::stdin()))
    }

    /// Reads a capture whose bytes come once.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be read or is no capture.
    pub fn stream(name: &str, source: Box<dyn Read + Send>) -> Result<Self, OpenError> {
        Self::from(Input::stream(source)?, None, name.to_owned())
    }

    fn from(mut input: Input, path: Option<PathBuf>, name: String) -> Result<Self, OpenError> {
        let mut head = Vec::with_capacity(pcap::HEADER);
        if let Err(error) = Read::by_ref(&mut input).take(pcap::HEADER as u64).read_to_end(&mut head) {
            return Err(match input.is_damage(&error) {
                true => OpenError::Compressed(input.compression(), error),
                false => OpenError::Io(error),
            });
        }
        let parser = match head.first_chunk::<4>() {
            None if head.is_empty() => return Err(OpenError::Empty),
            Some(magic) if Pcap::is_magic(*magic) => {
                Parser::Pcap(head.first_chunk().and_then(Pcap::read).ok_or(OpenError::Cut)?)
            }
            Some(&pcapng::SECTION) => Parser::Pcapng(Pcapng::default()),
            _ if Snoop::is_magic(&head) => {
                let header = head.first_chunk().ok_or(OpenError::Cut)?;
                Parser::Snoop(
                    Snoop::read(header).ok_or(OpenError::NotACapture(Some("a snoop capture of another version")))?,
                )
            }
            _ => return Err(OpenError::NotACapture(guess(&head))),
        };
        let (format, offset) = match &parser {
            Parser::Pcap(_) => {
                head.clear();
                (Format::Pcap, pcap::HEADER as u64)
            }
            Parser::Snoop(_) => {
                head.drain(..snoop::HEADER);
                (Format::Snoop, snoop::HEADER as u64)
            }
            Parser::Pcapng(_) if head.len() < 12 => return Err(OpenError::Cut),
            Parser::Pcapng(_) => (Format::Pcapng, 0),
        };
        let summary = CaptureSummary {
            name,
            format,
            compression: input.compression(),
            link_types: Vec::new(),
            interface: None,
            frames: 0,
            bytes: 0,
            lost: 0,
            first: None,
            last: None,
            damage: None,
        };
        Ok(Self {
            path,
            input,
            parser,
            carry: head,
            offset,
            skip: 0,
            skipped: 0,
            ended: false,
            fault: None,
            capture: 0,
            summary,
        })
    }

    /// Sets the place of this capture in the list of captures: its frames carry it.
    pub fn set_capture(&mut self, capture: u16) {
        self.capture = capture;
    }

    /// Fills a batch with the next frames, replacing what is in it; `false` when there are none left. After that the
    /// summary tells whether the end was the capture's own.
    ///
    /// The batch need not be cleared before: old bytes are overwritten, which saves the clearing.
    pub fn fill(&mut self, batch: &mut Batch) -> bool {
        batch.frames.clear();
        while batch.frames.is_empty() && !self.ended {
            if self.skip > 0 {
                self.skip_on(&mut batch.bytes);
            } else {
                self.fill_once(batch);
            }
        }
        !batch.frames.is_empty()
    }

    fn fill_once(&mut self, batch: &mut Batch) {
        let bytes = &mut batch.bytes;
        let mut have = self.carry.len();
        let mut want = bytes.len().clamp(BLOCK, LARGE).max(have);
        grow(bytes, want);
        if let Some(start) = bytes.get_mut(..have) {
            start.copy_from_slice(&self.carry);
            self.carry.clear();
        }
        // One round, but for a record that is longer than a block, or that a stream gives in pieces.
        let at = loop {
            have += self.read(bytes.get_mut(have..want).unwrap_or(&mut []));
            let mut at = 0;
            match self.walk(bytes.get(..have).unwrap_or(&[]), &mut at, &mut batch.frames) {
                Stop::Damage(what) => {
                    self.damage(at, what.into());
                    break at;
                }
                Stop::Skip(length) => {
                    self.skip = length;
                    self.skipped = (have - at) as u64; // A walk does not pass the end.
                    if self.ended {
                        self.end(at, have);
                    }
                    self.offset = self.offset.saturating_add(at as u64);
                    return;
                }
                Stop::Need(_) if self.ended => {
                    self.end(at, have);
                    break at;
                }
                Stop::Need(_) if at > 0 => break at,
                Stop::Need(length) => {
                    want = want.max(length); // At most a record of the greatest length.
                    grow(bytes, want);
                }
            }
        };
        self.carry.extend_from_slice(bytes.get(at..have).unwrap_or(&[]));
        self.offset = self.offset.saturating_add(at as u64);
    }

    /// Reads over a block that does not matter; `offset` is that of its start until it is over.
    fn skip_on(&mut self, bytes: &mut Vec<u8>) {
        grow(bytes, BLOCK);
        while self.skipped < self.skip {
            let some = (self.skip - self.skipped).min(BLOCK as u64) as usize;
            self.skipped += self.read(bytes.get_mut(..some).unwrap_or(&mut [])) as u64; // At most up to `skip`.
            if self.ended && self.skipped < self.skip {
                return self.end(0, 1);
            }
        }
        self.offset = self.offset.saturating_add(self.skip);
        self.skip = 0;
    }

    /// Reads until the buffer is full; sets `ended` when no more comes. Of a stream takes what is there.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut have = 0;
        while let Some(free) = buffer.get_mut(have..).filter(|free| !free.is_empty()) {
            match self.input.read(free) {
                Ok(0) => self.ended = true,
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.ended = true;
                    self.fault = Some(match self.input.is_damage(&error) {
                        true => format!("the {} data is damaged: {error}", self.input.compression().text()),
                        false => format!("the capture cannot be read on: {error}"),
                    });
                }
            }
            if self.ended || self.input.stored().is_stream() {
                break;
            }
        }
        have
    }

    fn walk(&mut self, bytes: &[u8], at: &mut usize, list: &mut Vec<FrameRef>) -> Stop {
        let summary = &mut self.summary;
        let mut out = Frames {
            list,
            capture: self.capture,
            number: summary.frames,
            bytes: summary.bytes,
            first: summary.first.unwrap_or(Timestamp::MAX),
            last: summary.last.unwrap_or(Timestamp::MIN),
        };
        let stop = match &mut self.parser {
            Parser::Pcap(pcap) => pcap.walk(bytes, at, &mut out),
            Parser::Pcapng(pcapng) => pcapng.walk(bytes, at, &mut out),
            Parser::Snoop(snoop) => snoop.walk(bytes, at, &mut out),
        };
        if out.number > 0 {
            (summary.first, summary.last) = (Some(out.first), Some(out.last));
        }
        (summary.frames, summary.bytes) = (out.number, out.bytes);
        stop
    }

    /// The input ended, and the walk over its last bytes has come to `at` of `have`: the end, unless a record is open
    /// or the input itself broke off.
    fn end(&mut self, at: usize, have: usize) {
        let open = (at < have).then(|| "the capture ends inside a record".to_owned());
        if let Some(what) = self.fault.take().or(open) {
            self.damage(at, what);
        }
    }

    /// Ends the reading at a record that starts `at` bytes behind `offset`.
    fn damage(&mut self, at: usize, what: String) {
        self.ended = true;
        self.summary.damage = Some(Damage { offset: self.offset.saturating_add(at as u64), what });
    }

    /// What was read so far; complete when [`Self::fill`] has said `false`.
    #[must_use]
    pub fn summary(&self) -> CaptureSummary {
        let link_types = match &self.parser {
            Parser::Pcap(pcap) => vec![pcap.link()],
            Parser::Pcapng(pcapng) => pcapng.links().to_vec(),
            Parser::Snoop(snoop) => vec![snoop.link()],
        };
        let interface = match &self.parser {
            Parser::Pcapng(pcapng) => pcapng.interface_name().map(str::to_owned),
            Parser::Pcap(_) | Parser::Snoop(_) => None,
        };
        let lost = match &self.parser {
            Parser::Pcapng(pcapng) => pcapng.lost(),
            Parser::Pcap(_) | Parser::Snoop(_) => 0,
        };
        CaptureSummary { link_types, interface, lost, ..self.summary.clone() }
    }

    /// Stored bytes read so far, and how many there are; `None` for a pipe.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        self.input.stored().progress()
    }

    /// Its bytes come only once (stdin, a pipe): it cannot be opened again.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.input.stored().is_stream()
    }

    /// SHA-256 of the capture as it is stored, in hex. Reads a file once more, and a stream to its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn sha256(&mut self) -> io::Result<String> {
        match (self.input.stored_mut().stream_sha256()?, &self.path) {
            (None, Some(path)) => sha256(path),
            (hash, _) => Ok(hash.unwrap_or_default()),
        }
    }
}

/// Makes room; what is there already is kept, and not cleared once more.
fn grow(bytes: &mut Vec<u8>, len: usize) {
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
}

/// What a file that is no capture may be, by its first bytes.
fn guess(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [b'X', b'C', b'P', 0, ..] => "a NetXRay or Sniffer capture (editcap -F pcapng converts it)",
        [b'R', b'T', b'S', b'S', ..] | [b'G', b'M', b'B', b'U', ..] => {
            "a Network Monitor capture (editcap -F pcapng converts it)"
        }
        [b'P', b'K', 3, 4, ..] => "a ZIP archive: unpack it first",
        [b'B', b'Z', b'h', ..] => "bzip2 data: unpack it first",
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => "xz data: unpack it first",
        [0x04, 0x22, 0x4D, 0x18, ..] => "LZ4 data: unpack it first",
        [b'7', b'z', 0xBC, 0xAF, ..] => "a 7z archive: unpack it first",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [b'{' | b'[', ..] => "JSON",
        [b'<', ..] => "XML or HTML",
        [0x7F, b'E', b'L', b'F', ..] => "a program",
        _ if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')) => "text",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
