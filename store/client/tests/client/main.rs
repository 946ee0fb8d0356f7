//! The client against stores that misbehave as told. What a real store does is tested with the store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod follow;
mod producer;
mod store;

mod chaos;
mod faults;
mod takeover;
mod writer;
