//! The simulated kernel: sockets with finite buffers in both directions, and edge-triggered events.
//!
//! Promises what epoll promises and nothing more: a readable event for every arrival (bytes, the end, an error), a
//! writable one at registration and when room appears after a write met a full buffer. On top of that come the
//! faults that a seed has drawn. A socket has the same number as the client behind it. Objects (`objection`) when the
//! core uses a link in the wrong phase, beyond a budget, or after its end.

use std::{collections::VecDeque, time::Duration};

use super::{rng::Rng, trace::Note, trace::Trace};
use crate::{id::PeerId, limits::TurnBudget};

/// The most that one read brings.
pub(super) const SCRATCH: usize = 64 << 10;
/// Names of the buried that stale events are made of.
const GRAVES: usize = 16;

/// The core's link: the number of the socket.
#[derive(Debug)]
pub(super) struct SimLink(pub(super) usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Readable,
    Writable,
}

/// How often each fault strikes, in thousandths.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) stale: u32,
    pub(super) spurious: u32,
    pub(super) duplicate: u32,
    pub(super) late: u32,
    pub(super) reorder: u32,
    pub(super) short_read: u32,
    pub(super) short_write: u32,
    pub(super) block_read: u32,
    pub(super) block_write: u32,
    /// `drained` is denied although it is true.
    pub(super) undrained: u32,
    /// A reset throws away what stood unread.
    pub(super) purge: u32,
    /// A connection is reset; per step of the world.
    pub(super) reset: u32,
    /// The outside loses a connection as soon as it is open.
    pub(super) lose: u32,
    /// A readable event says "writable" too, when that is so, as epoll does.
    pub(super) both: u32,
    /// The clock jumps far; per step of the world.
    pub(super) jump: u32,
}

/// What the core has done in the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) reads: usize,
    pub(super) read_bytes: usize,
    pub(super) writes: usize,
    pub(super) write_bytes: usize,
}

/// The phase of the turn, which says what the core may do with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Hear,
    Deliver,
    Neither,
}

/// What a client finds when it has read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Ended,
    Broken,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) bytes: VecDeque<u8>,
    capacity: usize,
    /// FIN stands behind the bytes.
    pub(super) ended: bool,
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity, ended: false }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    /// Moves up to `max` bytes to the end of `into`.
    pub(super) fn drain_into(&mut self, max: usize, into: &mut Vec<u8>) -> usize {
        let n = max.min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let first = n.min(front.len());
        into.extend_from_slice(&front[..first]);
        into.extend_from_slice(&back[..n - first]);
        self.bytes.drain(..n);
        if self.bytes.is_empty() {
            self.bytes = VecDeque::new();
        }
        n
    }
}

/// One connection, both ends.
#[derive(Debug)]
pub(super) struct Socket {
    /// Whom the relay takes it for; `None` before `open`.
    pub(super) name: Option<PeerId>,
    /// From the client to the relay.
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    pub(super) broken: bool,
    /// The client has closed its end: a write is answered with a reset.
    pub(super) left: bool,
    pub(super) buried: bool,
    pub(super) finished: bool,
    /// Takes everything at once, and no fault is put into its writes (law 13).
    pub(super) roomy: bool,
    /// The writer met a full buffer, and is owed an event.
    pub(super) starved: bool,
    /// Which edges are already waiting to be reported.
    noted: [bool; 2],
    /// Writes that took nothing.
    pub(super) refused: u32,
    /// Got an event that was not true.
    pub(super) tainted: bool,
    /// How often bytes came from the client.
    pub(super) arrivals: u32,
    pub(super) consumed: usize,
    pub(super) written: usize,
    /// When the relay last wrote a byte.
    pub(super) written_at: Duration,
    /// How long bytes may stand unacknowledged, if the relay has said so.
    pub(super) patience: Option<Duration>,
    /// When the relay last read a byte.
    pub(super) heard_at: Duration,
    pub(super) read_in_turn: (u64, usize),
    pub(super) written_in_turn: u64,
}

impl Socket {
    /// The relay has yet to read something.
    pub(super) fn has_unread(&self) -> bool {
        !self.up.bytes.is_empty()
    }

    /// Takes so little at a time that much takes long.
    pub(super) fn is_narrow(&self) -> bool {
        self.down.capacity < 1000
    }

