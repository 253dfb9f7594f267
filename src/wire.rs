//! What the core asks of the outside: bytes from a link, bytes to a link, the end of writing.
//!
//! The one seam between the core (floors 0 to 2) and the sockets. The server implements it over real sockets, the
//! simulation over its own; the core knows neither. `L` is the link: whatever the outside needs to find the socket.

use std::{
    io::{self, IoSlice},
    time::Duration,
};

/// What one read of a link brought.
#[derive(Debug)]
pub enum Heard<'a> {
    /// At least one byte. `drained` says that nothing more stood in the socket, so that the next byte, or the end,
    /// comes with an event of its own.
    Bytes {
        /// The bytes, in the reader's scratch buffer: good until the next read.
        bytes: &'a [u8],
        /// Nothing was left in the socket.
        drained: bool,
    },
    /// Nothing to read now; the next byte comes with an event.
    WouldBlock,
    /// The peer will send nothing more (FIN).
    End,
    /// The connection is broken: reset, or any error that is not "would block".
    Failed(io::Error),
}

/// The outside, as the core sees it.
pub trait Wire<L> {
    /// Reads once, at most `max` bytes (and at most the reader's scratch buffer). Never blocks. `max` is not 0.
    fn read<'w>(&'w mut self, link: &mut L, max: usize) -> Heard<'w>;

    /// Writes `slices` (never empty) with one call. Never blocks.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes nothing now; anything else ends the connection.
    fn write(&mut self, link: &mut L, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the writing side (FIN). Called once, after the last byte was written.
    fn finish(&mut self, link: &mut L);

    /// The peer will say nothing by itself: the connection is to fail when bytes that were written have not been
    /// acknowledged for `patience`. Called at most once; a link within the machine has no need of it.
    fn lose_after(&mut self, link: &mut L, patience: Duration);
}
