//! The bytes of a capture, whatever they are stored in: a file or stdin, plain or compressed.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::gzip::Gzip;
use super::zstd::Zstd;
use crate::id::hex;

/// Compressed bytes that are read at once.
pub(super) const CHUNK: usize = 64 * 1024;

/// How a capture is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip (RFC 1952), of one or more members.
    Gzip,
    /// Zstandard (RFC 8878), of one or more frames.
    Zstd,
}

impl Compression {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// By the magic number at the start of a file.
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1F, 0x8B, ..] => Self::Gzip,
            // A Zstandard frame, or a skippable frame before the first one.
            [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A capture's bytes after decompression.
pub(super) enum Input {
    Plain(Stored),
    Gzip(Box<Gzip>),
    Zstd(Box<Zstd>),
}

impl Input {
    /// Opens a file, or stdin when there is no path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::new(Stored::open(path)?)
    }

    /// Bytes that come once, from stdin or from memory.
    pub(super) fn stream(source: Box<dyn Read + Send>) -> io::Result<Self> {
        Self::new(Stored::new(source, None))
    }

    fn new(mut stored: Stored) -> io::Result<Self> {
        let mut head = Vec::with_capacity(4);
        Read::by_ref(&mut stored).take(4).read_to_end(&mut head)?;
        let compression = Compression::of(&head);
        stored.put_back(head);
        Ok(match compression {
            Compression::None => Self::Plain(stored),
            Compression::Gzip => Self::Gzip(Box::new(Gzip::new(stored))),
            Compression::Zstd => Self::Zstd(Box::new(Zstd::new(stored))),
        })
    }

    pub(super) fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    /// The bytes as they are stored.
    pub(super) fn stored(&self) -> &Stored {
        match self {
            Self::Plain(stored) => stored,
            Self::Gzip(decoder) => decoder.source.get_ref(),
            Self::Zstd(decoder) => decoder.source.get_ref(),
        }
    }

    /// The bytes as they are stored.
    pub(super) fn stored_mut(&mut self) -> &mut Stored {
        match self {
            Self::Plain(stored) => stored,
            Self::Gzip(decoder) => decoder.source.get_mut(),
            Self::Zstd(decoder) => decoder.source.get_mut(),
        }
    }

    /// An error that the stored bytes are to blame for, not the medium they are on.
    pub(super) fn is_damage(&self, error: &io::Error) -> bool {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        self.compression() != Compression::None && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stored) => stored.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// A capture's bytes as they are stored, counted.
pub(super) struct Stored {
    /// What was read to learn the compression, and is still to be given out.
    head: Cursor<Vec<u8>>,
    source: Box<dyn Read + Send>,
    read: u64,
    size: Option<u64>,
    /// Of stdin and pipes, whose bytes come only once.
    hash: Option<Sha256>,
}

impl Stored {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self::new(Box::new(file), metadata.is_file().then_some(metadata.len())))
    }

    fn new(source: Box<dyn Read + Send>, size: Option<u64>) -> Self {
        let hash = size.is_none().then(Sha256::new);
        Self { head: Cursor::default(), source, read: 0, size, hash }
    }

    fn put_back(&mut self, head: Vec<u8>) {
        self.head = Cursor::new(head);
    }

    /// Bytes read so far, and how many there are if that is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        (self.read, self.size)
    }

    /// Its bytes come once, and when somebody writes them: a read must not wait for more than there are.
    pub(super) fn is_stream(&self) -> bool {
        self.hash.is_some()
    }

    /// SHA-256 of all bytes of a stream, in hex; reads it to its end. `None` for a file.
    pub(super) fn stream_sha256(&mut self) -> io::Result<Option<String>> {
        if self.is_stream() {
            io::copy(self, &mut io::sink())?;
        }
        Ok(self.hash.as_ref().map(|hash| hex(&hash.clone().finalize())))
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let again = self.head.read(buffer)?;
        if again > 0 {
            return Ok(again);
        }
        let count = self.source.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(buffer.get(..count).unwrap_or(&[]));
        }
        self.read = self.read.saturating_add(count as u64);
        Ok(count)
    }
}

/// SHA-256 of a file as it is stored, in hex.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 4 * CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(buffer.get(..count).unwrap_or(&[])),
        }
    }
}
