//! What was declared: zones, and exceptions with their ends.

use super::scope::window;
use super::table::{Cell, Table};
use super::{Page, Report, safe};
use crate::policy::{Rule, SecurityLevels, Zone};
use crate::time::Timestamp;

/// What asks for the declaration itself.
const NEEDS_POLICY: &str = "Owners, approvals and taps stand in the declaration: give it with --policy.";

pub(super) fn model(page: &mut Page, report: &Report<'_>) {
    let Some(policy) = &report.view.policy else { return page.say("No policy was given: nothing was judged.") };
    let files: Vec<_> = policy.files.iter().map(|file| safe(file)).collect();
    page.say(&format!("{} with SHA-256 <code>{}</code>", files.join(", "), safe(&policy.sha256)));
    match report.policy {
        None => page.say(NEEDS_POLICY),
        Some(declared) => {
            let approved = if declared.draft {
                "<b>It is a draft: nobody has approved it.</b>"
            } else {
                "It is declared as approved."
            };
            let due = match declared.review_due {
                None => "No date of its next review is declared (review_due).".to_owned(),
                Some(due) => {
                    let late = end(report).is_some_and(|end| due <= end);
                    let due = due.to_string();
                    let day = safe(due.get(..10).unwrap_or_default());
                    if late {
                        format!("<b>Its review was due on {day}.</b>")
                    } else {
                        format!("Its review is due on {day}.")
                    }
                }
            };
            page.say(&format!("{approved} {due}"));
        }
    }
    let declared = |id: &str| -> Option<&Zone> { report.policy?.zones.iter().find(|zone| zone.id == id) };
    let rows = report.view.zones.iter().map(|zone| {
        let own = declared(&zone.id);
        let tapped = || {
            let policy = report.policy?;
            policy.is_tapped(policy.zone_named(&zone.id)?).filter(|_| own.is_some_and(|own| own.at.is_some()))
        };
        [
            zone.id.as_str().into(),
            (&zone.name).into(),
            (&zone.parent).into(),
            zone.level.map_or(String::new(), |level| level.to_string()).into(),
            (&zone.kind).into(),
            if zone.safety { "yes" } else { "" }.into(),
            own.and_then(|zone| zone.at.map(|_| levels(zone.sl_t))).unwrap_or_default().into(),
            own.and_then(|zone| zone.owner.as_deref()).into(),
            tapped().map_or(Cell::from(""), |seen| if seen { "yes".into() } else { Cell::class("no", "bad") }),
            zone.assets.len().into(),
        ]
    });
    let heads =
        ["zone", "name", "part of", "#level", "kind", "safety", "SL-T", "owner", "a tap sees it", "#devices seen"];
    page.table(Table::new("zones", heads, rows));
}

/// Foundational requirements of IEC 62443-1-1, in their order.
const REQUIREMENTS: [&str; 7] = ["IAC", "UC", "SI", "DC", "RDF", "TRE", "RA"];

/// One number where all are equal, else those of each foundational requirement.
fn levels(levels: SecurityLevels) -> String {
    let [first, rest @ ..] = levels.0;
    if rest.iter().all(|level| *level == first) {
        return first.to_string();
    }
    let named = REQUIREMENTS.iter().zip(levels.0).map(|(name, level)| format!("{name} {level}"));
    named.collect::<Vec<_>>().join(" ")
}

/// The last frame, which is "now" to a report.
pub(super) fn end(report: &Report<'_>) -> Option<Timestamp> {
    Timestamp::parse(window(report.view)?.1)
}

/// How an exception stands at a time.
pub(super) fn in_force(rule: &Rule, at: Timestamp) -> bool {
    rule.valid_from().is_none_or(|from| from <= at) && !overdue(rule, at)
}

/// It has ended and is still declared.
pub(super) fn overdue(rule: &Rule, at: Timestamp) -> bool {
    rule.valid_until().is_some_and(|until| until <= at)
}

pub(super) fn exceptions(page: &mut Page, report: &Report<'_>) {
    let Some(policy) = report.policy else { return page.say(NEEDS_POLICY) };
    let now = end(report).unwrap_or_default();
    let used = |rule: &Rule| report.view.conduits.iter().find(|conduit| conduit.id == rule.id).map(|it| &it.used);
    let time = |at: Option<Timestamp>| Cell::last(at.map(|at| at.to_string()).as_deref());
    let rows = policy.rules.iter().filter(|rule| rule.exception).map(|rule| {
        let state = match () {
            () if overdue(rule, now) => Cell::class("ended, still declared", "bad"),
            () if in_force(rule, now) => "in force".into(),
            () => "not yet in force".into(),
        };
        [
            rule.id.as_str().into(),
            rule.name.as_str().into(),
            format!("{} → {}", rule.from_words.join(", "), rule.to_words.join(", ")).into(),
            state,
            time(rule.valid_until()),
            (&rule.owner).into(),
            rule.approved_by.join(", ").into(),
            (&rule.ticket).into(),
            (&rule.reason).into(),
            rule.compensating.join("; ").into(),
            Cell::last(used(rule).and_then(|used| used.last.as_deref())),
        ]
    });
    let heads = [
        "exception",
        "name",
        "from and to",
        "state",
        "ends",
        "owner",
        "approved by",
        "ticket",
        "reason",
        "compensated by",
        "last use",
    ];
    page.table_or(Table::new("exceptions", heads, rows), "No exception is declared.");
}
