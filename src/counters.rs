//! What happened so far, in numbers.
//!
//! One struct, no globals. Every refusal and every disconnect is counted under exactly one reason (law 12), at the
//! moment it is decided: `opened` = refused + disconnected + posted + those that are nothing of it yet.

use crate::histogram::Histogram;
use std::{fmt, io, time::Duration};

/// Why a connection was refused, or was lost before it was open; the labels of `wsrelayd_refused_total`.
pub const REFUSED_LABELS: [&str; 35] = [
    "bad_request",
    "method",
    "http_version",
    "upgrade",
    "version",
    "head_too_large",
    "target_too_long",
    "handshake_timeout",
    "address_connections",
    "address_rate",
    "max_connections",
    "max_handshakes",
    "draining",
    "origin",
    "channel",
    "token_missing",
    "token_malformed",
    "token_algorithm",
    "token_signature",
    "token_expired",
    "token_not_yet",
    "token_audience",
    "token_issuer",
    "forbidden",
    "subprotocol",
    "max_peers",
    "rate",
    "kind",
    "length_required",
    "body_too_large",
    "media_type",
    "expectation",
    "body_timeout",
    "busy",
    "abandoned",
];

/// Why an open peer's connection ended; the labels of `wsrelayd_disconnects_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Disconnect {
    /// The peer sent a close frame.
    PeerClosed,
    /// The peer ended its side without a close frame.
    Eof,
    /// The connection was reset, or the network gave it up.
    Reset,
    /// The system refused to serve the connection.
    Io,
    /// The peer broke RFC 6455: 1002.
    Protocol,
    /// Invalid UTF-8: 1007.
    Utf8,
    /// A message over the limit: 1009.
    Size,
    /// Too many frames in a message: 1008.
    FragmentFlood,
    /// Too many pings or pongs, or pings without reading the pongs: 1008.
    PingFlood,
    /// A message that was not finished in time: 1008.
    IdleMessage,
    /// A socket that refused bytes for too long or for too many: 1008.
    SlowConsumer,
    /// Furthest back when the backlogs were over their budget, or first begun when unfinished input was: 1013.
    Memory,
    /// No sign of life after a ping: 1001.
    PingTimeout,
    /// The relay shuts down: 1012.
    Shutdown,
    /// An operator closed the peer: 1008.
    Operator,
    /// A message of one who may only listen: 1008.
    MayNotPublish,
    /// A message of a kind that the channel does not take: 1003.
    Kind,
    /// More was sent than the rate allows, where the rule closes for that: 1008.
    Rate,
    /// The peer's token has run out: 1008.
    TokenExpired,
    /// Scanner and decoder disagreed, which is a bug of ours: 1011.
    Internal,
}

impl Disconnect {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 20] = [
        Self::PeerClosed,
        Self::Eof,
        Self::Reset,
        Self::Io,
        Self::Protocol,
        Self::Utf8,
        Self::Size,
        Self::FragmentFlood,
        Self::PingFlood,
        Self::IdleMessage,
        Self::SlowConsumer,
        Self::Memory,
        Self::PingTimeout,
        Self::Shutdown,
        Self::Operator,
        Self::MayNotPublish,
        Self::Kind,
        Self::Rate,
        Self::TokenExpired,
        Self::Internal,
    ];

    /// What an error of a connection means: its end, or that the system fails us.
    pub(crate) fn by(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted | Kind::ConnectionRefused => {
                Self::Reset
            }
            Kind::NotConnected | Kind::TimedOut => Self::Reset,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Self::Reset,
            _ => Self::Io,
        }
    }

    /// Whether the relay closes a peer whose own words are in order: then the end of the connection waits for the
    /// peer's close frame. Of those who said what they may not, what stood behind that is thrown away unread: where
    /// their next frame begins nobody knows.
    pub fn is_orderly(self) -> bool {
        matches!(
            self,
            Self::Shutdown
                | Self::SlowConsumer
                | Self::Memory
                | Self::PingTimeout
                | Self::IdleMessage
                | Self::Operator
                | Self::TokenExpired
        )
    }

    /// The label of the counter.
    pub fn label(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Eof => "eof",
            Self::Reset => "reset",
            Self::Io => "io",
            Self::Protocol => "protocol",
            Self::Utf8 => "utf8",
            Self::Size => "size",
            Self::FragmentFlood => "fragment_flood",
            Self::PingFlood => "ping_flood",
            Self::IdleMessage => "idle_message",
            Self::SlowConsumer => "slow_consumer",
            Self::Memory => "memory",
            Self::PingTimeout => "ping_timeout",
            Self::Shutdown => "shutdown",
            Self::Operator => "operator",
            Self::MayNotPublish => "publish_not_allowed",
            Self::Kind => "kind",
            Self::Rate => "rate",
            Self::TokenExpired => "token_expired",
            Self::Internal => "internal",
        }
    }
}

