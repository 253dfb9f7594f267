//! Phase 4: the wheel says whose time may have come; each peer is asked what is due, and put back.

use super::Relay;
use crate::{
    canary::{self, Canary},
    counters::Disconnect,
    event_stream::{self, Form},
    frame::PING_FRAME,
    handshake::Refusal,
    id::PeerId,
    peer::{Circumstances, Overdue, Peer, Stage},
    wheel::{NEVER, Tick},
};
use std::time::Instant;

impl<L> Relay<L> {
    /// expire: pings and deadlines.
    pub fn expire(&mut self, now: Instant) {
        self.visitors.forget(now);
        let mut expired = std::mem::take(&mut self.expired);
        self.wheel.advance(now, &mut expired);
        for (id, tick) in expired.drain(..) {
            self.call_on(id, tick, now);
        }
        self.expired = expired;
    }

    fn call_on(&mut self, id: PeerId, tick: Tick, now: Instant) {
        let is_valid = |peer: &Peer<L>| peer.armed == tick || canary::sings(Canary::StaleTimerHeeded);
        let Some(peer) = self.roster.get_mut(id).filter(|peer| is_valid(peer)) else { return };
        peer.armed = NEVER;
        match &mut peer.stage {
            Stage::Handshaking { deadline, .. } if *deadline <= now => self.refuse(id, Refusal::Timeout, now),
            Stage::Posting(posting) if posting.deadline(&self.limits) <= now => {
                self.refuse(id, Refusal::BodyTimeout, now);
            }
            Stage::Open(open) => {
                open.rest(self.limits.under(peer.rule).rate_burst, now);
                let (form, reading, writable) = (peer.form, peer.reading, peer.writable);
                let at = Circumstances { form, reading, writable, unsaid: !peer.control.is_empty() };
                let overdue = open.overdue(self.limits.under(peer.rule), at, now);
                self.settle_overdue(id, overdue, now);
            }
            Stage::Closing(closing) if closing.deadline <= now => self.give_up(id, now),
            _ => {}
        }
        self.arm(id);
    }

    fn settle_overdue(&mut self, id: PeerId, overdue: Overdue, now: Instant) {
        match overdue {
            Overdue::Nothing => {}
            Overdue::Ping => self.ping(id),
            Overdue::Pong => self.cut(id, Disconnect::PingTimeout, 1001, "ping-timeout", now),
            Overdue::Message => self.close(id, Disconnect::IdleMessage, 1008, "idle-message", now),
            Overdue::Bytes => self.slow(id, now),
            Overdue::Leave if self.drain_ends.is_some() => self.send_off(id, now),
            Overdue::Leave => self.close(id, Disconnect::TokenExpired, 1008, "token-expired", now),
            Overdue::Wait => self.wake(id, now),
        }
    }

    fn ping(&mut self, id: PeerId) {
        let Some(peer) = self.roster.get_mut(id) else { return };
        match peer.form {
            Form::Frames if !peer.control.is_full() => peer.control.push(&PING_FRAME),
            // One that has not left says as much as two.
            Form::Events if peer.control.is_empty() => peer.control.push(event_stream::COMMENT),
            _ => return,
        }
        self.counters.pings += 1;
        self.rouse(id);
    }

    /// The close deadline of a peer came.
    fn give_up(&mut self, id: PeerId, now: Instant) {
        self.counters.close_timeouts += 1;
        let unsaid = self.roster.get(id).is_some_and(|peer| peer.has_unsaid(&self.channels));
        self.counters.undelivered_closes += u64::from(unsaid);
        self.gone(id, true, now);
    }
}
