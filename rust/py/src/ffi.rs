//! All the unsafe code of the extension, each use with its reason.
//!
//! Three things cannot be had from safe PyO3 at the speed that this library exists for: exclusive
//! access to state for which holding the GIL is the lock, calls by the vectorcall protocol, and
//! awaitables that return through `am_send`.

mod args;
mod call;
mod hash;
mod lock;
mod method;
mod ready;
mod running;

pub use args::{Args, Parts, Slot, Vectorcall, install_vectorcall};
pub use call::{
    as_float, attached, call, call_method0, call_with, call0, detached, is_equal,
    only_one_interpreter, recursive, small_int, to_str,
};
pub use hash::{equal, hash, utf8};
pub use lock::GilLock;
pub use method::{
    FastMethod, FastSetItem, Installed, inherit_method, install_method, install_set_item,
};
pub use ready::{ready, ready_type};
pub use running::running_token;
