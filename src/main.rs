//! wsrelayd, the program: arguments, exit codes, the first line and the last; the examination of a configuration.
//!
//! Promises: exit code 0 after a stop, 1 for a failure at run time, 2 for bad arguments or a bad configuration;
//! nothing here panics when standard output or standard error is closed, full or stuck.
#![forbid(unsafe_code)]

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use wsrelayd::{
    admin::client,
    cli::{Arguments, CONFIG, Command, TokenCommand},
    config::{Config, ConfigError, ConfigSource, Examination, Machine, Place, Warning},
    doctor,
    logging::{self, Outlet},
    mint, nginx,
    rulebook::Rulebook,
    server::{self, Server, StartError, descriptors},
    systemd::{self, Handed},
};

/// How long the end waits for the last lines of the log.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Why the program ends with a code other than 0.
#[derive(Debug)]
enum Failure {
    Config(ConfigError),
    Examined(String),
    Start(StartError),
    Run(io::Error),
    Output(io::Error),
    Unanswered(client::Unanswered),
    Token(mint::Mistake),
    /// No channel has this path, and why.
    NoChannel(String),
    /// An examination has found something that does not work, and said so.
    Unwell,
    /// A token would be refused, and why was said.
    Refused,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return answer_and_leave(&answer),
    };
    // Before there is a thread: this changes the environment.
    let handed = systemd::take_sockets();
    // Without a thread for the log there is nobody to tell so.
    let Ok(outlet) = Outlet::start() else { return ExitCode::from(1) };
    let code = match obey(&arguments, handed, &outlet) {
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

fn obey(arguments: &Arguments, handed: Result<Vec<Handed>, String>, outlet: &Outlet) -> Result<(), Failure> {
    match &arguments.command {
        Some(Command::Status { json, config }) => ask(config.as_deref(), *json),
        Some(Command::Rules { path, config }) => tell_rules(path.as_deref(), config.as_deref()),
        Some(Command::Nginx { config }) => {
            let (config, _) = installed(config.as_deref()).read_without_keys().map_err(Failure::Config)?;
            print(&nginx::render(&doctor::facts(&config)))
        }
        Some(Command::Doctor { config, nginx }) => examine_machine(config.as_deref(), nginx.as_deref()),
        Some(Command::Token { command }) => token(command),
        None => run(arguments, handed, outlet),
    }
}

/// What a running relay says of itself.
fn ask(file: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let (config, _) = installed(file).read_without_keys().map_err(Failure::Config)?;
    print(&client::status(&config.admin, as_json).map_err(Failure::Unanswered)?)
}

fn token(command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Make { key, subscribe, publish, subject, audience, issuer, lasts, key_id } => {
            let order = mint::Order {
                subscribe: subscribe.clone(),
                publish: publish.clone(),
                subject: subject.clone(),
                audience: audience.clone(),
                issuer: issuer.clone(),
                lasts: *lasts,
                key_id: key_id.clone(),
            };
            print_line(mint::make(key, &order, server::unix()))
        }
        TokenCommand::Inspect { token, config, path } => {
            inspect(token.as_deref(), config.as_deref(), path.as_deref())
        }
        TokenCommand::Secret => print_line(mint::secret()),
    }
}

fn print_line(made: Result<String, mint::Mistake>) -> Result<(), Failure> {
    print(&(made.map_err(Failure::Token)? + "\n"))
}

/// What a token is and may do, by the configuration as it is now.
fn inspect(token: Option<&str>, file: Option<&Path>, path: Option<&str>) -> Result<(), Failure> {
    let (config, _) = installed(file).read().map_err(Failure::Config)?;
    let token = mint::token(token).map_err(Failure::Token)?;
    let found = mint::inspect(&token, &config.gate, &config.limits, path, server::unix());
    print(&found.text)?;
    if found.is_good { Ok(()) } else { Err(Failure::Refused) }
}

