//! Every way to break the protocol, with the answer that each must get (RFC 6455, and the tables of status and close
//! codes that the relay promises).

use super::frames::{BINARY, CLOSE, CONTINUATION, FIN, KEY, PING, TEXT, put_frame, put_header};
use crate::limits::Limits;

const MASK: [u8; 4] = [0x21, 0x42, 0x84, 0x18];

/// A broken stream of frames, and the close codes that may answer it.
#[derive(Clone, Debug)]
pub(super) struct Breach {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) codes: &'static [u16],
}

/// The frames, one after the other.
fn frames(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    frames.iter().for_each(|(first, payload)| put_frame(&mut out, *first, payload, MASK));
    out
}

/// Headers only, masked, of a declared length.
fn declared(first: u8, length: u64) -> Vec<u8> {
    let mut out = vec![first, 0x80 | 127];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&MASK);
    out
}

fn unmasked() -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, FIN | TEXT, 2, 0);
    out.extend_from_slice(b"hi");
    out
}

/// A text frame that never ends, whose first bytes can already not be UTF-8.
fn unfinished_bad_text() -> Vec<u8> {
    let mut out = Vec::new();
    put_header(&mut out, TEXT, 20, 0x80);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(b"ab\xff");
    out
}

/// All breaches that the limits make possible.
pub(super) fn breaches(limits: &Limits) -> Vec<Breach> {
    let big = limits.max_message as u64 + 1;
    let half = vec![b'x'; limits.max_message / 2 + 1];
    let flood: Vec<(u8, &[u8])> = (0..=limits.max_frames.min(5000))
        .map(|n| (if n == 0 { TEXT } else { CONTINUATION }, b"".as_slice()))
        .collect();
    let mut table = vec![
        ("rsv1", frames(&[(0xc1, b"hi")]), [1002].as_slice()),
        ("rsv2", frames(&[(0xa1, b"hi")]), &[1002]),
        ("rsv3", frames(&[(0x92, b"hi")]), &[1002]),
        ("reserved opcode", frames(&[(FIN | 3, b"")]), &[1002]),
        ("reserved control opcode", frames(&[(FIN | 11, b"")]), &[1002]),
        ("no mask", unmasked(), &[1002]),
        ("fragmented ping", frames(&[(PING, b"x")]), &[1002]),
        ("big ping", frames(&[(FIN | PING, &[0; 126])]), &[1002]),
        ("continuation of nothing", frames(&[(FIN | CONTINUATION, b"x")]), &[1002]),
        ("close of one byte", frames(&[(FIN | CLOSE, b"x")]), &[1002]),
        ("close 1005", frames(&[(FIN | CLOSE, &1005u16.to_be_bytes())]), &[1002]),
        ("close 999", frames(&[(FIN | CLOSE, &999u16.to_be_bytes())]), &[1002]),
        ("close with bad text", frames(&[(FIN | CLOSE, b"\x03\xe8\xff\xff")]), &[1007]),
        ("bad text", frames(&[(FIN | TEXT, b"a\xc0\xaf")]), &[1007]),
        ("text cut within a sign", frames(&[(FIN | TEXT, "€".as_bytes().split_at(2).0)]), &[1007]),
        ("bad text, unfinished", unfinished_bad_text(), &[1007]),
        ("length above the limit", declared(FIN | BINARY, big.max(65536)), &[1009]),
        ("length with the top bit", declared(FIN | BINARY, 1 << 63), &[1002, 1009]),
        ("length of all ones", declared(FIN | BINARY, u64::MAX), &[1002, 1009]),
        ("length above 32 bits", declared(FIN | BINARY, (1 << 32) + 5), &[1009]),
        ("length not minimal", declared(FIN | BINARY, 5), &[1002]),
    ];
    if limits.max_frames >= 2 {
        table.push(("text within a message", frames(&[(TEXT, b"a"), (FIN | TEXT, b"b")]), &[1002]));
        table.push(("fragments above the limit", frames(&[(BINARY, &half), (CONTINUATION, &half)]), &[1009]));
    }
    if limits.max_frames <= 5000 {
        table.push(("fragments without end", frames(&flood), &[1008]));
    }
    table.into_iter().map(|(name, bytes, codes)| Breach { name, bytes, codes }).collect()
}

/// A good request for a path.
pub(super) fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A good request for a path as an event stream.
pub(super) fn stream_request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: relay.example\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"
    )
}

/// Requests that are refused, with the status.
pub(super) fn bad_requests(path: &str) -> Vec<(&'static str, String, &'static [u16])> {
    let good = request(path);
    let swap = |from: &str, to: &str| good.replacen(from, to, 1);
    vec![
        // Where posts are taken, this one has no length.
        ("post", swap("GET", "POST"), &[405, 411]),
        ("http/1.0", swap("HTTP/1.1", "HTTP/1.0"), &[505]),
        ("no upgrade", swap("Upgrade: websocket\r\n", ""), &[426]),
        ("connection without upgrade", swap("keep-alive, Upgrade", "keep-alive"), &[426]),
        ("version 8", swap("Version: 13", "Version: 8"), &[426]),
        ("no host", swap("Host: relay.example\r\n", ""), &[400]),
        ("two hosts", swap("Host:", "Host: other.example\r\nHost:"), &[400]),
        ("no key", swap(&format!("Sec-WebSocket-Key: {KEY}\r\n"), ""), &[400]),
        ("short key", swap(KEY, "dGhl"), &[400]),
        ("body", swap("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"), &[400]),
        ("dot segment", swap(path, "/a/../b"), &[400]),
        ("double slash", swap(path, "//a"), &[400]),
        ("encoded slash", swap(path, "/a%2Fb"), &[400]),
        ("garbage", "\u{16}\u{3}\u{1}\r\n\r\n".into(), &[400]),
        ("long head", swap("Host:", &format!("X: {}\r\nHost:", "x".repeat(9000))), &[431]),
        ("many fields", swap("Host:", &format!("{}Host:", "X: y\r\n".repeat(70))), &[431]),
        ("long target", swap(path, &format!("/{}", "x".repeat(5000))), &[414]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_not_empty_and_every_bad_request_differs_from_the_good_one() {
        assert!(breaches(&Limits::default()).len() > 20);
        let table = bad_requests("/c0");
        assert!(table.len() > 15);
        for (name, bytes, _) in &table {
            assert_ne!(*bytes, request("/c0"), "{name}");
        }
    }
}
