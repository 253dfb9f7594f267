//! Why the input of an open peer is not heard any further, and what the peer is told.

use crate::{counters::Disconnect, limits::Kinds, scanner::Breach};

/// Why decoding ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Breach(Breach),
    PingFlood,
    /// A message of one who may only listen.
    MayNotPublish,
    /// A message of a kind that the channel does not take, which are these.
    Kind(Kinds),
    /// Scanner and decoder disagree.
    Internal,
}

impl Fault {
    /// Reason, close code and close text.
    pub(crate) fn verdict(self) -> (Disconnect, u16, &'static str) {
        match self {
            Self::Breach(breach) => {
                let why = match breach {
                    Breach::Protocol(_) => Disconnect::Protocol,
                    Breach::Utf8 => Disconnect::Utf8,
                    Breach::TooBig => Disconnect::Size,
                    Breach::FragmentFlood => Disconnect::FragmentFlood,
                };
                (why, breach.code(), breach.token())
            }
            Self::PingFlood => (Disconnect::PingFlood, 1008, "ping-flood"),
            Self::MayNotPublish => (Disconnect::MayNotPublish, 1008, "publish-not-allowed"),
            Self::Kind(Kinds::Text) => (Disconnect::Kind, 1003, "text-only"),
            Self::Kind(_) => (Disconnect::Kind, 1003, "binary-only"),
            Self::Internal => (Disconnect::Internal, 1011, "internal"),
        }
    }
}
