//! What the kinds of clients say: messages in all shapes, and tricks.

use std::time::Duration;

use super::{
    client::{Client, End, Kind, Leave, Stage},
    frames::{BINARY, CONTINUATION, FIN, PING, TEXT, put_frame, put_header},
    letter::{Letter, MIN_LETTER, Message},
    liar,
    net::Net,
};
use crate::limits::{Kinds, Limits};

/// A heartbeat, and what it is answered.
pub(super) const REQUEST: &[u8] = b"ping";
pub(super) const REPLY: &[u8] = b"pong";

/// The most fragments that an honest client makes of one message.
const FRAGMENTS_MOST: usize = 8;

impl Client {
    /// Says one thing: a trick of its kind, a message, or goodbye.
    pub(super) fn speak(&mut self, net: &mut Net, limits: &Limits) {
        if self.habits.words_left == 0 {
            return self.go(net);
        }
        self.habits.words_left -= 1;
        let is_last = self.habits.words_left == 0;
        match self.kind {
            Kind::Liar if is_last => self.lie(limits),
            Kind::HalfSender if is_last => self.say_half(limits),
            Kind::PingFlooder if limits.heartbeat.is_some() && self.rng.chance(500) => {
                (0..20).for_each(|_| self.beat(1));
            }
            Kind::PingFlooder => (0..20).for_each(|_| self.ping()),
            Kind::Listener | Kind::DeafListener => self.babble(),
            Kind::EmptyFlooder => self.say_nothing_for_long(),
            _ => self.compose(limits),
        }
    }

    /// Leaves as its habit is.
    fn go(&mut self, net: &mut Net) {
        match self.habits.leave {
            Leave::Stay => return,
            Leave::Close(code) => self.say_close(code),
            Leave::Shut => {
                self.has_shut = true;
                net.shut(self.number);
            }
            Leave::Vanish => net.leave(self.number),
            Leave::Reset => net.reset(self.number),
        }
        self.stage = Stage::Leaving;
        if matches!(self.habits.leave, Leave::Vanish | Leave::Reset) {
            self.finish(End::Left, net);
        }
    }

    fn lie(&mut self, limits: &Limits) {
        let mut table = liar::breaches(limits);
        let lie = table.swap_remove(self.rng.below(table.len()));
        self.out.extend_from_slice(&lie.bytes);
        self.breach = Some((lie.name, lie.codes));
    }

    fn say_half(&mut self, limits: &Limits) {
        put_header(&mut self.out, FIN | BINARY, limits.max_message, 0x80);
        self.out.extend_from_slice(&[0; 4]);
        let part = self.rng.below(limits.max_message.min(40));
        self.out.resize(self.out.len() + part, b'h');
        // It stands within a frame from now on, where nothing else may be said.
        self.habits.answers = false;
    }

    fn say_nothing_for_long(&mut self) {
        if self.breach.is_none() {
            put_frame(&mut self.out, TEXT, b"", [0; 4]);
            self.breach = Some(("empty continuations", &[1008]));
        }
        (0..30).for_each(|_| put_frame(&mut self.out, CONTINUATION, b"", [0; 4]));
    }

    pub(super) fn ping(&mut self) {
        self.ping_at = self.now + Duration::from_secs(1);
        self.pings_sent += 1;
        self.put_control(PING, &self.pings_sent.to_be_bytes());
    }

    /// Asks whether anybody is there, with a message in at most so many frames.
    pub(super) fn beat(&mut self, most: usize) {
        self.ping_at = self.now + Duration::from_secs(1);
        let text = self.rng.chance(500);
        self.beats.push_back(text);
        let frames = self.rng.between(1, most.min(FRAGMENTS_MOST));
        self.put_message(&Message { text, payload: REQUEST.to_vec() }, frames);
    }

    /// Says something that would be a message, and something that would be a breach.
    fn babble(&mut self) {
        let nonsense =
            [b"POST / HTTP/1.1\r\n\r\n".as_slice(), b"\x81\x80\0\0\0\0", b"\x88\x80\0\0\0\0", &[0xff; 300]];
        let part = self.rng.pick(&nonsense);
        self.out.extend_from_slice(part);
    }

    /// Says a message of a random size, kind and shape.
    pub(super) fn compose(&mut self, limits: &Limits) {
        if limits.heartbeat.is_some() && self.may_ping() && self.rng.chance(150) {
            return self.beat(limits.max_frames as usize);
        }
        let largest = self.habits.largest.min(limits.max_message);
        let size = match self.rng.below(10) {
            0 if self.habits.empties => 0,
            0..=6 => self.rng.between(MIN_LETTER, largest.min(80)),
            7..=8 => self.rng.between(MIN_LETTER, largest),
            _ => largest,
        };
        let text = self.choose_kind(limits.kinds);
        self.say(text, size, limits.max_frames as usize);
    }

    /// Text or not; now and then what the channel does not take.
    fn choose_kind(&mut self, kinds: Kinds) -> bool {
        let text = match kinds {
            Kinds::Both => return self.rng.chance(500),
            Kinds::Text => true,
            Kinds::Binary => false,
        };
        if !self.rng.chance(50) {
            return text;
        }
        self.breach = Some(("a message of the other kind", &[1003]));
        !text
    }

    /// Says a message of `size` bytes (0, or at least `MIN_LETTER`) in at most `most` frames.
    pub(super) fn say(&mut self, text: bool, size: usize, most: usize) {
        let letter = Letter { channel: self.channel, sender: self.number, n: self.sent.len() };
        let message = letter.write(text, size, &mut self.rng);
        let whole = self.rng.chance(700);
        let frames = if whole { 1 } else { self.rng.between(1, most.min(FRAGMENTS_MOST)) };
        self.put_message(&message, frames);
        self.sent.push(message);
    }

    fn put_message(&mut self, message: &Message, frames: usize) {
        let mut rest = message.payload.as_slice();
        for frame in 0..frames {
            let is_last = frame + 1 == frames;
            let size = if is_last { rest.len() } else { self.rng.below(rest.len() + 1) };
            let (part, later) = rest.split_at(size);
            rest = later;
            let opcode = match (frame, message.text) {
                (0, true) => TEXT,
                (0, false) => BINARY,
                _ => CONTINUATION,
            };
            let mask = (self.rng.next() as u32).to_be_bytes();
            put_frame(&mut self.out, if is_last { FIN | opcode } else { opcode }, part, mask);
            if !is_last && self.may_ping() && self.rng.chance(300) {
                self.ping();
            }
        }
    }
}
