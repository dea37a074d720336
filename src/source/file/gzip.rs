//! Captures that gzip made.

use std::io::{self, BufRead, BufReader, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::input::{CHUNK, Stored};

/// The largest window that gzip has, as a power of two.
const WINDOW: u8 = 15;

/// Reads the members of a gzip file one after the other (RFC 1952, section 2.2).
///
/// Ours, since a decoder that is a reader gives up what it unpacked before a damage when the damage is in the same read:
/// of a small capture that is all of it.
pub(super) struct Gzip {
    decoder: Decompress,
    pub(super) source: BufReader<Stored>,
    in_member: bool,
    /// What is wrong with the bytes that come next.
    damage: Option<&'static str>,
}

impl Gzip {
    pub(super) fn new(stored: Stored) -> Self {
        let source = BufReader::with_capacity(CHUNK, stored);
        Self { decoder: Decompress::new_gzip(WINDOW), source, in_member: false, damage: None }
    }
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(damage) = &self.damage {
                return Err(io::Error::new(io::ErrorKind::InvalidData, *damage));
            }
            let input = self.source.fill_buf()?;
            let is_end = input.is_empty();
            if !self.in_member {
                if is_end {
                    return Ok(0);
                }
                self.decoder.reset(true);
                self.in_member = true;
            }
            let (took, gave) = (self.decoder.total_in(), self.decoder.total_out());
            let result = self.decoder.decompress(input, buffer, FlushDecompress::None);
            let (took, gave) = (self.decoder.total_in() - took, self.decoder.total_out() - gave);
            // Of what it was given, and into what it was given: both fit.
            self.source.consume(took as usize);
            match result {
                Ok(Status::StreamEnd) => self.in_member = false,
                // The decoder may hold what the last buffer had no room for: the end is where nothing comes of nothing.
                Ok(_) if took == 0 && gave == 0 && is_end => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if took == 0 && gave == 0 => self.damage = Some("corrupt deflate stream"),
                Ok(_) => {}
                Err(error) => self.damage = Some(what(error.message().unwrap_or_default())),
            }
            if gave > 0 {
                return Ok(gave as usize);
            }
        }
    }
}

/// What is wrong, by what the decoder says; where it says it only when asked again, it has forgotten what it was.
fn what(message: &str) -> &'static str {
    match message {
        "incorrect data check" | "incorrect length check" => "the checksum does not fit",
        "incorrect header check" | "unknown compression method" => "invalid gzip header",
        _ => "corrupt deflate stream",
    }
}
