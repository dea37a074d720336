//! How the rules of a policy were used.

use std::collections::BTreeMap;

use dissectors::REGISTRY;

use super::Analysis;
use crate::address::Host;
use crate::flow::Flow;
use crate::flow::docket::Entry;
use crate::flow::key::Transport;
use crate::policy::Statement;
use crate::policy::declaration::{Declaration, declarations};
use crate::policy::level_of;
use crate::policy::review::{Use, Watched};
use crate::policy::suggest::Talk;

/// Confidence from which on a role says where a device stands, in per cent.
const SURE: u8 = 80;

impl Analysis {
    /// How each rule was used, and in which time. None: there was no packet.
    #[must_use]
    pub fn watched(&self) -> Option<Watched> {
        let flows = &self.observed.flows;
        let first = flows.iter().map(|flow| flow.first.at).min()?;
        let last = flows.iter().map(|flow| flow.last.at).max()?;
        let mut uses: BTreeMap<u32, Vec<Use>> = BTreeMap::new();
        for flow in flows {
            for entry in &flow.docket.entries {
                if let Some(Statement::Rule(number)) = entry.judgement.statement {
                    uses.entry(number).or_default().push(use_of(flow, entry));
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

    /// What is to be said of the declaration itself. Nothing without a policy, or without a packet.
    #[must_use]
    pub fn declarations(&self) -> Vec<Declaration> {
        let (Some(policy), Some(watched)) = (self.policy.as_deref(), self.watched()) else { return Vec::new() };
        let last_seen = |id| {
            let id = policy.asset(id)?.id.as_str();
            let asset = self.inventory.assets.iter().find(|asset| &*asset.id == id)?;
            Some(asset.last.at)
        };
        declarations(policy, &watched, &last_seen)
    }
}

/// A conversation with those of its operations that one judgement is about.
fn use_of(flow: &Flow, entry: &Entry) -> Use {
    let talk = flow.talk();
    let codes: Vec<String> = flow
        .protocol
        .and_then(|place| REGISTRY.get(place))
        .map(|protocol| entry.codes.iter().map(|(code, _)| protocol.operation(*code).code).collect())
        .unwrap_or_default();
    let class = entry.judgement.class;
    let acts = talk.acts.iter().filter(|act| act.class == class && codes.contains(&act.code)).cloned().collect();
    Use {
        talk: Talk { acts, ..talk },
        verdict: entry.judgement.verdict,
        reason: entry.judgement.reason,
        qualifiers: entry.judgement.qualifiers,
        class,
        count: entry.tally.requests.max(entry.tally.answered + entry.tally.refused),
        first: entry.tally.first.at,
        last: entry.tally.last.at,
    }
}
