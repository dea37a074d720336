//! Lists are those of `analysis.json`, whole and in pages.

use serde_json::Value;

use zonewatch::output::http::ask::Place;
use zonewatch::output::view::{AnalysisView, AssetView, FlowView};

use super::{Running, guarded, loopback, support};

const LISTS: [(&str, &str); 5] =
    [("assets", "asset"), ("flows", "flow"), ("findings", "finding"), ("zones", "zone"), ("conduits", "conduit")];

/// What the command says of the same capture.
fn analysis() -> Value {
    let args = ["analyze", "--policy", "plant.toml", "--format", "json", "capture.pcap"];
    let mut analysis = support::run_in(&support::root().join("fixtures/plant"), args).json();
    // What is served was not read from a file.
    analysis["captures"][0]["sha256"] = "".into();
    analysis
}

#[test]
fn what_is_served_is_analysis_json() {
    let running = Running::start(&loopback());
    let analysis = analysis();
    let snapshot = running.get("/api/v1/snapshot");
    assert_eq!(snapshot.json(), analysis);
    let keys = "schema tool policy captures coverage assets flows findings zones conduits";
    let places = keys.split(' ').map(|key| snapshot.body.find(&format!("\"{key}\":")).unwrap());
    assert!(places.collect::<Vec<_>>().is_sorted(), "keys stand in the order of the contract");
    assert_eq!(running.get("/api/v1/coverage").json()["coverage"], analysis["coverage"]);
    for (list, kind) in LISTS {
        let items = analysis[list].as_array().unwrap();
        assert!(items.len() > 3, "{list}: enough for pages");
        let whole = running.get(&format!("/api/v1/{list}?limit=1000"));
        assert_eq!(whole.json()[list], analysis[list], "{list}");
        assert_eq!((whole.json()["next"].clone(), whole.header("link")), (Value::Null, None), "{list}");

        let (mut paged, mut path) = (Vec::new(), format!("/api/v1/{list}?limit=3"));
        loop {
            let page = running.get(&path);
            let some = page.json()[list].as_array().unwrap().clone();
            assert!(some.len() <= 3, "{list}");
            paged.extend(some);
            let Some(link) = page.header("link") else { break };
            path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
        }
        assert_eq!(&paged, items, "{list} in pages");

        let lines = running.get(&format!("/api/v1/{list}?limit=1000&format=ndjson"));
        let mut line: Value = serde_json::from_str(lines.body.lines().nth(1).unwrap()).unwrap();
        assert_eq!(line["type"], kind);
        line.as_object_mut().unwrap().remove("type");
        assert_eq!((lines.body.lines().count(), &line), (items.len(), &items[1]), "{list} as lines");

        if ["assets", "flows", "findings"].contains(&list) {
            let id = items[1]["id"].as_str().unwrap();
            assert_eq!(running.get(&format!("/api/v1/{list}/{id}")).json(), items[1], "one of {list}");
        }
    }
}

#[test]
fn sheets() {
    let running = Running::start(&loopback());
    for (path, rows) in
        [("assets?format=csv&limit=2", 2), ("flows?format=csv&limit=5", 5), ("findings?format=csv&limit=3", 3)]
    {
        let answer = running.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
        let mut sheet = csv::Reader::from_reader(answer.body.as_bytes());
        assert_eq!(sheet.records().map(Result::unwrap).count(), rows, "{path}");
        assert!(answer.header("link").unwrap().contains("format=csv"), "{path}");
    }
}

