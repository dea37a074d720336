//! The small notations of the language: ids, levels, security levels, durations, rates, ports, dates, codes.

use std::time::Duration;

use dissectors::Class;

use super::read::{Mistake, Node, Read, Reader, Value, Word, read_words};
use crate::address::{Address, Mac};

/// The name of an object: a letter or digit, then up to 63 letters, digits, `_`, `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) String);

/// Whether a text may be an id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let starts = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    starts && text.len() <= 64 && text.chars().all(plain)
}

impl Word for Id {
    fn parse(text: &str) -> Result<Self, Mistake> {
        if is_id(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Mistake::new(format!("\"{text}\" is not an id"))
            .help("an id starts with a letter or digit and has at most 64 letters, digits, \"_\", \".\" or \"-\""))
    }
}

impl Word for Mac {
    fn parse(text: &str) -> Result<Self, Mistake> {
        text.parse().map_err(|why: &str| Mistake::new(format!("\"{text}\" is not a MAC address")).help(why))
    }
}

/// IEEE 802.1Q, 9.6: 4095 is reserved.
pub(super) const MAX_VLAN: u16 = 4094;

/// IEEE 1815, 9.2.5.2: link addresses above are broadcast, or reserved.
pub(super) const MAX_STATION: u16 = 65519;

/// RFC 4007, 11: what follows the percent sign.
pub(super) const NO_ZONE_INDEX: &str =
    "leave out what follows the %: it is the name of an interface of one computer, and no packet carries it";

impl Word for Address {
    fn parse(text: &str) -> Result<Self, Mistake> {
        match text.parse::<Self>() {
            Ok(address) if address.ip().is_some() => Ok(address),
            _ => {
                Err(Mistake::new(format!("\"{text}\" is not an IPv4 or IPv6 address")).help(match text.contains('%') {
                    true => NO_ZONE_INDEX,
                    false => "write 10.20.2.10 or fd00::10; a network is a cidr, like 10.20.2.0/24",
                }))
            }
        }
    }
}

/// A whole-number day count or a time span: `10m`, `4h`, `30d`, `90s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl Word for Span {
    fn parse(text: &str) -> Result<Self, Mistake> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let seconds = match unit.trim() {
            "ms" => return number.parse().map(|n| Self(Duration::from_millis(n))).map_err(|_| bad_span(text)),
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad_span(text)),
        };
        let number: u32 = number.parse().map_err(|_| bad_span(text))?;
        Ok(Self(Duration::from_secs(u64::from(number) * seconds)))
    }
}

fn bad_span(text: &str) -> Mistake {
    Mistake::new(format!("\"{text}\" is not a duration")).help("write a number and ms, s, m, h or d, like \"10m\"")
}

/// So many things in so much time: `50/s`, `600/m`, `50MB/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Operations or bytes.
    pub count: u64,
    /// In this many seconds.
    pub seconds: u32,
}

impl Rate {
    /// So many a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        // Counts in policies are far below 2^52, so nothing is lost.
        self.count as f64 / f64::from(self.seconds.max(1))
    }

    /// As a policy writes it, without a scale: `50/s`.
    #[must_use]
    pub fn text(self) -> String {
        let unit = match self.seconds {
            ..60 => "s",
            60..3_600 => "m",
            3_600..86_400 => "h",
            _ => "d",
        };
        format!("{}/{unit}", self.count)
    }

    /// The unit of time that it is declared in.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self.seconds {
            ..60 => "second",
            60..3_600 => "minute",
            3_600..86_400 => "hour",
            _ => "day",
        }
    }
}

impl Word for Rate {
    fn parse(text: &str) -> Result<Self, Mistake> {
        let bad = || {
            Mistake::new(format!("\"{text}\" is not a rate"))
                .help("write a number, a slash and s, m, h or d, like \"50/s\" or \"50MB/h\"")
        };
        let (amount, unit) = text.split_once('/').ok_or_else(bad)?;
        let split = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
        let (number, scale) = amount.split_at(split);
        let scale = match scale.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return Err(bad()),
        };
        let seconds = match unit.trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        let count = number.parse::<u32>().map_err(|_| bad())?;
        Ok(Self { count: u64::from(count) * scale, seconds })
    }
}

/// A port or a range of ports, both ends in it: `502`, `"5000-5010"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) from: u16,
    pub(super) to: u16,
}

impl Ports {
    pub(super) fn one(port: u16) -> Self {
        Self { from: port, to: port }
    }

