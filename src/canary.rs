//! Known bugs that can be let loose, one at a time, to see whether the tests find them.
//!
//! A canary sits where the bug would be, and sings only in a build for tests (or with the feature `simulation`), on
//! the thread that let it loose. Everywhere else `sings` is a constant, and nothing of it is left in a release.
//! `sim/canaries.rs` lets each loose and counts the seeds until the simulation finds it.

/// A known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "outside tests they are only asked after")]
pub(crate) enum Canary {
    /// A peer that is owed a read is not put back on `unread` after a visit.
    ForgottenOnUnread,
    /// A peer whose write took less than there is, is not put back on `due`.
    ForgottenOnDue,
    /// A readable edge counts as spent, although the socket was not drained.
    EdgeSpentEarly,
    /// A lookup does not look at the serial: whoever took a slot answers for its former tenant.
    LookupWithoutSerial,
    /// A sender's own messages are passed over one short: it hears its last one.
    OwnRunOneShort,
    /// A skip goes beyond the newest message, which so does not arrive.
    SkipTooFar,
    /// The first block of a backlog is freed while one reader is left in it.
    BlockFreedEarly,
    /// A backlog counts what was written, and not what was allocated.
    PayloadCounted,
    /// Control frames leave at once, although a frame of the backlog is written in part.
    ControlInsideFrame,
    /// A close frame is dropped when other control frames have not left yet.
    CloseFrameLost,
    /// A peer that closes gets what is published later, before the close frame.
    HearsAfterClose,
    /// Every message is relayed as binary.
    TypeForgotten,
    /// The wheel loses the entries of one tick in sixteen.
    LostTimer,
    /// A wheel entry that is not the peer's valid one is heeded and put back.
    StaleTimerHeeded,
    /// When a peer is closed, its nearer deadline is not told to the wheel.
    DeadlineNotMoved,
    /// Ticks are counted in 32 bits, which last for thirteen years.
    NarrowTicks,
    /// A channel's senders are never held back.
    NoHold,
    /// Senders that were held back are not read again.
    HeldForEver,
    /// Lag counts against a peer whose socket takes bytes, and it is not served.
    WritableWeighed,
    /// The member that takes a leaver's place in its channel does not learn its new number.
    SeatNotRenumbered,
    /// A connection that is lost is counted twice.
    CountedTwice,
    /// Anybody is believed who says that he asks for somebody else.
    StrangerBelieved,
    /// The limits per address hold for proxies and for this machine too.
    NobodyExempt,
    /// An address keeps the connections that have ended.
    StayNotEnded,
    /// A reload is applied by half: deadlines that come nearer are not told to the wheel.
    ReloadByHalf,
    /// Who reads a channel as an event stream is not told that there is news.
    TwinNotStirred,
    /// A channel's senders are not held back for those who read it in the other form.
    TwinOverlooked,
    /// A heartbeat is answered, and relayed too.
    HeartbeatRelayed,
    /// Who is left unread for its rate is not read again.
    NeverWoken,
    /// What is sent is charged to its sender, and not to the address.
    AddressNotCharged,
    /// Who is left unread for its rate counts as silent meanwhile.
    RestIsSilence,
    /// Whoever may only publish gets messages too.
    DeafHears,
    /// Whoever may only publish lacks what it may not hear.
    DeafWeighed,
    /// That a token runs out is forgotten.
    TokenEndForgotten,
    /// Nobody asks whether a peer may publish.
    RightsNotAsked,
    /// A channel comes under the least specific rule that is for it.
    OtherRule,
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

#[cfg(test)]
impl Canary {
    /// All of them.
    pub(crate) const ALL: [Self; 36] = [
        Self::ForgottenOnUnread,
        Self::ForgottenOnDue,
        Self::EdgeSpentEarly,
        Self::LookupWithoutSerial,
        Self::OwnRunOneShort,
        Self::SkipTooFar,
        Self::BlockFreedEarly,
        Self::PayloadCounted,
        Self::ControlInsideFrame,
        Self::CloseFrameLost,
        Self::HearsAfterClose,
        Self::TypeForgotten,
        Self::LostTimer,
        Self::StaleTimerHeeded,
        Self::DeadlineNotMoved,
        Self::NarrowTicks,
        Self::NoHold,
        Self::HeldForEver,
        Self::WritableWeighed,
        Self::SeatNotRenumbered,
        Self::CountedTwice,
        Self::StrangerBelieved,
        Self::NobodyExempt,
        Self::StayNotEnded,
        Self::ReloadByHalf,
        Self::TwinNotStirred,
        Self::TwinOverlooked,
        Self::HeartbeatRelayed,
        Self::NeverWoken,
        Self::AddressNotCharged,
        Self::RestIsSilence,
        Self::DeafHears,
        Self::DeafWeighed,
        Self::TokenEndForgotten,
        Self::RightsNotAsked,
        Self::OtherRule,
    ];
}