/// What holds on a path; without one: all rules.
fn tell_rules(path: Option<&str>, file: Option<&Path>) -> Result<(), Failure> {
    let source = installed(file);
    let (config, _) = source.read_without_keys().map_err(Failure::Config)?;
    let lines = source.lines_of_rules();
    let book = Rulebook { config: &config, file: source.file.as_deref(), lines: &lines };
    match path {
        Some(path) => print(&book.tell(path).map_err(Failure::NoChannel)?),
        None => print(&book.list()),
    }
}

/// What a subcommand reads: the file that was named, or the one that is installed, if it is.
fn installed(file: Option<&Path>) -> ConfigSource {
    let usual = || Some(Path::new(CONFIG)).filter(|usual| usual.exists());
    let file = file.or_else(usual).map(Path::to_owned);
    ConfigSource { file, listen: Vec::new(), admin: Vec::new(), descriptors: None }
}

fn run(arguments: &Arguments, handed: Result<Vec<Handed>, String>, outlet: &Outlet) -> Result<(), Failure> {
    let source = source(arguments, descriptors::raise_limit());
    let (config, warnings) = source.read().map_err(Failure::Config)?;
    if arguments.check {
        check(arguments, &Examination::new(&config, Machine::look(source.descriptors)), warnings, outlet)
    } else if arguments.print_config {
        warn(warnings, outlet);
        print(&config.to_toml())
    } else {
        let handed = handed.map_err(StartError::Activation).map_err(Failure::Start)?;
        serve(&config, source, handed, warnings, outlet)
    }
}

fn serve(
    config: &Config,
    source: ConfigSource,
    handed: Vec<Handed>,
    warnings: Vec<Warning>,
    outlet: &Outlet,
) -> Result<(), Failure> {
    logging::install(outlet, config.log, config.log_format);
    let mut server = Server::start(config, source, handed).map_err(Failure::Start)?;
    server.watch_log(outlet.clone());
    let (peers, operators) = server.places().map_err(Failure::Run)?;
    outlet.say(&greeting(&peers, &operators, &server.plain_places().map_err(Failure::Run)?));
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    server.run().map_err(Failure::Run)
}

/// What is asked of the configuration is asked without the limits of this process: the service has its own.
fn examine_machine(file: Option<&Path>, nginx: Option<&Path>) -> Result<(), Failure> {
    let (config, _) = installed(file).read().map_err(Failure::Config)?;
    let report = doctor::visit(&config, Machine::look(descriptors::raise_limit()), nginx);
    print(&report.to_string())?;
    if report.has_errors() { Err(Failure::Unwell) } else { Ok(()) }
}

/// Without a file the built-in defaults hold; without addresses those of the file.
fn source(arguments: &Arguments, descriptors: Option<u64>) -> ConfigSource {
    let Arguments { config: file, listen, admin, .. } = arguments;
    ConfigSource { file: file.clone(), listen: listen.clone(), admin: admin.clone(), descriptors }
}

