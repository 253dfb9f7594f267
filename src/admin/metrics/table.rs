//! Every metric: its name, its kind, what is said of it, and where its number comes from.

use super::{Family, Kind, MICROS_PER_SEC, Samples};
use crate::{
    admin::{Tally, status::Circumstances},
    counters::{Disconnect, REFUSED_LABELS},
    relay::Relay,
};
use std::time::UNIX_EPOCH;

/// What one of `Counters::totals` is called.
struct Total {
    total: &'static str,
    name: &'static str,
    unit: Unit,
    help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// It grows by what happens.
    Count,
    /// The most that there ever was.
    Most,
    /// The same of a time that is counted in microseconds.
    MostMicros,
}

use Unit::{Count, Most, MostMicros};

const fn total(total: &'static str, name: &'static str, unit: Unit, help: &'static str) -> Total {
    Total { total, name, unit, help }
}

/// One for each of them.
const TOTALS: &[Total] = &[
    total("messages_in", "messages_in", Count, "Messages accepted from peers, and posted."),
    total("bytes_in", "bytes_in", Count, "Payload of these messages."),
    total("posted", "posted", Count, "Messages that came by POST."),
    total("deliveries", "deliveries", Count, "Messages handed to receivers, once for each receiver."),
    total("skipped_messages", "skipped_messages", Count, "Messages that slow peers were moved past."),
    total("reads", "reads", Count, "Reads of peers' sockets."),
    total("read_bytes", "read_bytes", Count, "Bytes that these reads brought."),
    total("frames", "frames", Count, "Frames decoded, and messages posted."),
    total("writes", "writes", Count, "Writes to peers' sockets."),
    total("write_bytes", "write_bytes", Count, "Bytes that peers' sockets took."),
    total("refused_writes", "refused_writes", Count, "Writes that peers' sockets did not take."),
    total("pings", "pings", Count, "Pings sent, and comments in event streams."),
    total("heartbeats", "heartbeats", Count, "Application heartbeats answered."),
    total(
        "held",
        "held",
        Count,
        "Times that a sender was left unread since its channel had too much on its way.",
    ),
    total(
        "deferred",
        "deferred",
        Count,
        "Times that a peer was left unread since a budget for memory was spent.",
    ),
    total("rested", "rested", Count, "Times that a peer was left unread since it was over its rate."),
    total("token_signatures", "token_signatures", Count, "Signatures of tokens that were looked at."),
    total("ignored_users", "ignored_users", Count, "Users named by somebody who is not trusted to."),
    total("turns", "turns", Count, "Turns of the loop."),
    total("longest_turn_micros", "longest_turn_seconds", MostMicros, "The longest turn so far."),
    total(
        "most_turn_cpu_micros",
        "most_turn_cpu_seconds",
        MostMicros,
        "The most processor time of a turn so far.",
    ),
    total("most_turn_accepts", "most_turn_accepts", Most, "The most connections that one turn accepted."),
    total("most_turn_reads", "most_turn_reads", Most, "The most reads of one turn."),
    total("most_turn_read_bytes", "most_turn_read_bytes", Most, "The most bytes that one turn read."),
    total("most_turn_frames", "most_turn_frames", Most, "The most frames that one turn decoded."),
    total("most_turn_writes", "most_turn_writes", Most, "The most writes of one turn."),
    total("most_turn_write_bytes", "most_turn_write_bytes", Most, "The most bytes that one turn wrote."),
    total("stalls", "stalls", Count, "Times that the process stood still for longer than a second."),
    total(
        "peak_lag",
        "peak_lag_bytes",
        Most,
        "The most that a peer ever lacked while its socket refused bytes.",
    ),
    total("peak_backlog", "peak_backlog_bytes", Most, "The most memory that backlogs ever took."),
    total("peak_inflight", "peak_inflight_bytes", Most, "The most memory that unfinished input ever took."),
    total("news_suppressed", "news_suppressed", Count, "Lines about peers that were kept from the log."),
    total(
        "ignored_addresses",
        "ignored_addresses",
        Count,
        "Addresses named by somebody who is not trusted to.",
    ),
    total(
        "unreadable_addresses",
        "unreadable_addresses",
        Count,
        "Addresses of clients that could not be read.",
    ),
    total(
        "forgotten_addresses",
        "forgotten_addresses",
        Count,
        "Addresses forgotten early, there being too many.",
    ),
    total("close_timeouts", "close_timeouts", Count, "Connections cut at the close deadline."),
    total(
        "undelivered_closes",
        "undelivered_closes",
        Count,
        "Connections that ended before their last words left.",
    ),
];

/// All of them, now.
pub(super) fn families<L>(relay: &Relay<L>, of: &Circumstances<'_>) -> Vec<Family> {
    let groups = [state(relay, of), connections(relay), totals(relay), surroundings(of), desk(of.desk)];
    groups.into_iter().flatten().collect()
}

fn family(name: &'static str, kind: Kind, samples: Samples, help: &'static str) -> Family {
    Family { name, help, kind, samples }
}

fn gauge(name: &'static str, number: usize, help: &'static str) -> Family {
    family(name, Kind::Gauge, Samples::One(number as u64), help)
}

