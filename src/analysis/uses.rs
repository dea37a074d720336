//! How the rules of a policy were used.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Analysis;
use crate::address::Host;
use crate::flow::Flow;
use crate::flow::entry::Entry;
use crate::flow::key::Transport;
use crate::policy::Statement;
use crate::policy::declaration::{Declaration, declarations};
use crate::policy::level_of;
use crate::policy::review::{DAY, Use, Watched};

/// Confidence from which on a role says where a device stands, in per cent.
const SURE: u8 = 80;

impl Analysis {
    /// How each rule was used, and in which time. None: there was no packet.
    #[must_use]
    pub fn watched(&self) -> Option<Watched> {
        self.watched_with(|_, _| true)
    }

    /// The same for what is to be said of the declaration: what was done is only told of rules that were watched for as long
    /// as they may idle, since nothing is said of the rights of others.
    #[must_use]
    pub fn watched_for_declarations(&self) -> Option<Watched> {
        let policy = self.policy.as_deref()?;
        self.watched_with(|number, watched| {
            let rule = policy.rules.get(number as usize);
            rule.is_some_and(|rule| watched >= DAY * rule.max_idle_days)
        })
    }

    fn watched_with(&self, in_detail: impl Fn(u32, Duration) -> bool) -> Option<Watched> {
        let flows = &self.observed.flows;
        let first = flows.iter().map(|flow| flow.first().at).min()?;
        let last = flows.iter().map(|flow| flow.last().at).max()?;
        let mut uses: BTreeMap<u32, Vec<Use>> = BTreeMap::new();
        for flow in flows {
            for entry in &flow.judged {
                if let Some(Statement::Rule(number)) = entry.judgement().statement {
                    let in_detail = in_detail(number, last.since(first));
                    uses.entry(number).or_default().push(use_of(flow, entry, in_detail));
                }
            }
        }
        let tcp = flows.iter().filter(|flow| flow.key.transport == Transport::Tcp);
        let payload = tcp.map(|flow| flow.client.payload + flow.server.payload).sum();
        Some(Watched {
            first,
            last,
            uses,
            watch: self.observed.watch.clone(),
            payload,
            lost: (self.lost, self.observed.coverage.frames),
        })
    }

    /// The zones whose devices, by the roles that they showed, stand two levels apart or more: one sentence each.
    #[must_use]
    pub fn mixed_zones(&self) -> Vec<String> {
        let Some(policy) = self.policy.as_deref() else { return Vec::new() };
        let stands = self.inventory.assets.iter().filter_map(|asset| {
            let level = level_of(asset.role.value.filter(|_| asset.role.confidence >= SURE)?)?;
            let address = asset.ips.first().copied().or_else(|| asset.macs.first().map(|mac| (*mac).into()))?;
            let member = self.member(Host { realm: asset.realm, address });
            Some((policy.zone_of(&member).zone, level, &*asset.id))
        });
        let says = |(_, text): (_, String)| format!("{text}, by the roles that they showed: is it two zones?");
        policy.far_apart(stands).into_iter().map(says).collect()
    }

    /// What is to be said of the declaration itself after what was watched. Nothing without a policy.
    #[must_use]
    pub fn declarations(&self, watched: &Watched) -> Vec<Declaration> {
        let Some(policy) = self.policy.as_deref() else { return Vec::new() };
        let last_seen = |id| {
            let id = policy.asset(id)?.id.as_str();
            let asset = self.inventory.assets.iter().find(|asset| &*asset.id == id)?;
            Some(asset.last.at)
        };
        declarations(policy, watched, &last_seen)
    }
}

/// A conversation, in detail with those of its operations that one judgement is about.
fn use_of(flow: &Flow, entry: &Entry, in_detail: bool) -> Use {
    let class = entry.judgement().class;
    let acts = || {
        let protocol = flow.dissected();
        let codes = protocol.into_iter().flat_map(|it| entry.codes.iter().map(|(code, _)| it.operation(*code).code));
        let codes: Vec<String> = codes.collect();
        let mut acts = flow.acts();
        acts.retain(|act| act.class == class && codes.contains(&act.code));
        acts
    };
    Use {
        talk: flow.talk_with(if in_detail { acts() } else { Vec::new() }),
        verdict: entry.judgement().verdict,
        reason: entry.judgement().reason,
        qualifiers: entry.judgement().qualifiers,
        class,
        count: entry.tally.requests.max(entry.tally.answered + entry.tally.refused),
        first: entry.tally.first.at,
        last: entry.tally.last.at,
    }
}
