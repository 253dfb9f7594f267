//! The load for the fan-out: one sender and many receivers on one channel of a running relay, over loopback.
//!
//! Owns the sockets of both and the check of what comes. Promises: a result is printed only if every receiver got
//! every message exactly once and in order, and, where the relay's log is given, if its own counters say the same;
//! anything else ends with exit code 1 and a line that says what was missing. The sender keeps `window` messages on
//! their way: the next one leaves when the slowest receiver has the oldest. CPU, counters and time are taken while
//! nothing is on its way, so that they belong to exactly the messages in between. Leaves to `benches/run`: starting
//! and stopping the relay, and what to make of the numbers.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark has to read the clock")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result and the failure go there")]

use std::{
    error::Error,
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};

/// Payload of a message: its number, then a filling.
const PAYLOAD: usize = 64;

/// What a receiver gets of one message: two bytes of header, no mask.
const FRAME: usize = 2 + PAYLOAD;

/// FIN and binary; the length, which for a client has the mask bit.
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80 | PAYLOAD as u8;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A ping without payload. The first ones are spread over the interval from its very beginning, so that among a
/// thousand peers some have theirs soon, however long it is. Nobody here answers.
const PING: [u8; 2] = [0x89, 0];

/// Nothing came for so long: the run has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sender's token; those of the receivers count from 0.
const SENDER: Token = Token(usize::MAX - 1);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Puts the fan-out on a running relay and prints what it cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port of 127.0.0.1 on which the relay listens
    #[arg(long)]
    port: u16,
    /// The relay's process, for its CPU time
    #[arg(long)]
    relay: i32,
    /// The relay's standard error; its counters are asked for and compared
    #[arg(long)]
    log: Option<PathBuf>,
    /// Clock ticks per second (getconf CLK_TCK)
    #[arg(long, default_value_t = 100.0)]
    ticks: f64,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    #[arg(long, default_value_t = 1000)]
    receivers: usize,
    /// Messages on their way
    #[arg(long, default_value_t = 64)]
    window: usize,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fan-out: no result: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Outcome<String> {
    raise_limit();
    let mut load = Load::connect(arguments)?;
    load.run(Duration::try_from_secs_f64(arguments.warm_up)?)?;
    let before = Snapshot::take(arguments, load.sent)?;
    load.run(Duration::try_from_secs_f64(arguments.seconds)?)?;
    let after = Snapshot::take(arguments, load.sent)?;
    report(arguments, &before, &after)
}

/// Each receiver needs a descriptor, and the soft limit is 1024 in most places.
fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it fails, opening the sockets says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The stream that every receiver must get, as far as anybody can still be reading it.
#[derive(Debug)]
struct Expected {
    /// Message n stands at n modulo the window.
    ring: Vec<u8>,
}

impl Expected {
    /// All messages of a window look like the first until they are put.
    fn new(window: usize) -> Self {
        let mut frame = vec![BINARY, PAYLOAD as u8];
        frame.extend((0..PAYLOAD).map(|nth| (nth as u8).wrapping_mul(37)));
        Self { ring: frame.repeat(window) }
    }

    /// Puts message `number` and returns its payload.
    fn put(&mut self, number: u64) -> &[u8] {
        let start = self.place_of(number * FRAME as u64);
        let payload = &mut self.ring[start + 2..start + FRAME];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        payload
    }

    /// Whether `bytes`, which are no more than a window, are what stands at `position` of the stream.
    fn agrees(&self, position: u64, bytes: &[u8]) -> bool {
        let start = self.place_of(position);
        let (ahead, again) = bytes.split_at(bytes.len().min(self.ring.len() - start));
        self.ring[start..].starts_with(ahead) && self.ring.starts_with(again)
    }

    fn place_of(&self, position: u64) -> usize {
        (position % self.ring.len() as u64) as usize
    }
}

#[derive(Debug)]
struct Receiver {
    socket: TcpStream,
    /// Bytes of the stream that came and were right.
    position: u64,
    /// The first byte of a ping came, and not the second yet.
    in_ping: bool,
}

