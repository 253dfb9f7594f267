//! Where nginx passes requests on, and which directives hold there.
//!
//! Owns nginx's rules of inheritance: the innermost block that has a directive decides, and a list such as
//! `proxy_set_header` is inherited only where a block has none of its own. Leaves to others: whether that is well.

use std::{net::IpAddr, path::PathBuf, ptr};

use super::tree::Directive;

/// Blocks that inherit from what is around them.
const LEVELS: &[&str] = &["http", "stream", "server", "location", "if", "limit_except"];

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An IP address and a port.
    Tcp(IpAddr, u16),
    /// A socket in the file system.
    Unix(PathBuf),
    /// A name that only nginx resolves, or a variable.
    Named(String),
}

/// One `proxy_pass`, and what holds there.
#[derive(Clone, Debug)]
pub struct Route<'t> {
    /// The directive itself.
    pub pass: &'t Directive,
    /// Whether raw bytes are passed on (`stream`), and not requests (`http`).
    pub is_stream: bool,
    /// Whether the target is spoken to over TLS.
    pub is_encrypted: bool,
    /// Whether the path is changed on the way: what the location matched is replaced.
    pub replaces_path: bool,
    /// Where it may go. Never empty.
    pub targets: Vec<Target>,
    /// The same, for each `server` of its upstream; empty where the target is no upstream.
    pub members: Vec<(&'t Directive, Vec<Target>)>,
    /// Blocks around it, the innermost last.
    levels: Vec<Level<'t>>,
}

#[derive(Clone, Copy, Debug)]
struct Level<'t> {
    /// None for what stands outside of all blocks.
    head: Option<&'t Directive>,
    block: &'t [Directive],
}

impl<'t> Route<'t> {
    /// The directive of that name that holds here.
    pub fn one(&self, name: &str) -> Option<&'t Directive> {
        self.all(name).last().copied()
    }

    /// The directives of that name that hold here, all of one block.
    pub fn all(&self, name: &str) -> Vec<&'t Directive> {
        held(&self.levels, name)
    }

    /// The locations of the same server that answer in the target's stead: an `error_page` that holds here leads there,
    /// or one of them rewrites to it. Each with the directives of that name that hold in it.
    pub fn stand_ins(&self, name: &str) -> Vec<(&'t Directive, Vec<&'t Directive>)> {
        let at = self.levels.iter().rposition(|level| level.name() == "server");
        let Some(around) = at.map(|at| &self.levels[..=at]) else { return Vec::new() };
        let Some(server) = around.last() else { return Vec::new() };
        let pages = self.all("error_page");
        let mut sought: Vec<&str> =
            pages.iter().filter_map(|page| page.words.last()).map(String::as_str).collect();
        let mut found: Vec<(&Directive, _)> = Vec::new();
        while let Some(path) = sought.pop() {
            let Some(location) = named(server.block, "location").find(|one| is_of(one, path)) else {
                continue;
            };
            let is_known = |(one, _): &(&Directive, _)| ptr::eq(*one, location);
            if found.iter().any(is_known) || self.is_in(location) {
                continue;
            }
            let block = location.block.as_deref().unwrap_or_default();
            let level = Level { head: Some(location), block };
            found.push((location, held(&[around, &[level]].concat(), name)));
            sought.extend(ways_on(block));
        }
        found
    }

    fn is_in(&self, location: &Directive) -> bool {
        self.levels.iter().any(|level| level.head.is_some_and(|head| ptr::eq(head, location)))
    }

    /// Directives of that name in blocks around this one, whether they hold here or not; the nearest first.
    pub fn around(&self, name: &str) -> impl Iterator<Item = &'t Directive> {
        self.levels.iter().rev().flat_map(move |level| named(level.block, name))
    }

    /// The values of a header that is set here, and the directives that do it: nginx sends them all.
    pub fn headers(&self, name: &str) -> Vec<(&'t str, &'t Directive)> {
        let all = self.all("proxy_set_header").into_iter();
        let found = all.filter(|one| one.value().eq_ignore_ascii_case(name));
        found.map(|one| (one.words.get(1).map_or("", String::as_str), one)).collect()
    }

    /// The first of them.
    pub fn header(&self, name: &str) -> Option<(&'t str, &'t Directive)> {
        self.headers(name).first().copied()
    }

    /// Which location of which server it is.
    pub fn label(&self) -> String {
        let head = |name: &str| self.levels.iter().rev().find(|level| level.name() == name);
        let location = head("location").and_then(|level| level.head).map(|one| one.words.join(" "));
        let of_server = |name| head("server").and_then(|level| named(level.block, name).next());
        let server = of_server("server_name").or(of_server("listen")).map(Directive::value);
        match (location, server) {
            (Some(words), Some(server)) => format!("location {words} ({server})"),
            (Some(words), None) => format!("location {words}"),
            (None, server) => format!("server {}", server.unwrap_or_default()),
        }
    }
}

