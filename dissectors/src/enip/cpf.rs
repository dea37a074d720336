//! The common packet format: a count, then items of type, length and data. CIP Vol. 2, 2-6.

use super::cip::REPLY;
use crate::{ParseError, Reader};

/// Item types. CIP Vol. 2, table 2-6.3.
pub(super) mod item {
    pub(in super::super) const LIST_IDENTITY: u16 = 0x000C;
    pub(in super::super) const CIP_SECURITY: u16 = 0x0086;
    pub(in super::super) const CONNECTED_ADDRESS: u16 = 0x00A1;
    pub(in super::super) const CONNECTED_DATA: u16 = 0x00B1;
    pub(in super::super) const UNCONNECTED_DATA: u16 = 0x00B2;
    pub(in super::super) const SEQUENCED_ADDRESS: u16 = 0x8002;
}

/// One item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) kind: u16,
    pub(super) data: Reader<'a>,
    /// Its length promises more than there is.
    pub(super) is_short: bool,
}

/// The items, in order, as far as they can be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl<'a> Items<'a> {
    /// # Errors
    /// [`ParseError`] when there is not even a count.
    #[inline]
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, ParseError> {
        Ok(Self { left: reader.le16("item count")?, reader })
    }

    #[inline]
    fn item(&mut self) -> Result<Item<'a>, ParseError> {
        let kind = self.reader.le16("item type")?;
        let length = usize::from(self.reader.le16("item length")?);
        let have = self.reader.rest().len();
        let data = self.reader.sub("item data", length.min(have))?;
        Ok(Item { kind, data, is_short: length > have })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = self.item();
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }
}

/// How a CIP message is addressed by the items around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// By its path alone.
    Unconnected,
    /// By a connection id, with the sequence count in front of the message.
    Connected { id: u32, sequence: u16 },
}

/// A CIP message and how it is addressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) address: Address,
    pub(super) cip: Reader<'a>,
    /// The items promise more bytes than there are.
    pub(super) is_short: bool,
}

/// The CIP message among the items of SendRRData or SendUnitData, if there is one.
#[inline]
pub(super) fn message(reader: Reader<'_>) -> Option<Message<'_>> {
    let mut id = 0;
    for item in Items::read(reader).ok()?.take(8) {
        let Item { kind, mut data, is_short } = item.ok()?;
        match kind {
            item::CONNECTED_ADDRESS => id = data.le32("connection id").ok()?,
            item::UNCONNECTED_DATA => {
                return Some(Message { address: Address::Unconnected, cip: data, is_short });
            }
            item::CONNECTED_DATA => {
                let sequence = data.le16("sequence count").ok()?;
                return Some(Message { address: Address::Connected { id, sequence }, cip: data, is_short });
            }
            _ => {}
        }
    }
    None
}

/// A CIP message without any items around it, as some tools send it: told by how its path or its status begins.
pub(super) fn bare(cip: Reader<'_>) -> Option<Message<'_>> {
    let mut r = cip;
    let [service, second, third, fourth] = r.array("CIP message").ok()?;
    let is_reply = service & REPLY != 0 && second == 0 && third < 0x30 && fourth < 4;
    let is_request = service & REPLY == 0 && second != 0 && matches!(third, 0x20 | 0x21 | 0x91);
    (is_reply || is_request).then_some(Message { address: Address::Unconnected, cip, is_short: false })
}
