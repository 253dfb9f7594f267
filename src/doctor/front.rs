//! nginx as a whole: who of it leads to the relay, and whether it can carry as many as the relay takes.
//!
//! Pure: from the text of `nginx -T` and the relay's facts to findings.

use super::{
    finding::Finding,
    passage::{Passage, Version},
};
use crate::nginx::{self, Directive, Door, Facts, Route, Target, Tree};

/// What nginx takes where nothing is said.
const DEFAULT_WORKER_CONNECTIONS: u64 = 512;

/// The soft limit that a service has where nothing is said.
const USUAL_DESCRIPTORS: u64 = 1024;

/// About as many ports the kernel gives to connections from one address to one other.
const USUAL_PORTS: usize = 28_000;

/// What is known of nginx besides its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around {
    /// None where it was not asked.
    pub version: Option<Version>,
    /// Processors, which are the workers of `worker_processes auto`.
    pub processors: Option<u64>,
    /// Whether nginx itself has read the configuration and found no mistake in it.
    pub is_accepted: bool,
}

/// Examines a configuration of nginx: the output of `nginx -T`, or a file called `name`.
pub fn examine(text: &str, name: &str, facts: &Facts, around: Around) -> Vec<Finding> {
    match nginx::read(text, name) {
        Ok(tree) => examine_tree(&tree, facts, around),
        // Somebody's module may have a language of its own, of which nginx knows and this reader does not.
        Err(unreadable) if around.is_accepted || says_accepted(text) => {
            let what =
                format!("nginx: takes its configuration, but it was not understood here: {unreadable}");
            vec![Finding::note(what).remedy("give --nginx the file of the relay's site alone")]
        }
        Err(unreadable) => {
            vec![Finding::error(format!("nginx: {unreadable}")).remedy("nginx -t says more")]
        }
    }
}

/// In a dump that has what nginx told beside it, too (`2>&1`).
fn says_accepted(text: &str) -> bool {
    let told =
        |line: &str| line.starts_with("nginx: configuration file ") && line.ends_with(" test is successful");
    text.lines().any(told)
}

fn examine_tree(tree: &Tree, facts: &Facts, around: Around) -> Vec<Finding> {
    let routes = nginx::routes(&tree.top);
    let passages: Vec<_> = routes.iter().filter_map(|route| passage(tree, route, facts, around)).collect();
    if passages.is_empty() {
        return vec![nobody(tree, &routes, facts)];
    }
    let mut found: Vec<_> = passages.iter().flat_map(Passage::findings).collect();
    found.extend(capacity(&tree.top, facts, around));
    found.extend(ports(&passages, facts));
    found
}

fn passage<'t>(
    tree: &'t Tree,
    route: &'t Route<'t>,
    facts: &'t Facts,
    around: Around,
) -> Option<Passage<'t>> {
    let door = |target: &'t Target| Some((facts.doors.iter().find(|door| leads(target, door))?, target));
    let (door, target) = route.targets.iter().find_map(door)?;
    Some(Passage { route, top: &tree.top, door, target, facts, version: around.version })
}

/// Whether that is a way to the relay.
pub(super) fn leads(target: &Target, door: &Door) -> bool {
    match target {
        Target::Tcp(ip, port) => door.address.takes(*ip, *port),
        Target::Unix(path) => door.address.is_socket(path),
        Target::Named(_) => false,
    }
}