/// Bounds of the lengths of turns, in microseconds. A turn is to stay under 20 ms.
pub const TURN_BOUNDS_MICROS: [u64; 13] =
    [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000];

/// Bounds of lags, in bytes: what a peer lacks while its socket refuses bytes. `soft_lag` and `max_lag` are among them,
/// as they are by default.
pub const LAG_BOUNDS_BYTES: [u64; 9] =
    [1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20];

/// The work of one turn, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Connections accepted.
    pub accepts: u64,
    /// Reads of peers' sockets.
    pub reads: u64,
    /// Bytes they brought.
    pub read_bytes: u64,
    /// Frames decoded, and messages posted.
    pub frames: u64,
    /// Writes to peers' sockets.
    pub writes: u64,
    /// Bytes they took.
    pub write_bytes: u64,
}

impl Work {
    fn both(self, other: Self, join: fn(u64, u64) -> u64) -> Self {
        Self {
            accepts: join(self.accepts, other.accepts),
            reads: join(self.reads, other.reads),
            read_bytes: join(self.read_bytes, other.read_bytes),
            frames: join(self.frames, other.frames),
            writes: join(self.writes, other.writes),
            write_bytes: join(self.write_bytes, other.write_bytes),
        }
    }
}

/// A count for each of so many reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts<const REASONS: usize>([u64; REASONS]);

impl<const REASONS: usize> Default for Counts<REASONS> {
    fn default() -> Self {
        Self([0; REASONS])
    }
}

/// The counters. All of them only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted, those that were refused at once included.
    pub opened: u64,
    /// Peers that joined a channel.
    pub joined: u64,
    refused: Counts<{ REFUSED_LABELS.len() }>,
    disconnects: Counts<{ Disconnect::ALL.len() }>,
    /// Connections that brought a message by POST.
    pub posted: u64,
    /// Messages accepted from peers, and posted.
    pub messages_in: u64,
    /// Their payload.
    pub bytes_in: u64,
    /// Messages wholly handed to the kernel, once for each receiver.
    pub deliveries: u64,
    /// Messages that slow peers missed under `on_slow = "skip"`.
    pub skipped_messages: u64,
    /// Reads of peers' sockets.
    pub reads: u64,
    /// Bytes they brought.
    pub read_bytes: u64,
    /// Frames decoded, and messages posted.
    pub frames: u64,
    /// Writes to peers' sockets.
    pub writes: u64,
    /// Bytes they took.
    pub write_bytes: u64,
    /// Writes that would have blocked.
    pub refused_writes: u64,
    /// Pings sent, and comments that stand for them in event streams.
    pub pings: u64,
    /// Messages that asked whether anybody is there, and were answered.
    pub heartbeats: u64,
    /// Times that a sender was left unread since its channel had too much on its way.
    pub held: u64,
    /// Times that a peer was left unread since it, or its address, was over its rate.
    pub rested: u64,
    /// Times that a peer was left unread for a turn since a budget for memory was spent.
    pub deferred: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// The longest of them, in microseconds.
    pub longest_turn_micros: u64,
    /// All of them, by length.
    pub turn_micros: Histogram<{ TURN_BOUNDS_MICROS.len() }>,
    /// The most processor time of a turn, its wait included, in microseconds.
    pub most_turn_cpu_micros: u64,
    /// The most of each kind of work that one turn did; `limits::TurnBudget` bounds it.
    pub most_turn: Work,
    /// All work up to the end of the turn before.
    done_before: Work,
    /// Times that the process stood still for longer than a second (a stop signal, a suspended machine).
    pub stalls: u64,
    /// The most bytes that a peer lacked while its socket refused bytes.
    pub peak_lag: u64,
    /// What such peers lacked, each time that there was something new for one, or its socket had just refused.
    pub lag_bytes: Histogram<{ LAG_BOUNDS_BYTES.len() }>,
    /// The most memory that all backlogs took at the end of a turn, in bytes.
    pub peak_backlog: u64,
    /// The most memory that unfinished input took at the end of a turn, in bytes.
    pub peak_inflight: u64,
    /// Pieces of news that were kept from the log since there were too many.
    pub news_suppressed: u64,
    /// Requests and PROXY lines that named a client and came from somebody who is not trusted to.
    pub ignored_addresses: u64,
    /// Requests that named a user and came from somebody who is not trusted to.
    pub ignored_users: u64,
    /// Signatures of tokens that were looked at.
    pub token_signatures: u64,
    /// Requests from somebody who is trusted, and that named no client that can be read.
    pub unreadable_addresses: u64,
    /// Addresses whose count of handshakes was forgotten early, since there were too many addresses.
    pub forgotten_addresses: u64,
    /// Connections that were still there when the close deadline came.
    pub close_timeouts: u64,
    /// Connections that ended before the close frame or the refusal was handed to the kernel.
    pub undelivered_closes: u64,
}

