//! What is marked in the table: one feature, or many.

/// Marked features, as bits by number, so that a million cost little.
#[derive(Default)]
pub(crate) struct Selection {
    bits: Vec<u64>,
    count: usize,
    /// Position in the table that the keys move.
    pub(crate) cursor: Option<usize>,
    /// Position from which Shift marks.
    anchor: Option<usize>,
}

impl Selection {
    /// How many are marked.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether a feature is marked.
    pub(crate) fn has(&self, latent: u32) -> bool {
        let (word, bit) = place(latent);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// The marked features by number.
    pub(crate) fn latents(&self) -> Vec<u32> {
        let mut latents = Vec::with_capacity(self.count);
        for (word, bits) in self.bits.iter().enumerate() {
            let mut left = *bits;
            while left != 0 {
                latents.push((word as u32) * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
        latents
    }

    /// Marks nothing.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Marks the feature at `position` alone.
    pub(crate) fn only(&mut self, order: &[u32], position: usize) {
        self.clear();
        self.set(order, position, true);
        (self.cursor, self.anchor) = (Some(position), Some(position));
    }

    /// Marks the feature at `position`, or takes its mark away; the others stay.
    pub(crate) fn toggle(&mut self, order: &[u32], position: usize) {
        let marked = order.get(position).is_some_and(|latent| self.has(*latent));
        self.set(order, position, !marked);
        (self.cursor, self.anchor) = (Some(position), Some(position));
    }

    /// Marks all from the anchor to `position`, and nothing else.
    pub(crate) fn extend(&mut self, order: &[u32], position: usize) {
        let anchor = self.anchor.unwrap_or(position);
        self.bits.clear();
        self.count = 0;
        for at in anchor.min(position)..=anchor.max(position) {
            self.set(order, at, true);
        }
        (self.cursor, self.anchor) = (Some(position), Some(anchor));
    }

    /// Marks everything in the table.
    pub(crate) fn all(&mut self, order: &[u32]) {
        let cursor = self.cursor;
        self.clear();
        for at in 0..order.len() {
            self.set(order, at, true);
        }
        (self.cursor, self.anchor) = (cursor.or(Some(0)), Some(0));
    }

    fn set(&mut self, order: &[u32], position: usize, on: bool) {
        let Some(latent) = order.get(position) else { return };
        let (word, bit) = place(*latent);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let bits = &mut self.bits[word];
        match (*bits & bit != 0, on) {
            (false, true) => self.count += 1,
            (true, false) => self.count -= 1,
            _ => return,
        }
        *bits ^= bit;
    }
}

fn place(latent: u32) -> (usize, u64) {
    ((latent / 64) as usize, 1 << (latent % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_follows_the_tables_order() {
        let order = [9, 200, 3, 64, 7];
        let mut selection = Selection::default();
        selection.only(&order, 1);
        selection.extend(&order, 3);
        assert_eq!((selection.latents(), selection.len()), (vec![3, 64, 200], 3));
        selection.extend(&order, 0);
        assert_eq!(selection.latents(), [9, 200]);
        selection.toggle(&order, 0);
        assert_eq!((selection.latents(), selection.cursor), (vec![200], Some(0)));
        selection.all(&order);
        assert_eq!(selection.len(), 5);
        selection.only(&order, 99);
        assert_eq!(selection.len(), 0);
    }
}
