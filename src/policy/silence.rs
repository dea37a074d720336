//! Conduits that are expected to be busy and were not, in the middle of the time that was watched or at its end.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::model::Rule;
use super::review::Watched;
use crate::time::Timestamp;

/// A time in which a conduit was silent for longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The last frame before it, or the first of all frames.
    pub from: Timestamp,
    /// The first frame after it, or the last of all frames.
    pub to: Timestamp,
    /// Why it may be no silence of the conduit.
    pub deaf: Option<Deaf>,
}

/// Why a tap may not have heard what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deaf {
    /// Bytes of other conversations were missing.
    Lost,
    /// It gave no frames at all for so long that the rest is no silence.
    Stopped,
}

/// Borders of windows that are looked at in one pause: those of years.
const BORDERS: usize = 4096;

/// The longest time in a pause in which the rule's windows were open: at other times nobody expects anything.
fn expected(rule: &Rule, zone: &TimeZone, (from, to): (Timestamp, Timestamp)) -> Duration {
    let (mut at, mut stretch, mut longest) = (from, Duration::ZERO, Duration::ZERO);
    for _ in 0..BORDERS {
        if at >= to {
            break;
        }
        let until = rule.schedule.steady_until(at, zone).min(to);
        stretch = if rule.schedule.open(at, zone) { stretch + until.since(at) } else { Duration::ZERO };
        longest = longest.max(stretch);
        at = until;
    }
    longest
}

/// The silences of a rule while it held and its windows were open, in order. Nothing of a rule that expects none.
#[must_use]
pub fn silences(watched: &Watched, number: u32, rule: &Rule, zone: &TimeZone) -> Vec<Silence> {
    let Some(longest) = rule.max_silence else { return Vec::new() };
    let first = rule.valid_from().map_or(watched.first, |from| from.max(watched.first));
    let last = rule.valid_until().map_or(watched.last, |until| until.min(watched.last));
    let watch = &watched.watch;
    let none = crate::flow::watch::Runs::default();
    let runs = watch.active.get(&number).unwrap_or(&none);
    let silence = |(from, to): (Timestamp, Timestamp)| {
        let unheard = watch.heard.pauses(from, to).map(|(from, to)| to.since(from)).sum();
        let deaf = if to.since(from).saturating_sub(unheard) <= longest {
            Some(Deaf::Stopped)
        } else {
            watch.lost.within(from, to).next().map(|_| Deaf::Lost)
        };
        Silence { from, to, deaf }
    };
    let is_long =
        |pause: &(Timestamp, Timestamp)| pause.1.since(pause.0) > longest && expected(rule, zone, *pause) > longest;
    runs.pauses(first, last).filter(is_long).map(silence).collect()
}
