//! The connections, who of them sends, and what is on its way.
//!
//! Owns the sockets and the poller. Promises that every byte that comes is judged, that each message is counted at
//! each receiver, and that a socket that takes nothing holds nobody up: what it did not take is kept and leaves later.

use std::{
    error::Error,
    io::{ErrorKind, Read, Write},
    os::fd::AsRawFd,
    time::Duration,
};

use mio::{Events, Interest, Poll, Registry, Token, unix::SourceFd};
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::Socket;

use crate::{
    Outcome,
    arguments::{Common, Members},
    check::{Arrival, Reader, Said},
    door::{Door, Open, Wish},
    process::now_ns,
    wire::Wire,
};

/// More than comes at once, so that one read empties a socket.
const READ_SIZE: usize = 256 * 1024;

/// A 101 may be there a moment before its peer is in the channel.
const SETTLING: Duration = Duration::from_millis(200);

/// What is heard for so long after the last message has come is one too many.
pub const AFTERMATH: Duration = Duration::from_millis(50);

/// Where the lines' tokens end.
pub const TIMER: Token = Token(usize::MAX - 1);

/// Who listens to what comes.
pub trait Ear {
    /// Something was read, now.
    fn read(&mut self) {}
    /// A receiver has a message.
    fn message(&mut self, _sender: u32, _number: u32) {}
    /// All receivers have it.
    fn complete(&mut self, sender: u32, number: u32);
}

/// Nobody listens.
struct Nobody;

impl Ear for Nobody {
    fn complete(&mut self, _sender: u32, _number: u32) {}
}

/// One connection.
#[derive(Debug)]
struct Line {
    socket: Socket,
    reader: Reader,
    /// Whole frames; the socket has taken the first `taken` bytes.
    unsent: Vec<u8>,
    taken: usize,
    /// The poller tells when the socket takes bytes again.
    watched: bool,
}

/// How far a sender's messages have come.
#[derive(Debug)]
struct Tally {
    /// Its line.
    line: usize,
    /// Messages that all have.
    everywhere: u32,
    /// How many have a message, at its number modulo the most that can be on their way; 0 beyond those.
    reached: Vec<u32>,
}

/// All connections.
#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    door: Door,
    pub wire: Wire,
    path: String,
    echo: bool,
    channels: u32,
    /// Senders of a channel.
    per_channel: u32,
    patience: Duration,
    lines: Vec<Line>,
    said: Vec<Said>,
    tallies: Vec<Tally>,
    /// Who never reads.
    stopped: Vec<Open>,
    /// Receivers of each message.
    need: u32,
    scratch: Vec<u8>,
    /// Messages at receivers, messages sent, and those of them that all have.
    pub deliveries: u64,
    pub sent: u64,
    pub complete: u64,
    /// When deliveries were last seen to grow, and how many there were.
    progress: (u64, u64),
}

impl Crowd {
    /// Nobody yet, but room for so many senders in each channel.
    pub fn new(common: &Common, per_channel: u32) -> Outcome<Self> {
        raise_limit();
        if per_channel == 0 {
            return Err("at least one sender".into());
        }
        let senders = common.channels * per_channel;
        Ok(Self {
            poll: Poll::new()?,
            door: Door::new(common)?,
            wire: Wire::new(common.protocol, common.size),
            path: common.path.clone(),
            echo: common.echo,
            channels: common.channels,
            per_channel,
            patience: Duration::try_from_secs_f64(common.patience)?,
            lines: Vec::new(),
            said: (0..senders).map(|_| Said::default()).collect(),
            tallies: (0..senders).map(|_| Tally { line: 0, everywhere: 0, reached: Vec::new() }).collect(),
            stopped: Vec::new(),
            need: 0,
            scratch: vec![0; READ_SIZE],
            deliveries: 0,
            sent: 0,
            complete: 0,
            progress: (0, 0),
        })
    }

    /// Senders and receivers of all channels.
    pub fn gather(common: &Common, members: Members) -> Outcome<Self> {
        let mut crowd = Self::new(common, members.senders)?;
        crowd.join_senders()?;
        crowd.join_receivers(members.receivers)?;
        Ok(crowd)
    }

    pub fn senders(&self) -> u32 {
        self.said.len() as u32
    }

    pub fn patience_ns(&self) -> u64 {
        self.patience.as_nanos() as u64
    }

    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Receivers of each message.
    pub fn need(&self) -> u32 {
        self.need
    }

    /// Messages that somebody does not have yet.
    pub fn on_their_way(&self) -> u64 {
        self.sent - self.complete
    }

