//! Laws that hold by the way the phases are cut: who may write, what reading may change; and what a peer may cost.

use super::*;
use crate::{counters::Disconnect, peer::Peer};

/// Reads like any wire, and may not be written to.
struct ReadOnly(Ends);

impl Wire<Link> for ReadOnly {
    fn read<'w>(&'w mut self, link: &mut Link, max: usize) -> Heard<'w> {
        self.0.read(link, max)
    }

    fn write(&mut self, _: &mut Link, _: &[IoSlice<'_>]) -> io::Result<usize> {
        panic!("law 2: a write before the phase deliver");
    }

    fn finish(&mut self, _: &mut Link) {
        panic!("law 2: an end of writing before the phase deliver");
    }

    fn lose_after(&mut self, link: &mut Link, patience: Duration) {
        self.0.lose_after(link, patience);
    }
}

/// Law 2: refusals, answers, pongs, messages and close frames all wait for *deliver*.
#[test]
fn nothing_is_written_before_deliver() {
    let (mut relay, now) = start();
    let ids = (0..5).map(|_| join(&mut relay, now)).collect::<Vec<_>>();
    // Everybody's first ping is due by then.
    let later = now + relay.limits.ping_interval;
    let newcomers = [(); 2].map(|()| open(&mut relay, later).unwrap());
    say(&mut relay, newcomers[0], REQUEST);
    say(&mut relay, newcomers[1], b"\x16\x03\x01");
    say(&mut relay, ids[0], &masked(0x82, b"message"));
    say(&mut relay, ids[1], &masked(0x89, b"ping"));
    say(&mut relay, ids[2], &masked(0x88, &1000u16.to_be_bytes()));
    say(&mut relay, ids[3], &masked(0x83, b"breach"));
    let mut wire = ReadOnly(Ends::default());
    relay.hear(later, &mut wire);
    relay.expire(later);
    let all = ids.iter().chain(&newcomers);
    assert!(all.clone().all(|id| relay.link_mut(*id).unwrap().output.is_empty()));
    relay.deliver(later, &mut wire.0);
    assert!(all.clone().all(|id| !relay.link_mut(*id).unwrap().output.is_empty()), "and all is said then");
}

/// Law 4: what one peer says, whatever it is, is nothing to another peer until *deliver*.
#[test]
fn hearing_one_peer_changes_no_other() {
    let table = [
        masked(0x82, b"message"),
        masked(0x89, b"ping"),
        masked(0x01, b"unfinished"),
        masked(0x88, &1000u16.to_be_bytes()),
        masked(0x83, b"breach"),
        masked(0x82, b"").repeat(3000),
    ];
    assert!(!table.is_empty());
    for said in table {
        let (mut relay, now) = start();
        // The first member, so that it stays at its place in the list of members when the other leaves.
        let b = join(&mut relay, now);
        let a = join(&mut relay, now);
        let other = |relay: &Relay<Link>| format!("{:?}", relay.roster.get(b).unwrap());
        let before = other(&relay);
        say(&mut relay, a, &said);
        relay.hear(now, &mut Ends::default());
        assert_eq!(other(&relay), before, "law 4, after {:02x?}", &said[..said.len().min(20)]);
    }
}

/// P8: the parts of a peer that `config/memory.rs` reckons with, at their worst.
#[test]
fn a_peer_takes_no_more_than_the_formula_reckons() {
    assert!(size_of::<Peer<Link>>() - size_of::<Link>() <= 1 << 10, "{} bytes", size_of::<Peer<Link>>());
    let (mut relay, now) = start_with(Limits { control_frames_per_sec: 100_000, ..Limits::default() });
    let a = join(&mut relay, now);
    relay.link_mut(a).unwrap().full = true;
    let mut peak = 0;
    for _ in 0..1000 {
        if let Stage::Open(_) = relay.roster.get(a).unwrap().stage {
            say(&mut relay, a, &masked(0x89, &[b'p'; 125]));
        }
        turn(&mut relay, now);
        peak = peak.max(relay.roster.get_mut(a).unwrap().control.buffer().capacity());
    }
    assert_eq!(
        relay.counters().disconnected(Disconnect::PingFlood),
        1,
        "answers that nobody reads have an end"
    );
    assert!((8 << 10..=16 << 10).contains(&peak), "{peak} bytes");
}
