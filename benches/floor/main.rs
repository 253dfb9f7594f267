//! The floor: the least a broadcast over WebSocket can do, as the stated limit of this approach.
//!
//! Accepts, shakes hands without judging, unmasks each message once into the turn's bytes of its channel (one per
//! path), and at the end of the turn writes them to each peer with one call, its own left out. What a socket does not
//! take is kept for it, whatever that amounts to: nothing is lost, and nothing is limited, checked, timed or counted.
//! With `--each` every message is written to every peer at once and alone, and nothing else is different.
//!
//! It promises to be fast and small, and to serve the load generator; it is no server for anybody else: a fragmented
//! message or a mask left out ends the connection, pings stay unanswered.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "that it is ready is said there")]

mod frame;

use std::{
    collections::HashMap,
    error::Error,
    fs,
    io::{self, ErrorKind, IoSlice},
    net::{Ipv4Addr, TcpListener},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::PathBuf,
};

use clap::Parser;
use frame::{Frame, accepting, key_of};
use mio::{Events, Interest, Poll, Registry, Token, unix::SourceFd};
use rustix::{
    io::{Errno, writev},
    net::{RecvFlags, SendFlags, SocketFlags, accept_with, listen, recv, send, sockopt::set_tcp_nodelay},
    process::{Resource, getrlimit, setrlimit},
};
use slab::Slab;

/// More than a socket mostly holds, so that one read empties it; pages that are never filled cost no memory.
const READ_SIZE: usize = 256 * 1024;

const LISTENER: Token = Token(usize::MAX - 1);

/// A peer's channel before it has one.
const NONE: u32 = u32::MAX;

/// Writes a turn's messages to each peer with one call, and does nothing else.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port of 127.0.0.1 to listen on; 0 takes a free one and says which
    #[arg(long, required_unless_present = "unix")]
    port: Option<u16>,
    /// The socket in the file system to listen on instead
    #[arg(long, conflicts_with = "port")]
    unix: Option<PathBuf>,
    /// Write each message alone
    #[arg(long)]
    each: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    raise_limit();
    let (listener, ready) = open(&arguments)?;
    let mut floor = Floor::new(listener, arguments.each)?;
    println!("{ready}");
    loop {
        floor.turn()?;
    }
}

/// Each peer needs a descriptor, and the soft limit is 1024 in most places.
fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it fails, accepting says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The listening socket, and the line that says so.
fn open(arguments: &Arguments) -> io::Result<(OwnedFd, String)> {
    let mut ready = "ready".to_owned();
    let listener: OwnedFd = if let Some(path) = &arguments.unix {
        let listener = UnixListener::bind(path)?;
        // nginx's workers are nobody.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        listener.into()
    } else {
        let asked = arguments.port.unwrap_or_default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, asked))?;
        listener.set_nonblocking(true)?;
        set_tcp_nodelay(&listener, true)?; // is inherited
        if asked == 0 {
            ready = format!("ready {}", listener.local_addr()?.port());
        }
        listener.into()
    };
    listen(&listener, 4096)?;
    Ok((listener, ready))
}

#[derive(Debug)]
struct Peer {
    socket: OwnedFd,
    channel: u32,
    /// Where it stands among its channel's peers.
    seat: u32,
    /// What it said itself of the turn's bytes: one run, since a peer is read once a turn, until nothing is left.
    own_from: u32,
    own_to: u32,
    /// Only while something of it is unfinished.
    behind: Option<Box<Behind>>,
}

/// What a peer could not say or hear to the end.
#[derive(Debug, Default)]
struct Behind {
    /// The beginning of a request or of a frame.
    input: Vec<u8>,
    /// What its socket did not take, the first `sent` bytes of which it took later.
    output: Vec<u8>,
    sent: usize,
    /// Its socket tells when it takes bytes again.
    watched: bool,
}

#[derive(Debug, Default)]
struct Channel {
    peers: Vec<u32>,
    /// Server frames of this turn.
    turn: Vec<u8>,
}

