//! Visits over a wire of two byte queues each: small scenes, and random ones in which nothing may be lost.

use super::*;
use proptest::prelude::*;
use std::{cell::Cell, collections::BTreeMap, io::IoSlice};

const STATUS: &str = "GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:9311\r\n\r\n";
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:9311\r\n\r\n";

/// A socket, as the kernel keeps it.
#[derive(Debug, Default)]
struct Link {
    input: Vec<u8>,
    /// The visitor has ended its side, or broken the connection.
    ended: bool,
    broken: bool,
    output: Vec<u8>,
    /// The socket takes so many bytes more, if there is a limit.
    room: Option<usize>,
    finished: bool,
}

/// The wire; counts what is done with each call of a phase.
#[derive(Default)]
struct Ends {
    scratch: Vec<u8>,
    may_write: bool,
    reads: usize,
    writes: usize,
    /// At most so many bytes in a read.
    piece: usize,
}

impl Wire<Link> for Ends {
    fn read<'w>(&'w mut self, link: &mut Link, max: usize) -> Heard<'w> {
        assert!(max <= MAX_BYTES);
        self.reads += 1;
        let len = link.input.len().min(max).min(self.piece.max(1));
        self.scratch = link.input.drain(..len).collect();
        match len {
            0 if link.broken => Heard::Failed(io::ErrorKind::ConnectionReset.into()),
            0 if link.ended => Heard::End,
            0 => Heard::WouldBlock,
            _ => Heard::Bytes {
                bytes: &self.scratch,
                drained: link.input.is_empty() && !link.ended && !link.broken,
            },
        }
    }

    fn write(&mut self, link: &mut Link, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(self.may_write, "law 2: a write outside of deliver");
        assert!(!link.finished, "a write after the end");
        self.writes += 1;
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!((1..=MAX_BYTES).contains(&offered), "{offered} bytes offered");
        if link.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = offered.min(link.room.unwrap_or(usize::MAX));
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        link.output.extend(slices.iter().flat_map(|slice| slice.iter()).take(taken));
        link.room = link.room.map(|room| room - taken);
        Ok(taken)
    }

    fn finish(&mut self, link: &mut Link) {
        assert!(self.may_write && !link.finished, "finished twice, or outside of deliver");
        link.finished = true;
    }

    fn lose_after(&mut self, _: &mut Link, _: Duration) {
        panic!("no visitor stays for so long");
    }
}

/// A house that counts how often it is asked.
#[derive(Default)]
struct Inn {
    draining: bool,
    body: String,
    asked: Cell<u32>,
}

impl House for Inn {
    fn is_draining(&self) -> bool {
        self.draining
    }

    fn status(&self, _: &Tally) -> String {
        self.asked.set(self.asked.get() + 1);
        self.body.clone()
    }
}

#[derive(Default)]
struct Scene {
    desk: Desk<Link>,
    inn: Inn,
    wire: Ends,
    graves: BTreeMap<PeerId, Buried<Link>>,
}

impl Scene {
    fn turn(&mut self, now: Instant) {
        let Self { desk, inn, wire, graves } = self;
        (wire.reads, wire.writes) = (0, 0);
        desk.hear(now, wire, inn);
        desk.expire(now);
        wire.may_write = true;
        desk.deliver(wire);
        wire.may_write = false;
        desk.bury(|buried| drop(graves.insert(buried.id, buried)));
        assert!(wire.reads <= MAX_VISITORS && wire.writes <= MAX_VISITORS);
        assert!(desk.visitors() <= MAX_VISITORS);
        let undecided = desk.ids(|visitor| !matches!(visitor.stage, Stage::Leaving { .. })).len() as u64;
        assert_eq!(desk.tally.opened, desk.tally.answered + desk.tally.refused_total() + undecided, "law 12");
    }

    fn settle(&mut self, now: Instant) {
        for _ in 0..100_000 {
            self.turn(now);
            if !self.desk.is_busy() {
                return;
            }
        }
        panic!("busy for a hundred thousand turns");
    }

    fn enter(&mut self, now: Instant) -> PeerId {
        self.desk.open(Link::default(), Entrance::Tcp, now).unwrap()
    }

    fn say(&mut self, id: PeerId, bytes: &[u8]) {
        if let Some(link) = self.desk.link_mut(id) {
            link.input.extend_from_slice(bytes);
            self.desk.readable(id);
        }
    }

