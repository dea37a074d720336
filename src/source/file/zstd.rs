//! Captures that zstd made.

use std::error::Error as _;
use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::input::{CHUNK, Stored};

/// Reads Zstandard frames one after the other, and over the skippable ones (RFC 8878, section 3.1).
///
/// Memory: the window of a frame, at most 128 MiB (what `zstd --long` makes); a frame that asks for more is refused.
///
/// What was unpacked before a damage is given out before it is told, and a frame's checksum is compared.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    pub(super) source: BufReader<Stored>,
    in_frame: bool,
    /// What is wrong with the bytes that come next.
    damage: Option<(io::ErrorKind, String)>,
}

/// An empty block that is the last of its frame, and room for a checksum.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

impl Zstd {
    pub(super) fn new(stored: Stored) -> Self {
        Self {
            decoder: FrameDecoder::new(),
            source: BufReader::with_capacity(CHUNK, stored),
            in_frame: false,
            damage: None,
        }
    }

    /// Whether the frame that was read says that it was another.
    fn is_altered(&self) -> bool {
        let said = self.decoder.get_checksum_from_data();
        said.is_some_and(|said| self.decoder.get_calculated_checksum() != Some(said))
    }

    /// Steps into the next frame; `false` at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    io::copy(&mut Read::by_ref(&mut self.source).take(length.into()), &mut io::sink())?;
                }
                Err(error) => {
                    let (kind, what) = damage(&error);
                    return Err(io::Error::new(kind, what));
                }
            }
        }
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.in_frame {
                if self.decoder.can_collect() > 0 {
                    return self.decoder.read(buffer);
                }
                if !self.decoder.is_finished() {
                    let block = BlockDecodingStrategy::UptoBlocks(1);
                    if let Err(error) = self.decoder.decode_blocks(&mut self.source, block) {
                        self.damage = Some(damage(&error));
                        // The decoder keeps what a later block may refer to. There will be none: with a last one it lets go.
                        self.decoder
                            .decode_blocks(LAST_BLOCK.as_slice(), BlockDecodingStrategy::All)
                            .map_err(io::Error::other)?;
                    }
                    continue;
                }
                if self.damage.is_none() && self.is_altered() {
                    self.damage = Some((io::ErrorKind::InvalidData, "the checksum does not fit".to_owned()));
                }
            }
            if let Some((kind, what)) = &self.damage {
                return Err(io::Error::new(*kind, what.as_str()));
            }
            self.in_frame = self.next_frame()?;
            if !self.in_frame {
                return Ok(0);
            }
        }
    }
}

/// What is wrong, for people. An error of the medium that the bytes are on stays one.
fn damage(error: &FrameDecoderError) -> (io::ErrorKind, String) {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(read) = inner.downcast_ref::<io::Error>() {
            return match read.kind() {
                kind @ io::ErrorKind::UnexpectedEof => (kind, "unexpected end of file".to_owned()),
                kind => (kind, read.to_string()),
            };
        }
        cause = inner.source();
    }
    let what = match error {
        FrameDecoderError::ReadFrameHeaderError(_) | FrameDecoderError::FailedToInitialize(_) => {
            "invalid zstd frame header"
        }
        FrameDecoderError::WindowSizeTooBig { .. } => "it wants to be unpacked in more memory than zstd --long takes",
        _ => "corrupt block",
    };
    (io::ErrorKind::InvalidData, what.to_owned())
}
