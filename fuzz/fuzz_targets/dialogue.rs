#![no_main]
mod mutate;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use zonewatch_fuzz::dialogue::{self, Dialogue};

fuzz_target!(|input: &[u8]| dialogue::check(input));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(data, size, max_size, seed, |bytes, dice, change| {
        let mut dialogue = Dialogue::read(bytes)?;
        dialogue.change(dice, change);
        Some(dialogue.write())
    })
});
