//! The clients' own reading and writing of the protocol, independent of the crate's: what the relay says is judged
//! by somebody who shares no code with it.

use super::events::Reader;

/// The request key of RFC 6455 1.3, and the answer it must get.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// First bytes of frames: FIN and the opcode.
pub(super) const FIN: u8 = 0x80;
pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// Appends a client's frame, masked.
pub(super) fn put_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: [u8; 4]) {
    put_header(out, first, payload.len(), 0x80);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Appends a frame's first bytes, without a mask.
pub(super) fn put_header(out: &mut Vec<u8>, first: u8, size: usize, mask_bit: u8) {
    out.push(first);
    match size {
        0..=125 => out.push(mask_bit | size as u8),
        126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(size as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
}

/// One thing that the relay said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The answer to the request.
    Status(u16),
    /// A message, text or not.
    Message(bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// Takes the relay's bytes apart, and objects to every byte that a server must not send.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    at: usize,
    stage: Stage,
    /// What is read of an event stream.
    reader: Reader,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// The body of a refusal: so many bytes still to come.
    Body(usize),
    Frames,
    Events,
    Closed,
}

impl Decoder {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// What the relay said next, if it has been said to the end.
    pub(super) fn next(&mut self) -> Result<Option<Said>, String> {
        match self.stage {
            Stage::Head => self.head(),
            Stage::Body(left) => self.body(left),
            Stage::Frames => self.frame(),
            Stage::Events => self.event(),
            Stage::Closed if self.rest().is_empty() => Ok(None),
            Stage::Closed => Err(format!("{} bytes after the close frame", self.rest().len())),
        }
    }

    /// Whether the bytes end where something said ends: true of every stream that was not cut.
    pub(super) fn is_at_boundary(&self) -> bool {
        let is_whole = self.reader.is_at_boundary() && !matches!(self.stage, Stage::Body(1..));
        self.rest().is_empty() && is_whole
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn head(&mut self) -> Result<Option<Said>, String> {
        let Some(end) = self.rest().windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8(self.rest()[..end].to_vec()).map_err(|e| e.to_string())?;
        self.at += end + 4;
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let field = |name: &str| {
            let wanted = |line: &&str| line.to_ascii_lowercase().starts_with(name);
            head.lines().find(wanted).map(|line| line[name.len()..].trim())
        };
        if head == "HTTP/1.1 100 Continue" {
            return self.head();
        }
        let size: usize = field("content-length:").map_or(Ok(0), str::parse).map_err(|_| head.clone())?;
        let closes = field("connection:").is_some_and(|value| value.to_ascii_lowercase().contains("close"));
        let good = match status {
            101 => field("sec-websocket-accept:") == Some(ACCEPT),
            200 => closes && field("content-type:") == Some("text/event-stream"),
            _ => closes,
        };
        if !head.starts_with("HTTP/1.1 ") || !good {
            return Err(format!("a bad answer: {head:?}"));
        }
        self.stage = match status {
            101 => Stage::Frames,
            200 => Stage::Events,
            _ => Stage::Body(size),
        };
        Ok(Some(Said::Status(status)))
    }

    fn body(&mut self, left: usize) -> Result<Option<Said>, String> {
        let here = self.rest().len();
        if here > left {
            return Err(format!("{} bytes after a refusal", here - left));
        }
        self.at += here;
        self.stage = Stage::Body(left - here);
        Ok(None)
    }

    fn event(&mut self) -> Result<Option<Said>, String> {
        self.reader.feed(&self.bytes[self.at..]);
        self.at = self.bytes.len();
        let Some(event) = self.reader.next() else { return Ok(None) };
        if let Some((text, payload)) = event.message()? {
            return Ok(Some(Said::Message(text, payload)));
        }
        let (code, reason) = event.close().ok_or_else(|| format!("an event {event:?}"))?;
        let hint = reason.strip_prefix("retry-after=").and_then(|secs| secs.parse::<u64>().ok());
        let is_last = self.reader.next().is_none() && self.reader.is_at_boundary();
        if event.retry_millis != hint.map(|secs| secs * 1000) || !is_last {
            return Err(format!("a bad last event, or more behind it: {event:?}"));
        }
        self.stage = Stage::Closed;
        Ok(Some(Said::Close(code, reason)))
    }

    fn frame(&mut self) -> Result<Option<Said>, String> {
        let Some((first, start, size)) = header(self.rest())? else { return Ok(None) };
        let Some(payload) = self.rest().get(start..start + size).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.at += start + size;
        let said = match first {
            0x81 if std::str::from_utf8(&payload).is_err() => return Err("text that is not UTF-8".into()),
            0x81 => Said::Message(true, payload),
            0x82 => Said::Message(false, payload),
            0x88 => close(&payload)?,
            0x89 | 0x8a if size > 125 => return Err("a control frame above 125 bytes".into()),
            0x89 => Said::Ping(payload),
            0x8a => Said::Pong(payload),
            _ => return Err(format!("a frame that starts with {first:#04x}")),
        };
        if matches!(said, Said::Close(..)) {
            self.stage = Stage::Closed;
        }
        Ok(Some(said))
    }
}

/// First byte, length of the header and of the payload; `None` when the header is not complete.
fn header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, String> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let width = match second {
        0..=125 => 0,
        126 => 2,
        127 => 8,
        _ => return Err("a masked frame".into()),
    };
    let Some(digits) = rest.get(..width) else { return Ok(None) };
    let long = digits.iter().fold(0, |size, digit| size << 8 | usize::from(*digit));
    let size = if width == 0 { usize::from(*second) } else { long };
    let minimal = match width {
        0 => true,
        2 => size > 125,
        _ => size > 0xffff,
    };
    if minimal { Ok(Some((*first, 2 + width, size))) } else { Err("a length that is not minimal".into()) }
}

fn close(payload: &[u8]) -> Result<Said, String> {
    match payload {
        // An empty close answers an empty close (RFC 6455 5.5.1); 1005 stands for it and is never on the wire.
        [] => Ok(Said::Close(1005, String::new())),
        [high, low, reason @ ..] if reason.len() <= 123 => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(format!("close code {code}"));
            }
            let reason = String::from_utf8(reason.to_vec()).map_err(|e| e.to_string())?;
            Ok(Said::Close(code, reason))
        }
        _ => Err(format!("a close frame of {} bytes", payload.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Decoder {
        Decoder { stage: Stage::Frames, ..Decoder::default() }
    }

    #[test]
    fn frames_are_read_in_every_chunking() {
        let stream = [b"\x81\x02hi\x82\x00\x89\x01x\x88\x0f\x03\xf0".as_slice(), b"slow-consumer"].concat();
        for chunk in 1..=stream.len() {
            let (mut decoder, mut said) = (open(), Vec::new());
            for bytes in stream.chunks(chunk) {
                decoder.feed(bytes);
                while let Some(one) = decoder.next().expect("a good stream") {
                    said.push(one);
                }
            }
            assert!(decoder.is_at_boundary());
            assert_eq!(said.len(), 4);
            assert_eq!(said[0], Said::Message(true, b"hi".to_vec()));
            assert_eq!(said[3], Said::Close(1008, "slow-consumer".into()));
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_objected_to() {
        let bad: &[&[u8]] = &[
            b"\x81\x80",
            b"\x01\x00",
            b"\x80\x00",
            b"\x81\x7e\x00\x05",
            b"\x89\x7e\x00\x80",
            b"\x81\x01\xff",
            b"\x88\x01x",
            b"\x88\x02\x03\xed",
            b"\xc1\x00",
            b"\x88\x00\x81\x00",
        ];
        assert!(!bad.is_empty());
        for bytes in bad {
            let mut decoder = open();
            decoder.feed(&[bytes, [0; 200].as_slice()].concat());
            let mut verdict = decoder.next();
            while let Ok(Some(_)) = verdict {
                verdict = decoder.next();
            }
            assert!(verdict.is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn an_event_stream_is_read_in_every_chunking() {
        let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n:\n\ndata: a\ndata: b\n\n\
                      :\n\nevent: binary\ndata: AP8=\n\nretry: 3000\nevent: close\ndata: 1012 retry-after=3\n\n";
        for chunk in 1..=stream.len() {
            let (mut decoder, mut said) = (Decoder::default(), Vec::new());
            for bytes in stream.as_bytes().chunks(chunk) {
                decoder.feed(bytes);
                while let Some(one) = decoder.next().expect("a good stream") {
                    said.push(one);
                }
            }
            let close = Said::Close(1012, "retry-after=3".into());
            let messages =
                [Said::Message(true, b"a\nb".to_vec()), Said::Message(false, b"\x00\xff".to_vec())];
            assert_eq!(said[0], Said::Status(200));
            assert_eq!((&said[1..3], &said[3..]), (&messages[..], &[close][..]));
            assert!(decoder.is_at_boundary());
        }
        for bad in [
            "event: else\ndata: x\n\n",
            "event: close\ndata: 1012 retry-after=3\n\n",
            "event: binary\ndata: A\n\n",
        ] {
            let mut decoder = Decoder { stage: Stage::Events, ..Decoder::default() };
            decoder.feed(bad.as_bytes());
            assert!(decoder.next().is_err(), "{bad:?}");
        }
        let mut cut = Decoder { stage: Stage::Events, ..Decoder::default() };
        cut.feed(b"data: a\n");
        assert_eq!((cut.next(), cut.is_at_boundary()), (Ok(None), false));
    }

    #[test]
    fn a_refusal_is_read_to_its_last_byte() {
        let mut decoder = Decoder::default();
        decoder.feed(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno");
        assert_eq!(decoder.next(), Ok(Some(Said::Status(400))));
        assert_eq!((decoder.next(), decoder.is_at_boundary()), (Ok(None), false));
        decoder.feed(b"!");
        assert_eq!((decoder.next(), decoder.is_at_boundary()), (Ok(None), true));
        decoder.feed(b"?");
        assert!(decoder.next().is_err());
    }
}
