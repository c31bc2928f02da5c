//! The algorithms of penstock.
//!
//! Nothing here knows Python, reads a clock or takes a lock: every structure is a synchronous state
//! machine that its owner drives, and what it throws out is handed back to be dropped elsewhere.

#![forbid(unsafe_code)]

mod cache;
mod evictions;
pub mod flow;
mod list;
pub mod metrics;
mod ordered;
pub mod policy;
mod ring;
mod slab;
mod wheel;

pub use cache::{Cache, Counters, Full, Lookup};
pub use evictions::{Cause, Evicted, Evictions};
pub use ordered::Ordered;
pub use ring::{Entry, Pushed, Ring};
pub use wheel::{NEVER, Wheel};

/// Where a state machine learns what time it is; the owner decides what that costs.
pub trait Clock {
    /// Nanoseconds on a clock that never goes back.
    fn now(&self) -> u64;

    /// Whether `deadline` has come. A clock may answer this more cheaply than [`Clock::now`].
    fn reached(&self, deadline: u64) -> bool {
        self.now() >= deadline
    }
}

/// A moment already read.
impl Clock for u64 {
    fn now(&self) -> u64 {
        *self
    }
}
