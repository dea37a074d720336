use std::fmt::Write as _;

use dissectors::{Class, REGISTRY};
use serde_json::{Value, json};

use crate::cli::PolicyExplain;
use crate::command::{Done, Failure, Outcome, analyze, print};
use crate::output::escape::terminal;
use crate::policy::{Asked, Policy, Question, code_matches};

pub(super) fn run(options: &PolicyExplain) -> Outcome {
    let policy = analyze::load_policy(&options.policy, true)?.ok_or("explain needs a policy")?;
    let question = question(&policy, options)?;
    let mut text = String::new();
    for step in policy.trace(&question) {
        for (line, says) in step.says.iter().enumerate() {
            let name = if line == 0 { step.name } else { "" };
            let _ = writeln!(text, "{name:<12} {}", terminal(says));
        }
    }
    print(&text)?;
    Ok(Done::Clean)
}

fn question(policy: &Policy, options: &PolicyExplain) -> Result<Question, Failure> {
    let (client, server) = (policy.address(&options.source)?, policy.address(&options.destination)?);
    let at = options.at.as_deref().map_or_else(|| Ok(policy.now()), |at| policy.instant(at))?;
    // `tcp/445` is a port of which nothing more is known.
    let (name, transport, port) = match options.protocol.split_once('/') {
        Some((transport, port)) => {
            let port = port.parse().map_err(|_| format!("\"{port}\" is not a port: 0 to 65535"))?;
            (None, policy.carrier(None, Some(transport))?.0, port)
        }
        None => {
            let (transport, port) = policy.carrier(Some(&options.protocol), options.transport.as_deref())?;
            (Some(options.protocol.clone()), transport, port)
        }
    };
    let mut question = Question::new(at, client, server, transport, options.port.unwrap_or(port));
    let known = |word: &str| name.as_deref().map_or_else(Vec::new, |name| functions(name, word));
    question.operations = Asked::parse(&options.operation, known)?;
    if let Some(security) = &options.security {
        question.protected(security)?;
    }
    question.protocol = name;
    question.set(policy, &conditions(options))?;
    Ok(question)
}

/// What is around the flow, as a test case writes it.
fn conditions(options: &PolicyExplain) -> Value {
    let seen_in = (!options.seen_in.is_empty()).then_some(&options.seen_in);
    json!({
        "opaque": options.opaque,
        "state": options.outcome,
        "rate": options.rate,
        "byte_rate": options.byte_rate,
        "src_mac": options.src_mac,
        "dst_mac": options.dst_mac,
        "via": options.via,
        "vlan": options.vlan,
        "dscp": options.dscp,
        "initiator": options.initiator,
        "cast": options.cast,
        "seen_in": seen_in,
        "unapproved": options.unapproved,
    })
}

/// Codes and classes of a protocol's function, by its number, code or name. A code may mean different things with
/// different objects behind it: one of each class then.
fn functions(protocol: &str, word: &str) -> Vec<(String, Class)> {
    let Some(info) = REGISTRY.iter().map(|protocol| protocol.info()).find(|info| info.name == protocol) else {
        return Vec::new();
    };
    let operations = (info.operations)();
    let exact = |(code, name, _): &&(String, String, Class)| code == word || name.eq_ignore_ascii_case(word);
    let mut found: Vec<(String, Class)> = Vec::new();
    let meant = operations.iter().filter(|(code, ..)| code_matches(word, code));
    for (code, _, class) in operations.iter().find(exact).map_or_else(|| meant.collect(), |one| vec![one]) {
        if !found.iter().any(|(_, known)| known == class) {
            found.push((code.clone(), *class));
        }
    }
    found
}
