//! How the measures went over the time that a store knows, each with what it is a part of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::findings::is_crossing;
use super::model::{in_force, overdue};
use super::scope::captures;
use super::table::{Cell, Table, seconds};
use super::{Page, Report, share, zones};
use crate::policy::life::State;
use crate::time::Timestamp;

/// What a store or a sensor knows of the time before.
#[derive(Debug, Default)]
pub struct History {
    /// How findings stood, by id and in the order in which it was told. None: only the store itself knows.
    pub told: Option<Vec<(Timestamp, String, State)>>,
    /// The trend ends there; else with the last frame.
    pub until: Option<Timestamp>,
}

/// Lengths of a period: the shortest is taken that gives no more than [`PERIODS`].
const LENGTHS: [(u64, &str); 8] = [
    (60, "minutes"),
    (600, "10 minutes"),
    (3600, "hours"),
    (6 * 3600, "6 hours"),
    (86_400, "days"),
    (7 * 86_400, "weeks"),
    (28 * 86_400, "4 weeks"),
    (364 * 86_400, "52 weeks"),
];

/// Periods of a trend.
const PERIODS: u64 = 32;

/// A part of a whole.
type Part = (u64, u64);

/// How a measure is told.
#[derive(Clone, Copy)]
enum Unit {
    PerThousand,
    PerCent,
    /// The sum of days by what they are of.
    MeanDays,
}

/// A measure over all periods.
struct Series {
    name: &'static str,
    of: &'static str,
    unit: Unit,
    points: Vec<Part>,
}

impl Unit {
    fn text(self, (part, whole): Part) -> String {
        match self {
            _ if whole == 0 => "–".to_owned(),
            Self::PerThousand => (part.saturating_mul(1000) / whole).to_string(),
            Self::PerCent => share(part, whole),
            Self::MeanDays => format!("{}.{} d", part / whole, (part % whole) * 10 / whole),
        }
    }
}

/// When something was there.
struct Span {
    first: Timestamp,
    last: Timestamp,
}

impl Span {
    fn read(first: &str, last: &str) -> Option<Self> {
        Some(Self { first: Timestamp::parse(first)?, last: Timestamp::parse(last)? })
    }

    fn touches(&self, (from, to): (Timestamp, Timestamp)) -> bool {
        self.first < to && from <= self.last
    }
}

pub(super) fn trends(page: &mut Page, report: &Report<'_>) {
    let Some(history) = report.history else {
        return page.say("Trends need a store: the history of a sensor (--store or --url).");
    };
    let spans: Vec<Span> = captures(report.view)
        .filter_map(|capture| Span::read(capture.first.as_deref()?, capture.last.as_deref()?))
        .collect();
    let (Some(first), Some(last)) =
        (spans.iter().map(|span| span.first).min(), spans.iter().map(|span| span.last).max())
    else {
        return page.say("Nothing was heard yet.");
    };
    let (periods, length) = periods(first, history.until.map_or(last, |until| until.min(last)));
    let series = series(report, history, &spans, &periods);
    page.say(&format!(
        "{} periods: {length}, from {} UTC. What has no whole in a period has no point. Conversations count in each period \
         between their first and their last frame.",
        periods.len(),
        periods.first().map(|(from, _)| seconds(&from.to_string())).unwrap_or_default(),
    ));
    let rows = series.iter().map(|series| {
        let now = series.points.last().copied().unwrap_or_default();
        let before = series.points.iter().rev().nth(1).copied().unwrap_or_default();
        [
            series.name.into(),
            series.of.into(),
            Cell::shown("", sparkline(series)),
            series.unit.text(before).into(),
            series.unit.text(now).into(),
            now.0.into(),
            now.1.into(),
        ]
    });
    let heads = ["measure", "of", "trend", "period before", "last period", "#part", "#whole"];
    let table = Table::new("trends", heads, rows);
    table.show(&mut page.html);
    let rows = series.iter().flat_map(|series| {
        series.points.iter().zip(&periods).map(|(point, (from, _))| {
            let (part, whole) = *point;
            let value = if whole == 0 { String::new() } else { series.unit.text(*point) };
            [series.name.into(), from.to_string().into(), part.into(), whole.into(), value.into()]
        })
    });
    page.tables.push(Table::new("trends", ["measure", "period from", "#part", "#whole", "value"], rows));
    page.say(
        "Not here: the share of rights used (zonewatch policy review tells it of a capture), and days since the last violation, \
         which stand with each conduit.",
    );
    if history.told.is_none() {
        page.say("How long findings stay open needs the store itself (--store).");
    }
}

