//! What must hold after every turn, recomputed from scratch: the laws that a look at the relay's state can prove.

use super::Relay;
use crate::{
    id::PeerId,
    peer::{Peer, Reading, Stage},
};
use std::collections::BTreeMap;

/// One accepted message, in the order of its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) channel: Box<str>,
    pub(crate) sender: PeerId,
    pub(crate) text: bool,
    pub(crate) payload: Vec<u8>,
}

type Verdict = Result<(), String>;

impl<L> Relay<L> {
    /// The messages accepted since the last call.
    pub(crate) fn take_published(&mut self) -> Vec<Published> {
        std::mem::take(&mut self.published)
    }

    /// Paths of the channels whose senders must not be read in the next turn.
    pub(crate) fn over_hold(&self) -> Vec<Box<str>> {
        self.channels.over(self.limits.hold as u64)
    }

    /// Members of the channel of this path.
    pub(crate) fn crowd(&self, path: &str) -> usize {
        self.channels.members_of(path)
    }

    /// Checks the laws at the end of a turn.
    pub(crate) fn audit(&self) -> Verdict {
        self.audit_lists()?;
        self.audit_sums()?;
        self.visitors.audit(self.roster.iter().filter_map(|(_, peer)| peer.stay()))?;
        self.channels.audit(|id| self.roster.get(id).and_then(|peer| peer.seat.as_ref()))?;
        self.roster
            .iter()
            .try_for_each(|(id, peer)| self.audit_peer(id, peer).map_err(|what| format!("peer {id}: {what}")))
    }

    fn audit_lists(&self) -> Verdict {
        let count = |list: &mut dyn Iterator<Item = &PeerId>| {
            let mut places = BTreeMap::new();
            list.filter(|id| self.roster.get(**id).is_some())
                .for_each(|id| *places.entry(*id).or_insert(0) += 1);
            places
        };
        let (due, unread) = (count(&mut self.due.iter()), count(&mut self.unread.iter()));
        for (id, peer) in self.roster.iter() {
            let places = (due.get(&id).copied().unwrap_or(0), unread.get(&id).copied().unwrap_or(0));
            let wanted = (usize::from(peer.due), usize::from(peer.reading == Reading::Unread));
            if places != wanted {
                return Err(format!(
                    "peer {id} stands {places:?} times on due and unread, {wanted:?} is right"
                ));
            }
        }
        Ok(())
    }

    fn audit_sums(&self) -> Verdict {
        let sum = |of: fn(&Peer<L>) -> usize| self.roster.iter().map(|(_, peer)| of(peer)).sum::<usize>();
        let is_handshaking = |stage: &Stage| matches!(stage, Stage::Handshaking { .. } | Stage::Posting(_));
        let handshaking = self.roster.iter().filter(|(_, peer)| is_handshaking(&peer.stage)).count();
        let open = sum(|peer| usize::from(matches!(peer.stage, Stage::Open(_))));
        let ended = self.counters.refused_total() + self.counters.disconnects_total() + self.counters.posted;
        let found = (
            handshaking,
            sum(|peer| peer.count_inflight().total()),
            sum(|peer| peer.copied as usize),
            ended + (handshaking + open) as u64,
        );
        let counted = (self.handshaking, self.inflight.total(), self.copied, self.counters.opened);
        if found != counted {
            return Err(format!(
                "found {found:?} (handshakes, unfinished, copied, connections), counted {counted:?}"
            ));
        }
        if self.inflight.total() > self.limits.max_inflight_read {
            return Err(format!("{:?} of unfinished input are over the budget (law 9)", self.inflight));
        }
        if let Some(id) = self.tags.keys().chain(self.users.keys()).find(|id| self.roster.get(**id).is_none())
        {
            return Err(format!("{id} is gone, and can be found by its tag or its user"));
        }
        if self.copied > self.share_for_rests {
            return Err(format!("{} bytes of rests are over their share (law 9)", self.copied));
        }
        if self.is_backlog_full() && self.due.is_empty() {
            return Err("the backlogs are over their budget and nobody is due".into());
        }
        Ok(())
    }

    fn audit_peer(&self, id: PeerId, peer: &Peer<L>) -> Verdict {
        let lists = (peer.due, peer.reading != Reading::Idle);
        let wanted = (peer.is_due(&self.channels), peer.is_owed_a_read());
        if lists != wanted {
            return Err(format!("is due, owed a read: {wanted:?}, but listed {lists:?} (law 10)"));
        }
        let rests_until = match &peer.stage {
            Stage::Open(open) => open.rests_until(),
            _ => None,
        };
        let waits = match (peer.reading, &peer.seat) {
            (Reading::Held, Some(seat)) => {
                let is_full = self.channels.unoffered(seat.channel) > self.limits.hold as u64;
                is_full && self.channels.is_waiting(seat.channel, id)
            }
            (Reading::Held, None) => false,
            (Reading::Resting, _) => rests_until.is_some_and(|until| peer.armed <= self.wheel.tick_of(until)),
            _ => rests_until.is_none(),
        };
        if !waits {
            return Err(format!("is {:?} and waits nowhere, or for nothing (law 10)", peer.reading));
        }
        if peer.seat.as_ref().is_some_and(|seat| self.channels.form(seat.channel) != peer.form) {
            return Err(format!("reads {:?} and sits elsewhere (law 11)", peer.form));
        }
        let Some(deadline) = peer.deadline(&self.limits) else {
            return Err("gone and not buried (law 1)".into());
        };
        if peer.armed > self.wheel.tick_of(deadline) {
            return Err("no wheel entry in time (law 6)".into());
        }
        match (&peer.stage, &peer.seat) {
            (Stage::Open(_), None) => Err("open without a seat".into()),
            (Stage::Handshaking { .. } | Stage::Posting(_), Some(_)) => Err("seated before its time".into()),
            (Stage::Closing(_), Some(_)) if !peer.has_backlog(&self.channels) => {
                Err("keeps a seat with nothing due to it".into())
            }
            (Stage::Closing(_), Some(seat)) if !seat.cursor.is_ending() => {
                Err("closes, and is still to get what comes later".into())
            }
            _ => Ok(()),
        }
    }
}
