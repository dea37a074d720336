//! What is written is read back, whatever happens to the file.

use std::sync::Arc;

use rusqlite::Connection;

use super::open::SCHEMA;
use super::*;
use crate::analysis::{self, Options};
use crate::pipeline::Observed;
use crate::policy::life::{Acknowledgement, Ledger, Occurrence, Pace, Record, State};
use crate::policy::{Band, Policy};
use crate::source::set::Captures;

const CAPTURE: &[u8] = include_bytes!("../../fixtures/plant/capture.pcap");
const POLICY: &str = include_str!("../../fixtures/plant/plant.toml");

fn plant() -> (analysis::Analysis, Vec<CaptureSummary>, Options) {
    let policy = Policy::parse("plant.toml", POLICY).unwrap();
    let options = Options { policy: Some(Arc::new(policy)), ..Options::default() };
    let mut captures = Captures::stream("eth1", Box::new(CAPTURE)).unwrap();
    let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &options);
    (analysis, captures.summaries(), options)
}

fn write(store: &mut Store, analysis: &analysis::Analysis, captures: &[CaptureSummary]) -> Result<(), StoreError> {
    let observed = &analysis.observed;
    store.write(&Flush {
        captures: &(0..).zip(captures).collect::<Vec<_>>(),
        facts: &observed.ledger.iter().collect::<Vec<_>>(),
        flows: &observed.flows.iter().collect::<Vec<_>>(),
        policy: analysis.policy.as_deref(),
        at: captures[0].last.unwrap(),
        watch: &observed.watch,
        findings: &kept(analysis, captures).iter().collect::<Vec<_>>(),
        events: &[Happened {
            sequence: 7,
            at: captures[0].last.unwrap(),
            kind: "finding-opened",
            subject: "V-1".to_owned(),
            record: "{}".to_owned(),
        }],
        coverage: &observed.coverage,
        unconcluded: 0,
    })
}

/// Each finding, acknowledged by somebody.
fn kept(analysis: &analysis::Analysis, captures: &[CaptureSummary]) -> Vec<Kept> {
    let mut life = Ledger::new(Pace::default(), "hash");
    let at = captures[0].last.unwrap();
    let told = analysis.tell(captures);
    for finding in told.findings() {
        let band = Band::ALL.into_iter().find(|band| band.text() == finding.severity.band).unwrap();
        let (id, object) = (finding.id.as_str(), "holding 1");
        let campaign = None;
        life.occurred(&Occurrence { id, at, count: finding.count, band, class: "write", object, campaign });
        let by = Acknowledgement { who: "shift lead".into(), at, note: "planned".into(), until: Some(at) };
        life.acknowledge(id, by);
    }
    let of = |record: &Record| {
        let finding = told.findings().iter().find(|finding| *finding.id == *record.id).unwrap();
        Kept { life: record.clone(), score: finding.severity.score, record: format!("{{\"id\":\"{}\"}}", record.id) }
    };
    life.iter().map(of).collect()
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zonewatch.db");
    let (analysis, captures, options) = plant();
    let (mut store, said) = Store::open(&path).unwrap();
    assert_eq!(said, None);
    for _ in 0..2 {
        write(&mut store, &analysis, &captures).unwrap();
    }
    drop(store);

    let restored = Store::look(&path).unwrap().read(options.policy.as_deref()).unwrap();
    assert_eq!(restored.skipped, 0);
    assert_eq!(restored.findings, kept(&analysis, &captures));
    assert!(restored.findings.len() > 3, "there is something to see");
    assert_eq!((restored.last_event, restored.policy), (7, Some(analysis.policy.as_ref().unwrap().sha256.clone())));
    let policy = Store::look(&path).unwrap().policy().unwrap().unwrap();
    assert_eq!(policy.sha256, analysis.policy.as_ref().unwrap().sha256, "the store has the policy itself");
    let mut flows = restored.flows;
    flows.sort_by_key(|flow| flow.key);
    let mut ledger = crate::ledger::Ledger::default();
    ledger.merge(restored.ledger);
    let (coverage, watch) = (restored.coverage, restored.watch);
    let observed = Observed { flows, ledger, coverage, watch, ..Observed::default() };
    let again = analysis::conclude(observed, &options);
    let text = |analysis: &analysis::Analysis| {
        let view = serde_json::to_value(analysis.view(&captures, &[])).unwrap();
        serde_json::to_string_pretty(&view).unwrap()
    };
    let (before, after) = (text(&analysis), text(&again));
    assert_eq!(before.lines().zip(after.lines()).find(|(a, b)| a != b), None);
}

