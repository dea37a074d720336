//! The shape of `analysis.json`: which keys stand where and in which order, what is sorted, what adds up, and how times
//! are written. Scripts and dashboards rely on it.

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use support::{root, run, run_in, zonewatch};

/// The keys of each kind of object, in the order in which they are written.
const SHAPES: &[(&str, &str)] = &[
    ("", "schema tool policy captures coverage assets flows findings zones conduits"),
    ("tool", "name version"),
    ("policy", "files sha256 site"),
    ("captures", "name sha256 format compression link_types frames bytes first last damage one_way"),
    (
        "coverage",
        "frames bytes decoded not_decoded duplicates fragments truncated protocols limits_hit frames_of_no_flow \
         dissector_failures",
    ),
    ("coverage.protocols.*", "pdus bytes skipped_bytes anomalies opaque messages"),
    (
        "assets",
        "id name ips macs vlans realm hostnames vendor product model firmware serial mac_vendor role level zone approved \
         protocols components first_seen last_seen frames_sent bytes_sent facts",
    ),
    ("assets.role", "value confidence candidates"),
    ("assets.role.candidates", "value confidence reasons"),
    ("assets.level", "value source"),
    ("assets.protocols", "name side ports"),
    ("assets.components", "id vendor product model firmware serial role"),
    ("assets.facts", "attribute value component address protocol method confidence count first last"),
    ("assets.facts.first", "capture frame time"),
    ("assets.facts.last", "capture frame time"),
    (
        "flows",
        "id client server transport protocol not_protocol service vlans initiator connections frames_to_server \
         frames_to_client bytes_to_server bytes_to_client copies first_seen last_seen operations security anomalies verdict \
         rule qualifiers findings",
    ),
    ("flows.client", "asset ip mac zone"),
    ("flows.server", "asset ip mac zone port"),
    ("flows.copies", "frames_to_server frames_to_client bytes_to_server bytes_to_client"),
    ("flows.operations", "code name class component objects requests answered refused first last"),
    ("flows.security", "mode policy tokens"),
    ("flows.anomalies", "what count first"),
    ("flows.anomalies.first", "capture frame time"),
    (
        "findings",
        "id schema site sensor kind reason verdict state acknowledged severity time count src dst transport port protocol operation \
         conduit qualifiers attack requirements what why do_next details samples evidence policy_hash mapping_version tool_version",
    ),
    ("findings.reason", "code name"),
    ("findings.severity", "score band terms"),
    ("findings.severity.terms", "term points"),
    ("findings.time", "first last"),
    ("findings.src", "asset zone ip mac role name level confidence"),
    ("findings.dst", "asset zone ip mac role name level confidence"),
    ("findings.operation", "class codes objects outcome user"),
    ("findings.operation.codes", "code name count"),
    ("findings.operation.outcome", "answered refused not_answered"),
    ("findings.conduit", "id stage detail"),
    ("findings.attack", "id version name"),
    ("findings.requirements", "std id edition evidence_class"),
    ("findings.samples", "capture frame time tap"),
    ("zones", "id name parent kind level safety assets"),
    ("conduits", "id name from to owner use"),
    ("conduits.use", "first last sessions operations verdicts"),
];

/// Objects whose keys are data.
const MAPS: &[&str] = &[
    "coverage.not_decoded",
    "coverage.limits_hit",
    "coverage.protocols",
    "coverage.protocols.*.messages",
    "conduits.use.verdicts",
];

/// Objects that have one of two shapes.
const OBJECTS: &[&str] = &["space from to", "space name"];

/// Arrays that are sorted by the ids of their items.
const BY_ID: &[&str] = &["assets", "flows", "findings", "zones", "conduits"];

/// JSON with its keys in the order of the text.
enum Ordered {
    Object(Vec<(String, Ordered)>),
    Array(Vec<Ordered>),
    Text(String),
    Plain,
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Ordered;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Ordered::Object(fields))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ordered, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Ordered::Array(items))
            }
            fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
                Ok(Ordered::Text(text.to_owned()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Ordered, E> {
                Ok(Ordered::Plain)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Ordered, E> {
                Ok(Ordered::Plain)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Ordered, E> {
                Ok(Ordered::Plain)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Ordered, E> {
                Ok(Ordered::Plain)
            }
            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered::Plain)
            }
        }
        from.deserialize_any(Any)
    }
}

