//! inventory
pub mod oui;
