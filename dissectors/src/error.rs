use std::fmt;

/// Where a PDU stopped making sense. Offsets count from the first byte of the reader's slice
/// (for a whole PDU: from the first byte that the framer cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What was being read.
    pub item: &'static str,
    /// Byte offset at which it starts.
    pub at: usize,
    /// Bytes that it needs.
    pub need: usize,
    /// Bytes that are left.
    pub have: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} needs {} bytes, {} left", self.item, self.at, self.need, self.have)
    }
}

impl std::error::Error for ParseError {}
