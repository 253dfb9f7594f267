//! Known bugs that can be let loose, one at a time, to see whether the tests find them.
//!
//! A canary sits where the bug would be, and sings only in a build for tests (or with the feature `simulation`), on
//! the thread that let it loose. Everywhere else `sings` is a constant, and nothing of it is left in a release.
//! `sim/canaries.rs` lets each loose and counts the seeds until the simulation finds it.

/// A known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "outside tests they are only asked after")]
pub(crate) enum Canary {
    /// A peer that is owed a read is not put back on `unread`.
    ForgottenOnUnread,
    /// A peer whose write took less than there is, is not put back on `due`.
    ForgottenOnDue,
    /// A lookup does not look at the serial: whoever took a slot answers for its former tenant.
    LookupWithoutSerial,
    /// A sender's own messages are passed over one short: it hears its last one.
    OwnRunOneShort,
    /// A skip goes on to the message before the newest, as if that were it.
    SkipOneShort,
    /// The first block of a backlog is freed when one reader is left in it.
    BlockFreedEarly,
    /// Control frames leave at once, although a frame of the backlog is written in part.
    ControlInsideFrame,
    /// The wheel forgets an entry beyond its rim.
    LostTimer,
    /// A backlog counts what was written and not what was allocated.
    PayloadCounted,
}

#[cfg(any(test, feature = "simulation"))]
mod cage {
    use super::Canary;
    use std::cell::Cell;

    thread_local! {
        static LOOSE: Cell<Option<Canary>> = const { Cell::new(None) };
    }

    /// Whether this bug is let loose on this thread.
    pub(crate) fn sings(canary: Canary) -> bool {
        LOOSE.get() == Some(canary)
    }

    /// Lets a bug loose on this thread, or none.
    #[cfg(test)]
    pub(crate) fn let_loose(canary: Option<Canary>) {
        LOOSE.set(canary);
    }
}

#[cfg(any(test, feature = "simulation"))]
pub(crate) use cage::*;

/// Never, in a build that is not for tests.
#[cfg(not(any(test, feature = "simulation")))]
pub(crate) const fn sings(_: Canary) -> bool {
    false
}
