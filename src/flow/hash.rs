//! Numbers that tell things apart within one process: keys of the tables and caches on the packet path. A few
//! multiplications, with a secret, so that who sends packets cannot choose which numbers are alike.

/// What the numbers of one process are made with.
#[derive(Clone, Copy, Debug)]
pub struct Secret([u64; 2]);

impl Secret {
    /// A new one.
    #[must_use]
    pub fn new(random: &ahash::RandomState) -> Self {
        Self([random.hash_one(0), random.hash_one(1)])
    }

    /// Two words as one: every bit of both counts.
    #[must_use]
    #[inline]
    pub fn mix(self, a: u64, b: u64) -> u64 {
        let [s0, s1] = self.0;
        // The two halves of a product, one over the other.
        let product = u128::from(a ^ s0).wrapping_mul(u128::from(b ^ s1));
        (product >> 64) as u64 ^ product as u64
    }

    /// A number so far, and bytes.
    #[must_use]
    #[inline]
    pub fn bytes(self, so_far: u64, bytes: &[u8]) -> u64 {
        let (words, rest) = bytes.as_chunks::<8>();
        let tail = rest.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        let start = self.mix(so_far ^ tail, bytes.len() as u64);
        words.iter().fold(start, |sum, word| self.mix(sum, u64::from_le_bytes(*word)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn different_things_have_different_numbers() {
        let secret = Secret::new(&ahash::RandomState::new());
        let mut seen = HashSet::new();
        for a in 0..64 {
            for b in 0..64 {
                assert!(seen.insert(secret.mix(a, b << 32)), "{a} {b}");
            }
        }
        seen.clear();
        for len in 0..40 {
            assert!(seen.insert(secret.bytes(1, &[0; 40][..len])), "{len} zeros");
            for at in 0..len {
                let mut bytes = vec![0; len];
                bytes[at] = 1;
                assert!(seen.insert(secret.bytes(1, &bytes)), "{len} zeros but for {at}");
            }
        }
    }
}
