//! What can be the path of a channel.
//!
//! Owns the ways in which a path could be read in two ways, each of which keeps a request out. Leaves to others: what stands
//! around the path in a request target, and what a request is answered.

/// Bytes of a path at most, its first slash included.
pub(crate) const MOST_BYTES: usize = 255;

/// Why a text of visible ASCII can never be the path of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathFault {
    /// It does not begin with a slash.
    NoSlash,
    /// A segment is `.` or `..`, which a proxy resolves.
    DotSegment,
    /// A segment is empty that is not the last, which a proxy merges.
    TwoSlashes,
    /// A `%` does not begin two hex digits.
    BrokenEscape,
    /// `%00` or `%2F`.
    HiddenSlash,
    /// An escape of a byte that could as well stand for itself (RFC 3986 2.3).
    NeedlessEscape,
    /// It has more than `MOST_BYTES`.
    TooLong,
}

/// Whether a text may stand in a request target at all: visible ASCII, and no `#`, with which no browser sends what follows.
pub(crate) fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// Looks for the first fault of a path of visible ASCII.
pub(crate) fn check(path: &str) -> Result<(), PathFault> {
    let segments = path.strip_prefix('/').ok_or(PathFault::NoSlash)?;
    check_segments(segments.as_bytes())?;
    check_escapes(path.as_bytes())?;
    if path.len() > MOST_BYTES { Err(PathFault::TooLong) } else { Ok(()) }
}

fn check_segments(segments: &[u8]) -> Result<(), PathFault> {
    if segments.split(|&b| b == b'/').any(|segment| matches!(segment, b"." | b"..")) {
        return Err(PathFault::DotSegment);
    }
    if segments.starts_with(b"/") || segments.array_windows().any(|two| two == b"//") {
        return Err(PathFault::TwoSlashes);
    }
    Ok(())
}

fn check_escapes(path: &[u8]) -> Result<(), PathFault> {
    for escape in path.split(|&b| b == b'%').skip(1) {
        match escape.first_chunk().and_then(hex_byte) {
            None => return Err(PathFault::BrokenEscape),
            Some(0 | b'/') => return Err(PathFault::HiddenSlash),
            Some(byte) if is_unreserved(byte) => return Err(PathFault::NeedlessEscape),
            Some(_) => {}
        }
    }
    Ok(())
}

fn hex_byte(&[high, low]: &[u8; 2]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
