//! Doubly linked lists of numbers; the links live with whoever owns the numbered things.

/// No place.
pub const NIL: u32 = u32::MAX;

/// The neighbours of one element.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The element before, or [`NIL`].
    pub prev: u32,
    /// The element after, or [`NIL`].
    pub next: u32,
}

impl Link {
    /// The links of an element in no list.
    pub const LOOSE: Self = Self {
        prev: NIL,
        next: NIL,
    };
}

/// Storage of one link per number.
pub trait Links {
    /// The neighbours of `at`.
    fn link(&self, at: u32) -> Link;
    /// The same, to be changed.
    fn link_mut(&mut self, at: u32) -> &mut Link;
}

/// First and last element of a list threaded through some [`Links`].
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// The first element, or [`NIL`].
    pub head: u32,
    /// The last element, or [`NIL`].
    pub tail: u32,
}

impl List {
    /// A list of nothing.
    pub const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
    };

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.head == NIL
    }

    /// Adds `at`, which is in no list, at the end.
    #[inline]
    pub fn push_back(&mut self, links: &mut impl Links, at: u32) {
        *links.link_mut(at) = Link {
            prev: self.tail,
            next: NIL,
        };
        if self.tail == NIL {
            self.head = at;
        } else {
            links.link_mut(self.tail).next = at;
        }
        self.tail = at;
    }

    /// Takes `at` out of this list.
    #[inline]
    pub fn unlink(&mut self, links: &mut impl Links, at: u32) {
        let Link { prev, next } = links.link(at);
        if prev == NIL {
            self.head = next;
        } else {
            links.link_mut(prev).next = next;
        }
        if next == NIL {
            self.tail = prev;
        } else {
            links.link_mut(next).prev = prev;
        }
    }

    /// Moves `at`, which is in this list, to the end.
    #[inline]
    pub fn move_to_back(&mut self, links: &mut impl Links, at: u32) {
        if self.tail != at {
            self.unlink(links, at);
            self.push_back(links, at);
        }
    }
}
