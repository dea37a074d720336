use crate::ParseError;

/// A checked cursor over bytes from the wire: the only way in which a dissector reads them.
///
/// Every read names its item, so that an error explains itself, and no read can panic or pass the end.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

macro_rules! number {
    ($($(#[$doc:meta])* $name:ident -> $type:ty, $from:ident;)*) => {$(
        $(#[$doc])*
        /// # Errors
        /// [`ParseError`] when fewer bytes are left.
        #[inline]
        pub fn $name(&mut self, item: &'static str) -> Result<$type, ParseError> {
            self.array(item).map(<$type>::$from)
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A cursor at the first byte.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// Byte offset of the next read.
    #[must_use]
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing is left.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `need` bytes.
    ///
    /// # Errors
    /// [`ParseError`] when fewer bytes are left; the cursor then stays where it was.
    #[inline]
    pub fn bytes(&mut self, item: &'static str, need: usize) -> Result<&'a [u8], ParseError> {
        let Some((front, rest)) = self.rest.split_at_checked(need) else {
            return Err(ParseError { item, at: self.at, need, have: self.rest.len() });
        };
        self.rest = rest;
        self.at += need; // Cannot overflow: `need` bytes were there.
        Ok(front)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`ParseError`] when fewer bytes are left.
    #[inline]
    pub fn array<const N: usize>(&mut self, item: &'static str) -> Result<[u8; N], ParseError> {
        let Some((front, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(ParseError { item, at: self.at, need: N, have: self.rest.len() });
        };
        self.rest = rest;
        self.at += N;
        Ok(*front)
    }

    /// A cursor over the next `need` bytes alone, which keeps counting offsets from the outer start.
    ///
    /// # Errors
    /// [`ParseError`] when fewer bytes are left.
    #[inline]
    pub fn sub(&mut self, item: &'static str, need: usize) -> Result<Reader<'a>, ParseError> {
        let at = self.at;
        Ok(Reader { rest: self.bytes(item, need)?, at })
    }

    number! {
        /// One byte.
        u8 -> u8, from_be_bytes;
        /// Two bytes, big-endian.
        be16 -> u16, from_be_bytes;
        /// Four bytes, big-endian.
        be32 -> u32, from_be_bytes;
        /// Two bytes, little-endian.
        le16 -> u16, from_le_bytes;
        /// Four bytes, little-endian.
        le32 -> u32, from_le_bytes;
        /// Four bytes, little-endian, signed.
        le32i -> i32, from_le_bytes;
        /// Eight bytes, little-endian.
        le64 -> u64, from_le_bytes;
        /// Eight bytes, little-endian, signed.
        le64i -> i64, from_le_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_item_and_place_and_the_cursor_stays() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.be16("length"), Ok(0x0102));
        let error = r.le32("serial").unwrap_err();
        assert_eq!(error, ParseError { item: "serial", at: 2, need: 4, have: 1 });
        assert_eq!(error.to_string(), "serial at byte 2 needs 4 bytes, 1 left");
        assert_eq!(r.u8("last"), Ok(3));
    }

    #[test]
    fn a_sub_reader_keeps_the_outer_offsets() {
        let mut r = Reader::new(&[0, 0, 7, 8, 9]);
        r.bytes("head", 2).unwrap();
        let mut sub = r.sub("body", 2).unwrap();
        assert_eq!((sub.at(), sub.u8("x"), sub.at()), (2, Ok(7), 3));
        assert_eq!(r.rest(), &[9]);
    }
}
