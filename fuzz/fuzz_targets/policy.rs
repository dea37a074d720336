#![no_main]
mod mutate;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use zonewatch_fuzz::{change, policy};

fuzz_target!(|input: &[u8]| policy::check(input));
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(data, size, max_size, seed, |bytes, dice, other| Some(change::text(dice, bytes, other)))
});