/// Looks at a value and all below it.
fn shape(path: &str, value: &Ordered, complaints: &mut Vec<String>) {
    match value {
        Ordered::Object(fields) => {
            let keys = fields.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(" ");
            if path.ends_with(".objects") {
                if !OBJECTS.contains(&&*keys) {
                    complaints.push(format!("{path} is {keys}"));
                }
            } else if MAPS.contains(&path) {
                fields.iter().for_each(|(_, value)| shape(&format!("{path}.*"), value, complaints));
            } else {
                match SHAPES.iter().find(|(known, _)| *known == path) {
                    Some((_, want)) if *want == keys => {}
                    want => complaints.push(format!("{path} has {keys}, not {want:?}")),
                }
                for (key, value) in fields {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    shape(&below, value, complaints);
                }
            }
        }
        Ordered::Array(list) => list.iter().for_each(|item| shape(path, item, complaints)),
        Ordered::Text(text) if is_time(path) && !is_rfc_3339(text) => complaints.push(format!("{path} is {text:?}")),
        Ordered::Text(_) | Ordered::Plain => {}
    }
}

fn is_time(path: &str) -> bool {
    let leaf = path.rsplit('.').next().unwrap();
    matches!(leaf, "first" | "last" | "first_seen" | "last_seen" | "time")
}

/// `2026-11-16T10:00:01.376250000Z`: UTC, and all nine digits.
fn is_rfc_3339(text: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd.dddddddddZ";
    text.len() == pattern.len()
        && text.chars().zip(pattern.chars()).all(|(c, p)| if p == 'd' { c.is_ascii_digit() } else { c == p })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}"))
}

fn sum(list: &[Value], keys: &[&str]) -> u64 {
    list.iter().flat_map(|item| keys.iter().map(|key| number(&item[*key]))).sum()
}

/// What must hold of any analysis.
fn invariants(analysis: &Value, complaints: &mut Vec<String>) {
    let mut claim = |holds: bool, what: String| {
        if !holds {
            complaints.push(what)
        }
    };
    for key in BY_ID {
        let ids: Vec<&str> = list(analysis, key).iter().map(|item| item["id"].as_str().unwrap()).collect();
        claim(ids.windows(2).all(|pair| pair[0] < pair[1]), format!("{key} are sorted by id, each once: {ids:?}"));
    }
    let coverage = &analysis["coverage"];
    let counts = |map: &Value| map.as_object().unwrap().values().map(number).sum::<u64>();
    claim(
        number(&coverage["decoded"]) + counts(&coverage["not_decoded"]) == number(&coverage["frames"]),
        format!("decoded and not decoded are all frames: {coverage}"),
    );
    let captures = list(analysis, "captures");
    claim(sum(captures, &["frames"]) == number(&coverage["frames"]), "captures add up".to_owned());
    let flows = list(analysis, "flows");
    claim(
        sum(flows, &["frames_to_server", "frames_to_client"])
            == number(&coverage["decoded"]) - number(&coverage["duplicates"]) - number(&coverage["frames_of_no_flow"]),
        "the frames of flows are those decoded, less copies and those of no flow".to_owned(),
    );
    let copies: u64 =
        flows.iter().map(|f| number(&f["copies"]["frames_to_server"]) + number(&f["copies"]["frames_to_client"])).sum();
    claim(copies == number(&coverage["duplicates"]), format!("{copies} copies of flows are those of coverage"));
    for (name, protocol) in coverage["protocols"].as_object().unwrap() {
        claim(counts(&protocol["messages"]) == number(&protocol["pdus"]), format!("messages of {name} are its PDUs"));
    }
    let judged = !analysis["policy"].is_null();
    let ids: BTreeMap<&str, &Value> =
        list(analysis, "assets").iter().map(|asset| (asset["id"].as_str().unwrap(), asset)).collect();
    let mut named: Vec<&Value> = Vec::new();
    for flow in flows {
        // Address resolution is no conversation that a conduit could allow.
        let judged = judged && flow["transport"] != "l2/0x0806";
        claim(flow["verdict"].is_string() == judged, format!("a verdict with a policy, none without: {}", flow["id"]));
        named.extend([&flow["client"]["asset"], &flow["server"]["asset"]]);
        for operation in list(flow, "operations") {
            let [requests, answered, refused] = ["requests", "answered", "refused"].map(|key| number(&operation[key]));
            claim(requests + answered + refused > 0, format!("an operation that nobody asked: {operation}"));
        }
        claim(
            flow["first_seen"].as_str() <= flow["last_seen"].as_str(),
            format!("first is not after last: {}", flow["id"]),
        );
    }
    for finding in list(analysis, "findings") {
        let severity = &finding["severity"];
        let score = severity["score"].as_i64().unwrap();
        claim((0..=100).contains(&score), format!("a score of {score}"));
        // What the declaration itself lacks, no frame shows.
        let shown = finding["kind"] == "declaration" || !list(finding, "samples").is_empty();
        claim(shown, format!("no frame shows {}", finding["id"]));
        claim(!list(finding, "do_next").is_empty(), format!("nothing to do about {}", finding["id"]));
        claim(
            list(finding, "attack").iter().all(|attack| attack["name"].is_string()),
            format!("techniques have names: {finding}"),
        );
        named.extend([&finding["src"]["asset"], &finding["dst"]["asset"]]);
    }
    for zone in list(analysis, "zones") {
        named.extend(list(zone, "assets"));
    }
    for id in named.into_iter().filter_map(Value::as_str) {
        claim(ids.contains_key(id), format!("{id} is in the list of assets"));
    }
    for asset in list(analysis, "assets") {
        let confidence = asset["role"]["confidence"].as_f64().unwrap();
        claim((0.0..=1.0).contains(&confidence), format!("a confidence of {confidence}"));
        claim(
            list(asset, "facts").iter().all(|fact| number(&fact["count"]) > 0 && number(&fact["first"]["frame"]) > 0),
            format!("facts of {} have frames", asset["id"]),
        );
    }
}

