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
}

/// Examines a configuration of nginx: the output of `nginx -T`, or a file called `name`.
pub fn examine(text: &str, name: &str, facts: &Facts, around: Around) -> Vec<Finding> {
    match nginx::read(text, name) {
        Ok(tree) => examine_tree(&tree, facts, around),
        Err(unreadable) => {
            vec![Finding::error(format!("nginx: {unreadable}")).remedy("nginx -t says more")]
        }
    }
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

fn leads(target: &Target, door: &Door) -> bool {
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

/// Each client takes two connections, one to each side. A site's file alone says nothing about that.
fn capacity(top: &[Directive], facts: &Facts, around: Around) -> Vec<Finding> {
    let Some(events) = top.iter().find(|one| one.name == "events") else { return Vec::new() };
    let named = |block: &'_ [Directive], name: &str| block.iter().find(|one| one.name == name).cloned();
    let inside = events.block.as_deref().unwrap_or_default();
    let written = named(inside, "worker_connections");
    let each = written.as_ref().and_then(number).unwrap_or(DEFAULT_WORKER_CONNECTIONS);
    let workers =
        named(top, "worker_processes").as_ref().map_or(Some(1), number).or(around.processors).unwrap_or(1);
    let needed = 2 * facts.max_connections as u64;
    let mut found = Vec::new();
    if each * workers < needed {
        let what = format!(
            "nginx: {workers} worker{} with {each} connections carry {} clients at most, and max_connections is {}",
            if workers == 1 { "" } else { "s" },
            each * workers / 2,
            facts.max_connections
        );
        let line = format!("worker_connections {};", needed.div_ceil(workers.max(1)) + 240);
        found.push(Finding::warning(what).at(written.as_ref().unwrap_or(events)).remedy(line));
    }
    let limit = named(top, "worker_rlimit_nofile");
    let descriptors = limit.as_ref().and_then(number).unwrap_or(USUAL_DESCRIPTORS);
    // A worker needs descriptors for as many connections as it will have, not for as many as it may.
    let used = each.min(needed.div_ceil(workers.max(1)));
    if descriptors < used {
        let what = match limit {
            Some(_) => {
                format!("nginx: a worker may open {descriptors} descriptors and has up to {used} connections")
            }
            None => format!(
                "nginx: a worker has up to {used} connections, and worker_rlimit_nofile is not set: the service's \
                 limit is {USUAL_DESCRIPTORS} on most machines"
            ),
        };
        let at = limit.as_ref().or(written.as_ref()).unwrap_or(events);
        found.push(
            Finding::warning(what).at(at).remedy(format!("worker_rlimit_nofile {};", 2 * used.max(each))),
        );
    }
    found
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
