//! The bodies of `/api/channels` and `/api/peers`: who is there, the slowest first.
//!
//! Owns the names of the fields, which the README explains. What peers sent stands in it as JSON strings and nowhere
//! else: paths, which are ASCII by then. Walks over all peers, so it is not made for every question.

use super::question::Search;
use crate::{
    event_stream::Form,
    news::Traffic,
    relay::{ChannelRow, PeerRow, Relay},
};
use serde_json::{Value, json};
use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

/// Channels in an answer.
const MOST_CHANNELS: usize = 200;

/// The body of `/api/channels`.
pub fn channels<L>(relay: &Relay<L>) -> String {
    let (rows, total) = relay.channel_rows(MOST_CHANNELS);
    let rows = rows.iter().map(channel).collect::<Vec<_>>();
    format!("{}\n", json!({ "channels": rows, "total": total }))
}

fn channel(row: &ChannelRow<'_>) -> Value {
    let ChannelRow { path, peers, event_streams, backlog_bytes, lag_bytes, lagging_peers, rule } = row;
    json!({
        "path": path,
        "peers": peers,
        "event_streams": event_streams,
        "backlog_bytes": backlog_bytes,
        "lag_bytes": lag_bytes,
        "lagging_peers": lagging_peers,
        "rule": rule.map(ToString::to_string),
    })
}

/// The body of `/api/peers`. `port_of` tells the port at the other end of a connection, if there is one. Written word by
/// word: a thousand mappings would take a turn for themselves.
pub fn peers<L>(
    relay: &Relay<L>,
    search: &Search,
    now: Instant,
    port_of: impl Fn(&L) -> Option<u16>,
) -> String {
    let (rows, total) = relay.roll(search.channel.as_deref(), search.tag, search.most, now);
    let mut body = String::from("{\"peers\":[");
    for (nth, row) in rows.iter().enumerate() {
        body.push_str(if nth == 0 { "" } else { "," });
        // A string takes everything.
        let _ = write_peer(&mut body, row, port_of(row.link));
    }
    body + &format!("],\"total\":{total}}}\n")
}

fn write_peer<L>(out: &mut String, row: &PeerRow<'_, L>, port: Option<u16>) -> fmt::Result {
    let PeerRow { id, channel, traffic, lag, takes_bytes, .. } = row;
    let (address, via) = row.caller.named(port);
    let (address, via) = (quoted(&address), via.map_or("null".into(), |via| quoted(&via)));
    let (form, age, quiet) = (form(row.form), row.age.as_secs_f64(), row.quiet.as_secs_f64());
    let Traffic { messages_in, bytes_in, messages_out, bytes_out } = traffic;
    write!(
        out,
        r#"{{"id":"{id}","address":{address},"via":{via},"channel":{},"form":"{form}","age_secs":{age:.1},"#,
        quoted(channel)
    )?;
    write!(out, r#""messages_in":{messages_in},"messages_out":{messages_out},"bytes_in":{bytes_in},"#)?;
    write!(out, r#""bytes_out":{bytes_out},"lag_bytes":{lag},"takes_bytes":{takes_bytes},"#)?;
    let user = row.user.map_or("null".into(), quoted);
    write!(out, r#""last_heard_secs":{quiet:.1},"user":{user},"may":{},"tag":"#, may(row))?;
    match row.tag {
        Some(tag) => write!(out, r#""{tag:x}"}}"#),
        None => out.write_str("null}"),
    }
}

/// What a peer may do, as a list.
fn may<L>(row: &PeerRow<'_, L>) -> &'static str {
    match (row.subscribes, row.publishes) {
        (true, true) => r#"["subscribe","publish"]"#,
        (true, false) => r#"["subscribe"]"#,
        (false, true) => r#"["publish"]"#,
        (false, false) => "[]",
    }
}

/// As a string of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn form(form: Form) -> &'static str {
    match form {
        Form::Frames => "websocket",
        Form::Events => "event-stream",
    }
}

/// In tenths.
pub(crate) fn secs(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::{Caller, Source},
        id::PeerId,
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
            user: Some("mary \"m\""),
            subscribes: true,
            publishes: false,
        }
    }

    fn told(row: &PeerRow<'_, ()>) -> Value {
        let mut text = String::new();
        write_peer(&mut text, row, None).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn a_peer_is_told_with_all_that_is_known() {
        let wanted = json!({
            "id": "12.3", "address": "192.0.2.7", "via": "unix:", "channel": "/%22\"", "form": "event-stream",
            "age_secs": 1.3, "messages_in": 1, "bytes_in": 2, "messages_out": 3, "bytes_out": 4, "lag_bytes": 5,
            "takes_bytes": false, "last_heard_secs": 0.0, "tag": "ff",
            "user": "mary \"m\"", "may": ["subscribe"],
        });
        assert_eq!(told(&row()), wanted);
        let direct = told(&PeerRow { tag: None, caller: Caller::direct(Source::Unix), ..row() });
        assert_eq!(
            (&direct["tag"], &direct["via"], &direct["address"]),
            (&Value::Null, &Value::Null, &json!("unix:"))
        );
    }

    #[test]
    fn the_readme_explains_every_field() {
        let readme = include_str!("../../README.md");
        let (_, section) = readme.split_once("Fields of a channel of `/api/channels`").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let (channel, peer) = (channel(&ChannelRow::default()), told(&row()));
        let names =
            [channel, peer].map(|row| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>()).concat();
        assert_eq!(names.len(), 23, "{names:?}");
        names
            .iter()
            .for_each(|name| assert!(section.contains(&format!("`{name}`")), "{name} is not explained"));
    }
}