/// Periods of the same length from the first to the last time; the last of them ends after it.
fn periods(first: Timestamp, last: Timestamp) -> (Vec<(Timestamp, Timestamp)>, &'static str) {
    let whole = last.since(first).as_secs();
    let fits = |(length, _): &&(u64, &str)| whole / length < PERIODS;
    let (length, name) = LENGTHS.iter().find(fits).or(LENGTHS.last()).copied().unwrap_or((86_400, "days"));
    // From a full period on, so that the same day is the same period in each report.
    let step = i64::try_from(length).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    let from = first.nanos().div_euclid(step).saturating_mul(step);
    let begins = (0..=i64::try_from(PERIODS).unwrap_or(i64::MAX)).map(|n| from.saturating_add(n.saturating_mul(step)));
    let begins = begins.take_while(|begin| *begin <= last.nanos());
    let period = |begin: i64| (Timestamp::from_nanos(begin), Timestamp::from_nanos(begin.saturating_add(step)));
    (begins.map(period).collect(), name)
}

fn series(report: &Report<'_>, history: &History, heard: &[Span], periods: &[(Timestamp, Timestamp)]) -> Vec<Series> {
    let view = report.view;
    let crossing: BTreeSet<&str> =
        view.findings.iter().filter(|finding| is_crossing(finding)).map(|finding| finding.id.as_str()).collect();
    let flows: Vec<_> =
        view.flows.iter().filter_map(|flow| Some((flow, Span::read(&flow.first_seen, &flow.last_seen)?))).collect();
    let each = |part: &dyn Fn((Timestamp, Timestamp)) -> Part| periods.iter().map(|period| part(*period)).collect();
    let count = |whole: &mut dyn Iterator<Item = bool>| whole.fold((0, 0), |(n, all), is| (n + u64::from(is), all + 1));

    let crossings = each(&|period| {
        let between = flows.iter().filter(|(flow, span)| zones(flow).0 != zones(flow).1 && span.touches(period));
        count(&mut between.map(|(flow, _)| flow.findings.iter().any(|id| crossing.contains(id.as_str()))))
    });
    let protected = each(&|period| {
        let between = flows.iter().filter(|(flow, span)| zones(flow).0 != zones(flow).1 && span.touches(period));
        let modes = between.filter_map(|(flow, _)| flow.security.as_ref()?.mode);
        count(&mut modes.map(|mode| mode != "none"))
    });
    let conduits = each(&|period| {
        let mut clean: BTreeMap<&str, bool> = BTreeMap::new();
        for (flow, _) in flows.iter().filter(|(_, span)| span.touches(period)) {
            if let Some(rule) = flow.rule.as_deref() {
                let holds = matches!(flow.verdict, Some("allow" | "exception"));
                clean.entry(rule).and_modify(|clean| *clean &= holds).or_insert(holds);
            }
        }
        count(&mut view.conduits.iter().map(|conduit| clean.get(&*conduit.id).copied().unwrap_or(false)))
    });
    let devices = each(&|(_, end)| {
        let known = view.assets.iter().filter(|asset| Timestamp::parse(&asset.first_seen).is_some_and(|at| at < end));
        count(&mut known.map(|asset| asset.approved == Some(false)))
    });
    let blind = each(&|period| blind(heard, period, history.until.or(heard.iter().map(|span| span.last).max())));
    let mut all = vec![
        Series {
            name: "undeclared crossings per 1,000 crossings",
            of: "distinct conversations between zones",
            unit: Unit::PerThousand,
            points: crossings,
        },
        Series {
            name: "conduits seen and clean",
            of: "declared conduits and exceptions",
            unit: Unit::PerCent,
            points: conduits,
        },
        Series {
            name: "protected crossings",
            of: "crossings whose protection can be told",
            unit: Unit::PerCent,
            points: protected,
        },
        Series {
            name: "devices that nobody approved",
            of: "devices known by then",
            unit: Unit::PerCent,
            points: devices,
        },
        Series {
            name: "minutes in which nothing was heard",
            of: "minutes from the first frame to the last",
            unit: Unit::PerCent,
            points: blind,
        },
    ];
    if let Some(told) = &history.told {
        all.push(Series {
            name: "mean age of open findings",
            of: "findings open at the end of the period",
            unit: Unit::MeanDays,
            points: ages(told, periods),
        });
    }
    if let Some(policy) = report.policy {
        let exceptions = || policy.rules.iter().filter(|rule| rule.exception);
        let at = |end: Timestamp| end.before(Duration::from_nanos(1));
        all.push(Series {
            name: "exceptions in force",
            of: "exceptions declared now",
            unit: Unit::PerCent,
            points: each(&|(_, end)| count(&mut exceptions().map(|rule| in_force(rule, at(end))))),
        });
        all.push(Series {
            name: "exceptions overdue",
            of: "exceptions declared now",
            unit: Unit::PerCent,
            points: each(&|(_, end)| count(&mut exceptions().map(|rule| overdue(rule, at(end))))),
        });
    }
    all
}

