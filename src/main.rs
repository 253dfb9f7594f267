//! wsrelayd, the program: arguments, exit codes, the first line and the last.
//!
//! Promises: exit code 0 after a stop, 1 for a failure at run time, 2 for bad arguments or a bad configuration;
//! nothing here panics when standard output or standard error is closed, full or stuck.
#![forbid(unsafe_code)]

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use wsrelayd::{
    config::{Config, ConfigError, parse_address},
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
}

const AFTER_HELP: &str = "\
Signals: SIGTERM and SIGINT close every peer with 1012 and stop; a second one stops at once. \
SIGUSR1 logs the counters.
Environment: RUST_LOG sets what is logged (off, error, warn, info, debug).
Exit codes: 0 stopped, 1 failed at run time, 2 bad arguments or configuration.";

/// Why the program ends with a code other than 0.
#[derive(Debug)]
enum Failure {
    Config(ConfigError),
    Start(StartError),
    Run(io::Error),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return answer_and_leave(&answer),
    };
    // Without a thread for the log there is nobody to tell so.
    let Ok(outlet) = Outlet::start() else { return ExitCode::from(1) };
    let code = match serve(arguments, &outlet) {
        Ok(()) => 0,
        Err(failure) => {
            outlet.say(&format!("wsrelayd: {failure}"));
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

fn serve(arguments: Arguments, outlet: &Outlet) -> Result<(), Failure> {
    let config = configuration(arguments).map_err(Failure::Config)?;
    logging::install(outlet, config.log, config.log_format);
    let descriptors = descriptors::raise_limit();
    let mut server = Server::start(&config).map_err(Failure::Start)?;
    outlet.say(&greeting(&server.addresses().map_err(Failure::Run)?));
    warn_of_few_descriptors(descriptors, config.limits.max_connections);
    server.run().map_err(Failure::Run)
}

fn configuration(arguments: Arguments) -> Result<Config, ConfigError> {
    let config = arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    if arguments.listen.is_empty() { Ok(config) } else { config.listening_on(arguments.listen) }
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

fn warn_of_few_descriptors(limit: Option<u64>, max_connections: usize) {
    if let Some(limit) = limit.filter(|_| !descriptors::suffices(limit, max_connections)) {
        log::warn!(
            "max_connections is {max_connections}, but this process may have only {limit} descriptors: connections \
             beyond that will wait unaccepted. Raise the limit (LimitNOFILE, ulimit -n) or lower max_connections"
        );
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Start(_) | Self::Run(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::Run(error) => write!(f, "stopped by the system: {error}"),
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
        let arguments = |list: &[&str]| Arguments::try_parse_from(list).unwrap();
        let config = configuration(arguments(&["wsrelayd"])).unwrap();
        assert_eq!(config, Config::default());
        let config =
            configuration(arguments(&["wsrelayd", "--listen", "[::1]:1", "--listen", "[::1]:2"])).unwrap();
        assert_eq!(config.listen, ["[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
        let twice = arguments(&["wsrelayd", "--listen", "[::1]:1", "--listen", "[::1]:1"]);
        assert!(configuration(twice).unwrap_err().to_string().contains("each address once"));
    }
}
