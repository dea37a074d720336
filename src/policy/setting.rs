//! What stays of a conversation with a judgement on it: there are as many as flows, and a conversation is ten times as large.

use ahash::RandomState;

use super::conversation::Conversation;
use super::model::{AssetId, ZoneId};

/// Between whom something was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    zones: (ZoneId, ZoneId),
    /// The declared assets that client and server are.
    pub assets: [Option<AssetId>; 2],
    confidence: u8,
    /// A number made of what decides beside the sides: the statements that concern them.
    concerns: u64,
}

impl Setting {
    /// The zones of the two sides; for multicast the second is the one it was seen in.
    #[must_use]
    pub fn zones(&self) -> (ZoneId, ZoneId) {
        self.zones
    }

    /// How sure the zones of the two sides and the direction are, in per cent.
    #[must_use]
    pub fn confidence(&self) -> u8 {
        self.confidence
    }

    /// The same sides, and the same statements concern them: what is asked of either gets the same answers.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let concerns = |it: &Self| (it.zones, it.assets, it.concerns);
        concerns(self) == concerns(other)
    }
}

impl Conversation {
    /// What its judgements keep of it.
    #[must_use]
    pub fn setting(&self) -> Setting {
        let Self { server, without, unapproved, candidates, denies, ignores, .. } = self;
        let concerns = (server.zone, without, unapproved, candidates, denies, ignores);
        Setting {
            zones: self.zones(),
            assets: [self.client.asset, self.server.asset],
            confidence: self.confidence(),
            // Compared with others of this process alone.
            concerns: RandomState::with_seeds(1, 2, 3, 4).hash_one(concerns),
        }
    }
}
