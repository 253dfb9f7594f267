//! The end of a world: the faults stop, what is due must arrive, everybody leaves, and nothing may stay behind.

use std::{collections::BTreeMap, time::Duration};

use super::{
    client::{End, Kind, Leave, Wish},
    core,
    world::World,
};
use crate::{event_stream::Form, limits::Kinds};

/// Steps in which any world must come to rest.
const STEPS_MOST: usize = 300_000;
/// What a slow client reads at a time from then on.
const DRIBBLE_LEAST: usize = 100;
/// Clients that say something more after the last fault.
const PROBES_MOST: usize = 20;

impl World {
    /// No more faults and no more words; the slow read without pauses, the stuck stay stuck.
    pub(super) fn calm(&mut self) {
        self.net.calm();
        self.plan.laziness = 0;
        self.to_come.clear();
        self.rebirths = 0;
        for number in &self.living {
            let habits = &mut self.clients[*number].habits;
            habits.words_left = 0;
            habits.leave = Leave::Stay;
            habits.read_pause = Duration::ZERO;
            if habits.read_most > 0 {
                habits.read_most = habits.read_most.max(DRIBBLE_LEAST);
            }
        }
    }

    /// The longest that any trouble may take to pass: all deadlines, one after the other.
    fn patience(&self) -> Duration {
        let limits = &self.plan.limits;
        Duration::from_secs(60)
            + limits.ping_interval * 2
            + limits.pong_timeout
            + limits.handshake_timeout
            + limits.close_timeout
            + limits.message_timeout * 2
            + limits.soft_lag_time
            + limits.stall_timeout
    }

    /// Goes on until `done`, within bounded virtual time and bounded steps.
    pub(super) fn run_until(
        &mut self,
        what: &str,
        done: impl Fn(&Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let end = self.now + self.patience() + self.outstanding();
        for _ in 0..STEPS_MOST {
            let Err(missing) = done(self) else { return Ok(()) };
            if self.now > end {
                return Err(format!("liveness: {what}: {missing}; busy {}", self.core.is_busy()));
            }
            self.step()?;
        }
        let missing = done(self).err().unwrap_or_default();
        Err(format!("liveness: {what} takes more than {STEPS_MOST} steps: {missing}"))
    }

    /// Whether a client is there, reads, and has done nothing that ends its connection.
    pub(super) fn is_well(&self, number: usize) -> bool {
        let (client, fortune) = (&self.clients[number], &self.fortunes[number]);
        let reads = client.habits.read_most > 0 && client.habits.read_messages == usize::MAX;
        reads && client.is_talking() && client.habits.answers && client.breach.is_none() && !fortune.cut
    }

    pub(super) fn well(&self) -> Vec<usize> {
        self.living.iter().copied().filter(|number| self.is_well(*number)).collect()
    }

    /// Everything that the well said was accepted, and everything accepted has reached them.
    pub(super) fn is_settled(&self) -> Result<(), String> {
        if self.is_astir() {
            return Err("events or turns are pending".into());
        }
        if self.living.iter().any(|number| self.clients[*number].wish(&self.net) <= Wish::At(self.now)) {
            return Err("clients have things to do".into());
        }
        for number in self.well() {
            let client = &self.clients[number];
            let accepted = self.book.accepted[number];
            if accepted < client.sent.len() {
                return Err(format!(
                    "{accepted} of {} messages of client {number} accepted",
                    client.sent.len()
                ));
            }
            if client.lacks_pongs() {
                return Err(format!("client {number} waits for a pong"));
            }
            if !self.book.is_complete(client) {
                return Err(format!("client {number} has not got everything"));
            }
        }
        Ok(())
    }

    /// Some of those who are well say one thing each, and all others hear it.
    fn probe(&mut self) -> Result<(), String> {
        let mut well = self.well();
        well.retain(|number| {
            let client = &self.clients[*number];
            client.kind.form() == Form::Frames && client.may.publish
        });
        self.rng.shuffle(&mut well);
        for number in well.into_iter().take(PROBES_MOST) {
            let limits = self.plan.at(self.clients[number].channel);
            let (size, text) = (limits.max_message.min(40), limits.kinds != Kinds::Binary);
            self.clients[number].say(text, size, 1);
        }
        self.run_until("probes arrive", Self::is_settled)
    }

    /// From the last fault to an empty relay.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.calm();
        self.run_until("what was due arrives", Self::is_settled)?;
        self.probe()?;
        if self.plan.drains {
            self.drain();
        } else {
            self.leave_all();
        }
        self.run_until("everybody is gone", |world| {
            if world.core.is_empty() && !world.is_astir() { Ok(()) } else { Err("peers are left".into()) }
        })?;
        self.check_drain()?;
        self.check_nothing_is_left()
    }

