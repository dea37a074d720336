//! Another policy is in force: what is known of a flow is judged anew.
//!
//! The packets are gone. What is left are operations with the ranges and names that they touched, and when they came last;
//! each is judged at that time, on each range by itself, and the worst judgement takes its count. So a rule about time is
//! judged by the last time only, which the record of the earlier policy keeps better: findings that were told before keep
//! their own record.

use dissectors::{Component, Item, Mode, Object};

use super::Flow;
use super::book;
use super::docket;
use super::entry::{Entries, Entry};
use super::ops::Operation;
use crate::policy::{Conversation, Judgement, Policy, Protection, Reason, Request, Stage, TapId, bucket, spoken_name};

/// Judges a flow anew, by another policy. `taps` says which of its taps each capture is from; of a capture that is not in
/// it nothing is known.
pub fn judge(flow: &mut Flow, policy: Option<&Policy>, taps: &[TapId]) {
    flow.client.place(taps);
    flow.server.place(taps);
    match policy {
        Some(policy) => judge_as(flow, policy, docket::conversation_of(policy, flow)),
        None => flow.judged = Entries::default(),
    }
}

/// Judges a flow anew, by what was found to concern its two sides.
pub fn judge_as(flow: &mut Flow, policy: &Policy, conversation: Conversation) {
    let earlier = std::mem::take(&mut flow.judged);
    // ARP is no conversation.
    if flow.key.transport == super::key::Transport::Ethertype(0x0806) {
        return;
    }
    let security = protection(flow.book.protection(), &earlier);
    let around = Request {
        security,
        marked: flow.client.marked(),
        way: Some(docket::way_of(policy, flow)),
        ..Request::at(flow.first().at)
    };
    let mut entries = Vec::new();
    if let Some(protocol) = flow.dissected() {
        for operation in flow.book.operations() {
            let code = protocol.operation(operation.key.code).code;
            entries.push(entry(policy, &conversation, operation, (protocol.info().name, &code), &around));
        }
    }
    if entries.is_empty() {
        entries.push(whole(flow, policy, &conversation, &around));
    }
    entries.extend(earlier.iter().filter_map(|entry| tunnel(policy, &conversation, entry)));
    // Those that say the same become one.
    flow.judged = entries.into_iter().collect();
}

fn entry(
    policy: &Policy,
    conversation: &Conversation,
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
    let mut entry = Entry::new(judgement, bucket.into(), conversation.setting(), operation.tally.first);
    entry.count_code(operation.key.code, operation.tally.requests);
    entry.tally = operation.tally;
    if is_finding {
        entry.show().objects = operation.objects.clone();
        entry.add_sample(operation.tally.first);
    }
    entry
}

/// A tunnel that led elsewhere, if it still does. Of those that did not nothing is kept.
fn tunnel(policy: &Policy, conversation: &Conversation, entry: &Entry) -> Option<Entry> {
    let was_tunnel = entry.judgement().reason == Some(Reason::Tunnel);
    let (src, dst) = was_tunnel.then(|| docket::tunnel_ends(&entry.bucket)).flatten()?;
    let judgement = conversation.tunnel(policy, src, dst, entry.tally.first.at)?;
    let mut entry = entry.clone();
    entry.judged_as(&judgement, conversation.setting());
    Some(entry)
}

/// A flow of which no operation is known.
fn whole(flow: &Flow, policy: &Policy, conversation: &Conversation, around: &Request<'_>) -> Entry {
    let dissected = flow.dissected().map(|protocol| protocol.info().name);
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
    let mut entry = Entry::new(judgement, Box::default(), conversation.setting(), flow.first());
    entry.count_code(0, flow.connections);
    entry.tally.requests = flow.connections;
    if flow.server.traffic().frames > 0 && !blocked {
        (entry.tally.answered, entry.tally.last) = (flow.connections, flow.last());
    }
    if judgement.verdict.is_finding() {
        entry.add_sample(flow.first());
    }
    entry
}

/// The protection that counts. A flow remembers the weakest of all its sessions, and clients ask for endpoints without any;
/// that a session was too weak only the earlier judgement knows. What it did not object to is taken to be protected.
fn protection<'a>(known: &'a book::Protection, earlier: &Entries) -> Protection<'a> {
    let was_weak = earlier.iter().any(|entry| entry.judgement().stage == Some(Stage::Security));
    let strong = known.policies.iter().rev().find(|policy| !policy.eq_ignore_ascii_case("none"));
    let (mode, policy, token) = match strong {
        Some(policy) if !was_weak => (Some(Mode::SignAndEncrypt), Some(policy), known.tokens.last()),
        _ => (known.mode, known.policies.last(), known.tokens.first()),
    };
    Protection { mode, policy: policy.map(|policy| &**policy), token: token.copied(), version: None }
}
