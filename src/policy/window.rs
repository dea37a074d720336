//! Times of the week and dates between which something holds, in the time zone of the site.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use super::read::{Mistake, Word, read_words};
use super::word::When;
use crate::time::Timestamp;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Days of the week with a time of day, like `mon-fri 06:00-18:00`. The end is not in it; a window across midnight
/// belongs to the day on which it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes after midnight.
    from: u16,
    /// Minutes after midnight, up to 1440; not above `from`: of the next day.
    to: u16,
}

impl Window {
    /// Whether it begins on this day; 0 is Monday.
    fn on(self, day: u8) -> bool {
        self.days >> (day % 7) & 1 == 1
    }

    /// Whether it holds on this day at this minute, local time.
    fn contains(self, day: u8, minute: u16) -> bool {
        if self.from < self.to {
            self.on(day) && (self.from..self.to).contains(&minute)
        } else {
            // 22:00-06:00: the evening of a listed day, or the morning after one.
            (self.on(day) && minute >= self.from) || (self.on(day + 6) && minute < self.to)
        }
    }

    /// Its beginning and end in minutes after the midnight of the day it begins on.
    fn edges(self) -> [u16; 2] {
        [self.from, if self.from < self.to { self.to } else { self.to + 1440 }]
    }
}

/// As policies write it: `mon-fri 06:00-18:00`.
impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut days = Vec::new();
        let mut day = 0;
        while day < 7 {
            let length = (day..7).take_while(|day| self.on(*day)).count();
            let name = |day: u8| DAYS.get(usize::from(day)).copied().unwrap_or_default();
            // A run of at most seven days.
            let length = u8::try_from(length).unwrap_or(7);
            match length {
                0 => {}
                1 => days.push(name(day).to_owned()),
                _ => days.push(format!("{}-{}", name(day), name(day + length - 1))),
            }
            day += length.max(1);
        }
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{} {}-{}", days.join(","), clock(self.from), clock(self.to))
    }
}

impl Word for Window {
    fn parse(text: &str) -> Result<Self, Mistake> {
        let bad = |what: String| Mistake::new(what).help("write \"mon-fri 06:00-18:00\" or \"tue,thu 22:00-06:00\"");
        let (days, hours) =
            text.trim().split_once(' ').ok_or_else(|| bad(format!("\"{text}\" is not a time window")))?;
        let mut set = 0;
        for part in days.split(',') {
            let day = |name: &str| {
                let known = DAYS.iter().position(|day| name.trim().eq_ignore_ascii_case(day));
                known.ok_or_else(|| bad(format!("\"{name}\" is not a day: mon, tue, wed, thu, fri, sat, sun")))
            };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            let length = (last + 7 - first) % 7;
            (first..=first + length).for_each(|day| set |= 1 << (day % 7));
        }
        let minute = |clock: &str| {
            let parsed = clock.trim().split_once(':').and_then(|(hour, minute)| {
                let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
                (hour < 24 && minute < 60 || (hour, minute) == (24, 0)).then(|| hour * 60 + minute)
            });
            parsed.ok_or_else(|| bad(format!("\"{clock}\" is not a time of day")))
        };
        let (from, to) = hours.trim().split_once('-').ok_or_else(|| bad(format!("\"{hours}\" is not a time span")))?;
        let (from, to) = (minute(from)?, minute(to)?);
        if from == to || from == 1440 {
            return Err(bad(format!("\"{hours}\" holds no time")));
        }
        Ok(Self { days: set, from, to })
    }
}

read_words!(Window);

/// When a rule holds: between two instants, and in any of its windows.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    /// From here on.
    pub(super) from: Option<Timestamp>,
    /// Up to, not including.
    pub(super) until: Option<Timestamp>,
    /// None: always.
    pub(super) windows: Vec<Window>,
}

