//! Mistakes that are made on purpose, so that the crash tests can show that they notice them.
//!
//! They exist only with the feature `broken`, which no release has, and only in the thread that has asked for one.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A file that has got its name is taken for durable without a sync of the directory.
    NoDirectorySync,
    /// `synced` is answered as soon as `written`.
    AnsweredBeforeSync,
    /// Records are not verified when they are read.
    NoChecksum,
    /// Damage in the middle of a log is cut off with all that follows, like a torn tail.
    DamageCutOff,
    /// A new segment is begun without a sync of the last.
    RollWithoutSync,
    /// A segment without its erased records gets the name of the old one before it is synced.
    RewriteWithoutSync,
    /// It gets the name before it is written.
    RenamedBeforeWritten,
    /// A patch that is lost leaves the record as it was before.
    LostPatchIgnored,
}

#[cfg(feature = "broken")]
std::thread_local! {
    static MADE: std::cell::Cell<Option<Broken>> = const { std::cell::Cell::new(None) };
}

/// Makes a mistake in this thread from here on, or none.
#[cfg(feature = "broken")]
pub fn set(mistake: Option<Broken>) {
    MADE.set(mistake);
}

/// Whether a mistake is made.
#[cfg(feature = "broken")]
#[must_use]
pub fn is(mistake: Broken) -> bool {
    MADE.get() == Some(mistake)
}

/// No mistake is made.
#[cfg(not(feature = "broken"))]
#[must_use]
#[inline(always)]
pub const fn is(_mistake: Broken) -> bool {
    false
}
