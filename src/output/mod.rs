//! What leaves the program: the contract ([`view`]), and its forms for people, machines and spreadsheets.

pub mod escape;
pub mod explain;
pub mod sheet;
pub mod text;
pub mod view;