impl Level<'_> {
    fn name(&self) -> &str {
        self.head.map_or("", |head| &head.name)
    }
}

fn held<'t>(levels: &[Level<'t>], name: &str) -> Vec<&'t Directive> {
    let own = |level: &Level<'t>| named(level.block, name).collect::<Vec<_>>();
    levels.iter().rev().map(own).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Whether that is the location of exactly this path, or of this name.
fn is_of(location: &Directive, path: &str) -> bool {
    location.words.last().is_some_and(|word| word.trim_start_matches('=') == path)
}

/// Where a location's own rewrites and error pages lead.
fn ways_on(block: &[Directive]) -> impl Iterator<Item = &str> {
    let inside = named(block, "if").flat_map(|one| one.block.iter().flatten());
    block.iter().chain(inside).filter_map(|one| {
        let to = match one.name.as_str() {
            "error_page" => one.words.last(),
            "rewrite" => one.words.get(1),
            _ => None,
        };
        to.and_then(|to| to.split('?').next())
    })
}

fn named<'t>(block: &'t [Directive], name: &str) -> impl Iterator<Item = &'t Directive> {
    block.iter().filter(move |one| one.name == name)
}

/// Every `proxy_pass` of a configuration.
pub fn routes(top: &[Directive]) -> Vec<Route<'_>> {
    let mut found = Vec::new();
    walk(&mut vec![Level { head: None, block: top }], &mut found);
    found
}

fn walk<'t>(levels: &mut Vec<Level<'t>>, found: &mut Vec<Route<'t>>) {
    let Some(&Level { block, .. }) = levels.last() else { return };
    for one in block {
        if one.name == "proxy_pass" {
            found.push(route(one, levels));
        } else if let Some(inner) = one.block.as_deref().filter(|_| LEVELS.contains(&one.name.as_str())) {
            levels.push(Level { head: Some(one), block: inner });
            walk(levels, found);
            levels.pop();
        }
    }
}

fn route<'t>(pass: &'t Directive, levels: &[Level<'t>]) -> Route<'t> {
    let is_stream = levels.iter().any(|level| level.name() == "stream");
    let (is_encrypted, rest) = match pass.value().split_once("://") {
        Some((scheme, rest)) if !is_stream => (scheme == "https", rest),
        _ => (false, pass.value()),
    };
    let host = without_path(rest);
    let default_port = if is_encrypted { 443 } else { 80 };
    let servers = upstream(levels, host);
    let members: Vec<_> =
        servers.iter().flatten().map(|&server| (server, targets(server.value(), 80))).collect();
    let targets = match servers {
        Some(_) => members.iter().flat_map(|(_, targets)| targets.clone()).collect(),
        None => targets(host, default_port),
    };
    let targets = if targets.is_empty() { vec![Target::Named(host.to_owned())] } else { targets };
    let replaces_path = host.len() < rest.len();
    Route { pass, is_stream, is_encrypted, replaces_path, targets, members, levels: levels.to_vec() }
}

/// The address in front of a path: `unix:/a:/path`, `1.2.3.4:80/path`.
fn without_path(rest: &str) -> &str {
    match rest.strip_prefix("unix:") {
        Some(path) => &rest[..5 + path.find(':').unwrap_or(path.len())],
        None => rest.split('/').next().unwrap_or(rest),
    }
}

/// What stands behind `server` in the upstream of that name.
fn upstream<'t>(levels: &[Level<'t>], name: &str) -> Option<Vec<&'t Directive>> {
    let all = levels.iter().flat_map(|level| named(level.block, "upstream"));
    let found = all.into_iter().find(|one| one.value().eq_ignore_ascii_case(name))?;
    let block = found.block.as_deref().unwrap_or_default();
    Some(named(block, "server").collect())
}

fn targets(written: &str, default_port: u16) -> Vec<Target> {
    if let Some(path) = written.strip_prefix("unix:") {
        return vec![Target::Unix(path.into())];
    }
    let (host, port) = match written.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (written, Some(default_port)),
    };
    let Some(port) = port else { return vec![Target::Named(written.to_owned())] };
    if host.eq_ignore_ascii_case("localhost") {
        let both: [IpAddr; 2] = [[127, 0, 0, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1].into()];
        return both.map(|ip| Target::Tcp(ip, port)).into();
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    vec![bare.parse().map_or(Target::Named(written.to_owned()), |ip| Target::Tcp(ip, port))]
}

