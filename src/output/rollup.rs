//! Where many break one conduit: the hint that the conduit is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::convert::Teller;
use super::findings::Fold;
use crate::policy::suggest::{Act, Talk};
use crate::policy::widening::Breach;
use crate::policy::{Policy, Reason, Statement, Verdict};

/// From so many sources on the conduit is likely wrong, and not they.
const SOURCES: usize = 10;

/// The conduit or exception that is broken, by its number in the policy, and for what reason.
type Broken = (u32, &'static str);

/// The hint for each conduit that many break for one reason.
pub(super) type Hints = BTreeMap<Broken, Vec<String>>;

/// What is to be said of a finding because others are like it.
pub(super) fn hint<'a>(fold: &Fold<'_>, hints: &'a Hints) -> impl Iterator<Item = &'a String> {
    broken(fold).and_then(|broken| hints.get(&broken)).into_iter().flatten()
}

impl Teller<'_> {
    /// The hint for each conduit that many break for one reason.
    pub(super) fn hints(&self, policy: &Policy, folds: &BTreeMap<String, Fold<'_>>) -> Hints {
        let mut breaches: BTreeMap<Broken, (Reason, Breach)> = BTreeMap::new();
        for fold in folds.values() {
            let (Some(broken), Some(reason)) = (broken(fold), fold.judgement.reason) else { continue };
            let (_, breach) = breaches.entry(broken).or_insert_with(|| (reason, Breach::default()));
            breach.sources.insert(self.naming(fold.flow.key.client).id);
            breach.destinations.insert(self.naming(fold.flow.key.server).id);
            breach.talks.push(objected(fold));
        }
        breaches.retain(|_, (_, breach)| breach.sources.len() >= SOURCES);
        let hint = |((number, code), (reason, breach)): (Broken, (Reason, Breach))| {
            let id = policy.reference(Statement::Rule(number));
            let many = breach.sources.len();
            let hint = format!("{many} sources break {id} with {code}: the conduit is wrong, more likely than they.");
            ((number, code), vec![hint, format!("{}.", policy.widening(&id, reason, &breach))])
        };
        breaches.into_iter().map(hint).collect()
    }
}

/// What a fold breaks.
fn broken(fold: &Fold<'_>) -> Option<Broken> {
    match (fold.judgement.verdict, fold.judgement.statement) {
        (Verdict::Violation, Some(Statement::Rule(number))) => Some((number, fold.judgement.reason?.code())),
        _ => None,
    }
}

/// The conversation with only those operations and objects that a finding is about.
fn objected(fold: &Fold<'_>) -> Talk {
    let talk = fold.flow.talk();
    let protocol = fold.flow.dissected();
    let codes: BTreeSet<String> = protocol
        .map(|protocol| fold.codes.keys().map(|code| protocol.operation(*code).code).collect())
        .unwrap_or_default();
    let ranges: Vec<_> = fold.objects.ranges().map(|(space, from, to)| (space.to_owned(), from, to)).collect();
    let names: Vec<_> = fold.objects.names().map(|(space, name)| (space.to_owned(), name.to_owned())).collect();
    let acts = talk.acts.into_iter().filter(|act| act.class == fold.judgement.class && codes.contains(&act.code));
    let acts = acts.map(|act| Act { ranges: ranges.clone(), names: names.clone(), ..act }).collect();
    Talk { acts, ..talk }
}
