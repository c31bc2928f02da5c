//! The calls that are being made, under numbers that are used again.

/// One call: in which generation it began, and when.
#[derive(Clone, Copy)]
pub struct Lease {
    /// 0: not in use.
    pub generation: u64,
    pub start: u64,
}

impl Lease {
    /// The generation of a lease whose time was over: no result is of that one.
    const VOID: u64 = u64::MAX;
}

/// Leases in a vector, and its free places.
#[derive(Default)]
pub struct Leases {
    places: Vec<Lease>,
    free: Vec<u32>,
}

impl Leases {
    /// A new one, under the number that was freed last.
    #[inline]
    pub fn open(&mut self, generation: u64, start: u64) -> u32 {
        let lease = Lease { generation, start };
        if let Some(at) = self.free.pop()
            && let Some(place) = self.places.get_mut(at as usize)
        {
            *place = lease;
            return at;
        }
        let at = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(lease);
        at
    }

    /// The one under this number, if it is in use.
    pub fn get(&self, at: u32) -> Option<Lease> {
        let lease = self.places.get(at as usize).copied();
        lease.filter(|lease| lease.generation != 0)
    }

    /// Ends one, if it is in use.
    #[inline]
    pub fn close(&mut self, at: u32) -> Option<Lease> {
        let lease = self.get(at)?;
        if let Some(place) = self.places.get_mut(at as usize) {
            place.generation = 0;
        }
        self.free.push(at);
        Some(lease)
    }

    /// Has its result count for nothing, if it comes.
    pub fn void(&mut self, at: u32) {
        if let Some(place) = self.places.get_mut(at as usize) {
            place.generation = Lease::VOID;
        }
    }
}
