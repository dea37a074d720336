//! On which level of the Purdue model an asset stands. A label for drawings and severity; verdicts come from zones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::mac::subnet;
use super::role::DefaultLevel;
use super::sign::Behaviour;
use crate::address::Realm;

/// A Purdue level in tenths: 35 is level 3.5, the DMZ between control and office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u8);

impl Level {
    /// Between control (up to 3) and office (from 4).
    pub const DMZ: Self = Self(35);
    /// From here on it is the office's or the world's.
    pub const OFFICE: Self = Self(40);
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, tenth) => write!(f, "{whole}.{tenth}"),
        }
    }
}

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0" => Ok(Self(0)),
            "1" => Ok(Self(10)),
            "2" => Ok(Self(20)),
            "3" => Ok(Self(30)),
            "3.5" => Ok(Self::DMZ),
            "4" => Ok(Self::OFFICE),
            "5" => Ok(Self(50)),
            _ => Err("a level is 0, 1, 2, 3, 3.5, 4 or 5"),
        }
    }
}

/// A level, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetLevel {
    /// Which.
    pub value: Level,
    /// Why.
    pub source: LevelSource,
}

/// What a level follows from; the first of these that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelSource {
    /// The policy says it, of the asset or of its zone.
    Policy,
    /// The role's usual level.
    Role,
    /// Whom it talks with.
    Neighbours,
    /// Most of its subnet are on it.
    Subnet,
}

impl LevelSource {
    /// The word in reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Role => "role",
            Self::Neighbours => "neighbours",
            Self::Subnet => "subnet",
        }
    }
}

/// What is known of a device before its level is.
pub(super) struct Standing {
    /// What the policy says.
    pub declared: Option<Level>,
    /// What its role says, if it has one.
    pub role: Option<DefaultLevel>,
    /// The subnets of its addresses.
    pub nets: BTreeSet<(Realm, (bool, u64))>,
}

impl Standing {
    /// The subnets of these hosts.
    pub(super) fn nets(hosts: impl Iterator<Item = crate::address::Host>) -> BTreeSet<(Realm, (bool, u64))> {
        hosts.filter_map(|host| Some((host.realm, subnet(host.address)?))).collect()
    }
}

/// Share of a subnet, in per cent, that has to be on one level for the others to take it.
const MAJORITY: usize = 70;

/// So many of a subnet have to have a level before it is said to have one.
const QUORUM: usize = 3;

/// The level of every device. One step after the other, each from the complete result of those before: a device never
/// takes its level from one that took it in the same step, so that the order of devices does not show.
pub(super) fn levels(devices: &[Standing], behaviour: &[Behaviour<'_>]) -> Vec<Option<AssetLevel>> {
    let known = |standing: &Standing| match (standing.declared, standing.role) {
        (Some(value), _) => Some(AssetLevel { value, source: LevelSource::Policy }),
        (None, Some(DefaultLevel::Fixed(value))) => Some(AssetLevel { value, source: LevelSource::Role }),
        (None, _) => None,
    };
    let mut levels: Vec<_> = devices.iter().map(known).collect();
    for step in [serves_control, asks_below, between, infrastructure] {
        let found: Vec<_> = devices
            .iter()
            .zip(behaviour)
            .zip(&levels)
            .map(|((standing, behaviour), level)| level.is_none().then(|| step(standing, behaviour, &levels)).flatten())
            .collect();
        for (level, value) in levels.iter_mut().zip(found) {
            *level = level.or(value.map(|value| AssetLevel { value, source: LevelSource::Neighbours }));
        }
    }
    by_subnet(devices, &mut levels);
    levels
}

type Found = [Option<AssetLevel>];

fn is_unknown(standing: &Standing) -> bool {
    standing.role.is_none()
}

/// Answers control protocols and asks nobody: whatever it is, it stands with the controllers.
fn serves_control(standing: &Standing, behaviour: &Behaviour<'_>, _: &Found) -> Option<Level> {
    let control = behaviour.serves_control() && !behaviour.asks_control();
    (is_unknown(standing) && control).then_some(Level(10))
}

/// Polls or writes to what stands on level 1 or below.
fn asks_below(standing: &Standing, behaviour: &Behaviour<'_>, levels: &Found) -> Option<Level> {
    let below = |peer: usize| levels.get(peer).copied().flatten().is_some_and(|level| level.value <= Level(10));
    (is_unknown(standing) && behaviour.polls().any(below)).then_some(Level(20))
}

/// From all those that it talks with.
fn between(standing: &Standing, behaviour: &Behaviour<'_>, levels: &Found) -> Option<Level> {
    let peers = behaviour.peers().filter_map(|(peer, _)| levels.get(peer).copied().flatten());
    let peers: BTreeSet<Level> = peers.map(|level| level.value).collect();
    let (lowest, highest) = (*peers.first()?, *peers.last()?);
    match (lowest, highest) {
        _ if !is_unknown(standing) => None,
        (low, high) if low < Level::DMZ && high >= Level::OFFICE => Some(Level::DMZ),
        (low, _) if low >= Level::OFFICE => Some(Level::OFFICE),
        (low, high) if low >= Level(20) && high <= Level(30) => Some(Level(30)),
        _ => None,
    }
}

/// A switch or router takes the level that most of its traffic is with; of equals the lower, where the harm is.
fn infrastructure(standing: &Standing, behaviour: &Behaviour<'_>, levels: &Found) -> Option<Level> {
    if standing.role != Some(DefaultLevel::Neighbours) {
        return None;
    }
    let mut votes = BTreeMap::<Level, u64>::new();
    for (peer, frames) in behaviour.peers() {
        if let Some(level) = levels.get(peer).copied().flatten() {
            let vote = votes.entry(level.value).or_default();
            *vote = vote.saturating_add(frames);
        }
    }
    votes.into_iter().max_by_key(|(level, frames)| (*frames, std::cmp::Reverse(*level))).map(|(level, _)| level)
}

/// Who is left takes the level of its subnet, if that has one.
fn by_subnet(devices: &[Standing], levels: &mut Found) {
    let mut votes = BTreeMap::<_, BTreeMap<Level, usize>>::new();
    for (standing, level) in devices.iter().zip(levels.iter()) {
        for net in &standing.nets {
            if let Some(level) = level {
                *votes.entry(*net).or_default().entry(level.value).or_default() += 1;
            }
        }
    }
    for (standing, level) in devices.iter().zip(levels) {
        let of_net = |net| {
            let votes: &BTreeMap<Level, usize> = votes.get(net)?;
            let all: usize = votes.values().sum();
            let (value, most) = votes.iter().max_by_key(|(_, votes)| **votes)?;
            (all >= QUORUM && most * 100 >= all * MAJORITY).then_some(*value)
        };
        if level.is_none() {
            let value = standing.nets.iter().find_map(of_net);
            *level = value.map(|value| AssetLevel { value, source: LevelSource::Subnet });
        }
    }
}
