/// SHA-1 digest of `bytes`. RFC 3174, method 1.
///
/// OPC UA names an application certificate by the SHA-1 of its DER bytes (OPC 10000-6, 6.7.2.3 "Security header",
/// ReceiverCertificateThumbprint). It is a name here, never a proof.
#[must_use]
pub(super) fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let (blocks, tail) = bytes.as_chunks::<64>();
    for block in blocks {
        compress(&mut state, block);
    }
    // The tail, a 1 bit, zeros, and the length in bits: one block more, or two when the length does not fit.
    let mut last = [0u8; 128];
    for (to, from) in last.iter_mut().zip(tail.iter().chain(&[0x80])) {
        *to = *from;
    }
    let bits = (bytes.len() as u64).wrapping_mul(8).to_be_bytes();
    let (first, second) = last.split_at_mut(64);
    let holder = if tail.len() < 56 { &mut *first } else { &mut *second };
    for (to, from) in holder.iter_mut().skip(56).zip(bits) {
        *to = from;
    }
    for block in last.as_chunks::<64>().0.iter().take(if tail.len() < 56 { 1 } else { 2 }) {
        compress(&mut state, block);
    }
    let mut digest = [0; 20];
    for (to, from) in digest.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *to = from;
    }
    digest
}

fn compress(state: &mut [u32; 5], block: &[u8; 64]) {
    // The message schedule kept as a ring of 16 words.
    let mut w = [0u32; 16];
    for (word, bytes) in w.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for t in 0..80usize {
        if t >= 16 {
            w[t % 16] = (w[(t + 13) % 16] ^ w[(t + 8) % 16] ^ w[(t + 2) % 16] ^ w[t % 16]).rotate_left(1);
        }
        let (f, k) = match t {
            0..20 => ((b & c) | (!b & d), 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6u32),
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(w[t % 16]);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], want: &str) {
        let got: String = sha1(input).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(got, want, "{} bytes", input.len());
    }

    #[test]
    fn vectors() {
        // RFC 3174, 7.3, and the lengths around one block's room for the length field.
        check(b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        check(&[b'a'; 55], "c1c8bbdc22796e28c0e15163d20899b65621d65a");
        check(&[b'a'; 63], "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
        check(&[b'a'; 64], "0098ba824b5c16427bd7a1122a5a442a25ec644d");
        check(&[b'a'; 1_000_000], "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }
}
