//! Every limit of the core, in one place, with its default and the reason for it (law 9).
//!
//! Plain numbers that the configuration fills in and that the simulation makes absurdly small. What happens at each
//! limit is said where it stands.

use crate::{event_stream, frame::Kind, origin::Origins, rules::Rules};
use std::time::Duration;

/// What becomes of a peer whose socket refuses bytes for too long or for too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnSlow {
    /// Close it: 1008 `slow-consumer`.
    #[default]
    Disconnect,
    /// Move it on to the newest message; what it missed is counted and logged.
    Skip,
}

/// Who may do something on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Access {
    /// Everybody.
    #[default]
    Anyone,
    /// Whoever brings a token that says so.
    Token,
    /// Nobody.
    Nobody,
}

/// Which messages a channel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kinds {
    /// Text and binary.
    #[default]
    Both,
    /// Text. Another: 1003 `text-only`; if it is posted: 415.
    Text,
    /// Binary. Another: 1003 `binary-only`; if it is posted: 415.
    Binary,
}

impl Kinds {
    /// Whether messages of this kind are among them.
    pub(crate) fn take(self, kind: Kind) -> bool {
        match self {
            Self::Both => true,
            Self::Text => kind == Kind::Text,
            Self::Binary => kind == Kind::Binary,
        }
    }
}

/// What becomes of a peer that sends more than its rate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnRate {
    /// It is not read until it may go on: TCP holds it back, and nothing is lost.
    #[default]
    Wait,
    /// Close it: 1008 `rate`.
    Disconnect,
}

/// What a client asks whether anybody is there, where it cannot send pings, and what it is answered: a browser's page
/// has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// A message that holds this and nothing else is answered, and not relayed.
    pub request: Box<str>,
    /// What the answer holds.
    pub reply: Box<str>,
}

impl Heartbeat {
    /// Bytes of either at most: small enough to be compared with every message of that length.
    pub const MOST: usize = 64;
}

