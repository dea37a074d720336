#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| zonewatch_fuzz::file::check(input));
