//! The service: interfaces to a picture that is always up to date.

pub mod world;
