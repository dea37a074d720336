//! What is wrong with a policy is told in one run, each thing at its place and with a way out.

use zonewatch::policy::Policy;

/// A small plant that is right.
const PLANT: &str = r#"
[site]
id = "mill"
timezone = "Europe/Stockholm"
[[zone]]
id = "sup"
level = 2
sl_t = { all = 2 }
members = [ { cidr = "10.60.0.0/24" } ]
[[zone]]
id = "cell-b"
level = 1
sl_t = 2
members = [ { cidr = "10.20.2.0/24" } ]
[[zone]]
id = "sis"
safety = true
members = [ { cidr = "10.30.0.0/28" } ]
"#;

/// The errors of the plant with something added, one a line and without the file's name.
fn errors(added: &str) -> Vec<String> {
    let text = format!("{PLANT}{added}");
    let found = match Policy::parse("p", &text) {
        Ok(policy) => policy.warnings,
        Err(diagnostics) => diagnostics,
    };
    found.to_string().lines().map(str::to_owned).collect()
}

/// Each added piece with a text that some line must hold.
#[test]
fn mistakes() {
    let mut missing = Vec::new();
    for (case, added, want) in [
        ("unknown key", "[[conduit]]\nid = \"C\"\nform = [\"sup\"]", "has no key \"form\" (did you mean \"from\"?)"),
        ("unknown table", "[[conduits]]\nid = \"C\"", "has no key \"conduits\" (did you mean \"conduit\"?)"),
        (
            "dangling name",
            "[[conduit]]\nid = \"C\"\nfrom = [\"sup\"]\nto = [\"cel-b\"]",
            "p:22:7: error: no zone, asset or group is called \"cel-b\"",
        ),
        (
            "same members",
            "[[zone]]\nid = \"x\"\nmembers = [ { cidr = \"10.60.0.0/24\" } ]",
            "p:21:13: error: two zones claim the same members; and here at p:9:13",
        ),
        ("same id", "[[asset]]\nid = \"sup\"", "the id \"sup\" is used twice; first here at p:6:6"),
        ("bad id", "[[zone]]\nid = \"a b\"", "\"a b\" is not an id"),
        ("reserved id", "[[zone]]\nid = \"any\"", "\"any\" is a reserved word"),
        (
            "exception without end",
            "[[exception]]\nid = \"X\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\nallow = [{ protocol = \"http\" }]",
            "exception X has no end",
        ),
        (
            "exception too long",
            "[[exception]]\nid = \"X\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\nvalid_from = 2026-01-01\nvalid_until = 2026-12-31",
            "exception X lasts 365 days",
        ),
        (
            "decoded protocol without operations",
            "[[conduit]]\nid = \"C\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\nallow = [{ protocol = \"modbus\" }]",
            "modbus without operations would allow writing and programming",
        ),
        (
            "operations in two ways",
            "[[conduit]]\nid = \"C\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\nallow = [{ protocol = \"modbus\", ops = [\"read\"], functions = [6] }]",
            "says its operations in two ways",
        ),
        (
            "tcp without ports",
            "[[conduit]]\nid = \"C\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\nallow = [{ protocol = \"tcp\" }]",
            "tcp without ports would allow everything",
        ),
        (
            "unknown protocol",
            "[[conduit]]\nid = \"C\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\nallow = [{ protocol = \"modbsu\", ops = [\"read\"] }]",
            "there is no protocol called \"modbsu\"",
        ),
        (
            "unknown class",
            "[[conduit]]\nid = \"C\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\nallow = [{ protocol = \"modbus\", ops = [\"raed\"] }]",
            "(did you mean \"read\"?)",
        ),
        (
            "ignore that hides writes",
            "[[ignore]]\nid = \"I\"\nfrom = [\"sup\"]\nto = [\"sup\"]\nprotocols = [\"modbus\"]",
            "ignoring modbus would hide writes and programming",
        ),
        (
            "ignore of everything",
            "[[ignore]]\nid = \"I\"\nfrom = [\"sup\"]\nto = [\"sup\"]",
            "I would hide every protocol",
        ),
        (
            "one-way TCP",
            "[[conduit]]\nid = \"C\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\none_way = true\nallow = [{ protocol = \"https\" }]",
            "a one-way conduit cannot carry TCP",
        ),
        (
            "any to safety",
            "[[conduit]]\nid = \"C\"\nfrom = [\"any\"]\nto = [\"sis\"]\nallow = [{ protocol = \"ntp\" }]",
            "C opens a safety zone to anybody",
        ),
        ("bad window", "[[conduit]]\nid = \"C\"\nwindows = [\"mon-fry 06:00-18:00\"]", "\"fry\" is not a day"),
        (
            "bits behind the prefix",
            "[[zone]]\nid = \"x\"\nmembers = [ { cidr = \"10.9.1.5/24\" } ]",
            "write 10.9.1.0/24 for the network",
        ),
        ("bad MAC", "[[asset]]\nid = \"a\"\nmac = [\"00:1b:21:aa:00\"]", "is not a MAC address"),
        ("empty range", "[[zone]]\nid = \"x\"\nmembers = [ { range = \"10.9.1.9-10.9.1.1\" } ]", "is empty"),
        (
            "ports upside down",
            "[[conduit]]\nid = \"C\"\nallow = [{ protocol = \"udp\", ports = [\"20-10\"] }]",
            "is not a port or a range",
        ),
        (
            "port too large",
            "[[conduit]]\nid = \"C\"\nallow = [{ protocol = \"udp\", ports = [70000] }]",
            "70000 is out of range: 0 to 65535",
        ),
        (
            "two selectors in one",
            "[[zone]]\nid = \"x\"\nmembers = [ { ip = \"10.1.1.1\", mac = \"00:1b:21:aa:00:02\" } ]",
            "this is not one selector",
        ),
        (
            "a VLAN that there is not",
            "[[conduit]]\nid = \"C\"\nallow = [{ protocol = \"https\", vlan = 4095 }]",
            "a VLAN is a number from 0 to 4094",
        ),
        (
            "a marking that there is not",
            "[[conduit]]\nid = \"C\"\nallow = [{ protocol = \"https\", dscp = 64 }]",
            "a DSCP is a number from 0 to 63",
        ),
        (
            "a marking of what has none",
            "[[conduit]]\nid = \"C\"\nallow = [{ protocol = \"lldp\", dscp = 46 }]",
            "lldp has no IP header, and so no DSCP",
        ),
        (
            "a limit where there is nothing to limit",
            "[[zone]]\nid = \"x\"\ninside = { deny = [{ protocol = \"https\", dscp = 46 }] }",
            "dscp limits what is allowed, and this list forbids",
        ),
        (
            "a link address of no station",
            "[[zone]]\nid = \"x\"\nmembers = [ { dnp3_link = 65535 } ]",
            "the link address of a station is a number from 0 to 65519",
        ),
        (
            "one query of two zones",
            "[[zone]]\nid = \"x\"\nmembers = [ { role = \"plc\" } ]\n[[zone]]\nid = \"y\"\nmembers = [ { role = \"PLC\" } ]",
            "two zones claim the same members",
        ),
        ("zone in itself", "[[zone]]\nid = \"x\"\nparent = \"x\"", "zone \"x\" lies in itself"),
        ("level", "[[zone]]\nid = \"x\"\nlevel = 2.5", "a level is 0, 1, 2, 3, 3.5, 4 or 5"),
        ("security level", "[[zone]]\nid = \"x\"\nsl_t = { all = 5 }", "a security level is 0, 1, 2, 3 or 4"),
        ("wrong type", "[[zone]]\nid = 7", "expected text, found an integer"),
        ("two sites", "[site]\nid = \"b\"", "duplicate key"),
        ("conduit with a risk owner", "[[conduit]]\nid = \"C\"\nrisk_owner = \"x\"", "belongs to an exception"),
        (
            "override of nothing",
            "[[exception]]\nid = \"X\"\nvalid_until = 2026-12-31\noverrides = [\"D-1\"]",
            "no deny is called \"D-1\"",
        ),
        ("weight of nothing", "[severity]\nweights = { wirte = 3 }", "(did you mean \"write\"?)"),
        ("not TOML", "[[zone]]\nid = ", "not TOML"),
        ("nobody", "[[deny]]\nid = \"D\"\nfrom = []\nto = [\"sis\"]", "\"from\" names nobody"),
        (
            "translation of two sizes",
            "[[nat]]\noutside = \"10.1.0.0/24\"\ninside = \"10.2.0.0/25\"",
            "are not of one size",
        ),
    ] {
        let found = errors(added);
        if !found.iter().any(|line| line.contains(want)) {
            missing.push(format!("{case}: no \"{want}\" in\n{}", found.join("\n")));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

/// What a good policy should not have: each added piece, and a text that some line must hold; empty: nothing at all.
#[test]
fn warnings() {
    const TIME: &str = "[[conduit]]\nid = \"T\"\nowner = \"x\"\nfrom = [\"cell-b\"]\nto = [\"sup\"]\nallow = [{ protocol = \"ntp\" }]\n";
    let conduit = |id: &str, keys: &str| {
        format!("[[conduit]]\nid = \"{id}\"\nowner = \"x\"\nfrom = [\"sup\"]\nto = [\"cell-b\"]\n{keys}\n")
    };
    let safety = |names: &str| {
        format!(
            "[[exception]]\nid = \"X\"\nrisk_owner = \"x\"\nfrom = [\"sup\"]\nto = [\"sis\"]\nvalid_until = 2026-12-31\nallow = [{{ protocol = \"https\" }}]\n{names}"
        )
    };
    let modbus = "allow = [{ protocol = \"modbus\", ops = [\"read\"] }]";
    let purpose =
        |text: &str| format!("[[zone]]\nid = \"p\"\nmembers = [{{ cidr = \"10.9.8.0/24\" }}]\npurpose = \"{text}\"\n");
    let asset =
        |id: &str, ip: &str, role: &str| format!("[[asset]]\nid = \"{id}\"\nip = [\"{ip}\"]\nrole = \"{role}\"\n");
    for (case, added, want) in [
        ("a conduit for time is all it takes", String::new(), ""),
        ("clear text", conduit("C", modbus), "C carries modbus in clear text, and \"sup\" has SL-T 2"),
        ("what makes up for it", conduit("C", &format!("{modbus}\ncompensating = [\"locked\"]")), ""),
        ("encrypted", conduit("C", "allow = [{ protocol = \"https\" }]"), ""),
        (
            "within a wider one",
            conduit("C-1", "allow = [{ protocol = \"https\" }]\nwindows = [\"mon 06:00-07:00\"]")
                + &conduit("C-2", "allow = [{ protocol = \"https\" }]"),
            "C-1 never decides: C-2 allows all of it",
        ),
        (
            "two equal ones are told once",
            conduit("C-1", "allow = [{ protocol = \"https\" }]")
                + &conduit("C-2", "allow = [{ protocol = \"https\" }]"),
            "C-2 never decides: C-1 allows all of it",
        ),
        (
            "both narrow",
            conduit("C-1", "allow = [{ protocol = \"https\" }]\nwindows = [\"mon 06:00-07:00\"]")
                + &conduit("C-2", "allow = [{ protocol = \"https\" }]\nwindows = [\"tue 06:00-07:00\"]"),
            "",
        ),
        ("wide members", "[[zone]]\nid = \"w\"\nmembers = [{ cidr = \"11.0.0.0/8\" }]\n".to_owned(), "as wide as a /8"),
        ("not so wide members", "[[zone]]\nid = \"w\"\nmembers = [{ cidr = \"11.0.0.0/9\" }]\n".to_owned(), ""),
        (
            "levels far apart",
            "[[zone]]\nid = \"low\"\nmembers = [{ ip = \"10.9.9.9\" }]\n".to_owned()
                + &conduit("C", "allow = [{ protocol = \"https\" }]").replace("\"sup\"", "\"low\""),
            "C joins \"low\" (SL-T 0) and \"cell-b\" (SL-T 2) with no boundary device",
        ),
        ("two purposes", purpose("Boiler control and office printing"), "two purposes: control and office"),
        ("one purpose in two words", purpose("ESD and burner management, own engineering station"), ""),
        ("an and of no two purposes", purpose("Only meeting point of IT and OT: mirror historian, patch relay"), ""),
        (
            "levels two apart in one zone",
            asset("a", "10.9.8.1", "plc") + &asset("b", "10.9.8.2", "workstation") + &purpose("Mixed"),
            "holds a of level 1 and b of level 4",
        ),
        (
            "who may not program",
            asset("e", "10.60.0.9", "hmi")
                + "engineering = false\n"
                + &conduit("C", "windows = [\"mon 06:00-07:00\"]\nallow = [{ protocol = \"enip\", ops = [\"program\"] }]")
                    .replace("\"sup\"", "\"e\""),
            "C lets e program, which has engineering = false",
        ),
        (
            "who may",
            asset("e", "10.60.0.9", "hmi")
                + "engineering = true\n"
                + &conduit("C", "windows = [\"mon 06:00-07:00\"]\ncompensating = [\"locked\"]\nallow = [{ protocol = \"enip\", ops = [\"program\"] }]")
                    .replace("\"sup\"", "\"e\""),
            "",
        ),
        ("the time source is where time comes from", asset("t", "10.60.0.9", "server") + "time_source = true\n", ""),
        (
            "the time source is elsewhere",
            asset("t", "10.20.2.9", "server") + "time_source = true\n",
            "T carries time from where no asset is a time_source",
        ),
        (
            "a key switch",
            "[[asset]]\nid = \"k\"\nip = [\"10.9.8.1\"]\nkey_must_be = \"run\"\n".to_owned() + &purpose("Keys"),
            "not checked",
        ),
        (
            "one approver",
            safety("approved_by = [\"A\"]\n"),
            "X is an exception for the safety zone \"sis\" and not approved by two",
        ),
        ("one approver twice", safety("approved_by = [\"A\", \"A \"]\n"), "not approved by two"),
    ] {
        let found = errors(&format!("{TIME}{added}"));
        let right = if want.is_empty() { found.is_empty() } else { found.iter().any(|line| line.contains(want)) };
        assert!(right, "{case}: \"{want}\" against\n{}", found.join("\n"));
        assert!(found.iter().filter(|line| line.contains("never decides")).count() <= 1, "{case}");
    }
    let found = errors(&conduit("C", "allow = [{ protocol = \"https\" }]"));
    assert!(found.iter().any(|line| line.contains("no conduit carries time")), "{found:?}");
}

#[test]
fn a_good_policy_has_nothing_wrong() {
    assert_eq!(errors(""), Vec::<String>::new());
}

/// A file full of mistakes, and the whole answer.
#[test]
fn all_in_one_run() {
    let added = "\
[[asset]]
id = \"plc 1\"
ip = [\"10.20.2.300\"]
[[conduit]]
id = \"C-1\"
form = [\"sup\"]
to = [\"cel-b\"]
windows = [\"moon 06:00-18:00\"]
allow = [{ protocol = \"modbus\" }]
";
    let want = [
        "p:20:6: error: \"plc 1\" is not an id",
        "p:21:7: error: \"10.20.2.300\" is not an IPv4 or IPv6 address",
        "p:22:1: error: \"from\" names nobody",
        "p:24:1: error: a conduit or exception has no key \"form\"",
        "p:25:7: error: no zone, asset or group is called \"cel-b\"",
        "p:26:12: error: \"moon\" is not a day",
        "p:27:23: error: modbus without operations",
    ];
    let found = errors(added);
    for want in want {
        assert!(found.iter().any(|line| line.starts_with(want)), "no {want} in\n{}", found.join("\n"));
    }
}

#[test]
fn errors_show_the_line() {
    let text = format!(
        "{PLANT}[[conduit]]\nid = \"C\"\nowner = \"x\"\nfrom = [\"sup\"]\nto = [\"cel-b\"]\nallow = [{{ protocol = \"http\" }}]\n"
    );
    let shown = Policy::parse("plant.toml", &text).unwrap_err().render(false);
    let want = "\
error: no zone, asset or group is called \"cel-b\"
  --> plant.toml:23:7
   |
23 | to = [\"cel-b\"]
   |       ^^^^^^^ did you mean \"cell-b\"?
";
    assert_eq!(shown.trim_end(), want.trim_end(), "\n{shown}");
}

/// A policy in JSON: each mistake at its line and column, as in TOML.
#[test]
fn json_has_lines_too() {
    let text = r#"{
  "site": { "id": "mill", "timezone": "Europe/Stockholm" },
  "zone": [
    { "id": "sup", "level": 2.5, "members": [ { "cidr": "10.60.0.0/24" } ] },
    { "id": "cell b", "members": [ { "cidr": "10.20.2.0/24" } ] }, { "id": 7 }
  ],
  "conduit": [
    {
      "id": "C-1", "form": ["sup"], "owner": "x",
      "to": ["cel-b"],
      "windows": ["moon 06:00-18:00"],
      "allow": [ { "protocol": "modbus" } ]
    }
  ]
}"#;
    let found = Policy::parse("p.json", text).unwrap_err();
    let told: Vec<String> = found.to_string().lines().map(str::to_owned).collect();
    for want in [
        "p.json:4:29: error: a level is",
        "p.json:5:13: error: \"cell b\" is not an id",
        "p.json:5:76: error: expected text, found an integer",
        "p.json:9:20: error: a conduit or exception has no key \"form\"",
        "p.json:10:14: error: no zone, asset or group is called \"cel-b\"",
        "p.json:11:19: error: \"moon\" is not a day",
        "p.json:12:32: error: modbus without operations",
    ] {
        assert!(told.iter().any(|line| line.starts_with(want)), "no {want} in\n{}", told.join("\n"));
    }
    assert!(found.render(false).contains("10 |       \"to\": [\"cel-b\"],"), "{}", found.render(false));
    for (case, text, want) in [
        ("a key twice", "{ \"zone\": [],\n  \"zone\": [] }", "p.json:2:3: error: the key \"zone\" is given twice"),
        ("not JSON", "{ \"zone\": [\n}", "p.json:2:1: error: not JSON"),
        ("nested without end", &"[".repeat(100_000), "p.json:1:128: error: not JSON: recursion limit exceeded"),
    ] {
        let told = Policy::parse("p.json", text).unwrap_err().to_string();
        assert!(told.contains(want), "{case}: {}", &told[..told.len().min(300)]);
    }
}

/// What comes of files that are odd as a whole: the errors, each in its first words, and no other.
#[test]
fn odd_files() {
    let site = "[site]\nid = \"a\"\ntimezone = \"UTC\"\n";
    let text = |text: &str| format!("{site}{text}").into_bytes();
    let long = format!("[site]\nid = \"{}\"\n", "a".repeat(5 << 20)).into_bytes();
    let deep = text(&format!("[[zone]]\nid = \"x\"\nnotes = {}{}\n", "[".repeat(20_000), "]".repeat(20_000)));
    for (case, bytes, want) in [
        ("empty", Vec::new(), &["there is no [site]"][..]),
        ("with a byte order mark and CRLF", [b"\xEF\xBB\xBF", site.replace('\n', "\r\n").as_bytes()].concat(), &[]),
        ("UTF-16", b"\xFF\xFE[\0s\0".to_vec(), &["cannot read p.toml: it is UTF-16; save it as UTF-8"]),
        (
            "Latin-1",
            [&*text("[[zone]]\nid = \"x\"\nname = \""), b"K\xFChlung\"\n"].concat(),
            &["cannot read p.toml: byte 0xfc in line 6 is not UTF-8; save it as UTF-8"],
        ),
        ("an id of 5 MiB", long, &["\"aaaaaaaaaa"]),
        ("twenty thousand brackets", deep, &["expected text, found a list", "not TOML: "]),
        (
            "zones around each other",
            text("[[zone]]\nid = \"x\"\nparent = \"y\"\n[[zone]]\nid = \"y\"\nparent = \"x\"\n"),
            &["zone \"x\" lies in itself", "zone \"y\" lies in itself"],
        ),
        (
            "addresses with zone indices",
            text("[[zone]]\nid = \"x\"\nmembers = [ { ip = \"fe80::1%eth0\" }, { cidr = \"fe80::%3/64\" } ]\n"),
            &[
                "\"fe80::1%eth0\" is not an IPv4 or IPv6 address",
                "\"fe80::%3/64\" is not an address, a CIDR or a range",
            ],
        ),
        (
            "an end before the beginning, long ago",
            text(
                "[[zone]]\nid = \"x\"\nmembers = [ { ip = \"10.0.0.1\" } ]\n[[exception]]\nid = \"X\"\nfrom = [\"x\"]\n\
                 to = [\"external\"]\nvalid_from = 0002-01-01\nvalid_until = 0001-01-01\nallow = [ { protocol = \"https\" } ]\n",
            ),
            &["X ends before it begins"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.toml"), bytes).unwrap();
        let found = match Policy::load(&[folder.path().to_owned()]) {
            Ok(_) => Vec::new(),
            Err(found) => found.list,
        };
        let prefix = format!("{}/", folder.path().display());
        let says: Vec<String> = found.iter().map(|one| one.message.replace(&prefix, "")).collect();
        let fits = says.len() == want.len() && says.iter().zip(want).all(|(says, want)| says.starts_with(want));
        assert!(fits, "{case}: {says:?}");
        assert!(says.iter().all(|says| says.len() < 1000), "{case}: no message is as long as the file");
    }
}
