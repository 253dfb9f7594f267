//! The load generator: puts load on a WebSocket broadcast server over loopback, and checks while it measures.
//!
//! | files | what they own |
//! |---|---|
//! | `arguments` | what can be asked for |
//! | `flood` `rate` `scale` | the shapes of load |
//! | `crowd` `door` | the connections, and how they are opened |
//! | `check` `wire` | what may come, and how messages look |
//! | `schedule` | when a message is due |
//! | `snapshot` `process` `latency` | what it cost, and how long it took |
//!
//! One thread. Prints one JSON object. A result means that every receiver got every message of its channel exactly
//! once, in order and byte for byte; anything else is `{"failed": "why"}` and exit code 1.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result and the progress go there")]

mod arguments;
mod check;
mod crowd;
mod door;
mod flood;
mod latency;
mod process;
mod rate;
mod scale;
mod schedule;
mod snapshot;
mod wire;

use std::{error::Error, process::ExitCode};

use arguments::{Arguments, Shape};
use clap::Parser;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", json!({ "failed": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn measure(Arguments { common, shape }: &Arguments) -> Outcome<Value> {
    match shape {
        Shape::Flood { crowd, window } => flood::measure(common, *crowd, *window),
        Shape::Rate { crowd, per_second, stopped } => rate::measure(common, *crowd, *per_second, *stopped),
        Shape::Scale { connections, again, idle_seconds } => {
            scale::measure(common, connections, *again, *idle_seconds)
        }
    }
}
