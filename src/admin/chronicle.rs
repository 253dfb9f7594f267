//! What happened to peers of late: the last few pieces of news, for who looks at the console and not at the log.
//!
//! Owns them. Promises that there are at most `MOST`, whatever is logged and whatever is not. Leaves to others: when
//! something is news, and what time it is.

use crate::id::PeerId;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Entries that are kept.
const MOST: usize = 200;

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub event: &'static str,
    /// To whom.
    pub peer: PeerId,
    /// Who that was.
    pub address: String,
    /// Why, where there is a reason.
    pub reason: Option<&'static str>,
    /// On which channel, where it had come so far.
    pub channel: Option<Box<str>>,
    /// How long the peer had been there when it ended.
    pub lasted: Option<Duration>,
    /// Its user, if it is known.
    pub user: Option<Box<str>>,
}

/// The last pieces of news.
#[derive(Debug, Default)]
pub struct Chronicle {
    /// The newest first, each with its time.
    entries: VecDeque<(SystemTime, Entry)>,
    /// How many there were in all.
    total: u64,
}

impl Chronicle {
    /// Something happened at this time.
    pub fn note(&mut self, at: SystemTime, entry: Entry) {
        self.entries.truncate(MOST - 1);
        self.entries.push_front((at, entry));
        self.total += 1;
    }

    /// The body of `/api/log`.
    pub fn to_json(&self) -> String {
        let entries =
            (self.entries.iter().zip((1..=self.total).rev())).map(|((at, entry), seq)| told(seq, *at, entry));
        format!("{}\n", json!({ "entries": entries.collect::<Vec<_>>() }))
    }
}

fn told(seq: u64, at: SystemTime, entry: &Entry) -> Value {
    let at_ms = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let Entry { event, peer, address, reason, channel, lasted, user } = entry;
    json!({
        "seq": seq,
        "at_ms": u64::try_from(at_ms).unwrap_or(u64::MAX),
        "event": event,
        "peer": peer.to_string(),
        "address": address,
        "reason": reason,
        "channel": channel,
        "lasted_secs": lasted.map(super::api::secs),
        "user": user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(slot: u32) -> Entry {
        Entry {
            event: "ended",
            peer: PeerId { slot, serial: 7 },
            address: "192.0.2.1:80".into(),
            reason: Some("eof"),
            channel: Some("/\"%22".into()),
            lasted: Some(Duration::from_millis(1260)),
            user: Some("mary".into()),
        }
    }

    fn entries(chronicle: &Chronicle) -> Vec<Value> {
        let told: Value = serde_json::from_str(&chronicle.to_json()).unwrap();
        told["entries"].as_array().unwrap().clone()
    }

    #[test]
    fn the_newest_stand_first_and_the_oldest_go() {
        let mut chronicle = Chronicle::default();
        assert_eq!(entries(&chronicle), Vec::<Value>::new());
        for slot in 0..450 {
            chronicle.note(UNIX_EPOCH + Duration::from_millis(u64::from(slot)), entry(slot));
        }
        let told = entries(&chronicle);
        let numbers = told.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!(numbers, (251..=450).rev().collect::<Vec<_>>());
        let wanted = json!({
            "seq": 450, "at_ms": 449, "event": "ended", "peer": "449.7", "address": "192.0.2.1:80", "reason": "eof",
            "channel": "/\"%22", "lasted_secs": 1.3, "user": "mary",
        });
        assert_eq!(told[0], wanted);
    }

    #[test]
    fn what_is_not_known_is_null_and_a_clock_before_its_time_is_no_trouble() {
        let mut chronicle = Chronicle::default();
        let refused = Entry { event: "refused", channel: None, lasted: None, reason: None, ..entry(1) };
        chronicle.note(UNIX_EPOCH - Duration::from_secs(9), refused);
        let told = &entries(&chronicle)[0];
        assert_eq!((&told["at_ms"], &told["event"]), (&json!(0), &json!("refused")));
        assert!(["channel", "reason", "lasted_secs"].iter().all(|name| told[name] == Value::Null), "{told}");
    }
}
