//! The relay's side of the simulated sockets: what a read brings, what a write takes, and the core's conduct while it
//! reads and writes.

use std::{io, io::IoSlice, time::Duration};

use super::{
    net::{Edge, Net, Phase, SCRATCH, SimLink},
    trace::Note,
};
use crate::wire::{Heard, Wire};

impl Wire<SimLink> for Net {
    fn read<'w>(&'w mut self, link: &mut SimLink, max: usize) -> Heard<'w> {
        self.expect_phase(Phase::Hear, "a read");
        self.work.reads += 1;
        let here = self.sockets[link.0].up.bytes.len();
        if here == 0 {
            return self.read_nothing(link.0);
        }
        if !self.after_jump && self.rng.chance(self.faults.block_read) {
            let delay = self.rng.below(4) as u64;
            self.note(link.0, Edge::Readable, delay);
            return Heard::WouldBlock;
        }
        let mut n = here.min(max).min(SCRATCH);
        if self.rng.chance(self.faults.short_read) {
            n = self.rng.between(1, n);
        }
        let s = &mut self.sockets[link.0];
        self.scratch.clear();
        s.up.drain_into(n, &mut self.scratch);
        s.consumed += n;
        s.heard_at = self.now;
        self.work.read_bytes += n;
        let before = if s.read_in_turn.0 == self.turn { s.read_in_turn.1 } else { 0 };
        s.read_in_turn = (self.turn, before + n);
        let emptied = s.up.bytes.is_empty() && !s.up.ended && !s.broken;
        if before + n > self.budget.read_per_peer {
            self.object(|| format!("client {}: {} bytes read in a turn", link.0, before + n));
        }
        self.trace.note(Note::Read(link.0, "bytes", n));
        let drained = emptied && !self.rng.chance(self.faults.undrained);
        Heard::Bytes { bytes: &self.scratch, drained }
    }

    fn write(&mut self, link: &mut SimLink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.expect_phase(Phase::Deliver, "a write");
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.judge_write(link.0, offered);
        if self.sockets[link.0].broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.sockets[link.0].left {
            self.sever(link.0);
            return Ok(offered);
        }
        let n = self.grant(link.0, offered);
        if n == 0 {
            return Err(self.block(link.0));
        }
        let s = &mut self.sockets[link.0];
        let mut left = n;
        for slice in slices {
            let part = &slice[..left.min(slice.len())];
            s.down.bytes.extend(part);
            left -= part.len();
        }
        s.written += n;
        s.written_at = self.now;
        // A write that met a full buffer is owed an event, the one that a fault cut short is not.
        s.starved |= n < offered && s.down.room() == 0;
        self.work.write_bytes += n;
        self.trace.note(Note::Wrote(link.0, offered, n));
        Ok(n)
    }

    fn finish(&mut self, link: &mut SimLink) {
        self.expect_phase(Phase::Deliver, "a finish");
        if std::mem::replace(&mut self.sockets[link.0].finished, true) {
            self.object(|| format!("client {}: finished twice", link.0));
        }
        self.sockets[link.0].down.ended = true;
        self.trace.note(Note::Finished(link.0));
    }

    fn lose_after(&mut self, link: &mut SimLink, patience: Duration) {
        self.expect_phase(Phase::Hear, "a limit on silence");
        if self.sockets[link.0].patience.replace(patience).is_some() {
            self.object(|| format!("client {}: watched twice", link.0));
        }
    }
}

impl Net {
    fn object(&mut self, why: impl FnOnce() -> String) {
        if self.objection.is_none() {
            self.objection = Some(why());
        }
    }

    fn expect_phase(&mut self, phase: Phase, what: &str) {
        if self.phase != phase {
            self.object(|| format!("law 2: {what} outside of {phase:?}"));
        }
    }

    fn read_nothing<'w>(&mut self, socket: usize) -> Heard<'w> {
        let s = &self.sockets[socket];
        let (what, heard) = match (s.broken, s.up.ended) {
            (true, _) => ("failed", Heard::Failed(io::ErrorKind::ConnectionReset.into())),
            (_, true) => ("end", Heard::End),
            _ => ("nothing", Heard::WouldBlock),
        };
        self.trace.note(Note::Read(socket, what, 0));
        heard
    }

    fn judge_write(&mut self, socket: usize, offered: usize) {
        self.work.writes += 1;
        let turn = self.turn;
        let last = std::mem::replace(&mut self.sockets[socket].written_in_turn, turn);
        if offered == 0 || offered > self.budget.write_per_peer {
            self.object(|| format!("client {socket}: {offered} bytes offered in one write"));
        }
        if last == turn {
            self.object(|| format!("client {socket}: written to twice in a turn"));
        }
        if self.sockets[socket].finished {
            self.object(|| format!("client {socket}: written to after the end"));
        }
    }

    /// How much of a write is taken.
    fn grant(&mut self, socket: usize, offered: usize) -> usize {
        let s = &self.sockets[socket];
        let n = offered.min(s.down.room());
        if n == 0 || s.roomy {
            return n;
        }
        if self.rng.chance(self.faults.block_write) {
            return 0;
        }
        if self.rng.chance(self.faults.short_write) { self.rng.between(1, n) } else { n }
    }

    fn block(&mut self, socket: usize) -> io::Error {
        self.trace.note(Note::Blocked(socket));
        self.sockets[socket].refused += 1;
        if self.sockets[socket].down.room() == 0 {
            self.sockets[socket].starved = true;
        } else {
            let delay = self.rng.below(4) as u64;
            self.note(socket, Edge::Writable, delay);
        }
        io::ErrorKind::WouldBlock.into()
    }
}