#[derive(Debug)]
struct Floor {
    poll: Poll,
    events: Option<Events>,
    listener: OwnedFd,
    each: bool,
    peers: Slab<Peer>,
    channels: Vec<Channel>,
    paths: HashMap<Vec<u8>, u32>,
    /// Channels with something in this turn.
    due: Vec<u32>,
    /// Peers that are done for; freed at the end of the turn. May hold one twice.
    gone: Vec<u32>,
    scratch: Vec<u8>,
}

impl Floor {
    fn new(listener: OwnedFd, each: bool) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Some(Events::with_capacity(1024)),
            listener,
            each,
            peers: Slab::new(),
            channels: Vec::new(),
            paths: HashMap::new(),
            due: Vec::new(),
            gone: Vec::new(),
            scratch: vec![0; READ_SIZE],
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut events = self.events.take().expect("put back at the end of each turn");
        match self.poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => self.accept()?,
                Token(nth) => {
                    if event.is_writable() {
                        self.catch_up(nth as u32);
                    }
                    if event.is_readable() {
                        self.hear(nth as u32);
                    }
                }
            }
        }
        self.events = Some(events);
        while let Some(channel) = self.due.pop() {
            self.deliver(channel);
        }
        self.bury();
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let descriptor = socket.as_raw_fd();
            let nth = self.peers.insert(Peer {
                socket,
                channel: NONE,
                seat: 0,
                own_from: 0,
                own_to: 0,
                behind: None,
            });
            self.poll.registry().register(&mut SourceFd(&descriptor), Token(nth), Interest::READABLE)?;
        }
    }

    /// Reads a peer empty, and takes what it says.
    fn hear(&mut self, nth: u32) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut read = READ_SIZE;
        // A read that did not fill the scratch emptied the socket: what comes later is another edge.
        while read == READ_SIZE {
            read = match recv(&self.peers[nth as usize].socket, &mut scratch[..], RecvFlags::empty()) {
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Ok((_, 0)) | Err(_) => {
                    self.gone.push(nth);
                    break;
                }
                Ok((_, read)) => read,
            };
            self.take(nth, &scratch[..read]);
        }
        self.scratch = scratch;
    }

    /// Takes bytes together with those that wait for them; keeps what is not whole yet.
    fn take(&mut self, nth: u32, bytes: &[u8]) {
        let waiting =
            self.peers[nth as usize].behind.as_mut().map(|behind| std::mem::take(&mut behind.input));
        let Some(mut input) = waiting.filter(|input| !input.is_empty()) else {
            let rest = self.understand(nth, bytes);
            if !rest.is_empty() {
                self.behind(nth).input = rest.to_vec();
            }
            return;
        };
        input.extend_from_slice(bytes);
        let taken = input.len() - self.understand(nth, &input).len();
        input.drain(..taken);
        if !input.is_empty() {
            self.behind(nth).input = input;
        }
    }

    fn behind(&mut self, nth: u32) -> &mut Behind {
        self.peers[nth as usize].behind.get_or_insert_default()
    }

    /// Takes the request and all whole frames; returns the rest.
    fn understand<'a>(&mut self, nth: u32, mut bytes: &'a [u8]) -> &'a [u8] {
        if self.peers[nth as usize].channel == NONE {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return bytes };
            if !self.shake_hands(nth, &bytes[..end + 2]) {
                self.gone.push(nth);
                return &[];
            }
            bytes = &bytes[end + 4..];
        }
        while let Some(frame) = Frame::first_of(bytes) {
            bytes = &bytes[frame.length..];
            match frame.opcode {
                0x81 | 0x82 if frame.masked => self.publish(nth, &frame),
                0x89 | 0x8A => {}
                _ => self.gone.push(nth),
            }
        }
        bytes
    }

    /// Answers a request, and gives the peer its seat; whether it was one.
    fn shake_hands(&mut self, nth: u32, head: &[u8]) -> bool {
        let (Some(path), Some(key)) = (head.split(|&byte| byte == b' ').nth(1), key_of(head)) else {
            return false;
        };
        let channel = match self.paths.get(path) {
            Some(channel) => *channel,
            None => {
                self.channels.push(Channel::default());
                let channel = self.channels.len() as u32 - 1;
                self.paths.insert(path.to_vec(), channel);
                channel
            }
        };
        let seats = &mut self.channels[channel as usize].peers;
        let peer = &mut self.peers[nth as usize];
        (peer.channel, peer.seat) = (channel, seats.len() as u32);
        seats.push(nth);
        send_parts(peer, self.poll.registry(), nth, &accepting(key), &[]).is_ok()
    }

    fn publish(&mut self, nth: u32, frame: &Frame<'_>) {
        let peer = &mut self.peers[nth as usize];
        let channel = &mut self.channels[peer.channel as usize];
        if channel.turn.is_empty() && !self.each {
            self.due.push(peer.channel);
        }
        if peer.own_from == peer.own_to {
            peer.own_from = channel.turn.len() as u32;
        }
        frame.append_to(&mut channel.turn);
        peer.own_to = channel.turn.len() as u32;
        if self.each {
            self.deliver(self.peers[nth as usize].channel);
        }
    }

    /// Writes the turn of a channel to all its peers.
    fn deliver(&mut self, channel: u32) {
        let Channel { peers, turn } = &mut self.channels[channel as usize];
        for &nth in &*peers {
            let peer = &mut self.peers[nth as usize];
            let (before, after) = (&turn[..peer.own_from as usize], &turn[peer.own_to as usize..]);
            (peer.own_from, peer.own_to) = (0, 0);
            if send_parts(peer, self.poll.registry(), nth, before, after).is_err() {
                self.gone.push(nth);
            }
        }
        turn.clear();
    }

    /// Writes what a peer's socket did not take before.
    fn catch_up(&mut self, nth: u32) {
        let peer = &mut self.peers[nth as usize];
        let Some(behind) = &mut peer.behind else { return };
        match send_now(&peer.socket, &behind.output[behind.sent..], &[]) {
            Ok(taken) => behind.sent += taken,
            Err(_) => self.gone.push(nth),
        }
        if behind.sent == behind.output.len() {
            (behind.output, behind.sent) = (Vec::new(), 0);
        }
    }

    fn bury(&mut self) {
        while let Some(nth) = self.gone.pop() {
            let Some(peer) = self.peers.try_remove(nth as usize) else { continue };
            if peer.channel == NONE {
                continue;
            }
            let seats = &mut self.channels[peer.channel as usize].peers;
            seats.swap_remove(peer.seat as usize);
            if let Some(&moved) = seats.get(peer.seat as usize) {
                self.peers[moved as usize].seat = peer.seat;
            }
        }
    }
}

