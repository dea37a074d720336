//! Findings about the declaration itself, and the states of the conduit review: what a policy, some use of it and the
//! time of the last packet come to.

use std::collections::BTreeMap;
use std::time::Duration;

use dissectors::Class;
use zonewatch::address::{Host, Realm};
use zonewatch::flow::key::{Initiator, Transport};
use zonewatch::flow::watch::{Runs, Session, Watch};
use zonewatch::ledger::Evidence;
use zonewatch::policy::decisions::{Decisions, draft};
use zonewatch::policy::declaration::declarations;
use zonewatch::policy::review::{Use, Watched, review};
use zonewatch::policy::suggest::{Act, Talk};
use zonewatch::policy::{Policy, Qualifiers, Reason, Verdict};
use zonewatch::time::Timestamp;

/// Two zones, and what each case adds.
fn policy(more: &str) -> Policy {
    let text = format!(
        "[site]\nid = \"p\"\ntimezone = \"UTC\"\n{}\n\
         [[zone]]\nid = \"a\"\nlevel = 2\nsl_t = 2\nmembers = [ {{ cidr = \"10.1.0.0/24\" }} ]\n\
         [[zone]]\nid = \"b\"\nlevel = 1\nsl_t = {{ all = 2, RDF = 3 }}\nmembers = [ {{ cidr = \"10.2.0.0/24\" }} ]\n",
        more
    );
    Policy::parse("p.toml", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(&format!("{text}T00:00:00Z")).unwrap()
}

/// `first last reason code first-object last-object`: a read, or what was objected to.
fn used(text: &str) -> Use {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [first, last, reason, code, from, to] = words[..] else { panic!("{text}") };
    let (first, last) = (time(first), time(last));
    let evidence = |at| Evidence::new(at, 0, 1);
    let reason = Reason::parse(reason);
    let act = Act {
        code: code.to_owned(),
        name: "read".to_owned(),
        class: Class::Read,
        unit: Some("1".to_owned()),
        ranges: vec![("holding".to_owned(), from.parse().unwrap(), to.parse().unwrap())],
        names: Vec::new(),
        partial: false,
        count: 5,
        first: evidence(first),
        last: evidence(last),
    };
    let talk = Talk {
        client: "10.1.0.1".parse().unwrap(),
        server: "10.2.0.1".parse().unwrap(),
        transport: Transport::Tcp,
        port: 502,
        protocol: Some("modbus"),
        refuted: None,
        initiator: Initiator::Seen,
        blocked: false,
        clear_password: false,
        protection: None,
        acts: vec![act],
        connections: 1,
        frames: 10,
        first: evidence(first),
        last: evidence(last),
    };
    let verdict = if reason.is_some() { Verdict::Violation } else { Verdict::Allow };
    let qualifiers = Qualifiers::default();
    Use { talk, verdict, reason, qualifiers, class: Class::Read, count: 5, first, last }
}

fn watched(span: &str, uses: &[&str]) -> Watched {
    let (first, last) = span.split_once(' ').unwrap();
    let uses: BTreeMap<u32, Vec<Use>> =
        if uses.is_empty() { BTreeMap::new() } else { [(0, uses.iter().map(|text| used(text)).collect())].into() };
    let mut watch = Watch::default();
    for used in uses.values().flatten().filter(|used| used.passed()) {
        run(watch.active.entry(0).or_default(), used.first, used.last);
    }
    run(&mut watch.heard, time(first), time(last));
    Watched { first: time(first), last: time(last), uses, watch, payload: 1000, lost: (0, 1000) }
}

fn run(runs: &mut Runs, first: Timestamp, last: Timestamp) {
    runs.note(first, Duration::ZERO);
    runs.note(last, Duration::MAX);
}

const CONDUIT: &str = "[[conduit]]\nid = \"C\"\nowner = \"x\"\nfrom = [\"a\"]\nto = [\"b\"]\n\
                       allow = [ { protocol = \"modbus\", functions = [3, 4], units = [1], objects = [ { table = \"holding\", from = 0, to = 9 } ] } ]\n";
const EXCEPTION: &str = "[[exception]]\nid = \"X\"\nrisk_owner = \"x\"\nfrom = [\"a\"]\nto = [\"b\"]\n\
                         valid_from = 2026-01-01\nvalid_until = 2026-03-31\nallow = [ { protocol = \"modbus\", functions = [3] } ]\n";

#[test]
fn findings() {
    let week = "2026-03-01 2026-03-08";
    let season = "2026-01-01 2026-06-01";
    for (case, more, span, uses, want) in [
        ("a short capture says nothing of idle conduits", CONDUIT.to_owned(), week, &[][..], ""),
        ("a long one does", CONDUIT.to_owned(), season, &[], "DC001 C"),
        ("as the conduit itself allows", format!("{CONDUIT}max_idle_days = 7\n"), week, &[], "DC001 C"),
        ("used, but long ago", CONDUIT.to_owned(), season, &["2026-01-02 2026-01-03 - 3 0 9"], "DC001 C, DC006 C"),
        ("in use, a function is not", CONDUIT.to_owned(), season, &["2026-01-02 2026-05-30 - 3 0 9"], "DC006 C"),
        ("all of it in use", CONDUIT.replace(", 4]", "]"), season, &["2026-01-02 2026-05-30 - 3 0 9"], ""),
        ("expired", format!("{CONDUIT}valid_until = 2026-02-01\n"), week, &[], "DC002 C"),
        ("an exception in good time", EXCEPTION.to_owned(), week, &["2026-03-01 2026-03-08 - 3 0 9"], ""),
        (
            "an exception that ends soon",
            EXCEPTION.to_owned(),
            "2026-03-01 2026-03-20",
            &["2026-03-01 2026-03-20 - 3 0 9"],
            "DC003 X",
        ),
        ("an exception that has ended", EXCEPTION.to_owned(), "2026-04-01 2026-04-02", &[], "DC002 X"),
        (
            "and is still used",
            EXCEPTION.to_owned(),
            "2026-04-01 2026-04-02",
            &["2026-04-01 2026-04-02 ZC007 3 0 9"],
            "DC004 X",
        ),
        (
            "continuous and silent at the end",
            format!("{CONDUIT}expect = \"continuous\"\nmax_silence = \"10m\"\n"),
            week,
            &["2026-03-01 2026-03-07 - 3 0 9"],
            "DC005 C",
        ),
        (
            "continuous and there",
            format!("{CONDUIT}expect = \"continuous\"\nmax_silence = \"10m\"\n"),
            week,
            &["2026-03-01 2026-03-08 - 3 0 9"],
            "",
        ),
        (
            "no tap sees either end: not observable, not unused",
            format!("{CONDUIT}[[zone]]\nid = \"c\"\nmembers = [ {{ cidr = \"10.3.0.0/24\" }} ]\n[[tap]]\nid = \"t\"\nsees = [\"c\"]\n"),
            season,
            &[],
            "DC007 C, DC007 a, DC007 b",
        ),
        (
            "one end is enough",
            format!("{CONDUIT}[[tap]]\nid = \"t\"\nsees = [\"a\"]\n"),
            season,
            &[],
            "DC001 C, DC007 b",
        ),
        (
            "an asset that was never seen",
            "[[asset]]\nid = \"plc\"\nip = [\"10.2.0.1\"]\n".to_owned(),
            season,
            &[],
            "DC008 plc",
        ),
        ("in a week nobody can say", "[[asset]]\nid = \"plc\"\nip = [\"10.2.0.1\"]\n".to_owned(), week, &[], ""),
        ("review overdue", "review_due = 2026-03-01\n".to_owned(), week, &[], "DC010 p"),
        ("review due today", "review_due = 2026-03-08\n".to_owned(), week, &[], ""),
        ("a conduit of less than its ends", format!("{CONDUIT}sl_c = 2\n"), week, &[], "DC011 C"),
        ("remote access without a broker", format!("{CONDUIT}remote_access = true\n"), week, &[], "DC014 C"),
        (
            "with one",
            format!("{}[[zone]]\nid = \"j\"\nkind = \"remote-access\"\nmembers = [ {{ cidr = \"10.9.0.0/24\" }} ]\n", format!("{CONDUIT}remote_access = true\n").replace("\"a\"", "\"j\"")),
            week,
            &[],
            "",
        ),
        (
            "a major incident behind security level 2",
            "[[zone]]\nid = \"s\"\nsl_t = 2\nconsequence = \"major-incident\"\nmembers = [ { cidr = \"10.3.0.0/24\" } ]\n".to_owned(),
            week,
            &[],
            "DC015 s",
        ),
    ] {
        let policy = policy(&more);
        let found = declarations(&policy, &watched(span, uses), &|_| None);
        let got: Vec<String> = found.iter().map(|found| format!("{} {}", found.kind.code(), found.subject)).collect();
        assert_eq!(got.join(", "), want, "{case}");
    }
}

/// What was watched in a day, in minutes: `busy 0-50`, `heard 0-100`, `lost 7`, `session host first-last pause`,
/// `losses` in bytes of 1000 that were captured.
fn watched_for(text: &str) -> Watched {
    let start = time("2026-03-02");
    let minute = |text: &str| start.after(Duration::from_secs(60 * text.parse::<u64>().unwrap()));
    let ends = |text: &str| {
        let (first, last) = text.split_once('-').unwrap();
        (minute(first), minute(last))
    };
    let host = |last: &str| Host { realm: Realm::default(), address: format!("10.1.0.{last}").parse().unwrap() };
    let mut watched = Watched { last: minute("1440"), ..watched("2026-03-02 2026-03-03", &[]) };
    watched.watch.heard = Runs::default();
    for item in text.split(", ").filter(|item| !item.is_empty()) {
        let words: Vec<&str> = item.split(' ').collect();
        match words[..] {
            ["busy", span] => run(watched.watch.active.entry(0).or_default(), ends(span).0, ends(span).1),
            ["heard", span] => run(&mut watched.watch.heard, ends(span).0, ends(span).1),
            ["lost", at] => watched.watch.loss(1, minute(at)),
            ["dropped", frames] => watched.lost.0 = frames.parse().unwrap(),
            ["losses", bytes] => watched.watch.lost_bytes = bytes.parse().unwrap(),
            ["session", client, span, pause] => {
                let (first, last) = ends(span);
                let pause = Duration::from_secs(60 * pause.parse::<u64>().unwrap());
                let (client, server) = (host(client), host("200"));
                let session = Session { rule: 0, first, last, client, server, port: 3389, idle: pause, pause };
                watched.watch.sessions.push(session);
                watched.watch.sessions.sort_unstable();
            }
            _ => panic!("{item}"),
        }
    }
    watched
}

#[test]
fn what_takes_time() {
    let continuous = "expect = \"continuous\"\nmax_silence = \"10m\"\n";
    let remote = "remote_access = true\nmax_session = \"4h\"\nmax_idle = \"30m\"\nmax_concurrent = 2\n";
    let broker = "[[zone]]\nid = \"j\"\nkind = \"remote-access\"\nmembers = [ { cidr = \"10.9.0.0/24\" } ]\n";
    let to_broker = |more: &str| format!("{CONDUIT}{more}{broker}").replace("to = [\"b\"]", "to = [\"j\"]");
    for (case, more, seen, want) in [
        (
            "silent for 11 minutes in the middle",
            continuous,
            "heard 0-1440, busy 0-600, busy 611-1440",
            "DC005 C: Conduit C is continuous and was silent for 11 min from 2026-03-02 10:00:00 UTC; 10 min is the longest.",
        ),
        ("for 10", continuous, "heard 0-1440, busy 0-600, busy 610-1440", ""),
        (
            "at the end",
            continuous,
            "heard 0-1440, busy 0-1400",
            "DC005 C: Conduit C is continuous and has been silent for 40 min; 10 min is the longest.",
        ),
        (
            "three times, the longest first",
            continuous,
            "heard 0-1440, busy 0-600, busy 620-700, busy 730-800, busy 811-1440",
            "DC005 C: Conduit C is continuous and was silent for 30 min from 2026-03-02 11:40:00 UTC and 2 times more; \
             10 min is the longest.",
        ),
        (
            "the tap lost packets meanwhile",
            continuous,
            "heard 0-1440, busy 0-600, busy 611-1440, lost 605",
            "DC009 C: Conduit C is continuous and was silent for 11 min from 2026-03-02 10:00:00 UTC, while the tap lost \
             frames: it may not have been silent.",
        ),
        (
            "the tap lost packets at another time",
            continuous,
            "heard 0-1440, busy 0-600, busy 611-1440, lost 700",
            "DC005 C: Conduit C is continuous and was silent for 11 min from 2026-03-02 10:00:00 UTC; 10 min is the longest.",
        ),
        (
            "the tap stopped",
            continuous,
            "heard 0-600, heard 660-1440, busy 0-600, busy 661-1440",
            "DC009 C: Conduit C is continuous and was silent for 61 min from 2026-03-02 10:00:00 UTC, while the tap gave \
             no frames at all: it may not have been silent.",
        ),
        (
            "the tap stopped for a part of it",
            continuous,
            "heard 0-620, heard 640-1440, busy 0-600, busy 661-1440",
            "DC005 C: Conduit C is continuous and was silent for 61 min from 2026-03-02 10:00:00 UTC; 10 min is the longest.",
        ),
        (
            "every eight hours, and twelve have passed",
            "expect = \"periodic\"\nperiod = \"8h\"\n",
            "heard 0-1440, busy 0-5, busy 485-490, busy 1211-1212",
            "DC005 C: Conduit C is periodic and was silent for 12 h from 2026-03-02 08:10:00 UTC; 12 h is the longest.",
        ),
        (
            "silent for three hours, in which its window was open for eight minutes",
            "windows = [\"mon 06:00-10:08\"]\nexpect = \"continuous\"\nmax_silence = \"10m\"\n",
            "heard 0-1440, busy 0-600, busy 780-781",
            "",
        ),
        (
            "and for eleven minutes",
            "windows = [\"mon 06:00-10:11\"]\nexpect = \"continuous\"\nmax_silence = \"10m\"\n",
            "heard 0-1440, busy 0-600, busy 780-781",
            "DC005 C: Conduit C is continuous and was silent for 3 h from 2026-03-02 10:00:00 UTC; 10 min is the longest.",
        ),
        (
            "every eight hours",
            "expect = \"periodic\"\nperiod = \"8h\"\n",
            "heard 0-1440, busy 0-5, busy 485-490, busy 965-970, busy 1435-1440",
            "",
        ),
        (
            "a lossy capture",
            "",
            "heard 0-1440, losses 11",
            "DC009 p: 11 bytes of TCP were on the wire and not captured, 1.1 % of all: what did not happen and what was \
             not seen cannot be told apart.",
        ),
        (
            "a capture that says what it lost",
            "",
            "heard 0-1440, dropped 11",
            "DC009 p: 11 frames were lost by the card or the system that captured them, 1.1 % of all: what did not happen \
             and what was not seen cannot be told apart.",
        ),
        ("one that says it lost little", "", "heard 0-1440, dropped 10", ""),
        ("one that loses little", "", "heard 0-1440, losses 10", ""),
        ("sessions as allowed", remote, "heard 0-1440, session 1 0-240 30, session 2 10-20 0", ""),
        (
            "one too long",
            remote,
            "heard 0-1440, session 1 60-361 10",
            "DC013 C: Conduit C is remote access, and sessions overran its limits: 10.1.0.1 from 2026-03-02 01:00:00 UTC \
             stood 5 h, and 4 h is the longest.",
        ),
        (
            "one idle too long",
            remote,
            "heard 0-1440, session 1 60-120 31",
            "DC013 C: Conduit C is remote access, and sessions overran its limits: 10.1.0.1 from 2026-03-02 01:00:00 UTC \
             paused for 31 min, and 30 min is the longest.",
        ),
        (
            "three at a time",
            remote,
            "heard 0-1440, session 1 60-120 0, session 2 70-130 0, session 3 80-90 0, session 4 121-125 0",
            "DC013 C: Conduit C is remote access, and sessions overran its limits: 10.1.0.3 from 2026-03-02 01:20:00 UTC \
             was one of 3 at a time, and 2 are the most.",
        ),
    ] {
        let policy = policy(&to_broker(more));
        let found = declarations(&policy, &watched_for(seen), &|_| None);
        let got: Vec<String> =
            found.iter().map(|found| format!("{} {}: {}", found.kind.code(), found.subject, found.what)).collect();
        assert_eq!(got.join(" | "), want, "{case}");
    }
}

/// The owner of an account asks for 30 days without a use; a conduit may say another number.
#[test]
fn who_uses_remote_access_no_more() {
    let more = "remote_access = true\n[[zone]]\nid = \"j\"\nkind = \"remote-access\"\nmembers = [ { cidr = \"10.9.0.0/24\" } ]\n";
    for (case, more, last, want) in [
        ("used lately", more.to_owned(), "2026-03-05", ""),
        ("idle for 30 days", more.to_owned(), "2026-03-02", "DC012 C 10.1.0.1"),
        ("fewer are allowed", format!("max_idle_days = 10\n{more}"), "2026-03-20", "DC012 C 10.1.0.1"),
    ] {
        let policy = policy(&format!("{CONDUIT}{more}").replace("to = [\"b\"]", "to = [\"j\"]"));
        let used = format!("2026-03-01 {last} - 3 0 9");
        let found = declarations(&policy, &watched("2026-03-01 2026-04-01", &[&used]), &|_| None);
        let codes = found.iter().filter(|found| found.kind.code() == "DC012");
        let got: Vec<String> = codes.map(|found| format!("{} {}", found.kind.code(), found.subject)).collect();
        assert_eq!(got.join(", "), want, "{case}");
        let mut told = found.iter().filter(|found| found.kind.code() == "DC012");
        assert!(told.all(|found| found.what.contains("known by its address")), "{case}: {found:?}");
    }
}

#[test]
fn an_id_is_that_of_the_fault() {
    let id =
        |policy: &Policy| declarations(policy, &watched("2026-03-01 2026-03-08", &[]), &|_| None)[0].id(&policy.site);
    let (one, other) = (format!("{CONDUIT}sl_c = 2\n"), format!("{CONDUIT}sl_c = 1\nreason = \"y\"\n"));
    assert_eq!(id(&policy(&one)), id(&policy(&other)));
    assert!(id(&policy(&one)).starts_with("D-") && id(&policy(&one)).len() == 18);
}

#[test]
fn states_and_narrower_rights() {
    let season = "2026-01-01 2026-06-01";
    let all = "2026-01-02 2026-05-30 - 3 0 9";
    for (case, more, span, uses, state, unused, narrower) in [
        ("clean", CONDUIT.replace(", 4]", "]"), season, vec![all], "used clean", "", ""),
        (
            "clean, and wider than needed",
            CONDUIT.to_owned(),
            season,
            vec!["2026-01-02 2026-05-30 - 3 2 5"],
            "used clean",
            "functions 4 | only 2 to 5 was used",
            "{ protocol = \"modbus\", functions = [3], units = [1], objects = [{ table = \"holding\", from = 2, to = 5 }] }",
        ),
        (
            "what was objected to is not in the proposal",
            CONDUIT.to_owned(),
            season,
            vec!["2026-01-02 2026-05-30 - 3 5 20", "2026-01-02 2026-05-30 ZC005 3 5 20"],
            "used with violations",
            "functions 4 | only 5 to 9 was used",
            "{ protocol = \"modbus\", functions = [3], units = [1], objects = [{ table = \"holding\", from = 5, to = 9 }] }",
        ),
        ("never seen", CONDUIT.to_owned(), "2026-03-01 2026-03-08", vec![], "never seen", "", ""),
        ("unused", CONDUIT.to_owned(), season, vec![], "unused for 151 days", "", ""),
        ("expired", format!("{CONDUIT}valid_until = 2026-02-01\n"), season, vec![], "expired", "", ""),
    ] {
        let policy = policy(&more);
        let watched = watched(span, &uses);
        let decisions = Decisions::default();
        let rows = review(&policy, &watched, &decisions);
        let [row] = &rows[..] else { panic!("{case}") };
        assert_eq!(row.state.text(), state, "{case}");
        let told: Vec<bool> = unused.split(" | ").map(|part| row.unused.join("; ").contains(part)).collect();
        assert!(told.iter().all(|told| *told), "{case}: {:?}", row.unused);
        assert_eq!(row.unused.is_empty(), unused.is_empty(), "{case}");
        assert_eq!(row.narrower.join(", "), narrower, "{case}");
    }
}

/// What was decided in the last review, and what this one makes of it.
#[test]
fn decisions_are_remembered() {
    let policy = policy(&format!("{CONDUIT}{}", CONDUIT.replace("\"C\"", "\"D\"").replace("[3, 4]", "[5, 6]")));
    let season = watched("2026-01-01 2026-06-01", &["2026-01-02 2026-05-30 - 3 0 9"]);
    let decided = |id: &str, state: &str, decision: &str| {
        format!(
            "[[conduit]]\nid = \"{id}\"\nstate = \"{state}\"\ndecision = \"{decision}\"\nby = \"Ops\"\non = \"2025-12-01\"\n"
        )
    };
    for (case, text, want) in [
        ("nothing decided: what needs a decision first", String::new(), "D - | C -"),
        ("an unused one is kept", decided("D", "unused", "keep"), "C - | D -"),
        (
            "kept when it was still used",
            decided("D", "clean", "keep"),
            "D it was kept in another state than it has now | C -",
        ),
        ("to be removed", decided("C", "clean", "remove"), "C it was to be removed, and is still in the policy | D -"),
        (
            "to be narrowed",
            decided("C", "clean", "narrow"),
            "C it was to be narrowed, and still has rights that nobody used | D -",
        ),
        (
            "nobody answered",
            decided("D", "unused", "ask"),
            "D somebody was to be asked, and no answer is recorded | C -",
        ),
        ("one that is gone from the policy", decided("E", "unused", "remove"), "D - | C -"),
    ] {
        let decisions = Decisions::parse(&text, &policy).unwrap();
        let rows = review(&policy, &season, &decisions);
        let got = rows.iter().map(|row| format!("{} {}", row.rule.id, row.follow_up.unwrap_or("-")));
        assert_eq!(got.collect::<Vec<_>>().join(" | "), want, "{case}");

        // The draft of the next file is one, and holds what is settled and nothing that is not.
        let next = draft(&policy, &season, &rows);
        let read = Decisions::parse(&next, &policy).unwrap_or_else(|error| panic!("{case}: {error}\n{next}"));
        assert_eq!(read.list.len(), 2, "{case}");
        assert_eq!(read.of("D").is_some(), case == "an unused one is kept", "{case}\n{next}");
    }
    for (case, text, want) in [
        ("another site", "site = \"q\"".to_owned(), "about the site q"),
        ("nobody signed", decided("C", "clean", "keep").replace("Ops", " "), "C is decided by nobody"),
        ("twice", decided("C", "clean", "keep").repeat(2), "C is decided twice"),
        ("no such choice", decided("C", "clean", "kep"), "unknown variant `kep`"),
        ("no such key", decided("C", "clean", "keep").replace("on =", "at ="), "unknown field `at`"),
    ] {
        let error = Decisions::parse(&text, &policy).unwrap_err();
        assert!(error.contains(want), "{case}: {error}");
    }
}
