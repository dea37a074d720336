//! A capture file of any kind: reading ends, and what is read does not depend on how the bytes arrive.

use std::io::{self, Cursor, Read};

use zonewatch::source::Batch;
use zonewatch::source::set::Captures;

/// Gives few bytes at a time.
struct Slow<R>(R, usize);

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 7 + 1;
        let most = to.len().min(self.1);
        self.0.read(&mut to[..most])
    }
}

/// Bytes of frames that one input can unpack to before a fuzzer has better things to do.
const MOST: usize = 32 << 20;

fn read(source: Box<dyn Read + Send>) -> Option<(Vec<String>, u64)> {
    let mut captures = Captures::stream("fuzz", source).ok()?;
    let (mut batch, mut frames, mut hash, mut bytes) = (Batch::default(), 0, 0_u64, 0);
    while captures.fill(&mut batch) && bytes < MOST {
        assert!(batch.frames.len() == batch.frames().count(), "a frame lies outside of its batch");
        for frame in batch.frames() {
            frames += 1;
            assert_eq!(frame.number, frames, "frames are numbered without gaps");
            bytes += frame.bytes.len() + 16;
            for byte in frame.bytes.iter().chain(&frame.wire_len.to_le_bytes()).chain(&frame.link.0.to_le_bytes()) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
            }
            hash ^= frame.at.nanos() as u64;
        }
    }
    if bytes >= MOST {
        return None; // Where it stops depends on the blocks.
    }
    let told = captures.summaries().iter().map(|summary| format!("{summary:?}")).collect();
    Some((told, hash))
}

/// Checks a file.
///
/// # Panics
/// When a promise is broken.
pub fn check(file: &[u8]) {
    let whole = read(Box::new(Cursor::new(file.to_vec())));
    let slow = read(Box::new(Slow(Cursor::new(file.to_vec()), 0)));
    assert_eq!(whole, slow, "it matters how the bytes arrive");
}
