//! Conversations: connections as the wire has them, flows as people mean them.

pub mod key;