    pub(super) fn contains(self, port: u16) -> bool {
        (self.from..=self.to).contains(&port)
    }
}

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.from == self.to { self.from.fmt(f) } else { write!(f, "{}-{}", self.from, self.to) }
    }
}

impl Read for Ports {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        let at = node.at;
        let Value::Text(text) = &node.value else { return u16::read(node, reader).map(Self::one) };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (from.trim().parse(), to.trim().parse()) {
            (Ok(from), Ok(to)) if from <= to => Some(Self { from, to }),
            _ => {
                let mistake = Mistake::new(format!("\"{text}\" is not a port or a range of ports"));
                reader.found.push(mistake.help("write 502 or \"5000-5010\", 0 to 65535, the lower end first").at(at));
                None
            }
        }
    }
}

/// A Purdue level in tenths: 35 is level 3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(pub(super) u8);

impl Read for Level {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Integer(level @ 0..=5) => u8::try_from(level * 10).ok().map(Self),
            Value::Float(3.5) => Some(Self(35)),
            Value::Float(level) if [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].contains(&level) => Some(Self(level as u8 * 10)),
            _ => {
                reader.error(node.at, "a level is 0, 1, 2, 3, 3.5, 4 or 5");
                None
            }
        }
    }
}

/// The foundational requirements of IEC 62443 in their order.
pub(super) const FOUNDATIONAL: [&str; 7] = ["IAC", "UC", "SI", "DC", "RDF", "TRE", "RA"];

/// A security level for each foundational requirement, 0 to 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityLevels(
    /// In the order IAC, UC, SI, DC, RDF, TRE, RA.
    pub [u8; 7],
);

impl SecurityLevels {
    /// Data confidentiality (FR 4).
    #[must_use]
    pub fn dc(self) -> u8 {
        self.0[3]
    }

    /// Restricted data flow (FR 5): what segmentation is measured by.
    #[must_use]
    pub fn rdf(self) -> u8 {
        self.0[4]
    }
}

/// `2` or `{ all = 2, RDF = 3 }` or `[2, 2, 2, 1, 3, 1, 2]`.
impl Read for SecurityLevels {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        let at = node.at;
        match node.value {
            Value::Integer(_) => security_level(node, reader).map(|level| Self([level; 7])),
            Value::List(items) => {
                let levels: Vec<u8> = items.into_iter().filter_map(|item| security_level(item, reader)).collect();
                let levels = <[u8; 7]>::try_from(levels).ok();
                if levels.is_none() {
                    reader.error(at, "a list of security levels has seven of them: IAC, UC, SI, DC, RDF, TRE, RA");
                }
                levels.map(Self)
            }
            _ => {
                let mut table = reader.table(node, "security levels")?;
                let all = table.take("all").and_then(|node| security_level(node, reader)).unwrap_or(0);
                let levels = FOUNDATIONAL
                    .map(|key| table.take(key).and_then(|node| security_level(node, reader)).unwrap_or(all));
                table.finish(reader);
                Some(Self(levels))
            }
        }
    }
}

fn security_level(node: Node, reader: &mut Reader) -> Option<u8> {
    match node.value {
        Value::Integer(level @ 0..=4) => u8::try_from(level).ok(),
        _ => {
            reader.error(node.at, "a security level is 0, 1, 2, 3 or 4");
            None
        }
    }
}

/// A date, or a date with a time. Without an offset it is in the site's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// A whole day of the site.
    Day(jiff::civil::Date),
    /// A local time of the site.
    Local(jiff::civil::DateTime),
    /// An instant.
    Instant(jiff::Timestamp),
}

/// TOML dates are values; JSON has them as text.
impl Read for When {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        let text = match &node.value {
            Value::Time(time) => time.to_string(),
            Value::Text(text) => text.clone(),
            _ => String::new(),
        };
        // The day first: a bare date is also the beginning of a date-time to a lenient parser.
        let when = (text.len() == 10)
            .then(|| text.parse().ok().map(Self::Day))
            .flatten()
            .or_else(|| text.parse().ok().map(Self::Instant))
            .or_else(|| text.parse().ok().map(Self::Local));
        if when.is_none() {
            let mistake = Mistake::new("this is not a date");
            reader.found.push(mistake.help("write 2026-12-31 or 2026-11-16T09:00:00+01:00").at(node.at));
        }
        when
    }
}

/// A protocol's code as text: a number, `43/14`, `0x0e:0x01`, `class/service` in hex, or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) String);