fn counter(name: &'static str, number: u64, help: &'static str) -> Family {
    family(name, Kind::Counter, Samples::One(number), help)
}

fn state<L>(relay: &Relay<L>, of: &Circumstances<'_>) -> Vec<Family> {
    let (limits, (lag_bytes, lagging_peers)) = (relay.limits(), relay.lag());
    let version = Samples::By("version", vec![(env!("CARGO_PKG_VERSION"), 1)]);
    let started = of.started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    vec![
        family("build", Kind::Info, version, "The version of the program."),
        family("start_time_seconds", Kind::Gauge, Samples::Real(started), "When it started, in Unix time."),
        gauge("draining", usize::from(of.draining), "Whether it is shutting down."),
        gauge("peers", relay.peers(), "Connections."),
        gauge("max_connections", limits.max_connections, "The limit of connections."),
        gauge("handshaking", relay.handshaking(), "Connections without a finished handshake."),
        gauge("channels", relay.channels(), "Channels with at least one peer."),
        gauge(
            "slowest_lag_bytes",
            lag_bytes as usize,
            "The most that a peer lacks while its socket refuses bytes.",
        ),
        gauge("lagging_peers", lagging_peers, "Peers that lack something while their sockets refuse bytes."),
        gauge("backlog_bytes", relay.backlog_bytes(), "Memory of messages that somebody has yet to get."),
        gauge("max_backlog_bytes", limits.max_backlog, "Its budget."),
        gauge("inflight_bytes", relay.inflight_bytes(), "Memory of unfinished input."),
        gauge("max_inflight_bytes", limits.max_inflight_read, "Its budget."),
    ]
}

fn connections<L>(relay: &Relay<L>) -> Vec<Family> {
    let counters = relay.counters();
    let refused = REFUSED_LABELS.iter().map(|label| (*label, counters.refused(label))).collect();
    let ended = Disconnect::ALL.iter().map(|why| (why.label(), counters.disconnected(*why))).collect();
    let (turns, lags) = (Samples::turns(counters), Samples::lags(counters));
    vec![
        counter("opened", counters.opened, "Connections accepted."),
        counter("joined", counters.joined, "Peers that joined a channel."),
        family(
            "refused",
            Kind::Counter,
            Samples::By("reason", refused),
            "Connections refused, or lost before they joined.",
        ),
        family(
            "disconnects",
            Kind::Counter,
            Samples::By("reason", ended),
            "Peers whose connection ended, or was closed.",
        ),
        family("turn_seconds", Kind::Histogram, turns, "How long the turns of the loop took."),
        family("lag_bytes", Kind::Histogram, lags, "What peers lacked while their sockets refused bytes."),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "no turn is so long")]
fn totals<L>(relay: &Relay<L>) -> Vec<Family> {
    let totals = relay.counters().totals();
    let number_of =
        |row: &Total| totals.iter().find(|(total, _)| *total == row.total).map(|(_, number)| *number);
    let family_of = |row: &Total, number: u64| match row.unit {
        Count => counter(row.name, number, row.help),
        Most => family(row.name, Kind::Gauge, Samples::One(number), row.help),
        MostMicros => family(row.name, Kind::Gauge, Samples::Real(number as f64 / MICROS_PER_SEC), row.help),
    };
    TOTALS.iter().filter_map(|row| Some(family_of(row, number_of(row)?))).collect()
}

fn surroundings(of: &Circumstances<'_>) -> Vec<Family> {
    let (accept_errors, accept_pauses) = of.accept_troubles;
    let (applied, refused) = of.reloads;
    let reloads = Samples::By("result", vec![("applied", applied), ("refused", refused)]);
    vec![
        counter("accept_errors", accept_errors, "Accepts that failed."),
        counter("accept_pauses", accept_pauses, "Pauses after accepts that failed."),
        family("reloads", Kind::Counter, reloads, "Reloads of the configuration."),
        counter("log_dropped", of.log_dropped, "Lines of the log that nobody will see."),
    ]
}

fn desk(desk: &Tally) -> Vec<Family> {
    let reason = |label: &'static str| label.strip_prefix("admin_").unwrap_or(label);
    let refused = desk.refused().map(|(label, count)| (reason(label), count)).collect();
    let most = |name, number, help| family(name, Kind::Gauge, Samples::One(number), help);
    vec![
        counter("admin_opened", desk.opened, "Visitors of these pages."),
        counter("admin_answered", desk.answered, "Visitors who were told a page."),
        family(
            "admin_refused",
            Kind::Counter,
            Samples::By("reason", refused),
            "Visitors who were told none.",
        ),
        counter("admin_read_bytes", desk.read_bytes, "Bytes that visitors sent."),
        counter("admin_write_bytes", desk.write_bytes, "Bytes that visitors took."),
        most("admin_most_turn_reads", desk.most_turn_reads, "The most reads of visitors in one turn."),
        most("admin_most_turn_writes", desk.most_turn_writes, "The most writes to visitors in one turn."),
    ]
}

#[cfg(test)]
pub(super) fn totals_named() -> Vec<&'static str> {
    TOTALS.iter().map(|row| row.total).collect()
}
