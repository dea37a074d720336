//! How an output is doing, for metrics and for people.

use crate::time::Timestamp;

/// One output, now. Counters run since the start of the process and only rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputHealth {
    /// The output.
    pub name: String,
    /// Whether it is open: the file, or the connection. Also so for datagrams, which nobody answers. A connection that the
    /// other side closed while nothing was under way is opened with the next event.
    pub connected: bool,
    /// Records that the other side has for certain.
    pub delivered: u64,
    /// Records that wait, or were sent but may not have arrived yet.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Of the queued records, those that a kill of the process would lose, because the disk did not take them.
    pub in_memory: u64,
    /// Records that were dropped, by band from info to critical: the queue was full, or the disk damaged them.
    pub dropped: [u64; 5],
    /// Messages that were cut to fit into a datagram.
    pub shortened: u64,
    /// Bytes of the queue's files that were half written when an earlier process died.
    pub torn_bytes: u64,
    /// Attempts to connect, or to open the file, after a failure.
    pub reconnects: u64,
    /// The last failure of the other side; stays after recovery, see `connected`.
    pub last_error: Option<String>,
    /// What is wrong with the queue on disk now.
    pub queue_error: Option<String>,
    /// The time of the oldest queued event.
    pub oldest_waiting: Option<Timestamp>,
}
