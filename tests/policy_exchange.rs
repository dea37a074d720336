//! A policy as tables for a spreadsheet and back, and as a firewall proposal.

use std::path::PathBuf;

use toml::{Table, Value};
use zonewatch::policy::Policy;
use zonewatch::policy::exchange::{Sheet, export, import};
use zonewatch::policy::firewall::{nftables, proposal, table};

/// A number that is written as text is the same number: `units = ["1"]`.
fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => text.parse().map_or(Value::String(text), Value::Integer),
        Value::Array(list) => Value::Array(list.into_iter().map(plain).collect()),
        Value::Table(table) => Value::Table(table.into_iter().map(|(key, value)| (key, plain(value))).collect()),
        other => other,
    }
}

fn parsed(text: &str) -> Value {
    let mut table: Table = text.parse().unwrap();
    table.remove("schema");
    // Entries without any key leave no row.
    plain(Value::Table(table))
}

fn check(name: &str, text: &str) {
    let policy = Policy::parse("p.toml", text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    let sheets = export(&policy).unwrap();
    let (back, _) = import(&sheets).unwrap_or_else(|bad| panic!("{name}: {bad:#?}"));
    assert_eq!(parsed(&back), parsed(text), "{name}");
    assert_eq!(export(&Policy::parse("p.toml", &back).unwrap()).unwrap(), sheets, "{name}: once more");
}

#[test]
fn there_and_back() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("ZONEWATCH_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    for path in [
        root.join("fixtures/plant/plant.toml"),
        shared.join("policy/policy-example.toml"),
        shared.join("policy/policy-nested.toml"),
    ] {
        // What does not belong to the repository may be missing.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        check(&path.display().to_string(), &text);
    }
    check(
        "what spreadsheets and TOML do not agree on",
        r#"
        [site]
        id = "p"
        timezone = "UTC"
        [[zone]]
        id = "a"
        name = "=1+1; \"two\"\nlines, 'and' {more}"
        notes = "'-"
        sl_t = { all = 2, RDF = 3 }
        members = [ { cidr = "10.1.0.0/24" }, { ip = "10.2.0.1" }, { range = "10.2.0.10-10.2.0.19" }, { mac = "00:1b:21:aa:00:02" },
                    { vlan = 20, cidr = "10.9.0.0/16" }, { role = "plc", vendor = "Beispiel; GmbH" } ]
        inside = { default = "listed", allow = ["dns", { protocol = "modbus", functions = [3], units = [1] }], deny = ["ssh"] }
        [[zone]]
        id = "b"
        tags = ["[x]", "y; z"]
        members = [ { hostname = "*.plant.example" } ]
        inside = { default = "listed", allow = ["dns", "ntp"] }
        [[group]]
        id = "g"
        members = ["10.1.0.7", { role = "plc" }]
        [[conduit]]
        id = "C-1"
        owner = "x"
        from = ["a", "g"]
        to = ["b"]
        windows = ["mon-fri 06:00-18:00"]
        valid_until = 2026-12-31
        [[conduit.allow]]
        protocol = "opcua"
        services = ["Read"]
        objects = [ { node = "ns=2;s=Line1.*" }, { node = "ns=2;s=a; b" } ]
        security = { mode = "sign", policies = ["Basic256Sha256"] }
        [[conduit.allow]]
        protocol = "modbus"
        functions = [3, "43/14"]
        objects = [ { table = "holding", from = 0, to = 9 }, { table = "coil", from = 7, to = 7 } ]
        "#,
    );
}

#[test]
fn bad_cells_are_located() {
    let site = || Sheet { name: "site.csv".to_owned(), text: "id,timezone\np,UTC\n".to_owned() };
    for (case, name, text, want) in [
        (
            "no such member",
            "zones.csv",
            "id,members\na,10.1.0.0/24\nb,the cellar\n",
            "zones.csv: row 3, column members: error: \"the cellar\" is no member",
        ),
        (
            "no number",
            "zones.csv",
            "id,level,members\na,two,10.1.0.0/24\n",
            "zones.csv: row 2, column level: error: \"two\" is no value",
        ),
        (
            "what only the loader sees",
            "zones.csv",
            "id,members\na,10.1.0.5/24\n",
            "zones.csv: row 2, column members: error: 10.1.0.5/24 has address bits",
        ),
        (
            "no such column",
            "zones.csv",
            "id,membres\na,10.1.0.0/24\n",
            "zones.csv: row 2, column membres: error: [[zone]] has no key \"membres\"",
        ),
        (
            "a cell without a header",
            "zones.csv",
            "id,members\na,10.1.0.0/24,more\n",
            "zones.csv: row 2: error: a cell without a column header",
        ),
        ("no such table", "zonen.csv", "id\na\n", "zonen.csv: row 1: error: no such table"),
        (
            "the second allow row",
            "conduits.csv",
            "id,owner,from,to,allow.protocol,allow.functions\nC,x,10.1.0.1,10.1.0.2,modbus,3\nC,,,,modbos,4\n",
            "conduits.csv: row 3, column allow.protocol: error: there is no protocol called \"modbos\"",
        ),
        (
            "the first of two lines in a cell counts as one row",
            "zones.csv",
            "id,name,members\na,\"two\nlines\",10.1.0.0/24\nb,x,cellar\n",
            "zones.csv: row 3, column members: error: \"cellar\" is no member",
        ),
    ] {
        let sheet = Sheet { name: name.to_owned(), text: text.to_owned() };
        let bad = import(&[site(), sheet]).expect_err(case);
        let told: Vec<String> = bad.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.starts_with(want)), "{case}: {told:#?}");
    }
}