impl Counters {
    /// Counts a refusal under one of `REFUSED_LABELS`.
    pub(crate) fn refuse(&mut self, label: &'static str) {
        let index = REFUSED_LABELS.iter().position(|known| *known == label);
        debug_assert!(index.is_some(), "no counter for {label}");
        self.refused.0[index.unwrap_or(0)] += 1;
    }

    pub(crate) fn disconnect(&mut self, why: Disconnect) {
        self.disconnects.0[why as usize] += 1;
    }

    /// Counts a turn that ends now, took `length`, and `cpu` of processor time.
    pub(crate) fn end_turn(&mut self, length: Duration, cpu: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let done = self.work();
        self.turns += 1;
        self.longest_turn_micros = self.longest_turn_micros.max(micros(length));
        self.turn_micros.note(&TURN_BOUNDS_MICROS, micros(length));
        self.most_turn_cpu_micros = self.most_turn_cpu_micros.max(micros(cpu));
        self.most_turn = self.most_turn.both(done.both(self.done_before, u64::wrapping_sub), u64::max);
        self.done_before = done;
    }

    /// A peer whose socket refuses bytes lacks so many.
    pub(crate) fn note_lag(&mut self, lag: u64) {
        self.peak_lag = self.peak_lag.max(lag);
        self.lag_bytes.note(&LAG_BOUNDS_BYTES, lag);
    }

    /// All work so far.
    fn work(&self) -> Work {
        let Self { opened: accepts, reads, read_bytes, frames, writes, write_bytes, .. } = *self;
        Work { accepts, reads, read_bytes, frames, writes, write_bytes }
    }

    /// Refusals under a label of `REFUSED_LABELS`.
    pub fn refused(&self, label: &str) -> u64 {
        REFUSED_LABELS.iter().position(|known| *known == label).map_or(0, |index| self.refused.0[index])
    }

    /// Refusals in all.
    pub fn refused_total(&self) -> u64 {
        self.refused.0.iter().sum()
    }

    /// Disconnects for one reason.
    pub fn disconnected(&self, why: Disconnect) -> u64 {
        self.disconnects.0[why as usize]
    }

    /// Disconnects in all.
    pub fn disconnects_total(&self) -> u64 {
        self.disconnects.0.iter().sum()
    }

    /// Every counter that has no reason, with its name.
    pub(crate) fn totals(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("messages_in", self.messages_in),
            ("bytes_in", self.bytes_in),
            ("posted", self.posted),
            ("deliveries", self.deliveries),
            ("skipped_messages", self.skipped_messages),
            ("reads", self.reads),
            ("read_bytes", self.read_bytes),
            ("frames", self.frames),
            ("writes", self.writes),
            ("write_bytes", self.write_bytes),
            ("refused_writes", self.refused_writes),
            ("pings", self.pings),
            ("heartbeats", self.heartbeats),
            ("held", self.held),
            ("rested", self.rested),
            ("deferred", self.deferred),
            ("turns", self.turns),
            ("longest_turn_micros", self.longest_turn_micros),
            ("most_turn_cpu_micros", self.most_turn_cpu_micros),
            ("most_turn_accepts", self.most_turn.accepts),
            ("most_turn_reads", self.most_turn.reads),
            ("most_turn_read_bytes", self.most_turn.read_bytes),
            ("most_turn_frames", self.most_turn.frames),
            ("most_turn_writes", self.most_turn.writes),
            ("most_turn_write_bytes", self.most_turn.write_bytes),
            ("stalls", self.stalls),
            ("peak_lag", self.peak_lag),
            ("peak_backlog", self.peak_backlog),
            ("peak_inflight", self.peak_inflight),
            ("news_suppressed", self.news_suppressed),
            ("ignored_addresses", self.ignored_addresses),
            ("unreadable_addresses", self.unreadable_addresses),
            ("forgotten_addresses", self.forgotten_addresses),
            ("ignored_users", self.ignored_users),
            ("token_signatures", self.token_signatures),
            ("close_timeouts", self.close_timeouts),
            ("undelivered_closes", self.undelivered_closes),
        ]
    }
}

