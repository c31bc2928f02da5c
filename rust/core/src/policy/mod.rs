//! Which entry leaves a full cache.

mod lru;

pub use crate::list::{Link, Links, List, NIL};
pub use lru::Lru;

/// Decides the order of eviction. It sees entries as numbers and threads its lists through their links.
pub trait Policy: Default {
    /// An entry has come in at `at`.
    fn inserted(&mut self, links: &mut impl Links, at: u32);

    /// The entry at `at` was read or replaced.
    fn accessed(&mut self, links: &mut impl Links, at: u32);

    /// The entry at `at` is about to leave.
    fn removed(&mut self, links: &mut impl Links, at: u32);

    /// Who goes next.
    fn victim(&self) -> Option<u32>;

    /// The entry that goes after `at`, in the order of eviction.
    fn after(&self, links: &impl Links, at: u32) -> Option<u32>;
}
