//! Flows in the order of their ids. An id is a hash of the flow's key: made once, and taken over while the flow is known.

use std::cmp::Ordering;

use super::convert::flow_id;
use crate::flow::Flow;
use crate::flow::key::FlowKey;

/// `F-` and twelve digits.
const LENGTH: usize = 14;

type FlowId = [u8; LENGTH];

/// The ids of flows.
#[derive(Default)]
pub(super) struct FlowIds {
    /// Every flow with its id, in the order of keys.
    known: Vec<(FlowKey, FlowId)>,
    /// Ids with the places of their flows, in the order of ids.
    order: Vec<(FlowId, u32)>,
}

impl FlowIds {
    /// Of these flows, which are in the order of keys, as those of `before` were.
    pub(super) fn of(flows: &[Flow], before: Self) -> Self {
        let mut before = before.known.into_iter().peekable();
        let id = |flow: &Flow| loop {
            match before.peek().map(|(key, _)| key.cmp(&flow.key)) {
                Some(Ordering::Less) => _ = before.next(),
                Some(Ordering::Equal) => return before.next().map_or_else(|| made(flow), |(_, id)| id),
                Some(Ordering::Greater) | None => return made(flow),
            }
        };
        let known: Vec<(FlowKey, FlowId)> = flows.iter().map(|flow| flow.key).zip(flows.iter().map(id)).collect();
        let mut order: Vec<(FlowId, u32)> = known.iter().map(|(_, id)| *id).zip(0..).collect();
        order.sort_unstable();
        Self { known, order }
    }

    /// Ids from this one on, with the places of their flows.
    pub(super) fn from<'a>(&'a self, id: &str) -> impl Iterator<Item = (&'a str, usize)> + use<'a> {
        let from = self.order.partition_point(|(known, _)| known.as_slice() < id.as_bytes());
        let text = |id: &'a FlowId| std::str::from_utf8(id).unwrap_or_default();
        self.order.iter().skip(from).map(move |(id, place)| (text(id), *place as usize))
    }
}

fn made(flow: &Flow) -> FlowId {
    flow_id(flow).as_bytes().try_into().unwrap_or([b'-'; LENGTH])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{self, Options};
    use crate::source::set::Captures;

    #[test]
    fn ids_that_are_known_are_those_that_are_made() {
        let capture = include_bytes!("../../fixtures/plant/capture.pcap").as_slice();
        let mut captures = Captures::stream("eth1", Box::new(capture)).unwrap();
        let analysis = analysis::run(&mut captures, |captures, batch| captures.fill(batch), &Options::default());
        let mut flows = analysis.observed.flows;
        let list = |ids: &FlowIds| ids.from("").map(|(id, place)| (id.to_owned(), place)).collect::<Vec<_>>();
        let mut wanted: Vec<_> = flows.iter().map(flow_id).zip(0..).collect();
        wanted.sort_unstable();
        let ids = FlowIds::of(&flows, FlowIds::default());
        assert_eq!(list(&ids), wanted);
        // Some are forgotten, and some come.
        let half = FlowIds::of(&flows.split_off(flows.len() / 2), ids);
        let few = FlowIds::of(flows.get(3..9).unwrap_or_default(), half);
        let all = FlowIds::of(&flows, few);
        let mut wanted: Vec<_> = flows.iter().map(flow_id).zip(0..).collect();
        wanted.sort_unstable();
        assert_eq!(list(&all), wanted);
        let (third, _) = &wanted[2];
        assert_eq!(all.from(third).map(|(id, _)| id.to_owned()).next().as_ref(), Some(third));
    }
}
