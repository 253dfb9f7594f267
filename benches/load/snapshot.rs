//! What stood where at one moment, and what lies between two of them.

use serde_json::{Value, json};

use crate::{
    Outcome,
    crowd::Crowd,
    process::{Servers, now_ns, own_cpu_ns},
};

/// One moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    at_ns: u64,
    messages: u64,
    deliveries: u64,
    server_ns: u64,
    own_ns: u64,
}

/// What lies between two.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub messages: u64,
    pub deliveries: u64,
    pub secs: f64,
    pub server_secs: f64,
    pub own_secs: f64,
}

/// A share of a core above which nothing is left: real-time processes get 95 % by default, and some of it is waiting.
const BUSY: f64 = 0.85;

impl Snapshot {
    pub fn take(servers: &Servers, crowd: &Crowd) -> Outcome<Self> {
        let own_ns = own_cpu_ns();
        Ok(Self {
            at_ns: now_ns(),
            messages: crowd.sent,
            deliveries: crowd.deliveries,
            server_ns: servers.cpu_ns()?,
            own_ns,
        })
    }

    pub fn since(&self, before: &Self) -> Span {
        let secs = |later: u64, earlier: u64| (later - earlier) as f64 / 1e9;
        Span {
            messages: self.messages - before.messages,
            deliveries: self.deliveries - before.deliveries,
            secs: secs(self.at_ns, before.at_ns),
            server_secs: secs(self.server_ns, before.server_ns),
            own_secs: secs(self.own_ns, before.own_ns),
        }
    }
}

impl Span {
    /// Whether this program was what held things up: its core was busy, and more so than the server's.
    pub fn limited(&self) -> bool {
        self.own_secs > BUSY * self.secs && self.own_secs > self.server_secs
    }

    /// Microseconds for each delivery.
    pub fn us_each(&self, secs: f64) -> Value {
        if self.deliveries == 0 { Value::Null } else { json!(secs * 1e6 / self.deliveries as f64) }
    }

    pub fn write_to(&self, result: &mut Value) {
        result["messages"] = json!(self.messages);
        result["deliveries"] = json!(self.deliveries);
        result["seconds"] = json!(self.secs);
        result["per_second"] = json!(self.deliveries as f64 / self.secs);
        result["server_cpu"] = json!(self.server_secs);
        result["server_us"] = self.us_each(self.server_secs);
        result["own_cpu"] = json!(self.own_secs);
        result["own_us"] = self.us_each(self.own_secs);
        result["limited"] = json!(self.limited());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_core_is_the_limit_where_it_is_busy_and_the_server_is_not() {
        let table = [
            ("the server is", 0.5, 1.0, false),
            ("this program is", 0.93, 0.8, true),
            ("both are, the server more", 0.93, 0.94, false),
            ("nobody is", 0.5, 0.5, false),
        ];
        assert!(!table.is_empty());
        for (name, own, server, limited) in table {
            let span = Span {
                messages: 1,
                deliveries: 1,
                secs: 2.0,
                server_secs: 2.0 * server,
                own_secs: 2.0 * own,
            };
            assert_eq!(span.limited(), limited, "{name}");
        }
    }

    #[test]
    fn a_span_lies_between_two_moments() {
        let before = Snapshot { at_ns: 1_000, messages: 5, deliveries: 50, server_ns: 10, own_ns: 20 };
        let after = Snapshot {
            at_ns: 2_000_001_000,
            messages: 9,
            deliveries: 90,
            server_ns: 4_000_010,
            own_ns: 8_000_020,
        };
        let mut result = json!({});
        after.since(&before).write_to(&mut result);
        let expected = json!({
            "messages": 4, "deliveries": 40, "seconds": 2.0, "per_second": 20.0, "server_cpu": 0.004,
            "server_us": 100.0, "own_cpu": 0.008, "own_us": 200.0, "limited": false,
        });
        assert_eq!(result, expected);
    }
}
