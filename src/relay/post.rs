//! Messages that are posted: heard like those of peers, published like them, and answered.
//!
//! One that is posted has no place in its channel's order but the moment at which it is complete, and no sender that
//! could be held back: where senders must wait, it is refused instead, and whoever posts tries again. Until it is
//! complete whoever posts it counts as one who has not finished its handshake.

use super::Relay;
use crate::{
    handshake::{CONTINUE, Post, Refusal, accepted},
    id::PeerId,
    peer::{Posted, Posting, Stage},
};
use std::time::Instant;

impl<L> Relay<L> {
    /// The head of a POST is good: the body is heard from now on, what came with the head to begin with.
    pub(super) fn begin_post(&mut self, id: PeerId, post: &Post<'_>, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.rule = post.rule;
        peer.stage = Stage::Posting(Box::new(Posting::new(post, now)));
        self.recount_inflight(id);
        self.hear_body(id, post.body, now);
        if post.expects_continue {
            self.call_for_body(id);
        }
        self.arm(id);
    }

    /// Tells a sender that waits for it to go on, unless all has come already.
    fn call_for_body(&mut self, id: PeerId) {
        if let Some(peer) = self.roster.get_mut(id)
            && matches!(peer.stage, Stage::Posting(_))
        {
            peer.control.push(CONTINUE);
            self.rouse(id);
        }
    }

    /// Takes the next bytes of a body.
    pub(super) fn hear_body(&mut self, id: PeerId, bytes: &[u8], now: Instant) {
        let Some(Stage::Posting(posting)) = self.roster.get_mut(id).map(|peer| &mut peer.stage) else {
            return;
        };
        match posting.receive(bytes) {
            Ok(None) => {}
            Ok(Some(posted)) => self.take_post(id, &posted, now),
            Err(refusal) => self.refuse(id, refusal, now),
        }
    }

    /// A posted message is complete.
    fn take_post(&mut self, id: PeerId, posted: &Posted, now: Instant) {
        let Posted { path, kind, payload, allowed_origin } = posted;
        if self.roster.get(id).and_then(|peer| self.address_free_at(peer, now)).is_some() {
            return self.refuse_on(id, Refusal::Rate, Some(path.clone()), None, now);
        }
        let peers = self.channels.open_members(path);
        if peers > 0 && self.has_no_room(path) {
            return self.refuse_on(id, Refusal::Busy, Some(path.clone()), None, now);
        }
        self.channels.announce(path, *kind, payload);
        self.charge(id, payload.len(), now);
        self.counters.posted += 1;
        self.counters.messages_in += 1;
        self.counters.bytes_in += payload.len() as u64;
        #[cfg(any(test, feature = "simulation"))]
        self.published.push(super::Published {
            channel: path.clone(),
            sender: id,
            text: *kind == crate::frame::Kind::Text,
            payload: payload.clone(),
        });
        self.answer_post(id, peers, allowed_origin.as_deref(), now);
    }

    /// Whether a sender on this channel would have to wait.
    fn has_no_room(&self, path: &str) -> bool {
        let is_held = |channel| self.channels.unoffered(channel) > self.limits.hold as u64;
        self.is_backlog_full() || self.channels.find(path).is_some_and(is_held)
    }

    fn answer_post(&mut self, id: PeerId, peers: usize, allowed_origin: Option<&str>, now: Instant) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        peer.control.push(&accepted(peers, allowed_origin));
        self.handshaking -= 1;
        self.enter_closing(id, Vec::new(), None, now);
    }
}
