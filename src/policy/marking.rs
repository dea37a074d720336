//! How the packets of one side are marked: the DSCP of their IP headers.

/// Values that were seen, as a set: RFC 2474 has 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markings(u64);

impl Markings {
    /// The highest value: six bits.
    pub const HIGHEST: u8 = 63;

    /// One value.
    #[must_use]
    pub fn of(dscp: u8) -> Self {
        Self(1 << (dscp & Self::HIGHEST))
    }

    /// Adds others. Returns whether that was news.
    #[inline]
    pub fn add(&mut self, other: Self) -> bool {
        let before = *self;
        self.0 |= other.0;
        *self != before
    }

    /// Nothing else was seen than this value; nothing at all is nothing else.
    #[must_use]
    pub fn are_only(self, dscp: u8) -> bool {
        self.0 & !Self::of(dscp).0 == 0
    }

    /// The value, where there is one alone.
    #[must_use]
    pub fn only(self) -> Option<u8> {
        self.0.is_power_of_two().then(|| self.0.trailing_zeros() as u8) // Below 64.
    }

    /// As a number, a bit for each value, and from one.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// See [`Self::bits`].
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_marked_so_when_it_is_marked_no_other_way() {
        for (case, seen, want) in [
            ("nothing seen", &[][..], true),
            ("this alone", &[46, 46], true),
            ("another", &[0], false),
            ("this and another", &[46, 0], false),
            ("the highest", &[63], false),
        ] {
            let mut markings = Markings::default();
            seen.iter().for_each(|dscp| _ = markings.add(Markings::of(*dscp)));
            assert_eq!(markings.are_only(46), want, "{case}");
            assert_eq!(Markings::from_bits(markings.bits()), markings, "{case}");
        }
    }
}
