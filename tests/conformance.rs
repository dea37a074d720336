//! What users of comparable tools ran into, each as a capture of `fixtures/` and what must come of it. The numbers are
//! rows of the project's conformance list; what a unit test covers better stands at the end of this file.

mod support;

use std::fs;

use serde_json::Value;
use support::{root, run_in};

/// A way to look at an analysis.
type Look = fn(&Value) -> String;

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}")).iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// All operations: code, component, and how many were asked, answered and refused.
fn operations(analysis: &Value) -> String {
    let all = list(analysis, "flows").flat_map(|flow| list(flow, "operations"));
    let told = all.map(|o| {
        let component = o["component"].as_str().map_or(String::new(), |component| format!(" {component}"));
        format!("{}{component} {}/{}/{}", text(&o["code"]), o["requests"], o["answered"], o["refused"])
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The names and ranges that operations are about.
fn objects(analysis: &Value) -> String {
    let all = list(analysis, "flows").flat_map(|flow| list(flow, "operations")).flat_map(|o| list(o, "objects"));
    let told = all.map(|object| match object["name"].as_str() {
        Some(name) => name.to_owned(),
        None => format!("{}-{}", object["from"], object["to"]),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Who asks whom.
fn sides(analysis: &Value) -> String {
    let told = list(analysis, "flows").filter(|flow| flow["protocol"].is_string()).map(|flow| {
        format!("{} asks {}:{}", text(&flow["client"]["ip"]), text(&flow["server"]["ip"]), flow["server"]["port"])
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Assets with an IP address: the addresses, the product and the components with theirs; sorted.
fn assets(analysis: &Value) -> String {
    let with_ip = list(analysis, "assets").filter(|asset| list(asset, "ips").count() > 0);
    let mut told: Vec<String> = with_ip
        .map(|asset| {
            let ips: Vec<_> = list(asset, "ips").map(text).collect();
            let product = asset["product"].as_str().map_or(String::new(), |product| format!(" {product}"));
            let parts: String = list(asset, "components")
                .filter(|part| part["product"].is_string())
                .map(|part| format!(" [{} {}]", text(&part["id"]), text(&part["product"])))
                .collect();
            format!("{}{product}{parts}", ips.join("+"))
        })
        .collect();
    told.sort();
    told.join(", ")
}

/// What no asset may be: a group, a broadcast or an unspecified address.
fn groups(analysis: &Value) -> String {
    let ips = list(analysis, "assets").flat_map(|asset| list(asset, "ips")).map(text);
    let groups = ips.filter(|ip| {
        let ip: std::net::IpAddr = ip.parse().unwrap();
        ip.is_multicast() || ip.is_unspecified() || ip.to_string().ends_with(".255")
    });
    groups.collect::<Vec<_>>().join(", ")
}

fn roles(analysis: &Value) -> String {
    let mut told: Vec<String> = list(analysis, "assets")
        .filter_map(|asset| Some(format!("{} {}", text(&asset["name"]), asset["role"]["value"].as_str()?)))
        .collect();
    told.sort();
    told.join(", ")
}

/// What a flow is, or is not.
fn protocols(analysis: &Value) -> String {
    let told = list(analysis, "flows").filter(|flow| flow["server"]["port"].is_number()).map(|flow| {
        match (flow["protocol"].as_str(), flow["not_protocol"].as_str()) {
            (Some(protocol), _) => protocol.to_owned(),
            (None, Some(not)) => format!("not {not}"),
            (None, None) => "-".to_owned(),
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Findings: what kind, and how many frames show each.
fn findings(analysis: &Value) -> String {
    let mut told: Vec<String> = list(analysis, "findings")
        .map(|f| format!("{} by {} frames", text(&f["qualifiers"][0]), list(f, "samples").count()))
        .collect();
    told.sort();
    told.join(", ")
}

fn security(analysis: &Value) -> String {
    let told = list(analysis, "flows").filter(|flow| flow["protocol"].is_string());
    told.map(|flow| text(&flow["security"]["mode"]).to_owned()).collect::<Vec<_>>().join(", ")
}

fn vlans(analysis: &Value) -> String {
    let told = list(analysis, "flows").filter(|flow| flow["protocol"].is_string());
    told.map(|flow| format!("{} {}", flow["vlans"], flow["connections"])).collect::<Vec<_>>().join(", ")
}

fn duplicates(analysis: &Value) -> String {
    format!("{} of {}", analysis["coverage"]["duplicates"], analysis["coverage"]["frames"])
}

#[test]
fn rows() {
    const POLL: &str = "3 modbus/1 3/3/0";
    let rows: &[(&[u8], &str, Look, &str)] = &[
        // Identity from Get_Attributes, however it is asked for; behind a backplane; inside bundles.
        (&[5, 21], "enip/attributes", assets, "192.168.10.10 1734-AENTR, 192.168.10.5"),
        (
            &[5, 69],
            "enip/unconnected-send-slots",
            assets,
            "192.168.10.10 1756-EN2T/D [cip/1,0 1756-L71/B LOGIX5571] [cip/1,3 1756-IF16/A], 192.168.10.5",
        ),
        // Direction by content; a broadcast address is nobody.
        (
            &[6, 22],
            "enip/list-identity-broadcast",
            assets,
            "192.168.10.10 1769-L33ER/A LOGIX5333ER, 192.168.10.11 1756-EN2T/D, 192.168.10.5",
        ),
        (&[22], "host/groups-are-no-assets", groups, ""),
        (&[23], "stream/first-frames-missing", sides, "192.168.10.5 asks 192.168.10.10:502"),
        (&[23], "stream/mid-stream", sides, "192.168.10.5 asks 192.168.10.10:502"),
        (&[23], "stream/replies-only", sides, "192.168.10.5 asks 192.168.10.10:502"),
        // Joined in the middle, on any port.
        (&[7], "opcua/mid-stream", operations, "Read 4/4/0"),
        (&[68], "enip/connected-mid-stream", operations, "0x4c:0x6b 6/6/0"),
        (&[8, 73], "modbus/port-5020", operations, POLL),
        (&[73, 74], "modbus/port-5020-two-pdus-first", operations, "3 modbus/1 6/6/0"),
        // What is lost costs itself, not the rest.
        (&[9, 10], "stream/loss-tail-of-pdu", operations, "3 modbus/1 20/19/0"),
        (&[10, 72], "opcua/gap", operations, "OpenSecureChannel 1/1/0, Read 6/5/0"),
        (&[62], "stream/unrelated-churn", operations, "3 modbus/1 5/5/0"),
        // A port is a hint.
        (&[11, 12], "modbus/http-on-502", protocols, "http"),
        (&[12], "modbus/ssh-on-502", protocols, "ssh"),
        // Pairing.
        (&[19, 63], "modbus/constant-tid-pipelined", operations, "3 modbus/1 3/3/0"),
        (&[19, 63], "modbus/tid-reuse-two-units", operations, "3 modbus/1 3/3/0, 3 modbus/2 3/3/0"),
        (&[18], "modbus/exceptions", operations, "3 modbus/1 10/0/10"),
        (&[17], "modbus/out-of-spec", operations, "3 modbus/1 10/8/2, 5 modbus/1 1/1/0, 16 modbus/1 1/0/1"),
        // Framing apart from segments.
        (&[64], "stream/split-enip", operations, "0x4c:0x6b 11/11/0, encap/0x0065 1/1/0"),
        (&[19, 64, 74], "stream/many-pdus-per-segment", operations, "3 modbus/1 10/10/0"),
        (&[74], "stream/split-at-every-byte", protocols, "modbus"),
        (&[70], "opcua/chunked-response", operations, "OpenSecureChannel 1/1/0, Read 3/3/0"),
        // Paths and bundles of CIP.
        (&[65], "enip/instance-width", objects, "5-5, 4660-4660, 74565-74565, 1-1"),
        (&[67], "enip/tag-path", objects, "Motor[3].Speed, Recipe[300], Flags, Big[70000].A"),
        (
            &[21, 66],
            "enip/multiple-service",
            operations,
            "0x07:0x64 1/1/0, 0x4c:0x6b 4/3/1, encap/0x0065 1/1/0, encap/0x0066 1/0/0",
        ),
        // What is encrypted is not guessed.
        (&[71], "opcua/encrypted", operations, ""),
        (&[71], "opcua/encrypted", security, "sign-and-encrypt"),
        (&[71], "opcua/encrypted-mid-stream", operations, ""),
        // Mirrors: copies count once; a VLAN on one side makes no second flow.
        (&[26, 27], "stream/duplicates-routed", operations, POLL),
        (&[26, 27], "stream/duplicates-routed", duplicates, "15 of 30"),
        (&[28], "stream/duplicates-exact", operations, POLL),
        (&[32], "link/vlan-one-direction", vlans, "[201] 1"),
        (&[75], "link/qinq", findings, ""),
        (&[77], "link/erspan-3", operations, POLL),
        (&[77], "link/erspan-3-subheader", operations, POLL),
        // Who is one device, and who is not.
        (&[34], "host/same-addresses-two-cells", findings, "address-overlap by 2 frames, address-overlap by 2 frames"),
        (&[40], "host/same-address-two-macs", findings, "duplicate-address by 2 frames"),
        (&[78], "host/two-addresses-one-mac", assets, "192.168.10.10+192.168.11.10, 192.168.10.5+192.168.11.5"),
        (&[76], "modbus/plc-to-plc", roles, "192.168.10.10 plc, 192.168.10.5 hmi"),
    ];
    let mut complaints = Vec::new();
    for (numbers, case, look, want) in rows {
        let found = look(&analyze(case));
        if found != *want {
            complaints.push(format!("{numbers:?} {case}:\n  is   {found}\n  want {want}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn analyze(case: &str) -> Value {
    let folder = root().join("fixtures").join(case);
    let capture = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let capture = capture.into_iter().find(|name| name.starts_with("capture.")).unwrap();
    let run = run_in(&folder, ["analyze", "--quiet", "--format", "json", &capture]);
    assert_eq!(run.code, Some(0), "{case}: {}", run.stderr);
    run.json()
}

/// Rows 15 and 4: a scan over all function codes keeps each of them, and polling for hours keeps one record.
#[test]
fn every_code_is_kept_and_no_record_a_pdu() {
    let scan = analyze("modbus/function-scan");
    let codes = list(&scan, "flows").flat_map(|flow| list(flow, "operations")).count();
    assert!(codes > 90, "{codes} function codes of a scan");
    let plant = analyze("plant");
    let pdus: u64 =
        plant["coverage"]["protocols"].as_object().unwrap().values().map(|p| p["pdus"].as_u64().unwrap()).sum();
    let records = list(&plant, "flows").flat_map(|flow| list(flow, "operations")).count() as u64;
    assert!(records * 20 < pdus, "{records} records of {pdus} PDUs");
}

/// Rows 29, 31 and 38: the same capture twice is the same inventory, every value names its frames, and a MAC belongs to
/// the address that it was seen with.
#[test]
fn an_inventory_is_the_same_again_and_names_its_frames() {
    let (one, two) = (analyze("plant"), analyze("plant"));
    assert_eq!(one["assets"], two["assets"]);
    for asset in list(&one, "assets") {
        for fact in list(asset, "facts") {
            assert!(fact["first"]["frame"].as_u64() <= fact["last"]["frame"].as_u64(), "{fact}");
        }
        for known in ["vendor", "product", "firmware", "serial"] {
            let told = asset[known].is_null() || list(asset, "facts").any(|fact| fact["attribute"] == known);
            assert!(told, "{known} of {} has no frame", asset["name"]);
        }
    }
    let mac_of = |ip: &str| {
        let asset = list(&one, "assets").find(|asset| list(asset, "ips").any(|own| own == ip)).unwrap();
        text(&asset["macs"][0]).to_owned()
    };
    assert_eq!((mac_of("10.20.1.50"), mac_of("10.20.1.60")), ("00:00:bc:20:01:50".into(), "00:00:bc:20:01:60".into()));
}
