//! What the relay has to tell, put into lines of the log (one when a peer opens, one when it ends, one per refusal) and
//! into the chronicle, which is kept whatever is logged.
//!
//! `address` is the client; `via` the proxy that named it, where one did. The other end of a connection is told with
//! its port.

use log::{
    Level, Record,
    kv::{Key, Source, Value, VisitSource},
};

use super::{clock, link::Link};
use crate::{
    address::{self, Caller, Evidence, RealIpHeader},
    admin::{Chronicle, Entry, api},
    id::PeerId,
    news::{Ended, Event},
    relay::Relay,
};

/// Logs what happened in this turn. To be called before the peers are buried.
pub(super) fn tell(relay: &mut Relay<Link>, chronicle: &mut Chronicle) {
    for news in relay.take_news() {
        if news.suppressed > 0 {
            log::info!("{} lines of peers were suppressed", news.suppressed);
        }
        // All who are in the news of a turn are still there in it.
        if let (Some(caller), Some(link)) = (relay.address_of(news.id), relay.link_mut(news.id)) {
            let port = link.port();
            let user = relay.user_of(news.id).map(Into::into);
            let who = Who { peer: news.id, caller, port, user };
            tell_of(&news.event, &who);
            if let Some(entry) = entry(&news.event, &who) {
                chronicle.note(clock::calendar(), entry);
            }
        }
    }
}

/// The same for the chronicle. What concerns a proxy and no peer is for the log alone.
fn entry(event: &Event, who: &Who) -> Option<Entry> {
    let (address, _) = who.caller.named(who.port);
    let (peer, user) = (who.peer, who.user.clone());
    let bare = Entry { event: "opened", peer, address, reason: None, channel: None, lasted: None, user };
    Some(match event {
        Event::Opened { channel } => Entry { channel: Some(channel.clone()), ..bare },
        Event::Refused { reason, channel, .. } => {
            Entry { event: "refused", reason: Some(*reason), channel: channel.clone(), ..bare }
        }
        Event::Skipped { channel, .. } => Entry { event: "skipped", channel: Some(channel.clone()), ..bare },
        Event::Ended(ended) => {
            let Ended { channel, why, lasted, .. } = &**ended;
            let (reason, channel, lasted) = (Some(why.label()), Some(channel.clone()), Some(*lasted));
            Entry { event: "ended", reason, channel, lasted, ..bare }
        }
        Event::ClientMissing { .. } => return None,
    })
}

/// One line for the service manager: how things are.
pub(super) fn status(relay: &Relay<Link>, draining: bool) -> String {
    let (peers, channels, counters) = (relay.peers(), relay.channels(), relay.counters());
    let state = if draining { "Stopping" } else { "Relaying" };
    format!(
        "{state}: {peers} connections, {channels} channels; {} messages in, {} deliveries, {} refusals since the start",
        counters.messages_in,
        counters.deliveries,
        counters.refused_total()
    )
}

fn tell_of(event: &Event, who: &Who) {
    match event {
        Event::Opened { channel } => who.say("opened", &[("channel", (**channel).into())]),
        Event::Refused { reason, channel, origin } => {
            let reason = ("reason", Value::from(*reason));
            let channel = channel.as_deref().map(|channel| ("channel", channel.into()));
            let origin = origin.as_deref().map(|origin| ("origin", origin.into()));
            who.say("refused", &[Some(reason), channel, origin].into_iter().flatten().collect::<Vec<_>>());
        }
        Event::Skipped { channel, messages } => {
            let pairs = [("channel", (**channel).into()), ("messages", (*messages).into())];
            who.say("slow: skipped to the newest message", &pairs);
        }
        Event::Ended(ended) => tell_end(ended, who),
        Event::ClientMissing { evidence, believed } => {
            log::warn!("{}", missing(*evidence, *believed, who.caller.real));
        }
    }
}

fn tell_end(ended: &Ended, who: &Who) {
    let Ended { channel, why, lasted, traffic } = ended;
    let secs = api::secs(*lasted);
    let pairs = [
        ("channel", (**channel).into()),
        ("reason", why.label().into()),
        ("secs", secs.into()),
        ("messages_in", traffic.messages_in.into()),
        ("bytes_in", traffic.bytes_in.into()),
        ("messages_out", traffic.messages_out.into()),
        ("bytes_out", traffic.bytes_out.into()),
    ];
    who.say("ended", &pairs);
}

/// A peer of whom something is told. Nothing is written out before somebody hears it.
struct Who {
    peer: PeerId,
    caller: Caller,
    /// Of the other end of the connection.
    port: Option<u16>,
    /// If it is known.
    user: Option<Box<str>>,
}

type Pair<'v> = (&'static str, Value<'v>);

