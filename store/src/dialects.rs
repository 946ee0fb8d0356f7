//! Adapters that speak the predecessors' protocols on the same core: parse, call the engine, print.

pub mod go;
pub mod rochefort;
