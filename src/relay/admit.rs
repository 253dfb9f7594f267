//! Who a newcomer is, and whether its address may have one more connection.
//!
//! An address is reckoned with once, as soon as it is known: that of a stranger when it connects, before anything is
//! read; that which a PROXY line names, before the request is read; that which a header names, with the request. It is
//! counted until its slot is freed.

use super::{Relay, visitors::Answer};
use crate::{
    address::{Caller, Evidence, Proxies, Source},
    canary::{self, Canary},
    event_stream::Form,
    handshake::{Claim, Effort, Heard, Offer, Pass, Refusal, Verdict},
    id::PeerId,
    news::{Event, News},
    peer::{Remark, Stage, Stay},
};
use std::time::Instant;

impl<L> Relay<L> {
    /// From now on these are believed; who is here already stays who it is.
    pub fn believe(&mut self, proxies: Proxies) {
        self.proxies = proxies;
        self.has_missed_a_client = false;
    }

    /// Who a peer is, that is still there.
    pub fn address_of(&self, id: PeerId) -> Option<Caller> {
        self.roster.get(id).map(|peer| peer.caller)
    }

    /// Takes what came before the request is complete.
    pub(super) fn hear_newcomer(&mut self, id: PeerId, bytes: &[u8], now: Instant) {
        let Some(bytes) = self.hear_proxy_line(id, bytes, now) else { return };
        let Some(peer) = self.roster.get_mut(id) else { return };
        let Stage::Handshaking { head, .. } = &mut peer.stage else { return };
        let source = (peer.remark != Remark::Unnamed).then_some(peer.caller.real);
        let Self { limits, gate, desk, unix, proxies, .. } = self;
        let offer = Offer { peer: id, limits, gate, desk, unix: *unix, source, proxies };
        let Heard { verdict, claim, effort } = head.receive(bytes, &offer);
        self.note_effort(&effort);
        let is_good = !matches!(verdict, Verdict::More | Verdict::Refuse(_));
        // Whoever knocks without knowing what is here shows nothing of how peers come.
        let claim = if is_good || !matches!(claim, Claim::Missing(_)) { claim } else { Claim::Nothing };
        if !self.heed(id, claim, now) {
            return;
        }
        match verdict {
            Verdict::More => {}
            Verdict::Refuse(refusal) => {
                self.refuse_on(id, refusal, effort.refused_on, effort.refused_origin, now);
            }
            Verdict::Post(post) => self.begin_post(id, &post, now),
            Verdict::Accept { response, path, tag, pass } => {
                self.seat(id, &path, Form::Frames, response, tag, pass, now);
            }
            Verdict::Listen { response, path, tag, pass } => {
                self.seat(id, &path, Form::Events, response, tag, pass, now);
            }
        }
    }

    fn note_effort(&mut self, effort: &Effort) {
        self.counters.token_signatures += effort.signatures as u64;
        self.counters.ignored_users += u64::from(effort.user_ignored);
    }

    /// The peer joins the channel, unless that has no place for it.
    #[allow(clippy::too_many_arguments, reason = "what a handshake brings, each once")]
    fn seat(
        &mut self,
        id: PeerId,
        path: &str,
        form: Form,
        response: Vec<u8>,
        tag: Option<u64>,
        pass: Pass,
        now: Instant,
    ) {
        let most = self.limits.under(pass.rule).max_peers;
        if most > 0 && self.channels.members_of(path) >= most {
            return self.refuse_on(id, Refusal::MaxPeers, Some(path.into()), None, now);
        }
        self.note_tag(id, tag);
        self.join(id, path, form, response, pass, now);
    }

    /// The peer wants to be found by this, as long as it is there.
    fn note_tag(&mut self, id: PeerId, tag: Option<u64>) {
        if let Some(tag) = tag {
            self.tags.insert(id, tag);
        }
    }

