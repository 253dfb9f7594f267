//! The bodies of `/api/channels` and `/api/peers`: who is there, the slowest first.
//!
//! Owns the names of the fields, which the README explains. What peers sent stands in it as JSON strings and nowhere
//! else: paths, which are ASCII by then. Walks over all peers, so it is not made for every question.

use super::question::Search;
use crate::{
    event_stream::Form,
    relay::{ChannelRow, PeerRow, Relay},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Channels in an answer.
const MOST_CHANNELS: usize = 200;

/// The body of `/api/channels`.
pub fn channels<L>(relay: &Relay<L>) -> String {
    let (rows, total) = relay.channel_rows(MOST_CHANNELS);
    let rows = rows.iter().map(channel).collect::<Vec<_>>();
    format!("{}\n", json!({ "channels": rows, "total": total }))
}

fn channel(row: &ChannelRow<'_>) -> Value {
    let ChannelRow { path, peers, event_streams, backlog_bytes, lag_bytes, lagging_peers } = row;
    json!({
        "path": path,
        "peers": peers,
        "event_streams": event_streams,
        "backlog_bytes": backlog_bytes,
        "lag_bytes": lag_bytes,
        "lagging_peers": lagging_peers,
    })
}

/// The body of `/api/peers`. `port_of` tells the port at the other end of a connection, if there is one.
pub fn peers<L>(
    relay: &Relay<L>,
    search: &Search,
    now: Instant,
    port_of: impl Fn(&L) -> Option<u16>,
) -> String {
    let (rows, total) = relay.roll(search.channel.as_deref(), search.tag, search.most, now);
    let rows = rows.iter().map(|row| peer(row, port_of(row.link))).collect::<Vec<_>>();
    format!("{}\n", json!({ "peers": rows, "total": total }))
}

fn peer<L>(row: &PeerRow<'_, L>, port: Option<u16>) -> Value {
    let (address, via) = row.caller.named(port);
    json!({
        "id": row.id.to_string(),
        "address": address,
        "via": via,
        "channel": row.channel,
        "form": form(row.form),
        "age_secs": secs(row.age),
        "messages_in": row.traffic.messages_in,
        "messages_out": row.traffic.messages_out,
        "bytes_in": row.traffic.bytes_in,
        "bytes_out": row.traffic.bytes_out,
        "lag_bytes": row.lag,
        "takes_bytes": row.takes_bytes,
        "last_heard_secs": secs(row.quiet),
        "tag": row.tag.map(|tag| format!("{tag:x}")),
    })
}

fn form(form: Form) -> &'static str {
    match form {
        Form::Frames => "websocket",
        Form::Events => "event-stream",
    }
}

/// In tenths.
pub(super) fn secs(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::{Caller, Source},
        id::PeerId,
        news::Traffic,
    };

    fn row() -> PeerRow<'static, ()> {
        PeerRow {
            id: PeerId { slot: 12, serial: 3 },
            link: &(),
            caller: Caller { real: core::net::IpAddr::from([192, 0, 2, 7]).into(), via: Source::Unix },
            channel: "/%22\"",
            form: Form::Events,
            age: Duration::from_millis(1260),
            traffic: Traffic { messages_in: 1, bytes_in: 2, messages_out: 3, bytes_out: 4 },
            lag: 5,
            takes_bytes: false,
            quiet: Duration::ZERO,
            tag: Some(255),
        }
    }

    #[test]
    fn a_peer_is_told_with_all_that_is_known() {
        let wanted = json!({
            "id": "12.3", "address": "192.0.2.7", "via": "unix:", "channel": "/%22\"", "form": "event-stream",
            "age_secs": 1.3, "messages_in": 1, "bytes_in": 2, "messages_out": 3, "bytes_out": 4, "lag_bytes": 5,
            "takes_bytes": false, "last_heard_secs": 0.0, "tag": "ff",
        });
        assert_eq!(peer(&row(), None), wanted);
        assert_eq!(peer(&PeerRow { tag: None, ..row() }, None)["tag"], Value::Null);
    }

    #[test]
    fn the_readme_explains_every_field() {
        let readme = include_str!("../../README.md");
        let (_, section) = readme.split_once("Fields of a channel of `/api/channels`").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let (channel, peer) = (channel(&ChannelRow::default()), peer(&row(), None));
        let names =
            [channel, peer].map(|row| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>()).concat();
        assert_eq!(names.len(), 20, "{names:?}");
        names
            .iter()
            .for_each(|name| assert!(section.contains(&format!("`{name}`")), "{name} is not explained"));
    }
}