fn check(case: &str, text: &str, complaints: &mut Vec<String>) {
    let analysis: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{case}: {error}"));
    let mut found = Vec::new();
    shape("", &serde_json::from_str(text).unwrap(), &mut found);
    invariants(&analysis, &mut found);
    complaints.extend(found.into_iter().map(|complaint| format!("{case}: {complaint}")));
}

/// Every folder below `fixtures` with a capture that can be read.
fn captures(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            captures(&path, found);
        } else if path.file_name().unwrap().to_string_lossy().starts_with("capture.") {
            found.push(path);
        }
    }
}

#[test]
fn every_analysis_has_the_shape_of_the_contract() {
    let mut complaints = Vec::new();
    check("demo", &run(["demo", "--format", "json"]).text(), &mut complaints);
    let mut paths = Vec::new();
    captures(&root().join("fixtures"), &mut paths);
    for path in paths {
        let folder = path.parent().unwrap();
        let mut args = vec!["analyze", "--quiet", "--format", "json", path.file_name().unwrap().to_str().unwrap()];
        if folder.join("plant.toml").exists() {
            args.extend(["--policy", "plant.toml"]);
        }
        let run = run_in(folder, args);
        if run.code == Some(0) {
            check(&folder.display().to_string(), &run.text(), &mut complaints);
        }
    }
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn lines_say_their_type_first() {
    let run = run(["demo", "--format", "ndjson"]);
    let mut seen = Vec::new();
    for line in run.text().lines() {
        let kind =
            line.strip_prefix("{\"type\":\"").and_then(|rest| rest.split_once('"')).map(|(kind, _)| kind.to_owned());
        let kind = kind.unwrap_or_else(|| panic!("no type: {line}"));
        if seen.last() != Some(&kind) {
            seen.push(kind);
        }
    }
    assert_eq!(seen, ["coverage", "asset", "flow", "finding"]);
}

/// Reads the TOML block of README.md, as a newcomer copies it.
fn readme_policy() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let block = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("README.md has a policy").to_owned()
}

/// What README.md says of its policy: reads pass, a write outside of 100 to 119 is a finding with the conduit, the
/// registers, who did it and the frames; what is not declared is not allowed.
#[test]
fn the_policy_of_the_readme_does_what_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plant.toml"), readme_policy()).unwrap();
    let run = |args: &[&str]| {
        let capture = root().join("fixtures/plant/capture.pcap");
        let mut command = zonewatch();
        command.current_dir(folder.path()).args(args);
        if args[0] == "analyze" {
            command.arg(capture);
        }
        support::Run::from(command.output().unwrap())
    };
    let checked = run(&["policy", "check", "plant.toml"]);
    // A policy of two zones has no conduit for time, of which it is warned; there is no error in it.
    assert!(checked.code == Some(0) && !checked.stderr.contains("error"), "{}", checked.stderr);
    let analysis = run(&["analyze", "--policy", "plant.toml", "--format", "json"]).json();
    let finding = list(&analysis, "findings").iter().find(|finding| finding["reason"]["code"] == "ZC005");
    let finding = finding.expect("the write outside of the range is a finding");
    let what = finding["what"].as_str().unwrap();
    for word in ["SCADA-1", "wrote holding 200–201", "unit 1", "C-031 allows", "holding 100–119", "Frames"] {
        assert!(what.contains(word), "{word} in {what}");
    }
    let flow = list(&analysis, "flows").iter().find(|flow| {
        flow["client"]["ip"] == "10.60.0.10" && flow["server"]["ip"] == "10.20.2.10" && flow["protocol"] == "modbus"
    });
    assert_eq!(flow.unwrap()["verdict"], "violation");
    let reads_that_pass = list(&analysis, "findings").iter().filter(|finding| {
        finding["src"]["ip"] == "10.60.0.10"
            && finding["dst"]["ip"] == "10.20.2.10"
            && finding["operation"]["class"] == "read"
    });
    assert_eq!(reads_that_pass.count(), 0, "reads are declared");
    let undeclared = list(&analysis, "findings").iter().filter(|finding| finding["src"]["ip"] == "10.10.0.77");
    assert!(undeclared.count() > 0, "what is not declared is not allowed");
}