impl Who {
    fn say(&self, text: &str, pairs: &[Pair<'_>]) {
        if Level::Info > log::max_level() {
            return;
        }
        let line = Line::new(self, pairs);
        let mut record = Record::builder();
        record.level(Level::Info).target(module_path!()).module_path(Some(module_path!())).key_values(&line);
        log::logger().log(&record.args(format_args!("{text}")).build());
    }
}

/// The pairs of a line: who, and what else. The macros of `log` know no pair that only some lines have.
struct Line<'l> {
    peer: String,
    address: String,
    via: Option<String>,
    user: Option<&'l str>,
    pairs: &'l [Pair<'l>],
}

impl<'l> Line<'l> {
    fn new(who: &'l Who, pairs: &'l [Pair<'l>]) -> Self {
        let (address, via) = who.caller.named(who.port);
        Self { peer: who.peer.to_string(), address, via, user: who.user.as_deref(), pairs }
    }
}

impl Source for Line<'_> {
    fn visit<'k>(&'k self, visitor: &mut dyn VisitSource<'k>) -> Result<(), log::kv::Error> {
        visitor.visit_pair(Key::from_str("peer"), self.peer.as_str().into())?;
        visitor.visit_pair(Key::from_str("address"), self.address.as_str().into())?;
        if let Some(via) = &self.via {
            visitor.visit_pair(Key::from_str("via"), via.as_str().into())?;
        }
        if let Some(user) = self.user {
            visitor.visit_pair(Key::from_str("user"), user.into())?;
        }
        self.pairs.iter().try_for_each(|(key, value)| visitor.visit_pair(Key::from_str(key), value.clone()))
    }
}

/// What to do about a proxy that names no client.
fn missing(evidence: Evidence, believed: RealIpHeader, from: address::Source) -> String {
    let believed_name = believed.name();
    let seen = match evidence {
        Evidence::Other(other) => format!("with {}", other.name()),
        Evidence::Field(name) => format!("with {name}"),
        Evidence::Host => "for a host that is not this machine".to_owned(),
    };
    let or = match evidence {
        Evidence::Other(other) => {
            format!(", or set real_ip_header = \"{}\" if the proxy writes that field itself", other.name())
        }
        Evidence::Field(_) | Evidence::Host => String::new(),
    };
    format!(
        "a proxy seems to be in front ({from} asks {seen}), and no {believed_name} says for whom: there are no limits per \
         address, and the log shows the proxy, until the proxy sends it. In nginx: proxy_set_header {believed_name} \
         {};{or}",
        nginx_value(believed)
    )
}

fn nginx_value(header: RealIpHeader) -> &'static str {
    match header {
        RealIpHeader::XForwardedFor => "$proxy_add_x_forwarded_for",
        RealIpHeader::XRealIp => "$remote_addr",
        RealIpHeader::Forwarded => "\"for=$remote_addr\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn line(caller: Caller) -> String {
        let who = Who { peer: PeerId::from_word(7), caller, port: Some(55), user: Some("mary".into()) };
        let mut words = String::new();
        struct Words<'w>(&'w mut String);
        impl<'k> VisitSource<'k> for Words<'_> {
            fn visit_pair(&mut self, key: Key<'k>, value: Value<'k>) -> Result<(), log::kv::Error> {
                self.0.push_str(&format!("{key}={value} "));
                Ok(())
            }
        }
        Line::new(&who, &[("a", 1.into())]).visit(&mut Words(&mut words)).unwrap();
        words
    }

    #[test]
    fn a_client_is_named_and_its_proxy_where_there_is_one() {
        let via = IpAddr::from([127, 0, 0, 1]).into();
        let real = IpAddr::from([203, 0, 113, 7]).into();
        assert_eq!(line(Caller::direct(via)), "peer=7.0 address=127.0.0.1:55 user=mary a=1 ");
        assert_eq!(
            line(Caller { real, via }),
            "peer=7.0 address=203.0.113.7 via=127.0.0.1:55 user=mary a=1 "
        );
    }

    #[test]
    fn what_to_do_about_a_silent_proxy_is_one_line_that_names_the_field() {
        let table = [
            (Evidence::Host, RealIpHeader::XForwardedFor, "X-Forwarded-For $proxy_add_x_forwarded_for;"),
            (Evidence::Field("Via"), RealIpHeader::XRealIp, "proxy_set_header X-Real-IP $remote_addr;"),
            (
                Evidence::Other(RealIpHeader::XRealIp),
                RealIpHeader::XForwardedFor,
                "real_ip_header = \"X-Real-IP\"",
            ),
        ];
        assert!(!table.is_empty());
        for (evidence, believed, words) in table {
            let told = missing(evidence, believed, address::Source::Unix);
            assert!(told.contains(words) && told.contains("unix:") && told.lines().count() == 1, "{told}");
        }
    }
}