    fn leave_all(&mut self) {
        for number in self.living.clone() {
            let stays =
                self.plan.stuck_stay && matches!(self.clients[number].kind, Kind::Stuck | Kind::Silent);
            let leave = match self.clients[number].kind.form() {
                Form::Frames => Leave::Close(1000),
                Form::Events => Leave::Shut,
            };
            let leave = self.rng.pick(&[leave, Leave::Shut, Leave::Vanish, Leave::Reset]);
            if self.clients[number].is_talking() && self.is_well(number) {
                self.clients[number].habits.leave = leave;
            } else if stays {
                self.clients[number].habits.read_most = 0;
            } else {
                self.dismiss(number);
            }
        }
    }

    /// After a drain, everybody who reads was told 1012.
    fn check_drain(&self) -> Result<(), String> {
        for number in
            (0..self.clients.len()).filter(|number| self.plan.drains && self.is_prompt_to_the_end(*number))
        {
            let end = &self.clients[number].end;
            // For the rest it has been judged.
            if !matches!(end, Some(End::Closed(1012 | 1008 | 1003, _))) {
                return Err(format!("drain: {}", self.case(number).describe()));
            }
        }
        Ok(())
    }

    /// Was there when the relay was shut down, reads all, and gave no cause to be closed for anything else.
    fn is_prompt_to_the_end(&self, number: usize) -> bool {
        let (client, fortune) = (&self.clients[number], &self.fortunes[number]);
        let gone_before = !fortune.drained || client.end == Some(End::Left);
        let is_prompt = client.kind == Kind::Listener && client.habits.is_prompt();
        let is_good = (client.kind == Kind::Honest || is_prompt) && !fortune.cut && !fortune.crowded;
        is_good && !gone_before && client.is_welcome() && self.net.sockets[number].refused == 0
    }

    /// No address was let in more often than its rate allows.
    fn check_handshakes(&self) -> Result<(), String> {
        let rate = u64::from(self.plan.limits.handshakes_per_address_per_sec);
        let most = rate * (5 + self.now.as_secs() + 1);
        let mut joined = BTreeMap::<_, u64>::new();
        for (client, road) in self.clients.iter().zip(&self.roads) {
            if let Some(address) = road.client().filter(|_| client.is_welcome()) {
                *joined.entry(address).or_default() += 1;
            }
        }
        match joined.into_iter().find(|(_, joined)| rate > 0 && *joined > most) {
            Some((address, joined)) => Err(format!("law 9: {joined} handshakes of {address}, of {most}")),
            None => Ok(()),
        }
    }

    /// No peer, no channel, no memory, no timer, nobody uncounted.
    pub(super) fn check_nothing_is_left(&mut self) -> Result<(), String> {
        let counters = core::counters(&self.core);
        let ended = counters.refused_total() + counters.disconnects_total() + counters.posted;
        if counters.opened != ended {
            return Err(format!("law 12: {} opened, {ended} ended: {counters}", counters.opened));
        }
        if self.book.missed() > counters.skipped_messages {
            let counted = counters.skipped_messages;
            return Err(format!("law 8: {} messages missed, {counted} counted", self.book.missed()));
        }
        self.check_handshakes()?;
        core::residue(&self.core)?;
        match self.core.next_deadline() {
            Some(_) => Err("a timer is left of nobody".into()),
            None => Ok(()),
        }
    }
}
