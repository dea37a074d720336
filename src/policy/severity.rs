//! How bad a finding is: a sum of few terms, each of which is printed with it.

use dissectors::Class;

use super::file::{self, Criticality};
use super::judge::Judgement;
use super::model::Policy;
use super::read::{Mistake, Reader};
use super::reason::{Reason, class_row};
use super::setting::Setting;
use super::verdict::{Qualifier, Verdict};
use super::word::Classes;

/// How bad, from 0 to 100, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// The sum, kept within 0 and 100 and the floors and ceilings.
    pub value: u8,
    /// Its word.
    pub band: Band,
    /// The terms of the sum, in the order of the list of weights.
    pub terms: Vec<(String, i32)>,
}

/// A score as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// 0 to 19.
    Info,
    /// 20 to 39.
    Low,
    /// 40 to 59.
    Medium,
    /// 60 to 79.
    High,
    /// 80 to 100.
    Critical,
}

impl Band {
    /// Every band, from harmless to grave.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word of reports.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What became of a conversation's operation, for the severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The other side answered.
    Answered,
    /// The other side refused in the protocol's own words.
    Refused,
    /// Only requests were seen.
    Unanswered,
}

/// Weights other than those of the classes, with their names in `[severity]`.
const WEIGHTS: [(&str, i32); 14] = [
    ("sl-gap", 8),
    ("dmz-bypass", 10),
    ("toward-process", 5),
    ("criticality", 5),
    ("crown-jewel", 5),
    ("safety-zone", 15),
    ("external-initiator", 15),
    ("untrusted-initiator", 10),
    ("answered", 5),
    ("refused", -5),
    ("not-answered", -20),
    ("low-confidence", -10),
    ("not-unicast", -10),
    ("review-ceiling", 39),
];

/// Floors of violations, by reason; `safety` is that of a change in a safety zone that was answered.
const FLOORS: [(&str, i32); 8] = [
    ("ZC008", 40),
    ("ZC010", 40),
    ("ZC011", 40),
    ("ZC012", 40),
    ("ZC017", 60),
    ("ZC018", 20),
    ("ZC021", 50),
    ("safety", 90),
];

/// Scores at which the bands above info begin.
const BANDS: [(&str, i32); 4] = [("low", 20), ("medium", 40), ("high", 60), ("critical", 80)];

/// An attempt that got no answer is never worse than this.
const ATTEMPT_CEILING: i32 = 59;

/// Every number that makes a score, with what the policy changed.
#[derive(Clone, Debug)]
pub struct Weights {
    classes: Vec<i32>,
    terms: Vec<i32>,
    floors: Vec<(&'static str, i32)>,
    bands: [i32; 4],
    /// What the policy overrides: name and value; printed in every report.
    pub overridden: Vec<(String, i64)>,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            classes: Class::ALL.iter().map(|class| class_row(*class).weight).collect(),
            terms: WEIGHTS.iter().map(|(_, weight)| *weight).collect(),
            floors: FLOORS.to_vec(),
            bands: BANDS.map(|(_, from)| from),
            overridden: Vec::new(),
        }
    }
}

impl Weights {
    pub(super) fn new(entry: Option<&file::Severity>, reader: &mut Reader) -> Self {
        let mut weights = Self::default();
        let Some(entry) = entry else { return weights };
        for (table, what) in [(&entry.weights, "weight"), (&entry.floors, "floor"), (&entry.bands, "band")] {
            for (name, value) in table.iter().flat_map(|numbers| &numbers.0) {
                // In range: the reader took -100 to 100 only.
                let number = i32::try_from(value.value).unwrap_or(0);
                if weights.set(what, name, number) {
                    weights.overridden.push((format!("{what} {name}"), value.value));
                } else {
                    reader.found.push(Mistake::unknown(what, name, Self::known(what)).at(value.at));
                }
            }
        }
        if !weights.bands.is_sorted() {
            reader.error(entry.at, "bands rise from low over medium and high to critical");
        }
        weights
    }

