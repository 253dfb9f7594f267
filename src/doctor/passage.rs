//! One place where nginx passes requests on to the relay: is everything there that a WebSocket needs?
//!
//! Owns the judgement of one `proxy_pass`, from what holds there and what the relay wants. Promises: every complaint
//! names the line that is wrong, or the line at which one is missing, and the line to write.

use std::{net::IpAddr, time::Duration};

use super::{
    finding::{Finding, Severity},
    front::leads,
};
use crate::address::{RealIpHeader, Source};
use crate::nginx::{Directive, Door, Facts, Route, Target, map_of, words};

/// From this version on nginx speaks HTTP/1.1 to upstreams by itself.
const SPEAKS_1_1: Version = Version([1, 29, 7]);

/// What nginx does where nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_STREAM_TIMEOUT: Duration = Duration::from_secs(600);

/// A version of nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// Out of what `nginx -v` says.
    pub fn parse(said: &str) -> Option<Self> {
        let after = said.split_once("nginx/")?.1;
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        let parts: Vec<u32> = after[..end].split('.').filter_map(|part| part.parse().ok()).collect();
        parts.try_into().ok().map(Self)
    }
}

/// One `proxy_pass` that leads to a door of the relay's.
#[derive(Debug)]
pub(super) struct Passage<'t> {
    pub route: &'t Route<'t>,
    /// Of the whole configuration.
    pub top: &'t [Directive],
    pub door: &'t Door,
    pub target: &'t Target,
    pub facts: &'t Facts,
    pub version: Option<Version>,
}