    fn end(&mut self, id: PeerId) {
        if let Some(link) = self.desk.link_mut(id) {
            link.ended = true;
            self.desk.readable(id);
        }
    }

    /// What a visitor has been told so far, as text.
    fn told(&mut self, id: PeerId) -> String {
        let link = self.graves.get(&id).map(|buried| &buried.link);
        let link = link.or_else(|| self.desk.roster.get(id).map(|visitor| &visitor.link));
        String::from_utf8(link.unwrap().output.clone()).unwrap()
    }

    /// One visit from beginning to end, the request in `pieces`.
    fn visit(&mut self, pieces: &[&[u8]], now: Instant) -> String {
        let id = self.enter(now);
        for piece in pieces {
            self.say(id, piece);
            self.settle(now);
        }
        let told = self.told(id);
        self.end(id);
        self.settle(now);
        assert!(self.graves.contains_key(&id), "still there after its end");
        told
    }
}

#[allow(clippy::disallowed_methods, reason = "a test begins somewhere")]
fn now() -> Instant {
    Instant::now()
}

fn count(scene: &Scene, wanted: &str) -> u64 {
    scene.desk.tally().refused().find(|(label, _)| *label == wanted).expect("a label").1
}

fn scene() -> Scene {
    Scene { inn: Inn { body: "{\"a\":1}\n".into(), ..Inn::default() }, wire: whole(), ..Scene::default() }
}

fn whole() -> Ends {
    Ends { piece: usize::MAX, ..Ends::default() }
}

