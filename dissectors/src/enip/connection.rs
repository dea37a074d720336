//! CIP connections: what Forward Open and Forward Close say, and those that a session knows.

use std::sync::Arc;

use super::target::Target;
use crate::{ParseError, Reader};

/// What names a connection for good: its serial number, and who opened it. CIP Vol. 1, 3-5.5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Triad {
    pub(super) serial: u16,
    pub(super) vendor: u16,
    pub(super) originator: u32,
}

impl Triad {
    fn read(r: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            serial: r.le16("connection serial number")?,
            vendor: r.le16("originator vendor id")?,
            originator: r.le32("originator serial number")?,
        })
    }
}

/// Forward Open and Large Forward Open request. CIP Vol. 1, 3-5.5.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForwardOpen<'a> {
    pub(super) triad: Triad,
    pub(super) transport: Transport,
    pub(super) path_at: usize,
    pub(super) path: &'a [u8],
}

/// Transport class and trigger byte. CIP Vol. 1, 3-4.4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transport(pub(super) u8);

impl Transport {
    /// Class 0 or 1: cyclic data on UDP. Class 2 and 3 carry messages.
    pub(super) fn is_io(self) -> bool {
        self.0 & 0x0F <= 1
    }
}

impl<'a> ForwardOpen<'a> {
    /// `is_large`: connection parameters of 32 bits.
    ///
    /// # Errors
    /// [`ParseError`] when it ends within its path.
    pub(super) fn read(mut r: Reader<'a>, is_large: bool) -> Result<Self, ParseError> {
        let parameters = if is_large { 4 } else { 2 };
        r.bytes("priority and time-out", 2)?;
        // Which side chooses which id depends on the connection type: the reply has both.
        r.bytes("proposed connection ids", 8)?;
        let triad = Triad::read(&mut r)?;
        r.bytes("time-out multiplier", 4)?;
        r.bytes("O->T interval and parameters", 4 + parameters)?;
        r.bytes("T->O interval and parameters", 4 + parameters)?;
        let transport = Transport(r.u8("transport class and trigger")?);
        let words = usize::from(r.u8("connection path size")?);
        let path_at = r.at();
        Ok(Self { triad, transport, path_at, path: r.bytes("connection path", 2 * words)? })
    }
}

/// Positive reply to either Forward Open: the ids that messages will carry. CIP Vol. 1, 3-5.5.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// On messages from the originator.
    pub(super) to_target: u32,
    /// On messages from the target.
    pub(super) to_originator: u32,
    pub(super) triad: Triad,
}

impl Opened {
    /// # Errors
    /// [`ParseError`] when it ends within them.
    pub(super) fn read(mut r: Reader<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            to_target: r.le32("O->T connection id")?,
            to_originator: r.le32("T->O connection id")?,
            triad: Triad::read(&mut r)?,
        })
    }
}

/// Forward Close request: which connection. CIP Vol. 1, 3-5.5.3.
///
/// # Errors
/// [`ParseError`] when it ends within it.
pub(super) fn closed(mut r: Reader<'_>) -> Result<Triad, ParseError> {
    r.bytes("priority and time-out", 2)?;
    Triad::read(&mut r)
}

/// An open connection that carries messages.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) to_target: u32,
    pub(super) to_originator: u32,
    /// Not known when the Forward Open was not captured.
    pub(super) triad: Option<Triad>,
    /// Where its path leads; not known likewise.
    pub(super) target: Option<Arc<Target>>,
}

impl Channel {
    /// The route to the component that it ends at.
    pub(super) fn route(&self) -> &str {
        self.target.as_ref().map_or("", |target| target.route())
    }

    /// Its data are not CIP messages: it ends at an object of the maker's own.
    pub(super) fn is_private(&self) -> bool {
        let class = self.target.as_ref().and_then(|target| target.class);
        class.is_some_and(|class| class != super::code::class::MESSAGE_ROUTER)
    }
}

/// The open connections of a session, oldest first; at the limit the oldest is forgotten.
#[derive(Debug, Default)]
pub(super) struct Channels(Vec<Channel>);

impl Channels {
    /// See [`crate::Session::touch`].
    pub(super) fn touch(&self) -> u64 {
        self.0.first().map_or(0, |channel| channel.to_target.into())
    }

    /// The one whose messages from its originator have this id.
    pub(super) fn to_target(&self, id: u32) -> Option<&Channel> {
        self.0.iter().find(|channel| channel.to_target == id)
    }

    /// The one whose messages from its target have this id.
    pub(super) fn to_originator(&self, id: u32) -> Option<&Channel> {
        self.0.iter().find(|channel| channel.to_originator == id)
    }

    /// Replaces those that used the same ids.
    pub(super) fn open(&mut self, channel: Channel, limit: usize) {
        self.0.retain(|old| old.to_target != channel.to_target && old.to_originator != channel.to_originator);
        if self.0.len() >= limit && !self.0.is_empty() {
            self.0.remove(0);
        }
        self.0.push(channel);
    }

    pub(super) fn close(&mut self, triad: Triad) {
        self.0.retain(|channel| channel.triad != Some(triad));
    }
}
