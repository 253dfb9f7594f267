//! Whether the simulated network is one that exists: the same scripts, played against the core in the simulation and
//! against the real server over loopback, must look the same to the clients.
//!
//! Two clients each time: one only listens, in either form, the other plays the script: a refused request, a breach of
//! the protocol, or a good conversation with pings, heartbeats, fragments and every way to leave.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::OnceLock,
    thread,
    time::Duration,
};

use super::{
    client::{Client, Habits, Kind, path},
    frames::{Decoder, Said},
    letter::Message,
    liar,
    speech::REPLY,
    swarm::{Plan, heartbeat},
    world::World,
};
use crate::{
    config::{Config, ConfigSource, Place},
    event_stream::Form,
    limits::Limits,
    server::Server,
};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one client does after a good request, or the bad request that it makes instead.
#[derive(Clone, Debug)]
enum Act {
    Ask(String, &'static [u16]),
    Breach(Vec<u8>, &'static [u16]),
    /// A ping and a heartbeat, and messages of these sizes, in at most so many frames.
    Talk {
        sizes: Vec<usize>,
        frames: usize,
        text: bool,
    },
    /// One message, and a close with this code; 1005 stands for an empty one.
    Close(u16),
    /// One message, and the end of the writing side.
    Shut,
}

/// What clients see of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sight {
    status: Option<u16>,
    /// The close frame.
    told: Option<(u16, String)>,
    /// Whether pings were answered; how many, timing decides.
    ponged: bool,
    /// Whether the heartbeat was.
    beaten: bool,
    /// What the listener got.
    heard: Vec<Message>,
}

fn scripts(limits: &Limits) -> Vec<(String, Act)> {
    let asks = liar::bad_requests(&path(0))
        .into_iter()
        .map(|(name, text, codes)| (name.into(), Act::Ask(text, codes)));
    let breaches =
        liar::breaches(limits).into_iter().map(|one| (one.name.into(), Act::Breach(one.bytes, one.codes)));
    let talk = |sizes: &[usize], frames, text| {
        (format!("{sizes:?} in {frames}, text {text}"), Act::Talk { sizes: sizes.to_vec(), frames, text })
    };
    let talks = [
        talk(&[20], 1, true),
        talk(&[20, 0, 125, 126], 1, false),
        talk(&[300; 40], 8, true),
        talk(&[65_535, 65_536], 8, false),
        talk(&[20; 500], 1, false),
    ];
    let codes = [1000, 1001, 1005, 1011, 3000, 4999];
    let closes = codes.map(|code| (format!("close {code}"), Act::Close(code)));
    asks.chain(breaches).chain(talks).chain(closes).chain([("shut".into(), Act::Shut)]).collect()
}

/// The script in the simulation: what was seen, the bytes behind the request, and what was sent before its end.
fn simulate(act: &Act, limits: &Limits, listens: Kind) -> (Sight, Vec<u8>) {
    let mut world = World::new(Plan::calm(limits.clone(), 1), 1);
    let listener = world.join(listens, 0, Habits::quiet(), usize::MAX);
    let settle = |world: &mut World| world.run_until("settling", World::is_settled).expect("a quiet world");
    settle(&mut world);
    let actor = world.join(Kind::Honest, 0, Habits::quiet(), usize::MAX);
    if let Act::Ask(text, codes) = act {
        world.clients[actor].ask(text.clone().into_bytes(), false);
        world.clients[actor].breach = Some(("a bad request", codes));
    }
    settle(&mut world);
    play(act, &mut world.clients[actor]);
    let bytes = world.clients[actor].out.clone();
    if matches!(act, Act::Shut) {
        // The end stands behind the bytes.
        settle(&mut world);
        world.clients[actor].has_shut = true;
        world.net.shut(actor);
    }
    settle(&mut world);
    let client = &world.clients[actor];
    assert_eq!(world.book.accepted[actor], world.clients[listener].messages_read);
    let sight = Sight {
        status: client.status,
        told: client.told.as_ref().map(|(code, reason, _)| (*code, reason.clone())),
        ponged: client.pings_sent > 0 && !client.lacks_pongs(),
        beaten: client.pings_sent > 0 && client.beats.is_empty(),
        heard: client.sent[..world.book.accepted[actor]].to_vec(),
    };
    (sight, bytes)
}

/// Puts what the script says behind what the client has said.
fn play(act: &Act, client: &mut Client) {
    match act {
        Act::Ask(..) => {}
        Act::Breach(bytes, codes) => {
            client.breach = Some(("a breach", codes));
            client.out.extend_from_slice(bytes);
        }
        Act::Talk { sizes, frames, text } => {
            client.ping();
            client.beat(*frames);
            sizes.iter().for_each(|size| client.say(*text, *size, *frames));
        }
        Act::Close(code) => {
            client.say(true, 30, 1);
            client.say_close(*code);
        }
        Act::Shut => client.say(true, 30, 1),
    }
}

/// A real relay in this process, with these limits, for as long as the tests run.
fn relay(limits: &Limits) -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
        let config = Config { listen, admin: vec![], limits: limits.clone(), ..Config::default() };
        let mut server = Server::start(&config, ConfigSource::default(), vec![]).expect("a port is free");
        let (places, _) = server.places().expect("it listens");
        let [Place::Tcp(address)] = places[..] else { panic!("{places:?}") };
        thread::spawn(move || server.run());
        address
    })
}

