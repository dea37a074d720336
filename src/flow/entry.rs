//! What the policy said of a flow, as it is kept: much of it, for long, and so small.

use std::ops::{Deref, DerefMut};

use dissectors::Class;
use smallvec::SmallVec;

use super::ops::{Objects, Tally};
use crate::ledger::Evidence;
use crate::policy::{Judgement, Peak, Reason, Setting, Stage, Statement, Verdict};

/// A judgement with what it was about.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was judged.
    pub judgement: Judgement,
    /// Which part of the device it was about, coarsely: the same fault has the same bucket.
    pub bucket: Box<str>,
    /// The protocol's codes, with their number of messages.
    pub codes: SmallVec<[(u64, u64); 1]>,
    /// On what.
    pub objects: Objects,
    /// How often, with what outcome.
    pub tally: Tally,
    /// The first frames that show it.
    pub samples: SmallVec<[Evidence; 1]>,
    /// For a rate that was exceeded: the most that was counted.
    peak: Option<Box<Peak>>,
    /// The sides of its conversation, for zones and severity.
    pub setting: Setting,
}

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
        Self {
            judgement,
            bucket,
            codes: SmallVec::new(),
            objects: Objects::default(),
            tally: Tally::new(at),
            samples: SmallVec::new(),
            peak: None,
            setting,
        }
    }

    /// What makes it one with another.
    pub(super) fn key(&self) -> EntryKey<'_> {
        key(&self.judgement, &self.bucket)
    }

    fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.objects.merge(&other.objects);
        for (code, count) in &other.codes {
            self.count_code(*code, *count);
        }
        self.note_peak(other.peak());
        self.samples.extend_from_slice(&other.samples);
        self.samples.sort_unstable();
        self.samples.dedup();
        self.samples.truncate(SAMPLES);
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

    /// For a rate that was exceeded: the most that was counted.
    #[must_use]
    pub fn peak(&self) -> Option<Peak> {
        self.peak.as_deref().copied()
    }

    /// Keeps the worse of two peaks.
    pub fn note_peak(&mut self, peak: Option<Peak>) {
        if let Some(new) = peak {
            let worse = self.peak().map_or(new, |known| known.worse(new));
            self.peak = Some(Box::new(worse));
        }
    }
}

/// What makes a judgement one with another.
pub(super) fn key<'a>(judgement: &Judgement, bucket: &'a str) -> EntryKey<'a> {
    let Judgement { verdict, reason, statement, stage, class, .. } = *judgement;
    (verdict, reason, statement, stage, class, bucket)
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
