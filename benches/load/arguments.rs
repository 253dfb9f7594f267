//! The arguments, and what can be asked for.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::wire::{LEAST_SIZE, Protocol};

/// Puts load on a WebSocket broadcast server, checks every byte that comes back, and prints what it cost.
#[derive(Debug, Parser)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub shape: Shape,
}

/// What all shapes have.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The port of 127.0.0.1 on which the server listens
    #[arg(long, global = true)]
    pub port: Option<u16>,
    /// The socket in the file system on which it listens instead
    #[arg(long, global = true, conflicts_with = "port")]
    pub unix: Option<PathBuf>,
    /// The channel; with several, channel n is this, a slash and n
    #[arg(long, global = true, default_value = "/bench")]
    pub path: String,
    /// A further line of each request's head, such as a token; may be given several times
    #[arg(long = "header", global = true, value_name = "LINE", value_parser = header_line)]
    pub headers: Vec<String>,
    #[arg(long, global = true, value_enum, default_value = "ws")]
    pub protocol: Protocol,
    /// The server sends everybody his own messages too
    #[arg(long, global = true)]
    pub echo: bool,
    /// A process of the server's, for CPU and memory
    #[arg(long = "server", global = true, value_name = "PID")]
    pub servers: Vec<u32>,
    /// Source addresses 127.A.B.x
    #[arg(long, global = true, value_name = "A.B", value_parser = two_bytes)]
    pub from: Option<(u8, u8)>,
    /// Payload of a message
    #[arg(long, global = true, value_name = "BYTES", default_value_t = 64, value_parser = payload_size)]
    pub size: usize,
    #[arg(long, global = true, value_name = "S", default_value_t = 1.0)]
    pub warm_up: f64,
    #[arg(long, global = true, value_name = "S", default_value_t = 5.0)]
    pub seconds: f64,
    #[arg(long, global = true, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,
    /// Nothing came for so long: the run has failed, or in `rate` the server is behind
    #[arg(long, global = true, value_name = "S", default_value_t = 10.0)]
    pub patience: f64,
}

/// The shapes of load.
#[derive(Debug, Subcommand)]
pub enum Shape {
    /// Closed loop: each sender keeps some messages on their way
    Flood {
        #[command(flatten)]
        crowd: Members,
        /// Messages of each sender on their way; the next one leaves when all have the oldest
        #[arg(long, value_name = "W", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
        window: u32,
    },
    /// Open loop: messages on a fixed schedule, whether the server keeps up or not
    Rate {
        #[command(flatten)]
        crowd: Members,
        /// Messages per second in all
        #[arg(long, value_name = "N")]
        per_second: f64,
        /// Further receivers, in all, that never read
        #[arg(long, value_name = "K", default_value_t = 0)]
        stopped: u32,
    },
    /// Idle connections, more and more, and a slow sender
    Scale {
        /// Connections open at each step
        #[arg(long, value_delimiter = ',', default_value = "1000,2000,5000,10000,19000")]
        connections: Vec<u32>,
        /// How often all are closed and the most opened again
        #[arg(long, default_value_t = 2)]
        again: u32,
        /// How long the server is left alone at each step
        #[arg(long, value_name = "S", default_value_t = 2.0)]
        idle_seconds: f64,
    },
}

/// Who is in each channel.
#[derive(Clone, Copy, Debug, Args)]
pub struct Members {
    /// Senders in each channel; they hear each other
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub senders: u32,
    /// Those in each channel that only listen
    #[arg(long, value_name = "R", default_value_t = 1000)]
    pub receivers: u32,
}

fn two_bytes(text: &str) -> Result<(u8, u8), String> {
    let parts = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parts.ok_or_else(|| "two numbers up to 255 with a dot between".to_owned())
}

fn header_line(text: &str) -> Result<String, String> {
    let is_line =
        text.split_once(": ").is_some_and(|(name, _)| !name.is_empty()) && !text.contains(['\r', '\n']);
    is_line.then(|| text.to_owned()).ok_or_else(|| "a name, a colon, a space and a value".to_owned())
}

fn payload_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (LEAST_SIZE..=16 << 20).contains(size));
    size.ok_or_else(|| format!("{LEAST_SIZE} to 16777216 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_understood_and_nonsense_is_not() {
        let table = [
            ("--port 1 flood", true),
            ("flood --port 1 --senders 2 --receivers 3 --window 4 --server 5 --server 6 --size 16", true),
            ("rate --unix s --per-second 0.5 --stopped 3 --from 9.255 --protocol socketio --echo", true),
            ("scale --port 1 --connections 1,2 --again 0 --idle-seconds 0", true),
            ("flood --port 1 --header A:b", false),
            ("flood --port 1 --unix s", false),
            ("flood --port 1 --window 0", false),
            ("flood --port 1 --size 15", false),
            ("rate --port 1", false),
            ("scale --port 1 --from 1.256", false),
            ("--port 1", false),
        ];
        assert!(!table.is_empty());
        for (words, understood) in table {
            let all = std::iter::once("bench-load").chain(words.split(' '));
            assert_eq!(Arguments::try_parse_from(all).is_ok(), understood, "{words}");
        }
    }

    #[test]
    fn a_header_line_is_one_line_with_a_name() {
        let table =
            [("A: b", true), ("A: b: c", true), (": b", false), ("A: b\r\nC: d", false), ("A", false)];
        assert!(!table.is_empty());
        for (line, is_line) in table {
            assert_eq!(header_line(line).is_ok(), is_line, "{line:?}");
        }
    }
}