impl Passage<'_> {
    /// What is to be said of it; if nothing is wrong, that.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = if self.route.is_stream { self.stream() } else { self.http() };
        let label = self.route.label();
        found.extend(self.others());
        found.extend(self.belief_in_all());
        if found.iter().all(|finding| finding.severity < Severity::Warning) {
            let kind = if self.route.is_stream { "bytes" } else { "WebSockets" };
            found.insert(
                0,
                Finding::good(format!("nginx: {label} passes {kind} on to {}", self.door.address))
                    .at(self.route.pass),
            );
        }
        found
    }

    fn http(&self) -> Vec<Finding> {
        if self.door.proxy_protocol {
            return vec![self.lacks_line()];
        }
        let one_by_one = [
            self.encryption(),
            self.version(),
            self.no_headers(),
            self.upgrade(),
            self.connection(),
            self.timeout("proxy_read_timeout", DEFAULT_TIMEOUT),
            self.timeout("proxy_send_timeout", DEFAULT_TIMEOUT),
            self.belief(),
            self.path(),
        ];
        let lists =
            self.addresses().into_iter().chain(self.claims()).chain(self.rewrites()).chain(self.limits());
        one_by_one.into_iter().flatten().chain(lists).collect()
    }

    fn stream(&self) -> Vec<Finding> {
        let sends = self.route.one("proxy_protocol").filter(|one| one.value() == "on");
        let line = match (sends, self.door.proxy_protocol) {
            (None, true) => Some(self.lacks_line()),
            (Some(one), false) => Some(
                self.error("sends a line of the PROXY protocol, which the listener takes for a bad request")
                    .at(one)
                    .remedy(format!(
                        "say proxy_protocol = true for {} in wsrelayd's listen",
                        self.door.address
                    )),
            ),
            (None, false) => Some(
                Finding::warning(format!(
                    "{}: every client has nginx's address for the relay",
                    self.subject()
                ))
                .at(self.route.pass)
                .remedy("proxy_protocol on; and proxy_protocol = true for the listener"),
            ),
            (Some(_), true) => self.belief(),
        };
        let timeout = self.timeout("proxy_timeout", DEFAULT_STREAM_TIMEOUT);
        line.into_iter().chain(timeout).chain(self.nobody_named()).collect()
    }

    pub(super) fn subject(&self) -> String {
        format!("nginx: {}", self.route.label())
    }

    pub(super) fn error(&self, what: &str) -> Finding {
        Finding::error(format!("{} {what}", self.subject()))
    }

    fn lacks_line(&self) -> Finding {
        let what =
            "sends no line of the PROXY protocol, and the listener demands one: every connection is refused";
        let remedy = if self.route.is_stream {
            "proxy_protocol on;"
        } else {
            "nginx's http block cannot write it: give wsrelayd a listener without proxy_protocol for it"
        };
        self.error(what).at(self.route.pass).remedy(remedy)
    }

    fn encryption(&self) -> Option<Finding> {
        let plain = self.route.pass.to_string().replacen("https://", "http://", 1);
        let what = "speaks TLS to the relay, which does not";
        self.route.is_encrypted.then(|| self.error(what).at(self.route.pass).remedy(plain))
    }

    fn version(&self) -> Option<Finding> {
        let written = self.route.one("proxy_http_version");
        let by_itself = self.version.is_some_and(|version| version >= SPEAKS_1_1);
        let (what, at) = match written {
            Some(one) if one.value() == "1.1" => return None,
            Some(one) => {
                (format!("speaks HTTP/{} to the relay, and only 1.1 can be upgraded", one.value()), one)
            }
            None if by_itself => return None,
            None => ("speaks HTTP/1.0 to the relay, which answers 505".to_owned(), self.route.pass),
        };
        Some(self.error(&what).at(at).remedy("proxy_http_version 1.1;"))
    }

    fn no_headers(&self) -> Option<Finding> {
        let off = self.route.one("proxy_pass_request_headers").filter(|one| one.value() == "off")?;
        let what = "keeps the client's headers back: the relay sees no handshake and refuses every client";
        Some(self.error(what).at(off).remedy("proxy_pass_request_headers on;"))
    }

    fn upgrade(&self) -> Option<Finding> {
        let line = "proxy_set_header Upgrade $http_upgrade;";
        match self.route.header("Upgrade") {
            None => {
                Some(self.missing_header("Upgrade", "the relay sees a plain request and answers 426", line))
            }
            Some((value, _)) if value == "$http_upgrade" || value.eq_ignore_ascii_case("websocket") => None,
            Some((value, _)) if value.starts_with('$') => None,
            Some((_, at)) => {
                Some(self.error("sends no websocket in Upgrade: the relay answers 426").at(at).remedy(line))
            }
        }
    }

    fn connection(&self) -> Option<Finding> {
        let line = "proxy_set_header Connection \"upgrade\";";
        let Some((value, at)) = self.route.header("Connection") else {
            return Some(self.missing_header(
                "Connection",
                "nginx says close and the relay answers 426",
                line,
            ));
        };
        (!self.says_upgrade(value)).then(|| {
            self.error("does not say upgrade in Connection: the relay answers 426").at(at).remedy(line)
        })
    }

    /// A variable whose map is not there is taken at its word.
    fn says_upgrade(&self, value: &str) -> bool {
        let says = |text: &str| text.to_ascii_lowercase().contains("upgrade");
        if !value.starts_with('$') || value == "$http_connection" {
            return says(value) || value == "$http_connection";
        }
        let Some(map) = map_of(self.top, value) else { return true };
        let mut entries = map.block.iter().flatten();
        entries.any(|entry| entry.words.first().is_some_and(|to| says(to)))
    }

    /// A header that would have to be passed on here.
    pub(super) fn missing_header(&self, name: &str, consequence: &str, line: &str) -> Finding {
        self.missing(name, &format!("does not pass {name} on"), consequence, line)
    }

    /// A header that would have to be set here; perhaps it is, further out, in vain.
    pub(super) fn missing(&self, name: &str, lack: &str, consequence: &str, line: &str) -> Finding {
        let sets = |one: &&Directive| one.value().eq_ignore_ascii_case(name);
        let Some(lost) = self.route.around("proxy_set_header").find(sets) else {
            let what = format!("{lack}: {consequence}");
            return self.error(&what).at(self.route.pass).remedy(format!("add beside it: {line}"));
        };
        let own = self.route.all("proxy_set_header");
        let at = own.first().copied().unwrap_or(self.route.pass);
        let what = format!(
            "loses the {name} header that is set at {}, because it has a proxy_set_header of its own: {consequence}",
            lost.spot
        );
        self.error(&what).at(at).remedy(format!("add beside it: {line}"))
    }

    /// Silence of less than an interval between pings is health.
    fn timeout(&self, name: &str, default: Duration) -> Option<Finding> {
        let written = self.route.one(name);
        let held = written
            .map_or(Some(default), |one| words::millis(&one.words.join(" ")).map(Duration::from_millis))?;
        let (ping, patience) = (self.facts.ping_interval, self.facts.patience());
        if held > patience {
            return None;
        }
        let whose = if written.is_some() { "" } else { ", nginx's default," };
        let told = humantime::format_duration;
        let line = format!("{name} {}s;", (2 * patience).as_millis().div_ceil(1000).max(60));
        let (severity, what) = if held > ping {
            let what = format!(
                "has {name} {}{whose} not above ping_interval + pong_timeout ({}): nginx cuts a dead client before the \
                 relay has found out",
                told(held),
                told(patience)
            );
            (Severity::Warning, what)
        } else {
            let what = format!(
                "has {name} {}{whose} not above ping_interval ({}): nginx cuts clients that are well",
                told(held),
                told(ping)
            );
            (Severity::Error, what)
        };
        let finding = Finding { severity, ..self.error(&what) };
        Some(finding.at(written.unwrap_or(self.route.pass)).remedy(line))
    }

    /// Who could say where a client comes from: nobody but nginx.
    fn addresses(&self) -> Vec<Finding> {
        let header = self.facts.real_ip_header;
        let line = format!("proxy_set_header {} {};", header.name(), right_value(header));
        let set = self.route.headers(header.name());
        if set.is_empty() {
            let consequence = "what a client claims there is passed on and believed";
            return vec![self.missing_header(header.name(), consequence, &line)];
        }
        set.into_iter().filter_map(|(value, at)| self.address(value, at, &line)).collect()
    }

    /// One of the values that are sent: the relay may read any of them.
    fn address(&self, value: &str, at: &Directive, line: &str) -> Option<Finding> {
        let header = self.facts.real_ip_header;
        let name = header.name();
        // A variable of the owner's own stands for what it is made from.
        let source = map_of(self.top, value).map_or(value, Directive::value);
        let lower = source.to_ascii_lowercase();
        if lower.contains("$http_") {
            let what = format!("passes on what the client claims in {name}: everybody can have any address");
            return Some(self.error(&what).at(at).remedy(line));
        }
        let is_list = lower.contains("$proxy_add_x_forwarded_for");
        let what = if value.is_empty() {
            format!("sends no {name}: every client has nginx's address for the relay")
        } else if is_list && header != RealIpHeader::XForwardedFor {
            format!("puts a list into {name}, which holds one address")
        } else if !lower.contains("addr") && !is_list {
            format!("puts {value} into {name}, where the client's address is expected")
        } else {
            return None;
        };
        Some(Finding { severity: Severity::Warning, ..self.error(&what) }.at(at).remedy(line))
    }

    /// Then `$remote_addr` is what somebody said.
    fn belief_in_all(&self) -> Vec<Finding> {
        let all = self.route.all("set_real_ip_from").into_iter().filter(|one| one.value().ends_with("/0"));
        let what = "believes everybody who says where he comes from: every client can have any address";
        let finding = |one| Finding { severity: Severity::Warning, ..self.error(what) }.at(one);
        let remedy = "name only the proxies in front of nginx in set_real_ip_from";
        all.map(|one| finding(one).remedy(remedy)).collect()
    }

    /// Servers beside the relay: who is sent there hears nothing of those who are here.
    fn others(&self) -> Vec<Finding> {
        let is_ours = |target: &Target| self.facts.doors.iter().any(|door| leads(target, door));
        let is_used = |one: &Directive| one.words.iter().all(|word| word != "down");
        let others = self
            .route
            .members
            .iter()
            .filter(|(server, targets)| is_used(server) && !targets.iter().any(is_ours));
        others.map(|(server, targets)| self.other(server, targets)).collect()
    }

    fn other(&self, server: &Directive, targets: &[Target]) -> Finding {
        if targets.iter().any(|target| matches!(target, Target::Named(_))) {
            let what =
                format!("{} passes on to a name, too: whether it is this relay is not known", self.subject());
            return Finding::note(what).at(server);
        }
        let what = "divides clients between this relay and another: members of one channel would not hear each other";
        let remedy = "one relay to each upstream";
        Finding { severity: Severity::Warning, ..self.error(what) }.at(server).remedy(remedy)
    }

    /// Whether the relay takes nginx's word.
    fn belief(&self) -> Option<Finding> {
        let (is_believed, source) = match (self.target, self.source()) {
            (Target::Unix(_), _) => (self.facts.trusted.trusts(Source::Unix), Source::Unix.to_string()),
            (_, Some(ip)) => (self.facts.trusted.trusts(ip.into()), ip.to_string()),
            _ => return None,
        };
        if is_believed {
            return None;
        }
        let what = format!(
            "is not among wsrelayd's trusted_proxies as {source}: the addresses that it tells are not believed, and \
             every client has nginx's"
        );
        let at = self.route.header(self.facts.real_ip_header.name()).map_or(self.route.pass, |(_, at)| at);
        let finding = Finding { severity: Severity::Warning, ..self.error(&what) };
        Some(
            finding.at(at).remedy(format!("add \"{source}\" to trusted_proxies in wsrelayd's configuration")),
        )
    }

    /// From where nginx connects: to an address of this machine from that very address.
    fn source(&self) -> Option<IpAddr> {
        let bound = self.route.one("proxy_bind").and_then(|one| one.value().parse().ok());
        match self.target {
            Target::Tcp(ip, _) => bound.or(Some(*ip)),
            _ => None,
        }
    }

    /// The path is the channel.
    fn path(&self) -> Option<Finding> {
        let what = format!(
            "{} replaces the part of the path that it matched: the channel is what comes of that",
            self.subject()
        );
        self.route.replaces_path.then(|| Finding::note(what).at(self.route.pass))
    }

    /// Other rewrites look for another location, and this one is not reached.
    fn rewrites(&self) -> Vec<Finding> {
        let what = format!("{} changes paths: the channel is what comes of that", self.subject());
        let breaks = |one: &&Directive| one.words.get(2).is_some_and(|flag| flag == "break");
        self.route.around("rewrite").filter(breaks).map(|one| Finding::note(&what).at(one)).collect()
    }

    /// Limits on the whole server. One that counts each address for itself says nothing about the sum.
    fn limits(&self) -> Vec<Finding> {
        let most = self.facts.max_connections as u64;
        let limits = self.route.all("limit_conn").into_iter();
        let low = limits.filter(|one| {
            let limit = one.words.get(1).and_then(|number| number.parse::<u64>().ok());
            limit.is_some_and(|limit| limit < most) && self.counts_all(one.value())
        });
        let what = format!("lets fewer clients in than max_connections ({most})");
        let finding = |one: &Directive| {
            let line = format!("limit_conn {} {most};", one.value());
            Finding { severity: Severity::Warning, ..self.error(&what) }.at(one).remedy(line)
        };
        low.map(finding).collect()
    }

    fn counts_all(&self, zone: &str) -> bool {
        let named =
            |one: &&Directive| one.words.iter().any(|word| word.starts_with(&format!("zone={zone}:")));
        let found = self.route.around("limit_conn_zone").find(named);
        found.is_some_and(|one| !one.value().contains("addr"))
    }
}

fn right_value(header: RealIpHeader) -> &'static str {
    if header == RealIpHeader::Forwarded { "\"for=$remote_addr\"" } else { "$remote_addr" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_out_of_what_nginx_says() {
        let table = [
            ("nginx version: nginx/1.22.1\n", Some(Version([1, 22, 1]))),
            ("nginx version: nginx/1.29.7 (Ubuntu)", Some(SPEAKS_1_1)),
            ("nginx version: openresty/1.21.4.1", None),
            ("", None),
        ];
        assert!(!table.is_empty());
        for (said, version) in table {
            assert_eq!(Version::parse(said), version, "{said}");
        }
        assert!(Version([1, 30, 0]) > SPEAKS_1_1 && Version([1, 29, 6]) < SPEAKS_1_1);
    }
}
