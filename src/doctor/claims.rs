//! One place where nginx passes requests on to the relay: what a client may say of itself there, whose page it is, and
//! what nginx writes down of its token.
//!
//! Owns the judgement of `identity_header`, `Host` and the log. Promises: a header that names users is found good only
//! where nothing of it comes from the client unproven.

use std::ptr;

use super::{
    finding::{Finding, Severity},
    passage::Passage,
};
use crate::nginx::{Directive, Reliance, map_of};

/// Variables that hold what the client wrote.
const CLIENTS_OWN: [&str; 3] = ["$http_", "$arg_", "$cookie_"];

/// What nginx logs with where no format is named.
const DEFAULT_FORMAT: &str = "combined";

/// Variables with the query in them.
const WITH_QUERY: [&str; 4] = ["request", "request_uri", "args", "query_string"];

impl Passage<'_> {
    /// What is to be said of identity, origin and log.
    pub(super) fn claims(&self) -> Vec<Finding> {
        self.identity().into_iter().chain(self.host()).chain(self.log()).collect()
    }

    /// Bytes that are passed on as they are bring no header of nginx's.
    pub(super) fn nobody_named(&self) -> Option<Finding> {
        let name = self.facts.identity_header.as_deref()?;
        let what = format!("{} names no user: {name} takes nginx's http block", self.subject());
        Some(Finding::note(what).at(self.route.pass))
    }

    fn identity(&self) -> Vec<Finding> {
        let Some(name) = self.facts.identity_header.as_deref() else { return Vec::new() };
        let line = format!("proxy_set_header {name} \"\";");
        let set = self.route.headers(name);
        if set.is_empty() {
            let lack = format!("does not set {name} (identity_header)");
            return vec![self.missing(name, &lack, "any client may call itself anybody", &line)];
        }
        set.into_iter().filter_map(|(value, at)| self.named_by_client(name, value, at, &line)).collect()
    }

    /// One of the values that are sent: the relay may read any of them.
    fn named_by_client(&self, name: &str, value: &str, at: &Directive, line: &str) -> Option<Finding> {
        let sources = self.sources(value);
        let (how, remedy) = if sources.iter().any(|source| holds_clients_own(source)) {
            ("passes on what the client claims", line)
        } else if sources.iter().any(|source| source.contains("$remote_user")) && !self.checks_passwords() {
            ("passes on a name whose password nobody has looked at", "auth_basic and auth_basic_user_file")
        } else {
            return None;
        };
        let what = format!("{how} in {name} (identity_header): any client may call itself anybody");
        Some(self.error(&what).at(at).remedy(remedy))
    }

    /// What a value is made from: a variable of the owner's own stands for that.
    fn sources(&self, value: &str) -> Vec<String> {
        if let Some(map) = map_of(self.top, value) {
            return map.block.iter().flatten().filter_map(|entry| entry.words.first().cloned()).collect();
        }
        let makers = ["set", "auth_request_set"].into_iter().flat_map(|name| self.route.around(name));
        let made: Vec<_> =
            makers.filter(|one| one.value() == value).filter_map(|one| one.words.get(1).cloned()).collect();
        if made.is_empty() { vec![value.to_owned()] } else { made }
    }

    /// `$remote_user` is what the client wrote, whether anybody asks for a password or not.
    fn checks_passwords(&self) -> bool {
        let says = |name, word| self.route.one(name).is_some_and(|one| one.value() == word);
        self.route.one("auth_basic").is_some() && !says("auth_basic", "off") && !says("satisfy", "any")
    }

    /// What the origin of a page is compared with.
    fn host(&self) -> Vec<Finding> {
        let set = self.route.headers("Host");
        if self.facts.reliance == Reliance::Nothing {
            return Vec::new();
        }
        if set.is_empty() {
            return vec![self.as_it_matters(self.missing_header("Host", REFUSED, HOST_LINE))];
        }
        set.into_iter().filter_map(|(value, at)| self.one_host(value, at)).collect()
    }

    fn one_host(&self, value: &str, at: &Directive) -> Option<Finding> {
        if value.is_empty() || value == "$proxy_host" {
            let what = format!("hides which Host the client asked for: {REFUSED}");
            return Some(self.as_it_matters(self.error(&what).at(at).remedy(HOST_LINE)));
        }
        let has_port = value.contains(':') || (value.starts_with('$') && !NAMES_ALONE.contains(&value));
        if has_port {
            return None;
        }
        let Some(port) = self.uncommon_port() else {
            let what = format!(
                "{} passes Host on without its port: good while clients come to port 80 or 443",
                self.subject()
            );
            return Some(Finding::note(what).at(at).remedy(HOST_LINE));
        };
        let what = format!("passes Host on without its port, and listens on {port}: there {REFUSED}");
        Some(self.as_it_matters(self.error(&what).at(at).remedy(HOST_LINE)))
    }

    /// Where some pages are listed, those may be all that there are.
    fn as_it_matters(&self, finding: Finding) -> Finding {
        let severity =
            if self.facts.reliance == Reliance::All { finding.severity } else { Severity::Warning };
        Finding { severity, ..finding }
    }

    /// A port of the server's that is in no URL by default.
    fn uncommon_port(&self) -> Option<u16> {
        let ports = self.route.around("listen").filter_map(|one| port_of(one.value()));
        ports.into_iter().find(|port| ![80, 443].contains(port))
    }

    /// Whether a token in a query is written down.
    fn log(&self) -> Vec<Finding> {
        if self.facts.token_query.is_none() {
            return Vec::new();
        }
        let own = self.route.all("access_log");
        let mut found = self.told_of_logs(&own, self.route.pass, "");
        for (location, logs) in self.route.stand_ins("access_log") {
            if !logs.iter().map(|log| ptr::from_ref(*log)).eq(own.iter().map(|log| ptr::from_ref(*log))) {
                let whose = format!(" that location {} answers", location.words.join(" "));
                found.extend(self.told_of_logs(&logs, location, &whose));
            }
        }
        found
    }

    /// The logs of one place; where none is named, nginx has one.
    fn told_of_logs(&self, logs: &[&Directive], place: &Directive, whose: &str) -> Vec<Finding> {
        if logs.is_empty() {
            return vec![self.told_in_log(place, whose)];
        }
        logs.iter().filter(|log| self.logs_query(log)).map(|log| self.told_in_log(log, whose)).collect()
    }

    /// A format that is not there is taken for good.
    fn logs_query(&self, log: &Directive) -> bool {
        if log.value() == "off" {
            return false;
        }
        let named = log.words.get(1).filter(|word| !word.contains('='));
        let name = named.map_or(DEFAULT_FORMAT, String::as_str);
        let format = self.route.around("log_format").find(|one| one.value() == name);
        format.map_or(name == DEFAULT_FORMAT, |format| {
            format.words.iter().skip(1).any(|word| names_query(word))
        })
    }

    fn told_in_log(&self, at: &Directive, whose: &str) -> Finding {
        let what = format!(
            "writes the query of each request{whose} into a log, and a token may stand in it (token_query)"
        );
        let finding = Finding { severity: Severity::Warning, ..self.error(&what) };
        let remedy =
            "access_log off; or a log_format with $uri instead of $request, as `wsrelayd nginx` prints one";
        finding.at(at).remedy(remedy)
    }
}