    /// All messages that somebody does not have, with how many that are.
    pub fn missing(&self) -> impl Iterator<Item = (u32, u32, u32)> {
        let both = self.said.iter().zip(&self.tallies).enumerate();
        both.flat_map(move |(sender, (said, tally))| {
            let numbers = tally.everywhere..said.sent;
            let reached = move |number: u32| tally.reached[number as usize % tally.reached.len()];
            numbers.map(move |number| (sender as u32, number, self.need - reached(number)))
        })
    }

    pub fn join_senders(&mut self) -> Outcome<()> {
        let first = self.lines.len();
        for nth in 0..self.tallies.len() {
            self.tallies[nth].line = first + nth;
        }
        let channels = (0..self.senders()).map(|sender| sender / self.per_channel).collect::<Vec<_>>();
        self.join(&channels, |nth| Some(nth as u32))?;
        self.need += self.per_channel - u32::from(!self.echo);
        Ok(())
    }

    /// So many more in each channel.
    pub fn join_receivers(&mut self, per_channel: u32) -> Outcome<()> {
        let channels = (0..self.channels * per_channel).map(|nth| nth / per_channel).collect::<Vec<_>>();
        self.join(&channels, |_| None)?;
        self.need += per_channel;
        Ok(())
    }

    fn join(&mut self, channels: &[u32], sender: impl Fn(usize) -> Option<u32>) -> Outcome<()> {
        let wishes: Vec<Wish> = channels.iter().map(|&channel| self.wish(channel, false)).collect();
        let open = self.door.open(&wishes)?;
        for (nth, (Open { socket, rest }, channel)) in open.into_iter().zip(channels).enumerate() {
            let base = channel * self.per_channel;
            let said = &self.said[base as usize..(base + self.per_channel) as usize];
            let own = sender(nth).filter(|_| !self.echo);
            let mut line = Line {
                socket,
                reader: Reader::new(base, said, own),
                unsent: Vec::new(),
                taken: 0,
                watched: false,
            };
            line.reader.take(&self.wire, &self.said, &rest, &mut line.unsent, &mut |_| {})?;
            let descriptor = line.socket.as_raw_fd();
            let token = Token(self.lines.len());
            self.poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
            self.lines.push(line);
        }
        Ok(())
    }

    fn wish(&self, channel: u32, stopped: bool) -> Wish {
        let path = if self.channels == 1 { self.path.clone() } else { format!("{}/{channel}", self.path) };
        Wish { path, stopped }
    }

    /// So many who never read, one channel after the other.
    pub fn join_stopped(&mut self, count: u32) -> Outcome<()> {
        let wishes: Vec<Wish> = (0..count).map(|nth| self.wish(nth % self.channels, true)).collect();
        self.stopped = self.door.open(&wishes)?;
        Ok(())
    }

    /// Closes all.
    pub fn leave(&mut self) {
        self.lines.clear();
        self.stopped.clear();
        self.need = 0;
    }

    pub fn len(&self) -> u32 {
        self.lines.len() as u32
    }

    /// To be called when all are there and nothing is on its way: at most so many messages of each sender are then.
    pub fn prepare(&mut self, window: u32, ring: bool) -> Outcome<()> {
        if self.need == 0 {
            return Err("nobody would receive anything".into());
        }
        let length = self.wire.length();
        for (said, tally) in self.said.iter_mut().zip(&mut self.tallies) {
            tally.reached = vec![0; window as usize];
            said.ring = if ring { vec![0; window as usize * length] } else { Vec::new() };
        }
        std::thread::sleep(SETTLING);
        Ok(())
    }

    /// How many of a sender's messages are on their way.
    pub fn of_sender(&self, sender: u32) -> u32 {
        self.said[sender as usize].sent - self.tallies[sender as usize].everywhere
    }

    /// The number of a sender's next message.
    pub fn next_of(&self, sender: u32) -> u32 {
        self.said[sender as usize].sent
    }

    /// Puts a sender's next message on its line; `flush` lets it go.
    pub fn say(&mut self, sender: u32) {
        let said = &mut self.said[sender as usize];
        let line = &mut self.lines[self.tallies[sender as usize].line];
        self.wire.append_sent(&mut line.unsent, sender, said.sent);
        said.put(&self.wire, sender);
        self.sent += 1;
    }

    pub fn flush(&mut self, sender: u32) -> Outcome<()> {
        let nth = self.tallies[sender as usize].line;
        self.lines[nth].flush(self.poll.registry(), nth)
    }

