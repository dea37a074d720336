//! Laws of the policy, over small plants that are made up by the machine.

use dissectors::{Class, Component, Item, Object};
use proptest::prelude::*;
use proptest::sample::select;
use zonewatch::flow::key::{Initiator, Transport};
use zonewatch::policy::{Cast, Ends, Judgement, Member, Policy, Request, Verdict};
use zonewatch::time::Timestamp;

/// A plant with a cell that has a safety cell in it, and the blocks that are always there.
const BLOCKS: [&str; 7] = [
    "[site]\nid = \"p\"\ntimezone = \"Europe/Stockholm\"\n",
    "[[zone]]\nid = \"sup\"\nlevel = 2\nsl_t = 2\nmembers = [ { cidr = \"10.1.0.0/24\" } ]\n",
    "[[zone]]\nid = \"plant\"\nlevel = 1\nsl_t = 2\nmembers = [ { cidr = \"10.2.0.0/16\" } ]\n",
    "[[zone]]\nid = \"cell\"\nparent = \"plant\"\nmembers = [ { cidr = \"10.2.1.0/24\" } ]\ninside = { allow = [\"modbus\"] }\n",
    "[[zone]]\nid = \"esd\"\nparent = \"plant\"\nsafety = true\nmembers = [ { cidr = \"10.2.1.128/28\" } ]\n",
    "[[asset]]\nid = \"plc\"\nip = [\"10.2.1.10\"]\n",
    "[[asset]]\nid = \"scada\"\nip = [\"10.1.0.10\"]\n",
];

/// Who opens, as rules say it: those first that most traffic comes from.
const FROM: [&str; 8] = ["sup", "scada", "plant", "cell", "plc", "10.2.1.0/25", "external", "unknown"];
/// Who answers.
const TO: [&str; 8] = ["cell", "plc", "plant", "10.2.1.0/25", "sup", "scada", "external", "unknown"];
const HOSTS: [&str; 8] =
    ["10.1.0.10", "10.1.0.11", "10.2.1.10", "10.2.1.11", "10.2.7.7", "10.2.1.130", "203.0.113.9", "192.168.1.1"];

/// The same hosts, those first that most traffic goes to.
const SERVERS: [&str; 8] =
    ["10.2.1.10", "10.2.1.11", "10.2.7.7", "10.2.1.130", "10.1.0.10", "10.1.0.11", "203.0.113.9", "192.168.1.1"];

fn allow() -> impl Strategy<Value = String> {
    select(vec![
        "{ protocol = \"modbus\", ops = [\"observe\"] }",
        "{ protocol = \"modbus\", ops = [\"all\"] }",
        "{ protocol = \"modbus\", functions = [6], objects = [ { table = \"holding\", from = 0, to = 9 } ] }",
        "{ protocol = \"http\" }",
        "{ protocol = \"tcp\", ports = [502] }",
    ])
    .prop_map(str::to_owned)
}

/// Mostly one of the first few, so that rules and traffic meet often enough for a law to be tried.
fn mostly<T: Clone + std::fmt::Debug + 'static>(first: usize, all: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop_oneof![3 => select(all[..first].to_vec()), 1 => select(all.to_vec())]
}

fn conduit(id: &'static str) -> impl Strategy<Value = String> {
    let windows = select(vec!["", "windows = [\"mon 06:00-18:00\"]\n", "windows = [\"tue 22:00-06:00\"]\n"]);
    let more = mostly(1, &["", "exact = true\n", "initiate = \"either\"\n"]);
    let ends = (mostly(2, &FROM), mostly(4, &TO));
    (ends, prop::collection::vec(allow(), 0..3), windows, more, any::<bool>())
        .prop_map(move |((from, to), allow, windows, more, exception)| {
            let (kind, end) = if exception { ("exception", "valid_until = 2026-12-31\n") } else { ("conduit", "") };
            let allow = allow.join(", ");
            format!(
                "[[{kind}]]\nid = \"{id}\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\nallow = [{allow}]\n{windows}{more}{end}"
            )
        })
}

fn deny() -> impl Strategy<Value = String> {
    (mostly(2, &FROM), mostly(4, &TO), select(vec!["", "ops = [\"operate\"]\n", "protocols = [\"modbus\"]\n"]))
        .prop_map(|(from, to, more)| format!("[[deny]]\nid = \"D\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\n{more}"))
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    (conduit("C-1"), conduit("C-2"), conduit("C-3")).prop_map(|(a, b, c)| vec![a, b, c])
}

