//! Connections that come and go: from accept to the 101, and on to the burial.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use wsrelayd::{address::Source, counters::Disconnect, limits::Limits};

use crate::{
    ANY, Checked, Work, Workload,
    field::{Field, Next, compare, request},
    frames,
};

/// Peers that come in a round, each of an address of its own.
const NEWCOMERS: usize = 400;

/// Peers that come in one turn, as the server accepts them.
const PER_TURN: usize = 16;

/// How long a turn takes; also, so much as handshakes are remembered passes between two rounds.
const TURN: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_secs(10);

struct Lives {
    field: Field,
    request: usize,
    close: usize,
    /// The end is measured too.
    is_whole: bool,
    came: u64,
}

impl Lives {
    fn start(is_whole: bool) -> Result<Self, String> {
        let mut field = Field::new(Limits::default());
        let (request, close) = (field.add_input(request("/core/0")), field.add_input(frames::close()));
        let mut work = Self { field, request, close, is_whole, came: 0 };
        work.try_out()?;
        Ok(work)
    }

    /// One round of which every byte is looked at that comes out after the 101.
    fn try_out(&mut self) -> Checked {
        self.come();
        self.field.record();
        self.go();
        self.field.forget_peers();
        self.field.check_record(|_| vec![0x88, 2, 0x03, 0xE8])?;
        compare("peers that stayed", self.field.relay.peers() as u64, 0)
    }

    fn come(&mut self) {
        for nth in 0..NEWCOMERS {
            let address = Ipv4Addr::from_bits(0xC633_0000 + nth as u32);
            self.field.connect(Source::from(IpAddr::from(address)));
            self.field.give(nth, Next::Input(self.request));
            if nth % PER_TURN == PER_TURN - 1 {
                self.field.settle();
                self.field.pass(TURN);
            }
        }
        self.came += NEWCOMERS as u64;
    }

    /// Each says a close frame and, when it has ours, ends.
    fn go(&mut self) {
        for next in [Next::Input(self.close), Next::End] {
            for nth in 0..NEWCOMERS {
                self.field.give(nth, next);
                if nth % PER_TURN == PER_TURN - 1 {
                    self.field.settle();
                    self.field.pass(TURN);
                }
            }
        }
    }
}

impl Work for Lives {
    fn prepare(&mut self) {
        if !self.is_whole && self.field.relay.peers() > 0 {
            self.go();
        }
        self.field.pass(PAUSE);
        self.field.turn();
        self.field.forget_peers();
    }

    fn run(&mut self) -> u64 {
        self.come();
        if self.is_whole {
            self.go();
        }
        NEWCOMERS as u64
    }

    fn check(&mut self) -> Checked {
        let here = if self.is_whole { 0 } else { NEWCOMERS as u64 };
        let counters = self.field.relay.counters();
        compare("peers that joined", counters.joined, self.came)?;
        compare("peers that closed", counters.disconnected(Disconnect::PeerClosed), self.came - here)?;
        compare("peers", self.field.relay.peers() as u64, here)
    }
}

pub fn workloads() -> Vec<Workload> {
    let workload = |name, unit, is_whole| Workload {
        name,
        unit,
        rounds: 3,
        most_allocations: ANY,
        start: Box::new(move || Ok(Box::new(Lives::start(is_whole)?) as Box<dyn Work>)),
    };
    vec![workload("accept to 101", "handshake", false), workload("accept to burial", "life", true)]
}
