//! Small changes that keep a shape: random numbers, and what can be done to some bytes.

/// Random numbers that are the same on every machine (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers that follow from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        (drawn as usize).checked_rem(end).unwrap_or(0)
    }

    /// True once in so many throws.
    pub fn once_in(&mut self, throws: usize) -> bool {
        self.below(throws) == 0
    }
}

/// Changes some bytes in place or in their number, as `tests/fuzz.rs` does: libFuzzer has its own way, which learns.
pub fn bytes(dice: &mut Dice, bytes: &mut Vec<u8>) {
    const ODD: [u8; 8] = [0, 1, 0x7F, 0x80, 0xFF, 0xFE, 0x20, 0x40];
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes.insert(at.min(bytes.len()), ODD[dice.below(ODD.len())]),
            1 if !bytes.is_empty() => drop(bytes.drain(at..bytes.len().min(at + 1 + dice.below(4)))),
            2 => bytes.truncate(at),
            3 => {
                let again: Vec<u8> = bytes.iter().skip(at).take(dice.below(16)).copied().collect();
                bytes.splice(at..at, again);
            }
            4 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
            _ => bytes.iter_mut().skip(at).take(1 + dice.below(4)).for_each(|byte| *byte = ODD[dice.below(ODD.len())]),
        }
    }
}

/// Changes one line or word of a text. `other` changes bytes.
pub fn text(dice: &mut Dice, text: &[u8], mut other: impl FnMut(&mut Dice, &mut Vec<u8>)) -> Vec<u8> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(byte);
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (place, to) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(8) {
        0 => drop(lines.remove(place)),
        1 => lines.insert(to, lines[place].clone()),
        2 => lines.swap(place, to),
        3 => other(dice, &mut lines[place]),
        _ => {
            // A word, or a value as it stands, for another one.
            let from = lines[to].clone();
            let words = |line: &[u8]| -> Vec<(usize, usize)> {
                let starts = |at: &usize| is_word(&line[*at]) && (*at == 0 || !is_word(&line[*at - 1]));
                let ends = |at: usize| (at..line.len()).find(|end| !is_word(&line[*end])).unwrap_or(line.len());
                (0..line.len()).filter(starts).map(|at| (at, ends(at))).collect()
            };
            let (olds, news) = (words(&lines[place]), words(&from));
            let (old, new) = (olds.get(dice.below(olds.len())), news.get(dice.below(news.len())));
            if let (Some(&(start, end)), Some(&(first, last))) = (old, new) {
                lines[place].splice(start..end, from[first..last].iter().copied());
            }
        }
    }
    lines.join(&b'\n')
}
