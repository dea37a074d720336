//! Between libFuzzer's mutations of bytes and ours of what the bytes mean.

use libfuzzer_sys::fuzzer_mutate;
use zonewatch_fuzz::change::Dice;

/// What changes bytes.
pub type Change<'a> = &'a mut dyn FnMut(&mut Dice, &mut Vec<u8>);

/// Changes an input by its meaning, with libFuzzer's own changes inside; one that has no meaning, as bytes.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    change: impl Fn(&[u8], &mut Dice, Change<'_>) -> Option<Vec<u8>>,
) -> usize {
    let mut dice = Dice::new(seed.into());
    let mut bytes = |dice: &mut Dice, bytes: &mut Vec<u8>| {
        let (len, room) = (bytes.len(), bytes.len() + 1 + dice.below(64));
        bytes.resize(room, 0);
        let len = fuzzer_mutate(bytes, len, room);
        bytes.truncate(len);
    };
    let mut now = data[..size].to_vec();
    for _ in 0..=dice.below(3) {
        match change(&now, &mut dice, &mut bytes) {
            Some(changed) => now = changed,
            None => return fuzzer_mutate(data, size, max_size),
        }
    }
    let len = now.len().min(max_size);
    data[..len].copy_from_slice(&now[..len]);
    len
}
