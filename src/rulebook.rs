//! `wsrelayd rules`: which rule a path comes under and what follows, in words.
//!
//! Owns the words. What it says is what holds: the path is looked up, and the limits are those, as the relay does and has
//! them. Leaves to others: reading the configuration.

use std::{fmt::Write as _, path::Path};

use crate::{
    config::{Config, size, span},
    limits::{Access, Kinds, Limits, OnRate, OnSlow},
    origin::Origins,
    rules::{
        Pattern,
        path::{self, PathFault},
    },
};

/// What is told of.
#[derive(Clone, Copy, Debug)]
pub struct Rulebook<'b> {
    /// What holds.
    pub config: &'b Config,
    /// The file that says so, if one does.
    pub file: Option<&'b Path>,
    /// The line in it of each rule.
    pub lines: &'b [(Pattern, usize)],
}

/// A line of what follows: the subject, and what is said of it.
type Row = (&'static str, String);

impl Rulebook<'_> {
    /// What holds on a path.
    ///
    /// # Errors
    /// No channel has it, and why.
    pub fn tell(&self, path: &str) -> Result<String, String> {
        if let Some(why) = fault(path) {
            return Err(format!("{path:?} can be the path of no channel: {why}"));
        }
        let limits = &self.config.limits;
        let Some(rule) = limits.rule_for(path) else {
            return Err(format!(
                "{path} comes under no rule of {}, and gets 404. `wsrelayd rules` lists them; a rule for all other paths \
                 is a [[channel]] with path = \"/**\"",
                self.source()
            ));
        };
        let head = match limits.pattern_of(rule) {
            Some(pattern) => format!("{path} comes under the rule {pattern} ({}).", self.place(pattern)),
            None => {
                format!("{path} is a channel, as every path is: there are no rules ({}).", self.source())
            }
        };
        Ok(format!("{head}\n\n{}", table(&self.rows(limits.under(rule)))))
    }

    /// All rules, in the order in which they are tried.
    pub fn list(&self) -> String {
        let limits = &self.config.limits;
        if limits.rules.is_empty() {
            let head =
                format!("No rules ({}): every path is a channel, and on all of them holds", self.source());
            return format!("{head}\n\n{}", table(&self.rows(limits)));
        }
        let widest = limits.rules.iter().map(|rule| rule.pattern.to_string().len()).max().unwrap_or_default();
        let mut text = format!(
            "The rules of {}, the most specific first. The first one that matches holds; a path that none matches gets \
             404.\n\n",
            self.source()
        );
        for rule in limits.rules.iter() {
            let line = self.line(&rule.pattern).map_or(String::new(), |line| format!("line {line}"));
            let (pattern, of) = (rule.pattern.to_string(), &rule.limits);
            let (listen, publish) = (word(of.subscribe), word(of.publish));
            // A string takes everything.
            let _ = writeln!(text, "  {pattern:widest$}  {line:9}  listen: {listen:7} publish: {publish}");
        }
        text
    }

    fn source(&self) -> String {
        self.file.map_or("the built-in defaults".to_owned(), |file| file.display().to_string())
    }

    fn place(&self, pattern: &Pattern) -> String {
        let line = self.line(pattern).map_or(String::new(), |line| format!(", line {line}"));
        format!("{}{line}", self.source())
    }

    fn line(&self, pattern: &Pattern) -> Option<usize> {
        self.lines.iter().find(|(one, _)| one == pattern).map(|&(_, line)| line)
    }

    fn rows(&self, limits: &Limits) -> Vec<Row> {
        if is_closed(limits) {
            return vec![("who may come in", "nobody: every request gets 403".to_owned())];
        }
        let mut rows = vec![("who may listen", listening(limits)), ("who may publish", publishing(limits))];
        if limits.looks_at_tokens() {
            rows.push(("a token", self.token()));
        }
        rows.extend([
            ("pages of", origins(&limits.origins)),
            ("subprotocol", subprotocol(limits)),
            ("peers", peers(limits)),
            ("a message", message(limits)),
            ("its sender", if limits.echo { "gets it too" } else { "does not get it back" }.to_owned()),
            ("heartbeat", heartbeat(limits)),
            ("rate of a peer", rate(limits.messages_per_sec, limits.bytes_per_sec, limits)),
            ("of an address", rate(limits.address_messages_per_sec, limits.address_bytes_per_sec, limits)),
            ("a slow peer", slow(limits)),
        ]);
        rows
    }

    fn token(&self) -> String {
        let gate = &self.config.gate;
        let query =
            gate.query.as_deref().map_or(String::new(), |name| format!(", or in the query as {name}=TOKEN"));
        let keys: Vec<_> = self.config.token_keys.iter().map(AsRef::as_ref).collect();
        let mut text = format!(
            "as Authorization: Bearer TOKEN, as the subprotocol bearer.TOKEN{query}; signed with {}",
            keys.join(" or ")
        );
        let names = |names: &[Box<str>]| names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" or ");
        if !gate.issuers.is_empty() {
            let _ = write!(text, "; issued by {}", names(&gate.issuers));
        }
        if !gate.audience.is_empty() {
            let _ = write!(text, "; for {}", names(&gate.audience));
        }
        text + &format!("; clocks may be {} apart", span(gate.leeway))
    }
}