/// Minutes of a period in which no interface was heard, and its minutes up to the last frame.
fn blind(heard: &[Span], (from, to): (Timestamp, Timestamp), last: Option<Timestamp>) -> Part {
    let first = heard.iter().map(|span| span.first).min().unwrap_or(to);
    let (from, to) = (from.max(first), last.map_or(to, |last| to.min(last)));
    let mut spans: Vec<(Timestamp, Timestamp)> = heard.iter().map(|span| (span.first, span.last)).collect();
    spans.sort_unstable();
    let mut seen = Duration::ZERO;
    let mut until = from;
    for (start, end) in spans {
        let (start, end) = (start.max(until), end.min(to));
        seen += end.since(start);
        until = until.max(end);
    }
    let whole = to.since(from);
    (whole.saturating_sub(seen).as_secs() / 60, whole.as_secs() / 60)
}

/// Days that the findings which are open at the end of each period have been open, and how many they are.
fn ages(told: &[(Timestamp, String, State)], periods: &[(Timestamp, Timestamp)]) -> Vec<Part> {
    let mut told = told.iter().peekable();
    let mut open: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut points = Vec::new();
    for (_, end) in periods {
        while let Some((at, id, state)) = told.next_if(|(at, ..)| at < end) {
            match state {
                // Acknowledged is not over.
                State::Open | State::Acknowledged => _ = open.entry(id).or_insert(*at),
                _ => _ = open.remove(id.as_str()),
            }
        }
        let days: u64 = open.values().map(|since| end.since(*since).as_secs() / 86_400).sum();
        points.push((days, open.len() as u64));
    }
    points
}

const WIDTH: u64 = 120;
const HEIGHT: u64 = 24;

/// A line over all periods, from zero to the largest value. Periods without a whole are left out.
fn sparkline(series: &Series) -> String {
    // Millionths of the whole, so that all is in whole numbers and the same everywhere.
    let value = |(part, whole): &Part| part.saturating_mul(1_000_000).checked_div(*whole);
    let most = series.points.iter().filter_map(value).max().unwrap_or(0).max(1);
    let last = (series.points.len() as u64).saturating_sub(1).max(1);
    let mut line = String::new();
    for (place, point) in (0..).zip(&series.points) {
        if let Some(value) = value(point) {
            let y =
                HEIGHT - 2 - u64::try_from(u128::from(value) * u128::from(HEIGHT - 4) / u128::from(most)).unwrap_or(0);
            let _ = write!(line, "{},{y} ", place * WIDTH / last);
            if series.points.len() == 1 {
                let _ = write!(line, "{WIDTH},{y} ");
            }
        }
    }
    format!(
        "<svg class=\"spark\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><polyline points=\"{}\"/></svg>",
        series.name,
        line.trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    #[test]
    fn periods_are_few_and_begin_at_a_full_one() {
        for (case, first, last, count, length) in [
            ("one packet", 90, 90, 1, "minutes"),
            ("half an hour", 90, 1890, 31, "minutes"),
            ("a day", 10, 86_000, 24, "hours"),
            ("a month", 10, 30 * 86_400, 31, "days"),
            ("a year", 10, 365 * 86_400, 14, "4 weeks"),
        ] {
            let (periods, name) = periods(at(first), at(last));
            assert_eq!((periods.len(), name), (count, length), "{case}");
            assert!(periods[0].0 <= at(first) && at(last) < periods.last().unwrap().1, "{case}");
        }
    }

    #[test]
    fn nothing_heard_is_counted_once_and_only_between_first_and_last() {
        let span = |first, last| Span { first: at(first), last: at(last) };
        for (case, heard, period, want) in [
            ("all heard", vec![span(0, 3600)], (0, 3600), (0, 60)),
            ("a gap", vec![span(0, 600), span(1200, 3600)], (0, 3600), (10, 60)),
            ("two interfaces", vec![span(0, 600), span(300, 1800), span(2400, 3600)], (0, 3600), (10, 60)),
            ("before the first and after the last", vec![span(600, 1200)], (0, 3600), (0, 10)),
        ] {
            let last = heard.iter().map(|span| span.last).max();
            assert_eq!(blind(&heard, (at(period.0), at(period.1)), last), want, "{case}");
        }
    }

    #[test]
    fn findings_age_until_they_are_over() {
        let day = 86_400;
        let told = [(0, "a", State::Open), (day, "b", State::Open), (2 * day, "a", State::Resolved)];
        let told: Vec<_> = told.into_iter().map(|(time, id, state)| (at(time), id.to_owned(), state)).collect();
        let periods: Vec<_> = (0..3).map(|n| (at(n * day), at((n + 1) * day))).collect();
        assert_eq!(ages(&told, &periods), [(1, 1), (3, 2), (2, 1)]);
    }
}
