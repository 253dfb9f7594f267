//! What the messages look like on the wire, there and back.
//!
//! Owns their encoding. A payload is the sender, the number, and a filling that depends on both: a stretch of one
//! fixed run of bytes, so that a receiver compares without a copy and without remembering what was sent.

/// How the server wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Plain WebSocket: a message is a binary frame.
    Ws,
    /// Socket.io: a message is an event in a text frame, and its argument in a binary frame behind it.
    Socketio,
}

/// Sender and number, in front of the filling.
pub const ID: usize = 8;

/// The smallest payload: there is always a filling.
pub const LEAST_SIZE: usize = 2 * ID;

/// The event with one binary argument, which follows.
const EVENT: &[u8] = b"451-[\"m\",{\"_placeholder\":true,\"num\":0}]";

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Places at which a filling can begin; no multiple of it is a usual number of senders.
const FILLINGS: usize = 4093;

/// How messages of one size look.
#[derive(Debug)]
pub struct Wire {
    pub protocol: Protocol,
    pub size: usize,
    /// What stands before each payload that a server sends.
    prefix: Vec<u8>,
    pattern: Vec<u8>,
}

impl Wire {
    pub fn new(protocol: Protocol, size: usize) -> Self {
        assert!(size >= LEAST_SIZE, "a message has room for its sender, its number and a filling");
        let mut prefix = Vec::new();
        if protocol == Protocol::Socketio {
            append_header(&mut prefix, TEXT, EVENT.len(), 0);
            prefix.extend_from_slice(EVENT);
        }
        append_header(&mut prefix, BINARY, size, 0);
        Self { protocol, size, prefix, pattern: pattern(FILLINGS + size) }
    }

    /// Bytes of a message as a receiver gets it.
    pub fn length(&self) -> usize {
        self.prefix.len() + self.size
    }

    /// Bytes of it up to the filling.
    pub fn head_length(&self) -> usize {
        self.prefix.len() + ID
    }

    /// Sender and number of the message with this head, if it is one.
    pub fn id_of(&self, head: &[u8]) -> Option<(u32, u32)> {
        let id = head.strip_prefix(&*self.prefix)?;
        let (sender, number) = (id.first_chunk()?, id.get(4..)?.first_chunk()?);
        Some((u32::from_be_bytes(*sender), u32::from_be_bytes(*number)))
    }

    pub fn filling(&self, sender: u32, number: u32) -> &[u8] {
        let mixed = u64::from(sender) * 2_654_435_761 + u64::from(number) * 40_503;
        let start = (mixed % FILLINGS as u64) as usize;
        &self.pattern[start..start + self.size - ID]
    }

    /// A message as a server sends it, into a place of its length.
    pub fn write_received(&self, place: &mut [u8], sender: u32, number: u32) {
        let (prefix, payload) = place.split_at_mut(self.prefix.len());
        let (id, filling) = payload.split_at_mut(ID);
        prefix.copy_from_slice(&self.prefix);
        id[..4].copy_from_slice(&sender.to_be_bytes());
        id[4..].copy_from_slice(&number.to_be_bytes());
        filling.copy_from_slice(self.filling(sender, number));
    }

    /// A message as a client sends it.
    pub fn append_sent(&self, bytes: &mut Vec<u8>, sender: u32, number: u32) {
        if self.protocol == Protocol::Socketio {
            append_client_frame(bytes, TEXT, EVENT);
        }
        append_header(bytes, BINARY, self.size, 0x80);
        bytes.extend_from_slice(&MASK);
        let start = bytes.len();
        bytes.extend_from_slice(&sender.to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(self.filling(sender, number));
        mask(&mut bytes[start..]);
    }
}

/// Any frame of a client's.
pub fn append_client_frame(bytes: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    append_header(bytes, opcode, payload.len(), 0x80);
    bytes.extend_from_slice(&MASK);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask(&mut bytes[start..]);
}

fn append_header(bytes: &mut Vec<u8>, opcode: u8, size: usize, masked: u8) {
    match size {
        0..126 => bytes.extend_from_slice(&[opcode, masked | size as u8]),
        126..0x1_0000 => bytes.extend_from_slice(&[opcode, masked | 126, (size >> 8) as u8, size as u8]),
        _ => {
            bytes.extend_from_slice(&[opcode, masked | 127]);
            bytes.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
}

fn mask(bytes: &mut [u8]) {
    for (byte, mask) in bytes.iter_mut().zip(MASK.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Bytes without a period that anything here could have: the high bytes of a multiplicative sequence.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received_but_for_the_mask() {
        for (size, header) in [(16, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let wire = Wire::new(Protocol::Ws, size);
            let mut sent = Vec::new();
            wire.append_sent(&mut sent, 7, 11);
            let mut received = vec![0; wire.length()];
            wire.write_received(&mut received, 7, 11);
            assert_eq!(received.len(), header + size);
            assert_eq!(sent.len(), header + 4 + size);
            assert_eq!(sent[1], received[1] | 0x80);
            let payload: Vec<u8> = sent[header + 4..]
                .iter()
                .zip(sent[header..header + 4].iter().cycle())
                .map(|(a, b)| a ^ b)
                .collect();
            assert_eq!(payload, received[header..], "{size} bytes");
            assert_eq!(wire.id_of(&received[..wire.head_length()]), Some((7, 11)));
        }
    }

    #[test]
    fn an_event_of_socket_io_has_its_argument_behind_it() {
        let wire = Wire::new(Protocol::Socketio, 16);
        let mut received = vec![0; wire.length()];
        wire.write_received(&mut received, 1, 2);
        let (text, binary) = received.split_at(2 + EVENT.len());
        assert_eq!(text, [&[TEXT, 39][..], br#"451-["m",{"_placeholder":true,"num":0}]"#].concat());
        assert_eq!(binary[..10], [BINARY, 16, 0, 0, 0, 1, 0, 0, 0, 2]);
        let mut sent = Vec::new();
        wire.append_sent(&mut sent, 1, 2);
        assert_eq!(sent.len(), received.len() + 8);
    }

    #[test]
    fn fillings_differ_by_sender_and_by_number() {
        let wire = Wire::new(Protocol::Ws, 64);
        let ids = (0..40).flat_map(|sender| (0..40).map(move |number| (sender, number)));
        let fillings: std::collections::HashSet<_> = ids.map(|(a, b)| wire.filling(a, b)).collect();
        // Some share a place; those stand far apart.
        assert!(fillings.len() > 1200, "{}", fillings.len());
        assert_ne!(wire.filling(3, 5), wire.filling(3, 6));
        assert_ne!(wire.filling(3, 5), wire.filling(4, 5));
    }
}
