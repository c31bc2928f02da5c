//! Flow control: who may go on now, who waits, and what was learnt from those who went.

mod breaker;
mod gcra;
mod sampler;
mod waiters;

pub use breaker::{
    Admission, Breaker, Change, Config, State, Tally as BreakerTally, Verdict, Window,
};
pub use gcra::Gcra;
pub use sampler::{Outcome, Sampler, Summary};
pub use waiters::{Enqueued, NotHeld, Order, Tally, Waiters};
