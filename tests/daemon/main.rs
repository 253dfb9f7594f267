//! The real binary, seen from outside.

#![cfg(unix)]
// Clippy takes the helpers for ordinary code; they are tests, and their time is the real one.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

/// Frames of a raw client.
mod raw;
/// Tokens.
mod smith;
/// The binary on a free port, and raw clients.
mod support;

/// Who a client is, and how many of one address may come.
mod addresses;
/// What operators and monitors are answered, and the program that asks.
mod admin;
/// Every status, every close code, and the counter of each.
mod codes;
/// What a configuration is answered with: mistakes, what it takes, descriptors.
mod config;
/// What operators are told of peers, and the peer that one of them sends away.
mod desk;
/// What is printed for nginx, and the examination of a machine.
mod front;
/// A stand-still, a shutdown with many peers, the lines of a peer's life.
mod life;
/// The log: its forms, and what standard error may be.
mod log;
/// The README's feed, and tokens made and looked at by the program.
mod mint;
/// From which pages requests are taken.
mod pages;
/// Who may speak and who may listen, and what the others are told.
mod permits;
/// Where it listens: sockets in the file system, and those that a service manager hands over; and what it is told.
mod places;
/// Messages that come by HTTP, from curl and by hand.
mod post;
/// The configuration, read again while running.
mod reload;
/// The keys for tokens, changed while running.
mod rotation;
/// Start, refusal to start, stop, signals, descriptors.
mod start;
/// Event streams and heartbeats.
mod stream;
/// What goes over the wire: order, slowness, breaches, the end of a connection.
mod wire;
