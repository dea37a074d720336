//! What an asset is for: the table of roles, and the confidence model that weighs the signs of one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::level::Level;

/// Roles with their levels and the asset ids of MITRE ATT&CK for ICS.
const ROLES: &str = include_str!("roles.csv");

/// A role that an asset can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name in policies and reports: `plc`.
    pub name: &'static str,
    /// The level that it stands on.
    pub level: DefaultLevel,
    /// The asset of ATT&CK for ICS: `A0003`. None where there is none.
    pub attack: Option<&'static str>,
}

/// The usual level of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultLevel {
    /// This one.
    Fixed(Level),
    /// That of its neighbours: switches, routers and what goes from place to place.
    Neighbours,
}

static TABLE: LazyLock<Vec<Role>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut fields = line.split(',');
        let (name, level, attack) = (fields.next()?, fields.next()?, fields.next()?);
        let level = level.parse().map_or(DefaultLevel::Neighbours, DefaultLevel::Fixed);
        Some(Role { name, level, attack: Some(attack).filter(|attack| *attack != "-") })
    };
    ROLES.lines().skip(1).filter_map(row).collect()
});

impl Role {
    /// Every role.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &TABLE
    }

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|role| role.name == name)
    }
}

/// What an asset is taken to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetRole {
    /// The role; None where the signs are too weak, or disagree.
    pub value: Option<&'static str>,
    /// Probability in per cent, rounded down; 0 without a role.
    pub confidence: u8,
    /// Every role for which there is a sign, the most probable first.
    pub candidates: Vec<Candidate>,
}

/// A role that an asset may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The role.
    pub role: &'static str,
    /// Probability in per cent, rounded down.
    pub confidence: u8,
    /// The signs, for and against, in words.
    pub reasons: Vec<String>,
}

/// Signs of one family are not independent of each other: of them only the strongest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// What it answers when asked.
    Answer,
    /// What it announces.
    Announcement,
    /// What it does when asked.
    Server,
    /// What it asks of others.
    Client,
    /// Its place in the network: addresses and MACs.
    Place,
    /// What others call it.
    ThirdParty,
    /// Who made its network card.
    Maker,
}

/// One sign of a role, for it or against it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sign {
    pub role: &'static str,
    pub says: Says,
    pub reason: String,
}

/// What a sign says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
    /// It is so, with this probability in per cent.
    For(Family, u8),
    /// It is not.
    Against,
}

impl Sign {
    pub(super) fn new(role: &'static str, family: Family, weight: u8, reason: impl Into<String>) -> Self {
        Self { role, says: Says::For(family, weight), reason: reason.into() }
    }

    pub(super) fn against(role: &'static str, reason: impl Into<String>) -> Self {
        Self { role, says: Says::Against, reason: reason.into() }
    }
}

/// Parts in a million: exact enough, and the same on every machine.
const CERTAIN: u64 = 1_000_000;
/// A role is chosen from this probability on ...
const ENOUGH: u64 = 600_000;
/// ... and when it is that much above the next.
const LEAD: u64 = 150_000;

/// The role that the signs mean: the strongest of each family, families combined as independent, and half of that where
/// something speaks against it.
pub(super) fn weigh(mut signs: Vec<Sign>) -> AssetRole {
    signs.sort();
    signs.dedup();
    let mut roles = BTreeMap::<&'static str, Vec<Sign>>::new();
    for sign in signs {
        roles.entry(sign.role).or_default().push(sign);
    }
    let probability = |signs: &[Sign]| {
        let mut families = BTreeMap::<Family, u64>::new();
        for sign in signs {
            if let Says::For(family, weight) = sign.says {
                let strongest = families.entry(family).or_default();
                *strongest = (*strongest).max(u64::from(weight.min(100)));
            }
        }
        let missed = families.values().fold(CERTAIN, |missed, weight| missed * (100 - weight) / 100);
        let against = signs.iter().any(|sign| sign.says == Says::Against);
        (CERTAIN - missed) / if against { 2 } else { 1 }
    };
    let mut candidates: Vec<_> = roles.into_iter().map(|(role, signs)| (probability(&signs), role, signs)).collect();
    // What nothing speaks for is no candidate.
    candidates.retain(|(probability, ..)| *probability > 0);
    candidates.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let next = candidates.get(1).map_or(0, |(probability, ..)| *probability);
    let best = candidates.first().filter(|(probability, ..)| *probability >= ENOUGH && probability - next >= LEAD);
    AssetRole {
        value: best.map(|(_, role, _)| *role),
        confidence: best.map_or(0, |(probability, ..)| percent(*probability)),
        candidates: candidates
            .iter()
            .map(|(probability, role, signs)| Candidate {
                role,
                confidence: percent(*probability),
                reasons: signs.iter().map(words).collect(),
            })
            .collect(),
    }
}

fn percent(probability: u64) -> u8 {
    u8::try_from(probability / (CERTAIN / 100)).unwrap_or(100)
}

fn words(sign: &Sign) -> String {
    match sign.says {
        Says::For(_, weight) => format!("{} ({weight} %)", sign.reason),
        Says::Against => format!("against: {}", sign.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence() {
        use Family::{Answer, Client, Maker, Server};
        let plc = |family, weight| Sign::new("plc", family, weight, "");
        for (case, signs, want) in [
            ("the worked example", vec![plc(Maker, 30), plc(Answer, 95), plc(Server, 80)], "plc 99 | plc 99"),
            ("the other worked example", vec![plc(Server, 35)], "- 0 | plc 35"),
            ("one family counts once", vec![plc(Server, 35), plc(Server, 80)], "plc 80 | plc 80"),
            (
                "just enough, and just enough lead",
                vec![plc(Client, 60), Sign::new("hmi", Client, 45, "")],
                "plc 60 | plc 60, hmi 45",
            ),
            ("two that are as likely", vec![plc(Client, 60), Sign::new("hmi", Client, 60, "")], "- 0 | hmi 60, plc 60"),
            ("something against it", vec![plc(Answer, 95), Sign::against("plc", "")], "- 0 | plc 47"),
            ("only something against it", vec![Sign::against("plc", "")], "- 0 | "),
            ("nothing", vec![], "- 0 | "),
        ] {
            let role = weigh(signs);
            let candidates: Vec<_> = role.candidates.iter().map(|c| format!("{} {}", c.role, c.confidence)).collect();
            let got = format!("{} {} | {}", role.value.unwrap_or("-"), role.confidence, candidates.join(", "));
            assert_eq!(got, want, "{case}");
        }
    }

    #[test]
    fn every_role_has_a_level() {
        for (role, level) in [("plc", "1"), ("jump-host", "3.5"), ("historian", "3"), ("external-host", "5")] {
            let DefaultLevel::Fixed(value) = Role::named(role).unwrap().level else { panic!("{role}") };
            assert_eq!(value.to_string(), level, "{role}");
        }
        assert_eq!(Role::named("switch").unwrap().level, DefaultLevel::Neighbours);
        assert_eq!(Role::all().len(), ROLES.lines().count() - 1);
    }
}