/// The `map` that makes a variable.
pub(crate) fn map_of<'t>(top: &'t [Directive], variable: &str) -> Option<&'t Directive> {
    let inside = top.iter().filter(|one| one.name == "http").flat_map(|one| one.block.iter().flatten());
    let mut maps = top.iter().chain(inside).filter(|one| one.name == "map");
    maps.find(|one| one.words.get(1).is_some_and(|word| word == variable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx::tree::read;

    const SITE: &str = r#"
        proxy_set_header Upgrade $http_upgrade;
        proxy_read_timeout 5m;
        upstream Relay { server unix:/run/r.sock; server 127.0.0.1:1 backup; }
        server {
            server_name a.example b.example;
            proxy_read_timeout 1m;
            location /in { proxy_pass http://relay/; }
            location ~ ^/own {
                proxy_set_header Host $host;
                if ($a) { proxy_pass http://[::1]:2; }
            }
            location /u { proxy_pass http://unix:/s:/uri; }
            location /l { proxy_pass https://LOCALHOST; }
            location /v { proxy_pass http://$backend; }
            location /n { proxy_pass http://name:99999/; }
        }
    "#;

    #[test]
    fn what_holds_is_inherited_as_nginx_does_it() {
        let tree = read(SITE, "f").unwrap();
        let routes = routes(&tree.top);
        let told: Vec<_> = routes
            .iter()
            .map(|route| {
                (
                    route.label(),
                    route.header("upgrade").is_some(),
                    route.one("proxy_read_timeout").unwrap().value(),
                )
            })
            .collect();
        let expected = [
            ("location /in (a.example)", true),
            ("location ~ ^/own (a.example)", false),
            ("location /u (a.example)", true),
            ("location /l (a.example)", true),
            ("location /v (a.example)", true),
            ("location /n (a.example)", true),
        ];
        assert_eq!(told, expected.map(|(label, upgrade)| (label.to_owned(), upgrade, "1m")));
        assert_eq!(routes[1].around("proxy_set_header").count(), 2);
    }

    #[test]
    fn who_answers_in_the_targets_stead_is_found() {
        let site = r#"
            access_log a;
            server {
                access_log b;
                error_page 500 /elsewhere/page;
                location / { proxy_pass http://[::1]:1; error_page 502 504 = @away; error_page 503 http://x/; }
                location @away {
                    access_log c;
                    if ($a) { rewrite ^ /loop last; }
                    rewrite ^ /page?x last;
                }
                location =/loop { rewrite ^ /loop last; error_page 404 /; }
                location = /page { access_log d; access_log e; }
                location @another { access_log f; }
                location /inner { proxy_pass http://[::1]:2; }
            }
            server { location @away { access_log g; } location /elsewhere/page { access_log h; } }
        "#;
        let tree = read(site, "f").unwrap();
        let routes = routes(&tree.top);
        let told = |(location, held): (&Directive, Vec<&Directive>)| {
            let held: String = held.into_iter().map(Directive::value).collect();
            format!("{} {held}", location.words.join(" "))
        };
        let mut found: Vec<_> = routes[0].stand_ins("access_log").into_iter().map(told).collect();
        found.sort();
        assert_eq!(found, ["= /page de", "=/loop b", "@away c"]);
        assert!(routes[1].stand_ins("access_log").is_empty(), "{:?}", routes[1]);
    }

    #[test]
    fn targets_are_found_behind_names_and_upstreams() {
        let tree = read(SITE, "f").unwrap();
        let found: Vec<_> = routes(&tree.top).into_iter().map(|route| route.targets).collect();
        let tcp = |ip: &str, port| Target::Tcp(ip.parse().unwrap(), port);
        let expected = [
            vec![Target::Unix("/run/r.sock".into()), tcp("127.0.0.1", 1)],
            vec![tcp("::1", 2)],
            vec![Target::Unix("/s".into())],
            vec![tcp("127.0.0.1", 443), tcp("::1", 443)],
            vec![Target::Named("$backend".into())],
            vec![Target::Named("name:99999".into())],
        ];
        assert_eq!(found, expected);
        let members: Vec<_> = routes(&tree.top).iter().map(|route| route.members.len()).collect();
        assert_eq!(members, [2, 0, 0, 0, 0, 0]);
        let replaced: Vec<_> = routes(&tree.top).iter().map(|route| route.replaces_path).collect();
        assert_eq!(replaced, [true, false, true, false, false, true]);
    }

    #[test]
    fn raw_streams_are_told_apart() {
        let text = "stream { upstream u { server [::1]; } server { listen 1; proxy_pass u; } }";
        let tree = read(text, "f").unwrap();
        let routes = routes(&tree.top);
        assert!(routes[0].is_stream && !routes[0].is_encrypted);
        assert_eq!(routes[0].targets, [Target::Tcp("::1".parse().unwrap(), 80)]);
        assert_eq!(routes[0].label(), "server 1");
    }
}