const REFUSED: &str = "requests of browsers are refused, whose origin is compared with it";
const HOST_LINE: &str = "proxy_set_header Host $http_host;";

/// Variables that hold a host without its port.
const NAMES_ALONE: [&str; 3] = ["$host", "$server_name", "$hostname"];

fn holds_clients_own(source: &str) -> bool {
    let lower = source.to_ascii_lowercase().replace('{', "");
    CLIENTS_OWN.iter().any(|own| lower.contains(own))
}

/// `80`, `1.2.3.4:80`, `[::]:80`, or an address alone; none of a socket in the file system.
fn port_of(listen: &str) -> Option<u16> {
    if listen.starts_with("unix:") {
        return None;
    }
    let last = listen.rsplit(':').next().unwrap_or(listen);
    Some(last.parse().unwrap_or(80))
}

/// Whether one of a format's variables has the query in it.
fn names_query(format: &str) -> bool {
    let names = format.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    names.into_iter().any(|name| WITH_QUERY.contains(&name) || name.starts_with("arg_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_read_out_of_every_form_of_listen() {
        let table = [
            ("80", Some(80)),
            ("8443", Some(8443)),
            ("127.0.0.1:8080", Some(8080)),
            ("[::]:81", Some(81)),
            ("[::1]", Some(80)),
            ("localhost", Some(80)),
            ("unix:/run/nginx.sock", None),
        ];
        assert!(!table.is_empty());
        for (listen, port) in table {
            assert_eq!(port_of(listen), port, "{listen}");
        }
    }

    #[test]
    fn a_format_with_the_query_is_told_from_one_without() {
        let table = [
            ("$remote_addr \"$request\" $status", true),
            ("$request_uri", true),
            ("${request}x", true),
            ("$uri?$args", true),
            ("$arg_token", true),
            ("$query_string", true),
            ("$request_method $uri $request_time $request_id $request_length", false),
            ("request", false),
        ];
        assert!(!table.is_empty());
        for (format, expected) in table {
            assert_eq!(names_query(format), expected, "{format}");
        }
    }
}
