//! Reads ahead of tungstenite: every byte that a client sends passes here first (RFC 6455 section 5).
//!
//! Owns the header, the place within the frame and within the message, the UTF-8 state, and with them every limit on
//! what one message may be, and the close code of each. Promises to refuse at the very byte that shows a breach,
//! never waiting for a payload; to say the same of a stream however it is cut into pieces; to keep no byte of it and
//! to allocate nothing. Leaves to others: unmasking and assembling (`pipe.rs`),
//! how often control frames may come, and time.

mod utf8;

#[cfg(test)]
mod tests;

pub(crate) use utf8::Utf8;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

const FIN: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE: u8 = 0x0F;
/// Set in the opcodes of control frames.
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;

/// Most payload of a control frame, in bytes (RFC 6455 5.5).
const MAX_CONTROL: u8 = 125;

/// Limits of the scanner.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Payload bytes of one message, all frames together. Above it: [`Breach::TooBig`].
    pub max_message: usize,
    /// Frames of one message. Above it: [`Breach::FragmentFlood`].
    pub max_frames: u32,
}

/// What stands at the end of the bytes that one `scan` passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All bytes were passed; they end between frames or within one.
    More,
    /// A data message ends here.
    Message,
    /// A ping ends here.
    Ping,
    /// A pong ends here.
    Pong,
    /// A close frame ends here, with the code that it carried. Nothing after it is to be scanned.
    Close(Option<u16>),
}

/// What the peer did that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The framing is not that of RFC 6455; the text is the close reason and begins with `protocol: `.
    Protocol(&'static str),
    /// A text or a close reason is not UTF-8.
    Utf8,
    /// A message declares more payload than [`FrameLimits::max_message`].
    TooBig,
    /// A message has more frames than [`FrameLimits::max_frames`].
    FragmentFlood,
}

impl Breach {
    /// The close code (RFC 6455 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Utf8 => 1007,
            Self::TooBig => 1009,
            Self::FragmentFlood => 1008,
        }
    }

    /// The close reason: one of a fixed set, at most 123 bytes.
    pub fn token(self) -> &'static str {
        match self {
            Self::Protocol(token) => token,
            Self::Utf8 => "invalid-utf8",
            Self::TooBig => "too-big",
            Self::FragmentFlood => "fragment-flood",
        }
    }

    /// The reason under which the disconnect is counted.
    pub fn label(self) -> &'static str {
        match self {
            Self::Protocol(_) => "protocol",
            Self::Utf8 => "utf8",
            Self::TooBig => "size",
            Self::FragmentFlood => "fragment_flood",
        }
    }
}

/// The part of a frame that the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// Its first byte: final bit, reserved bits, opcode.
    #[default]
    First,
    /// Its second byte: mask bit, short length.
    Second,
    /// A length of two bytes.
    Length16,
    /// A length of eight bytes.
    Length64,
    /// The masking key.
    Mask,
    /// The payload.
    Payload,
}

/// Reads ahead of tungstenite. A fresh one stands before the first byte after the handshake.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    /// What the next byte belongs to. `Payload` only while payload is to come.
    part: Part,
    /// Bytes of the length or of the masking key that are still to come.
    part_left: u8,
    /// First byte of the current frame.
    first: u8,
    /// Payload declared by an unfinished control frame, else 0.
    control: u8,
    /// Masking key, turned so that it begins with the next payload byte's.
    mask: [u8; 4],
    /// The length as far as it has come; from then on the payload of the current frame still to come.
    remaining: u64,
    /// Payload declared by the unfinished message, all frames so far; 0 between messages.
    message: usize,
    /// Frames of the unfinished message so far; 0 exactly between messages.
    frames: u32,
    /// Frames begun so far, all kinds together; wraps.
    begun: u32,
    /// The unfinished message is a text.
    is_text: bool,
    /// Where the unfinished text stands; whole between texts and in binary messages.
    text: Utf8,
    /// Where the reason of an unfinished close frame stands.
    reason: Utf8,
    /// The code of an unfinished close frame, as far as it has come.
    close_code: u16,
}

impl Scanner {
    /// Passes bytes up to and including the end of the first data message or control frame, or all of them, and
    /// returns their number and what ends there. To be called again with the bytes after those.
    ///
    /// # Errors
    /// The breach that the bytes show, if they show one before anything ends. The scanner is of no use afterwards.
    pub fn scan(&mut self, bytes: &[u8], limits: FrameLimits) -> Result<(usize, Step), Breach> {
        let mut passed = 0;
        while passed < bytes.len() {
            passed += self.pass_part(&bytes[passed..], limits)?;
            if self.part == Part::Payload && self.remaining == 0 {
                match self.end_frame()? {
                    Step::More => {}
                    step => return Ok((passed, step)),
                }
            }
        }
        Ok((passed, Step::More))
    }

