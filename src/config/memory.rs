//! How much memory a configuration can take at worst, and what `--check` says about it.
//!
//! Owns the formula. Both sums are bounds: the program allocates nothing beforehand, and the kernel's share is taken
//! only where peers do not read.

use std::{fmt, time::Duration};

use super::{Config, Listen, Machine, rules};
use crate::admin::{MOST_ANSWERS, MOST_ROWS};

/// One open peer at worst: slot, wheel entry and what decodes its frames, 3 KiB; and a control buffer full of answers
/// that the peer does not read, which has doubled to 16 KiB.
const PER_PEER: u64 = 19 << 10;

/// A handshake in progress: a request head of the largest size.
const PER_HANDSHAKE: u64 = 8 << 10;

/// What is remembered of one address: two entries of ordered maps, whose nodes may be half empty.
const PER_ADDRESS: u64 = 512;

/// One peer in an answer to an operator, its path being of the longest.
const PER_ROW: u64 = 1 << 10;

/// The kernel's own bookkeeping of a socket.
const PER_SOCKET: u64 = 4 << 10;

/// What a configuration means on a machine. Shown as lines; what is worth a warning stands apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    listen: Vec<Listen>,
    admin: Vec<Listen>,
    connections: usize,
    rules: usize,
    /// Names and algorithms.
    keys: Vec<String>,
    descriptors: u64,
    /// Bytes, in the order of the formula.
    peers: u64,
    handshakes: u64,
    inflight_read: u64,
    backlog: u64,
    addresses: u64,
    answers: u64,
    kernel: u64,
    /// How long a shutdown may take.
    stop: Duration,
    machine: Machine,
}

impl Examination {
    /// Reckons; asks nobody.
    pub fn new(config: &Config, machine: Machine) -> Self {
        let limits = &config.limits;
        let connections = limits.max_connections as u64;
        let buffers = 2 * (config.send_buffer + config.receive_buffer) as u64;
        Self {
            listen: config.listen.clone(),
            admin: config.admin.clone(),
            connections: limits.max_connections,
            rules: limits.rules.iter().count(),
            keys: config.gate.keys.names().collect(),
            descriptors: rules::descriptors_for(
                limits.max_connections,
                config.listen.len() + config.admin.len(),
            ),
            peers: connections * PER_PEER,
            handshakes: limits.max_handshakes as u64 * PER_HANDSHAKE,
            inflight_read: limits.max_inflight_read as u64,
            backlog: limits.max_backlog as u64,
            addresses: limits.most_addresses() as u64 * PER_ADDRESS,
            answers: if config.admin.is_empty() {
                0
            } else {
                connections.min(MOST_ROWS) * MOST_ANSWERS * PER_ROW
            },
            kernel: connections * (PER_SOCKET + buffers),
            stop: limits.stop_time(),
            machine,
        }
    }

    /// Descriptors that are needed.
    pub fn descriptors(&self) -> u64 {
        self.descriptors
    }

    /// Bytes that the program itself takes at worst.
    pub fn own_bytes(&self) -> u64 {
        self.peers + self.inflight_read + self.handshakes + self.backlog + self.addresses + self.answers
    }

    /// Bytes that the kernel takes for the program's sockets at worst.
    pub fn kernel_bytes(&self) -> u64 {
        self.kernel
    }

    /// What cannot be as it is on this machine: a sentence, with what to do.
    pub fn refusal(&self) -> Option<String> {
        let Self { stop, machine, .. } = self;
        let allowed = machine.stop_timeout.filter(|allowed| allowed < stop)?;
        Some(format!(
            "drain + close_timeout + a margin of 2 s are {stop:?}, and wsrelayd.service is killed {allowed:?} after it \
             was asked to stop. Lower drain or close_timeout, or raise TimeoutStopSec= to at least {}s \
             (systemctl edit wsrelayd.service)",
            stop.as_secs() + 1
        ))
    }

    /// What may go wrong at the worst: a sentence each, with what to do.
    pub fn warnings(&self) -> Vec<String> {
        let both = self.own_bytes() + self.kernel;
        let Machine { memory, group_memory, .. } = self.machine;
        let group = group_memory.filter(|&limit| both > limit).map(|limit| {
            format!(
                "at worst {} of memory are taken, and the control group allows {}: the kernel would end the process. \
                 {LESS}, or raise the limit (MemoryMax, memory.max)",
                about(both),
                about(limit)
            )
        });
        let machine = memory.filter(|&memory| both > memory).map(|memory| {
            format!(
                "at worst {} of memory are taken, and the machine has {}. {LESS}",
                about(both),
                about(memory)
            )
        });
        group.into_iter().chain(machine).collect()
    }
}

