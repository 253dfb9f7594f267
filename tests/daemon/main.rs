//! The real binary, seen from outside.

#![cfg(unix)]
// Clippy takes the helpers for ordinary code; they are tests, and their time is the real one.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

/// The binary on a free port, and raw clients.
mod support;

/// A stand-still, a shutdown with many peers, the lines of a peer's life.
mod life;
/// Start, refusal to start, stop, signals, descriptors, logs.
mod start;
/// What goes over the wire: order, slowness, breaches, the end of a connection.
mod wire;