    /// No frame and no message is unfinished.
    pub fn is_between_messages(&self) -> bool {
        self.is_between_frames() && self.frames == 0
    }

    /// No frame is unfinished, its header included; a fragmented message may be.
    pub fn is_between_frames(&self) -> bool {
        self.part == Part::First
    }

    /// Payload declared so far by the unfinished message (all its frames) and an unfinished control frame, in bytes;
    /// 0 between messages. A frame counts from the last byte of its length on.
    pub fn unfinished(&self) -> usize {
        self.message.saturating_add(usize::from(self.control))
    }

    /// Payload of the unfinished frame that has not come yet, in bytes; 0 between frames and within a header.
    pub fn frame_remaining(&self) -> usize {
        match self.part {
            Part::Payload => usize::try_from(self.remaining).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Memory that decoding the unfinished message may take, in bytes: its payload as declared so far, and three times
    /// as much once it comes in fragments, which are collected in a buffer that doubles, beside the one they are read
    /// into.
    pub fn footprint(&self) -> usize {
        let in_fragments = self.frames > 1 || self.frames == 1 && self.is_between_frames();
        self.unfinished().saturating_mul(if in_fragments { 3 } else { 1 })
    }

    /// Frames begun so far, all kinds together; wraps. The difference over a `scan` is the work that it made.
    pub fn frames_begun(&self) -> u32 {
        self.begun
    }

    /// Passes bytes of one part of a frame, at least one; `bytes` has one.
    fn pass_part(&mut self, bytes: &[u8], limits: FrameLimits) -> Result<usize, Breach> {
        match self.part {
            Part::First => self.pass_first(bytes[0], limits.max_frames)?,
            Part::Second => self.pass_second(bytes[0], limits.max_message)?,
            Part::Length16 | Part::Length64 => self.pass_length(bytes[0], limits.max_message)?,
            Part::Mask => return Ok(self.pass_mask(bytes)),
            Part::Payload => return self.pass_payload(bytes),
        }
        Ok(1)
    }

    fn pass_first(&mut self, byte: u8, max_frames: u32) -> Result<(), Breach> {
        if byte & RESERVED_BITS != 0 {
            return Err(Breach::Protocol("protocol: reserved bit"));
        }
        match byte & OPCODE {
            0x0..=0x2 => self.open_data_frame(byte & OPCODE, max_frames)?,
            0x8..=0xA if byte & FIN == 0 => {
                return Err(Breach::Protocol("protocol: fragmented control frame"));
            }
            0x8..=0xA => {}
            _ => return Err(Breach::Protocol("protocol: reserved opcode")),
        }
        self.begun = self.begun.wrapping_add(1);
        self.first = byte;
        self.part = Part::Second;
        Ok(())
    }

    fn open_data_frame(&mut self, opcode: u8, max_frames: u32) -> Result<(), Breach> {
        match (opcode == 0, self.frames == 0) {
            (true, true) => return Err(Breach::Protocol("protocol: nothing to continue")),
            (false, false) => return Err(Breach::Protocol("protocol: message within a message")),
            (false, true) => self.is_text = opcode == TEXT,
            (true, false) => {}
        }
        if self.frames >= max_frames {
            return Err(Breach::FragmentFlood);
        }
        self.frames += 1;
        Ok(())
    }

    fn pass_second(&mut self, byte: u8, max_message: usize) -> Result<(), Breach> {
        if byte & MASKED == 0 {
            return Err(Breach::Protocol("protocol: not masked"));
        }
        let short = byte & !MASKED;
        if self.is_control() && short > MAX_CONTROL {
            return Err(Breach::Protocol("protocol: control frame too long"));
        }
        if self.opcode() == CLOSE && short == 1 {
            return Err(Breach::Protocol("protocol: close code cut short"));
        }
        self.remaining = 0;
        match short {
            126 => (self.part, self.part_left) = (Part::Length16, 2),
            127 => (self.part, self.part_left) = (Part::Length64, 8),
            _ => self.declare(u64::from(short), max_message)?,
        }
        Ok(())
    }

    /// Refuses a length at the first byte after which it can only be too large or not minimal (RFC 6455 5.2).
    fn pass_length(&mut self, byte: u8, max_message: usize) -> Result<(), Breach> {
        if self.part == Part::Length64 && self.part_left == 8 && byte & 0x80 != 0 {
            return Err(Breach::Protocol("protocol: length above 63 bits"));
        }
        self.part_left -= 1;
        self.remaining = self.remaining << 8 | u64::from(byte);
        let least = self.remaining << (8 * self.part_left);
        if self.is_length_not_minimal() {
            return Err(Breach::Protocol("protocol: length not minimal"));
        }
        if self.exceeds(least, max_message) {
            return Err(Breach::TooBig);
        }
        if self.part_left == 0 {
            self.declare(least, max_message)?;
        }
        Ok(())
    }

    fn is_length_not_minimal(&self) -> bool {
        match (self.part, self.part_left) {
            (Part::Length16, 0) => self.remaining < 126,
            // Six bytes of zero leave two: the short form would have done, whatever they are.
            (Part::Length64, 2) => self.remaining == 0,
            _ => false,
        }
    }

    fn exceeds(&self, length: u64, max_message: usize) -> bool {
        (self.message as u64).saturating_add(length) > max_message as u64
    }

    /// Takes note of the frame's length, once it is known.
    fn declare(&mut self, length: u64, max_message: usize) -> Result<(), Breach> {
        if self.is_control() {
            self.control = length as u8;
        } else if self.exceeds(length, max_message) {
            return Err(Breach::TooBig);
        } else {
            self.message = self.message.saturating_add(length as usize);
        }
        self.remaining = length;
        (self.part, self.part_left) = (Part::Mask, 4);
        Ok(())
    }

    fn pass_mask(&mut self, bytes: &[u8]) -> usize {
        let at = self.mask.len() - usize::from(self.part_left);
        let taken = bytes.len().min(usize::from(self.part_left));
        self.mask[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.part_left -= taken as u8;
        if self.part_left == 0 {
            self.part = Part::Payload;
        }
        taken
    }

    fn pass_payload(&mut self, bytes: &[u8]) -> Result<usize, Breach> {
        let taken = bytes.len().min(self.frame_remaining());
        let piece = &bytes[..taken];
        if self.opcode() == CLOSE {
            self.pass_close(piece)?;
        } else if self.is_text && !self.is_control() && !self.text.pass(piece, self.mask) {
            return Err(Breach::Utf8);
        }
        self.mask.rotate_left(taken % 4);
        self.remaining -= taken as u64;
        Ok(taken)
    }

    fn pass_close(&mut self, piece: &[u8]) -> Result<(), Breach> {
        let start = usize::from(self.control) - self.frame_remaining();
        for (i, (byte, key)) in piece.iter().zip(self.mask.iter().cycle()).enumerate() {
            let plain = byte ^ key;
            match start + i {
                0 => self.close_code = lead_of_close_code(plain)?,
                1 => self.close_code = whole_close_code(self.close_code | u16::from(plain))?,
                _ if self.reason.pass(&[plain], [0; 4]) => {}
                _ => return Err(Breach::Utf8),
            }
        }
        Ok(())
    }

    fn end_frame(&mut self) -> Result<Step, Breach> {
        self.part = Part::First;
        match self.opcode() {
            CLOSE => self.end_close(),
            PING => Ok(self.end_control(Step::Ping)),
            _ if self.is_control() => Ok(self.end_control(Step::Pong)),
            _ if self.first & FIN == 0 => Ok(Step::More),
            _ => self.end_message(),
        }
    }

    fn end_close(&mut self) -> Result<Step, Breach> {
        if !self.reason.is_whole() {
            return Err(Breach::Utf8);
        }
        let code = (self.control > 0).then_some(self.close_code);
        Ok(self.end_control(Step::Close(code)))
    }

    fn end_control(&mut self, step: Step) -> Step {
        self.control = 0;
        step
    }

    fn end_message(&mut self) -> Result<Step, Breach> {
        if !self.text.is_whole() {
            return Err(Breach::Utf8);
        }
        (self.message, self.frames, self.is_text) = (0, 0, false);
        Ok(Step::Message)
    }

    fn opcode(&self) -> u8 {
        self.first & OPCODE
    }

    fn is_control(&self) -> bool {
        self.first & CONTROL != 0
    }
}

const BAD_CLOSE_CODE: Breach = Breach::Protocol("protocol: close code not allowed");

/// The first byte of a close code, as far as some allowed code begins with it.
fn lead_of_close_code(byte: u8) -> Result<u16, Breach> {
    match byte {
        0x03 | 0x0B..=0x13 => Ok(u16::from(byte) << 8),
        _ => Err(BAD_CLOSE_CODE),
    }
}

/// A close code that may stand in a frame: those of RFC 6455 7.4.1 less the three that must not, those registered
/// since (1012 to 1014), and the ranges for libraries and applications (7.4.2).
fn whole_close_code(code: u16) -> Result<u16, Breach> {
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(code),
        _ => Err(BAD_CLOSE_CODE),
    }
}