#[test]
fn a_store_that_cannot_be_used_is_told_and_one_that_is_damaged_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zonewatch.db");
    std::fs::write(&path, "this is no database, and it is longer than its header would be ".repeat(20)).unwrap();
    let (store, said) = Store::open(&path).unwrap();
    assert!(said.unwrap().contains("set aside as"), "the operator is told");
    assert!(path.with_extension("damaged").exists());
    store.db.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(store);
    assert!(Store::open(&path).err().unwrap().to_string().contains("newer zonewatch"));
    let missing = folder.path().join("nowhere/zonewatch.db");
    assert!(Store::open(&missing).err().unwrap().passing, "the folder may come");
}

#[test]
fn captures_can_be_numbered_on() {
    let folder = tempfile::tempdir().unwrap();
    let (analysis, captures, options) = plant();
    let (mut store, _) = Store::open(&folder.path().join("zonewatch.db")).unwrap();
    write(&mut store, &analysis, &captures).unwrap();
    let read = |store: &Store| store.read(options.policy.as_deref()).unwrap();
    let before = read(&store);
    store.renumber(3).unwrap();
    let after = read(&store);
    let names = |restored: &Restored| -> Vec<String> { restored.captures.iter().map(|it| it.name.clone()).collect() };
    assert_eq!(names(&after), [vec![String::new(); 3], names(&before)].concat());
    let of = |restored: &Restored| {
        let flows = restored.flows.iter().flat_map(|flow| {
            let paths = flow.client.ways().chain(flow.server.ways()).flat_map(|used| [used.first, used.last]);
            let operations = flow.book.operations().iter().flat_map(|it| [it.tally.first, it.tally.last]);
            let judged = flow.judged.iter().flat_map(|it| it.samples().iter().copied().chain([it.tally.first]));
            let anomalies = flow.book.anomalies().iter().map(|(.., at)| *at);
            let all = paths.chain(operations).chain(judged).chain(anomalies).chain([flow.first(), flow.last()]);
            all.collect::<Vec<_>>()
        });
        let facts = restored.ledger.iter().flat_map(|(_, facts)| facts.iter().map(|(_, support)| support.last));
        flows.chain(facts).map(|at| (at.at, at.capture(), at.frame())).collect::<Vec<_>>()
    };
    let on: Vec<_> = of(&before).into_iter().map(|(at, capture, frame)| (at, capture + 3, frame)).collect();
    assert_eq!(of(&after), on);
    assert!(on.len() > 1000, "there is something to see");
}

#[test]
fn a_finding_that_nothing_raises_any_more_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (analysis, captures, options) = plant();
    let (mut store, _) = Store::open(&folder.path().join("zonewatch.db")).unwrap();
    write(&mut store, &analysis, &captures).unwrap();
    let mut gone = kept(&analysis, &captures).remove(0);
    let record = std::mem::take(&mut gone.record);
    (gone.life.state, gone.score) = (State::Resolved, 0);
    gone.life.first = captures[0].last.unwrap().after(std::time::Duration::from_secs(60));
    let (at, coverage) = (captures[0].last.unwrap(), Coverage::default());
    let (captures, facts, flows, findings) = (&[][..], &[][..], &[][..], &[&gone][..]);
    let flush = Flush {
        captures,
        facts,
        flows,
        policy: options.policy.as_deref(),
        at,
        watch: &Watch::default(),
        findings,
        events: &[],
        coverage: &coverage,
        unconcluded: 0,
    };
    store.write(&flush).unwrap();
    let read = store.read(options.policy.as_deref()).unwrap().findings.remove(0);
    assert_eq!((read.life.state, read.record), (State::Resolved, record));
    assert!(read.score > 0 && read.life.first == at, "what was there before is not forgotten");
}

