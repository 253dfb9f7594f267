//! What the clients say to each other: every message that is not empty names its channel, its sender and its number,
//! and carries a checksum over the rest, so that a receiver can tell what it got and whence.

use super::rng::Rng;

/// Bytes of the shortest message that identifies itself.
pub(super) const MIN_LETTER: usize = 20;

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) channel: usize,
    pub(super) sender: usize,
    /// Which of the sender's messages it is, counted from 0.
    pub(super) n: usize,
}

/// One message as its sender meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: bool,
    pub(super) payload: Vec<u8>,
}

impl Letter {
    /// Writes a message of `size` bytes (0, or at least `MIN_LETTER`).
    pub(super) fn write(self, text: bool, size: usize, rng: &mut Rng) -> Message {
        if size == 0 {
            return Message { text, payload: Vec::new() };
        }
        let padding = padding(text, size - MIN_LETTER, rng);
        let Self { channel, sender, n } = self;
        let sum = checksum(&padding);
        let mut payload = format!("{channel:04x}{sender:04x}{n:04x}{sum:08x}").into_bytes();
        payload.extend_from_slice(&padding);
        Message { text, payload }
    }

    /// Whom the message names; `None` when it is no letter or was damaged.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let head = std::str::from_utf8(payload.get(..MIN_LETTER)?).ok()?;
        let field = |from: usize, to: usize| usize::from_str_radix(&head[from..to], 16).ok();
        let sum = checksum(&payload[MIN_LETTER..]) as usize;
        (field(12, 20)? == sum).then_some(())?;
        Some(Self { channel: field(0, 4)?, sender: field(4, 8)?, n: field(8, 12)? })
    }
}

fn padding(text: bool, size: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    if !text {
        while bytes.len() < size {
            bytes.extend_from_slice(&rng.next().to_le_bytes());
        }
        bytes.truncate(size);
        return bytes;
    }
    while bytes.len() + 4 <= size {
        let sign = rng.pick(&['a', ' ', '\u{0}', '\n', 'ß', '€', '漢', '\u{10ffff}', '\u{800}', '\u{feff}']);

        bytes.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
    }
    // In few texts only: one with a CR is not written in lines.
    bytes.resize(size, if rng.chance(100) { b'\r' } else { b'.' });
    bytes
}

/// FNV-1a, folded to 32 bits.
fn checksum(bytes: &[u8]) -> u32 {
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    (sum ^ sum >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_as_it_was_written_and_not_when_damaged() {
        let mut rng = Rng::new(1);
        for size in [MIN_LETTER, 21, 60, 300] {
            let letter = Letter { channel: 3, sender: 258, n: 65535 };
            let mut message = letter.write(size % 2 == 1, size, &mut rng);
            assert_eq!(message.payload.len(), size);
            assert_eq!(Letter::read(&message.payload), Some(letter));
            *message.payload.last_mut().expect("not empty") ^= 1;
            assert_ne!(Letter::read(&message.payload), Some(letter));
        }
    }

    #[test]
    fn text_padding_is_valid_utf8_of_every_length() {
        let mut rng = Rng::new(2);
        for size in 0..200 {
            let bytes = padding(true, size, &mut rng);
            assert_eq!((bytes.len(), std::str::from_utf8(&bytes).is_ok()), (size, true));
        }
    }
}
