//! Frames as a client makes them, right and wrong, and tungstenite without a scanner, to compare with.
#![allow(dead_code, reason = "each test program takes what it needs")]

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};
use wsrelayd::pipe::Pipe;

pub const MASK: [u8; 4] = [0x9A, 0x01, 0xC8, 0x7F];

/// How the length is written.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    Minimal,
    Two,
    Eight,
}

/// A frame with any first byte and any form of the length that has room for it.
pub fn any_frame(first: u8, length: Length, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match (length, payload.len()) {
        (Length::Minimal, short @ 0..126) => frame.push(bit | short as u8),
        (Length::Minimal | Length::Two, middle @ 0..0x1_0000) => {
            frame.push(bit | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        (_, long) => {
            frame.push(bit | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask.unwrap_or_default().iter().filter(|_| mask.is_some()));
    let key = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A frame as it should be.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    any_frame(first, Length::Minimal, Some(MASK), payload)
}

/// The header of a frame of `length` bytes, in the long form, and nothing after it: 14 bytes.
pub fn header_of_huge(length: u64) -> Vec<u8> {
    [&[0x82, 0xFF][..], &length.to_be_bytes(), &MASK].concat()
}

/// tungstenite as anybody would set it up, with the size limit given; control frames always have room.
pub fn plain(max_message: Option<usize>) -> WebSocketContext {
    let mut config = WebSocketConfig::default();
    if let Some(bytes) = max_message {
        config = config.max_message_size(Some(bytes)).max_frame_size(Some(bytes.max(125)));
    }
    WebSocketContext::new(Role::Server, Some(config))
}

/// One `read` of a context, over the input given. Returns also how much of the input it left.
pub fn read_once(
    context: &mut WebSocketContext,
    input: &[u8],
    output: &mut Vec<u8>,
) -> (Result<Message, Error>, usize) {
    let mut pipe = Pipe { input, output };
    let read = context.read(&mut pipe);
    (read, pipe.input.len())
}

pub fn would_block(read: &Result<Message, Error>) -> bool {
    matches!(read, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock)
}