impl Read for Code {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Integer(number) if number >= 0 => Some(Self(number.to_string())),
            _ => String::read(node, reader).map(Self),
        }
    }
}

/// Operation classes as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(
    /// One bit a class, [`Class::bit`].
    pub u32,
);

impl Classes {
    /// Looks only.
    pub const OBSERVE: Self =
        Self::of(&[Class::Session, Class::Browse, Class::Read, Class::Subscribe, Class::Diagnostic]);
    /// Asks who is there.
    pub const DISCOVER: Self = Self::of(&[Class::Discovery]);
    /// Runs the process.
    pub const OPERATE: Self = Self::of(&[Class::Write, Class::Control, Class::Io, Class::AlarmAck, Class::TimeSet]);
    /// Changes the devices.
    pub const ENGINEER: Self = Self::of(&[
        Class::Upload,
        Class::FileRead,
        Class::FileWrite,
        Class::Config,
        Class::Admin,
        Class::Restart,
        Class::Mode,
        Class::Program,
        Class::Firmware,
        Class::SafetyConfig,
    ]);
    /// Every class.
    pub const ALL: Self = Self::of(&Class::ALL);

    const fn of(classes: &[Class]) -> Self {
        let (mut set, mut i) = (0, 0);
        while i < classes.len() {
            set |= 1 << classes[i] as u8;
            i += 1;
        }
        Self(set)
    }

    /// Whether it holds this class.
    #[must_use]
    pub fn contains(self, class: Class) -> bool {
        self.0 & class.bit() != 0
    }

    /// Whether the two share a class.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Classes of either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Operations that change something: operate, and engineer less what only reads.
    #[must_use]
    pub fn changing(class: Class) -> bool {
        Self::OPERATE.or(Self::ENGINEER).contains(class) && !matches!(class, Class::Upload | Class::FileRead)
    }
}

/// The groups of classes by their names.
pub(super) const GROUPS: [(&str, Classes); 5] = [
    ("observe", Classes::OBSERVE),
    ("discover", Classes::DISCOVER),
    ("operate", Classes::OPERATE),
    ("engineer", Classes::ENGINEER),
    ("all", Classes::ALL),
];

/// The groups that it holds whole, then the classes that are left.
impl std::fmt::Display for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all operations");
        }
        let mut rest = self.0;
        let mut words = Vec::new();
        for (name, group) in GROUPS {
            if self.0 & group.0 == group.0 {
                rest &= !group.0;
                words.push(name);
            }
        }
        words.extend(Class::ALL.into_iter().filter(|class| rest & class.bit() != 0).map(Class::text));
        f.write_str(&words.join(", "))
    }
}

impl Word for Classes {
    fn parse(text: &str) -> Result<Self, Mistake> {
        let group = GROUPS.iter().find(|(name, _)| *name == text).map(|(_, classes)| *classes);
        group.or_else(|| Class::parse(text).map(|class| Self(class.bit()))).ok_or_else(|| {
            let words = GROUPS.iter().map(|(name, _)| *name).chain(Class::ALL.into_iter().map(Class::text));
            Mistake::unknown("operation class or group", text, words.collect::<Vec<_>>())
        })
    }
}

read_words!(Id, Mac, Address, Span, Rate, Classes);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Word + std::fmt::Debug>(rows: &[(&str, Option<&str>)]) {
        for (text, want) in rows {
            assert_eq!(T::parse(text).ok().map(|value| format!("{value:?}")).as_deref(), *want, "{text}");
        }
    }

    #[test]
    fn notations() {
        check::<Id>(&[("cell-a", Some("Id(\"cell-a\")")), ("-a", None), ("a b", None), ("", None)]);
        check::<Span>(&[("10m", Some("Span(600s)")), ("4h", Some("Span(14400s)")), ("10", None), ("m", None)]);
        check::<Rate>(&[
            ("50/s", Some("Rate { count: 50, seconds: 1 }")),
            ("600/m", Some("Rate { count: 600, seconds: 60 }")),
            ("50MB/h", Some("Rate { count: 50000000, seconds: 3600 }")),
            ("50", None),
            ("-1/s", None),
        ]);
        check::<Classes>(&[("discover", Some("Classes(2)")), ("engineering", None)]);
    }

    #[test]
    fn groups_cover_what_they_say() {
        assert!(Classes::ALL.contains(Class::Firmware) && Classes::ALL.0.count_ones() == 24);
        assert!(
            Classes::changing(Class::Write) && !Classes::changing(Class::Upload) && !Classes::changing(Class::Read)
        );
    }
}
