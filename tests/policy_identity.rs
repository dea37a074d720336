//! Declared identities against what devices say of themselves, on the capture of the example plant.

#[path = "support/packets.rs"]
#[allow(dead_code)]
mod packets;
mod support;

use packets::analyze_files;
use support::root;

/// What is declared otherwise, when these lines stand in the `[[asset]]` of this id.
fn differences(id: &str, lines: &str) -> Vec<String> {
    let fixture = root().join("fixtures/plant");
    let policy = std::fs::read_to_string(fixture.join("plant.toml")).unwrap();
    let start = policy.lines().find(|line| line.starts_with("id ") && line.ends_with(&format!("\"{id}\""))).unwrap();
    let policy = policy.replace("expected_firmware = \"33.11\"\n", "").replace(start, &format!("{start}\n{lines}"));
    let analysis = analyze_files(&[fixture.join("capture.pcap")], &policy, 1);
    let findings = analysis["findings"].as_array().unwrap().iter();
    let found = findings.filter(|finding| finding["reason"]["code"] == "ZC022");
    found
        .map(|finding| {
            assert_eq!((&finding["kind"], &finding["verdict"]), (&"inventory".into(), &"review".into()));
            assert_eq!(finding["samples"].as_array().unwrap().len(), 1, "{finding:#}");
            let steps = finding["do_next"].to_string();
            assert!(steps.contains("the declaration is old") && steps.contains("the device was changed"), "{steps}");
            finding["what"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn what_a_device_says_otherwise_than_it_is_declared_is_a_finding() {
    for (case, id, lines, want) in [
        ("nothing declared", "plc-a1", "", None),
        (
            "all as it is, in other spellings",
            "plc-a1",
            "serial = \"00C8A110\"\nvendor = \"rockwell\"\nmodel = \"1756-L83E\"\nexpected_firmware = \"v33.011\"\n\
             mac = [\"00-1D-9C-20-01-10\"]",
            None,
        ),
        (
            "the firmware",
            "plc-a1",
            "expected_firmware = \"32.11\"",
            Some("plc-a1 is declared with firmware 32.11, and 33.11 was observed at 10.20.1.10 (enip, frame 382)."),
        ),
        (
            "the serial number",
            "plc-a1",
            "serial = \"00c8a111\"",
            Some(
                "plc-a1 is declared with serial 00c8a111, and 0x00c8a110 was observed at 10.20.1.10 (enip, frame 74).",
            ),
        ),
        (
            "the maker",
            "plc-a1",
            "vendor = \"Siemens\"",
            Some(
                "plc-a1 is declared with vendor Siemens, and Rockwell Automation/Allen-Bradley was observed at \
                 10.20.1.10 (enip, frame 74).",
            ),
        ),
        (
            "the model",
            "plc-a1",
            "model = \"1756-L81E\"",
            Some(
                "plc-a1 is declared with model 1756-L81E, and 1756-L83E/B was observed at 10.20.1.10 (enip, frame 382).",
            ),
        ),
        (
            "the MAC address, where frames through the firewall have another as well",
            "plc-b1",
            "mac = [\"00:80:f4:20:02:11\"]",
            Some(
                "plc-b1 is declared with mac 00:80:f4:20:02:11, and 00:80:f4:20:02:10 was observed at 10.20.2.10 (arp, \
                 frame 42).",
            ),
        ),
        ("an order number that only its build tells", "packer-c1", "model = \"6ES7 515-2AM01-0AB0\"", None),
        ("what nothing was observed of", "hist-1", "serial = \"X1\"\nvendor = \"Acme\"\nmodel = \"M\"", None),
    ] {
        assert_eq!(differences(id, lines), Vec::from_iter(want), "{case}");
    }
}
