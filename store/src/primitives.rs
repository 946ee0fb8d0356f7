//! The locks of a partition's hand-over between threads: those of the standard library, or, with the feature `shuttle`,
//! those of a model checker that tries many orders of what threads do.

#[cfg(not(feature = "shuttle"))]
pub use std::sync::{Mutex, MutexGuard, RwLock, TryLockError};

#[cfg(feature = "shuttle")]
pub use shuttle::sync::{Mutex, MutexGuard, RwLock, TryLockError};
