//! Sessions of remote access against what their conduit allows: how long, how idle, how many at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::declaration::span;
use super::model::{Policy, Rule};
use super::review::{DAY, Watched};
use crate::address::Address;
use crate::flow::watch::Session;
use crate::time::Timestamp;

/// What a session overran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overrun {
    /// It stood longer than `max_session`.
    Long(Session, Duration),
    /// It paused for longer than `max_idle`.
    Idle(Session, Duration),
    /// With it there were so many at a time, more than `max_concurrent`.
    Crowd(Session, usize, u32),
}

/// `10.1.2.3 stood 5 h from 2026-11-16 09:00 UTC, and 4 h is the longest`, the time as the site has it.
impl Overrun {
    pub(super) fn says(&self, policy: &Policy) -> String {
        let (session, what) = match self {
            Self::Long(session, most) => {
                let stood = span(session.duration());
                (session, format!("stood {stood}, and {} is the longest", span(*most)))
            }
            Self::Idle(session, most) => {
                (session, format!("paused for {}, and {} is the longest", span(session.pause), span(*most)))
            }
            Self::Crowd(session, count, most) => {
                (session, format!("was one of {count} at a time, and {most} are the most"))
            }
        };
        format!("{} from {} {what}", session.client.address, policy.clock(session.first))
    }
}

/// The sessions of a rule, in order of their beginning.
#[must_use]
pub fn sessions(watched: &Watched, number: u32) -> Vec<Session> {
    watched.watch.sessions.iter().filter(|session| session.rule == number).copied().collect()
}

/// What the sessions of a rule overran.
#[must_use]
pub fn overruns(rule: &Rule, sessions: &[Session]) -> Vec<Overrun> {
    let long = |session: &Session| {
        let most = rule.max_session.filter(|most| session.duration() > *most)?;
        Some(Overrun::Long(*session, most))
    };
    let idle = |session: &Session| {
        let most = rule.max_idle.filter(|most| session.pause > *most)?;
        Some(Overrun::Idle(*session, most))
    };
    let mut found: Vec<Overrun> = sessions.iter().filter_map(long).chain(sessions.iter().filter_map(idle)).collect();
    if let Some(most) = rule.max_concurrent {
        let mut open: Vec<Timestamp> = Vec::new();
        for session in sessions {
            open.retain(|end| *end >= session.first);
            open.push(session.last);
            if open.len() > most as usize {
                found.push(Overrun::Crowd(*session, open.len(), most));
            }
        }
    }
    found
}

/// The clients of a rule of remote access that have not used it for as long as it may idle, with the last time.
#[must_use]
pub fn idle_clients(watched: &Watched, number: u32, rule: &Rule) -> Vec<(Address, Timestamp)> {
    if !rule.remote_access {
        return Vec::new();
    }
    let mut last: BTreeMap<Address, Timestamp> = BTreeMap::new();
    for used in watched.of(number).iter().filter(|used| used.passed()) {
        let known = last.entry(used.talk.client).or_insert(used.last);
        *known = used.last.max(*known);
    }
    last.into_iter().filter(|(_, last)| watched.last.since(*last) >= DAY * rule.max_idle_days).collect()
}

/// How much of its time a session was idle, in whole per cent.
#[must_use]
pub fn idle_share(session: &Session) -> u8 {
    let (idle, whole) = (session.idle.as_millis(), session.duration().as_millis());
    u8::try_from(idle * 100 / whole.max(1)).unwrap_or(100)
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long(..) => "too long",
            Self::Idle(..) => "idle too long",
            Self::Crowd(..) => "too many at a time",
        })
    }
}

impl Policy {
    /// Whether a rule holds and is open, by its dates and windows, from the first to the last frame of a session.
    #[must_use]
    pub fn in_window(&self, rule: &Rule, session: &Session) -> bool {
        let holds = |at: Timestamp| rule.schedule.valid(at) && rule.schedule.open(at, &self.time_zone);
        holds(session.first)
            && holds(session.last)
            && rule.schedule.steady_until(session.first, &self.time_zone) > session.last
    }
}
