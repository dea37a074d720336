//! The commands that ask a store, and the report: what a capture shows is put into a store, and asked for again.

#![cfg(all(feature = "live", feature = "sensor"))]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use support::root;
use zonewatch::analysis::{self, Options};
use zonewatch::output::view::AnalysisView;
use zonewatch::policy::life::{Acknowledgement, Ledger, Occurrence, Pace};
use zonewatch::policy::{Band, Policy};
use zonewatch::source::set::Captures;
use zonewatch::store::{Flush, Happened, Kept, Store};
use zonewatch::time::Timestamp;

fn plant() -> (PathBuf, PathBuf) {
    let folder = root().join("fixtures/plant");
    (folder.join("capture.pcap"), folder.join("plant.toml"))
}

/// When the capture of the plant begins and ends.
fn span() -> (Timestamp, Timestamp) {
    let (capture, _) = plant();
    let summary = Captures::open(&[capture]).0;
    let mut summary = summary;
    let mut batch = zonewatch::source::Batch::default();
    while summary.fill(&mut batch) {}
    let summary = summary.summaries().remove(0);
    (summary.first.unwrap(), summary.last.unwrap())
}

/// A store with what the capture of the plant shows. Its first finding is acknowledged, which an event says.
fn filled(path: &Path) {
    let (capture, policy) = plant();
    let policy = Policy::load(&[policy]).unwrap();
    let options = Options { policy: Some(Arc::new(policy)), ..Options::default() };
    let mut captures = Captures::open(&[capture]).0;
    let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &options);
    let captures = captures.summaries();
    let told = analysis.tell(&captures);
    let mut life = Ledger::new(Pace::default(), "");
    let at = captures[0].last.unwrap();
    let mut events = Vec::new();
    for (place, finding) in told.findings().iter().enumerate() {
        let first = Timestamp::parse(&finding.time.first).unwrap();
        let (id, campaign) = (finding.id.as_str(), None);
        life.occurred(&Occurrence { id, at: first, count: 1, band: Band::Low, class: "", object: "", campaign });
        let mut tell = |kind, at, state: &str| {
            let sequence = events.len() as u64 + 1;
            let record = format!("{{\"finding\":{{\"state\":\"{state}\"}}}}");
            events.push(Happened { sequence, at, kind, subject: id.to_owned(), record });
        };
        tell("finding-opened", first, "open");
        if place == 0 {
            let note = "planned".into();
            life.acknowledge(id, Acknowledgement { who: "shift lead".into(), at, note, until: None });
            tell("finding-acknowledged", at, "acknowledged");
        }
    }
    let kept = |life: &zonewatch::policy::life::Record| {
        let finding = told.findings().iter().find(|finding| *finding.id == *life.id).unwrap();
        Kept { life: life.clone(), score: finding.severity.score, record: serde_json::to_string(finding).unwrap() }
    };
    let kept: Vec<_> = life.iter().map(kept).collect();
    let observed = &analysis.observed;
    let (mut store, _) = Store::open(path).unwrap();
    store
        .write(&Flush {
            captures: &(0..).zip(&captures).collect::<Vec<_>>(),
            facts: &observed.ledger.iter().collect::<Vec<_>>(),
            flows: &observed.flows.iter().collect::<Vec<_>>(),
            policy: analysis.policy.as_deref(),
            at,
            watch: &observed.watch,
            findings: &kept.iter().collect::<Vec<_>>(),
            events: &events,
            coverage: &observed.coverage,
            unconcluded: 0,
        })
        .unwrap();
}

