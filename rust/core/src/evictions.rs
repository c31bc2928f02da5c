//! What an operation throws out, on its way to whoever may drop it.

/// Why an entry left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It had to make room.
    Size,
    /// Its deadline had come.
    Expired,
    /// Another value took its place.
    Replaced,
    /// It was removed on purpose.
    Deleted,
}

/// An entry, or the value of one, that is no longer in the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Evicted<K, V> {
    /// Its key; for [`Cause::Replaced`] the equal key that was handed in.
    pub key: K,
    /// Its value.
    pub value: V,
    /// Why it left.
    pub cause: Cause,
}

/// What one operation threw out, in order. The first, mostly the only one, costs no allocation.
#[derive(Debug)]
pub struct Evictions<K, V> {
    first: Option<Evicted<K, V>>,
    rest: Vec<Evicted<K, V>>,
}

impl<K, V> Default for Evictions<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Evictions<K, V> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            first: None,
            rest: Vec::new(),
        }
    }

    /// Adds what left last.
    #[inline]
    pub fn push(&mut self, evicted: Evicted<K, V>) {
        if self.first.is_none() {
            self.first = Some(evicted);
        } else {
            self.rest.push(evicted);
        }
    }

    /// Adds what left in a later operation.
    pub fn append(&mut self, later: Self) {
        later.for_each(|evicted| self.push(evicted));
    }

    /// Makes room for `more` at once.
    pub fn reserve(&mut self, more: usize) {
        self.rest.reserve(more);
    }

    /// Whether nothing left.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many left.
    pub const fn len(&self) -> usize {
        self.first.is_some() as usize + self.rest.len()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Evicted<K, V>> {
        self.first.iter().chain(&self.rest)
    }

    /// Hands all of them over, in order.
    #[inline]
    pub fn for_each(self, mut each: impl FnMut(Evicted<K, V>)) {
        if let Some(first) = self.first {
            each(first);
        }
        if !self.rest.is_empty() {
            self.rest.into_iter().for_each(each);
        }
    }
}

impl<K, V> From<Option<Evicted<K, V>>> for Evictions<K, V> {
    fn from(first: Option<Evicted<K, V>>) -> Self {
        Self {
            first,
            rest: Vec::new(),
        }
    }
}
