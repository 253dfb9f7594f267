//! What the relay has to tell, put into lines of the log: one when a peer opens, one when it ends, one per refusal.

use super::link::Link;
use crate::{
    news::{Ended, Event, News},
    relay::Relay,
};

/// Logs what happened in this turn. To be called before the peers are buried.
pub(super) fn tell(relay: &mut Relay<Link>) {
    for news in relay.take_news() {
        if news.suppressed > 0 {
            log::info!("{} lines of peers were suppressed", news.suppressed);
        }
        // All who are in the news of a turn are still there in it.
        if let Some(link) = relay.link_mut(news.id) {
            let address = link.address().map_or("unix:".to_owned(), |address| address.to_string());
            line(&news, &address);
        }
    }
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

fn line(news: &News, address: &str) {
    let peer = news.id;
    match &news.event {
        Event::Opened { channel } => log::info!(peer:%, address:%, channel; "opened"),
        Event::Refused { reason } => log::info!(peer:%, address:%, reason; "refused"),
        Event::Skipped { channel, messages } => {
            log::info!(peer:%, address:%, channel, messages; "slow: skipped to the newest message");
        }
        Event::Ended(ended) => end(peer, address, ended),
    }
}

fn end(peer: crate::id::PeerId, address: &str, ended: &Ended) {
    let Ended { channel, why, lasted, traffic } = ended;
    let secs = (lasted.as_secs_f64() * 10.0).round() / 10.0;
    log::info!(
        peer:%, address:%, channel, reason = why.label(), secs,
        messages_in = traffic.messages_in, bytes_in = traffic.bytes_in,
        messages_out = traffic.messages_out, bytes_out = traffic.bytes_out;
        "ended"
    );
}
