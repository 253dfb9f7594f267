//! The arguments of the program.
//!
//! Owns what may be written on the command line; `--help`, the manual page and the shell completion are made from it.
//! What the arguments do is left to `main.rs`.

use std::{path::PathBuf, time::Duration};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    config::{Listen, parse_listen},
    mint,
    rules::Pattern,
};

/// Where the configuration is installed. Subcommands read it unless told otherwise.
pub const CONFIG: &str = "/etc/wsrelayd.toml";

/// A WebSocket broadcast relay: what a client sends on a path reaches every other client on that path.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// Read the configuration from FILE (TOML); without it the built-in defaults hold
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Listen on ADDR instead of where the configuration says: IP:PORT, unix:PATH or systemd:NAME; may be given
    /// several times
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub listen: Vec<Listen>,

    /// Answer operators on ADDR instead of where the configuration says; with --listen and without this only where the
    /// file says so
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub admin: Vec<Listen>,

    /// Examine the configuration and the limits of the machine as a start would, say how much memory it can take, and
    /// leave without touching a socket
    #[arg(long, conflicts_with = "print_config")]
    pub check: bool,

    /// With --check: say nothing but what is wrong
    #[arg(long, requires = "check")]
    pub quiet: bool,

    /// Print the configuration that holds, every key, as a file for --config, and leave
    #[arg(long)]
    pub print_config: bool,

    /// Something else than to run the relay
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else the program does. Reads `/etc/wsrelayd.toml`, if it is there, unless told otherwise.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask the running relay how it is
    Status {
        /// Print what it says as it is, in JSON
        #[arg(long)]
        json: bool,
        /// Read the configuration from FILE
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say which rule a path comes under, and what follows; without a path: the rules in the order in which they are tried
    Rules {
        /// The path of a channel, such as /feed/news
        path: Option<String>,
        /// Read the configuration from FILE
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the configuration of an nginx in front of the relay
    Nginx {
        /// Read the configuration from FILE
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Examine the machine: configuration, limits, listeners, nginx
    Doctor {
        /// Read the configuration from FILE
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Read FILE, what `nginx -T` has printed, instead of asking the nginx of this machine
        #[arg(long, value_name = "FILE")]
        nginx: Option<PathBuf>,
    },
    /// Make tokens and look at them, for trying out
    Token {
        /// What to do
        #[command(subcommand)]
        command: TokenCommand,
    },
}

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a new token
    #[command(group = clap::ArgGroup::new("rights").args(["subscribe", "publish"]).required(true).multiple(true))]
    Make {
        /// Sign with the key in FILE: a secret, or a private key in PEM (RSA, P-256, Ed25519); it decides the algorithm
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Let it listen on paths like PATTERN; may be given several times
        #[arg(long, value_name = "PATTERN", value_parser = parse_pattern)]
        subscribe: Vec<Pattern>,
        /// Let it publish on paths like PATTERN; may be given several times
        #[arg(long, value_name = "PATTERN", value_parser = parse_pattern)]
        publish: Vec<Pattern>,
        /// Name its bearer (sub)
        #[arg(long, value_name = "NAME", value_parser = mint::subject)]
        subject: Option<String>,
        /// Say for whom it is (aud); may be given several times
        #[arg(long, value_name = "AUDIENCE")]
        audience: Vec<String>,
        /// Say from whom it is (iss)
        #[arg(long, value_name = "ISSUER")]
        issuer: Option<String>,
        /// Let it run out after TIME (exp)
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
        lasts: Duration,
        /// Have it held against the key of this name alone (kid)
        #[arg(long, value_name = "NAME")]
        key_id: Option<String>,
    },
    /// Show what a token says, and whether it is good now
    Inspect {
        /// The token; without it, or for -, it is read from standard input
        token: Option<String>,
        /// Read the configuration from FILE
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Say what it may do on PATH
        #[arg(long, value_name = "PATH")]
        path: Option<String>,
    },
    /// Print a new secret to sign and check tokens with (HS256)
    Secret,
}

fn parse_pattern(text: &str) -> Result<Pattern, String> {
    text.parse().map_err(|fault: crate::rules::BadPattern| fault.to_string())
}

const AFTER_HELP: &str = "\
Signals: SIGTERM and SIGINT close every peer with 1012 and stop; a second one stops at once. \
SIGHUP reads the configuration again. SIGUSR1 logs the counters.
Environment: RUST_LOG sets what is logged (off, error, warn, info, debug).
Exit codes: 0 stopped (or all is good), 1 failed at run time (status: nobody answers; doctor: something does not work; \
rules: there is no such channel; token inspect: it would be refused), \
2 bad arguments or configuration.";

/// All of it, for what is made from it.
pub fn command() -> clap::Command {
    Arguments::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_sound() {
        super::command().debug_assert();
    }
}
