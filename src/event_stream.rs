//! The second wire form of a channel's messages.

/// In which form a peer gets its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Frames of WebSocket.
    Frames,
    /// Events of an event stream.
    Events,
}