/// What a command prints, what it says on stderr, and its exit code.
fn zonewatch(words: &[&str]) -> (String, String, i32) {
    let output = support::zonewatch().args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn json(words: &[&str]) -> Value {
    let (out, err, code) = zonewatch(words);
    assert_eq!(code, 0, "{words:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

fn ids(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn a_store_tells_what_the_capture_tells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("z.db");
    filled(&path);
    let (store, (capture, policy)) = (path.to_str().unwrap(), plant());
    let words =
        ["analyze", "--format", "json", "--quiet", "--policy", policy.to_str().unwrap(), capture.to_str().unwrap()];
    let mut file = json(&words);
    let kept = file["findings"].as_array().unwrap()[0]["id"].clone();
    file["findings"][0]["state"] = "acknowledged".into();
    for list in ["assets", "flows", "findings"] {
        let told = json(&[list, "--store", store, "--format", "json"]);
        let (of_file, of_store) = (file[list].as_array().unwrap(), told[list].as_array().unwrap());
        assert_eq!(ids(&file[list]), ids(&told[list]), "{list}");
        for (one, other) in of_file.iter().zip(of_store) {
            let mut other = other.clone();
            if other["id"] == kept {
                assert_eq!(other["acknowledged"]["by"], "shift lead");
                other["acknowledged"] = Value::Null;
            }
            assert_eq!(*one, other, "{list}");
        }
        let rows = zonewatch(&[list, "--store", store, "--format", "ndjson"]).0.lines().count();
        assert_eq!(rows, of_file.len(), "{list}");
        let sheet = zonewatch(&[list, "--store", store, "--format", "csv"]).0;
        assert_eq!(csv::Reader::from_reader(sheet.as_bytes()).records().count(), of_file.len(), "{list}");
        assert!(
            zonewatch(&[list, "--store", store, "--format", "table"]).0.contains(&of_file.len().to_string()),
            "{list}"
        );
    }
    let id = kept.as_str().unwrap();
    assert!(zonewatch(&["explain", id, "--store", store]).0.contains("Frames:"));
}

#[test]
fn lists_are_filtered_by_the_words_of_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("z.db");
    filled(&path);
    let store = path.to_str().unwrap();
    for (list, filters, holds) in [
        ("assets", &["zone=cell-b"][..], "/zone=cell-b"),
        ("assets", &["zone=cell-b", "role=plc"], "/role/value=plc"),
        ("assets", &["q=BOILER"], ""),
        ("flows", &["verdict=violation"], "/verdict=violation"),
        ("findings", &["state=acknowledged"], "/state=acknowledged"),
        ("findings", &["severity=critical"], "/severity/band=critical"),
        ("findings", &["reason=ZC001"], "/reason/code=ZC001"),
    ] {
        let words: Vec<&str> = [list, "--store", store, "--format", "json"].iter().chain(filters).copied().collect();
        let told = json(&words);
        let items = told[list].as_array().unwrap();
        let all = json(&[list, "--store", store, "--format", "json"]);
        assert!(!items.is_empty() && items.len() < all[list].as_array().unwrap().len(), "{filters:?}");
        if let Some((pointer, want)) = holds.split_once('=') {
            assert!(items.iter().all(|item| item.pointer(pointer).unwrap() == want), "{filters:?}");
        }
    }
}

#[test]
fn what_cannot_be_asked_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("z.db");
    filled(&path);
    let store = path.to_str().unwrap();
    let damaged = folder.path().join("damaged.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[4096..middle].fill(0x5a);
    std::fs::write(&damaged, bytes).unwrap();
    for (words, want) in [
        (&["assets", "--store", store, "zone"][..], "is no WORD=VALUE"),
        (&["assets", "--store", store, "verdict=allow"], "assets are asked for by zone, role, protocol, q"),
        (&["findings", "--store", store, "severity=awful"], "severity is one of"),
        (&["findings", "--store", store, "state=shut"], "state is one of open, acknowledged"),
        (&["flows", "--store", "/nowhere/z.db"], "No such file"),
        (&["flows", "--store", damaged.to_str().unwrap()], "it is damaged"),
        (&["flows", "--store", store, "--at", "some day"], "is no time"),
        (&["flows", "--url", "http://127.0.0.1:1"], "no answer from http://127.0.0.1:1"),
        (&["flows", "--url", "ftp://127.0.0.1"], "write it like http://"),
        (&["diff", "2026-11-17", "2026-11-16", "--store", store], "B is before A"),
        (&["report", "--store", store, "--out", "/nowhere/report.html"], "cannot write"),
    ] {
        let (out, err, code) = zonewatch(words);
        assert_eq!((out.as_str(), code), ("", 2), "{words:?}");
        assert!(err.contains(want), "{words:?}: {err}");
    }
}

#[test]
fn a_store_knows_what_was_known_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("z.db");
    filled(&path);
    let store = path.to_str().unwrap();
    let (first, last) = span();
    let middle = first.after(last.since(first) / 2);
    let count = |list: &str, at: Timestamp| {
        json(&[list, "--store", store, "--format", "json", "--at", &at.to_string()])[list].as_array().unwrap().len()
    };
    for list in ["assets", "flows", "findings"] {
        let all = json(&[list, "--store", store, "--format", "json"])[list].as_array().unwrap().len();
        let counts = [first.before(std::time::Duration::from_secs(1)), middle, last].map(|at| count(list, at));
        assert_eq!((counts[0], counts[2]), (0, all), "{list}");
        assert!(0 < counts[1] && counts[1] <= all, "{list}: {counts:?}");
    }
    assert!(count("flows", middle) < count("flows", last), "conversations come");
    let states = |at: Timestamp| {
        let told = json(&["findings", "--store", store, "--format", "json", "--at", &at.to_string()]);
        told["findings"].as_array().unwrap().iter().filter(|finding| finding["state"] == "acknowledged").count()
    };
    let before = last.before(std::time::Duration::from_nanos(1));
    assert_eq!((states(before), states(last)), (0, 1), "nobody had seen it yet");

    let (a, b) = (middle.to_string(), last.to_string());
    let diff = json(&["diff", &a, &b, "--store", store, "--format", "json"]);
    let came = diff["flows"]["came"].as_array().unwrap().len();
    assert_eq!(came, count("flows", last) - count("flows", middle));
    assert!(!diff["flows"]["went"].as_array().unwrap().is_empty(), "some had ended");
    let same = json(&["diff", store, store, "--format", "json"]);
    for list in ["assets", "flows", "findings"] {
        assert_eq!(same[list].to_string(), r#"{"came":[],"changed":[],"went":[]}"#, "{list}");
    }
    let text = zonewatch(&["diff", &a, &b, "--store", store, "--format", "table"]).0;
    assert!(text.contains(&format!("Flows: {came} came")), "{text}");
}

#[test]
fn a_saved_analysis_is_read_back_whole() {
    for case in ["plant", "host/dhcp", "real/opcua-sign-and-encrypt", "policy/reasons"] {
        let folder = root().join("fixtures").join(case);
        let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let view = AnalysisView::read(text.clone()).unwrap_or_else(|why| panic!("{case}: {why}"));
        let (before, after): (Value, Value) =
            (serde_json::from_str(&text).unwrap(), serde_json::to_value(&view).unwrap());
        assert_eq!(before, after, "{case}");
    }
    for (text, want) in [
        ("hello", "it is no analysis"),
        ("{}", "it has no schema"),
        (r#"{"schema":"zonewatch/9"}"#, "its schema is \"zonewatch/9\""),
        (r#"{"schema":"zonewatch/1"}"#, "of another version"),
    ] {
        let why = AnalysisView::read(text.to_owned()).unwrap_err();
        assert!(why.contains(want), "{text}: {why}");
    }
}

#[test]
fn the_report_is_one_file_without_markup_from_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, policy) = plant();
    let words = ["report", "--policy", policy.to_str().unwrap(), capture.to_str().unwrap()];
    let (report, _, code) = zonewatch(&words);
    assert_eq!(code, 0);
    assert_eq!(report, zonewatch(&words).0, "the same bytes again");
    for part in [
        "Scope and coverage",
        "Who asks whom",
        "Crossings without a conduit",
        "Evidence by requirement",
        "C-031",
        "V-",
        // What only the declaration tells: who owns a zone, when the review is due, what a tap sees.
        "OT security",
        "2027-04-01",
        "Zones that a tap sees: 9 of 9.",
        "X-001",
        "Trends need a store",
        "No test was planned",
        "at a glance",
        "<svg class=\"map\"",
        "not assessed: no such zone is declared",
    ] {
        assert!(report.contains(part), "{part}");
    }
    for outside in ["src=", "href=\"http", "<script", "url("] {
        assert!(!report.contains(outside), "{outside}");
    }
    // Tags that open and do not close, or the other way round, would swallow what follows.
    for tag in ["table", "tr", "td", "ul", "li", "details", "p", "span", "small", "svg", "path", "text"] {
        let count = |text: &str| report.matches(text).count();
        assert_eq!(count(&format!("<{tag}>")) + count(&format!("<{tag} ")), count(&format!("</{tag}>")), "{tag}");
    }
    let hostile = "<script>alert(1)</script>";
    let expected = std::fs::read_to_string(root().join("fixtures/plant/expected.json")).unwrap();
    let saved = folder.path().join("analysis.json");
    std::fs::write(&saved, expected.replace("Boiler controller", hostile).replace("mill-creek", hostile)).unwrap();
    let (report, _, _) = zonewatch(&["report", saved.to_str().unwrap()]);
    assert!(!report.contains("<script") && report.contains("&lt;script&gt;"));
}

#[test]
fn the_report_of_a_store_has_trends() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("z.db");
    filled(&store);
    let tables = folder.path().join("tables");
    let (store, out) = (store.to_str().unwrap(), tables.to_str().unwrap());
    let (report, _, code) = zonewatch(&["report", "--store", store, "--tables", out]);
    assert_eq!(code, 0);
    assert_eq!(report, zonewatch(&["report", "--store", store]).0, "the same bytes again");
    assert!(report.contains("<svg class=\"spark\"") && report.contains("mean age of open findings"));
    let trends = sheet(&tables, "trends");
    let of = |measure: &str| -> Vec<(u64, u64)> {
        let rows = trends.iter().filter(|row| row["measure"] == measure);
        rows.map(|row| (row["part"].as_u64().unwrap(), row["whole"].as_u64().unwrap())).collect()
    };
    // The capture is of five minutes, so the periods are minutes.
    let crossings = of("undeclared crossings per 1,000 crossings");
    assert_eq!(crossings.len(), 5);
    assert!(crossings[2].0 > 0 && crossings.iter().all(|(part, whole)| part <= whole), "{crossings:?}");
    assert_eq!(of("devices that nobody approved").last().unwrap().1, 21);
    assert_eq!(of("minutes in which nothing was heard").iter().map(|(part, _)| part).sum::<u64>(), 0);
    let open: Vec<u64> = of("mean age of open findings").into_iter().map(|(_, open)| open).collect();
    assert!(open.first() < open.last() && open.is_sorted(), "{open:?}");
    // As of a time before the end there are fewer periods.
    let (first, _) = span();
    let at = first.after(std::time::Duration::from_secs(90)).to_string();
    zonewatch(&["report", "--store", store, "--tables", out, "--at", &at]);
    assert_eq!(sheet(&tables, "trends").iter().filter(|row| row["measure"] == "conduits seen and clean").count(), 2);
}

/// The rows of a table of a report.
fn sheet(folder: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(name).with_extension("json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_test_record_says_what_was_seen_of_each_try() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, policy) = plant();
    let plan = folder.path().join("plan.csv");
    let rows = [
        ("answered, and should", "supervision;cell-b;modbus;read;passes;", "pass"),
        ("answered, and should not", "10.10.0.77;cell-b;modbus;write;blocked;", "fail"),
        ("any conversation, and should not", "10.10.0.77;cell-b;tcp;;blocked;", "fail"),
        ("another time", "supervision;cell-b;modbus;read;passes;2026-11-15 10:15", "not seen"),
        ("its time", "supervision;cell-b;modbus;read;passes;2026-11-16 10:00", "pass"),
        ("not tried", "cell-a;cell-b;;;blocked;", "not seen"),
        ("not asked", "supervision;cell-b;modbus;firmware;passes;", "not seen"),
        ("a scan that nobody answered", "10.10.0.99;10.20.2.9;tcp;;blocked;", "pass"),
    ];
    let lines: Vec<String> = rows.iter().map(|(case, row, _)| format!("{case};{row}")).collect();
    std::fs::write(&plan, format!("id;from;to;protocol;operation;expected;time\r\n{}\r\n", lines.join("\r\n")))
        .unwrap();
    let tables = folder.path().join("tables");
    let words = ["report", capture.to_str().unwrap(), "--policy", policy.to_str().unwrap(), "--test-plan"];
    let (report, error, code) =
        zonewatch(&[&words[..], &[plan.to_str().unwrap(), "--tables", tables.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{error}");
    assert!(report.contains("8 tries: 3 as expected, 2 not, 3 not seen at any tap."));
    let record = sheet(&tables, "tests");
    for ((case, _, want), row) in rows.iter().zip(&record) {
        assert_eq!((row["test"].as_str(), row["result"].as_str()), (Some(*case), Some(*want)), "{row}");
        // Where it was seen is told exactly when it was.
        assert_eq!(row["at_which_tap"].is_null(), row["what_was_seen"].is_null(), "{row}");
    }
    std::fs::write(&plan, "from,to,expected\na,b,perhaps\n").unwrap();
    let (_, error, code) = zonewatch(&[&words[..], &[plan.to_str().unwrap()]].concat());
    assert_eq!(code, 2);
    assert!(error.contains("plan.csv: row 2: expected is \"perhaps\", not passes or blocked"), "{error}");
}
