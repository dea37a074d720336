//! The wall clock of the service. The pipeline never reads it: it lives in the time of its packets, and a live capture is
//! stamped by the same clock.

use std::time::SystemTime;

use crate::time::Timestamp;

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
