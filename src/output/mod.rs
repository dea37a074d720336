//! What leaves the program: the contract ([`view`]), and its forms for people, machines and spreadsheets.

mod convert;
mod declarations;
pub mod diagnostics;
pub mod escape;
pub mod explain;
mod findings;
pub mod review;
pub mod sheet;
pub mod text;
pub mod view;

pub use convert::VERSION;
