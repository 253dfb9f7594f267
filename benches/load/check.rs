//! What a receiver may get: every message of its channel exactly once, in each sender's order, byte for byte.
//!
//! Owns the check, in the order in which the bytes come and without a copy of a payload: only what cannot be judged
//! yet, a head cut off, is kept. Pings between messages are answered; anything else is wrong.

use crate::wire::{self, Protocol, Wire};

/// What one sender has sent.
#[derive(Debug, Default)]
pub struct Said {
    /// Messages sent, which is the number of the next one.
    pub sent: u32,
    /// Messages on their way, as they are received: number n at n modulo their number. Empty where the sender is not
    /// alone in its channel, or may have any number of them on their way.
    pub ring: Vec<u8>,
}

impl Said {
    /// Counts the next message, and keeps it if messages are kept.
    pub fn put(&mut self, wire: &Wire, sender: u32) {
        if !self.ring.is_empty() {
            let length = wire.length();
            let start = (self.sent as usize * length) % self.ring.len();
            wire.write_received(&mut self.ring[start..start + length], sender, self.sent);
        }
        self.sent += 1;
    }

    /// How many whole messages of `length` bytes at the beginning of `bytes` may come next, by the number of them
    /// that are there and what was sent; 0 if the ring does not agree with all of them.
    fn agreed(&self, number: u32, length: usize, bytes: &[u8]) -> u32 {
        let count = ((bytes.len() / length) as u32).min(self.sent - number);
        if self.ring.is_empty() || count == 0 {
            return 0;
        }
        let start = (number as usize * length) % self.ring.len();
        let bytes = &bytes[..count as usize * length];
        let (ahead, again) = bytes.split_at(bytes.len().min(self.ring.len() - start));
        if self.ring[start..].starts_with(ahead) && self.ring.starts_with(again) { count } else { 0 }
    }
}

/// Messages of one sender that a receiver has whole now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub sender: u32,
    pub first: u32,
    pub count: u32,
}

/// A message of which the head came.
#[derive(Debug)]
struct Body {
    sender: u32,
    number: u32,
    /// Bytes of the filling that came.
    had: usize,
}

/// Where one receiver stands.
#[derive(Debug)]
pub struct Reader {
    /// The first sender of its channel.
    base: u32,
    /// The number that each sender's next message has.
    next: Vec<u32>,
    /// Itself, if the server sends nobody his own.
    own: Option<u32>,
    /// What came of a head or of a control frame, while that is not whole.
    head: Vec<u8>,
    body: Option<Body>,
}

impl Reader {
    /// One that hears of each sender what comes after what was sent so far.
    pub fn new(base: u32, said: &[Said], own: Option<u32>) -> Self {
        let next = said.iter().map(|said| said.sent).collect();
        Self { base, next, own, head: Vec::new(), body: None }
    }

    /// Takes what came. `said` are all senders, `answers` what is to be sent back, and `arrived` hears what is whole.
    ///
    /// # Errors
    ///
    /// What was wrong.
    pub fn take(
        &mut self,
        wire: &Wire,
        said: &[Said],
        mut bytes: &[u8],
        answers: &mut Vec<u8>,
        arrived: &mut impl FnMut(Arrival),
    ) -> Result<(), String> {
        while !bytes.is_empty() {
            if let Some(body) = self.body.take() {
                bytes = self.take_filling(wire, body, bytes, arrived)?;
                continue;
            }
            if self.head.is_empty() {
                bytes = self.take_whole(wire, said, bytes, arrived)?;
            }
            bytes = self.take_head(wire, said, bytes, answers)?;
        }
        Ok(())
    }

