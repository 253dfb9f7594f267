//! A scripted client: the other end of a connection, with its own reading and writing of the protocol.
//!
//! What a client does is decided by its kind (which tricks) and its habits (how fast, how much, how it leaves). It
//! records what it sent, what it got and how it ended; the judging is done elsewhere.

use std::{collections::VecDeque, time::Duration};

use super::{
    frames::{CLOSE, Decoder, FIN, PONG, Said, put_frame},
    letter::Message,
    liar,
    net::{Fate, Net},
    permit::{Paper, Rights},
    rng::Rng,
    speech::REPLY,
    trace::Note,
};
use crate::{
    event_stream::Form,
    limits::{Limits, OnRate},
};

/// A client stops composing while this much waits to be taken by its socket.
const OUT_MOST: usize = 16 << 10;

/// Which tricks a client plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Honest,
    /// Reads little at a time.
    Slow,
    /// Reads, and says nothing: no message, no pong.
    Silent,
    /// Reads nothing after a while.
    Stuck,
    /// Sends as fast as its socket takes.
    Flooder,
    /// Breaks the protocol after some messages.
    Liar,
    /// Sends a request that is refused.
    BadAsker,
    /// Sends its request byte by byte, too slowly.
    SlowAsker,
    /// Sends no request.
    Mute,
    /// Announces a message and does not finish it.
    HalfSender,
    /// Comes, says something, goes, and comes again.
    Churner,
    PingFlooder,
    /// Sends empty continuation frames without end.
    EmptyFlooder,
    /// Reads its channel as an event stream, and says what nobody hears.
    Listener,
    /// The same, and reads nothing after a while.
    DeafListener,
    /// Posts a message, or something like one.
    Poster,
}

impl Kind {
    /// In which form it reads its channel.
    pub(super) fn form(self) -> Form {
        match self {
            Self::Listener | Self::DeafListener => Form::Events,
            _ => Form::Frames,
        }
    }
}

/// How a client goes when it has said all it had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Stay,
    /// With a close frame of this code; 1005 stands for an empty one.
    Close(u16),
    /// Ends its writing side and reads on.
    Shut,
    Vanish,
    Reset,
}

/// How fast, how much, how it leaves.
#[derive(Clone, Debug)]
pub(super) struct Habits {
    /// Bytes taken per read; 0: none.
    pub(super) read_most: usize,
    pub(super) read_pause: Duration,
    /// Messages read before the client reads no more.
    pub(super) read_messages: usize,
    /// Bytes sent per go.
    pub(super) send_most: usize,
    pub(super) send_pause: Duration,
    /// Goes at saying something (a message, a trick) that are left.
    pub(super) words_left: usize,
    pub(super) say_pause: Duration,
    /// Payload of the largest message.
    pub(super) largest: usize,
    /// Whether pings and closes are answered.
    pub(super) answers: bool,
    /// Whether some of its messages are empty.
    pub(super) empties: bool,
    pub(super) leave: Leave,
}

impl Habits {
    /// Reads everything at once, answers, sends nothing, stays.
    pub(super) fn quiet() -> Self {
        Self {
            read_most: usize::MAX,
            read_pause: Duration::ZERO,
            read_messages: usize::MAX,
            send_most: usize::MAX,
            send_pause: Duration::ZERO,
            words_left: 0,
            say_pause: Duration::ZERO,
            largest: 64,
            answers: true,
            empties: true,
            leave: Leave::Stay,
        }
    }

    /// Whether the client takes all there is whenever it acts.
    pub(super) fn is_prompt(&self) -> bool {
        self.read_most == usize::MAX && self.read_messages == usize::MAX && self.answers
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Asking,
    Open,
    /// Has said its last word.
    Leaving,
    Over,
}

/// How a connection ended, as the client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// An answer that was not a 101, nor a 200.
    Refused(u16),
    /// A close frame, or the last event.
    Closed(u16, String),
    /// The end without a word.
    Silence,
    Reset,
    /// The client went first.
    Left,
}

/// When a client would do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    At(Duration),
    Never,
}

