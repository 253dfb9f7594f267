//! The one table of keys: each with its name, its form, its range and where its value goes.
//!
//! Owns what may stand for a single key; both reading a file and writing one walk this table. What values must be to
//! each other is left to `rules.rs`.

use std::{ops::RangeInclusive, time::Duration};

use log::LevelFilter;
use toml::{Spanned, de::DeValue};

use super::{
    Config, heartbeat,
    listen::{self, Listen},
    mistake::Mistake,
    value::{self, Expected, Reading},
};
use crate::{
    address::{RealIpHeader, Trusted},
    limits::{Heartbeat, OnSlow},
    logging::Format,
};

/// Above this a socket buffer hides from us for minutes what a peer has not taken.
const MAX_SOCKET_BUFFER: usize = 16 << 20;

/// A gibibyte times a thousand: no machine of today has it, so it is a slip of the pen.
const MAX_SIZE: usize = 1 << 40;

/// A key and where its value goes.
pub(super) struct Key {
    /// As it stands in the file.
    pub name: &'static str,
    /// When a change of it holds.
    pub applies: Applies,
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
    Span(At<Duration>),
}

const fn key(name: &'static str, slot: Slot) -> Key {
    Key { name, applies: Applies::AtReload, slot }
}

const fn fixed(name: &'static str, slot: Slot) -> Key {
    Key { name, applies: Applies::AtRestart, slot }
}

/// Every key, in the order of `etc/wsrelayd.toml`.
pub(super) const KEYS: &[Key] = &[
    fixed("listen", Slot::Listen(|c| &mut c.listen)),
    fixed("admin", Slot::Listen(|c| &mut c.admin)),
    key("log", Slot::Level(|c| &mut c.log)),
    fixed("log_format", Slot::Format(|c| &mut c.log_format)),
    key("echo", Slot::Flag(|c| &mut c.limits.echo)),
    key("http_publish", Slot::Flag(|c| &mut c.limits.http_publish)),
    key("event_stream", Slot::Flag(|c| &mut c.limits.event_stream)),
    key("heartbeat", Slot::Heartbeat(|c| &mut c.limits.heartbeat)),
    key("max_connections", Slot::Number(|c| &mut c.limits.max_connections, 1..=1_000_000)),
    key("max_handshakes", Slot::Number(|c| &mut c.limits.max_handshakes, 1..=1_000_000)),
    key("trusted_proxies", Slot::Trusted(|c| &mut c.trusted_proxies)),
    key("real_ip_header", Slot::Header(|c| &mut c.real_ip_header)),
    key(
        "max_connections_per_address",
        Slot::Number(|c| &mut c.limits.max_connections_per_address, 0..=1_000_000),
    ),
    key(
        "handshakes_per_address_per_sec",
        Slot::Number32(|c| &mut c.limits.handshakes_per_address_per_sec, 0..=1_000_000),
    ),
    key("max_message", Slot::Size(|c| &mut c.limits.max_message, 1..=16 << 20)),
    key("max_frames", Slot::Number32(|c| &mut c.limits.max_frames, 1..=1_000_000)),
    key("control_frames_per_sec", Slot::Number32(|c| &mut c.limits.control_frames_per_sec, 1..=10_000)),
    key("message_timeout", Slot::Span(|c| &mut c.limits.message_timeout)),
    key("on_slow", Slot::OnSlow(|c| &mut c.limits.on_slow)),
    key("max_lag", Slot::Size(|c| &mut c.limits.max_lag, 0..=MAX_SIZE)),
    key("soft_lag", Slot::Size(|c| &mut c.limits.soft_lag, 1..=MAX_SIZE)),
    key("soft_lag_time", Slot::Span(|c| &mut c.limits.soft_lag_time)),
    key("stall_timeout", Slot::Span(|c| &mut c.limits.stall_timeout)),
    key("max_backlog", Slot::Size(|c| &mut c.limits.max_backlog, 0..=MAX_SIZE)),
    key("max_inflight_read", Slot::Size(|c| &mut c.limits.max_inflight_read, 0..=MAX_SIZE)),
    key("hold", Slot::Size(|c| &mut c.limits.hold, 1 << 10..=MAX_SIZE)),
    key("send_buffer", Slot::Size(|c| &mut c.send_buffer, 4 << 10..=MAX_SOCKET_BUFFER)),
    key("receive_buffer", Slot::Size(|c| &mut c.receive_buffer, 4 << 10..=MAX_SOCKET_BUFFER)),
    key("ping_interval", Slot::Span(|c| &mut c.limits.ping_interval)),
    key("pong_timeout", Slot::Span(|c| &mut c.limits.pong_timeout)),
    key("handshake_timeout", Slot::Span(|c| &mut c.limits.handshake_timeout)),
    key("close_timeout", Slot::Span(|c| &mut c.limits.close_timeout)),
    key("drain", Slot::Span(|c| &mut c.limits.drain)),
];