/// What came out goes to standard output, what to mind to standard error.
fn check(
    arguments: &Arguments,
    examination: &Examination,
    warnings: Vec<Warning>,
    outlet: &Outlet,
) -> Result<(), Failure> {
    let what =
        arguments.config.as_deref().map_or("the built-in defaults".into(), |file| file.to_string_lossy());
    if !arguments.quiet {
        warn(warnings, outlet);
        warn(examination.warnings(), outlet);
    }
    let refusal = examination.refusal();
    let verdict = if refusal.is_some() { "a mistake" } else { "no mistakes" };
    if !arguments.quiet {
        print(&format!("wsrelayd: {what}: {verdict}\n{examination}\n"))?;
    }
    refusal.map_or(Ok(()), |refusal| Err(Failure::Examined(refusal)))
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

/// The one line that says where it listens and how to try it: with a browser where there is a page for it, else at one of the
/// `plain` places, where no PROXY line is demanded.
fn greeting(peers: &[Place], operators: &[Place], plain: &[Place]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut line = format!("wsrelayd {version} listens on {}", urls(peers, "ws://"));
    if !operators.is_empty() {
        let _ = write!(line, ", for operators on {}", urls(operators, "http://"));
    }
    if let Some(console) = operators.iter().find_map(near).filter(|_| !plain.is_empty()) {
        let _ = write!(line, "; to try it, open http://{console}/ in two tabs of a browser");
    } else if let Some(relay) = plain.iter().find_map(near) {
        let _ = write!(
            line,
            "; to try it, run `npx wscat -c ws://{relay}/hello` in two terminals and type in one of them"
        );
    }
    line
}

/// Where this machine reaches a place over the network.
fn near(place: &Place) -> Option<SocketAddr> {
    match place {
        Place::Tcp(address) => Some(reachable(*address)),
        _ => None,
    }
}

fn urls(places: &[Place], scheme: &str) -> String {
    let url = |place: &Place| match place {
        Place::Tcp(address) => format!("{scheme}{address}"),
        other => other.to_string(),
    };
    places.iter().map(url).collect::<Vec<_>>().join(", ")
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
            Self::Config(error) if error.may_pass() => 1,
            Self::Config(_) | Self::Examined(_) => 2,
            Self::Token(error) if error.is_of_arguments() => 2,
            Self::Start(error) if error.is_of_configuration() => 2,
            Self::Start(_)
            | Self::Run(_)
            | Self::Output(_)
            | Self::Unanswered(_)
            | Self::NoChannel(_)
            | Self::Token(_)
            | Self::Refused
            | Self::Unwell => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Examined(why) | Self::NoChannel(why) => f.write_str(why),
            Self::Start(error) => error.fmt(f),
            Self::Run(error) => write!(f, "stopped by the system: {error}"),
            Self::Unanswered(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Refused => f.write_str("the token would be refused"),
            Self::Unwell => f.write_str("something does not work; see the lines that begin with error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsrelayd::config::parse_listen;

    #[test]
    fn the_greeting_is_one_line_with_addresses_one_can_reach() {
        let places: Vec<Place> =
            ["unix:/run/a", "0.0.0.0:9310", "[::1]:80"].map(|text| text.parse().unwrap()).into();
        let [unix, anywhere, six] = [0, 1, 2].map(|at| &places[at..=at]);
        let table = [
            (
                greeting(unix, six, unix),
                " listens on unix:/run/a, for operators on http://[::1]:80; to try it, open http://[::1]:80/ in two tabs of a browser",
            ),
            (
                greeting(&places, &[], anywhere),
                " listens on unix:/run/a, ws://0.0.0.0:9310, ws://[::1]:80; to try it, run `npx wscat -c ws://127.0.0.1:9310/hello` in two terminals and type in one of them",
            ),
            (
                greeting(anywhere, unix, anywhere),
                "ws://0.0.0.0:9310, for operators on unix:/run/a; to try it, run `npx wscat -c ws://127.0.0.1:9310/hello` in two terminals and type in one of them",
            ),
            (greeting(anywhere, six, &[]), " listens on ws://0.0.0.0:9310, for operators on http://[::1]:80"),
            (greeting(unix, &[], unix), " listens on unix:/run/a"),
        ];
        assert!(!table.is_empty());
        for (line, end) in table {
            assert!(line.ends_with(end) && line.lines().count() == 1, "{line}");
        }
    }

    #[test]
    fn arguments_win_over_the_configuration() {
        let effective = |list: &[&str]| source(&Arguments::try_parse_from(list).unwrap(), None).read();
        assert_eq!(effective(&["wsrelayd"]).unwrap(), (Config::default(), vec![]));
        let (config, _) = effective(&["wsrelayd", "--listen", "[::1]:1", "--listen", "[::1]:2"]).unwrap();
        let [one, two] = ["[::1]:1", "[::1]:2"].map(|text| parse_listen(text).unwrap());
        assert_eq!((config.listen, config.admin), (vec![one.clone(), two.clone()], vec![]));
        let (config, _) = effective(&["wsrelayd", "--listen", "[::1]:1", "--admin", "[::1]:2"]).unwrap();
        assert_eq!((config.listen, config.admin), (vec![one], vec![two]));
        let twice = effective(&["wsrelayd", "--listen", "[::1]:1", "--listen", "[::1]:1"]).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "--listen: expected each address once, not \"[::1]:1\" again. Take the second one out"
        );
    }
}
