//! What the floor understands and says: a request and its 101, a client's frame and a server's.

use std::io::Write;

use sha1::{Digest, Sha1};

/// A client's frame.
pub struct Frame<'a> {
    /// With FIN and the reserved bits.
    pub opcode: u8,
    pub masked: bool,
    mask: [u8; 4],
    payload: &'a [u8],
    /// Header and payload.
    pub length: usize,
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begin with, if all of it is there.
    pub fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let (&opcode, &second) = (bytes.first()?, bytes.get(1)?);
        let (size, start) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
            size => (u64::from(size), 2),
        };
        let masked = second & 0x80 != 0;
        let mask = if masked { *bytes.get(start..)?.first_chunk()? } else { [0; 4] };
        let start = start + if masked { 4 } else { 0 };
        let length = start.saturating_add(usize::try_from(size).ok()?);
        Some(Self { opcode, masked, mask, payload: bytes.get(start..length)?, length })
    }

    /// As a server's frame, unmasked.
    pub fn append_to(&self, turn: &mut Vec<u8>) {
        let size = self.payload.len();
        match size {
            0..126 => turn.extend_from_slice(&[self.opcode, size as u8]),
            126..0x1_0000 => {
                turn.extend_from_slice(&[self.opcode, 126, (size >> 8) as u8, size as u8]);
            }
            _ => {
                turn.extend_from_slice(&[self.opcode, 127]);
                turn.extend_from_slice(&(size as u64).to_be_bytes());
            }
        }
        let start = turn.len();
        turn.extend_from_slice(self.payload);
        let [a, b, c, d] = self.mask;
        let mask = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (eights, rest) = turn[start..].as_chunks_mut::<8>();
        for eight in eights {
            *eight = (u64::from_ne_bytes(*eight) ^ mask).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(self.mask.iter().cycle()) {
            *byte ^= mask;
        }
    }
}

/// The key of a request.
pub fn key_of(head: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"sec-websocket-key:";
    let mut lines = head.split(|&byte| byte == b'\n');
    let line =
        lines.find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    Some(line[NAME.len()..].trim_ascii())
}

/// The 101 to a key.
pub fn accepting(key: &[u8]) -> Vec<u8> {
    let digest =
        Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let mut answer = Vec::with_capacity(160);
    answer.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ",
    );
    let _ = write!(answer, "{}\r\n\r\n", data_encoding::BASE64.encode_display(&digest));
    answer
}
