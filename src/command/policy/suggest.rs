use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use crate::analysis::{self, Analysis, Options};
use crate::cli::PolicySuggest;
use crate::command::{Done, Failure, Outcome, analyze, note, print};
use crate::policy::suggest::{Seen, cause, draft};
use crate::policy::{Policy, is_id};
use crate::source::Batch;
use crate::source::set::Captures;
use crate::time::Timestamp;

pub(super) fn run(options: &PolicySuggest) -> Outcome {
    if !is_id(&options.site) {
        return Err(Failure(format!(
            "{:?} is not an id\n  hint: letters, digits, \"_\", \".\" and \"-\"",
            options.site
        )));
    }
    let Some(hold_out) = &options.hold_out else {
        let (_, seen) = read(options, None, |_| true)?;
        return give(options, &draft(&seen, &options.site), None);
    };
    let cut = cut(options, hold_out)?;
    let (_, seen) = read(options, None, |at| at < cut)?;
    let text = draft(&seen, &options.site);
    let policy = Policy::parse("draft.toml", &text)
        .map_err(|wrong| format!("the draft does not load, which is a bug: {}", wrong.render(false).trim_end()))?;
    let (analysis, rest) = read(options, Some(Arc::new(policy)), |at| at >= cut)?;
    let report = report(&analysis, &seen, &rest, cut);
    give(options, &text, Some(&report))
}

/// The draft where it is wanted; the report beside it, or as comments behind it.
fn give(options: &PolicySuggest, text: &str, report: Option<&str>) -> Outcome {
    match &options.out {
        Some(path) => {
            fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            note(&format!("wrote {}: a draft, to be read line by line before it is approved", path.display()));
            print(report.unwrap_or_default())?;
        }
        None => {
            print(text)?;
            let comments = report.unwrap_or_default().lines().fold(String::new(), |mut text, line| {
                let _ = writeln!(text, "{}", format!("# {line}").trim_end());
                text
            });
            print(&comments)?;
        }
    }
    Ok(Done::Clean)
}

/// Analyses the frames of the wanted times.
fn read(
    options: &PolicySuggest,
    policy: Option<Arc<Policy>>,
    wanted: impl Fn(Timestamp) -> bool,
) -> Result<(Analysis, Seen), Failure> {
    let mut captures = analyze::open(&options.captures)?;
    let fill = |captures: &mut Captures, batch: &mut Batch| {
        let more = captures.fill(batch);
        batch.frames.retain(|frame| wanted(frame.at));
        more
    };
    let settings = Options { policy, home_nets: options.home_nets.clone(), ..Options::default() };
    let analysis = analysis::run(&mut captures, fill, &settings);
    let names = captures.summaries().into_iter().map(|summary| summary.name).collect();
    let seen = analysis.seen(names);
    Ok((analysis, seen))
}

/// The first instant that is held out.
fn cut(options: &PolicySuggest, hold_out: &str) -> Result<Timestamp, Failure> {
    if options.captures.iter().any(|path| path.as_os_str() == "-") {
        return Err(Failure("--hold-out reads captures more than once, which stdin does not allow".to_owned()));
    }
    if let Some(at) = Timestamp::parse(hold_out) {
        return Ok(at);
    }
    let percent: Option<i64> = hold_out.trim_end_matches('%').parse().ok().filter(|percent| (1..=99).contains(percent));
    let Some(percent) = percent else {
        return Err(Failure(format!(
            "{hold_out:?} says not what to hold out\n  hint: write a percentage from 1 to 99, or a time like 2026-11-16T12:00:00Z"
        )));
    };
    let mut captures = analyze::open(&options.captures)?;
    let mut batch = Batch::default();
    let mut span: Option<(Timestamp, Timestamp)> = None;
    while captures.fill(&mut batch) {
        for frame in &batch.frames {
            let (first, last) = span.unwrap_or((frame.at, frame.at));
            span = Some((first.min(frame.at), last.max(frame.at)));
        }
    }
    let (first, last) = span.ok_or("there is no frame in the captures")?;
    let length = i64::try_from(last.since(first).as_nanos()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_nanos(last.nanos().saturating_sub(length / 100 * percent)))
}

/// How often the draft would have fired on the rest, each with why.
fn report(analysis: &Analysis, seen: &Seen, rest: &Seen, cut: Timestamp) -> String {
    let mut causes: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut fired = 0_usize;
    let mut judged = 0_usize;
    for flow in &analysis.observed.flows {
        let entries = &flow.judged;
        judged += usize::from(!entries.is_empty());
        let mut hit = false;
        for entry in entries {
            let Some(reason) = entry.judgement().reason.filter(|_| entry.judgement().verdict.is_finding()) else {
                continue;
            };
            hit = true;
            let talk = flow.talk();
            let cause = cause(seen, rest, &talk, entry.judgement().class, entry.judgement().reason);
            let detail = if cause.detail().is_empty() { String::new() } else { format!(": {}", cause.detail()) };
            causes.entry(cause.kind()).or_default().push(format!(
                "{} -> {} {} {} {} ({}){detail}",
                talk.client,
                talk.server,
                talk.service(),
                entry.judgement().class.text(),
                entry.judgement().verdict.text(),
                reason.code(),
            ));
        }
        fired += usize::from(hit);
    }
    let share = if judged == 0 { 0.0 } else { fired as f64 * 100.0 / judged as f64 };
    let mut text =
        format!("Held out: all from {cut} on. {judged} flows, the draft fires on {fired} of them ({share:.1} %).\n");
    for (kind, mut lines) in causes {
        lines.sort_unstable();
        lines.dedup();
        let _ = writeln!(text, "{} of {kind}:", lines.len());
        for line in lines {
            let _ = writeln!(text, "  {}", crate::output::escape::terminal(&line));
        }
    }
    text
}
