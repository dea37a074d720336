//! Findings in sentences, on a plant that is made up here; and what they propose does allow what was seen.

use dissectors::{Class, Component, Item, Object};
use zonewatch::flow::key::{Initiator, Transport};
use zonewatch::policy::{Cast, Context, Ends, Judgement, Member, Policy, Request, Touched, Who};
use zonewatch::time::Timestamp;

const PLANT: &str = r#"
[site]
id = "mill"
timezone = "Europe/Stockholm"
[[zone]]
id = "supervision"
level = 2
sl_t = 2
members = [ { cidr = "10.60.0.0/24" } ]
[[zone]]
id = "cell-b"
name = "Utilities cell B"
level = 1
sl_t = { all = 2, RDF = 3 }
owner = "Operations"
members = [ { cidr = "10.20.2.0/24" } ]
[[asset]]
id = "scada-1"
name = "SCADA server 1"
role = "scada-server"
ip = ["10.60.0.10"]
[[asset]]
id = "plc-b1"
name = "Boiler controller"
role = "plc"
ip = ["10.20.2.10"]
[[conduit]]
id = "C-031"
from = ["scada-1"]
to = ["plc-b1"]
owner = "Operations"
ticket = "CHG-7"
[[conduit.allow]]
protocol = "modbus"
functions = [3]
units = [1]
[[conduit.allow]]
protocol = "modbus"
functions = [6, 16]
units = [1]
objects = [ { table = "holding", from = 100, to = 119 } ]
[[deny]]
id = "D-01"
reason = "Only the boiler's own panel changes its mode"
from = ["any"]
to = ["cell-b"]
ops = ["mode"]
"#;

struct Case {
    client: &'static str,
    class: Class,
    code: &'static str,
    range: (u64, u64),
}

/// 2026-11-16 10:15:00 in Stockholm.
const AT: i64 = 1_794_820_500;

fn judge(policy: &Policy, case: &Case) -> Judgement {
    let conversation = policy.conversation(&Ends {
        client: Member::at(case.client.parse().unwrap()),
        server: Member::at("10.20.2.10".parse().unwrap()),
        transport: Transport::Tcp,
        port: 502,
        vlan: None,
        initiator: Initiator::Seen,
        cast: Cast::Unicast,
        seen_in: &[],
        unapproved: false,
    });
    let objects = [Object { space: "holding", item: Item::Range(case.range.0, case.range.1) }];
    conversation.judge(
        policy,
        &Request {
            protocol: Some("modbus"),
            class: Some(case.class),
            code: case.code,
            component: Some(Component::number("modbus", 1)),
            objects: &objects,
            ..Request::at(Timestamp::new(AT, 0))
        },
    )
}

#[test]
fn sentences() {
    for (case, want, conduit) in [
        (
            Case { client: "10.60.0.10", class: Class::Write, code: "16", range: (200, 201) },
            "SCADA server 1 (scada-server, supervision) wrote holding 200–201 of Boiler controller unit 1 (plc, Utilities \
             cell B) with Write Multiple Registers (modbus) at 2026-11-16 10:15:00 CET; C-031 allows modbus functions 3 on \
             unit 1; modbus functions 6, 16 on unit 1, holding 100–119 only. Answered. 14 times until 10:16:00. Frames 1204, 1377.",
            "exception",
        ),
        (
            Case { client: "10.60.0.20", class: Class::Read, code: "3", range: (0, 9) },
            "10.60.0.20 (supervision) read holding 0–9 of Boiler controller unit 1 (plc, Utilities cell B) with Write \
             Multiple Registers (modbus) at 2026-11-16 10:15:00 CET; C-031 joins these zones for scada-1 to plc-b1 only. \
             Answered. 14 times until 10:16:00. Frames 1204, 1377.",
            "conduit",
        ),
        (
            Case { client: "10.60.0.10", class: Class::Mode, code: "90", range: (0, 0) },
            "SCADA server 1 (scada-server, supervision) changed the operating mode of Boiler controller unit 1 \
             (plc, Utilities cell B), holding 0, with Write Multiple Registers (modbus) at 2026-11-16 10:15:00 CET; D-01 forbids \
             it. Answered. 14 times until 10:16:00. Frames 1204, 1377.",
            "exception",
        ),
    ] {
        let policy = Policy::parse("plant.toml", PLANT).unwrap();
        let judgement = judge(&policy, &case);
        let touched = [Touched { space: "holding", range: case.range }];
        let source = policy.zone_of(&Member::at(case.client.parse().unwrap()));
        let known = source.asset.and_then(|asset| policy.asset(asset));
        let finding = Context {
            verdict: judgement.verdict,
            reason: judgement.reason.unwrap(),
            statement: judgement.statement,
            stage: judgement.stage,
            source: Who {
                id: known.map_or(case.client, |asset| &asset.id),
                name: known.map_or(case.client, |asset| &asset.name),
                role: known.and_then(|asset| asset.role.as_deref()),
                zone: source.zone,
            },
            destination: Who {
                id: "plc-b1",
                name: "Boiler controller",
                role: Some("plc"),
                zone: policy.zone_named("cell-b").unwrap(),
            },
            service: "modbus",
            protocol: Some("modbus"),
            transport: "tcp",
            port: 502,
            class: case.class,
            code: case.code,
            operation: "Write Multiple Registers",
            unit: Some(1),
            ranges: &touched,
            names: &[],
            answered: 14,
            refused: 0,
            count: 14,
            first: Timestamp::new(AT, 0),
            last: Timestamp::new(AT + 60, 0),
            peak: None,
            frames: &[1204, 1377],
        };
        assert_eq!(policy.what(&finding), want);
        assert!(policy.why(&finding).starts_with(judgement.reason.unwrap().code()));
        assert!(policy.do_next(&finding).iter().all(|step| step.ends_with('.')));

        // The proposal is a policy text, and with it what was seen is allowed.
        let proposal = policy.harmless(&finding).unwrap();
        assert!(proposal.starts_with(&format!("[[{conduit}]]")), "{proposal}");
        let widened =
            Policy::parse("plant.toml", &format!("{PLANT}{proposal}")).unwrap_or_else(|error| panic!("{error}"));
        let again = judge(&widened, &case);
        assert!(!again.verdict.is_finding(), "{again:?}\n{proposal}");
    }
}
