//! Bytes as clients send them, and what a server makes of them: written here a second time, so that what comes out of
//! the relay is not held against itself.

/// What a client masks with; any key but zero does.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// The payload of the `nth` message of a sender: no two of one run are alike.
pub fn payload(sender: usize, nth: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at + 7 * nth + 31 * sender) as u8).collect()
}

/// As many bytes of English text.
pub fn text(len: usize) -> Vec<u8> {
    b"whatever a client sends on a path reaches every other one; ".iter().copied().cycle().take(len).collect()
}

/// A message as a client sends it.
pub fn message(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

pub fn binary(payload: &[u8]) -> Vec<u8> {
    message(FIN | BINARY, payload)
}

pub fn text_message(payload: &[u8]) -> Vec<u8> {
    message(FIN | TEXT, payload)
}

/// A binary message in `count` frames.
pub fn fragments(payload: &[u8], count: usize) -> Vec<u8> {
    let pieces = payload.chunks(payload.len().div_ceil(count));
    let last = pieces.len() - 1;
    let first = |nth: usize| if nth == 0 { BINARY } else { 0 } + if nth == last { FIN } else { 0 };
    pieces.enumerate().flat_map(|(nth, piece)| message(first(nth), piece)).collect()
}

pub fn ping(payload: &[u8]) -> Vec<u8> {
    message(FIN | PING, payload)
}

pub fn pong() -> Vec<u8> {
    message(FIN | PONG, &[])
}

pub fn close() -> Vec<u8> {
    message(FIN | CLOSE, &1000u16.to_be_bytes())
}

/// A binary message as a server relays it.
pub fn relayed(payload: &[u8]) -> Vec<u8> {
    let mut frame = head(FIN | BINARY, payload.len(), 0);
    frame.extend(payload);
    frame
}

fn head(first: u8, len: usize, mask_bit: u8) -> Vec<u8> {
    match len {
        0..=125 => vec![first, mask_bit | len as u8],
        126..=0xFFFF => [&[first, mask_bit | 126], &(len as u16).to_be_bytes()[..]].concat(),
        _ => [&[first, mask_bit | 127], &(len as u64).to_be_bytes()[..]].concat(),
    }
}
