//! The test record: what was to be tried at the boundaries, and what of it was seen where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::table::{Cell, Table, seconds};
use super::{Page, Report};
use crate::output::view::{FlowEndView, FlowView, OperationView};
use crate::time::Timestamp;

/// What was to be tested: the rows of a spreadsheet.
#[derive(Debug)]
pub struct Plan {
    rows: Vec<Row>,
}

/// One try.
#[derive(Debug)]
struct Row {
    id: String,
    from: String,
    to: String,
    protocol: String,
    operation: String,
    passes: bool,
    tester: String,
    time: Option<(Timestamp, Timestamp)>,
    note: String,
}

/// Columns of the plan; the first three have to be there.
const COLUMNS: [&str; 10] =
    ["from", "to", "expected", "id", "protocol", "operation", "tester", "time", "until", "note"];

/// Rows that a plan may have.
const ROWS: usize = 10_000;

/// How long a try takes when nothing else is said.
const TRY: Duration = Duration::from_secs(15 * 60);

impl Plan {
    /// Reads a plan: CSV with commas, semicolons or tabs, its columns in any order.
    ///
    /// # Errors
    /// What is wrong, with its row.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        let head = text.lines().next().unwrap_or_default();
        let by = [b',', b';', b'\t'].into_iter().max_by_key(|by| head.bytes().filter(|byte| byte == by).count());
        let mut sheet = ::csv::ReaderBuilder::new()
            .delimiter(by.unwrap_or(b','))
            .trim(::csv::Trim::All)
            .flexible(true)
            .from_reader(text.as_bytes());
        let heads = sheet.headers().map_err(|error| format!("no CSV table: {error}"))?.clone();
        let heads: Vec<String> = heads.iter().map(str::to_lowercase).collect();
        if let Some(unknown) = heads.iter().find(|head| !COLUMNS.contains(&head.as_str())) {
            return Err(format!("there is no column \"{unknown}\": {}", COLUMNS.join(", ")));
        }
        if let Some(missing) = COLUMNS.iter().take(3).find(|column| !heads.iter().any(|head| head == *column)) {
            return Err(format!("the column \"{missing}\" is missing; the first line names the columns"));
        }
        let mut rows = Vec::new();
        for (number, record) in (2..).zip(sheet.records()) {
            let record = record.map_err(|error| format!("row {number}: {error}"))?;
            if record.iter().all(str::is_empty) {
                continue;
            }
            if rows.len() >= ROWS {
                return Err(format!("it has more than {ROWS} rows"));
            }
            let cells: BTreeMap<&str, &str> = heads.iter().map(String::as_str).zip(record.iter()).collect();
            rows.push(Row::read(&cells, rows.len() + 1).map_err(|why| format!("row {number}: {why}"))?);
        }
        Ok(Self { rows })
    }
}

