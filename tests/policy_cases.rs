//! The acceptance cases of the policy model: verdict, reason, reference, severity, score, terms and qualifiers.
//!
//! They lie beside the repository, in `../shared/policy` or below `ZONEWATCH_SHARED`. Without them the test says so and
//! passes.

use std::path::PathBuf;

use dissectors::{Class, Component, Item, Mode, Object, Token};
use serde_json::Value;
use zonewatch::address::{Address, Mac};
use zonewatch::flow::key::{Initiator, Transport};
use zonewatch::policy::{Cast, Ends, Judgement, Member, Outcome, Policy, Protection, Request, ZoneId};
use zonewatch::time::Timestamp;

fn shared() -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("ZONEWATCH_SHARED").map_or_else(default, PathBuf::from).join("policy");
    if folder.is_dir() {
        return Some(folder);
    }
    #[allow(clippy::print_stderr)] // A skipped test must be loud.
    {
        eprintln!("SKIPPED: no acceptance cases in {}; set ZONEWATCH_SHARED", folder.display());
    }
    None
}

#[test]
fn plant() {
    check("policy-example.toml", "cases.json", 66);
}

#[test]
fn nesting() {
    check("policy-nested.toml", "cases-nested.json", 7);
}

fn check(policy: &str, cases: &str, count: usize) {
    let Some(folder) = shared() else { return };
    let policy = Policy::load(&[folder.join(policy)]).unwrap_or_else(|error| panic!("{}", error.render(false)));
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(folder.join(cases)).unwrap()).unwrap();
    assert_eq!(cases.len(), count);
    let wrong: Vec<String> = cases.iter().filter_map(|case| differs(&policy, case)).collect();
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn differs(policy: &Policy, case: &Value) -> Option<String> {
    let expect = &case["expect"];
    let want = format!(
        "{} {} {} {} {} {} {}",
        text(&expect["verdict"]),
        text(&expect["reason"]),
        text(&expect["ref"]),
        text(&expect["severity"]),
        expect["score"],
        case["qualifiers"],
        case["terms"],
    );
    let got = judge(policy, &case["flow"]);
    (got != want).then(|| format!("{} {}\n  want {want}\n  got  {got}", text(&case["id"]), text(&case["title"])))
}

/// The worst operation of a flow is the flow's verdict.
fn judge(policy: &Policy, flow: &Value) -> String {
    let address = |key: &str| text(&flow[key]).parse::<Address>().unwrap();
    let transport = match flow["l4"].as_str() {
        None | Some("tcp") => Transport::Tcp,
        Some("udp") => Transport::Udp,
        Some(_) => Transport::Ethertype(0x8892),
    };
    let cast = match flow["cast"].as_str() {
        Some("multicast") => Cast::Multicast,
        Some("broadcast") => Cast::Broadcast,
        _ => Cast::Unicast,
    };
    let seen_in: Vec<ZoneId> =
        flow["seen_in"].as_str().map(|zone| policy.zone_named(zone).unwrap()).into_iter().collect();
    let conversation = policy.conversation(&Ends {
        client: Member::at(address("src")),
        server: Member::at(address("dst")),
        transport,
        port: number(&flow["dport"]).unwrap().try_into().unwrap(),
        vlan: None,
        initiator: if flow["initiator"] == "inferred" { Initiator::Inferred } else { Initiator::Seen },
        cast,
        seen_in: &seen_in,
        unapproved: flow["unapproved"] == true,
    });
    let mac = |key: &str| flow[key].as_str().map(|mac| mac.parse::<Mac>().unwrap());
    let state = flow["state"].as_str().unwrap_or("ok");
    let time: jiff::Timestamp = text(&flow["time"]).parse().unwrap();
    let base = Request {
        protocol: flow["proto"].as_str(),
        security: Protection {
            mode: match flow["sec"]["mode"].as_str() {
                Some("none") => Some(Mode::None),
                Some("sign") => Some(Mode::Sign),
                Some(_) => Some(Mode::SignAndEncrypt),
                None => None,
            },
            policy: flow["sec"]["policy"].as_str(),
            token: match flow["sec"]["token"].as_str() {
                Some("anonymous") => Some(Token::Anonymous),
                Some("username") => Some(Token::Username),
                Some(_) => Some(Token::Certificate),
                None => None,
            },
            version: flow["sec"]["version"].as_str(),
        },
        opaque: flow["opaque"] == true,
        rate: flow["rate"].as_str().and_then(|rate| rate.split('/').next()?.parse().ok()),
        path: mac("dst_mac").map(|to| (mac("src_mac").unwrap_or_default(), to)),
        blocked: matches!(state, "syn-only" | "reset" | "icmp-prohibited"),
        ..Request::at(Timestamp::new(time.as_second(), 0))
    };
    let operations: Vec<&Value> = match (&flow["ops"], &flow["op"]) {
        (Value::Array(list), _) => list.iter().collect(),
        (_, operation @ Value::Object(_)) => vec![operation],
        _ => Vec::new(),
    };
    let mut judgements: Vec<Judgement> =
        operations.iter().map(|operation| judge_operation(&conversation, policy, &base, operation)).collect();
    if judgements.is_empty() {
        judgements.push(conversation.judge(policy, &base));
    }
    let worst = judgements.into_iter().max_by_key(|judgement| judgement.rank(policy)).unwrap();
    let outcome = match state {
        "refused" => Outcome::Refused,
        "request-only" => Outcome::Unanswered,
        _ => Outcome::Answered,
    };
    let score = policy.score(&conversation, &worst, outcome);
    let qualifiers: Vec<&str> = worst.qualifiers.iter().map(|qualifier| qualifier.text()).collect();
    let terms: Vec<Value> =
        score.iter().flat_map(|score| &score.terms).map(|(text, points)| serde_json::json!([text, points])).collect();
    format!(
        "{} {} {} {} {} {} {}",
        worst.verdict.text(),
        worst.reason.map_or("", |reason| reason.code()),
        worst.statement.map(|statement| policy.reference(statement)).unwrap_or_default(),
        score.as_ref().map_or("-", |score| score.band.text()),
        score.as_ref().map_or(0, |score| score.value),
        serde_json::json!(qualifiers),
        Value::Array(terms),
    )
}

fn judge_operation(
    conversation: &zonewatch::policy::Conversation,
    policy: &Policy,
    base: &Request<'_>,
    operation: &Value,
) -> Judgement {
    let code = operation["function"].as_u64().map(|code| code.to_string()).unwrap_or_default();
    let space = match operation["table"].as_str() {
        Some("holding") => "holding",
        Some("input") => "input",
        Some("coil") => "coil",
        Some("discrete") => "discrete",
        _ => "",
    };
    let from = number(&operation["from"]).unwrap_or(0);
    let object = Object { space, item: Item::Range(from, number(&operation["to"]).unwrap_or(from)) };
    let objects = if space.is_empty() { Vec::new() } else { vec![object] };
    conversation.judge(
        policy,
        &Request {
            class: Class::parse(text(&operation["class"])),
            code: &code,
            component: number(&operation["unit"]).map(|unit| Component::number("modbus", u32::try_from(unit).unwrap())),
            objects: &objects,
            ..*base
        },
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
}
