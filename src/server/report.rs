//! What the relay has to tell, put into lines of the log: one when a peer opens, one when it ends, one per refusal.

use std::net::SocketAddr;

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
        if let Some(address) = relay.link_mut(news.id).map(|link| link.address()) {
            line(&news, address);
        }
    }
}

fn line(news: &News, address: SocketAddr) {
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

fn end(peer: crate::id::PeerId, address: SocketAddr, ended: &Ended) {
    let Ended { channel, why, lasted, traffic } = ended;
    let secs = (lasted.as_secs_f64() * 10.0).round() / 10.0;
    log::info!(
        peer:%, address:%, channel, reason = why.label(), secs,
        messages_in = traffic.messages_in, bytes_in = traffic.bytes_in,
        messages_out = traffic.messages_out, bytes_out = traffic.bytes_out;
        "ended"
    );
}