    /// Room at which a kernel calls a full socket writable again.
    fn is_writable(&self) -> bool {
        self.down.room() >= (self.down.capacity / 3).max(1)
    }
}

#[derive(Debug)]
struct Pending {
    due_turn: u64,
    socket: usize,
    edge: Edge,
}

/// All sockets, and the events that wait to be reported.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) sockets: Vec<Socket>,
    pending: Vec<Pending>,
    graves: VecDeque<PeerId>,
    pub(super) scratch: Vec<u8>,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) budget: TurnBudget,
    pub(super) turn: u64,
    pub(super) now: Duration,
    /// The clock has just jumped: what came meanwhile is there, and no fault holds it back.
    pub(super) after_jump: bool,
    pub(super) phase: Phase,
    pub(super) work: Work,
    pub(super) trace: Trace,
    pub(super) stale_events: u64,
    /// The first thing that the core must not have done.
    pub(super) objection: Option<String>,
}

impl Net {
    pub(super) fn new(faults: Faults, budget: TurnBudget, rng: Rng) -> Self {
        Self {
            sockets: Vec::new(),
            pending: Vec::new(),
            graves: VecDeque::new(),
            scratch: Vec::with_capacity(SCRATCH),
            rng,
            faults,
            budget,
            turn: 1,
            now: Duration::ZERO,
            after_jump: false,
            phase: Phase::Neither,
            work: Work::default(),
            trace: Trace::default(),
            stale_events: 0,
            objection: None,
        }
    }

    /// A client connects. `usize::MAX` as the capacity down makes a roomy socket.
    pub(super) fn connect(&mut self, up: usize, down: usize) -> usize {
        self.sockets.push(Socket {
            name: None,
            up: Pipe::new(up),
            down: Pipe::new(down),
            broken: false,
            left: false,
            buried: false,
            finished: false,
            roomy: down == usize::MAX,
            starved: false,
            noted: [false; 2],
            refused: 0,
            tainted: false,
            arrivals: 0,
            consumed: 0,
            written: 0,
            written_at: self.now,
            patience: None,
            heard_at: self.now,
            read_in_turn: (0, 0),
            written_in_turn: 0,
        });
        self.sockets.len() - 1
    }

    /// The relay has accepted: the socket is registered, and its state is reported once.
    pub(super) fn register(&mut self, socket: usize, name: PeerId) {
        self.sockets[socket].name = Some(name);
        self.sockets[socket].heard_at = self.now;
        self.note(socket, Edge::Writable, 0);
        let Socket { up, broken, .. } = &self.sockets[socket];
        if !up.bytes.is_empty() || up.ended || *broken {
            self.note(socket, Edge::Readable, 0);
        }
    }

    /// The relay has let go of the socket.
    pub(super) fn release(&mut self, socket: usize, reset: bool) {
        let s = &mut self.sockets[socket];
        s.buried = true;
        let unread = !s.up.bytes.is_empty();
        s.up.bytes = VecDeque::new();
        s.down.ended = true;
        if self.graves.len() == GRAVES {
            self.graves.pop_front();
        }
        self.graves.extend(s.name);
        // A kernel answers unread input with a reset too.
        if reset || unread {
            self.sever(socket);
        }
    }

    /// Both ends find the connection broken.
    pub(super) fn sever(&mut self, socket: usize) {
        let purge = self.rng.chance(self.faults.purge);
        let s = &mut self.sockets[socket];
        s.broken = true;
        if purge {
            s.up.bytes.clear();
            s.down.bytes.clear();
        }
        self.note(socket, Edge::Readable, 0);
        self.note(socket, Edge::Writable, 0);
    }

