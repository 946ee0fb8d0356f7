//! Crashes of the store's core on a simulated disk: what was promised before is there after, in every state that a power
//! loss may leave.
//!
//! ```text
//! script → run (the engine, by hand: no threads) → disk (image: visible, durable) → crash → image → run → oracle
//! ```
//!
//! `make crash N=1000000` looks at that many random states; what a failure prints repeats it.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_possible_truncation)]

mod rng;

mod disk;
mod image;

mod oracle;
mod run;
mod script;

#[cfg(feature = "broken")]
mod broken;
mod exhaustive;
mod faults;
mod fences;
mod random;
