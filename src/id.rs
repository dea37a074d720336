//! Stable ids: the same thing has the same id on every sensor and every replay.

use sha2::{Digest, Sha256};

/// The first `digits` characters of SHA-256 over `key`, in lower-case base 32 (RFC 4648, without padding). At most 51.
#[must_use]
pub fn base32(key: &str, digits: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = Sha256::digest(key);
    let bit = |n: usize| hash.get(n / 8).map_or(0, |byte| byte >> (7 - n % 8) & 1);
    (0..digits)
        .map(|digit| {
            let five = (0..5).fold(0, |five, n| five << 1 | bit(5 * digit + n));
            ALPHABET.get(usize::from(five)).copied().map_or('a', char::from)
        })
        .collect()
}

/// Bytes in lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String does not fail.
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn base32_of_sha256() {
        // SHA-256("abc") starts ba7816bf 8f01cfea.
        assert_eq!(super::base32("abc", 8), "xj4bnp4p");
    }

    #[test]
    fn hex_is_two_digits_a_byte() {
        assert_eq!(super::hex(&[0, 0x0F, 0xF0]), "000ff0");
    }
}