const LESS: &str = "Lower max_connections, send_buffer, receive_buffer, max_backlog or max_inflight_read";

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { descriptors, memory, group_memory, stop_timeout } = self.machine;
        let [listen, admin] = [&self.listen, &self.admin].map(|entries| places(entries));
        let granted = descriptors.map_or("any number".to_owned(), |limit| limit.to_string());
        let told = |bytes: Option<u64>| bytes.map_or("no limit that is known".to_owned(), about);
        let [peers, inflight_read] = [self.peers, self.inflight_read].map(about);
        let [handshakes, backlog, addresses] = [self.handshakes, self.backlog, self.addresses].map(about);
        writeln!(f, "listen           {listen}")?;
        writeln!(f, "admin            {admin}")?;
        writeln!(f, "channels         {}", paths(self.rules))?;
        writeln!(
            f,
            "keys for tokens  {}",
            if self.keys.is_empty() { "none".to_owned() } else { self.keys.join(", ") }
        )?;
        writeln!(f, "connections      {}", self.connections)?;
        writeln!(f, "descriptors      {} needed, {granted} granted", self.descriptors)?;
        writeln!(f, "own memory       {} at worst:", about(self.own_bytes()))?;
        writeln!(f, "  peers          {peers}, 19 KiB each")?;
        writeln!(f, "  handshakes     {handshakes}, 8 KiB each")?;
        writeln!(f, "  begun messages {inflight_read}, max_inflight_read")?;
        writeln!(f, "  backlogs       {backlog}, max_backlog")?;
        writeln!(f, "  addresses      {addresses}, 512 B each")?;
        writeln!(
            f,
            "  answers        {}, to operators: {MOST_ANSWERS} of at most {MOST_ROWS} rows",
            about(self.answers)
        )?;
        writeln!(f, "kernel's memory  {} at worst:", about(self.kernel))?;
        writeln!(f, "  sockets        4 KiB + 2 x send_buffer + 2 x receive_buffer each")?;
        writeln!(f, "both             {}", about(self.own_bytes() + self.kernel))?;
        writeln!(f, "machine          {}", told(memory))?;
        writeln!(f, "control group    {}", told(group_memory))?;
        let allowed = stop_timeout.map_or("no unit that is known".to_owned(), |time| format!("{time:?}"));
        write!(f, "stop             {:?} at worst, {allowed} allowed", self.stop)
    }
}

fn paths(rules: usize) -> String {
    match rules {
        0 => "no rules: every path is one".to_owned(),
        1 => "one rule: a path that it is not for gets 404".to_owned(),
        rules => format!("{rules} rules: a path that none is for gets 404"),
    }
}

fn places(entries: &[Listen]) -> String {
    let places: Vec<_> = entries.iter().map(|entry| entry.place.to_string()).collect();
    if places.is_empty() { "off".to_owned() } else { places.join(", ") }
}

/// A size for people, in the unit that leaves the fewest digits.
#[allow(clippy::cast_precision_loss)] // one digit after the point is shown
fn about(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..0x10_0000 => (10, "KiB"),
        0x10_0000..0x4000_0000 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_take_what_the_formula_says() {
        let examination = Examination::new(&Config::default(), Machine::default());
        assert_eq!(
            examination.own_bytes(),
            10_000 * 19_456
                + (128 << 20)
                + 1024 * 8192
                + (256 << 20)
                + (10_000 + 64 + 16_384) * 512
                + 24 * 1000 * 1024
        );
        assert_eq!(examination.kernel_bytes(), 10_000 * (4096 + 4 * 65_536));
        assert_eq!(examination.warnings(), Vec::<String>::new());
    }

    #[test]
    fn memory_is_warned_of_exactly_when_both_shares_are_above_it() {
        let both = {
            let examination = Examination::new(&Config::default(), Machine::default());
            examination.own_bytes() + examination.kernel_bytes()
        };
        let table: [(Option<u64>, Option<u64>, &[&str]); 5] = [
            (None, None, &[]),
            (Some(both), Some(both), &[]),
            (Some(both - 1), None, &["the machine has"]),
            (Some(both), Some(both - 1), &["the control group allows"]),
            (Some(1), Some(0), &["the control group allows 0 B", "the machine has 1 B"]),
        ];
        assert!(!table.is_empty());
        for (memory, group_memory, words) in table {
            let machine = Machine { memory, group_memory, ..Machine::default() };
            let warnings = Examination::new(&Config::default(), machine).warnings();
            assert_eq!(warnings.len(), words.len(), "{warnings:?}");
            for (warning, word) in warnings.iter().zip(words) {
                assert!(warning.contains(word), "{warning}");
            }
        }
    }

    #[test]
    fn a_shutdown_must_fit_into_the_time_that_the_unit_gives_it() {
        let table = [(None, false), (Some(12), false), (Some(11), true)];
        assert!(!table.is_empty());
        for (secs, refused) in table {
            let machine = Machine { stop_timeout: secs.map(Duration::from_secs), ..Machine::default() };
            let refusal = Examination::new(&Config::default(), machine).refusal();
            assert_eq!(refusal.is_some(), refused, "{secs:?}");
            assert!(refusal.is_none_or(|said| said.contains("12s") && said.contains("at least 13s")));
        }
    }

    #[test]
    fn sizes_are_told_in_the_unit_that_suits() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (5 << 40, "5120.0 GiB"),
        ];
        assert!(!table.is_empty());
        for (bytes, told) in table {
            assert_eq!(about(bytes), told);
        }
    }
}
