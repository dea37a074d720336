//! Drafts of real captures: each loads, objects only to what it left out of the traffic that it was made from, and
//! explains what it objects to in the traffic after it.
//!
//! The corpus does not belong to the repository: without it these tests skip, and say so.

#![allow(clippy::print_stderr)] // A test that skips says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zonewatch::analysis::{self, Analysis, Options};
use zonewatch::policy::Policy;
use zonewatch::policy::suggest::{Cause, Seen, cause, draft};
use zonewatch::source::set::Captures;
use zonewatch::time::Timestamp;

/// Captures of the corpus with more than so many hosts are plants enough to draft from.
const HOSTS: u32 = 20;

fn captures() -> Vec<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let corpus = std::env::var_os("ZONEWATCH_SHARED").map_or_else(default, PathBuf::from).join("corpus");
    let Ok(catalog) = std::fs::read_to_string(corpus.join("catalog.tsv")) else {
        eprintln!("SKIPPED: no corpus in {}; set ZONEWATCH_SHARED", corpus.display());
        return Vec::new();
    };
    let mut rows = catalog.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = rows.next().unwrap();
    let hosts = head.iter().position(|name| *name == "ip_hosts").unwrap();
    let large =
        |row: &Vec<&str>| row.get(hosts).and_then(|count| count.parse().ok()).is_some_and(|count: u32| count > HOSTS);
    rows.filter(large).map(|row| corpus.join("captures").join(row[0])).collect()
}

fn analyse(path: &Path, policy: Option<Policy>, wanted: impl Fn(Timestamp) -> bool) -> (Analysis, Seen) {
    let (mut captures, _) = Captures::open(&[path]);
    let options = Options { workers: 1, policy: policy.map(Arc::new), ..Options::default() };
    let fill = |captures: &mut Captures, batch: &mut zonewatch::source::Batch| {
        let more = captures.fill(batch);
        batch.frames.retain(|frame| wanted(frame.at));
        more
    };
    let analysis = analysis::run(&mut captures, fill, &options);
    let names = captures.summaries().into_iter().map(|summary| summary.name).collect();
    let seen = analysis.seen(names);
    (analysis, seen)
}

fn policy(path: &Path, seen: &Seen) -> Policy {
    let text = draft(seen, "draft");
    let policy =
        Policy::parse("draft.toml", &text).unwrap_or_else(|wrong| panic!("{}: {wrong}\n{text}", path.display()));
    assert!(policy.draft);
    policy
}

/// Why a draft objects to what, of everything in an analysis that was judged by it.
fn causes(analysis: &Analysis, before: &Seen, rest: &Seen) -> Vec<(String, Cause)> {
    let mut causes = Vec::new();
    for flow in &analysis.observed.flows {
        for entry in flow.judged.iter().filter(|entry| entry.judgement().reason.is_some()) {
            let talk = flow.talk();
            let what = format!(
                "{} -> {} {} {} {:?}",
                talk.client,
                talk.server,
                talk.service(),
                entry.judgement().class.text(),
                entry.judgement().reason
            );
            causes.push((what, cause(before, rest, &talk, entry.judgement().class, entry.judgement().reason)));
        }
    }
    causes
}

#[test]
fn a_draft_accepts_what_it_was_made_from() {
    for path in captures() {
        let (_, seen) = analyse(&path, None, |_| true);
        let (judged, _) = analyse(&path, Some(policy(&path, &seen)), |_| true);
        for (what, cause) in causes(&judged, &seen, &seen) {
            assert!(matches!(cause, Cause::Withheld(_)), "{}: {what}: {cause:?}", path.display());
        }
    }
}

#[test]
fn what_it_objects_to_later_is_explained() {
    for path in captures() {
        let (whole, _) = analyse(&path, None, |_| true);
        let (Some(first), Some(last)) = (
            whole.observed.flows.iter().map(|flow| flow.first().at).min(),
            whole.observed.flows.iter().map(|flow| flow.last().at).max(),
        ) else {
            continue;
        };
        let half = first.after(last.since(first) / 2);
        let (_, before) = analyse(&path, None, |at| at < half);
        let (judged, rest) = analyse(&path, Some(policy(&path, &before)), |at| at >= half);
        for (what, cause) in causes(&judged, &before, &rest) {
            assert!(cause != Cause::Other, "{}: {what}: {cause:?}", path.display());
        }
    }
}
