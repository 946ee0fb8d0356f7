//! Stores do not outlive `local`, even when it is killed without a chance to end them.
//!
//! A process starts a store through its own binary, with the hidden command `exec-store`. That asks the kernel for
//! SIGTERM when its parent is gone, and becomes the store: the same process id, no process in between. The kernel
//! watches the thread that started it, which is why `local` runs on the main thread alone.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The hidden command.
pub const COMMAND: &str = "exec-store";
/// Its argument that names the process to be tethered to.
pub const PARENT_ARGUMENT: &str = "--parent";

/// Our own binary. On Linux by a name that means the running one, even when a build has put another in its place.
pub(super) fn ourselves() -> Option<PathBuf> {
    if cfg!(target_os = "linux") { Some(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe().ok() }
}

/// What stands in front of a store's own command line.
pub(super) fn arguments(parent: u32) -> [String; 4] {
    [COMMAND.to_owned(), PARENT_ARGUMENT.to_owned(), parent.to_string(), "--".to_owned()]
}

/// Becomes the given program, tethered to its parent.
///
/// # Errors
/// When the parent is gone already, or the program cannot be had.
pub fn exec(parent: u32, command: &[OsString]) -> Result<Infallible, io::Error> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program was given"));
    };
    follow_parent()?;
    // It may have gone before the kernel was asked; then nobody would tell.
    if std::os::unix::process::parent_id() != parent {
        return Err(io::Error::other("the parent is gone"));
    }
    Err(Command::new(program).args(arguments).exec())
}

#[cfg(target_os = "linux")]
fn follow_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).map_err(io::Error::from)
}

/// Elsewhere nobody can be asked: a store that is left behind holds its data, and the next one says so.
#[cfg(not(target_os = "linux"))]
fn follow_parent() -> io::Result<()> {
    Ok(())
}
