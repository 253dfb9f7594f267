//! `/api/status` as an operator reads it: aligned lines, and of the reasons only those that happened.
//!
//! Promises: whatever the JSON is, nothing panics, and no word of it does anything to a terminal. What is missing or of
//! another form is shown as `?`.

use crate::logging;
use serde_json::Value;
use std::{fmt, time::Duration};

/// Bytes of a word that somebody else wrote.
const MAX_WORD: usize = 40;
/// Where the second column begins.
const COLUMN: usize = 17;

/// The text.
#[derive(Debug)]
pub(super) struct Overview<'v>(pub(super) &'v Value);

impl Overview<'_> {
    fn word(&self, path: &str) -> String {
        self.0.pointer(path).and_then(Value::as_str).map_or("?".into(), |word| logging::plain(word, MAX_WORD))
    }

    fn number(&self, path: &str) -> String {
        shown(self.0.pointer(path))
    }

    fn rate(&self, path: &str) -> String {
        let rate = self.0.pointer(path).and_then(Value::as_f64);
        rate.map_or("?".into(), |rate| format!("{rate:.1}/s"))
    }

    fn size(&self, path: &str) -> String {
        self.0.pointer(path).and_then(Value::as_f64).map_or("?".into(), size)
    }

    fn span(&self, path: &str) -> String {
        let micros = self.0.pointer(path).and_then(Value::as_f64);
        micros.map_or("?".into(), |micros| format!("{:.2} ms", micros / 1000.0))
    }

    fn uptime(&self) -> String {
        let secs = self.0.pointer("/uptime_secs").and_then(Value::as_u64);
        secs.map_or("?".into(), |secs| humantime::format_duration(Duration::from_secs(secs)).to_string())
    }

    /// Those of a mapping that are not zero, the most frequent first, and their sum.
    fn reasons(&self, f: &mut fmt::Formatter<'_>, title: &str, path: &str) -> fmt::Result {
        let mapping = self.0.pointer(path).and_then(Value::as_object);
        let counts = mapping.into_iter().flatten().filter_map(|(name, count)| Some((count.as_u64()?, name)));
        let mut counts: Vec<_> = counts.filter(|(count, _)| *count > 0).collect();
        counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let sum = counts.iter().fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
        line(f, title, &sum.to_string())?;
        counts.iter().try_for_each(|(count, name)| {
            let name = logging::plain(name, MAX_WORD);
            writeln!(f, "  {name:<width$} {count}", width = COLUMN - 3)
        })
    }
}

impl fmt::Display for Overview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, size, rate) = (|path| self.number(path), |path| self.size(path), |path| self.rate(path));
        let rows = [
            ("wsrelayd", format!("{}, {}", self.word("/version"), self.word("/state"))),
            (
                "uptime",
                format!("{}, since {}, process {}", self.uptime(), self.word("/started_at"), number("/pid")),
            ),
            (
                "peers",
                format!(
                    "{} of {}, {} in their handshake",
                    number("/peers"),
                    number("/max_connections"),
                    number("/handshaking")
                ),
            ),
            ("channels", number("/channels")),
            (
                "messages",
                format!("{} in, {} delivered", rate("/rates/messages_in"), rate("/rates/deliveries")),
            ),
            ("bytes", format!("{}/s in, {}/s out", size("/rates/bytes_in"), size("/rates/bytes_out"))),
            (
                "connections",
                format!("{} new, {} since the start", rate("/rates/opened"), number("/totals/opened")),
            ),
            (
                "lag",
                format!(
                    "{} at most, {} peers behind, {} at most so far",
                    size("/lag_bytes"),
                    number("/lagging_peers"),
                    size("/peak_lag_bytes")
                ),
            ),
            (
                "turns",
                format!(
                    "{} on the average, {} at most of late",
                    self.span("/rates/mean_turn_micros"),
                    self.span("/rates/longest_turn_micros")
                ),
            ),
            ("backlog", format!("{} of {}", size("/backlog_bytes"), size("/max_backlog_bytes"))),
            ("unfinished input", format!("{} of {}", size("/inflight_bytes"), size("/max_inflight_bytes"))),
            ("accepts failed", format!("{}, {} pauses", number("/accept_errors"), number("/accept_pauses"))),
            ("reloads", format!("{}, {} failed", number("/reloads_ok"), number("/reloads_failed"))),
        ];
        rows.iter().try_for_each(|(title, text)| line(f, title, text))?;
        self.reasons(f, "refused", "/refused")?;
        self.reasons(f, "disconnects", "/disconnects")
    }
}

fn line(f: &mut fmt::Formatter<'_>, title: &str, text: &str) -> fmt::Result {
    writeln!(f, "{title:<COLUMN$}{text}")
}

fn shown(value: Option<&Value>) -> String {
    value.and_then(Value::as_number).map_or("?".into(), ToString::to_string)
}

/// With a unit in which it is short.
fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut amount, mut unit) = (bytes, 0);
    while amount >= 1024.0 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    // Whole where it is: a limit is written in round numbers.
    let digits = usize::from(amount.fract() != 0.0);
    format!("{amount:.digits$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_aligned_and_names_only_what_happened() {
        let text = Overview(&json!({
            "version": "1.2.3", "state": "running", "uptime_secs": 3661, "started_at": "then", "pid": 7,
            "peers": 12, "max_connections": 100, "lag_bytes": 1536, "max_backlog_bytes": 1 << 28,
            "rates": {"messages_in": 2.5, "mean_turn_micros": 26.6}, "refused": {"method": 0, "version": 1, "upgrade": 40},
            "disconnects": {"eof": 0},
        }))
        .to_string();
        let lines = [
            "wsrelayd         1.2.3, running",
            "uptime           1h 1m 1s, since then, process 7",
            "peers            12 of 100, ? in their handshake",
            "messages         2.5/s in, ? delivered",
            "lag              1.5 KiB at most, ? peers behind, ? at most so far",
            "turns            0.03 ms on the average, ? at most of late",
            "backlog          ? of 256 MiB",
            "refused          41\n  upgrade        40\n  version        1\ndisconnects      0\n",
        ];
        assert!(!lines.is_empty());
        lines.iter().for_each(|wanted| assert!(text.contains(wanted), "no {wanted:?} in\n{text}"));
        assert!(!text.contains("method") && !text.contains("eof"), "{text}");
    }

    #[test]
    fn nothing_of_another_form_panics_and_no_letter_does_anything() {
        let table = [
            json!(null),
            json!([1, 2]),
            json!({"version": {}, "state": [], "uptime_secs": u64::MAX, "peers": -1e300, "lag_bytes": 1e308}),
            json!({"version": "\u{1b}]0;x\u{7}", "state": "\u{202e}", "refused": {"\u{1b}[2J\n": u64::MAX, "b": u64::MAX}}),
            json!({"refused": 7, "disconnects": {"a": "b", "c": -1, "d": 0.5}, "rates": {"bytes_in": -0.0}}),
        ];
        assert!(!table.is_empty());
        for value in table {
            let text = Overview(&value).to_string();
            assert!(text.lines().count() >= 14, "{text}");
            assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
            assert!(!text.contains('\u{202e}'), "{text:?}");
        }
    }
}