    fn known(what: &str) -> Vec<&'static str> {
        match what {
            "weight" => WEIGHTS.iter().map(|(name, _)| *name).chain(Class::ALL.into_iter().map(Class::text)).collect(),
            "floor" => Reason::ALL.iter().map(|reason| reason.code()).chain(["safety"]).collect(),
            _ => BANDS.iter().map(|(name, _)| *name).collect(),
        }
    }

    fn set(&mut self, what: &str, name: &str, number: i32) -> bool {
        let slot = match what {
            "weight" => match WEIGHTS.iter().position(|(known, _)| *known == name) {
                Some(place) => self.terms.get_mut(place),
                None => Class::parse(name).and_then(|class| self.classes.get_mut(class as usize)),
            },
            "floor" => match self.floors.iter().position(|(known, _)| *known == name) {
                Some(place) => self.floors.get_mut(place).map(|(_, floor)| floor),
                None => Reason::parse(name).and_then(|reason| {
                    self.floors.push((reason.code(), 0));
                    self.floors.last_mut().map(|(_, floor)| floor)
                }),
            },
            _ => BANDS.iter().position(|(known, _)| *known == name).and_then(|place| self.bands.get_mut(place)),
        };
        slot.is_some_and(|slot| {
            *slot = number;
            true
        })
    }

    pub(super) fn class(&self, class: Class) -> i32 {
        self.classes.get(class as usize).copied().unwrap_or(0)
    }

    fn term(&self, name: &str) -> i32 {
        WEIGHTS
            .iter()
            .position(|(known, _)| *known == name)
            .and_then(|place| self.terms.get(place).copied())
            .unwrap_or(0)
    }

    fn floor(&self, name: &str) -> i32 {
        self.floors.iter().find(|(known, _)| *known == name).map_or(0, |(_, floor)| *floor)
    }

    /// The band of a score.
    #[must_use]
    pub fn band(&self, value: i32) -> Band {
        let passed = self.bands.iter().filter(|from| **from <= value).count();
        Band::ALL.get(passed).copied().unwrap_or(Band::Critical)
    }
}

impl Policy {
    /// The severity of a judgement. What is allowed, excepted or ignored has none.
    #[must_use]
    pub fn score(&self, setting: &Setting, judgement: &Judgement, outcome: Outcome) -> Option<Score> {
        if !judgement.verdict.is_finding() {
            return None;
        }
        let weights = &self.weights;
        let (from, to) = setting.zones();
        let (source, target) = (self.zone(from), self.zone(to));
        let (source_level, target_level) = (source.sl_t.rdf(), target.sl_t.rdf());
        let mut terms = vec![(format!("class {}", judgement.class.text()), weights.class(judgement.class))];
        let mut add = |text: &str, name: &str| terms.push((text.to_owned(), weights.term(name)));

        if judgement.qualifiers.has(Qualifier::DmzBypass) {
            add("dmz bypass", "dmz-bypass");
        } else if target.level.is_some_and(|target| source.level.is_none_or(|source| source > target)) {
            add("toward process", "toward-process");
        }
        let protected = if target_level >= source_level { target } else { source };
        if matches!(protected.criticality, Some(Criticality::High | Criticality::Critical)) {
            add("criticality", "criticality");
        }
        let jewel = |asset| self.asset(asset).is_some_and(|asset| asset.crown_jewel);
        if setting.assets.into_iter().flatten().any(jewel) {
            add("crown jewel", "crown-jewel");
        }
        let safety = source.safety || target.safety;
        if safety {
            add("safety zone", "safety-zone");
        }
        if from == self.external() {
            add("external initiator", "external-initiator");
        } else if source.untrusted {
            add("untrusted initiator", "untrusted-initiator");
        }
        match outcome {
            _ if judgement.verdict == Verdict::Attempt => add("not answered", "not-answered"),
            Outcome::Refused => add("refused by target", "refused"),
            Outcome::Answered => add("answered", "answered"),
            Outcome::Unanswered => {}
        }
        let doubtful = judgement.qualifiers.has(Qualifier::InitiatorInferred) || setting.confidence() < 60;
        if doubtful {
            add("low confidence", "low-confidence");
        }
        if judgement.qualifiers.has(Qualifier::Multicast) || judgement.qualifiers.has(Qualifier::Broadcast) {
            add("not unicast", "not-unicast");
        }
        if target_level > source_level {
            let gap = i32::from(target_level - source_level) * weights.term("sl-gap");
            terms.insert(1, (format!("sl gap {source_level}->{target_level}"), gap));
        }

        let mut value = terms.iter().map(|(_, points)| points).sum::<i32>().clamp(0, 100);
        let violation = judgement.verdict == Verdict::Violation;
        let floor = judgement.reason.map_or(0, |reason| weights.floor(reason.code()));
        if violation && floor > value {
            let code = judgement.reason.map_or("", Reason::code);
            terms.push((format!("floor for {code}"), floor - value));
            value = floor;
        }
        value = match judgement.verdict {
            Verdict::Attempt => value.min(ATTEMPT_CEILING),
            Verdict::Review => value.min(weights.term("review-ceiling")),
            _ => value,
        };
        let floor = weights.floor("safety");
        let changed = Classes::changing(judgement.class) && outcome == Outcome::Answered;
        if safety && changed && violation && floor > value {
            terms.push(("floor for a change in a safety zone".to_owned(), floor - value));
            value = floor;
        }
        Some(Score { value: u8::try_from(value.clamp(0, 100)).unwrap_or(100), band: weights.band(value), terms })
    }
}