    /// Puts an event on the list, `delay_turns` after the next report.
    pub(super) fn note(&mut self, socket: usize, edge: Edge, delay_turns: u64) {
        let s = &mut self.sockets[socket];
        if s.name.is_none() || s.buried {
            return;
        }
        if !std::mem::replace(&mut s.noted[edge as usize], true) {
            self.pending.push(Pending { due_turn: self.turn + delay_turns, socket, edge });
        }
        let both = edge == Edge::Readable && !s.starved && s.is_writable();
        if both && self.rng.chance(self.faults.both) {
            self.note(socket, Edge::Writable, delay_turns);
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// No more faults; what was held back is held back no longer.
    pub(super) fn calm(&mut self) {
        self.faults = Faults::default();
        self.pending.iter_mut().for_each(|event| event.due_turn = self.turn);
    }
}

/// The clients' side.
impl Net {
    /// How much the client may send now.
    pub(super) fn room(&self, socket: usize) -> usize {
        let s = &self.sockets[socket];
        if s.broken || s.left || s.up.ended { 0 } else { s.up.room() }
    }

    pub(super) fn send(&mut self, socket: usize, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room(socket));
        if n > 0 && self.sockets[socket].buried {
            self.sever(socket);
        } else if n > 0 {
            self.sockets[socket].up.bytes.extend(&bytes[..n]);
            self.sockets[socket].arrivals += 1;
            self.note(socket, Edge::Readable, 0);
        }
        n
    }

    pub(super) fn receive(&mut self, socket: usize, max: usize, into: &mut Vec<u8>) -> usize {
        let s = &mut self.sockets[socket];
        let n = s.down.drain_into(max, into);
        if s.starved && s.is_writable() {
            s.starved = false;
            self.note(socket, Edge::Writable, 0);
        }
        n
    }

    /// Whether the client would find something by reading.
    pub(super) fn has_news(&self, socket: usize) -> bool {
        let s = &self.sockets[socket];
        !s.left && (!s.down.bytes.is_empty() || s.broken || s.down.ended)
    }

    pub(super) fn fate(&self, socket: usize) -> Fate {
        match &self.sockets[socket] {
            s if !s.down.bytes.is_empty() => Fate::Open,
            s if s.broken => Fate::Broken,
            s if s.down.ended => Fate::Ended,
            _ => Fate::Open,
        }
    }

    /// The client ends its writing side.
    pub(super) fn shut(&mut self, socket: usize) {
        self.sockets[socket].up.ended = true;
        self.note(socket, Edge::Readable, 0);
    }

    /// The client closes: in peace when it has read everything, else as a kernel does, with a reset.
    pub(super) fn leave(&mut self, socket: usize) {
        self.sockets[socket].left = true;
        if self.sockets[socket].down.bytes.is_empty() { self.shut(socket) } else { self.reset(socket) }
    }

    pub(super) fn reset(&mut self, socket: usize) {
        self.sever(socket);
    }
}

/// The poll loop's side.
impl Net {
    /// The events of the next turn.
    pub(super) fn poll(&mut self) -> Vec<(PeerId, Edge)> {
        let mut batch = Vec::new();
        for mut event in std::mem::take(&mut self.pending) {
            if self.after_jump {
                event.due_turn = self.turn;
            } else if event.due_turn <= self.turn && self.rng.chance(self.faults.late) {
                event.due_turn = self.turn + 1 + self.rng.below(5) as u64;
            }
            let s = &mut self.sockets[event.socket];
            if event.due_turn > self.turn {
                self.pending.push(event);
                continue;
            }
            s.noted[event.edge as usize] = false;
            let copies = 1 + usize::from(self.rng.chance(self.faults.duplicate));
            batch.extend(std::iter::repeat_n((event.edge, s.name), copies));
        }
        self.add_false_events(&mut batch);
        if self.rng.chance(self.faults.reorder) {
            self.rng.shuffle(&mut batch);
        }
        self.turn += 1;
        batch.into_iter().filter_map(|(edge, name)| Some((name?, edge))).collect()
    }

    fn add_false_events(&mut self, batch: &mut Vec<(Edge, Option<PeerId>)>) {
        let edges = [Edge::Readable, Edge::Writable];
        if !self.graves.is_empty() && self.rng.chance(self.faults.stale) {
            let grave = self.graves[self.rng.below(self.graves.len())];
            batch.push((self.rng.pick(&edges), Some(grave)));
            self.stale_events += 1;
        }
        if !self.sockets.is_empty() && self.rng.chance(self.faults.spurious) {
            let socket = self.rng.below(self.sockets.len());
            self.sockets[socket].tainted = true;
            batch.push((self.rng.pick(&edges), self.sockets[socket].name));
        }
    }

    /// Begins the count of a turn's work.
    pub(super) fn begin(&mut self, now: Duration) {
        self.now = now;
        self.work = Work::default();
        self.trace.note(Note::Turn(self.turn, now));
    }
}
