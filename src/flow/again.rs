//! Another policy is in force: what is known of a flow is judged anew.
//!
//! The packets are gone. What is left are operations with the ranges and names that they touched, and when they came last;
//! each is judged at that time, on each range by itself, and the worst judgement takes its count. So a rule about time is
//! judged by the last time only, which the record of the earlier policy keeps better: findings that were told before keep
//! their own record.

use std::sync::Arc;

use dissectors::{Component, Item, Mode, Object, REGISTRY};

use super::Flow;
use super::book;
use super::docket::{self, Docket, Entry};
use super::ops::Operation;
use crate::policy::{Conversation, Judgement, Policy, Protection, Request, Stage, bucket, spoken_name};

/// Judges a flow anew, by another policy.
pub fn judge(flow: &mut Flow, policy: Option<&Policy>) {
    flow.client.paths.forget_taps();
    flow.server.paths.forget_taps();
    match policy {
        Some(policy) => judge_as(flow, policy, docket::conversation_of(policy, flow)),
        None => flow.docket = Docket::default(),
    }
}

/// Judges a flow anew, by what was found to concern its two sides.
pub fn judge_as(flow: &mut Flow, policy: &Policy, conversation: Conversation) {
    let earlier = std::mem::take(&mut flow.docket);
    // ARP is no conversation.
    if flow.key.transport == super::key::Transport::Ethertype(0x0806) {
        return;
    }
    let security = protection(flow.book.protection(), &earlier);
    let conversation = Arc::new(conversation);
    let around = Request {
        security,
        marked: flow.client.marked,
        way: Some(docket::way_of(policy, flow)),
        ..Request::at(flow.first.at)
    };
    let mut entries = Vec::new();
    if let Some(protocol) = flow.protocol.and_then(|place| REGISTRY.get(place)) {
        for operation in &flow.book.operations {
            let code = protocol.operation(operation.key.code).code;
            entries.push(entry(policy, &conversation, operation, (protocol.info().name, &code), &around));
        }
    }
    if entries.is_empty() {
        entries.push(whole(flow, policy, conversation, &around));
    }
    // Those that say the same become one.
    for entry in entries {
        flow.docket.add(entry);
    }
}

fn entry(
    policy: &Policy,
    conversation: &Arc<Conversation>,
    operation: &Operation,
    (protocol, code): (&str, &str),
    around: &Request<'_>,
) -> Entry {
    let id = operation.key.component.as_deref().map(|text| text.split_once('/').map_or(text, |(_, id)| id));
    let component = id.map(|id| match id.parse() {
        Ok(number) => Component::number("unit", number),
        Err(_) => Component::path("unit", id),
    });
    let ranges = operation.objects.ranges().map(|(space, from, to)| Object { space, item: Item::Range(from, to) });
    let names = operation.objects.names().map(|(space, name)| Object { space, item: Item::Name(name) });
    let objects: Vec<Object<'_>> = ranges.chain(names).collect();
    let request = Request {
        protocol: Some(protocol),
        class: Some(operation.key.class),
        code,
        component,
        orphan: objects.is_empty() && operation.tally.requests == 0,
        at: operation.tally.last.at,
        ..*around
    };
    let one = |objects: &[Object<'_>]| {
        (conversation.judge(policy, &Request { objects, ..request }), bucket(code, component, objects))
    };
    let each = objects.iter().map(|object| one(std::slice::from_ref(object)));
    let worst = each.max_by_key(|(judgement, _)| judgement.rank(policy));
    let (judgement, bucket) = worst.unwrap_or_else(|| one(&[]));
    let is_finding = judgement.verdict.is_finding();
    Entry {
        judgement,
        bucket: bucket.into(),
        codes: vec![(operation.key.code, operation.tally.requests)],
        objects: if is_finding { operation.objects.clone() } else { Default::default() },
        tally: operation.tally,
        samples: if is_finding { vec![operation.tally.first] } else { Vec::new() },
        peak: None,
        conversation: Arc::clone(conversation),
    }
}

/// A flow of which no operation is known.
fn whole(flow: &Flow, policy: &Policy, conversation: Arc<Conversation>, around: &Request<'_>) -> Entry {
    let dissected = flow.protocol.and_then(|place| REGISTRY.get(place)).map(|protocol| protocol.info().name);
    let recognised = flow.recognised.map(|it| spoken_name(it.name, flow.key.transport, flow.key.port));
    let security = Protection { version: flow.recognised.and_then(|it| it.version), ..around.security };
    let blocked = flow.is_blocked();
    let request = Request {
        protocol: dissected.or(recognised),
        unidentified: recognised.is_none() && flow.refuted.is_some(),
        opaque: flow.book.opaque() > 0 || recognised.is_some_and(|name| policy.tells_operations(name)),
        security,
        blocked,
        ..*around
    };
    let judgement: Judgement = conversation.judge(policy, &request);
    let mut tally = super::ops::Tally::new(flow.first);
    tally.requests = flow.connections;
    if flow.server.traffic.frames > 0 && !blocked {
        (tally.answered, tally.last) = (flow.connections, flow.last);
    }
    Entry {
        samples: if judgement.verdict.is_finding() { vec![flow.first] } else { Vec::new() },
        judgement,
        bucket: Box::default(),
        codes: vec![(0, flow.connections)],
        objects: Default::default(),
        tally,
        peak: None,
        conversation,
    }
}

/// The protection that counts. A flow remembers the weakest of all its sessions, and clients ask for endpoints without any;
/// that a session was too weak only the earlier judgement knows. What it did not object to is taken to be protected.
fn protection<'a>(known: &'a book::Protection, earlier: &Docket) -> Protection<'a> {
    let was_weak = earlier.entries.iter().any(|entry| entry.judgement.stage == Some(Stage::Security));
    let strong = known.policies.iter().rev().find(|policy| !policy.eq_ignore_ascii_case("none"));
    let (mode, policy, token) = match strong {
        Some(policy) if !was_weak => (Some(Mode::SignAndEncrypt), Some(policy), known.tokens.last()),
        _ => (known.mode, known.policies.last(), known.tokens.first()),
    };
    Protection { mode, policy: policy.map(|policy| &**policy), token: token.copied(), version: None }
}
