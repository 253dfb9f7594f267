//! The one table of keys: each with its name, its form, its range and where its value goes.
//!
//! Owns what may stand for a single key; both reading a file and writing one walk this table. What values must be to
//! each other is left to `rules.rs`.

use std::{ops::RangeInclusive, time::Duration};

use log::LevelFilter;
use toml::{Spanned, de::DeValue};

use super::{
    Config, heartbeat, list,
    listen::{self, Listen},
    mistake::Mistake,
    text::{self, Text},
    value::{self, Expected, Reading, WAIT},
};
use crate::{
    address::{RealIpHeader, Trusted},
    limits::{Access, Heartbeat, Kinds, OnRate, OnSlow},
    logging::Format,
    origin::Origins,
};

/// Above this a socket buffer hides from us for minutes what a peer has not taken.
const MAX_SOCKET_BUFFER: usize = 16 << 20;

/// A gibibyte times a thousand: no machine of today has it, so it is a slip of the pen.
const MAX_SIZE: usize = 1 << 40;

/// More than one thread relays.
const MAX_RATE: usize = 1 << 40;

/// Less is no burst, and more is no rate.
const BURST: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);

/// Clocks that are further apart are to be mended.
const LEEWAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60 * 60);

/// A key and where its value goes.
pub(super) struct Key {
    /// As it stands in the file.
    pub name: &'static str,
    /// When a change of it holds.
    pub applies: Applies,
    /// Whether it may stand in a `[[channel]]` too.
    pub is_of_channel: bool,
    slot: Slot,
}

/// When the change of a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applies {
    /// With the reload.
    AtReload,
    /// Only after a restart.
    AtRestart,
}

/// Where in the configuration.
type At<T> = fn(&mut Config) -> &mut T;