impl Schedule {
    /// Whether the instant lies between the two dates.
    pub(super) fn valid(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether a window is open, or there is none.
    pub(super) fn open(&self, at: Timestamp, zone: &TimeZone) -> bool {
        if self.windows.is_empty() {
            return true;
        }
        let local = zone.to_datetime(at.instant());
        let day = local.weekday().to_monday_zero_offset().unsigned_abs();
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        self.windows.iter().any(|window| window.contains(day, minute))
    }

    /// At every minute of the week at which this is open, the other is.
    pub(super) fn hours_within(&self, other: &Self) -> bool {
        let open = |schedule: &Self, day, minute| {
            schedule.windows.is_empty() || schedule.windows.iter().any(|window| window.contains(day, minute))
        };
        self.windows == other.windows
            || (0..7).all(|day| (0..1440).all(|minute| !open(self, day, minute) || open(other, day, minute)))
    }

    /// An instant after `at` before which neither answer changes.
    pub(super) fn steady_until(&self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        let dates = [self.from, self.until].into_iter().flatten().filter(|edge| *edge > at).min();
        let mut edge = dates.unwrap_or(Timestamp::MAX);
        if self.windows.is_empty() {
            return edge;
        }
        // The clock change is an edge of its own: local times may come twice or not at all around it.
        if let Some(change) = zone.following(at.instant()).next() {
            edge = edge.min(from_jiff(change.timestamp()));
        }
        let today = zone.to_datetime(at.instant()).date();
        // From yesterday, whose window may end today, to the same day next week.
        for days in -1..=7 {
            let Ok(day) = today.checked_add(days.days()) else { break };
            let next = self
                .windows
                .iter()
                .filter(|window| window.on(day.weekday().to_monday_zero_offset().unsigned_abs()))
                .flat_map(|window| window.edges())
                .filter_map(|minute| day.at(0, 0, 0, 0).checked_add(SignedDuration::from_mins(minute.into())).ok())
                .filter_map(|local| zone.to_timestamp(local).ok().map(from_jiff))
                .filter(|instant| *instant > at)
                .min();
            edge = next.map_or(edge, |next| edge.min(next));
        }
        edge
    }
}

pub(super) fn from_jiff(instant: jiff::Timestamp) -> Timestamp {
    Timestamp::from_nanos(i64::try_from(instant.as_nanosecond()).unwrap_or(i64::MAX))
}

/// The instant at which a date begins, or (`end`) the one at which it is over.
pub(super) fn instant(when: When, end: bool, zone: &TimeZone) -> Option<Timestamp> {
    match when {
        When::Day(day) => {
            let day = if end { day.tomorrow().ok()? } else { day };
            zone.to_timestamp(day.at(0, 0, 0, 0)).ok().map(from_jiff)
        }
        When::Local(local) => zone.to_timestamp(local).ok().map(from_jiff),
        When::Instant(instant) => Some(from_jiff(instant)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        from_jiff(text.parse().unwrap())
    }

    fn stockholm() -> TimeZone {
        TimeZone::get("Europe/Stockholm").unwrap()
    }

    #[test]
    fn windows() {
        for (window, local, want) in [
            ("tue,thu 08:00-16:00", "2026-11-17T08:00:00+01:00", true),
            ("tue,thu 08:00-16:00", "2026-11-17T16:00:00+01:00", false),
            ("tue,thu 08:00-16:00", "2026-11-18T10:00:00+01:00", false),
            ("fri-mon 00:00-24:00", "2026-11-16T23:59:59+01:00", true),
            ("fri-mon 00:00-24:00", "2026-11-17T00:00:00+01:00", false),
            ("mon 22:00-06:00", "2026-11-17T05:59:00+01:00", true),
            ("mon 22:00-06:00", "2026-11-16T05:59:00+01:00", false),
            // The night in which 02:30 comes twice: both are inside.
            ("sun 02:00-03:00", "2026-10-25T02:30:00+02:00", true),
            ("sun 02:00-03:00", "2026-10-25T02:30:00+01:00", true),
        ] {
            let schedule = Schedule { windows: vec![Window::parse(window).unwrap()], ..Schedule::default() };
            assert_eq!(schedule.open(at(local), &stockholm()), want, "{window} at {local}");
        }
        for wrong in [
            "mon",
            "mon 6-18",
            "mon 06:00-06:00",
            "moon 06:00-18:00",
            "mon 25:00-26:00",
            "mon 60000:00-60001:00",
            "mon 24:00-06:00",
        ] {
            assert!(Window::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        for text in ["tue,thu 08:00-16:00", "mon-fri 06:00-18:00", "mon-sun 00:00-24:00", "mon,wed-sat 22:00-06:00"] {
            assert_eq!(Window::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn answers_are_steady_until_the_edge() {
        for (window, from, until) in [
            ("tue 08:00-16:00", "2026-11-16T10:15:00+01:00", "2026-11-17T08:00:00+01:00"),
            ("tue 08:00-16:00", "2026-11-17T10:15:00+01:00", "2026-11-17T16:00:00+01:00"),
            ("mon 22:00-06:00", "2026-11-16T23:00:00+01:00", "2026-11-17T06:00:00+01:00"),
            // The clock change is asked again.
            ("sun 02:00-03:00", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+02:00"),
        ] {
            let schedule = Schedule { windows: vec![Window::parse(window).unwrap()], ..Schedule::default() };
            assert_eq!(schedule.steady_until(at(from), &stockholm()), at(until), "{window} from {from}");
        }
    }

    #[test]
    fn a_last_day_is_in_it() {
        let day = When::Day("2026-12-31".parse().unwrap());
        assert_eq!(instant(day, true, &stockholm()).unwrap(), at("2027-01-01T00:00:00+01:00"));
        assert_eq!(instant(day, false, &stockholm()).unwrap(), at("2026-12-31T00:00:00+01:00"));
    }
}
