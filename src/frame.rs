//! Frames as the server sends them: never masked, never fragmented (RFC 6455 section 5.2).
//!
//! One encoding serves every peer, which is what makes the shared backlog possible.

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

/// Longest reason text in a close frame, in bytes (RFC 6455 5.5: 125 less the code).
const REASON_MAX: usize = 123;

/// An empty ping.
pub(crate) const PING_FRAME: [u8; 2] = [FIN | PING, 0];

/// The type of a data message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// The header of a data frame: two to ten bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    bytes: [u8; 10],
    len: u8,
}

impl Header {
    pub(crate) fn new(kind: Kind, payload_len: usize) -> Self {
        let mut bytes = [0; 10];
        bytes[0] = FIN | if kind == Kind::Text { TEXT } else { BINARY };
        let len = match payload_len {
            0..=125 => {
                bytes[1] = payload_len as u8;
                2
            }
            126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

/// A close frame. A reason over 123 bytes is cut at a character.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(REASON_MAX)];
    let mut frame = vec![FIN | CLOSE, 2 + reason.len() as u8];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason);
    frame
}

/// The answer to a close frame without a code (RFC 6455 7.1.5: the peer sees 1005).
pub(crate) fn close_without_code() -> Vec<u8> {
    vec![FIN | CLOSE, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::FrameHeader;

    #[test]
    fn headers_are_what_an_independent_parser_reads() {
        let lens = [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, 16 << 20];
        for (len, kind) in lens.into_iter().flat_map(|len| [(len, Kind::Text), (len, Kind::Binary)]) {
            let header = Header::new(kind, len);
            let (parsed, parsed_len) =
                FrameHeader::parse(&mut std::io::Cursor::new(header.as_bytes())).unwrap().unwrap();
            assert_eq!(parsed_len, len as u64);
            assert!(parsed.is_final && parsed.mask.is_none() && !parsed.rsv1);
            assert_eq!(u8::from(parsed.opcode), if kind == Kind::Text { 1 } else { 2 });
        }
    }

    #[test]
    fn close_frames_fit_a_control_frame_and_cut_at_characters() {
        assert_eq!(close(1000, ""), [0x88, 2, 0x03, 0xE8]);
        assert_eq!(close(1008, "no"), [0x88, 4, 0x03, 0xF0, b'n', b'o']);
        let long = close(1012, &"é".repeat(100));
        assert_eq!(long[1] as usize, long.len() - 2);
        assert!(long.len() - 2 <= 125);
        assert!(std::str::from_utf8(&long[4..]).is_ok());
    }
}
