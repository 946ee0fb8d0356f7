//! What the quarantine takes. Nothing there is ever deleted by itself; a person looks and decides.

use std::io;

use super::Engine;
use crate::disk::{Disk, Open};

/// Puts the bytes of all files there into the metric.
pub fn measure(engine: &Engine) {
    match bytes(&*engine.root.disk, &engine.root.path.join("quarantine")) {
        Ok(bytes) => drop(engine.metrics.quarantine.set(bytes)),
        Err(error) => tracing::debug!(%error, "failed to measure the quarantine"),
    }
}

fn bytes(disk: &dyn Disk, dir: &std::path::Path) -> io::Result<u64> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        names => names?,
    };
    // One that was taken away meanwhile counts nothing.
    let len = |name: &String| disk.open(&dir.join(name), Open::Read).and_then(|file| file.size()).unwrap_or(0);
    Ok(names.iter().map(len).sum())
}