/// One real connection, read by the simulation's own decoder.
struct Real {
    socket: TcpStream,
    decoder: Decoder,
}

impl Real {
    fn ask(address: SocketAddr, request: &str) -> Self {
        let mut socket = TcpStream::connect(address).expect("the relay listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        socket.write_all(request.as_bytes()).expect("the relay reads");
        Self { socket, decoder: Decoder::default() }
    }

    /// The next thing that the relay says; nothing more after the end.
    fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(said) = self.decoder.next().expect("what a server may send") {
                return Some(said);
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes) {
                Ok(0) => return None,
                Ok(n) => self.decoder.feed(&bytes[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no end within {PATIENCE:?}: {error}"),
            }
        }
    }

    /// All messages up to a mark that somebody else sends when the script is over.
    fn messages_until(&mut self, mark: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.next() {
                Some(Said::Message(_, payload)) if payload == mark => return messages,
                Some(Said::Message(text, payload)) => messages.push(Message { text, payload }),
                Some(_) => {}
                None => panic!("the listener was closed"),
            }
        }
    }
}

/// The script against the real relay, with the same bytes.
fn perform(act: &Act, bytes: &[u8], address: SocketAddr, channel: &str, listens: Kind) -> Sight {
    let good = liar::request(channel);
    let (asks, status) = match listens.form() {
        Form::Frames => (good.clone(), 101),
        Form::Events => (liar::stream_request(channel), 200),
    };
    let mut listener = Real::ask(address, &asks);
    assert_eq!(listener.next(), Some(Said::Status(status)));
    let request = if let Act::Ask(text, _) = act { text } else { &good };
    let mut actor = Real::ask(address, request);
    let mut sight = Sight::default();
    if let Some(Said::Status(status)) = actor.next() {
        sight.status = Some(status);
    }
    actor.socket.write_all(bytes).expect("the relay reads");
    match act {
        Act::Shut => actor.socket.shutdown(Shutdown::Write).expect("a socket"),
        // Asked to close, the relay ends the connection; else there is no end to wait for but this one's own.
        Act::Talk { .. } => actor.socket.write_all(&[0x88, 0x80, 0, 0, 0, 0]).expect("the relay reads"),
        _ => {}
    }
    while let Some(said) = actor.next() {
        match said {
            Said::Pong(_) => sight.ponged = true,
            Said::Message(_, payload) if payload == REPLY => sight.beaten = true,
            Said::Close(code, reason) if !matches!(act, Act::Talk { .. }) => {
                sight.told = Some((code, reason))
            }
            _ => {}
        }
    }
    // Everything of the actor's stands in the channel before this.
    let mut third = Real::ask(address, &good);
    assert_eq!(third.next(), Some(Said::Status(101)));
    let mut mark = Vec::new();
    super::frames::put_frame(&mut mark, 0x82, b"over", [1, 2, 3, 4]);
    third.socket.write_all(&mark).expect("the relay reads");
    sight.heard = listener.messages_until(b"over");
    sight
}

#[test]
fn the_same_scripts_look_the_same_in_the_simulation_and_over_real_sockets() {
    let limits = Limits { event_stream: true, heartbeat: Some(heartbeat()), ..Limits::default() };
    let address = relay(&limits);
    let scripts = scripts(&limits);
    assert!(scripts.len() >= 50, "{} scripts", scripts.len());
    for listens in [Kind::Honest, Kind::Listener] {
        let (mut heard, mut told, mut ponged) = (0, 0, 0);
        for (number, (name, act)) in scripts.iter().enumerate() {
            let (simulated, bytes) = simulate(act, &limits, listens);
            let real = perform(act, &bytes, address, &format!("/{listens:?}{number}"), listens);
            assert_eq!(real, simulated, "{name}, {listens:?}");
            assert!(real.status.is_some(), "{name}");
            heard += real.heard.len();
            told += usize::from(real.told.is_some());
            ponged += usize::from(real.ponged && real.beaten);
        }
        assert!(heard > 500 && told > 25 && ponged > 4, "{heard} messages, {told} closes, {ponged} pongs");
    }
}
