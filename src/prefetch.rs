//! Telling the processor which memory will be wanted soon. What is told here has no effect but on time.

use std::mem::size_of_val;

/// Bytes that come from memory at once.
const LINE: usize = 64;

/// Asks for the whole of something.
#[inline]
pub(crate) fn all<T: ?Sized>(item: &T) {
    let mut offset = 0;
    // Of long things the start is what is wanted first.
    while offset < size_of_val(item).min(MOST) {
        line(std::ptr::from_ref(item).cast::<u8>().wrapping_add(offset));
        offset += LINE;
    }
}

/// Asks for the first line of something.
#[inline]
pub(crate) fn start<T: ?Sized>(item: &T) {
    line(std::ptr::from_ref(item).cast());
}

/// Bytes of one thing that are asked for at most.
const MOST: usize = 16 * LINE;

/// JUSTIFICATION: the safe way is to read a byte of each line. A read holds its place in the processor until it is done, so
/// that only those of a few packets are on their way at once. What prefetching gained stands in docs/performance.md.
#[inline]
#[allow(unsafe_code)]
fn line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, faults at no address, and SSE is part of x86_64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
