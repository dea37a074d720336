//! What hostile input must never do, one file for each way in. A body takes any bytes and panics when a promise is broken.
//!
//! `fuzz_targets/` gives them to libFuzzer, and `tests/fuzz.rs` of zonewatch runs the same bodies with every build: over what
//! was found before (`found/`) and over fixtures that are changed a little.

pub mod change;
pub mod dialogue;
pub mod file;
pub mod policy;
pub mod seeds;
pub mod tape;
pub mod traffic;
