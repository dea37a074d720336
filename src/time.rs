//! Time as packets carry it: the only clock of the pipeline.

use std::fmt;
use std::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00Z, from the packet's record. Nothing in the pipeline reads another clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest and the latest instant there is.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant there is.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    #[must_use]
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From seconds and nanoseconds since the epoch; saturates.
    #[must_use]
    #[inline]
    pub const fn new(seconds: i64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos as i64))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    #[inline]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The time that passed since `earlier`; zero when it is not earlier.
    #[must_use]
    #[inline]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The same in nanoseconds.
    #[must_use]
    #[inline]
    pub fn nanos_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// This instant and `duration` more; saturates.
    #[must_use]
    #[inline]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This instant and `duration` less; saturates.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// From RFC 3339, with an offset: `2026-11-16T10:15:00Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(instant.as_nanosecond()).ok().map(Self)
    }

    /// As people write it, in UTC: a day, or with hours, minutes and seconds, or as RFC 3339 has it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let forms = [
            text.to_owned(),
            format!("{text}T00:00:00Z"),
            format!("{}Z", text.replace(' ', "T")),
            format!("{}:00Z", text.replace(' ', "T")),
        ];
        forms.iter().find_map(|form| Self::parse(form))
    }

    /// The same instant as `jiff` counts it.
    #[must_use]
    pub fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default()
    }
}

/// RFC 3339 in UTC with nanoseconds: `2026-11-16T10:15:00.000000000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", self.instant())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utc_with_nanoseconds() {
        assert_eq!(Timestamp::new(1_352_718_180, 264_365_000).to_string(), "2012-11-12T11:03:00.264365000Z");
        assert_eq!(Timestamp::new(-1, 0).to_string(), "1969-12-31T23:59:59.000000000Z");
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(Timestamp::new(i64::MAX, 999), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::MAX.after(Duration::MAX), Timestamp::MAX);
    }
}