#[test]
fn each_page_is_told_and_the_connection_ends_in_peace() {
    let table = [
        (HEALTH, false, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n"),
        (HEALTH, true, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n"),
        ("GET /readyz HTTP/1.0\r\n\r\n", false, "HTTP/1.1 200 OK\r\n", "\r\n\r\nready\n"),
        ("GET /readyz HTTP/1.0\r\n\r\n", true, "HTTP/1.1 503 Service Unavailable\r\n", "\r\n\r\ndraining\n"),
        (STATUS, false, "HTTP/1.1 200 OK\r\n", "\r\n\r\n{\"a\":1}\n"),
        ("HEAD /api/status HTTP/1.0\r\n\r\n", false, "HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 8\r\n\r\n"),
        ("POST /healthz HTTP/1.0\r\n\r\n", false, "HTTP/1.1 405 Method Not Allowed\r\n", "\n"),
        ("GET /nothing HTTP/1.0\r\n\r\n", false, "HTTP/1.1 404 Not Found\r\n", "/api/status (JSON).\n"),
    ];
    assert!(!table.is_empty());
    for (request, draining, head, tail) in table {
        let mut scene = scene();
        scene.inn.draining = draining;
        let told = scene.visit(&[request.as_bytes()], now());
        assert!(told.starts_with(head) && told.ends_with(tail), "{request:?}: {told}");
        for line in ["Connection: close", "Cache-Control: no-store", "X-Content-Type-Options: nosniff"] {
            assert!(told.contains(&format!("\r\n{line}\r\n")), "{told}");
        }
        assert_eq!(told.contains("\r\nRetry-After: "), told.contains(" 503 "), "{told}");
        assert_eq!(told.contains("\r\nAllow: GET, HEAD\r\n"), told.contains(" 405 "), "{told}");
        assert!(scene.graves.values().all(|buried| !buried.reset && buried.link.finished));
    }
}

#[test]
fn a_second_request_behind_the_first_is_never_answered() {
    let mut scene = scene();
    let told = scene.visit(&[[HEALTH, STATUS].concat().as_bytes(), STATUS.as_bytes()], now());
    assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{told}");
    assert_eq!(scene.inn.asked.get(), 0);
}

#[test]
fn what_is_costly_is_found_out_once_a_second_for_all() {
    let (mut scene, start) = (scene(), now());
    for tenth in 0..25 {
        let told = scene.visit(&[STATUS.as_bytes()], start + Duration::from_millis(100) * tenth);
        assert!(told.ends_with("{\"a\":1}\n"), "{told}");
    }
    assert_eq!(scene.inn.asked.get(), 3);
}

#[test]
fn more_than_sixteen_are_dropped_until_one_has_gone() {
    let (mut scene, now) = (scene(), now());
    let ids: Vec<_> = (0..MAX_VISITORS).map(|_| scene.enter(now)).collect();
    assert!(scene.desk.open(Link::default(), Entrance::Unix, now).is_err());
    assert_eq!(count(&scene, "admin_limit"), 1);
    scene.end(ids[3]);
    scene.settle(now);
    assert_eq!(count(&scene, "admin_abandoned"), 1);
    let newcomer = scene.enter(now);
    assert_eq!(newcomer.slot, ids[3].slot, "the slot is used again");
    scene.desk.readable(ids[3]);
    assert!(!scene.desk.is_busy(), "an event for who has left concerns nobody");
}

#[test]
fn the_most_work_of_a_turn_is_that_of_all_visitors_at_once() {
    let (mut scene, now) = (scene(), now());
    let ids: Vec<_> = (0..MAX_VISITORS).map(|_| scene.enter(now)).collect();
    ids.iter().for_each(|id| scene.say(*id, HEALTH.as_bytes()));
    scene.settle(now);
    scene.end(ids[0]);
    scene.settle(now);
    let most = MAX_VISITORS as u64;
    let Tally { most_turn_reads, most_turn_writes, read_bytes, .. } = *scene.desk.tally();
    assert_eq!((most_turn_reads, most_turn_writes, read_bytes), (most, most, most * HEALTH.len() as u64));
}

#[test]
fn five_seconds_from_the_accept_it_is_over_and_not_before() {
    let start = now();
    let late = start + PATIENCE;
    type Row = (&'static str, Option<usize>, bool, u64);
    // the request, room for the answer, whether the end is a reset, how many ran out of time
    let table: [Row; 4] = [
        ("", None, true, 1),
        ("GET /hea", None, true, 1),
        (HEALTH, Some(40), true, 1),
        (HEALTH, None, false, 0),
    ];
    assert!(!table.is_empty());
    for (request, room, reset, timeouts) in table {
        let mut scene = scene();
        let id = scene.enter(start);
        scene.desk.link_mut(id).unwrap().room = room;
        scene.say(id, request.as_bytes());
        scene.settle(start);
        assert_eq!(scene.desk.next_deadline(), Some(late));
        scene.turn(late - Duration::from_nanos(1));
        assert_eq!(scene.desk.visitors(), 1, "{request:?}");
        scene.turn(late);
        assert_eq!(scene.graves[&id].reset, reset, "{request:?}");
        assert_eq!(count(&scene, "admin_timeout"), timeouts, "{request:?}");
        assert_eq!(scene.desk.next_deadline(), None);
    }
}

#[test]
fn who_sends_on_without_end_is_reset_and_has_its_answer_first() {
    let (mut scene, now) = (scene(), now());
    let id = scene.enter(now);
    scene.say(id, HEALTH.as_bytes());
    scene.settle(now);
    scene.say(id, &[b'x'; 200_000]);
    scene.settle(now);
    let buried = &scene.graves[&id];
    assert!(buried.reset && buried.link.output.ends_with(b"ok\n"));
    assert!(buried.link.input.len() >= 200_000 - (64 << 10) - MAX_BYTES, "too much was read");
}

#[test]
fn a_large_answer_leaves_a_piece_a_turn_and_waits_for_room() {
    let (mut scene, now) = (scene(), now());
    scene.inn.body = "x".repeat(100_000);
    let id = scene.enter(now);
    scene.say(id, STATUS.as_bytes());
    scene.desk.link_mut(id).unwrap().room = Some(70_000);
    let mut last = 0;
    for _ in 0..4 {
        scene.turn(now);
        let told = scene.told(id).len();
        assert_eq!(told - last, MAX_BYTES);
        last = told;
    }
    scene.settle(now);
    assert!(!scene.desk.is_busy(), "no event, no work");
    scene.desk.link_mut(id).unwrap().room = None;
    scene.desk.writable(id);
    scene.settle(now);
    assert!(scene.told(id).ends_with(&"x".repeat(100_000)));
    assert!(scene.desk.link_mut(id).unwrap().finished);
}

#[test]
fn whoever_is_left_is_cut_when_the_house_closes() {
    let (mut scene, now) = (scene(), now());
    let ids = [scene.enter(now), scene.enter(now + PATIENCE / 2)];
    assert_eq!(scene.desk.next_deadline(), Some(now + PATIENCE), "that of who came first");
    scene.say(ids[0], HEALTH.as_bytes());
    scene.settle(now);
    scene.desk.abandon();
    scene.turn(now);
    assert_eq!((scene.graves.len(), scene.desk.visitors()), (2, 0));
    assert_eq!((scene.desk.tally().answered, count(&scene, "admin_abandoned")), (1, 1));
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        STATUS,
        HEALTH,
        "HEAD /readyz HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "POST /healthz HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 4\r\n\r\nbody",
        "GET /healthz HTTP/1.1\r\nHost: [::1]\r\nOrigin: http://evil.example\r\n\r\n",
        "GET http://[::1]/ HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    ]);
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let mutated = (known, flips).prop_map(|(known, flips)| {
        let mut bytes = known.as_bytes().to_vec();
        flips.into_iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = byte);
        bytes
    });
    prop_oneof![8 => mutated, 1 => prop::collection::vec(any::<u8>(), 0..64)]
}

/// What may happen to the visitor of that number.
#[derive(Clone, Debug)]
enum Act {
    Enter,
    Say(usize, Vec<u8>),
    End(usize),
    Break(usize),
    Edges(usize),
    Room(usize, Option<usize>),
    Turn,
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Enter),
        4 => (0..20usize, requests()).prop_map(|(nth, bytes)| Act::Say(nth, bytes)),
        1 => (0..20usize).prop_map(Act::End),
        1 => (0..20usize).prop_map(Act::Break),
        2 => (0..20usize).prop_map(Act::Edges),
        2 => (0..20usize, prop::option::of(0..200usize)).prop_map(|(nth, room)| Act::Room(nth, room)),
        4 => Just(Act::Turn),
        1 => (0..3000u64).prop_map(Act::Wait),
    ]
}

