//! Conversations: connections as the wire has them, flows as people mean them.

pub mod again;
pub mod book;
pub mod connection;
pub mod dialog;
pub mod docket;
pub mod entry;
pub mod facts;
pub mod hash;
mod index;
pub mod key;
pub mod mark;
pub mod meter;
pub mod ops;
mod orient;
pub mod path;
mod places;
pub mod repeats;
mod side;
mod slab;
pub mod table;
pub mod timing;
pub mod watch;

mod aggregate;
pub use aggregate::{Flow, Place};
pub use side::SideView;