/// Not an error: nginx may stand on another machine.
fn nobody(tree: &Tree, routes: &[Route<'_>], facts: &Facts) -> Finding {
    let doors: Vec<_> = facts.doors.iter().map(|door| door.address.to_string()).collect();
    let what = format!("nginx: no location passes requests on to the relay ({})", doors.join(", "));
    let named = routes.iter().find(|route| matches!(route.targets[0], Target::Named(_)));
    if let Some(route) = named {
        let what = format!("{what}; what this one does is not known before a request comes");
        return Finding::note(what).at(route.pass);
    }
    if let Some(missing) = tree.missing.first() {
        return Finding::note(format!("{what}; but {missing} was not looked at"))
            .remedy("give it the output of nginx -T");
    }
    Finding::note(what).remedy("wsrelayd nginx > /etc/nginx/conf.d/wsrelayd.conf, and edit its server_name")
}

/// What of the main file says how much nginx can carry.
struct Workers<'t> {
    events: &'t Directive,
    connections: Option<&'t Directive>,
    descriptors: Option<&'t Directive>,
    count: u64,
    /// Connections of each.
    each: u64,
    /// Connections that each has to carry when the relay is full: a client takes two, one to each side.
    share: u64,
}

/// A site's file alone says nothing about that.
fn capacity(top: &[Directive], facts: &Facts, around: Around) -> Vec<Finding> {
    let named = |block: &[Directive], name: &str| block.iter().position(|one| one.name == name);
    let of = |name: &str| named(top, name).map(|at| &top[at]);
    let Some(events) = of("events") else { return Vec::new() };
    let inside = events.block.as_deref().unwrap_or_default();
    let connections = named(inside, "worker_connections").map(|at| &inside[at]);
    let count = of("worker_processes").map_or(Some(1), number).or(around.processors).unwrap_or(1).max(1);
    let workers = Workers {
        events,
        connections,
        descriptors: of("worker_rlimit_nofile"),
        count,
        each: connections.and_then(number).unwrap_or(DEFAULT_WORKER_CONNECTIONS),
        share: (2 * facts.max_connections as u64).div_ceil(count),
    };
    workers.connections(facts).into_iter().chain(workers.descriptors()).collect()
}

impl Workers<'_> {
    fn connections(&self, facts: &Facts) -> Option<Finding> {
        let Self { count, each, share, .. } = *self;
        if each >= share {
            return None;
        }
        let what = format!(
            "nginx: {count} worker{} with {each} connections carry {} clients at most, and max_connections is {}",
            if count == 1 { "" } else { "s" },
            each.saturating_mul(count) / 2,
            facts.max_connections
        );
        let line = format!("worker_connections {};", share + 240);
        Some(Finding::warning(what).at(self.connections.unwrap_or(self.events)).remedy(line))
    }

    /// For as many connections as a worker will have, not for as many as it may.
    fn descriptors(&self) -> Option<Finding> {
        let used = self.each.min(self.share);
        let granted = self.descriptors.and_then(number).unwrap_or(USUAL_DESCRIPTORS);
        if granted >= used {
            return None;
        }
        let what = match self.descriptors {
            Some(_) => {
                format!("nginx: a worker may open {granted} descriptors and has up to {used} connections")
            }
            None => format!(
                "nginx: a worker has up to {used} connections, and worker_rlimit_nofile is not set: the service's \
                 limit is {USUAL_DESCRIPTORS} on most machines"
            ),
        };
        let at = self.descriptors.or(self.connections).unwrap_or(self.events);
        let line = format!("worker_rlimit_nofile {};", self.each.max(self.share) + 480);
        Some(Finding::warning(what).at(at).remedy(line))
    }
}

fn number(directive: &Directive) -> Option<u64> {
    directive.value().parse().ok()
}

/// Over TCP each client takes one of the ports between nginx and the relay.
fn ports(passages: &[Passage<'_>], facts: &Facts) -> Option<Finding> {
    let over_tcp = passages.iter().find(|passage| matches!(passage.target, Target::Tcp(..)))?;
    (facts.max_connections > USUAL_PORTS).then(|| {
        let what = format!(
            "nginx: between two addresses there are ports for about {USUAL_PORTS} clients \
             (net.ipv4.ip_local_port_range), and max_connections is {}",
            facts.max_connections
        );
        Finding::warning(what).at(over_tcp.route.pass).remedy("server unix:/run/wsrelayd/relay.sock;")
    })
}
