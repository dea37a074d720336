//! The rules of the architecture that a machine can check: who may import whom, one crate one door, and words that may
//! not stand in some places. What is read is the source without its tests and comments.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use support::root;

/// A source file of the root package: its place below `src/` without `.rs`, and its code.
struct Source {
    place: String,
    code: String,
}

impl Source {
    /// The module that it belongs to: the first part of its place.
    fn module(&self) -> &str {
        self.place.split('/').next().unwrap()
    }

    /// Whether it is this file, or in this folder.
    fn is_in(&self, place: &str) -> bool {
        self.place.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn sources(folder: &str) -> Vec<Source> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, files),
                false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
                false => {}
            }
        }
    }
    let base = root().join(folder);
    let mut files = Vec::new();
    walk(&base, &mut files);
    let sources = files.into_iter().map(|path| {
        let place = path.strip_prefix(&base).unwrap().with_extension("");
        Source { place: place.to_string_lossy().into_owned(), code: code(&fs::read_to_string(path).unwrap()) }
    });
    // Tests may name what they like.
    sources.filter(|source| !source.place.ends_with("tests") && !source.place.contains("testkit")).collect()
}

/// The code without comments, and without the test modules at the end of the file.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that some code names: `crate::a::b` and `crate::{a, b::{c}, d}`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut item) = (0, true);
        for (index, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => item = true,
                c if item && depth == 0 && c.is_alphabetic() => {
                    found.insert(word(&list[index..]));
                    item = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// Who may import whom, as `a: b c`; the longest place counts. `time`, `address`, `bounded`, `prefetch` and `id` are vocabulary that
/// everybody may use.
///
/// Two parts of the output stand above the sensor, since they show how it is doing: nothing else in the output knows them.
const LAYERS: &str = "
    time:
    address:
    bounded:
    prefetch:
    id:
    source: time
    decode: source
    stream:
    ledger:
    flow: decode stream ledger policy
    inventory: ledger flow
    policy: ledger flow inventory
    config: decode stream ledger flow
    worker: source decode stream ledger flow policy config
    evidence: source decode flow ledger
    pipeline: worker source decode ledger flow policy config
    analysis: pipeline worker source ledger flow inventory policy config output
    output: inventory ledger policy flow worker source pipeline analysis
    event: output policy config
    store: flow ledger inventory policy worker analysis source
    sensor: evidence store event output analysis pipeline worker source ledger flow inventory policy config
    output/metrics: output sensor event flow policy
    output/http: output sensor event policy config
    cli: config
    command: cli config evidence pipeline analysis output source policy inventory event sensor store
";

#[test]
fn modules_import_only_what_stands_before_them() {
    let mut complaints = Vec::new();
    for source in sources("src").iter().filter(|source| !matches!(&*source.place, "main" | "lib")) {
        let rows = LAYERS.lines().filter_map(|line| line.trim().split_once(':'));
        let row = rows.filter(|(place, _)| source.is_in(place)).max_by_key(|(place, _)| place.len());
        let Some((_, allowed)) = row else {
            complaints.push(format!("src/{}: a module without a place in the layers", source.place));
            continue;
        };
        let vocabulary = ["time", "address", "bounded", "prefetch", "id", source.module()];
        for import in imports(&source.code) {
            if !vocabulary.contains(&&*import) && !allowed.split(' ').any(|name| name == import) {
                complaints.push(format!("src/{} imports {import}", source.place));
            }
        }
    }
    let above = ["output/http", "output/metrics", "output/mod"];
    for source in sources("src").iter().filter(|s| s.is_in("output") && !above.iter().any(|place| s.is_in(place))) {
        for above in ["http::", "metrics::"] {
            if source.code.contains(above) {
                complaints.push(format!("src/{} names {above}", source.place));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Crates with one door: who may name them.
const DOORS: &[(&str, &[&str])] = &[
    ("pcap", &["source"]),
    // Captures, the bundled registry of MAC addresses, and the checksum of waiting events.
    ("flate2", &["source", "inventory", "event"]),
    ("ruzstd", &["source"]),
    ("etherparse", &["decode"]),
    ("dashmap", &["ledger"]),
    ("crossbeam_channel", &["pipeline", "sensor"]),
    ("serde_json", &["command", "output", "policy", "store", "event"]), // a policy may be written in JSON; rows and events are
    ("rusqlite", &["store"]),
    ("sd_notify", &["sensor"]),
    ("toml", &["policy", "config"]),
    ("annotate_snippets", &["policy"]),
    ("jiff", &["time", "policy"]),
    ("csv", &["output", "inventory", "policy"]), // a policy may be exchanged with a spreadsheet
    ("rustls", &["event", "output/http"]),
    ("tokio_rustls", &["event", "output/http"]),
    ("socket2", &["event"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["command"]),
    ("clap_mangen", &["command"]),
    ("comfy_table", &["output", "command"]),
    ("indicatif", &["command"]),
    ("anstream", &["command"]),
    ("prometheus", &["output/metrics"]),
    ("axum", &["output/http"]),
    ("hyper", &["output/http"]),
    ("hyper_util", &["output/http"]),
    ("subtle", &["output/http"]),
];

#[test]
fn each_crate_has_one_door() {
    let mut complaints = Vec::new();
    for source in sources("src") {
        for (name, doors) in DOORS.iter().filter(|(_, doors)| !doors.iter().any(|door| source.is_in(door))) {
            let uses = source.code.match_indices(&format!("{name}::")).any(|(at, _)| {
                // `source::file::pcap::` is a module of ours.
                let before = source.code[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
            });
            if uses {
                complaints.push(format!("src/{} names the crate {name}, whose door is {doors:?}", source.place));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn inner_types_are_not_serialized() {
    let outside: Vec<_> = sources("src")
        .into_iter()
        .filter(|source| source.code.contains("Serialize)") || source.code.contains("Serialize,"))
        .map(|source| source.place)
        .collect();
    // A command's own lists and the tag of an ndjson line are output as well, and so are what stands around
    // an event, and the rows of the store.
    let doors = ["output/", "command/", "event/format/", "store/"];
    assert!(outside.iter().all(|place| doors.iter().any(|door| place.starts_with(door))), "{outside:?}");
}

#[test]
fn facts_policy_and_inventory_name_no_protocol() {
    let names: Vec<_> = dissectors::REGISTRY.iter().map(|protocol| format!("\"{}\"", protocol.info().name)).collect();
    assert!(!names.is_empty());
    let mut complaints = Vec::new();
    for source in sources("src").iter().filter(|s| matches!(s.module(), "ledger" | "policy" | "inventory")) {
        for name in names.iter().filter(|name| source.code.contains(&***name)) {
            complaints.push(format!("src/{} names {name}", source.place));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn some_words_stand_nowhere() {
    for (folder, words) in [
        // Dissectors know no sockets, files, clocks or threads, and depend on nothing. An address may stand in their text.
        ("dissectors/src", &["net::Tcp", "net::Udp", "std::fs", "std::io", "std::time", "std::thread", "unsafe {"][..]),
        // Nothing in the pipeline reads the wall clock; output goes through one place.
        ("src", &["SystemTime", "println!", "eprintln!", "print!(", "unsafe {", "sendpacket"]),
    ] {
        for source in sources(folder) {
            for word in words {
                // The service itself lives in the time of the wall; one file says why and how it is unsafe.
                if [("SystemTime", "sensor/clock"), ("unsafe {", "prefetch")].contains(&(*word, &*source.place)) {
                    continue;
                }
                assert!(!source.code.contains(word), "{folder}/{}: {word}", source.place);
            }
        }
    }
    // Who serves clients measures how long that takes.
    let timed = ["command", "sensor", "output/http"];
    for source in sources("src").iter().filter(|source| !timed.iter().any(|place| source.is_in(place))) {
        assert!(!source.code.contains("Instant::now"), "src/{}: a clock", source.place);
    }
    let manifest = fs::read_to_string(root().join("dissectors/Cargo.toml")).unwrap();
    assert!(!manifest.contains("[dependencies]"), "dissectors depend on nothing");
}