#[test]
fn spreadsheets_of_other_countries() {
    let zones = "\u{feff}id;level;safety;members\na;1;TRUE;10.1.0.0/24\n;;;\n";
    let sheets = [Sheet { name: "zones.csv".to_owned(), text: zones.to_owned() }];
    let (text, _) = import(&sheets).unwrap();
    let policy = Policy::parse("p.toml", &text).unwrap();
    assert!(policy.draft && policy.zones[0].safety, "{text}");
}

/// What a packet filter is proposed: by conduit, addresses and ports.
#[test]
fn firewall() {
    let text = r#"
        [site]
        id = "p"
        timezone = "UTC"
        [[zone]]
        id = "plant"
        members = [ { cidr = "10.1.0.0/16" } ]
        [[zone]]
        id = "cell"
        parent = "plant"
        members = [ { cidr = "10.1.1.0/24" } ]
        [[zone]]
        id = "sis"
        parent = "plant"
        safety = true
        members = [ { cidr = "10.1.2.0/24" } ]
        [[zone]]
        id = "scada"
        members = [ { ip = "10.6.0.1" }, { ip = "10.1.1.77" }, { cidr = "fd00:6::/64" } ]
        [[zone]]
        id = "wire"
        members = [ { mac = "00:1b:21:aa:00:02" } ]
        [[conduit]]
        id = "C-1"
        owner = "x"
        from = ["scada"]
        to = ["cell"]
        windows = ["mon-fri 06:00-18:00"]
        allow = [ { protocol = "modbus", functions = [3] }, { protocol = "tcp", ports = [22, "5000-5010"] } ]
        [[conduit]]
        id = "C-2"
        owner = "x"
        from = ["scada"]
        to = ["plant"]
        allow = [ { protocol = "icmp" } ]
        [[conduit]]
        id = "C-3"
        owner = "x"
        initiate = "to"
        from = ["10.6.0.1"]
        to = ["10.1.1.5"]
        allow = [ { protocol = "opcua", ops = ["observe"] }, { protocol = "goose" } ]
        [[conduit]]
        id = "C-4"
        owner = "x"
        from = ["wire"]
        to = ["cell"]
        allow = [ { protocol = "ntp" } ]
    "#;
    let policy = Policy::parse("p.toml", text).unwrap();
    let proposal = proposal(&policy);
    let lines: Vec<String> = proposal
        .lines
        .iter()
        .map(|line| {
            format!(
                "{} {} > {} {} {}",
                line.rule,
                line.from.join(" "),
                line.to.join(" "),
                line.transport,
                line.ports.join(" ")
            )
            .trim_end()
            .to_owned()
        })
        .collect();
    let cell = "10.1.1.0-10.1.1.76 10.1.1.78-10.1.1.255";
    assert_eq!(
        lines,
        [
            format!("C-1 10.1.1.77 10.6.0.1 > {cell} tcp 502"),
            format!("C-1 10.1.1.77 10.6.0.1 > {cell} udp 502"),
            format!("C-1 10.1.1.77 10.6.0.1 > {cell} tcp 22 5000-5010"),
            // The safety zone is not reached by what is said of the zone around it.
            format!("C-2 10.1.1.77 10.6.0.1 > 10.1.0.0/24 {cell} 10.1.3.0-10.1.255.255 icmp"),
            "C-3 10.1.1.5 > 10.6.0.1 tcp 4840".to_owned(),
        ]
    );
    assert_eq!(
        proposal.left_out,
        [
            "C-3: goose is carried by nothing that a packet filter tells apart",
            "C-4 from: zone \"wire\" has no IP addresses"
        ]
    );
    let rules = nftables(&policy, &proposal);
    for words in [
        "PROPOSAL",
        "policy drop;",
        "ip saddr { 10.1.1.77, 10.6.0.1 } ip daddr { 10.1.1.0-10.1.1.76, 10.1.1.78-10.1.1.255 } tcp dport 502 accept comment \"C-1\"",
        "tcp dport { 22, 5000-5010 }",
        "meta l4proto icmp accept",
        "# C-1: modbus functions 3 (not in the filter: operations, windows)",
    ] {
        assert!(rules.contains(words), "no {words} in\n{rules}");
    }
    assert!(table(&policy, &proposal).contains("PROPOSAL"));
}
