//! The configuration file, from its text to values that the rest of the program believes.
//!
//! Owns the keys, their defaults (those of the core are in `limits.rs`) and what may stand for each. Two types:
//! `RawConfig` is the file as written, `Config` is checked. Promises: no input panics; an unknown key, a wrong type
//! and a value out of range are each refused with the key, the value, what was expected and what to do; a key that
//! is left out has its default. Leaves to others: acting on it.

mod rules;
mod value;

use std::{
    fmt, fs,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use log::LevelFilter;
use serde::Deserialize;

use crate::{
    limits::{Limits, OnSlow},
    logging::Format,
};
use value::{Address, Bytes, Form, Level, Policy, Span};

pub use rules::Breach;
pub use value::parse_address;

/// A configuration file is a few kilobytes; one of a hundred megabytes is a mistake and is not read to its end.
const MAX_FILE: u64 = 1 << 20;

/// The file as written: what is absent has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    listen: Option<Vec<Address>>,
    send_buffer: Option<Bytes>,
    receive_buffer: Option<Bytes>,
    log: Option<Level>,
    echo: Option<bool>,
    max_connections: Option<usize>,
    max_handshakes: Option<usize>,
    max_message: Option<Bytes>,
    max_frames: Option<u32>,
    control_frames_per_sec: Option<u32>,
    max_inflight_read: Option<Bytes>,
    max_backlog: Option<Bytes>,
    max_lag: Option<Bytes>,
    soft_lag: Option<Bytes>,
    soft_lag_time: Option<Span>,
    stall_timeout: Option<Span>,
    on_slow: Option<Policy>,
    hold: Option<Bytes>,
    ping_interval: Option<Span>,
    pong_timeout: Option<Span>,
    handshake_timeout: Option<Span>,
    close_timeout: Option<Span>,
    message_timeout: Option<Span>,
    drain: Option<Span>,
    log_format: Option<Form>,
}

/// The checked configuration. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. Never empty, and no address twice.
    pub listen: Vec<SocketAddr>,
    /// The limits of the core.
    pub limits: Limits,
    /// The kernel's send buffer of each connection: what stands there is out of our sight, so it is kept small.
    pub send_buffer: usize,
    /// The kernel's receive buffer of each connection.
    pub receive_buffer: usize,
    /// What is logged.
    pub log: LevelFilter,
    /// How a line of the log looks.
    pub log_format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9310))],
            limits: Limits::default(),
            send_buffer: 64 << 10,
            receive_buffer: 64 << 10,
            log: LevelFilter::Info,
            log_format: Format::Auto,
        }
    }
}

/// Why a configuration was refused. Each says on its own what to do.
#[derive(Debug)]
pub enum Refusal {
    /// The file could not be read.
    Unreadable(io::Error),
    /// It is longer than any configuration.
    TooLong,
    /// Not TOML, an unknown key, or a value of the wrong form: where, and what was expected.
    Syntax(String),
    /// Values that may not stand, or not together. Never empty.
    Breaches(Vec<Breach>),
}

/// A refusal, and of which file (or of the arguments).
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    refusal: Refusal,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Whatever is wrong with it, named with the file.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let config = text_of(file).and_then(|text| Self::parse(&text));
        config.map_err(|refusal| ConfigError { file: file.to_owned(), refusal })
    }

    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// The refusal, without the name of the file.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| Refusal::Syntax(error.to_string()))?;
        raw.fill().checked()
    }

    /// The same, listening elsewhere.
    ///
    /// # Errors
    /// When these are addresses that the file may not name either.
    pub fn listening_on(self, listen: Vec<SocketAddr>) -> Result<Self, ConfigError> {
        let config = Self { listen, ..self }.checked();
        config.map_err(|refusal| ConfigError { file: "arguments".into(), refusal })
    }

    fn checked(self) -> Result<Self, Refusal> {
        let breaches = rules::breaches(&self);
        if breaches.is_empty() { Ok(self) } else { Err(Refusal::Breaches(breaches)) }
    }
}

impl RawConfig {
    /// Puts the defaults where nothing was said.
    fn fill(self) -> Config {
        let default = Config::default();
        Config {
            listen: self.listen.map_or(default.listen, |all| all.into_iter().map(|one| one.0).collect()),
            send_buffer: self.send_buffer.map_or(default.send_buffer, |size| size.0),
            receive_buffer: self.receive_buffer.map_or(default.receive_buffer, |size| size.0),
            log: self.log.map_or(default.log, |level| level.0),
            log_format: self.log_format.map_or(default.log_format, Format::from),
            limits: Limits {
                echo: self.echo.unwrap_or(default.limits.echo),
                max_connections: self.max_connections.unwrap_or(default.limits.max_connections),
                max_handshakes: self.max_handshakes.unwrap_or(default.limits.max_handshakes),
                max_message: self.max_message.map_or(default.limits.max_message, |size| size.0),
                max_frames: self.max_frames.unwrap_or(default.limits.max_frames),
                control_frames_per_sec: self
                    .control_frames_per_sec
                    .unwrap_or(default.limits.control_frames_per_sec),
                max_inflight_read: self
                    .max_inflight_read
                    .map_or(default.limits.max_inflight_read, |size| size.0),
                max_backlog: self.max_backlog.map_or(default.limits.max_backlog, |size| size.0),
                max_lag: self.max_lag.map_or(default.limits.max_lag, |size| size.0),
                soft_lag: self.soft_lag.map_or(default.limits.soft_lag, |size| size.0),
                soft_lag_time: self.soft_lag_time.map_or(default.limits.soft_lag_time, |span| span.0),
                stall_timeout: self.stall_timeout.map_or(default.limits.stall_timeout, |span| span.0),
                on_slow: self.on_slow.map_or(default.limits.on_slow, OnSlow::from),
                hold: self.hold.map_or(default.limits.hold, |size| size.0),
                ping_interval: self.ping_interval.map_or(default.limits.ping_interval, |span| span.0),
                pong_timeout: self.pong_timeout.map_or(default.limits.pong_timeout, |span| span.0),
                handshake_timeout: self
                    .handshake_timeout
                    .map_or(default.limits.handshake_timeout, |span| span.0),
                close_timeout: self.close_timeout.map_or(default.limits.close_timeout, |span| span.0),
                message_timeout: self.message_timeout.map_or(default.limits.message_timeout, |span| span.0),
                drain: self.drain.map_or(default.limits.drain, |span| span.0),
                turn: default.limits.turn,
            },
        }
    }
}

fn text_of(file: &Path) -> Result<String, Refusal> {
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(Refusal::Unreadable)?;
    opened.take(MAX_FILE + 1).read_to_string(&mut text).map_err(Refusal::Unreadable)?;
    if text.len() as u64 > MAX_FILE { Err(Refusal::TooLong) } else { Ok(text) }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.refusal {
            Refusal::Unreadable(error) => {
                write!(
                    f,
                    "{file}: cannot be read: {error}. Check the path given to --config and who may read it."
                )
            }
            Refusal::TooLong => {
                write!(f, "{file}: longer than 1 MiB, so this is no configuration. Check the path.")
            }
            Refusal::Syntax(error) => write!(f, "{file}: {}", error.trim_end()),
            Refusal::Breaches(breaches) => {
                for (nth, breach) in breaches.iter().enumerate() {
                    let newline = if nth == 0 { "" } else { "\n" };
                    write!(f, "{newline}{file}: {breach}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests;
