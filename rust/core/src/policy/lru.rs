//! Strict least-recently-used order.

use super::{Links, List, NIL, Policy};

/// One list from the least to the most recently used entry.
pub struct Lru {
    list: List,
}

impl Default for Lru {
    fn default() -> Self {
        Self { list: List::EMPTY }
    }
}

const fn some(at: u32) -> Option<u32> {
    if at == NIL { None } else { Some(at) }
}

impl Policy for Lru {
    #[inline]
    fn inserted(&mut self, links: &mut impl Links, at: u32) {
        self.list.push_back(links, at);
    }

    #[inline]
    fn accessed(&mut self, links: &mut impl Links, at: u32) {
        self.list.move_to_back(links, at);
    }

    #[inline]
    fn removed(&mut self, links: &mut impl Links, at: u32) {
        self.list.unlink(links, at);
    }

    #[inline]
    fn victim(&self) -> Option<u32> {
        some(self.list.head)
    }

    #[inline]
    fn after(&self, links: &impl Links, at: u32) -> Option<u32> {
        some(links.link(at).next)
    }
}