impl Key {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Puts a value where it belongs, or says what is wrong with it; then the place keeps what it had.
    pub(super) fn read(&self, value: &Spanned<DeValue<'_>>, config: &mut Config) -> Vec<Mistake> {
        let of = value.get_ref();
        let read = match &self.slot {
            Slot::Listen(at) => return self.read_entries(value, at(config)),
            Slot::Trusted(at) => return self.read_trusted(value, at(config)),
            Slot::Heartbeat(at) => return heartbeat::read_into(at(config), self.name, value),
            Slot::Header(at) => put(at(config), value::read_word(of)),
            Slot::Level(at) => put(at(config), value::read_word(of)),
            Slot::Format(at) => put(at(config), value::read_word(of)),
            Slot::OnSlow(at) => put(at(config), value::read_word(of)),
            Slot::Flag(at) => put(at(config), value::read_flag(of)),
            Slot::Number(at, range) => put(at(config), value::read_number(of, range)),
            Slot::Number32(at, range) => put(at(config), read_number32(of, range)),
            Slot::Size(at, range) => put(at(config), value::read_size(of, range)),
            Slot::Span(at) => put(at(config), value::read_span(of)),
        };
        read.err().map(|expected| self.mistake(value, expected)).into_iter().collect()
    }

    fn read_entries(&self, value: &Spanned<DeValue<'_>>, at: &mut Vec<Listen>) -> Vec<Mistake> {
        let Some(list) = value.get_ref().as_array() else {
            let expected = "a list of addresses, such as [\"127.0.0.1:9310\"]".to_owned();
            return vec![self.mistake(value, expected.into())];
        };
        let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
        for one in list.iter() {
            match listen::read(self.name, one) {
                Ok(entry) => entries.push(entry),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        *at = entries;
        mistakes
    }

    fn read_trusted(&self, value: &Spanned<DeValue<'_>>, at: &mut Trusted) -> Vec<Mistake> {
        let Some(list) = value.get_ref().as_array() else {
            let expected = "a list of networks, such as [\"127.0.0.0/8\", \"::1\", \"unix:\"]".to_owned();
            return vec![self.mistake(value, expected.into())];
        };
        let (mut trusted, mut mistakes) = (Trusted::nobody(), Vec::new());
        for one in list.iter() {
            if let Err(expected) = trusted.add(one.get_ref().as_str().unwrap_or_default()) {
                mistakes.push(self.mistake(one, expected.into()));
            }
        }
        *at = trusted;
        mistakes
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
            Slot::Span(at) => *at(to) = *at(from),
        }
    }

    fn mistake(&self, value: &Spanned<DeValue<'_>>, expected: Expected) -> Mistake {
        let Expected { what, hint } = expected;
        let found = value::describe(value.get_ref());
        Mistake::at(value.span(), format!("{}: expected {what}, not {found}{hint}", self.name))
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
            Slot::Span(at) => value::write_span(*at(config)),
        }
    }
}

fn put<T>(place: &mut T, read: Reading<T>) -> Reading<()> {
    *place = read?;
    Ok(())
}

fn read_number32(value: &DeValue<'_>, range: &RangeInclusive<usize>) -> Reading<u32> {
    let number = value::read_number(value, range)?;
    u32::try_from(number).map_err(|error| error.to_string().into())
}
