//! Everything that reads bytes of others, given bytes that nobody would send: files, frames, requests. None may end the
//! process, and what is checked behind each must hold.

mod expressions;
mod frames;
#[path = "../../tests/common/local.rs"]
mod local;
mod recovery;
mod requests;
mod side_files;

/// Something that reads bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Reads the bytes; panics where something does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "frames", run: frames::run },
    Target { name: "recovery", run: recovery::run },
    Target { name: "side_files", run: side_files::run },
    Target { name: "expressions", run: expressions::run },
    Target { name: "bodies", run: requests::bodies },
    Target { name: "queries", run: requests::queries },
    Target { name: "rochefort", run: requests::rochefort },
];