impl Receiver {
    /// Whether `bytes` are what comes next, of `end` bytes of the stream that have been sent.
    fn take(&mut self, expected: &Expected, end: u64, mut bytes: &[u8]) -> bool {
        if !self.in_ping && self.take_stream(expected, end, bytes) {
            return true;
        }
        // Somewhere in between stands a ping, or something that should not be there.
        while let Some(&first) = bytes.first() {
            let part = (self.position % FRAME as u64) as usize;
            let pinged = self.in_ping || part == 0 && first == PING[0];
            let (step, rest) = bytes.split_at(if pinged { 1 } else { bytes.len().min(FRAME - part) });
            let right = if pinged { self.take_ping(first) } else { self.take_stream(expected, end, step) };
            if !right {
                return false;
            }
            bytes = rest;
        }
        true
    }

    fn take_stream(&mut self, expected: &Expected, end: u64, bytes: &[u8]) -> bool {
        let position = self.position + bytes.len() as u64;
        let right = position <= end && expected.agrees(self.position, bytes);
        if right {
            self.position = position;
        }
        right
    }

    fn take_ping(&mut self, byte: u8) -> bool {
        let right = byte == PING[usize::from(self.in_ping)];
        self.in_ping = !self.in_ping;
        right
    }
}

/// The sender, the receivers, and what is between them.
#[derive(Debug)]
struct Load {
    poll: Poll,
    sender: TcpStream,
    receivers: Vec<Receiver>,
    expected: Expected,
    /// Messages on their way at most.
    window: u64,
    /// Messages begun; each receiver has at most so many.
    sent: u64,
    /// Messages that every receiver has. Never more than a window below `sent`.
    everywhere: u64,
    /// How many receivers have a message, at its number modulo the window; 0 beyond those on their way.
    reached: Vec<usize>,
    /// Bytes that the sender's socket has not taken yet.
    unsent: Vec<u8>,
    scratch: Vec<u8>,
}

impl Load {
    fn connect(arguments: &Arguments) -> Outcome<Self> {
        if arguments.receivers == 0 || arguments.window == 0 {
            return Err("at least one receiver and one message on its way".into());
        }
        let poll = Poll::new()?;
        let mut receivers = Vec::with_capacity(arguments.receivers);
        for nth in 0..arguments.receivers {
            let socket = open(&poll, arguments.port, Token(nth), Interest::READABLE)?;
            receivers.push(Receiver { socket, position: 0, in_ping: false });
        }
        let sender = open(&poll, arguments.port, SENDER, Interest::READABLE | Interest::WRITABLE)?;
        let expected = Expected::new(arguments.window);
        Ok(Self {
            poll,
            sender,
            receivers,
            // More than can be on its way, pings included: one read empties the socket.
            scratch: vec![0; expected.ring.len() + 64],
            expected,
            window: arguments.window as u64,
            sent: 0,
            everywhere: 0,
            reached: vec![0; arguments.window],
            unsent: Vec::new(),
        })
    }

