//! `wsrelayd doctor`: an examination of the machine on which the relay is, or is to be.
//!
//! Owns the order of the examination and what is asked of the machine; each part makes findings of what it is given
//! (`passage`, `claims`, `front`: nginx; `unit`: the service manager), or looks itself (`probe`: the listeners). Promises: nothing
//! is changed, and every wait is bounded. Leaves to others: printing, the exit code.

mod claims;
mod finding;
mod front;
mod passage;
mod probe;
mod unit;

use std::{
    fs,
    io::{ErrorKind, Read},
    net::SocketAddr,
    path::Path,
    thread,
    time::Duration,
};

use crate::{
    ask::{Answer, ask},
    config::{Config, Examination, Machine, Place},
    nginx::{self, Facts, MAX_TEXT_BYTES},
};

pub use finding::{Finding, Report, Severity};
pub use front::{Around, examine};
pub use passage::Version;

/// `nginx -T` looks names up before it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// There exactly when systemd is what runs the machine.
const SYSTEMD: &str = "/run/systemd/system";

/// What `nginx` needs of the relay, sockets of the service manager included.
pub fn facts(config: &Config) -> Facts {
    facts_with(config, &sockets())
}

fn facts_with(config: &Config, sockets: &str) -> Facts {
    Facts::of(config, |name| unit::sockets(sockets, name))
}

/// Examines everything. `nginx` is the file to read instead of asking the machine's nginx.
pub fn visit(config: &Config, machine: Machine, nginx: Option<&Path>) -> Report {
    let sockets = sockets();
    let facts = facts_with(config, &sockets);
    let examination = Examination::new(config, machine);
    let mut found = limits(&examination);
    found.extend(own_descriptors(machine, examination.descriptors()));
    found.extend(service(config, &sockets, examination.descriptors()));
    found.extend(listeners(config, &sockets, &facts));
    found.extend(match nginx {
        Some(file) => front_of_file(file, &facts),
        None => front_of_machine(&facts),
    });
    Report(found)
}

/// Whether the machine has what the configuration wants.
fn limits(examination: &Examination) -> Vec<Finding> {
    let refusal = examination.refusal().map(|why| Finding::error(format!("configuration: {why}")));
    let warnings = examination.warnings().into_iter().map(Finding::warning);
    let found: Vec<_> = refusal.into_iter().chain(warnings).collect();
    if found.is_empty() {
        return vec![Finding::good(
            "configuration: no mistakes, and the machine has the memory for its limits",
        )];
    }
    found
}

/// Of this process, which stands for a relay that is started by hand.
fn own_descriptors(machine: Machine, needed: u64) -> Option<Finding> {
    let granted = machine.descriptors.filter(|&granted| granted < needed)?;
    let what = format!("descriptors: a relay started from here may have {granted}, and {needed} are needed");
    Some(Finding::note(what).remedy("ulimit -Hn; a service has its own, LimitNOFILE="))
}

fn has_systemd() -> bool {
    Path::new(SYSTEMD).is_dir()
}

/// What the service manager says of all its sockets; nothing where there is none.
fn sockets() -> String {
    let arguments = ["show", "*.socket", "--property", unit::SOCKET_PROPERTIES];
    match has_systemd().then(|| ask("systemctl", &arguments, PATIENCE)) {
        Some(Ok(Answer { good: true, said, .. })) => said,
        _ => String::new(),
    }
}

fn service(config: &Config, sockets: &str, descriptors: u64) -> Vec<Finding> {
    if !has_systemd() {
        return vec![Finding::note("unit: systemd does not run this machine: its units were not looked at")];
    }
    let arguments = ["show", "wsrelayd.service", "--property", unit::PROPERTIES];
    match ask("systemctl", &arguments, PATIENCE) {
        Ok(Answer { good: true, said, .. }) => {
            unit::examine(&said, sockets, &tcp_addresses(config), descriptors)
        }
        Ok(answer) => vec![silent("unit: systemctl", answer.complained.trim())],
        Err(error) => vec![silent("unit: systemctl", &error.to_string())],
    }
}

