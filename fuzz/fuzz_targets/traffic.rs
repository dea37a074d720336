#![no_main]
mod mutate;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use zonewatch_fuzz::{tape::Tape, traffic};

fuzz_target!(|input: &[u8]| traffic::check(input));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(data, size, max_size, seed, |bytes, dice, change| {
        let mut tape = Tape::read(bytes)?;
        tape.change(dice, change);
        Some(tape.write())
    })
});