    /// What is left of `bytes` for the request, if the peer may go on to it.
    fn hear_proxy_line<'b>(&mut self, id: PeerId, bytes: &'b [u8], now: Instant) -> Option<&'b [u8]> {
        let peer = self.roster.get_mut(id)?;
        let Stage::Handshaking { proxy_line, .. } = &mut peer.stage else { return None };
        let Some(line) = proxy_line else { return Some(bytes) };
        match line.receive(bytes) {
            Ok(None) => None,
            Ok(Some(said)) => {
                *proxy_line = None;
                let via = peer.caller.via;
                self.heed_proxy(id, via, said.source, now).then(|| &bytes[said.used..])
            }
            Err(refusal) => {
                self.refuse(id, refusal, now);
                None
            }
        }
    }

    fn heed_proxy(&mut self, id: PeerId, via: Source, named: Option<Source>, now: Instant) -> bool {
        match named {
            Some(source) if self.proxies.trusted.trusts(via) => self.reckon_with(id, source, now),
            Some(_) => self.heed(id, Claim::Ignored, now),
            None => {
                self.note_unnamed(id);
                true
            }
        }
    }

    /// The proxy does not know its client, and one that speaks so writes no header: a header is the client's own word.
    fn note_unnamed(&mut self, id: PeerId) {
        if let Some(peer) = self.roster.get_mut(id) {
            peer.remark = Remark::Unnamed;
        }
    }

    /// Acts on what a request says of its client, and says whether the peer may go on.
    fn heed(&mut self, id: PeerId, claim: Claim, now: Instant) -> bool {
        match claim {
            Claim::Nothing => {}
            Claim::Missing(evidence) => self.miss_client(id, evidence),
            Claim::Client(source) => return self.reckon_with(id, source, now),
            Claim::Unreadable => self.counters.unreadable_addresses += 1,
            Claim::Ignored => self.counters.ignored_addresses += 1,
        }
        true
    }

    /// A proxy names no client: that is told once, however many come.
    fn miss_client(&mut self, id: PeerId, evidence: Evidence) {
        if !std::mem::replace(&mut self.has_missed_a_client, true) {
            let event = Event::ClientMissing { evidence, believed: self.proxies.header };
            self.news.push(News { id, event, suppressed: 0 });
        }
    }

    /// The peer is `real`, as far as anybody will say. Refuses it if there are too many of that address, and says
    /// whether it may go on.
    pub(super) fn reckon_with(&mut self, id: PeerId, real: Source, now: Instant) -> bool {
        let Some(peer) = self.roster.get_mut(id) else { return false };
        // Whom it was taken for before has one connection less: its proxy may be trusted since a reload only.
        let before = peer.end_stay();
        peer.caller.real = real;
        self.end_stay(before);
        let Some(client) = self.proxies.account(real).filter(|_| self.limits.limits_addresses()) else {
            return true;
        };
        match self.visitors.admit(client, &self.limits, now) {
            Answer::Welcome(stay) => {
                self.note_stay(id, stay);
                true
            }
            Answer::Refuse(stay, refusal) => {
                self.note_stay(id, stay);
                self.refuse(id, refusal, now);
                false
            }
            Answer::Drop(refusal) => {
                self.drop_unanswered(id, refusal, now);
                false
            }
        }
    }

    fn note_stay(&mut self, id: PeerId, stay: Stay) {
        if let Some(peer) = self.roster.get_mut(id) {
            peer.begin_stay(stay);
        }
    }

    /// Refuses without a word: so many of that address are being told so already that it would cost others their
    /// slots.
    fn drop_unanswered(&mut self, id: PeerId, refusal: Refusal, now: Instant) {
        self.handshaking -= 1;
        self.counters.refuse(refusal.label());
        self.tell(id, now, |_| Event::Refused { reason: refusal.label(), channel: None, origin: None });
        self.gone(id, true, now);
    }

    /// A slot is freed: its address has one connection less.
    pub(super) fn end_stay(&mut self, stay: Option<Stay>) {
        if let Some(stay) = stay.filter(|_| !canary::sings(Canary::StayNotEnded)) {
            self.counters.forgotten_addresses += self.visitors.leave(stay, &self.limits);
        }
    }
}