    /// Sends for `span`, then waits until all has come.
    fn run(&mut self, span: Duration) -> Outcome<()> {
        let end = Instant::now() + span;
        let mut events = Events::with_capacity(2048);
        self.send()?;
        loop {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(self.complaint("nothing came any more"));
            }
            let sending = Instant::now() < end;
            for event in &events {
                match event.token() {
                    SENDER => {
                        self.hear_sender()?;
                        self.flush()?;
                    }
                    Token(nth) => self.receive(nth, sending)?,
                }
            }
            if !sending && self.everywhere == self.sent {
                return Ok(());
            }
        }
    }

    /// The sender gets nothing but pings: the channel has no echo.
    fn hear_sender(&mut self) -> Outcome<()> {
        match self.sender.read(&mut self.scratch) {
            Ok(read) if self.scratch[..read].starts_with(&PING[..1]) => Ok(()),
            Ok(_) => Err(self.complaint("the sender was sent something, or closed")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self, nth: usize, sending: bool) -> Outcome<()> {
        let receiver = &mut self.receivers[nth];
        let read = match receiver.socket.read(&mut self.scratch) {
            Ok(0) => return Err(self.complaint("the relay closed a receiver")),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let had = receiver.position / FRAME as u64;
        if !receiver.take(&self.expected, self.sent * FRAME as u64, &self.scratch[..read]) {
            return Err(self.complaint("a receiver got what it should not have got here"));
        }
        let has = receiver.position / FRAME as u64;
        self.count(had, has);
        if sending { self.send() } else { Ok(()) }
    }

    /// One receiver has the messages from `first` to before `end` now.
    fn count(&mut self, first: u64, end: u64) {
        for number in first..end {
            self.reached[(number % self.window) as usize] += 1;
        }
        while self.everywhere < self.sent {
            let oldest = &mut self.reached[(self.everywhere % self.window) as usize];
            if *oldest < self.receivers.len() {
                return;
            }
            *oldest = 0;
            self.everywhere += 1;
        }
    }

    /// Sends as many messages as the window allows.
    fn send(&mut self) -> Outcome<()> {
        if self.sent == self.everywhere + self.window {
            return Ok(());
        }
        while self.sent < self.everywhere + self.window {
            let payload = self.expected.put(self.sent);
            self.unsent.extend_from_slice(&[BINARY, MASKED]);
            self.unsent.extend_from_slice(&MASK);
            self.unsent.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            self.sent += 1;
        }
        self.flush()
    }

    fn flush(&mut self) -> Outcome<()> {
        while !self.unsent.is_empty() {
            match self.sender.write(&self.unsent) {
                Ok(taken) => drop(self.unsent.drain(..taken)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn complaint(&self, what: &str) -> Box<dyn Error> {
        let Self { sent, everywhere, .. } = self;
        format!("{what}; {sent} messages were sent, {everywhere} had reached every receiver").into()
    }
}

/// Connects, shakes hands, and registers. Nothing is sent on the channel yet, so the answer is all that comes.
fn open(poll: &Poll, port: u16, token: Token, interest: Interest) -> Outcome<TcpStream> {
    let mut socket = std::net::TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(
        b"GET /fan-out HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut some = [0; 1024];
        match socket.read(&mut some)? {
            0 => return Err("the relay closed a connection before it was open".into()),
            read => answer.extend_from_slice(&some[..read]),
        }
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(format!("the relay refused: {}", String::from_utf8_lossy(&answer).escape_debug()).into());
    }
    socket.set_nonblocking(true)?;
    let mut socket = TcpStream::from_std(socket);
    poll.registry().register(&mut socket, token, interest)?;
    Ok(socket)
}

/// What stood where when nothing was on its way.
#[derive(Debug)]
struct Snapshot {
    taken_at: Instant,
    messages: u64,
    /// CPU of the relay and of this program, in seconds.
    relay_secs: f64,
    own_secs: f64,
    /// The relay's own count of deliveries and of writes.
    counters: Option<(u64, u64)>,
}

impl Snapshot {
    fn take(arguments: &Arguments, messages: u64) -> Outcome<Self> {
        let taken_at = Instant::now();
        let relay_secs = cpu_secs(&arguments.relay.to_string(), arguments.ticks)?;
        let own_secs = cpu_secs("self", arguments.ticks)?;
        let counters = arguments.log.as_deref().map(|log| ask(arguments.relay, log)).transpose()?;
        Ok(Self { taken_at, messages, relay_secs, own_secs, counters })
    }
}

/// User and system time of a process, all its threads together.
fn cpu_secs(process: &str, ticks: f64) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold anything, spaces and brackets too; behind it stand the fields from the third on.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat without a name")?;
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(times.sum::<Result<u64, _>>()? as f64 / ticks)
}

/// Makes the relay log its counters, and reads them: deliveries and writes.
fn ask(relay: i32, log: &Path) -> Outcome<(u64, u64)> {
    let known = fs::metadata(log)?.len() as usize;
    kill_process(Pid::from_raw(relay).ok_or("no such process")?, Signal::USR1)?;
    let asked_at = Instant::now();
    while asked_at.elapsed() < PATIENCE {
        let text = fs::read(log)?;
        let news = String::from_utf8_lossy(text.get(known..).unwrap_or_default());
        let whole = news.rsplit_once('\n').map_or("", |(whole, _)| whole);
        if let (Some(deliveries), Some(writes)) = (count_of("deliveries=", whole), count_of("writes=", whole))
        {
            return Ok((deliveries, writes));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(io::Error::new(ErrorKind::TimedOut, "the relay did not log its counters").into())
}

fn count_of(name: &str, text: &str) -> Option<u64> {
    text.split_whitespace().rev().find_map(|word| word.strip_prefix(name)?.parse().ok())
}

/// One line of `name=value`.
fn report(arguments: &Arguments, before: &Snapshot, after: &Snapshot) -> Outcome<String> {
    let messages = after.messages - before.messages;
    let deliveries = messages * arguments.receivers as u64;
    let mut writes_each = "-".to_owned();
    if let (Some(before), Some(after)) = (before.counters, after.counters) {
        let counted = after.0 - before.0;
        if counted != deliveries {
            return Err(format!("{deliveries} deliveries came, the relay counted {counted}").into());
        }
        writes_each = format!("{:.4}", (after.1 - before.1) as f64 / deliveries as f64);
    }
    let secs = (after.taken_at - before.taken_at).as_secs_f64();
    let each_us = |secs: f64| secs * 1e6 / deliveries as f64;
    Ok(format!(
        "messages={messages} deliveries={deliveries} per_second={:.0} relay_us={:.4} generator_us={:.4} \
         writes_each={writes_each}",
        deliveries as f64 / secs,
        each_us(after.relay_secs - before.relay_secs),
        each_us(after.own_secs - before.own_secs),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 4;

    /// The frame of message `number`.
    fn frame(number: u64) -> Vec<u8> {
        let mut expected = Expected::new(1);
        let payload = expected.put(number).to_vec();
        [vec![BINARY, PAYLOAD as u8], payload].concat()
    }

    /// Whether a receiver that has messages 0 to 4 takes `pieces`, when 5 to 8 are on their way.
    fn takes(pieces: &[&[u8]]) -> bool {
        let mut expected = Expected::new(WINDOW as usize);
        (0..9).for_each(|number| drop(expected.put(number).to_vec()));
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let mut receiver = Receiver { socket, position: 5 * FRAME as u64, in_ping: false };
        let end = 9 * FRAME as u64;
        pieces.iter().all(|piece| receiver.take(&expected, end, piece))
    }

    #[test]
    fn only_the_stream_and_pings_between_its_frames_are_taken() {
        let all = [5, 6, 7, 8].map(frame).concat();
        let pinged = [&frame(5)[..], &PING, &PING, &frame(6)].concat();
        let mut wrong = all.clone();
        wrong[FRAME + 20] ^= 1;
        let table: [(&str, Vec<&[u8]>, bool); 11] = [
            ("all at once", vec![&all], true),
            ("in pieces", vec![&all[..1], &all[1..100], &all[100..]], true),
            ("pings between", vec![&pinged], true),
            ("a ping in two pieces", vec![&PING[..1], &PING[1..], &all], true),
            ("a ping within a frame", vec![&all[..30], &PING, &all[30..]], false),
            ("one lost", vec![&all[FRAME..]], false),
            ("one twice", vec![&all[..FRAME], &all[..FRAME]], false),
            ("exchanged", vec![&all[..FRAME], &all[2 * FRAME..3 * FRAME], &all[FRAME..2 * FRAME]], false),
            ("a wrong byte", vec![&wrong], false),
            ("one too many", vec![&all, &all[..FRAME]], false),
            ("a close frame", vec![&all[..FRAME], &[0x88, 0]], false),
        ];
        assert!(!table.is_empty());
        for (name, pieces, taken) in table {
            assert_eq!(takes(&pieces), taken, "{name}");
        }
    }
}