    /// Whole messages, as many as stand at the beginning.
    fn take_whole<'a>(
        &mut self,
        wire: &Wire,
        said: &[Said],
        mut bytes: &'a [u8],
        arrived: &mut impl FnMut(Arrival),
    ) -> Result<&'a [u8], String> {
        if let [first] = self.next[..] {
            let count = said[self.base as usize].agreed(first, wire.length(), bytes);
            // Its own are judged one by one.
            if count > 0 && self.own.is_none() {
                self.next[0] += count;
                arrived(Arrival { sender: self.base, first, count });
                bytes = &bytes[count as usize * wire.length()..];
            }
        }
        while let Some((message, rest)) = bytes.split_at_checked(wire.length()) {
            let (head, filling) = message.split_at(wire.head_length());
            // Something else, which may be a ping.
            let Some((sender, number)) = wire.id_of(head) else { break };
            self.expect(said, sender, number)?;
            if filling != wire.filling(sender, number) {
                return Err(format!("message {number} of sender {sender} came with wrong bytes"));
            }
            arrived(Arrival { sender, first: number, count: 1 });
            bytes = rest;
        }
        Ok(bytes)
    }

    /// That this is the sender's next message; after it comes the one behind.
    fn expect(&mut self, said: &[Said], sender: u32, number: u32) -> Result<(), String> {
        let place = sender.wrapping_sub(self.base) as usize;
        let Some(next) = self.next.get_mut(place) else {
            return Err(format!("a message of sender {sender}, who is not in this channel"));
        };
        if self.own == Some(sender) {
            return Err(format!("sender {sender} got its own message {number}"));
        }
        if *next != number {
            return Err(format!("message {number} of sender {sender} came where {next} was due"));
        }
        if number >= said[sender as usize].sent {
            return Err(format!("message {number} of sender {sender} came, which nobody sent"));
        }
        *next += 1;
        Ok(())
    }

    fn take_filling<'a>(
        &mut self,
        wire: &Wire,
        body: Body,
        bytes: &'a [u8],
        arrived: &mut impl FnMut(Arrival),
    ) -> Result<&'a [u8], String> {
        let Body { sender, number, had } = body;
        let due = &wire.filling(sender, number)[had..];
        let (some, rest) = bytes.split_at(bytes.len().min(due.len()));
        if !due.starts_with(some) {
            return Err(format!("message {number} of sender {sender} came with wrong bytes"));
        }
        if some.len() < due.len() {
            self.body = Some(Body { sender, number, had: had + some.len() });
        } else {
            arrived(Arrival { sender, first: number, count: 1 });
        }
        Ok(rest)
    }

    /// The rest of a head or of a control frame, or as much of it as there is.
    fn take_head<'a>(
        &mut self,
        wire: &Wire,
        said: &[Said],
        mut bytes: &'a [u8],
        answers: &mut Vec<u8>,
    ) -> Result<&'a [u8], String> {
        while let missing @ 1.. = wanted(wire, &self.head).saturating_sub(self.head.len()) {
            let (some, rest) = bytes.split_at(bytes.len().min(missing));
            self.head.extend_from_slice(some);
            bytes = rest;
            if some.len() < missing {
                return Ok(bytes);
            }
        }
        let head = std::mem::take(&mut self.head);
        if answer(wire, &head, answers)? {
            return Ok(bytes);
        }
        let (sender, number) = wire.id_of(&head).ok_or_else(|| unknown(&head))?;
        self.expect(said, sender, number)?;
        self.body = Some(Body { sender, number, had: 0 });
        Ok(bytes)
    }
}

/// How many bytes the thing has that begins so, or as far as it can be told, or as its filling begins.
fn wanted(wire: &Wire, head: &[u8]) -> usize {
    match *head {
        [] | [_] => 2,
        [opcode, size, ..] if opcode & 0x08 != 0 => 2 + usize::from(size & 0x7F),
        [wire::TEXT, 1, ..] if wire.protocol == Protocol::Socketio => 3,
        _ => wire.head_length(),
    }
}

/// Whether it was a sign of life, and what is said to that.
fn answer(wire: &Wire, head: &[u8], answers: &mut Vec<u8>) -> Result<bool, String> {
    match *head {
        [wire::PING, _, ref payload @ ..] => wire::append_client_frame(answers, wire::PONG, payload),
        [wire::PONG, ..] => {}
        [wire::CLOSE, _, ref payload @ ..] => {
            return Err(format!("the server said goodbye: {}", payload.escape_ascii()));
        }
        [wire::TEXT, 1, b'2'] if wire.protocol == Protocol::Socketio => {
            wire::append_client_frame(answers, wire::TEXT, b"3");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn unknown(head: &[u8]) -> String {
    format!("what came is no message of ours: {}", head.escape_ascii())
}

#[cfg(test)]
mod tests;
