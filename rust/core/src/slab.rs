//! Entries in one vector, addressed by number: no pointer per link, no allocation per entry.

use crate::list::{Link, Links, NIL};

struct Slot<K, V> {
    pair: Option<(K, V)>,
    hash: u64,
    link: Link,
}

/// A vector of entries with a list of free places; a place keeps its number while it is in use.
pub struct Slab<K, V> {
    slots: Vec<Slot<K, V>>,
    free: u32,
}

impl<K, V> Slab<K, V> {
    pub const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: NIL,
        }
    }

    /// Puts an entry in a free place; gives the pair back when every number is taken.
    pub fn insert(&mut self, hash: u64, key: K, value: V) -> Result<u32, (K, V)> {
        let next = u32::try_from(self.slots.len()).unwrap_or(NIL);
        if self.free == NIL && next == NIL {
            return Err((key, value));
        }
        let slot = Slot {
            pair: Some((key, value)),
            hash,
            link: Link::LOOSE,
        };
        if self.free == NIL {
            self.slots.push(slot);
            return Ok(next);
        }
        let at = self.free;
        let place = &mut self.slots[at as usize];
        self.free = place.link.next;
        *place = slot;
        Ok(at)
    }

    /// Takes the entry out and frees its place. The place must be in use.
    pub fn remove(&mut self, at: u32) -> Option<(K, V)> {
        let place = &mut self.slots[at as usize];
        let pair = place.pair.take();
        place.link = Link {
            prev: NIL,
            next: self.free,
        };
        self.free = at;
        pair
    }

    #[inline]
    pub fn hash(&self, at: u32) -> u64 {
        self.slots[at as usize].hash
    }

    #[inline]
    pub fn pair(&self, at: u32) -> Option<&(K, V)> {
        self.slots[at as usize].pair.as_ref()
    }

    #[inline]
    pub fn value_mut(&mut self, at: u32) -> Option<&mut V> {
        self.slots[at as usize]
            .pair
            .as_mut()
            .map(|pair| &mut pair.1)
    }

    pub fn pairs(&self) -> impl Iterator<Item = &(K, V)> {
        self.slots.iter().filter_map(|slot| slot.pair.as_ref())
    }
}

impl<K, V> Links for Slab<K, V> {
    #[inline]
    fn link(&self, at: u32) -> Link {
        self.slots[at as usize].link
    }

    #[inline]
    fn link_mut(&mut self, at: u32) -> &mut Link {
        &mut self.slots[at as usize].link
    }
}