/// One client, with one connection.
#[derive(Debug)]
pub(super) struct Client {
    /// The number of its socket.
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) channel: usize,
    pub(super) habits: Habits,
    pub(super) stage: Stage,
    pub(super) rng: Rng,
    /// What stands in a request that is a good one, else 0.
    pub(super) head_len: usize,
    decoder: Decoder,
    pub(super) out: Vec<u8>,
    out_at: usize,
    /// When it last acted.
    pub(super) now: Duration,
    /// When an honest client may ping again.
    pub(super) ping_at: Duration,
    read_at: Duration,
    pub(super) say_at: Duration,
    send_at: Duration,
    /// Messages in the order in which their bytes go out.
    pub(super) sent: Vec<Message>,
    /// Messages that came and were not yet judged.
    pub(super) inbox: Vec<Message>,
    pub(super) messages_read: usize,
    pub(super) pings_sent: u32,
    pongs_seen: u32,
    pub(super) pings_seen: u32,
    /// The kinds of its heartbeats that were not yet answered.
    pub(super) beats: VecDeque<bool>,
    /// When it got the first ping that it did not answer.
    pub(super) unanswered_since: Option<Duration>,
    /// The close frame that it got, and when.
    pub(super) told: Option<(u16, String, Duration)>,
    pub(super) status: Option<u16>,
    pub(super) said_close: Option<u16>,
    /// Ended its writing side without a close frame.
    pub(super) has_shut: bool,
    /// The name of its breach of the protocol, and the codes or statuses that may answer it.
    pub(super) breach: Option<(&'static str, &'static [u16])>,
    pub(super) end: Option<End>,
    /// The token that it brings.
    pub(super) paper: Option<Paper>,
    /// A token counts for something where it goes.
    pub(super) counts_paper: bool,
    /// What it may do, once it is let in.
    pub(super) may: Rights,
    /// The status that refuses it for what it may not.
    pub(super) refusal: Option<u16>,
}

impl Client {
    pub(super) fn new(number: usize, kind: Kind, channel: usize, habits: Habits, rng: Rng) -> Self {
        let request = match kind.form() {
            Form::Frames => liar::request(&path(channel)),
            Form::Events => liar::stream_request(&path(channel)),
        };
        let out = request.into_bytes();
        Self {
            number,
            kind,
            channel,
            habits,
            stage: Stage::Asking,
            rng,
            head_len: out.len(),
            decoder: Decoder::default(),
            out,
            out_at: 0,
            now: Duration::ZERO,
            ping_at: Duration::ZERO,
            read_at: Duration::ZERO,
            say_at: Duration::ZERO,
            send_at: Duration::ZERO,
            sent: Vec::new(),
            inbox: Vec::new(),
            messages_read: 0,
            pings_sent: 0,
            pongs_seen: 0,
            pings_seen: 0,
            beats: VecDeque::new(),
            unanswered_since: None,
            told: None,
            status: None,
            said_close: None,
            has_shut: false,
            breach: None,
            end: None,
            paper: None,
            counts_paper: false,
            may: Rights::ALL,
            refusal: None,
        }
    }

