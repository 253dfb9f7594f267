//! Clients that post: a message whole, too short, too long, or against the rules; and what may be the answer.

use super::{client::Client, letter::Letter, letter::MIN_LETTER, permit, rng::Rng, world::World};
use crate::limits::{Kinds, Limits};

/// What a poster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trick {
    None,
    Expects,
    Short,
    Long,
    TooLarge,
    NoLength,
    Page,
    NotText,
    TwoEnds,
    /// Where the channel takes one only.
    WrongKind,
}

/// Most mean well.
const TRICKS: [Trick; 12] = [
    Trick::None,
    Trick::None,
    Trick::None,
    Trick::Expects,
    Trick::Expects,
    Trick::Short,
    Trick::Long,
    Trick::TooLarge,
    Trick::NoLength,
    Trick::Page,
    Trick::NotText,
    Trick::TwoEnds,
];

impl Trick {
    fn draw(kinds: Kinds, rng: &mut Rng) -> Self {
        match (rng.pick(&TRICKS), kinds) {
            (trick, Kinds::Both) => trick,
            // Only text can be broken, and it is not taken everywhere.
            (Self::NotText, _) => Self::WrongKind,
            (trick, _) => trick,
        }
    }

    /// Its name, and the statuses that may answer it: 503 where the channel may be full, or memory.
    fn answer(self) -> (&'static str, &'static [u16]) {
        match self {
            Self::None => ("post", &[202, 503]),
            Self::Expects => ("post that expects", &[202, 503]),
            Self::Short => ("short post", &[408, 503]),
            // What is too much may come after the answer.
            Self::Long => ("long post", &[202, 400, 503]),
            Self::TooLarge => ("large post", &[413]),
            Self::NoLength => ("post without a length", &[411]),
            Self::Page => ("post of a page", &[403]),
            Self::NotText => ("post of no text", &[400, 503]),
            Self::TwoEnds => ("post with two ends", &[400]),
            Self::WrongKind => ("post of the wrong kind", &[415]),
        }
    }

    /// Whether the message may be relayed.
    fn may_arrive(self) -> bool {
        self.answer().1.contains(&202)
    }

    /// The header lines that tell the length, and others that belong to the trick.
    fn fields(self, length: usize) -> String {
        match self {
            Self::NoLength => "Transfer-Encoding: chunked\r\n".into(),
            Self::TwoEnds => format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            Self::Page => format!("Origin: http://elsewhere.example\r\nContent-Length: {length}\r\n"),
            Self::Expects => format!("Expect: 100-continue\r\nContent-Length: {length}\r\n"),
            _ => format!("Content-Length: {length}\r\n"),
        }
    }
}

impl World {
    /// Makes a client that has just come one that posts.
    pub(super) fn make_poster(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let limits = self.plan.at(client.channel);
        let trick = Trick::draw(limits.kinds, &mut self.rng);
        let request = compose(trick, client, self.plan.at(client.channel), &mut self.rng);
        let request = permit::stamp(client.paper.as_ref(), request);
        client.ask(self.roads[number].carry(&request), false);
        client.breach = Some(trick.answer());
    }
}

/// The whole request, with what of the body is sent.
fn compose(trick: Trick, client: &mut Client, limits: &Limits, rng: &mut Rng) -> Vec<u8> {
    let text = match limits.kinds {
        Kinds::Both => trick == Trick::NotText || rng.chance(500),
        kinds => {
            trick == Trick::WrongKind && kinds == Kinds::Binary
                || trick != Trick::WrongKind && kinds == Kinds::Text
        }
    };
    let size = rng.between(MIN_LETTER, client.habits.largest.min(limits.max_message));
    let letter = Letter { channel: client.channel, sender: client.number, n: 0 };
    let message = letter.write(text, size, rng);
    let mut body = message.payload.clone();
    let mut length = size;
    match trick {
        Trick::Short => body.truncate(rng.below(size)),
        Trick::Long => body.push(b'!'),
        Trick::TooLarge => length = limits.max_message + 1 + rng.below(1000),
        Trick::NotText => body[size - 1] = 0xff,
        _ => {}
    }
    if trick.may_arrive() {
        client.sent.push(message);
    }
    let path = super::client::path(client.channel);
    let kind = if text { "text/plain" } else { "application/octet-stream" };
    let fields = trick.fields(length);
    let head = format!("POST {path} HTTP/1.1\r\nHost: relay.example\r\nContent-Type: {kind}\r\n{fields}\r\n");
    [head.as_bytes(), &body].concat()
}