#[test]
fn filters() {
    let running = Running::start(&loopback());
    let analysis = analysis();
    let ends = |item: &Value, ends: [&str; 2], field: &str, value: &str| ends.iter().any(|e| item[*e][field] == value);
    let band = |item: &Value| item["severity"]["score"].as_i64().unwrap();
    type Passes<'a> = &'a dyn Fn(&Value) -> bool;
    let asset = analysis["assets"][2].clone();
    let id = asset["id"].as_str().unwrap();
    let zone = asset["zone"].as_str().unwrap();
    let finding = analysis["findings"][0]["id"].as_str().unwrap();
    let of = |text: &str, item: &Value| item.to_string().to_lowercase().contains(text);
    let rows: &[(&str, String, Passes<'_>)] = &[
        ("assets", format!("zone={zone}"), &|a| a["zone"] == zone),
        ("assets", "role=plc".into(), &|a| a["role"]["value"] == "plc"),
        ("assets", "role=plc&protocol=modbus".into(), &|a| {
            a["role"]["value"] == "plc" && a["protocols"].as_array().unwrap().iter().any(|p| p["name"] == "modbus")
        }),
        ("assets", "q=10.20.2.".into(), &|a| of("10.20.2.", &a["ips"])),
        ("assets", "q=no-such-thing".into(), &|_| false),
        ("flows", format!("asset={id}"), &|f| ends(f, ["client", "server"], "asset", id)),
        ("flows", format!("zone={zone}"), &|f| ends(f, ["client", "server"], "zone", zone)),
        ("flows", "protocol=modbus".into(), &|f| f["protocol"] == "modbus"),
        ("flows", "verdict=violation".into(), &|f| f["verdict"] == "violation"),
        ("flows", format!("finding={finding}"), &|f| f["findings"].as_array().unwrap().contains(&finding.into())),
        ("findings", "severity=high".into(), &|f| band(f) >= 60),
        ("findings", "severity=info".into(), &|_| true),
        ("findings", "verdict=attempt".into(), &|f| f["verdict"] == "attempt"),
        ("findings", "reason=ZC001".into(), &|f| f["reason"]["code"] == "ZC001"),
        ("findings", format!("asset={id}"), &|f| ends(f, ["src", "dst"], "asset", id)),
        ("conduits", "q=C-0".into(), &|c| of("c-0", &c["id"]) || of("c-0", &c["name"])),
    ];
    let mut found = 0;
    for (list, filter, passes) in rows {
        let want: Vec<&Value> = analysis[*list].as_array().unwrap().iter().filter(|item| passes(item)).collect();
        let got = running.get(&format!("/api/v1/{list}?limit=1000&{filter}")).json();
        let got: Vec<&Value> = got[*list].as_array().unwrap().iter().collect();
        assert_eq!(got, want, "{list}?{filter}");
        found += usize::from(!want.is_empty());
    }
    assert!(found >= 12, "{found} of the filters find something");
}

#[test]
fn what_makes_no_sense_is_told() {
    let running = Running::start(&loopback());
    for (method, path, status, says) in [
        ("GET", "/nothing", 404, "nothing at this path"),
        ("GET", "/api/v1", 404, "nothing at this path"),
        ("GET", "/api/v1/assets/", 404, "nothing at this path"),
        ("GET", "/api/v1/assets/no-such", 404, "there is no asset of this id"),
        ("GET", "/api/v1/flows/%00%ff", 400, "UTF-8"),
        ("GET", "/api/v1/assets/..%2f..%2f..%2fetc%2fpasswd", 404, "there is no asset"),
        ("GET", "/../../etc/passwd", 404, "nothing at this path"),
        ("GET", "//etc/passwd", 404, "nothing at this path"),
        ("GET", "/api/v1/assets?limit=0", 400, "limit is a number from 1 to 1000"),
        ("GET", "/api/v1/assets?verdict=allow", 400, "known are zone, role, protocol, q, limit"),
        ("GET", "/api/v1/zones?format=csv", 400, "csv is for assets, flows and findings"),
        ("GET", "/api/v1/findings?severity=%3Cscript%3E", 400, "severity is one of"),
        ("DELETE", "/api/v1/assets", 403, "role 'operate'"),
        ("POST", "/metrics", 403, "role 'operate'"),
        ("POST", "/api/v1/reload", 403, "role 'operate'"),
    ] {
        let answer = running.client().ask(method, path, "");
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.body.contains(says) && !answer.body.contains("root:"), "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(answer.json()["status"], status, "{method} {path}");
    }
}

#[test]
fn the_page_is_whole_and_harmless() {
    let running = Running::start(&loopback());
    let page = running.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    for (what, there) in [
        ("10.20.2.10", true),
        ("V-", true),
        ("All is well", false),
        ("2 of", true), // Lost frames are told.
        ("<script", false),
        ("http://", false),
        ("https://", false),
        ("src=", false),
    ] {
        assert_eq!(page.body.contains(what), there, "{what}");
    }
    for name in ["x-content-type-options", "x-frame-options", "referrer-policy", "cache-control"] {
        assert!(page.header(name).is_some(), "{name}");
    }
}

#[test]
fn the_commands_read_what_is_served() {
    let running = Running::start(&guarded());
    let url = format!("http://{}", running.server.addresses[0]);
    let place = |token| Place { url: &url, token, ca: None };
    let refused = place(None).get("/api/v1/snapshot").unwrap_err();
    assert!(refused.contains("--token-file"), "{refused}");
    let nothing = place(Some("reader")).get("/api/v1/nothing").unwrap_err();
    assert!(nothing.contains("there is nothing at this path"), "{nothing}");
    let view = AnalysisView::read(place(Some("reader")).get("/api/v1/snapshot").unwrap()).unwrap();
    for page in [1, 7, 1000] {
        let flows: Vec<FlowView> = place(Some("reader")).list(&[("verdict", "violation".to_owned())], page).unwrap();
        let ids: Vec<_> = flows.iter().map(|flow| &flow.id).collect();
        let want = view.flows.iter().filter(|flow| flow.verdict == Some("violation"));
        assert_eq!(ids, want.map(|flow| &flow.id).collect::<Vec<_>>(), "{page} on a page");
        assert!(!ids.is_empty());
    }
    let found: Vec<AssetView> = place(Some("reader")).list(&[("q", "boiler controller".to_owned())], 10).unwrap();
    assert_eq!(found.len(), 1, "what is asked for may hold blanks");
}