impl fmt::Display for Counters {
    /// One line of `name=value`, the reasons only where they are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opened={} joined={}", self.opened, self.joined)?;
        for (label, count) in REFUSED_LABELS.iter().zip(self.refused.0).filter(|(_, count)| *count > 0) {
            write!(f, " refused.{label}={count}")?;
        }
        for (why, count) in Disconnect::ALL.iter().zip(self.disconnects.0).filter(|(_, count)| *count > 0) {
            write!(f, " disconnects.{}={count}", why.label())?;
        }
        self.totals().iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_label_of_its_own() {
        let mut counters = Counters::default();
        for (index, why) in Disconnect::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, index);
            counters.disconnect(why);
            assert_eq!(counters.disconnected(why), 1);
        }
        REFUSED_LABELS.into_iter().for_each(|label| counters.refuse(label));
        assert!(REFUSED_LABELS.iter().all(|label| counters.refused(label) == 1));
        assert_eq!((counters.refused_total(), counters.disconnects_total()), (35, 20));
        let mut labels = Disconnect::ALL.map(Disconnect::label).to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Disconnect::ALL.len());
    }

    #[test]
    fn the_most_that_a_turn_did_is_kept_for_each_kind_of_work() {
        // What stands in the counters at the end of each turn.
        let turns = [
            [3, 5, 700, 9, 2, 50],
            [4, 15, 701, 9, 2, 50],
            [20, 15, 2000, 10, 40, 90],
            [20, 15, 2000, 10, 40, 500],
        ];
        let mut counters = Counters::default();
        for [opened, reads, read_bytes, frames, writes, write_bytes] in turns {
            counters = Counters { opened, reads, read_bytes, frames, writes, write_bytes, ..counters };
            counters.end_turn(Duration::ZERO, Duration::ZERO);
        }
        let most = Work { accepts: 16, reads: 10, read_bytes: 1299, frames: 9, writes: 38, write_bytes: 410 };
        assert_eq!((counters.turns, counters.most_turn), (4, most));
        let line = counters.to_string();
        for part in ["accepts=16", "reads=10", "read_bytes=1299", "frames=9", "writes=38", "write_bytes=410"]
        {
            assert!(line.contains(&format!(" most_turn_{part}")), "{part} in {line}");
        }
    }

    #[test]
    fn an_error_ends_a_connection_or_is_the_systems() {
        use io::ErrorKind as Kind;
        let table = [
            (Kind::ConnectionReset, Disconnect::Reset),
            (Kind::BrokenPipe, Disconnect::Reset),
            (Kind::TimedOut, Disconnect::Reset),
            (Kind::HostUnreachable, Disconnect::Reset),
            (Kind::OutOfMemory, Disconnect::Io),
            (Kind::Other, Disconnect::Io),
        ];
        assert!(!table.is_empty());
        for (kind, why) in table {
            assert_eq!(Disconnect::by(&kind.into()), why, "{kind:?}");
        }
    }

    #[test]
    fn the_longest_turn_and_the_busiest_are_two_things() {
        let mut counters = Counters::default();
        for (length, cpu) in [(5, 4), (900, 1), (7, 6), (2, 2)] {
            counters.end_turn(Duration::from_micros(length), Duration::from_micros(cpu));
        }
        let line = counters.to_string();
        assert!(line.contains(" longest_turn_micros=900 most_turn_cpu_micros=6 "), "{line}");
        assert_eq!(
            (counters.turn_micros.sum(), counters.turn_micros.counts()[..7].to_vec()),
            (914, vec![3, 0, 0, 0, 0, 1, 0])
        );
    }

    #[test]
    fn bounds_rise_and_the_limits_they_are_meant_for_are_among_them() {
        assert!(TURN_BOUNDS_MICROS.is_sorted_by(|a, b| a < b) && LAG_BOUNDS_BYTES.is_sorted_by(|a, b| a < b));
        let limits = crate::limits::Limits::default();
        assert!(
            [limits.soft_lag, limits.max_lag].iter().all(|lag| LAG_BOUNDS_BYTES.contains(&(*lag as u64)))
        );
    }

    #[test]
    fn the_line_names_what_is_not_zero() {
        let mut counters = Counters { opened: 3, ..Counters::default() };
        counters.disconnect(Disconnect::Utf8);
        let line = counters.to_string();
        assert!(line.starts_with("opened=3 joined=0 disconnects.utf8=1 messages_in=0"), "{line}");
        assert!(!line.contains('\n') && !line.contains("refused."));
    }
}