/// The limits of the core. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What holds on the channels of some paths instead; empty in the limits of a rule. Where there are any, a path that none
    /// is for gets 404.
    pub rules: Rules,
    /// Who may listen. Whoever may not, and may publish, hears nothing; whoever may do neither: 401 or 403.
    pub subscribe: Access,
    /// Who may publish. Whoever may not and does: 1008 `publish-not-allowed`; if it is posted: 401 or 403.
    pub publish: Access,
    /// From which pages requests are taken that a browser sends. Others: 403.
    pub origins: Origins,
    /// The subprotocols of which one is chosen, the first that is offered; if empty: the first that is offered.
    pub subprotocols: Vec<Box<str>>,
    /// Whether one of `subprotocols` must be offered. If none is: 400.
    pub subprotocol_required: bool,
    /// Which messages are taken.
    pub kinds: Kinds,
    /// Peers of one channel; 0: any number. Above it: 503.
    pub max_peers: usize,
    /// Messages per second from one peer, on the average; 0: any number. Above it: `on_rate`.
    pub messages_per_sec: u32,
    /// Bytes of payload per second from one peer, on the average; 0: any number. Above it: `on_rate`.
    pub bytes_per_sec: usize,
    /// Messages per second from all peers of one address (an IPv6 /64) together; 0: any number. Above it: `on_rate`; if one
    /// is posted: 429. What an address may send it shares among all channels.
    pub address_messages_per_sec: u32,
    /// Bytes of payload per second from all peers of one address together; 0: any number. Above it: as above.
    pub address_bytes_per_sec: usize,
    /// So many seconds' worth of each rate may come at once.
    pub rate_burst: Duration,
    /// What becomes of a peer over its rate.
    pub on_rate: OnRate,
    /// Whether a sender gets its own messages too.
    pub echo: bool,
    /// Whether a message may be sent by POST. If not: 405.
    pub http_publish: bool,
    /// Whether a channel may be heard as an event stream. If not: 426.
    pub event_stream: bool,
    /// Which messages are answered and not relayed, if any are.
    pub heartbeat: Option<Heartbeat>,
    /// Peers in all, handshakes included. Above it: 503.
    pub max_connections: usize,
    /// Peers that have not finished their handshake. Above it: 503.
    pub max_handshakes: usize,
    /// Peers of one address (an IPv6 /64), from when it is known to the end; 0: any number. Above it: 429; beyond
    /// eight such refusals under way: dropped.
    pub max_connections_per_address: usize,
    /// Handshakes per second of one address, on the average; five seconds' worth may come at once. 0: any number.
    /// Above it: 429, and dropped as above.
    pub handshakes_per_address_per_sec: u32,
    /// Payload of one message, all its frames together. Above it: 1009; of one that is posted: 413.
    pub max_message: usize,
    /// Frames of one message. Above it: 1008 `fragment-flood`.
    pub max_frames: u32,
    /// Pings and pongs per second from one peer, on the average; five seconds' worth may come at once.
    /// Above it: 1008 `ping-flood`.
    pub control_frames_per_sec: u32,
    /// Memory of input that no complete message has come of yet, of all peers. Above half of it taken by input that
    /// is read and not decoded: peers wait unread. Above it: whose message was begun first is closed, 1013; or refused,
    /// 503, if it is posted.
    pub max_inflight_read: usize,
    /// Memory of all backlogs together. When all but an eighth of it (or one message, if that is more) is taken: senders
    /// wait, then the peer furthest back is closed, 1013. That share is for the rest of the frame that such a peer has
    /// begun to get.
    pub max_backlog: usize,
    /// Lag of a peer whose socket refuses bytes. Above it: `on_slow`, at once.
    pub max_lag: usize,
    /// Lag of a peer whose socket refuses bytes, over `soft_lag_time`. Above it: `on_slow`.
    pub soft_lag: usize,
    /// How long a lag may stay above `soft_lag`.
    pub soft_lag_time: Duration,
    /// How long a socket may refuse every byte. Then: `on_slow`.
    pub stall_timeout: Duration,
    /// What becomes of a slow peer.
    pub on_slow: OnSlow,
    /// Bytes of a channel not yet offered to some writable peer. Above it: the channel's senders wait unread.
    pub hold: usize,
    /// From one ping to the next. Well below the 60 s after which nginx drops a silent upstream.
    pub ping_interval: Duration,
    /// From a ping to the first sign of life. Then: 1001 `ping-timeout`.
    pub pong_timeout: Duration,
    /// From accept to a complete request. Then: 408.
    pub handshake_timeout: Duration,
    /// From the decision to close to the end of the connection. Then: reset.
    pub close_timeout: Duration,
    /// From the first byte of a message to its last. Then: 1008 `idle-message`. From the head of a POST to the end of its
    /// body. Then: 408.
    pub message_timeout: Duration,
    /// Over how long the closes of a shutdown are spread.
    pub drain: Duration,
    /// What one turn may do.
    pub turn: TurnBudget,
}

impl Limits {
    /// How long a shutdown takes at most: the last close is decided when the drain ends, its connection ends within the
    /// close deadline; and a tick of the timers, and the turns that all this takes.
    pub fn stop_time(&self) -> Duration {
        self.drain + self.close_timeout + STOP_MARGIN
    }
}

/// What a shutdown may take beyond its deadlines.
const STOP_MARGIN: Duration = Duration::from_secs(2);

impl Default for Limits {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            subscribe: Access::Anyone,
            publish: Access::Anyone,
            origins: Origins::default(),
            subprotocols: Vec::new(),
            subprotocol_required: false,
            kinds: Kinds::Both,
            max_peers: 0,
            messages_per_sec: 0,
            bytes_per_sec: 0,
            address_messages_per_sec: 0,
            address_bytes_per_sec: 0,
            rate_burst: Duration::from_secs(5),
            on_rate: OnRate::Wait,
            echo: false,
            http_publish: false,
            event_stream: false,
            heartbeat: None,
            max_connections: 10_000,
            max_handshakes: 1024,
            // A household or an office behind one address, and some tabs each.
            max_connections_per_address: 64,
            handshakes_per_address_per_sec: 20,
            max_message: 64 << 10,
            max_frames: 4096,
            control_frames_per_sec: 10,
            max_inflight_read: 128 << 20,
            max_backlog: 256 << 20,
            max_lag: 1 << 20,
            soft_lag: 256 << 10,
            soft_lag_time: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            on_slow: OnSlow::Disconnect,
            hold: 256 << 10,
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            message_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            turn: TurnBudget::default(),
        }
    }
}

/// Slots beyond `max_connections` in which the surplus is told so. Beyond these too it is only dropped.
pub const REFUSAL_SLOTS: usize = 64;

