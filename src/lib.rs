//! wsrelayd: whatever a client sends on a path is relayed to every other client on that path.
//!
//! # The one idea
//!
//! Server frames are not masked, so one encoding of a message serves every peer. A *channel* (one request path) owns
//! a *backlog*: an append-only run of encoded frames. A *peer* owns a *cursor* into it and a small private *control*
//! buffer. Nothing is queued per peer and message: what a peer still has to get lies between its cursor and the end,
//! and leaves with one write per turn, however many messages the turn brought.
//!
//! An *event stream* is a second wire form of the same messages: a twin of the channel, with members and a backlog of its
//! own, that is there only while somebody reads it. Lag, hold and budgets work for each of the two as they do for one.
//!
//! What holds on a channel are the limits of the *rule* that its path comes under, whole sets of which the general
//! limits hold; what a peer may do there is decided once, at its handshake (`handshake/permit.rs`).
//!
//! # The map (imports go down only)
//!
//! | floor | files | what they own |
//! |---|---|---|
//! | | `main` | arguments, exit codes |
//! | 4 | `server/` | poller, listeners, sockets, the clock, the scratch buffer, the turn |
//! | 3 | `signals` `systemd` `config/` `cli` `logging/` | signals as events; what the service manager hands over and is told; the file, read and checked; arguments; a log that never blocks |
//! | 3 | `admin/` | the desk where operators and monitors ask; `wsrelayd status` |
//! | 3 | `mint/` | tokens made and looked at: `wsrelayd token` |
//! | 3 | `rulebook` | what the rules come to on a path, told to an operator |
//! | 3 | `nginx/` `doctor/` `ask` | what stands in front: its configuration, printed and read; the examination of a machine; other programs, asked |
//! | 2 | `relay/` | the whole product without a socket: peers, lists, channels, wheel |
//! | 1 | `peer/` `channel` `handshake/` `pipe` | one peer's stages and input; seats and paths; what is asked for; tungstenite on a leash |
//! | 0 | `address` `id` `roster` `wheel` `backlog/` `scanner/` `frame` `event_stream` `control` `slices` `counters` `histogram` `token_bucket` `limits` `meter` `news` `origin` `rules/` `token/` `wire` `random` `canary` | parts that know nobody |
//!
//! Floors 0 to 2 name no socket, no file and no clock: they take bytes and an `Instant`, and give bytes and the next
//! deadline. `wire` is the seam: the server implements it over sockets, `sim/` (tests only) over a simulated network,
//! and what holds all of them against any bytes at all stands in `fuzz/` (tests only). Where the code asks
//! `canary::sings`, a known bug can be let loose in tests; in a release the answer is a constant no.
//!
//! # The turn
//!
//! One thread, one edge-triggered poller; each socket is registered once, for both directions, and never again.
//!
//! ```text
//! 1 wait     until the next deadline; not at all while `due` or `unread` holds anybody   server
//! 2 now      one Instant for the whole turn                                              server
//! 3 hear     accept, signals; left-over input, then readable peers: decode, publish      relay/hear.rs
//! 4 expire   timer wheel: pings and deadlines                                            relay/expire.rs
//! 5 deliver  each peer on `due`: one write; the slow; the budgets for memory             relay/deliver.rs
//! 6 bury     close, free the slot                                                        relay/end.rs
//! ```
//!
//! The desk (`admin/`), where operators ask, goes through phases 3 to 6 after the relay, with small limits of its own; it
//! may have a peer closed while it hears.
//!
//! A peer is on **`due`** exactly when it has something to get *and* its socket takes bytes (or all is said and its
//! writing side is still to be ended); a crowded channel and all others are served by turns. It is on **`unread`**
//! exactly when it is owed a read, because a readable edge was not spent or input is left over, and its channel does not
//! keep it waiting, of which more than `hold` bytes, in either form, were not yet offered to somebody who would take
//! them. Who waits for that stands on a list of the channel's, and comes back to `unread` as soon as there is room. Who
//! gets an event stream is read for its end alone, and waits for nobody. Who has sent more than its rate allows rests, on no
//! list but the wheel, until that is paid for. Over a budget for memory
//! a peer stays on `unread` for a turn unread. A reload gives the relay other limits within *hear*, all at once.
//!
//! # The laws
//!
//! 1. A slot is freed only in *bury*.
//! 2. Only *deliver* writes to a peer, refusals included; the desk's to its visitors.
//! 3. Floors 0 to 2 take time as an argument.
//! 4. Reading a peer changes that peer, its channel's backlog (in both forms), the account of its address, and the
//!    counters; nothing else.
//! 5. A frame is never cut, nor an event; control frames, and all that is for one peer alone, stand at their boundaries.
//! 6. Each peer that is not gone has a valid wheel entry no later than its next deadline (and a tick).
//! 7. Total order per channel: what a peer receives is one contiguous run of the channel's messages, less its own, in
//!    either form: no gap (except by law 8), no duplicate, no reordering, from joining to leaving.
//! 8. No silent loss: a gap exists only where the peer was disconnected, with the reason, or, under
//!    `on_slow = "skip"`, where it is counted and logged.
//! 9. Every queue, buffer and list has a limit from the configuration and a named consequence (`limits`).
//! 10. `due` and `unread` are exact; who is owed a read and stands on neither waits with its channel, or with the wheel.
//! 11. Bytes and type are relayed exactly; bytes of one peer never reach another channel, nor a later peer in its
//!     slot.
//! 12. Every refusal and every disconnect is counted under exactly one reason; the sums match.
//! 13. A peer whose socket always takes what it is offered is never disconnected or skipped for slowness.
//!
//! Which test fails without which law is in `tests/README.md`. `relay/audit.rs` recomputes 1, 6, 9, 10 and 12 after every
//! simulated turn, `sim/` holds what each client received against 5, 7, 8, 11 and 13 and counts the work of each turn; 2
//! and 4 follow from who is given the `Wire`, 3 from `clippy.toml` and `tests/manners.py`.

#![forbid(unsafe_code)]

#[cfg(any(test, feature = "simulation"))]
extern crate self as wsrelayd; // for what a test program takes too

pub mod address;
pub mod admin;
pub mod ask;
mod backlog;
mod canary;
mod channel;
pub mod cli;
pub mod config;
mod control;
pub mod counters;
pub mod doctor;
mod event_stream;
mod frame;
#[cfg(any(test, feature = "simulation"))]
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
pub mod histogram;
pub mod id;
pub mod limits;
pub mod logging;
mod meter;
pub mod mint;
pub mod news;
pub mod nginx;
pub mod origin;
mod peer;
pub mod pipe;
mod random;
pub mod relay;
mod roster;
pub mod rulebook;
pub mod rules;
pub mod scanner;
pub mod server;
pub mod signals;
#[cfg(any(test, feature = "simulation"))]
mod sim;
mod slices;
pub mod systemd;
pub mod token;
pub mod token_bucket;
pub mod wheel;
pub mod wire;
