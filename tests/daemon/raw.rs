//! Frames of a raw client, by hand: so that what goes over the wire is what the test says, right or wrong.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

/// A frame masked with zeros, so that the payload stands as it is.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        len @ 0..=125 => vec![0x80 | len as u8],
        len => [&[0x80 | 126], &(len as u16).to_be_bytes()[..]].concat(),
    };
    [&[first], &len[..], &[0; 4], payload].concat()
}

/// The header of a binary frame that declares `length` in the long form, and nothing after it.
pub(crate) fn declared(length: u64) -> Vec<u8> {
    [&[0x82, 0xFF][..], &length.to_be_bytes(), &[0; 4]].concat()
}

/// The next frame from the server: first byte and payload.
pub(crate) fn frame(client: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    client.read_exact(&mut header)?;
    assert_eq!(header[1] & 0x80, 0, "a server masks nothing");
    let len = match header[1] {
        126 => {
            let mut long = [0; 2];
            client.read_exact(&mut long)?;
            u16::from_be_bytes(long) as usize
        }
        short => short as usize,
    };
    let mut payload = vec![0; len];
    client.read_exact(&mut payload)?;
    Ok((header[0], payload))
}

/// The last frame before the end, which must be an orderly one.
pub(crate) fn last_frame(client: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut last = frame(client).unwrap();
    loop {
        if last.0 == 0x88 {
            // An honest client answers; nobody may be there any more to hear it.
            let _ = client.write_all(&masked(0x88, last.1.get(..2).unwrap_or_default()));
        }
        match frame(client) {
            Ok(next) => last = next,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return last,
            Err(error) => panic!("no orderly end: {error}"),
        }
    }
}

pub(crate) fn close_frame(code: u16, reason: &str) -> (u8, Vec<u8>) {
    (0x88, [&code.to_be_bytes(), reason.as_bytes()].concat())
}