fn play(scene: &mut Scene, ids: &mut Vec<PeerId>, act: Act, now: &mut Instant) {
    let id = |nth: usize| ids.get(ids.len().wrapping_sub(nth + 1)).copied();
    let nobody = PeerId::from_word(usize::MAX);
    match act {
        Act::Enter => ids.extend(scene.desk.open(Link::default(), Entrance::Tcp, *now)),
        Act::Say(nth, bytes) => scene.say(id(nth).unwrap_or(nobody), &bytes),
        Act::End(nth) => scene.end(id(nth).unwrap_or(nobody)),
        Act::Break(nth) => {
            let id = id(nth).unwrap_or(nobody);
            scene.desk.link_mut(id).into_iter().for_each(|link| link.broken = true);
            scene.desk.readable(id);
            scene.desk.writable(id);
        }
        Act::Edges(nth) => {
            scene.desk.readable(id(nth).unwrap_or(nobody));
            scene.desk.writable(id(nth).unwrap_or(nobody));
        }
        Act::Room(nth, room) => {
            let id = id(nth).unwrap_or(nobody);
            scene.desk.link_mut(id).into_iter().for_each(|link| link.room = room);
            scene.desk.writable(id);
        }
        Act::Turn => scene.turn(*now),
        Act::Wait(millis) => *now += Duration::from_millis(millis),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_answer_does_not_depend_on_how_the_request_was_cut(
        request in requests(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        piece in 1..40usize,
    ) {
        let start = now();
        let at_once = scene().visit(&[&request], start);
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(request.len() + 1)).collect();
        places.sort_unstable();
        let ends = places.iter().copied().chain([request.len()]);
        let pieces: Vec<_> = [0].into_iter().chain(places.iter().copied()).zip(ends).map(|(a, b)| &request[a..b]).collect();
        let mut cut = Scene { wire: Ends { piece, ..Ends::default() }, ..scene() };
        prop_assert_eq!(cut.visit(&pieces, start), at_once);
    }

    /// Whatever visitors do: nothing panics, the limits hold (`Scene::turn`), a wait is no loss of anybody, and six
    /// seconds later nobody is left.
    #[test]
    fn nothing_that_visitors_do_is_too_much(script in prop::collection::vec(acts(), 1..200), piece in 1..100usize) {
        let mut scene = Scene { wire: Ends { piece, ..Ends::default() }, ..scene() };
        let (mut ids, mut now) = (Vec::new(), now());
        for act in script {
            play(&mut scene, &mut ids, act, &mut now);
        }
        scene.settle(now);
        for (_, visitor) in scene.desk.roster.iter() {
            let link = &visitor.link;
            match &visitor.stage {
                Stage::Told { .. } => prop_assert_eq!(link.room, Some(0), "an answer waits although there is room"),
                _ => prop_assert!(link.input.is_empty() && !link.ended && !link.broken, "something waits unread"),
            }
        }
        scene.settle(now + PATIENCE);
        prop_assert_eq!(scene.desk.visitors(), 0);
    }
}