    /// Sends nothing for so long, and answers pings meanwhile.
    pub fn idle(&mut self, span: Duration) -> Outcome<()> {
        let mut events = Events::with_capacity(1024);
        let end_ns = now_ns() + span.as_nanos() as u64;
        loop {
            let left_ns = end_ns.saturating_sub(now_ns());
            if left_ns == 0 {
                return Ok(());
            }
            // A timer of the poller's is up to a millisecond late.
            self.turn_within(&mut events, &mut Nobody, Duration::from_nanos(left_ns))?;
        }
    }

    /// Waits for something, and hears it all. Whether the timer was among it.
    pub fn turn(&mut self, events: &mut Events, ear: &mut impl Ear) -> Outcome<bool> {
        self.turn_within(events, ear, self.patience)
    }

    fn turn_within(&mut self, events: &mut Events, ear: &mut impl Ear, most: Duration) -> Outcome<bool> {
        match self.poll.poll(events, Some(most)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut timed = false;
        for event in &*events {
            match event.token() {
                TIMER => timed = true,
                Token(nth) => {
                    if event.is_writable() {
                        self.lines[nth].flush(self.poll.registry(), nth)?;
                    }
                    if event.is_readable() {
                        self.hear(nth, ear)?;
                    }
                }
            }
        }
        Ok(timed)
    }

    fn hear(&mut self, nth: usize, ear: &mut impl Ear) -> Outcome<()> {
        let Self { lines, said, tallies, need, deliveries, complete, .. } = self;
        let line = &mut lines[nth];
        loop {
            let read = match line.socket.read(&mut self.scratch) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("a connection broke: {error}").into()),
            };
            ear.read();
            line.reader.take(&self.wire, said, &self.scratch[..read], &mut line.unsent, &mut |arrival| {
                *deliveries += u64::from(arrival.count);
                *complete += u64::from(tallies[arrival.sender as usize].count(arrival, *need, ear));
            })?;
            if read < READ_SIZE {
                break;
            }
        }
        if line.unsent.is_empty() { Ok(()) } else { line.flush(self.poll.registry(), nth) }
    }

    /// How long there was no delivery. To be asked again and again.
    pub fn quiet_ns(&mut self) -> u64 {
        let now = now_ns();
        if self.progress.1 != self.deliveries || self.progress.0 == 0 {
            self.progress = (now, self.deliveries);
        }
        now - self.progress.0
    }

    /// That there was a delivery within the patience.
    pub fn be_patient(&mut self) -> Outcome<()> {
        if self.quiet_ns() < self.patience_ns() {
            return Ok(());
        }
        Err(self.silence())
    }

    pub fn silence(&self) -> Box<dyn Error> {
        let Self { sent, complete, .. } = self;
        format!("nothing came any more: of {sent} messages sent {complete} had reached everybody").into()
    }

    /// The patience begins anew.
    pub fn begin_waiting(&mut self) {
        self.progress = (now_ns(), self.deliveries);
    }
}

impl Tally {
    /// Counts an arrival; how many messages all have now.
    fn count(&mut self, arrival: Arrival, need: u32, ear: &mut impl Ear) -> u32 {
        let window = self.reached.len();
        let mut slot = arrival.first as usize % window;
        let mut complete = 0;
        for number in arrival.first..arrival.first + arrival.count {
            ear.message(arrival.sender, number);
            self.reached[slot] += 1;
            if self.reached[slot] == need {
                // They come in order everywhere, so all before it are complete too.
                self.reached[slot] = 0;
                self.everywhere = number + 1;
                complete += 1;
                ear.complete(arrival.sender, number);
            }
            slot = if slot + 1 == window { 0 } else { slot + 1 };
        }
        complete
    }
}

impl Line {
    /// Lets go what the socket takes.
    fn flush(&mut self, registry: &Registry, nth: usize) -> Outcome<()> {
        while self.taken < self.unsent.len() {
            match self.socket.write(&self.unsent[self.taken..]) {
                Ok(taken) => self.taken += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.watch(registry, nth),
                Err(error) => return Err(format!("a connection broke: {error}").into()),
            }
        }
        self.unsent.clear();
        self.taken = 0;
        Ok(())
    }

    /// Not from the beginning: a unix socket would wake us at each read of the server's.
    fn watch(&mut self, registry: &Registry, nth: usize) -> Outcome<()> {
        if !std::mem::replace(&mut self.watched, true) {
            let both = Interest::READABLE | Interest::WRITABLE;
            registry.reregister(&mut SourceFd(&self.socket.as_raw_fd()), Token(nth), both)?;
        }
        Ok(())
    }
}

/// Each connection needs a descriptor, and the soft limit is 1024 in most places.
fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it fails, opening the sockets says so.
    let _ = setrlimit(Resource::Nofile, limit);
}
