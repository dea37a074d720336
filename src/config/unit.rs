//! Sizes and times as people write them: `64MiB`, `10s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A size in bytes: `65536`, `64KiB`, `256MiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A time: `90s`, `10m`, `12h`, `400d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl Seconds {
    /// The same as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const TIMES: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// A number with a unit, or without one where a plain number has a meaning.
fn number(text: &str, units: &[(&str, u64)], plain: Option<u64>) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim();
    let factor = if unit.is_empty() { plain } else { units.iter().find(|(name, _)| *name == unit).map(|(_, f)| *f) };
    count.parse::<u64>().ok()?.checked_mul(factor?)
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        number(text, &SIZES, Some(1))
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no size: write it like 64KiB, 256MiB or 2GiB"))
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        number(text, &TIMES, None)
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no time: write it like 10s, 5m, 12h or 400d"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZES.iter().rev().find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size));
        match unit {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = TIMES.iter().find(|(_, seconds)| self.0 >= *seconds && self.0.is_multiple_of(*seconds));
        let (name, seconds) = unit.copied().unwrap_or(("s", 1));
        write!(f, "{}{name}", self.0 / seconds)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        for (text, want) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("64KiB", Some(65_536)),
            ("2 GiB", Some(2 << 30)),
            ("1.5GiB", None),
            ("64MB", None),
            ("-1", None),
            ("99999999999TiB", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Size>().ok(), want.map(Size), "{text}");
        }
        for (text, want) in
            [("10s", Some(10)), ("5m", Some(300)), ("400d", Some(34_560_000)), ("10", None), ("1w", None)]
        {
            assert_eq!(text.parse::<Seconds>().ok(), want.map(Seconds), "{text}");
        }
        assert_eq!((Size(256 << 20).to_string(), Seconds(86_400).to_string()), ("256MiB".to_owned(), "1d".to_owned()));
        assert_eq!((Size(1000).to_string(), Seconds(90).to_string()), ("1000".to_owned(), "90s".to_owned()));
    }
}