#[derive(Clone, Debug)]
struct Traffic {
    client: &'static str,
    server: &'static str,
    operation: Option<(Class, &'static str, u64)>,
    protocol: Option<&'static str>,
    initiator: Initiator,
    at: i64,
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let operation = select(vec![
        None,
        Some((Class::Read, "3", 5)),
        Some((Class::Write, "6", 5)),
        Some((Class::Write, "6", 50)),
        Some((Class::Session, "", 0)),
    ]);
    let protocol = mostly(1, &[Some("modbus"), None, Some("http"), Some("ssh")]);
    let initiator = mostly(1, &[Initiator::Seen, Initiator::Inferred, Initiator::Unknown]);
    let (client, server) = (mostly(2, &HOSTS), mostly(2, &SERVERS));
    // A week from Monday 2026-11-16, by the half hour.
    let at = (0..336_i64).prop_map(|half_hour| 1_794_783_600 + half_hour * 1800);
    (client, server, operation, protocol, initiator, at).prop_map(
        |(client, server, operation, protocol, initiator, at)| Traffic {
            client,
            server,
            operation,
            protocol,
            initiator,
            at,
        },
    )
}

fn policy(blocks: &[String]) -> Policy {
    Policy::parse("p", &blocks.concat()).unwrap_or_else(|error| panic!("{error}\n{}", blocks.concat()))
}

fn plant(more: &[String]) -> Vec<String> {
    BLOCKS.iter().map(|block| (*block).to_owned()).chain(more.iter().cloned()).collect()
}

fn judge(policy: &Policy, traffic: &Traffic, at: Timestamp) -> Judgement {
    let conversation = policy.conversation(&Ends {
        client: Member::at(traffic.client.parse().unwrap()),
        server: Member::at(traffic.server.parse().unwrap()),
        transport: Transport::Tcp,
        port: 502,
        vlan: None,
        initiator: traffic.initiator,
        cast: Cast::Unicast,
        seen_in: &[],
        unapproved: false,
    });
    let object = traffic.operation.map(|(_, _, at)| Object { space: "holding", item: Item::Range(at, at) });
    let objects: Vec<_> = object.into_iter().collect();
    conversation.judge(
        policy,
        &Request {
            protocol: traffic.protocol,
            class: traffic.operation.map(|(class, ..)| class),
            code: traffic.operation.map_or("", |(_, code, _)| code),
            component: Some(Component::number("modbus", 1)),
            objects: &objects,
            ..Request::at(at)
        },
    )
}

fn verdict(policy: &Policy, traffic: &Traffic) -> Judgement {
    judge(policy, traffic, Timestamp::new(traffic.at, 0))
}

/// What a judgement says, in words that do not depend on the numbering of a policy.
fn said(policy: &Policy, judgement: &Judgement) -> String {
    let Judgement { verdict, reason, statement, stage, qualifiers, .. } = judgement;
    let reference = statement.map(|statement| policy.reference(statement));
    format!("{verdict:?} {reason:?} {reference:?} {stage:?} {qualifiers:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_order_of_blocks_is_invisible(
        blocks in (rules(), deny()).prop_map(|(rules, deny)| plant(&[rules, vec![deny]].concat()))
            .prop_flat_map(|blocks| (Just(blocks.clone()), Just(blocks).prop_shuffle())),
        traffic in traffic(),
    ) {
        let (one, other) = (policy(&blocks.0), policy(&blocks.1));
        let (a, b) = (verdict(&one, &traffic), verdict(&other, &traffic));
        prop_assert_eq!(said(&one, &a), said(&other, &b));
        prop_assert_eq!(a.valid_until, b.valid_until);
    }

    #[test]
    fn one_more_right_never_takes_one(rules in rules(), more in conduit("C-9"), traffic in traffic()) {
        let before = verdict(&policy(&plant(&rules)), &traffic).verdict;
        let after = verdict(&policy(&plant(&[rules, vec![more]].concat())), &traffic).verdict;
        if !before.is_finding() {
            prop_assert!(after <= before, "{:?} became {:?}", before, after);
        }
    }

    #[test]
    fn a_deny_is_never_undone_by_a_conduit(deny in deny(), rules in rules(), traffic in traffic()) {
        let alone = verdict(&policy(&plant(std::slice::from_ref(&deny))), &traffic);
        let with = verdict(&policy(&plant(&[rules, vec![deny]].concat())), &traffic);
        let denied = |judgement: &Judgement| judgement.reason.map(|reason| reason.code()) == Some("ZC019");
        // Where nobody knows who opened, the way that no deny speaks of may still be allowed.
        if denied(&alone) && traffic.initiator != Initiator::Unknown {
            prop_assert!(denied(&with) && with.verdict == Verdict::Violation);
        }
    }

    #[test]
    fn a_safety_zone_is_never_reached_through_its_parent(rules in rules(), traffic in traffic()) {
        // No end of the rules names the safety zone, but for one that names addresses or everything around it.
        let traffic = Traffic { server: "10.2.1.130", ..traffic };
        let judgement = verdict(&policy(&plant(&rules)), &traffic);
        let same_zone = traffic.client == traffic.server;
        prop_assert!(same_zone || judgement.verdict.is_finding(), "{:?}", judgement);
    }

    #[test]
    fn a_judgement_holds_until_it_says(rules in rules(), traffic in traffic(), share in 0.0..1.0_f64) {
        let policy = policy(&plant(&rules));
        let judgement = verdict(&policy, &traffic);
        let start = traffic.at;
        let end = (judgement.valid_until.nanos() / 1_000_000_000).min(start + 30 * 86_400);
        let later = start + ((end - start - 1).max(0) as f64 * share) as i64;
        let again = judge(&policy, &traffic, Timestamp::new(later, 0));
        prop_assert_eq!(said(&policy, &judgement), said(&policy, &again), "{} of {}", later, end);
    }
}

proptest! {
    /// A half-written file is told about, whatever it holds; it never stops the program.
    #[test]
    fn half_written_files_are_only_errors(
        rules in rules(),
        deny in deny(),
        cut in 0.0..1.0_f64,
        length in 0..40_usize,
        put in "[\\[\\]{}=\",.0-9a-z \n:/#\\-é]{0,8}",
    ) {
        let text: Vec<char> = plant(&[rules, vec![deny]].concat()).concat().chars().collect();
        let from = (text.len() as f64 * cut) as usize;
        let (before, rest) = text.split_at(from.min(text.len()));
        let after = rest.get(length..).unwrap_or_default();
        let broken: String = before.iter().copied().chain(put.chars()).chain(after.iter().copied()).collect();
        if let Err(found) = Policy::parse("p", &broken) {
            prop_assert!(!found.list.is_empty() && !found.render(false).is_empty());
        }
    }
}

/// A policy of many zones and conduits answers by what concerns a flow, not by its size.
#[test]
fn ten_thousand_conduits() {
    let mut text = String::from("[site]\nid = \"p\"\ntimezone = \"UTC\"\n");
    for n in 0..10_000_u32 {
        let (high, low) = (n / 250, n % 250);
        text += &format!(
            "[[zone]]\nid = \"z{n}\"\nlevel = 1\nmembers = [ {{ cidr = \"10.{high}.{low}.0/24\" }} ]\n\
             [[conduit]]\nid = \"c{n}\"\nowner = \"x\"\nfrom = [\"z{n}\"]\nto = [\"z{}\"]\n\
             allow = [ {{ protocol = \"modbus\", ops = [\"observe\"] }} ]\n",
            (n + 1) % 10_000,
        );
    }
    let policy = Policy::parse("many", &text).unwrap();
    let started = std::time::Instant::now();
    let flows = 20_000_u32;
    for n in 0..flows {
        let (from, to) = (n % 10_000, (n + 1 + n % 2) % 10_000);
        let host = |n: u32| Member::at(format!("10.{}.{}.7", n / 250, n % 250).parse().unwrap());
        let conversation = policy.conversation(&Ends {
            client: host(from),
            server: host(to),
            transport: Transport::Tcp,
            port: 502,
            vlan: None,
            initiator: Initiator::Seen,
            cast: Cast::Unicast,
            seen_in: &[],
            unapproved: false,
        });
        let request = Request {
            protocol: Some("modbus"),
            class: Some(Class::Read),
            code: "3",
            ..Request::at(Timestamp::new(0, 0))
        };
        let judgement = conversation.judge(&policy, &request);
        let want = if n % 2 == 0 { Verdict::Allow } else { Verdict::Violation };
        assert_eq!(judgement.verdict, want, "{from} to {to}");
    }
    let each = started.elapsed() / flows;
    assert!(each < std::time::Duration::from_millis(1), "{each:?} a flow");
}