/// Why no request can have this path, or none gets anywhere with it.
fn fault(path: &str) -> Option<&'static str> {
    if !path::is_visible(path) {
        return Some("it holds a #, a space or a letter that is not ASCII (400). Escape it: %20 is a space");
    }
    if path.contains('?') {
        return Some("what begins with a ? is a query and belongs to no path. Leave it out");
    }
    path::check(path).err().map(|fault| match fault {
        PathFault::NoSlash => "it does not begin with a slash (400). Leave out scheme and host: /feed",
        PathFault::DotSegment => "it has a segment . or .. (400)",
        PathFault::TwoSlashes => "it has two slashes in a row (400)",
        PathFault::BrokenEscape => "it has a % that does not begin two hex digits (400)",
        PathFault::HiddenSlash => "it holds %00 or %2F (400)",
        PathFault::NeedlessEscape => "it escapes a letter, a digit or one of -._~, which needs none (400)",
        PathFault::TooLong => "it is longer than 255 bytes (414)",
    })
}

/// Subjects, and beside them what is said.
fn table(rows: &[Row]) -> String {
    rows.iter().map(|(subject, said)| format!("  {subject:16} {said}\n")).collect()
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Anyone => "anyone",
        Access::Token => "token",
        Access::Nobody => "nobody",
    }
}

fn listening(limits: &Limits) -> String {
    let ways = if limits.event_stream { "by WebSocket or as an event stream (GET)" } else { "by WebSocket" };
    may(limits.subscribe, "subscribe", ways)
}

fn publishing(limits: &Limits) -> String {
    let ways = if limits.http_publish { "by WebSocket or by POST" } else { "by WebSocket" };
    may(limits.publish, "publish", ways)
}

fn may(access: Access, claim: &str, ways: &str) -> String {
    match access {
        Access::Anyone => format!("anyone, {ways}"),
        Access::Token => format!("whoever brings a token whose `{claim}` names this path, {ways}"),
        Access::Nobody => "nobody".to_owned(),
    }
}

/// Who can do nothing here is not let in.
fn is_closed(limits: &Limits) -> bool {
    [limits.subscribe, limits.publish] == [Access::Nobody; 2]
}

fn origins(origins: &Origins) -> String {
    if origins.any {
        return "any site; programs that are no browsers too".to_owned();
    }
    let words = [(origins.same_host, "the host that was asked for"), (origins.null, "no site (null)")];
    let words = words.into_iter().filter(|(is_in, _)| *is_in).map(|(_, word)| word.to_owned());
    let sites: Vec<_> = words.chain(origins.listed.iter().map(ToString::to_string)).collect();
    let sites = if sites.is_empty() { "no site".to_owned() } else { sites.join(", ") };
    format!("{sites}; the console; others: 403. Programs that send no Origin are not asked")
}

fn subprotocol(limits: &Limits) -> String {
    let names = limits.subprotocols.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
    match (limits.subprotocols.is_empty(), limits.subprotocol_required) {
        (true, _) => "the first one that is offered; none is needed".to_owned(),
        (false, true) => {
            format!("the first one that is offered of {names}; whoever offers none of them: 400")
        }
        (false, false) => format!("the first one that is offered of {names}; none is needed"),
    }
}

fn peers(limits: &Limits) -> String {
    let all = limits.max_connections;
    match limits.max_peers {
        0 => format!("as many as there may be at all, {all}"),
        most => format!("at most {most} on this channel, further ones: 503 (and {all} on all together)"),
    }
}

fn message(limits: &Limits) -> String {
    let kind = match limits.kinds {
        Kinds::Both => "text or binary",
        Kinds::Text => "text only, else 1003 text-only",
        Kinds::Binary => "binary only, else 1003 binary-only",
    };
    format!("at most {}, else 1009; {kind}", size(limits.max_message))
}

fn heartbeat(limits: &Limits) -> String {
    match &limits.heartbeat {
        Some(heartbeat) => {
            format!("{:?} is answered {:?} and not relayed", heartbeat.request, heartbeat.reply)
        }
        None => "off".to_owned(),
    }
}

fn rate(messages: u32, bytes: usize, limits: &Limits) -> String {
    let messages = (messages > 0).then(|| format!("{messages} messages a second"));
    let bytes = (bytes > 0).then(|| format!("{} a second", size(bytes)));
    let both: Vec<_> = messages.into_iter().chain(bytes).collect();
    if both.is_empty() {
        return "any".to_owned();
    }
    let beyond = match limits.on_rate {
        OnRate::Wait => "its sender is not read until it may go on",
        OnRate::Disconnect => "its sender is closed, 1008 rate",
    };
    format!("{}, {} worth of it at once; beyond that {beyond}", both.join(" and "), span(limits.rate_burst))
}

fn slow(limits: &Limits) -> String {
    let end = match limits.on_slow {
        OnSlow::Disconnect => "is closed, 1008 slow-consumer",
        OnSlow::Skip => "skips to the newest message",
    };
    format!(
        "{end}: one that lags {}, or {} for {}, or takes nothing for {}",
        size(limits.max_lag),
        size(limits.soft_lag),
        span(limits.soft_lag_time),
        span(limits.stall_timeout)
    )
}

#[cfg(test)]
mod tests;