/// What is read at least of a peer whose rate is limited: so much may lie with us until it goes on.
pub const METERED_READ: usize = 4 << 10;

/// Addresses without connections whose handshakes are remembered. Above it the one that would be forgotten first is
/// forgotten early and begins anew: three thousand new addresses a second do not come from one honest crowd, and who
/// has as many needs no second burst from any.
pub const IDLE_ADDRESSES: usize = 16 << 10;

impl Limits {
    /// Addresses that are remembered at the same time, at most.
    pub fn most_addresses(&self) -> usize {
        if self.limits_addresses() { self.max_connections + REFUSAL_SLOTS + IDLE_ADDRESSES } else { 0 }
    }

    /// Bytes of one message in the form that makes the most of it: of the longest message of all.
    pub fn longest_form(&self) -> usize {
        self.longest(|limits, length| if limits.event_stream { event_stream::most(length) } else { length })
    }

    /// Bytes that one message adds to the backlogs at most, in all forms together.
    pub fn most_per_message(&self) -> usize {
        self.longest(
            |limits, length| {
                if limits.event_stream { length + event_stream::most(length) } else { length }
            },
        )
    }

    /// Under the rules and in general: a reload may leave peers whose path no rule is for any more.
    fn longest(&self, form: impl Fn(&Self, usize) -> usize) -> usize {
        let form = |limits: &Self| form(limits, limits.max_message);
        self.greatest(form).max(form(self))
    }

    /// What of the backlogs' budget is for the rests of frames that those who are cut off have begun to get: an eighth,
    /// and one message at least. The block that holds such a rest is often not free before others are cut off too.
    pub fn share_for_rests(&self) -> usize {
        (self.max_backlog / 8).max(self.most_per_message()).min(self.max_backlog / 2)
    }

    /// Whether a token counts for anything.
    pub fn looks_at_tokens(&self) -> bool {
        [self.subscribe, self.publish].contains(&Access::Token)
    }

    /// Whether anything is counted by address.
    pub fn limits_addresses(&self) -> bool {
        self.max_connections_per_address > 0
            || self.handshakes_per_address_per_sec > 0
            || self.anywhere(Self::meters_addresses)
    }

    /// The longest of all bursts.
    pub fn greatest_burst(&self) -> Duration {
        self.rules.iter().map(|rule| rule.limits.rate_burst).fold(self.rate_burst, Duration::max)
    }

    /// Whether what the peers of one address send together is metered.
    pub fn meters_addresses(&self) -> bool {
        self.address_messages_per_sec > 0 || self.address_bytes_per_sec > 0
    }

    /// Whether what a peer sends is metered, by itself or with others.
    pub fn meters(&self) -> bool {
        self.messages_per_sec > 0 || self.bytes_per_sec > 0 || self.meters_addresses()
    }
}

/// What one turn may do before everybody else gets a turn. Not in the configuration: these keep a turn under
/// 20 ms whatever the peers do, and nothing is lost when one is spent, only put off to the next turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnBudget {
    /// Connections accepted.
    pub accepts: usize,
    /// Bytes read from one peer: one scratch buffer.
    pub read_per_peer: usize,
    /// Frames decoded from one peer; a message in many fragments may go beyond by one read.
    pub frames_per_peer: usize,
    /// Peers read. A read and its decoding take 5 µs or so, on a busy machine 20.
    pub reads: usize,
    /// Bytes read in all.
    pub read_bytes: usize,
    /// Frames decoded in all. One takes 0.3 µs or so.
    pub frames: usize,
    /// Bytes offered to one peer, in one write.
    pub write_per_peer: usize,
    /// Writes in all. One takes 5 µs or so, on a busy machine 20: with more of them the turn would be too long, and
    /// nothing is won, since what is put off leaves with what comes meanwhile.
    pub writes: usize,
    /// Bytes written in all.
    pub write_bytes: usize,
}

impl Default for TurnBudget {
    fn default() -> Self {
        Self {
            accepts: 16,
            read_per_peer: 64 << 10,
            frames_per_peer: 1024,
            reads: 500,
            read_bytes: 4 << 20,
            frames: 16 << 10,
            write_per_peer: 64 << 10,
            writes: 500,
            write_bytes: 8 << 20,
        }
    }
}
