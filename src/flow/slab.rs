//! Things in places that stay the same: a vector that grows without moving what it holds.

/// Things in one block: so many that the system gives the memory of a block of connections alone, and takes it back when
/// the shard is done. What is not used yet of a block takes none.
const BLOCK: usize = 1024;

/// A vector in blocks: a large one would be copied whole, and be in memory twice, each time that it grows.
#[derive(Debug)]
pub(super) struct Slab<T> {
    /// All full but the last.
    blocks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.blocks.get(place / BLOCK)?.get(place % BLOCK)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK)
    }

    /// Adds one, whose place is the length before.
    pub(super) fn push(&mut self, item: T) {
        match self.blocks.last_mut() {
            Some(last) if last.len() < BLOCK => last.push(item),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(item);
                self.blocks.push(block);
            }
        }
        self.len += 1;
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.blocks.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_a_vector() {
        for n in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7] {
            let mut slab = Slab::default();
            (0..n).for_each(|item| slab.push(item));
            assert_eq!(slab.len(), n);
            assert!((0..n).all(|place| slab.get(place) == Some(&place)), "{n}");
            assert_eq!(slab.get(n), None);
            slab.iter_mut().for_each(|item| *item += 1);
            assert!((0..n).all(|place| slab.get_mut(place) == Some(&mut (place + 1))), "{n}");
        }
    }
}
