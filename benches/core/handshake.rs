//! The opening handshake alone: the bytes of a request in, a verdict out.

use std::{hint::black_box, net::IpAddr, time::Duration};

use wsrelayd::{
    address::{Proxies, RealIpHeader, Source, Trusted},
    handshake::{Claim, Handshake, Heard, Offer, Verdict},
    id::PeerId,
    limits::Limits,
    origin::Desk,
    token::Gate,
};

use crate::{ANY, Checked, Start, Work, Workload, field, field::compare};

const REPEATS: u64 = 500;

/// What must become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted(&'static str),
    Refused(u16),
}

struct Knock {
    request: Vec<u8>,
    source: Source,
    proxies: Proxies,
    limits: Limits,
    gate: Gate,
    desk: Desk,
    outcome: Outcome,
    /// Whom the request must be found to be of.
    client: Option<Source>,
    tried: u64,
    right: u64,
}

/// The answer to the key of every request here (it is that of RFC 6455 1.3).
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Knock {
    fn offer(&self) -> Offer<'_> {
        let Self { source, proxies, limits, gate, desk, .. } = self;
        let peer = PeerId::from_word(7);
        Offer { peer, limits, gate, desk, unix: Duration::ZERO, source: Some(*source), proxies }
    }

    fn knock(&mut self) {
        let mut handshake = Handshake::default();
        let Heard { verdict, claim, .. } = handshake.receive(black_box(&self.request), &self.offer());
        let client = if let Claim::Client(source) = claim { Some(source) } else { None };
        self.right += u64::from(client == self.client && self.outcome.is(&verdict));
        self.tried += 1;
        black_box(verdict);
    }

    /// One answer whose every byte is looked at.
    fn try_out(&self) -> Checked {
        let verdict = Handshake::default().receive(&self.request, &self.offer()).verdict;
        match (&verdict, self.outcome) {
            (Verdict::Accept { response, .. }, Outcome::Accepted(_))
                if response.starts_with(b"HTTP/1.1 101 ")
                    && response.windows(ACCEPT.len()).any(|w| w == ACCEPT) =>
            {
                Ok(())
            }
            (_, Outcome::Refused(_)) if self.outcome.is(&verdict) => Ok(()),
            _ => Err(format!("{verdict:?} is no right answer")),
        }
    }
}

impl Outcome {
    fn is(self, verdict: &Verdict) -> bool {
        match (self, verdict) {
            (Self::Accepted(channel), Verdict::Accept { path, .. }) => path == channel,
            (Self::Refused(status), Verdict::Refuse(refusal)) => refusal.status() == status,
            _ => false,
        }
    }
}

impl Work for Knock {
    fn run(&mut self) -> u64 {
        (0..REPEATS).for_each(|_| self.knock());
        REPEATS
    }

    fn check(&mut self) -> Checked {
        compare("right answers", self.right, self.tried)
    }
}

/// What a browser asks for through nginx.
fn behind_nginx() -> Vec<u8> {
    let head = "GET /rooms/lobby?token=0123456789abcdef HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
        Host: relay.example.org\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: */*\r\n\
        Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
        Sec-WebSocket-Version: 13\r\nOrigin: https://relay.example.org\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nDNT: 1\r\n\
        Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n\
        Pragma: no-cache\r\nCache-Control: no-cache\r\n\r\n";
    head.into()
}

fn plain_get() -> Vec<u8> {
    b"GET /core/0 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.9.1\r\nAccept: */*\r\n\r\n".into()
}

fn knock(request: Vec<u8>, outcome: Outcome) -> Knock {
    let (source, proxies) = (Source::Unix, Proxies::default());
    let (limits, gate, desk) = (Limits::default(), Gate::default(), Desk::default());
    Knock { request, source, proxies, limits, gate, desk, outcome, client: None, tried: 0, right: 0 }
}

fn knock_behind_nginx() -> Knock {
    let mut trusted = Trusted::nobody();
    let is_added = trusted.add("127.0.0.1").is_ok();
    debug_assert!(is_added);
    Knock {
        source: Source::from(IpAddr::from([127, 0, 0, 1])),
        proxies: Proxies { trusted, header: RealIpHeader::XForwardedFor },
        client: Some(Source::from(IpAddr::from([198, 51, 100, 7]))),
        ..knock(behind_nginx(), Outcome::Accepted("/rooms/lobby"))
    }
}

pub fn workloads() -> Vec<Workload> {
    let workload = |name, make: fn() -> Knock| {
        let start: Start = Box::new(move || {
            let knock = make();
            knock.try_out().map(|()| Box::new(knock) as Box<dyn Work>)
        });
        Workload { name, unit: "request", rounds: 2, most_allocations: ANY, start }
    };
    vec![
        workload("request: 6 lines", || knock(field::request("/core/0"), Outcome::Accepted("/core/0"))),
        workload("request: a browser behind nginx", knock_behind_nginx),
        workload("request: refused, no upgrade", || knock(plain_get(), Outcome::Refused(426))),
    ]
}
