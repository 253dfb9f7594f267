//! tungstenite on a leash: it unmasks and assembles, and never sees a socket.
//!
//! Owns the `Pipe`, which tungstenite takes for a stream, and the `Decoder`, which drives it. Promises: a decoder
//! takes all that it is given at once, reserves no more than the largest message allowed, answers a ping in the
//! same call, and is never read again after its first error. Leaves to others: every limit and every breach, which
//! `scanner.rs` finds before a byte comes here, and all closing.

use crate::scanner::Breach;
use std::fmt;
use std::io::{self, Read, Write};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// Bytes that tungstenite reads at a time, and keeps for each decoder. Each read zeroes as many first, and most
/// messages are small: 512 leave 0.8 KiB resident per peer that sends, the default of 128 KiB leaves 135. A payload
/// gets a buffer of its own length, so that large messages do not suffer. 0 would read 14 bytes at a time.
const READ_BUFFER: usize = 512;

/// Most payload of a control frame, in bytes (RFC 6455 5.5).
const MAX_CONTROL: usize = 125;

/// The one thing that tungstenite ever writes: the pong to the longest ping, with its header.
const WRITE_BUFFER: usize = 2 + MAX_CONTROL;

/// What tungstenite takes for a stream.
#[derive(Debug)]
pub struct Pipe<'a> {
    /// Handed out to reads, then they would block. Never an end of file.
    pub input: &'a [u8],
    /// Grows by what is written, which never blocks.
    pub output: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a decoder stopped. The scanner has seen every breach before, so each of these is a disagreement to look into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// What the scanner would have called it.
    Breach(Breach),
    /// An earlier error or the close frame was the last thing to come of this decoder.
    Spent,
    /// tungstenite left bytes unread, so more was given than one step, or failed in a way that no input explains.
    Fault,
}

impl DecodeError {
    /// The close code: the breach's, else 1011 (RFC 6455 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::Breach(breach) => breach.code(),
            Self::Spent | Self::Fault => 1011,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Breach(breach) => breach.token(),
            Self::Spent => "decoder read after its end",
            Self::Fault => "decoder fault",
        })
    }
}

impl std::error::Error for DecodeError {}

/// Decodes what one client sends after the handshake, one step of the scanner at a time.
#[derive(Debug)]
pub struct Decoder {
    context: WebSocketContext,
    /// Set by the first error and by the close frame: nothing is read from `context` any more.
    spent: bool,
}

impl Decoder {
    /// A decoder for one peer. A message may have `max_message` bytes of payload.
    pub fn new(max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER)
            // The length in a frame's header is reserved before any payload has come, hence both limits; control
            // frames come under this one too.
            .max_frame_size(Some(max_message.max(MAX_CONTROL)))
            .max_message_size(Some(max_message));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), spent: false }
    }

    /// From now on a message may have `max_message` bytes of payload, if that is more than before. A lower limit is the
    /// scanner's business: here it would hit what has begun.
    pub fn allow(&mut self, max_message: usize) {
        let [frame, message] = [max_message.max(MAX_CONTROL), max_message];
        self.context.set_config(|config| {
            config.max_frame_size = config.max_frame_size.map(|before| before.max(frame));
            config.max_message_size = config.max_message_size.map(|before| before.max(message));
        });
    }

    /// Takes exactly the bytes that one `scan` passed. Returns the message or control frame that ends with them, or
    /// `None` when all of them belong to something unfinished. The pong to a ping is in `output` afterwards; a close
    /// frame is not answered.
    ///
    /// # Errors
    /// What tungstenite found wrong; the decoder refuses everything from then on, and after a close frame too.
    pub fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<Option<Message>, DecodeError> {
        if self.spent {
            return Err(DecodeError::Spent);
        }
        let decoded = self.read(Pipe { input, output });
        self.spent = matches!(decoded, Err(_) | Ok(Some(Message::Close(_))));
        decoded
    }

    fn read(&mut self, mut pipe: Pipe<'_>) -> Result<Option<Message>, DecodeError> {
        let message = match self.context.read(&mut pipe) {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(judge(&error)),
        };
        if message.is_ping() {
            // Otherwise the pong would wait for the next read.
            self.context.flush(&mut pipe).map_err(|error| judge(&error))?;
        }
        if pipe.input.is_empty() { Ok(Some(message)) } else { Err(DecodeError::Fault) }
    }
}

/// tungstenite queues no close frame for its errors: their codes are found here.
fn judge(error: &Error) -> DecodeError {
    match error {
        Error::Capacity(_) => DecodeError::Breach(Breach::TooBig),
        Error::Utf8(_) => DecodeError::Breach(Breach::Utf8),
        Error::Protocol(_) => DecodeError::Breach(Breach::Protocol("protocol: not as RFC 6455 has it")),
        _ => DecodeError::Fault,
    }
}