#[test]
fn what_there_was_no_time_for_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (analysis, captures, options) = plant();
    let path = folder.path().join("zonewatch.db");
    let (mut store, _) = Store::open(&path).unwrap();
    let observed = &analysis.observed;
    let flows: Vec<_> = observed.flows.iter().collect();
    let flush = Flush {
        captures: &(0..).zip(&captures).collect::<Vec<_>>(),
        facts: &observed.ledger.iter().collect::<Vec<_>>(),
        flows: &flows,
        policy: options.policy.as_deref(),
        at: captures[0].last.unwrap(),
        watch: &observed.watch,
        findings: &[],
        events: &[],
        coverage: &observed.coverage,
        unconcluded: 9,
    };
    let read = |store: &Store| {
        let restored = store.read(options.policy.as_deref()).unwrap();
        assert_eq!((restored.coverage.frames, restored.skipped), (observed.coverage.frames, 0));
        (restored.flows.len(), restored.cut)
    };
    assert_eq!(store.write_while(&flush, &|| false).unwrap(), 0);
    assert_eq!(read(&store), (0, Cut { unconcluded: 9, unwritten: flows.len() as u64 }));
    assert_eq!(store.write_while(&flush, &|| true).unwrap(), flows.len());
    assert_eq!(read(&store), (flows.len(), Cut { unconcluded: 9, unwritten: 0 }));
    store.write(&Flush { unconcluded: 0, ..flush }).unwrap();
    assert_eq!(read(&store), (flows.len(), Cut::default()));
    // Closed in peace it is one file.
    store.close();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["zonewatch.db"]);
}

/// The tables of version 1.
fn first_version(db: &Connection) {
    let schema = SCHEMA.replace(", lost INTEGER NOT NULL DEFAULT 0", "");
    let later =
        |line: &&str| !["policy", "watch"].iter().any(|table| line.starts_with(&format!("CREATE TABLE {table}")));
    let schema: Vec<_> = schema.lines().filter(later).collect();
    db.execute_batch(&format!("{} PRAGMA user_version = 1;", schema.join("\n"))).unwrap();
}

#[test]
fn stores_of_other_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zonewatch.db");
    first_version(&Connection::open(&path).unwrap());
    let error = Store::look(&path).err().unwrap().to_string();
    assert!(error.contains("older zonewatch") && error.contains("hint"), "{error}");
    let (analysis, captures, _) = plant();
    let (mut store, said) = Store::open(&path).unwrap();
    assert_eq!(said, None);
    write(&mut store, &analysis, &captures).unwrap();
    let upgraded = Store::look(&path).unwrap();
    let (new, _) = Store::open(&folder.path().join("new.db")).unwrap();
    let columns = |store: &Store, table: &str| -> Vec<String> {
        let mut rows = store.db.prepare(&format!("PRAGMA table_info({table})")).unwrap();
        rows.query_map([], |row| row.get(1)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    for table in ["capture", "policy", "watch", "fact", "flow", "finding", "coverage", "event"] {
        assert_eq!(columns(&upgraded, table), columns(&new, table), "{table}");
        assert!(!columns(&new, table).is_empty(), "{table}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    make("empty.db", "");
    make("text.db", &"this is no database, and it is longer than its header would be ".repeat(20));
    let newer = Connection::open(folder.path().join("newer.db")).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    for (name, want) in [
        ("missing.db", "No such file"),
        ("empty.db", "no store of zonewatch"),
        ("text.db", "it is damaged"),
        ("newer.db", "newer zonewatch (tables 99"),
    ] {
        let error = Store::look(&folder.path().join(name)).err().unwrap().to_string();
        assert!(error.contains(want) && error.contains(name), "{name}: {error}");
    }
    assert!(!folder.path().join("missing.db").exists(), "looking makes no file");
}

#[test]
fn what_is_old_or_too_much_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (analysis, captures, options) = plant();
    let (mut store, _) = Store::open(&folder.path().join("zonewatch.db")).unwrap();
    write(&mut store, &analysis, &captures).unwrap();
    let count = |store: &Store| store.read(options.policy.as_deref()).unwrap().flows.len();
    let all = count(&store);
    let last = captures[0].last.unwrap();
    store.forget(captures[0].first.unwrap(), u64::MAX).unwrap();
    assert_eq!(count(&store), all, "nothing is that old");
    let before = last.before(std::time::Duration::from_secs(10));
    assert!(store.forget(before, u64::MAX).unwrap() > 0);
    let left = count(&store);
    assert!(0 < left && left < all, "{left} of {all}");
    store.forget(Timestamp::MIN, 4096).unwrap();
    assert_eq!(count(&store), 0, "more than fits");
}

#[test]
fn a_full_disk_loses_nothing_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (analysis, captures, options) = plant();
    let (mut store, _) = Store::open(&folder.path().join("zonewatch.db")).unwrap();
    store.db.execute_batch("PRAGMA max_page_count = 20").unwrap();
    let error = write(&mut store, &analysis, &captures).err().unwrap();
    assert!(error.passing, "{error}");
    assert_eq!(store.read(options.policy.as_deref()).unwrap().flows.len(), 0, "all or nothing");
    store.db.execute_batch("PRAGMA max_page_count = 100000").unwrap();
    write(&mut store, &analysis, &captures).unwrap();
}
