//! Whether a connection ended as it had to: nobody is closed without a cause, and the cause is told right
//! (laws 8, 12 and 13, and the tables of status and close codes).

use std::time::Duration;

use super::{
    client::{Client, End, Kind},
    net::Socket,
    permit::SPREAD,
};
use crate::{event_stream::Form, limits::Limits};

/// A tick of the timer wheel: deadlines may be that late.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// What befell a connection that its client did not do.
#[derive(Clone, Debug, Default)]
pub(super) struct Fortune {
    /// When it was accepted.
    pub(super) opened_at: Option<Duration>,
    /// There was no place for it when it came.
    pub(super) crowded: bool,
    /// `open` gave the link back.
    pub(super) turned_away: bool,
    /// The network reset it, or the outside lost it.
    pub(super) cut: bool,
    /// The relay was shut down while it was there.
    pub(super) drained: bool,
    /// When the relay let go of it.
    pub(super) buried_at: Option<Duration>,
    /// Whether that was a reset.
    pub(super) was_reset: bool,
    /// It was over its rate when somebody was closed for that.
    pub(super) was_over_rate: bool,
    /// When its request had been read.
    pub(super) asked_at: Option<Duration>,
}

/// All that is known of a connection that has ended.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) client: &'a Client,
    pub(super) socket: &'a Socket,
    pub(super) fortune: &'a Fortune,
    pub(super) limits: &'a Limits,
    /// It counts under an address, and there is a limit for that.
    pub(super) is_limited: bool,
    /// So long it may be left unread for its rate.
    pub(super) rests_until: Duration,
    pub(super) now: Duration,
    /// The clock has jumped: time has run out within messages that nobody could finish.
    pub(super) jumped: bool,
}