/// Writes two runs of bytes with one call, behind what waits already; keeps what the socket does not take.
fn send_parts(peer: &mut Peer, registry: &Registry, nth: u32, first: &[u8], second: &[u8]) -> io::Result<()> {
    let waiting = peer.behind.as_ref().is_some_and(|behind| !behind.output.is_empty());
    let taken = if waiting { 0 } else { send_now(&peer.socket, first, second)? };
    let second_taken = taken.saturating_sub(first.len());
    if taken == first.len() + second.len() {
        return Ok(());
    }
    let behind = peer.behind.get_or_insert_default();
    behind.output.extend_from_slice(&first[taken.min(first.len())..]);
    behind.output.extend_from_slice(&second[second_taken..]);
    if std::mem::replace(&mut behind.watched, true) {
        return Ok(());
    }
    // Not from the beginning: a unix socket would wake us at each read of the peer's.
    let both = Interest::READABLE | Interest::WRITABLE;
    registry.reregister(&mut SourceFd(&peer.socket.as_raw_fd()), Token(nth as usize), both)
}

/// What the socket takes of two runs.
fn send_now(socket: &OwnedFd, first: &[u8], second: &[u8]) -> io::Result<usize> {
    let sent = match (first, second) {
        ([], []) => Ok(0),
        (one, []) | ([], one) => send(socket, one, SendFlags::NOSIGNAL),
        _ => writev(socket.as_fd(), &[IoSlice::new(first), IoSlice::new(second)]),
    };
    match sent {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        other => Ok(other?),
    }
}