/// The form of a value, its range, and its place.
enum Slot {
    Listen(At<Vec<Listen>>),
    Trusted(At<Trusted>),
    Header(At<RealIpHeader>),
    Level(At<LevelFilter>),
    Format(At<Format>),
    OnSlow(At<OnSlow>),
    Flag(At<bool>),
    Heartbeat(At<Option<Heartbeat>>),
    Number(At<usize>, RangeInclusive<usize>),
    Number32(At<u32>, RangeInclusive<usize>),
    Size(At<usize>, RangeInclusive<usize>),
    Span(At<Duration>, RangeInclusive<Duration>),
    Access(At<Access>),
    Kinds(At<Kinds>),
    OnRate(At<OnRate>),
    Origins(At<Origins>),
    Texts(At<Vec<Box<str>>>, &'static Text),
    Name(At<Option<Box<str>>>, &'static Text),
}

const fn key(name: &'static str, slot: Slot) -> Key {
    Key { name, applies: Applies::AtReload, is_of_channel: false, slot }
}

const fn fixed(name: &'static str, slot: Slot) -> Key {
    Key { name, applies: Applies::AtRestart, is_of_channel: false, slot }
}

/// One that may stand in a `[[channel]]` too.
const fn ruled(name: &'static str, slot: Slot) -> Key {
    Key { name, applies: Applies::AtReload, is_of_channel: true, slot }
}

/// Every key, in the order of `etc/wsrelayd.toml`.
pub(super) const KEYS: &[Key] = &[
    fixed("listen", Slot::Listen(|c| &mut c.listen)),
    fixed("admin", Slot::Listen(|c| &mut c.admin)),
    key("log", Slot::Level(|c| &mut c.log)),
    fixed("log_format", Slot::Format(|c| &mut c.log_format)),
    ruled("echo", Slot::Flag(|c| &mut c.limits.echo)),
    ruled("http_publish", Slot::Flag(|c| &mut c.limits.http_publish)),
    ruled("event_stream", Slot::Flag(|c| &mut c.limits.event_stream)),
    ruled("heartbeat", Slot::Heartbeat(|c| &mut c.limits.heartbeat)),
    ruled("kinds", Slot::Kinds(|c| &mut c.limits.kinds)),
    ruled("subprotocols", Slot::Texts(|c| &mut c.limits.subprotocols, &text::SUBPROTOCOL)),
    ruled("subprotocol_required", Slot::Flag(|c| &mut c.limits.subprotocol_required)),
    ruled("subscribe", Slot::Access(|c| &mut c.limits.subscribe)),
    ruled("publish", Slot::Access(|c| &mut c.limits.publish)),
    ruled("origins", Slot::Origins(|c| &mut c.limits.origins)),
    key("token_keys", Slot::Texts(|c| &mut c.token_keys, &text::KEY_FILE)),
    key("token_issuers", Slot::Texts(|c| &mut c.gate.issuers, &text::ISSUER)),
    key("token_audience", Slot::Texts(|c| &mut c.gate.audience, &text::AUDIENCE)),
    key("token_leeway", Slot::Span(|c| &mut c.gate.leeway, LEEWAY)),
    key("token_query", Slot::Name(|c| &mut c.gate.query, &text::PARAMETER)),
    key("max_connections", Slot::Number(|c| &mut c.limits.max_connections, 1..=1_000_000)),
    key("max_handshakes", Slot::Number(|c| &mut c.limits.max_handshakes, 1..=1_000_000)),
    ruled("max_peers", Slot::Number(|c| &mut c.limits.max_peers, 0..=1_000_000)),
    key("trusted_proxies", Slot::Trusted(|c| &mut c.trusted_proxies)),
    key("real_ip_header", Slot::Header(|c| &mut c.real_ip_header)),
    key("identity_header", Slot::Name(|c| &mut c.gate.identity_header, &text::HEADER)),
    key(
        "max_connections_per_address",
        Slot::Number(|c| &mut c.limits.max_connections_per_address, 0..=1_000_000),
    ),
    key(
        "handshakes_per_address_per_sec",
        Slot::Number32(|c| &mut c.limits.handshakes_per_address_per_sec, 0..=1_000_000),
    ),
    ruled("max_message", Slot::Size(|c| &mut c.limits.max_message, 1..=16 << 20)),
    key("max_frames", Slot::Number32(|c| &mut c.limits.max_frames, 1..=1_000_000)),
    key("control_frames_per_sec", Slot::Number32(|c| &mut c.limits.control_frames_per_sec, 1..=10_000)),
    key("message_timeout", Slot::Span(|c| &mut c.limits.message_timeout, WAIT)),
    ruled("messages_per_sec", Slot::Number32(|c| &mut c.limits.messages_per_sec, 0..=1_000_000)),
    ruled("bytes_per_sec", Slot::Size(|c| &mut c.limits.bytes_per_sec, 0..=MAX_RATE)),
    ruled(
        "address_messages_per_sec",
        Slot::Number32(|c| &mut c.limits.address_messages_per_sec, 0..=1_000_000),
    ),
    ruled("address_bytes_per_sec", Slot::Size(|c| &mut c.limits.address_bytes_per_sec, 0..=MAX_RATE)),
    ruled("rate_burst", Slot::Span(|c| &mut c.limits.rate_burst, BURST)),
    ruled("on_rate", Slot::OnRate(|c| &mut c.limits.on_rate)),
    ruled("on_slow", Slot::OnSlow(|c| &mut c.limits.on_slow)),
    ruled("max_lag", Slot::Size(|c| &mut c.limits.max_lag, 0..=MAX_SIZE)),
    ruled("soft_lag", Slot::Size(|c| &mut c.limits.soft_lag, 1..=MAX_SIZE)),
    ruled("soft_lag_time", Slot::Span(|c| &mut c.limits.soft_lag_time, WAIT)),
    ruled("stall_timeout", Slot::Span(|c| &mut c.limits.stall_timeout, WAIT)),
    key("max_backlog", Slot::Size(|c| &mut c.limits.max_backlog, 0..=MAX_SIZE)),
    key("max_inflight_read", Slot::Size(|c| &mut c.limits.max_inflight_read, 0..=MAX_SIZE)),
    key("hold", Slot::Size(|c| &mut c.limits.hold, 1 << 10..=MAX_SIZE)),
    key("send_buffer", Slot::Size(|c| &mut c.send_buffer, 4 << 10..=MAX_SOCKET_BUFFER)),
    key("receive_buffer", Slot::Size(|c| &mut c.receive_buffer, 4 << 10..=MAX_SOCKET_BUFFER)),
    key("ping_interval", Slot::Span(|c| &mut c.limits.ping_interval, WAIT)),
    key("pong_timeout", Slot::Span(|c| &mut c.limits.pong_timeout, WAIT)),
    key("handshake_timeout", Slot::Span(|c| &mut c.limits.handshake_timeout, WAIT)),
    key("close_timeout", Slot::Span(|c| &mut c.limits.close_timeout, WAIT)),
    key("drain", Slot::Span(|c| &mut c.limits.drain, WAIT)),
];

impl Key {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Puts a value where it belongs, or says what is wrong with it; then the place keeps what it had.
    pub(super) fn read(&self, value: &Spanned<DeValue<'_>>, config: &mut Config) -> Vec<Mistake> {
        let of = value.get_ref();
        let read = match &self.slot {
            Slot::Listen(at) => return list::read_listeners(at(config), self.name, value),
            Slot::Trusted(at) => return list::read_trusted(at(config), self.name, value),
            Slot::Heartbeat(at) => return heartbeat::read_into(at(config), self.name, value),
            Slot::Origins(at) => return list::read_origins(at(config), self.name, value),
            Slot::Texts(at, kind) => return list::read_texts(at(config), self.name, value, kind),
            Slot::Name(at, kind) => put(at(config), text::read_name(of, kind)),
            Slot::Access(at) => put(at(config), value::read_word(of)),
            Slot::Kinds(at) => put(at(config), value::read_word(of)),
            Slot::OnRate(at) => put(at(config), value::read_word(of)),
            Slot::Header(at) => put(at(config), value::read_word(of)),
            Slot::Level(at) => put(at(config), value::read_word(of)),
            Slot::Format(at) => put(at(config), value::read_word(of)),
            Slot::OnSlow(at) => put(at(config), value::read_word(of)),
            Slot::Flag(at) => put(at(config), value::read_flag(of)),
            Slot::Number(at, range) => put(at(config), value::read_number(of, range)),
            Slot::Number32(at, range) => put(at(config), read_number32(of, range)),
            Slot::Size(at, range) => put(at(config), value::read_size(of, range)),
            Slot::Span(at, range) => put(at(config), value::read_span(of, range)),
        };
        read.err().map(|expected| mistake(self.name, value, expected)).into_iter().collect()
    }

    /// Sets the value in `to` to that in `from`.
    pub(super) fn copy(&self, from: &mut Config, to: &mut Config) {
        match &self.slot {
            Slot::Listen(at) => at(to).clone_from(at(from)),
            Slot::Trusted(at) => at(to).clone_from(at(from)),
            Slot::Heartbeat(at) => at(to).clone_from(at(from)),
            Slot::Header(at) => *at(to) = *at(from),
            Slot::Level(at) => *at(to) = *at(from),
            Slot::Format(at) => *at(to) = *at(from),
            Slot::OnSlow(at) => *at(to) = *at(from),
            Slot::Flag(at) => *at(to) = *at(from),
            Slot::Number(at, _) | Slot::Size(at, _) => *at(to) = *at(from),
            Slot::Number32(at, _) => *at(to) = *at(from),
            Slot::Span(at, _) => *at(to) = *at(from),
            Slot::Access(at) => *at(to) = *at(from),
            Slot::Kinds(at) => *at(to) = *at(from),
            Slot::OnRate(at) => *at(to) = *at(from),
            Slot::Origins(at) => at(to).clone_from(at(from)),
            Slot::Texts(at, _) => at(to).clone_from(at(from)),
            Slot::Name(at, _) => at(to).clone_from(at(from)),
        }
    }

    /// The value as it would stand in a file.
    pub(super) fn write(&self, config: &mut Config) -> String {
        match &self.slot {
            Slot::Listen(at) => listen::write(at(config)),
            Slot::Trusted(at) => value::write_list(&at(config).entries()),
            Slot::Heartbeat(at) => heartbeat::write(at(config).as_ref()),
            Slot::Header(at) => value::write_word(*at(config)),
            Slot::Level(at) => value::write_word(*at(config)),
            Slot::Format(at) => value::write_word(*at(config)),
            Slot::OnSlow(at) => value::write_word(*at(config)),
            Slot::Flag(at) => at(config).to_string(),
            Slot::Number(at, _) => at(config).to_string(),
            Slot::Number32(at, _) => at(config).to_string(),
            Slot::Size(at, _) => value::write_size(*at(config)),
            Slot::Span(at, _) => value::write_span(*at(config)),
            Slot::Access(at) => value::write_word(*at(config)),
            Slot::Kinds(at) => value::write_word(*at(config)),
            Slot::OnRate(at) => value::write_word(*at(config)),
            Slot::Origins(at) => list::write_origins(at(config)),
            Slot::Texts(at, _) => list::write_texts(at(config)),
            Slot::Name(at, _) => text::write_name(at(config).as_deref()),
        }
    }
}

/// What stands where something else was expected.
pub(super) fn mistake(key: &str, value: &Spanned<DeValue<'_>>, expected: Expected) -> Mistake {
    let Expected { what, hint } = expected;
    let found = value::describe(value.get_ref());
    Mistake::at(value.span(), format!("{key}: expected {what}, not {found}{hint}"))
}

fn put<T>(place: &mut T, read: Reading<T>) -> Reading<()> {
    *place = read?;
    Ok(())
}

fn read_number32(value: &DeValue<'_>, range: &RangeInclusive<usize>) -> Reading<u32> {
    let number = value::read_number(value, range)?;
    u32::try_from(number).map_err(|error| error.to_string().into())
}