/// Of the entries that name one: the service opens it, unless the unit of a socket does.
fn tcp_addresses(config: &Config) -> Vec<SocketAddr> {
    let all = config.listen.iter().chain(&config.admin);
    let tcp = all.filter_map(|listen| match listen.place {
        Place::Tcp(address) => Some(address),
        _ => None,
    });
    tcp.collect()
}

fn silent(who: &str, why: &str) -> Finding {
    Finding::note(format!("{who} does not say: {why}"))
}

fn listeners(config: &Config, sockets: &str, facts: &Facts) -> Vec<Finding> {
    let inherited = |name: &str| unit::sockets(sockets, name);
    let knock = probe::Knock::of(&config.limits);
    let mut found: Vec<_> = facts.doors.iter().map(|door| probe::relay(door, &knock)).collect();
    let admin = config.admin.iter().flat_map(|listen| nginx::addresses(&listen.place, inherited));
    found.extend(admin.map(|address| probe::admin(&address)));
    let handed = config.listen.iter().chain(&config.admin).filter_map(|listen| match &listen.place {
        Place::Inherited(name) => Some(name),
        _ => None,
    });
    found.extend(handed.flat_map(|name| handed_over(sockets, name)));
    found
}

/// What the socket units of a name are, or that there are none.
fn handed_over(sockets: &str, name: &str) -> Vec<Finding> {
    if !unit::sockets(sockets, name).is_empty() {
        return unit::examine_sockets(sockets, name);
    }
    let what = format!("systemd:{name}: where it is only the service manager knows, and it names none such");
    vec![
        Finding::note(what)
            .remedy(format!("FileDescriptorName={name} in a socket unit, and systemctl start of it")),
    ]
}

fn front_of_file(file: &Path, facts: &Facts) -> Vec<Finding> {
    let mut bytes = Vec::new();
    let most = MAX_TEXT_BYTES as u64 + 1;
    if let Err(error) = fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes)) {
        return vec![Finding::error(format!("nginx: {} cannot be read: {error}", file.display()))];
    }
    front::examine(&String::from_utf8_lossy(&bytes), &file.to_string_lossy(), facts, around(None))
}

fn around(version: Option<Version>) -> Around {
    let processors = thread::available_parallelism().ok().map(|count| count.get() as u64);
    Around { version, processors, is_accepted: false }
}

fn front_of_machine(facts: &Facts) -> Vec<Finding> {
    // Often not in the path of somebody who is not root.
    let program =
        ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].into_iter().find(|path| Path::new(path).exists());
    let program = program.unwrap_or("nginx");
    match ask(program, &["-T"], PATIENCE) {
        Ok(Answer { good: true, said, .. }) => {
            let around = Around { is_accepted: true, ..around(version(program)) };
            front::examine(&said, "nginx.conf", facts, around)
        }
        Ok(answer) => vec![refused(&answer.complained)],
        Err(error) if error.kind() == ErrorKind::NotFound => {
            vec![Finding::note("nginx: there is none on this machine")]
        }
        Err(error) => vec![silent("nginx: -T", &error.to_string())],
    }
}

fn version(program: &str) -> Option<Version> {
    let answer = ask(program, &["-v"], PATIENCE);
    answer.ok().and_then(|answer| Version::parse(&(answer.said + &answer.complained)))
}

/// Without root, nginx can read neither keys nor its own log.
fn refused(error: &str) -> Finding {
    let reason =
        error.lines().find(|line| line.contains("[emerg]")).or(error.lines().last()).unwrap_or_default();
    if error.contains("Permission denied") || error.contains("(13:") {
        return Finding::note(format!("nginx: -T is not allowed for this user: {reason}"))
            .remedy("run this as root, or `nginx -T > FILE` and --nginx FILE");
    }
    Finding::error(format!("nginx: its configuration has a mistake: {reason}")).remedy("nginx -t says more")
}

#[cfg(test)]
mod tests;
