//! What the policy said of a flow, as it is kept: much of it, for long, and so small.

use std::ops::{Deref, DerefMut};

use dissectors::Class;
use smallvec::SmallVec;

use super::ops::{Objects, Tally};
use crate::ledger::Evidence;
use crate::policy::{Judgement, Peak, Qualifiers, Reason, Setting, Stage, Statement, Verdict};
use crate::time::Timestamp;

/// A judgement with what it was about.
#[derive(Clone, Debug)]
pub struct Entry {
    gist: Gist,
    /// Which part of the device it was about, coarsely: the same fault has the same bucket.
    pub bucket: Box<str>,
    /// The protocol's codes, with their number of messages.
    pub codes: SmallVec<[(u64, u64); 1]>,
    /// How often, with what outcome.
    pub tally: Tally,
    /// The sides of its conversation, for zones and severity.
    pub setting: Setting,
    shown: Option<Box<Shown>>,
}

/// There are more of these than of flows.
const _: () = assert!(size_of::<Entry>() <= 152);

/// A judgement, but for how long it held.
#[derive(Clone, Copy, Debug)]
struct Gist {
    statement: Option<Statement>,
    qualifiers: Qualifiers,
    verdict: Verdict,
    reason: Option<Reason>,
    stage: Option<Stage>,
    class: Class,
}

/// What shows a finding.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// On what.
    pub objects: Objects,
    /// The first frames that show it.
    pub samples: SmallVec<[Evidence; 1]>,
    /// For a rate that was exceeded: the most that was counted.
    pub peak: Option<Peak>,
}

static NOTHING: Objects = Objects::NONE;

/// What makes two judgements one.
type EntryKey<'a> = (Verdict, Option<Reason>, Option<Statement>, Option<Stage>, Class, &'a str);

/// Frames kept for one judgement.
pub const SAMPLES: usize = 5;
/// Distinct judgements kept for one connection and one flow.
pub(super) const ENTRIES: usize = 128;
/// Distinct codes kept for one judgement.
const CODES: usize = 64;

impl Entry {
    /// A judgement of which nothing was counted yet, first seen there.
    #[must_use]
    pub fn new(judgement: Judgement, bucket: Box<str>, setting: Setting, at: Evidence) -> Self {
        let gist = Gist::of(&judgement);
        Self { gist, bucket, codes: SmallVec::new(), tally: Tally::new(at), setting, shown: None }
    }

