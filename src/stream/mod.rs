//! One direction of a TCP connection: from segments to in-order bytes, or a gap; from bytes to whole PDUs.
//!
//! The fast path is a segment that continues where the last one ended: it is framed where it lies in the capture,
//! without a copy and without an allocation.

mod framer;
mod order;

pub use framer::{Framed, Framer};
pub use order::{Order, OrderLimits, Piece};
