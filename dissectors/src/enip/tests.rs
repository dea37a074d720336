//! Conversations, told as lines.
