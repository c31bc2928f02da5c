//! A hash table that remembers the order in which its entries came.

use hashbrown::HashTable;

/// Entries found by hash and a comparison of the caller's, listed in order of insertion.
///
/// Removing leaves a gap; gaps are closed once they are as many as the entries.
pub struct Ordered<T> {
    index: HashTable<u32>,
    slots: Vec<Option<(u64, T)>>,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
        }
    }
}

impl<T> Ordered<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The entry with this hash for which `same` holds.
    #[inline]
    pub fn find(&self, hash: u64, mut same: impl FnMut(&T) -> bool) -> Option<&T> {
        let at = self.index.find(hash, |at| {
            self.slot(*at)
                .is_some_and(|(own, entry)| *own == hash && same(entry))
        })?;
        self.slot(*at).map(|(_, entry)| entry)
    }

    /// Adds an entry that is not there; hands it back if four thousand million are.
    pub fn insert(&mut self, hash: u64, entry: T) -> Result<(), T> {
        let Ok(at) = u32::try_from(self.slots.len()) else {
            return Err(entry);
        };
        self.slots.push(Some((hash, entry)));
        let slots = &self.slots;
        self.index.insert_unique(hash, at, |at| hash_at(slots, *at));
        Ok(())
    }

    /// Takes out the entry with this hash for which `same` holds.
    pub fn remove(&mut self, hash: u64, mut same: impl FnMut(&T) -> bool) -> Option<T> {
        let slots = &self.slots;
        let found = self.index.find_entry(hash, |at| {
            slots
                .get(*at as usize)
                .and_then(Option::as_ref)
                .is_some_and(|(own, entry)| *own == hash && same(entry))
        });
        let (at, _) = found.ok()?.remove();
        let (_, entry) = self.slots.get_mut(at as usize)?.take()?;
        self.close_gaps();
        Some(entry)
    }

    /// Takes out all entries for which `leaves` holds.
    pub fn extract(&mut self, mut leaves: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut gone = Vec::new();
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            if slot.as_ref().is_some_and(|(_, entry)| leaves(entry))
                && let Some((hash, entry)) = slot.take()
            {
                if let Ok(found) = self.index.find_entry(hash, |own| *own as usize == at) {
                    found.remove();
                }
                gone.push(entry);
            }
        }
        self.close_gaps();
        gone
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten().map(|(_, entry)| entry)
    }

    #[inline]
    fn slot(&self, at: u32) -> Option<&(u64, T)> {
        self.slots.get(at as usize).and_then(Option::as_ref)
    }

    fn close_gaps(&mut self) {
        if self.slots.len() < 2 * self.len().max(4) {
            return;
        }
        self.slots.retain(Option::is_some);
        self.index.clear();
        let slots = &self.slots;
        for (at, (hash, _)) in slots.iter().flatten().enumerate() {
            // As many as there were: every position fits.
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            self.index
                .insert_unique(*hash, at, |at| hash_at(slots, *at));
        }
    }
}

fn hash_at<T>(slots: &[Option<(u64, T)>], at: u32) -> u64 {
    let slot = slots.get(at as usize).and_then(Option::as_ref);
    slot.map_or(0, |(hash, _)| *hash)
}