impl Row {
    fn read(cells: &BTreeMap<&str, &str>, number: usize) -> Result<Self, String> {
        let cell = |name: &str| cells.get(name).copied().unwrap_or_default().to_owned();
        let passes = match cell("expected").to_lowercase().as_str() {
            "passes" | "pass" | "allowed" | "allow" => true,
            "blocked" | "block" | "denied" | "deny" => false,
            other => return Err(format!("expected is \"{other}\", not passes or blocked")),
        };
        for name in ["from", "to"] {
            if cell(name).is_empty() {
                return Err(format!("\"{name}\" is empty"));
            }
        }
        let time = |name: &str| match cell(name) {
            empty if empty.is_empty() => Ok(None),
            text => Timestamp::read(&text)
                .map(Some)
                .ok_or_else(|| format!("{name} is \"{text}\", not a time such as 2026-11-16 10:15 (UTC)")),
        };
        let (from, until) = (time("time")?, time("until")?);
        let time = from.map(|from| (from, until.unwrap_or(from.after(TRY))));
        let id = Some(cell("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| number.to_string());
        Ok(Self {
            id,
            from: cell("from"),
            to: cell("to"),
            protocol: cell("protocol").to_lowercase(),
            operation: cell("operation"),
            passes,
            tester: cell("tester"),
            time,
            note: cell("note"),
        })
    }

    /// The conversation is one that was to be tried.
    fn is(&self, flow: &FlowView, names: &BTreeMap<&str, &str>) -> bool {
        let end = |end: &FlowEndView, word: &str| {
            let name = end.asset.as_deref().and_then(|id| names.get(id)).copied();
            let known = [end.ip.as_deref(), end.mac.as_deref(), end.asset.as_deref(), end.zone.as_deref(), name];
            known.into_iter().flatten().any(|known| known.eq_ignore_ascii_case(word))
        };
        let port = flow.server.port.map(|port| format!("{}/{port}", flow.transport));
        let spoken = [flow.protocol, flow.service, Some(flow.transport.as_str()), port.as_deref()];
        let at = |text: &str| Timestamp::parse(text).unwrap_or_default();
        let when = |(from, until)| at(&flow.first_seen) <= until && from <= at(&flow.last_seen);
        end(&flow.client, &self.from)
            && end(&flow.server.end, &self.to)
            && (self.protocol.is_empty() || spoken.into_iter().flatten().any(|word| word == self.protocol))
            && self.time.is_none_or(when)
    }

    /// The operation is one that was to be tried.
    fn asks(&self, operation: &OperationView) -> bool {
        let known = [operation.class, &operation.code, &operation.name];
        known.into_iter().any(|word| word.eq_ignore_ascii_case(&self.operation))
    }
}

/// What came of a try.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Pass,
    Fail,
    NotSeen,
}

impl Came {
    fn cell(self) -> Cell {
        match self {
            Self::Pass => Cell::class("pass", "good"),
            Self::Fail => Cell::class("fail", "bad"),
            Self::NotSeen => Cell::class("not seen", "medium"),
        }
    }
}

pub(super) fn record(page: &mut Page, report: &Report<'_>) {
    let Some(plan) = report.plan else {
        return page.say("No test was planned (--test-plan).");
    };
    let names: BTreeMap<&str, &str> =
        report.view.assets.iter().map(|asset| (asset.id.as_str(), asset.name.as_str())).collect();
    let mut counts = [0; 3];
    let mut rows = Vec::new();
    for row in &plan.rows {
        let flows: Vec<&FlowView> = report.view.flows.iter().filter(|flow| row.is(flow, &names)).collect();
        let (result, seen) = judged(report, row, &flows);
        for (count, of) in counts.iter_mut().zip([Came::Pass, Came::Fail, Came::NotSeen]) {
            *count += usize::from(of == result);
        }
        let time = |at: Timestamp| seconds(&at.to_string());
        rows.push([
            row.id.as_str().into(),
            row.from.as_str().into(),
            row.to.as_str().into(),
            row.protocol.as_str().into(),
            row.operation.as_str().into(),
            if row.passes { "passes" } else { "blocked" }.into(),
            seen.into(),
            seen_at(report, &flows).into(),
            result.cell(),
            row.tester.as_str().into(),
            row.time.map_or(String::new(), |(from, until)| format!("{} to {}", time(from), time(until))).into(),
            row.note.as_str().into(),
        ]);
    }
    let [pass, fail, not_seen] = counts;
    page.say(&format!("{} tries: {pass} as expected, {fail} not, {not_seen} not seen at any tap.", plan.rows.len()));
    let heads = [
        "test",
        "from",
        "to",
        "protocol",
        "operation",
        "expected",
        "what was seen",
        "at which tap",
        "result",
        "tester",
        "time",
        "note",
    ];
    page.table(Table::new("tests", heads, rows));
    page.say(
        "Not seen: it was stopped before the first tap, no tap is where it passed, or it was not tried. It says nothing of the \
         boundary.",
    );
}

/// The taps that saw some conversations.
fn seen_at(report: &Report<'_>, flows: &[&FlowView]) -> String {
    let Some(sights) = report.sights else {
        return if flows.is_empty() { String::new() } else { "not told by a saved analysis or a sensor".to_owned() };
    };
    let taps = flows.iter().filter_map(|flow| sights.get(&flow.id)).flat_map(|sight| &sight.seen_at);
    let taps: BTreeSet<&str> = taps.map(String::as_str).collect();
    taps.into_iter().collect::<Vec<_>>().join(", ")
}

/// Whether it is as expected, and what was seen.
fn judged(report: &Report<'_>, row: &Row, flows: &[&FlowView]) -> (Came, String) {
    if flows.is_empty() {
        return (Came::NotSeen, String::new());
    }
    let came_back = |flow: &&&FlowView| {
        let sight = report.sights.and_then(|sights| sights.get(&flow.id));
        let blocked = sight.map_or(flow.verdict == Some("attempt"), |sight| sight.blocked);
        flow.frames_to_client > 0 && !blocked
    };
    let sum = |part: fn(&FlowView) -> u64| flows.iter().map(|flow| part(flow)).sum::<u64>();
    let answered = if row.operation.is_empty() {
        flows.iter().any(|flow| came_back(&flow))
    } else {
        let operations = || flows.iter().flat_map(|flow| &flow.operations).filter(|operation| row.asks(operation));
        let [asked, answered, refused] = operations().fold([0, 0, 0], |[asked, answered, refused], operation| {
            [asked + operation.requests, answered + operation.answered, refused + operation.refused]
        });
        let passed = answered > 0;
        let said = format!("asked {asked}, answered {answered}, refused {refused}");
        if asked + answered + refused > 0 {
            return (if passed == row.passes { Came::Pass } else { Came::Fail }, said);
        }
        // A session that did not come about carries no operation.
        if flows.iter().any(|flow| came_back(&flow)) {
            return (Came::NotSeen, "a conversation without this operation".to_owned());
        }
        false
    };
    let said = format!(
        "{} connections, {} frames there, {} back{}",
        sum(|flow| flow.connections),
        sum(|flow| flow.frames_to_server),
        sum(|flow| flow.frames_to_client),
        if answered { "" } else { ": not answered" }
    );
    (if answered == row.passes { Came::Pass } else { Came::Fail }, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_is_wrong_with_it() {
        for (case, text, want) in [
            ("commas", "from,to,expected\na,b,blocked\n", Ok(1)),
            (
                "semicolons, other order, a mark of a byte order",
                "\u{feff}Expected;To;From;Note\npasses;b;a;\n;;;\n",
                Ok(1),
            ),
            ("a time", "from,to,expected,time\na,b,blocked,2026-11-16 10:15\n", Ok(1)),
            (
                "no expectation",
                "from,to\na,b\n",
                Err("the column \"expected\" is missing; the first line names the columns"),
            ),
            ("a word", "from,to,expected\na,b,maybe\n", Err("row 2: expected is \"maybe\", not passes or blocked")),
            ("an end", "from,to,expected\na,,blocked\n", Err("row 2: \"to\" is empty")),
            (
                "a column",
                "from,to,expected,port\na,b,blocked,7\n",
                Err(
                    "there is no column \"port\": from, to, expected, id, protocol, operation, tester, time, until, note",
                ),
            ),
            (
                "no time",
                "from,to,expected,time\na,b,blocked,noon\n",
                Err("row 2: time is \"noon\", not a time such as 2026-11-16 10:15 (UTC)"),
            ),
        ] {
            let plan = Plan::read(text).map(|plan| plan.rows.len());
            assert_eq!(plan, want.map_err(str::to_owned), "{case}");
        }
    }
}