impl Case<'_> {
    /// Whether the end has a cause.
    pub(super) fn judge(&self) -> Result<(), String> {
        let Some(end) = &self.client.end else { return Ok(()) };
        let fair = match end {
            End::Left => true,
            End::Refused(status) => self.is_fair_refusal(*status),
            End::Closed(code, reason) => self.is_fair_close(*code, reason),
            End::Silence => self.client.has_shut || self.fortune.cut,
            End::Reset => self.is_fair_reset(),
        };
        if fair { Ok(()) } else { Err(format!("law 8: {}", self.describe())) }
    }

    pub(super) fn describe(&self) -> String {
        let Case { client, socket, fortune, .. } = self;
        format!(
            "client {} ({:?}) as {:?} ended with {:?}; breach {:?}, said close {:?}, refused {} writes, roomy {}, {:?}",
            client.number,
            client.kind,
            socket.name,
            client.end,
            client.breach,
            client.said_close,
            socket.refused,
            socket.roomy,
            fortune
        )
    }

    fn age(&self) -> Duration {
        self.now - self.fortune.opened_at.unwrap_or(self.now)
    }

    /// The socket refused bytes at some time, so that its peer may count as slow.
    fn was_slow(&self) -> bool {
        self.socket.refused > 0 && !self.socket.roomy
    }

    fn is_fair_refusal(&self, status: u16) -> bool {
        match status {
            429 => self.is_limited,
            401 if self.paper_ends().is_some_and(|ends| ends <= self.now) => true,
            503 if self.limits.max_peers > 0 && self.client.kind != Kind::Poster => true,
            503 if self.fortune.crowded || self.fortune.drained => true,
            408 if self.client.kind == Kind::Poster => self.is_fair_post_timeout(),
            408 => {
                self.age() >= self.limits.handshake_timeout
                    && (matches!(self.client.kind, Kind::SlowAsker | Kind::Mute)
                        || self.was_slow_to_ask()
                        || self.jumped)
            }
            _ => self.may_answer(status),
        }
    }

    fn paper_ends(&self) -> Option<Duration> {
        self.client.paper.as_ref()?.ends
    }

    fn may_answer(&self, status: u16) -> bool {
        let Client { refusal, .. } = self.client;
        if *refusal == Some(status) || refusal.is_some() && status == 202 {
            return status != 202;
        }
        self.client.breach.is_some_and(|(_, statuses)| statuses.contains(&status))
    }

    /// A body that does not come, or budgets so narrow that time runs out.
    fn is_fair_post_timeout(&self) -> bool {
        let least = self.limits.message_timeout.min(self.limits.handshake_timeout);
        self.age() >= least && (self.may_answer(408) || self.limits.turn.read_per_peer < 100 || self.jumped)
    }

    /// The request had not yet been read: budgets may be so narrow that time runs out.
    fn was_slow_to_ask(&self) -> bool {
        self.limits.turn.read_per_peer < 100 && self.socket.consumed <= self.client.head_len
    }

    fn is_fair_close(&self, code: u16, reason: &str) -> bool {
        let client = self.client;
        let breached = |codes: &[u16]| codes.contains(&code);
        let is_breach = client.breach.is_some_and(|(_, codes)| breached(codes));
        match (code, reason) {
            (1001, "ping-timeout") => self.is_fair_ping_timeout(),
            // Who hears nothing lacks nothing: only that its socket takes nothing at all counts against it.
            (1008, "slow-consumer") => {
                self.was_slow() && (client.may.subscribe || self.age() >= self.limits.stall_timeout)
            }
            (1008, "ping-flood") => client.kind == Kind::PingFlooder,
            (1008, "idle-message") => {
                let is_half = matches!(client.kind, Kind::HalfSender | Kind::EmptyFlooder | Kind::Liar);
                is_half || self.jumped
            }
            (1008, "fragment-flood") => is_breach,
            (1008, "token-expired") => self.paper_ends().is_some_and(|ends| ends <= self.now),
            (1008, "publish-not-allowed") => self.broke_silence(),
            (1008, "rate") => self.fortune.was_over_rate,
            (1008, _) => false,
            (1012, _) => self.fortune.drained,
            (1013, _) => self.was_slow() && client.may.subscribe || self.speaks() && self.is_input_scarce(),
            _ => is_breach || client.said_close == Some(code),
        }
    }

    /// Whoever may only listen has said something.
    fn broke_silence(&self) -> bool {
        let Client { sent, breach, kind, may, .. } = self.client;
        !may.publish && (!sent.is_empty() || breach.is_some() || *kind == Kind::HalfSender)
    }

    /// What it says is heard.
    fn speaks(&self) -> bool {
        self.client.kind.form() == Form::Frames
    }

    /// So little input is allowed for that two clients who both mean well may take it all.
    fn is_input_scarce(&self) -> bool {
        self.limits.max_inflight_read < 1 << 20
    }

    /// No ping of a client that answers at once goes unanswered, unless it cannot be sent.
    fn is_fair_ping_timeout(&self) -> bool {
        let is_prompt = self.client.habits.is_prompt() && self.client.habits.send_most == usize::MAX;
        // Of one who only listens no answer is expected.
        let answers = is_prompt || !self.speaks();
        self.age() >= self.limits.pong_timeout && (!answers || self.was_slow())
    }

    /// A connection is reset when it was cut, when its closing took too long, or when its last words could not be
    /// said; all of that happens only to those who did not read, or went on sending.
    fn is_fair_reset(&self) -> bool {
        let Fortune { cut, turned_away, .. } = self.fortune;
        let reads_all = self.client.habits.is_prompt();
        let talks_on =
            matches!(self.client.kind, Kind::Liar | Kind::BadAsker | Kind::SlowAsker | Kind::Poster)
                || self.client.breach.is_some()
                || self.client.said_close.is_some()
                || self.client.has_shut;
        // Closed for memory, it is owed what was accepted before, which may take longer than a close where little
        // passes at a time.
        let owed = self.is_input_scarce() && self.socket.is_narrow();
        // Too many of its address were being told so already.
        let is_dropped = self.is_limited && self.client.status.is_none();
        *cut || *turned_away || is_dropped || self.was_slow() || !reads_all || talks_on || owed
    }

    /// Deadlines that must have struck by now, for a connection whose socket never refused anything.
    pub(super) fn judge_deadlines(&self) -> Result<(), String> {
        let (client, limits) = (self.client, self.limits);
        let Some(opened_at) = self.fortune.opened_at else { return Ok(()) };
        if self.socket.buried || self.was_slow() || self.socket.tainted || self.socket.has_unread() {
            return Ok(());
        }
        let is_late = |since: Duration, limit: Duration| self.now > since + limit + TICK * 2;
        let body_timeout = if client.kind == Kind::Poster { limits.message_timeout } else { Duration::ZERO };
        if self.socket.written == 0 && is_late(opened_at, limits.handshake_timeout + body_timeout) {
            return Err(format!("law 6: no answer in time: {}", self.describe()));
        }
        if self.socket.finished || client.stage == super::client::Stage::Leaving {
            return Ok(());
        }
        if !self.speaks() {
            return self.judge_comments();
        }
        // One who does not read may have been closed for another reason without having seen it.
        let unseen = if client.habits.is_prompt() { Duration::ZERO } else { limits.close_timeout };
        let silence = limits.ping_interval + limits.pong_timeout + unseen;
        let is_open = client.is_welcome() && client.told.is_none();
        if is_open
            && is_late(self.socket.heard_at.max(opened_at).max(self.rests_until.min(self.now)), silence)
        {
            return Err(format!("law 6: no ping timeout in time: {}", self.describe()));
        }
        Ok(())
    }

    /// Something comes in time to whoever listens, and the kernel knows how long that may stand unacknowledged.
    fn judge_comments(&self) -> Result<(), String> {
        let Case { client, socket, limits, .. } = self;
        if !client.is_welcome() || client.told.is_some() {
            return Ok(());
        }
        let least = limits.stall_timeout;
        if socket.patience.is_none_or(|patience| patience < least) {
            return Err(format!("law 6: {:?} without a word: {}", socket.patience, self.describe()));
        }
        if self.now > socket.written_at + limits.ping_interval + TICK * 2 {
            return Err(format!("law 6: no comment in time: {}", self.describe()));
        }
        Ok(())
    }

    /// Nobody stays whose token has run out.
    pub(super) fn judge_paper(&self) -> Result<(), String> {
        let Some(ends) = self.paper_ends().filter(|_| self.client.is_welcome() && self.client.counts_paper)
        else {
            return Ok(());
        };
        if self.fortune.asked_at.is_some_and(|asked_at| asked_at >= ends) {
            return Err(format!("let in with a token that has run out: {}", self.describe()));
        }
        let unseen = if self.client.habits.is_prompt() && !self.was_slow() {
            Duration::ZERO
        } else {
            self.limits.close_timeout
        };
        let is_gone = self.socket.buried || self.client.told.is_some() || self.client.said_close.is_some();
        if !is_gone && self.now > ends + SPREAD + TICK * 2 + unseen {
            return Err(format!("law 6: still there after its token: {}", self.describe()));
        }
        Ok(())
    }

    /// The close deadline must have struck by now.
    pub(super) fn judge_closing(&self) -> Result<(), String> {
        let Some((_, _, told_at)) = self.client.told else { return Ok(()) };
        if !self.socket.buried && self.now > told_at + self.limits.close_timeout + TICK * 2 {
            return Err(format!("law 6: still there after its close: {}", self.describe()));
        }
        Ok(())
    }
}