    /// Replaces the request.
    pub(super) fn ask(&mut self, request: Vec<u8>, is_good: bool) {
        self.head_len = if is_good { request.len() } else { 0 };
        self.out = request;
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Was let in.
    pub(super) fn is_welcome(&self) -> bool {
        self.status.is_some_and(|status| welcomes(status, self.kind))
    }

    /// Open, told nothing, and with nothing said that ends the connection.
    pub(super) fn is_talking(&self) -> bool {
        self.stage == Stage::Open && self.told.is_none() && self.said_close.is_none()
    }

    /// Everything that the client had to say stands in its socket.
    pub(super) fn has_sent_all(&self) -> bool {
        self.out_at == self.out.len()
    }

    /// Has more to say, of which so many messages were accepted, where nobody waits for its rate.
    pub(super) fn is_over_rate_for_good(&self, limits: &Limits, accepted: usize) -> bool {
        self.is_welcome() && limits.on_rate == OnRate::Disconnect && accepted < self.sent.len()
    }

    fn reads(&self) -> bool {
        self.habits.read_most > 0 && self.messages_read < self.habits.read_messages
    }

    fn may_say(&self) -> bool {
        let has_word = self.habits.words_left > 0 || self.habits.leave != Leave::Stay && self.has_sent_all();
        self.is_talking() && has_word && self.out.len() - self.out_at < OUT_MOST
    }

    /// When the client would act, as things stand.
    pub(super) fn wish(&self, net: &Net) -> Wish {
        if self.is_over() {
            return Wish::Never;
        }
        let when = |wanted: bool, at: Duration| if wanted { Wish::At(at) } else { Wish::Never };
        let read = when(self.reads() && net.has_news(self.number), self.read_at);
        let send = when(!self.has_sent_all() && net.room(self.number) > 0, self.send_at);
        read.min(send).min(when(self.may_say(), self.say_at))
    }

    /// Reads, speaks and sends, each if it is time.
    ///
    /// # Errors
    /// What the relay must not have sent.
    pub(super) fn act(&mut self, now: Duration, net: &mut Net, limits: &Limits) -> Result<(), String> {
        self.now = now;
        if self.reads() && now >= self.read_at && net.has_news(self.number) {
            self.listen(now, net)?;
        }
        if !self.is_over() && self.may_say() && now >= self.say_at {
            self.say_at = now + self.habits.say_pause;
            self.speak(net, limits);
        }
        if !self.is_over() && !self.has_sent_all() && now >= self.send_at {
            self.send(now, net);
        }
        Ok(())
    }

    fn send(&mut self, now: Duration, net: &mut Net) {
        let most = self.habits.send_most.min(self.out.len() - self.out_at);
        self.out_at += net.send(self.number, &self.out[self.out_at..self.out_at + most]);
        self.send_at = now + self.habits.send_pause;
        if self.has_sent_all() {
            self.out.clear();
            self.out_at = 0;
        }
    }

    fn listen(&mut self, now: Duration, net: &mut Net) -> Result<(), String> {
        self.read_at = now + self.habits.read_pause;
        let mut bytes = Vec::new();
        net.receive(self.number, self.habits.read_most, &mut bytes);
        self.decoder.feed(&bytes);
        while let Some(said) = self.decoder.next()? {
            self.hear(said, now, net)?;
        }
        match net.fate(self.number) {
            Fate::Open => Ok(()),
            Fate::Broken => {
                self.finish(End::Reset, net);
                Ok(())
            }
            // Who ends its side without a close frame is not written to any more.
            Fate::Ended if !self.has_shut && !self.decoder.is_at_boundary() => {
                Err("law 5: the stream ends within a frame".into())
            }
            Fate::Ended => {
                self.finish(End::Silence, net);
                net.leave(self.number);
                Ok(())
            }
        }
    }

    /// The connection is over for this client. `how` counts when the relay said nothing that explains it.
    pub(super) fn finish(&mut self, how: End, net: &mut Net) {
        let end = match (&self.told, self.status) {
            _ if how == End::Left => how,
            (Some((code, reason, _)), _) => End::Closed(*code, reason.clone()),
            (None, Some(status)) if !welcomes(status, self.kind) => End::Refused(status),
            _ => how,
        };
        self.end = Some(end);
        self.stage = Stage::Over;
        self.out.clear();
        self.out_at = 0;
        net.trace.note(Note::Client(self.number, "is over"));
    }

    fn hear(&mut self, said: Said, now: Duration, net: &mut Net) -> Result<(), String> {
        match said {
            Said::Status(status) => {
                self.status = Some(status);
                if self.is_welcome() && (self.head_len == 0 || self.refusal.is_some()) {
                    let Self { breach, refusal, .. } = self;
                    return Err(format!("a bad request was accepted: {breach:?}, {refusal:?}"));
                }
                self.stage = if self.is_welcome() { Stage::Open } else { Stage::Leaving };
            }
            Said::Message(text, payload) if self.beats.front() == Some(&text) && payload == REPLY => {
                self.beats.pop_front();
            }
            Said::Message(text, payload) => {
                self.messages_read += 1;
                self.inbox.push(Message { text, payload });
            }
            Said::Ping(payload) => self.hear_ping(&payload, now),
            Said::Pong(payload) => return self.hear_pong(&payload),
            Said::Close(code, reason) => self.hear_close(code, reason, now, net),
        }
        Ok(())
    }

    fn hear_ping(&mut self, payload: &[u8], now: Duration) {
        self.pings_seen += 1;
        if self.habits.answers && self.said_close.is_none() {
            self.put_control(PONG, payload);
        } else {
            self.unanswered_since.get_or_insert(now);
        }
    }

    /// A pong answers the newest ping, or an older one (RFC 6455 5.5.3), and none twice.
    fn hear_pong(&mut self, payload: &[u8]) -> Result<(), String> {
        let number = <[u8; 4]>::try_from(payload).map(u32::from_be_bytes).map_err(|e| e.to_string())?;
        if number <= self.pongs_seen || number > self.pings_sent {
            return Err(format!("pong {number} after {} of {}", self.pongs_seen, self.pings_sent));
        }
        self.pongs_seen = number;
        Ok(())
    }

    fn hear_close(&mut self, code: u16, reason: String, now: Duration, net: &mut Net) {
        net.trace.note(Note::Told(self.number, code, reason.clone()));
        self.told = Some((code, reason, now));
        let answers = self.habits.answers && self.kind.form() == Form::Frames;
        if answers && self.said_close.is_none() && self.breach.is_none() {
            self.say_close(code);
        }
        self.stage = Stage::Leaving;
    }

    /// Whether a ping or a heartbeat was not answered.
    pub(super) fn lacks_pongs(&self) -> bool {
        self.pongs_seen < self.pings_sent || !self.beats.is_empty()
    }

    /// Whether one more ping or heartbeat is no flood: all were answered, and the last was a second ago.
    pub(super) fn may_ping(&self) -> bool {
        !self.lacks_pongs() && self.now >= self.ping_at
    }

    pub(super) fn put_control(&mut self, opcode: u8, payload: &[u8]) {
        let mask = (self.rng.next() as u32).to_be_bytes();
        put_frame(&mut self.out, FIN | opcode, payload, mask);
    }

    pub(super) fn say_close(&mut self, code: u16) {
        self.said_close = Some(code);
        let payload = if code == 1005 { Vec::new() } else { code.to_be_bytes().to_vec() };
        self.put_control(CLOSE, &payload);
    }
}

/// Whether a status lets in who has asked for a channel in this kind's form.
fn welcomes(status: u16, kind: Kind) -> bool {
    status == if kind.form() == Form::Events { 200 } else { 101 }
}

/// The path of a channel.
pub(super) fn path(channel: usize) -> String {
    format!("/c{channel}")
}
