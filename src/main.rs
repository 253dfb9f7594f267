//! wsrelayd, the program: arguments, exit codes, the first line and the last; the examination of a configuration.
//!
//! Promises: exit code 0 after a stop, 1 for a failure at run time, 2 for bad arguments or a bad configuration;
//! nothing here panics when standard output or standard error is closed, full or stuck.
#![forbid(unsafe_code)]

use std::{
    fmt,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use wsrelayd::{
    config::{Config, ConfigError, Examination, Lowered, Machine, RawConfig, parse_address},
    logging::{self, Outlet},
    server::{Server, StartError, descriptors},
};

/// How long the end waits for the last lines of the log.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A WebSocket broadcast relay: what a client sends on a path reaches every other client on that path.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Arguments {
    /// Read the configuration from FILE (TOML); without it the built-in defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Listen on IP:PORT instead of where the configuration says; may be given several times
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    listen: Vec<SocketAddr>,

    /// Examine everything as a start would, say how much memory it can take, and leave without listening
    #[arg(long, conflicts_with = "print_config")]
    check: bool,

    /// Print the configuration that holds, every key, as a file for --config, and leave
    #[arg(long)]
    print_config: bool,
}

const AFTER_HELP: &str = "\
Signals: SIGTERM and SIGINT close every peer with 1012 and stop; a second one stops at once. \
SIGUSR1 logs the counters.
Environment: RUST_LOG sets what is logged (off, error, warn, info, debug).
Exit codes: 0 stopped (or all is good), 1 failed at run time, 2 bad arguments or configuration.";

/// Why the program ends with a code other than 0.
#[derive(Debug)]
enum Failure {
    Config(ConfigError),
    Start(StartError),
    Run(io::Error),
    Output(io::Error),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return answer_and_leave(&answer),
    };
    // Without a thread for the log there is nobody to tell so.
    let Ok(outlet) = Outlet::start() else { return ExitCode::from(1) };
    let code = match obey(&arguments, &outlet) {
        Ok(()) => 0,
        Err(failure) => {
            outlet.say_at(log::Level::Error, &format!("wsrelayd: {failure}"));
            failure.exit_code()
        }
    };
    outlet.flush(LAST_LINES);
    ExitCode::from(code)
}

/// `--help`, `--version`, and what is wrong with the arguments.
fn answer_and_leave(answer: &clap::Error) -> ExitCode {
    let _ = answer.print();
    ExitCode::from(if answer.use_stderr() { 2 } else { 0 })
}

fn obey(arguments: &Arguments, outlet: &Outlet) -> Result<(), Failure> {
    let descriptors = descriptors::raise_limit();
    let (config, lowered) = configuration(arguments, descriptors).map_err(Failure::Config)?;
    if arguments.check {
        check(arguments, &Examination::new(&config, Machine::look(descriptors)), lowered, outlet)
    } else if arguments.print_config {
        warn(lowered, outlet);
        print(&config.to_toml())
    } else {
        serve(&config, lowered, outlet)
    }
}

fn serve(config: &Config, lowered: Option<Lowered>, outlet: &Outlet) -> Result<(), Failure> {
    logging::install(outlet, config.log, config.log_format);
    let mut server = Server::start(config).map_err(Failure::Start)?;
    outlet.say(&greeting(&server.addresses().map_err(Failure::Run)?));
    if let Some(lowered) = lowered {
        log::warn!("{lowered}");
    }
    server.run().map_err(Failure::Run)
}

/// Without a file the built-in defaults hold; without addresses those of the file.
fn configuration(
    arguments: &Arguments,
    descriptors: Option<u64>,
) -> Result<(Config, Option<Lowered>), ConfigError> {
    let raw = arguments.config.as_deref().map(RawConfig::read).unwrap_or_default();
    let listen = &arguments.listen;
    let raw = if listen.is_empty() { raw } else { raw.listening_on(listen.clone()) };
    raw.check(descriptors)
}

/// What came out goes to standard output, what to mind to standard error.
fn check(
    arguments: &Arguments,
    examination: &Examination,
    lowered: Option<Lowered>,
    outlet: &Outlet,
) -> Result<(), Failure> {
    let what =
        arguments.config.as_deref().map_or("the built-in defaults".into(), |file| file.to_string_lossy());
    warn(lowered, outlet);
    warn(examination.warnings(), outlet);
    print(&format!("wsrelayd: {what}: no mistakes\n{examination}\n"))
}

fn warn<T: fmt::Display>(warnings: impl IntoIterator<Item = T>, outlet: &Outlet) {
    for warning in warnings {
        outlet.say_at(log::Level::Warn, &format!("wsrelayd: warning: {warning}"));
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// The one line that says where it listens and how to try it.
fn greeting(addresses: &[SocketAddr]) -> String {
    let urls: Vec<_> = addresses.iter().map(|address| format!("ws://{address}")).collect();
    let version = env!("CARGO_PKG_VERSION");
    let hint = addresses.first().map(|&address| {
        let near = reachable(address);
        format!("; to try it, run `npx wscat -c ws://{near}/hello` in two terminals and type in one of them")
    });
    format!("wsrelayd {version} listens on {}{}", urls.join(", "), hint.unwrap_or_default())
}

/// The address under which this machine reaches itself where it listens on all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Start(_) | Self::Run(_) | Self::Output(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::Run(error) => write!(f, "stopped by the system: {error}"),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_greeting_is_one_line_with_addresses_one_can_reach() {
        let line = greeting(&["0.0.0.0:9310".parse().unwrap(), "[::1]:80".parse().unwrap()]);
        assert_eq!(line.lines().count(), 1);
        for words in ["ws://0.0.0.0:9310, ws://[::1]:80", "-c ws://127.0.0.1:9310/hello"] {
            assert!(line.contains(words), "{line}");
        }
    }

    #[test]
    fn arguments_win_over_the_configuration() {
        let effective = |list: &[&str]| configuration(&Arguments::try_parse_from(list).unwrap(), None);
        assert_eq!(effective(&["wsrelayd"]).unwrap(), (Config::default(), None));
        let (config, _) = effective(&["wsrelayd", "--listen", "[::1]:1", "--listen", "[::1]:2"]).unwrap();
        assert_eq!(config.listen, ["[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
        let twice = effective(&["wsrelayd", "--listen", "[::1]:1", "--listen", "[::1]:1"]).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "--listen: expected each address once, not \"[::1]:1\" again. Take the second one out"
        );
    }
}