    /// What was judged. How long it held is not kept.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        let Gist { statement, qualifiers, verdict, reason, stage, class } = self.gist;
        let valid_until = Timestamp::MIN;
        Judgement { verdict, reason, statement, stage, qualifiers, limited: None, class, valid_until }
    }

    /// Something was found.
    #[must_use]
    #[inline]
    pub fn is_finding(&self) -> bool {
        self.gist.verdict.is_finding()
    }

    /// The same of another judgement.
    pub(super) fn judged_as(&mut self, judgement: &Judgement, setting: Setting) {
        (self.gist, self.setting) = (Gist::of(judgement), setting);
    }

    /// What makes it one with another.
    pub(super) fn key(&self) -> EntryKey<'_> {
        self.gist.key(&self.bucket)
    }

    fn merge(&mut self, other: &Self) {
        // What does not make it another is said as it was first: parts of a flow come together in no order.
        if other.tally.first < self.tally.first {
            (self.gist, self.setting) = (other.gist, other.setting);
        }
        self.tally.merge(&other.tally);
        for (code, count) in &other.codes {
            self.count_code(*code, *count);
        }
        self.note_peak(other.peak());
        let Some(theirs) = &other.shown else { return };
        let Shown { objects, samples, .. } = self.show();
        objects.merge(&theirs.objects);
        samples.extend_from_slice(&theirs.samples);
        samples.sort_unstable();
        samples.dedup();
        samples.truncate(SAMPLES);
    }

    /// Counts so many messages of a code.
    pub(super) fn count_code(&mut self, code: u64, count: u64) {
        let full = self.codes.len() >= CODES;
        match self.codes.iter_mut().find(|known| known.0 == code) {
            Some(known) => known.1 += count,
            None if full => {}
            None => self.codes.push((code, count)),
        }
    }

    /// On what.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        self.shown.as_ref().map_or(&NOTHING, |shown| &shown.objects)
    }

    /// The first frames that show it.
    #[must_use]
    #[inline]
    pub fn samples(&self) -> &[Evidence] {
        self.shown.as_ref().map_or(&[], |shown| &shown.samples)
    }

    /// For a rate that was exceeded: the most that was counted.
    #[must_use]
    pub fn peak(&self) -> Option<Peak> {
        self.shown.as_ref()?.peak
    }

    /// What shows it, to be added to.
    pub fn show(&mut self) -> &mut Shown {
        self.shown.get_or_insert_default()
    }

    /// Keeps a frame that shows it, if it is one of the first; those of a clock that went back may come late.
    pub(super) fn add_sample(&mut self, at: Evidence) {
        let samples = self.samples();
        if samples.len() < SAMPLES || samples.last().is_some_and(|last| at < *last) {
            let samples = &mut self.show().samples;
            if let Err(place) = samples.binary_search(&at) {
                samples.insert(place, at);
                samples.truncate(SAMPLES);
            }
        }
    }

    /// Keeps the worse of two peaks.
    pub fn note_peak(&mut self, peak: Option<Peak>) {
        if let Some(new) = peak {
            let worse = self.peak().map_or(new, |known| known.worse(new));
            self.show().peak = Some(worse);
        }
    }
}

impl Gist {
    fn of(judgement: &Judgement) -> Self {
        let Judgement { verdict, reason, statement, stage, qualifiers, class, .. } = *judgement;
        Self { statement, qualifiers, verdict, reason, stage, class }
    }

    fn key<'a>(&self, bucket: &'a str) -> EntryKey<'a> {
        let Self { verdict, reason, statement, stage, class, .. } = *self;
        (verdict, reason, statement, stage, class, bucket)
    }
}

/// What makes a judgement one with another.
pub(super) fn key<'a>(judgement: &Judgement, bucket: &'a str) -> EntryKey<'a> {
    Gist::of(judgement).key(bucket)
}

/// Distinct judgements, in the order of their first message. One word where there are none, and one piece of memory where
/// there is one, which is nearly everywhere.
#[derive(Clone, Debug, Default)]
pub struct Entries(Option<Box<SmallVec<[Entry; 1]>>>);

impl Entries {
    /// Adds a judgement to the one that says the same.
    pub fn add(&mut self, entry: Entry) {
        match self.iter_mut().find(|known| known.key() == entry.key()) {
            Some(mine) => mine.merge(&entry),
            None => _ = self.push(entry),
        }
    }

    /// Adds a judgement that nothing here says, unless there are too many. Its place.
    pub(super) fn push(&mut self, entry: Entry) -> Option<usize> {
        let place = self.len();
        (place < ENTRIES).then(|| {
            self.0.get_or_insert_default().push(entry);
            place
        })
    }

    /// Adds those of another connection.
    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().flat_map(|all| *all).for_each(|entry| self.add(entry));
    }

    /// Keeps those that matter.
    pub fn retain(&mut self, matters: impl Fn(&Entry) -> bool) {
        if let Some(all) = &mut self.0 {
            all.retain(|entry| matters(entry));
        }
    }
}

impl Deref for Entries {
    type Target = [Entry];

    #[inline]
    fn deref(&self) -> &[Entry] {
        self.0.as_ref().map_or(&[], |all| all.as_slice())
    }
}

impl DerefMut for Entries {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Entry] {
        self.0.as_mut().map_or(&mut [], |all| all.as_mut_slice())
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<T: IntoIterator<Item = Entry>>(list: T) -> Self {
        let mut all = Self::default();
        list.into_iter().for_each(|entry| all.add(entry));
        all
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
