//! What stands behind the `?` of a target: parameters, each at most once, percent-decoded once.
//!
//! Promises that every value of a parameter that means something is of its form, or the request is refused and told what
//! was expected; what means nothing here is passed over. `+` stands for itself: paths hold it.

use super::{
    question::Search,
    request::{Denial, denial},
    tally::Refused,
};
use crate::handshake::tag_of;

/// Peers in an answer: at most, and if nobody says how many.
pub(super) const MOST_PEERS: usize = 1000;
const USUAL_PEERS: usize = 100;
/// Bytes of a word for a peer that is sent away: a close frame holds 123.
const MOST_REASON: usize = 100;
/// If nobody gives one.
const USUAL_REASON: &str = "operator";

const CHANNEL: Denial =
    bad("channel= is to be the path of a channel, percent-encoded once (encodeURIComponent), and to \
                             stand there once.");
const TAG: Denial = bad("tag= is to be 1 to 16 hex digits, once.");
const LIMIT: Denial = bad("limit= is to be a number from 1 to 1000, once.");
const REASON: Denial = bad("reason= is to be 1 to 100 printable ASCII letters, percent-encoded, once.");

const fn bad(line: &'static str) -> Denial {
    denial(400, Refused::BadRequest, line)
}

/// Whom `/api/peers` is asked for.
pub(super) fn search(query: &[u8]) -> Result<Search, Denial> {
    let channel = value(query, b"channel=").map_err(|()| CHANNEL)?;
    let tag = value(query, b"tag=").map_err(|()| TAG)?;
    let most = value(query, b"limit=").map_err(|()| LIMIT)?;
    Ok(Search {
        channel: channel.map(String::into_boxed_str),
        tag: tag.map(|tag| tag_of(tag.as_bytes()).ok_or(TAG)).transpose()?,
        most: most.map_or(Ok(USUAL_PEERS), |most| number(&most).ok_or(LIMIT))?,
    })
}

/// What a peer is told that is sent away.
pub(super) fn reason(query: &[u8]) -> Result<Box<str>, Denial> {
    let Some(reason) = value(query, b"reason=").map_err(|()| REASON)? else { return Ok(USUAL_REASON.into()) };
    let is_plain = reason.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_good = is_plain && (1..=MOST_REASON).contains(&reason.len());
    if is_good { Ok(reason.into()) } else { Err(REASON) }
}

/// The value of a parameter, which stands there once or not at all; `name` with its `=`.
fn value(query: &[u8], name: &[u8]) -> Result<Option<String>, ()> {
    let mut values = query.split(|&byte| byte == b'&').filter_map(|pair| pair.strip_prefix(name));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => decoded(value).map(Some).ok_or(()),
        (Some(_), Some(_)) => Err(()),
    }
}

fn decoded(value: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first == b'%' {
            let (digits, behind) = behind.split_first_chunk::<2>()?;
            let digit = |byte: u8| char::from(byte).to_digit(16);
            bytes.push((digit(digits[0])? << 4 | digit(digits[1])?) as u8);
            rest = behind;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn number(text: &str) -> Option<usize> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && (1..=MOST_PEERS).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_look_for_is_read_once_and_strictly() {
        let found =
            |channel: Option<&str>, tag, most| Ok(Search { channel: channel.map(Into::into), tag, most });
        let table = [
            ("", found(None, None, 100)),
            ("channel=/room", found(Some("/room"), None, 100)),
            ("channel=%2Fcaf%25C3%25A9&limit=1", found(Some("/caf%C3%A9"), None, 1)),
            ("channel=/a+b&unknown=%zz&limit=1000", found(Some("/a+b"), None, 1000)),
            ("channel=", found(Some(""), None, 100)),
            ("channel=/x=y", found(Some("/x=y"), None, 100)),
            ("tag=00fF&channel=%2f", found(Some("/"), Some(255), 100)),
            ("tag=ffffffffffffffff", found(None, Some(u64::MAX), 100)),
            ("Channel=/room&channels=/room", found(None, None, 100)),
            ("channel=/a&channel=/a", Err(CHANNEL)),
            ("channel=%", Err(CHANNEL)),
            ("channel=%4", Err(CHANNEL)),
            ("channel=%+1", Err(CHANNEL)),
            ("channel=%ff", Err(CHANNEL)),
            ("tag=", Err(TAG)),
            ("tag=0x1", Err(TAG)),
            ("tag=+1", Err(TAG)),
            ("tag=00000000000000001", Err(TAG)),
            ("limit=0", Err(LIMIT)),
            ("limit=1001", Err(LIMIT)),
            ("limit=+1", Err(LIMIT)),
            ("limit=", Err(LIMIT)),
            ("limit=99999999999999999999999", Err(LIMIT)),
        ];
        assert!(!table.is_empty());
        for (query, wanted) in table {
            assert_eq!(search(query.as_bytes()), wanted, "{query}");
        }
    }

    #[test]
    fn a_word_for_who_goes_is_short_and_plain() {
        let long = format!("reason={}", "x".repeat(100));
        let table = [
            ("", Ok("operator")),
            ("reason=too%20loud", Ok("too loud")),
            ("reason=a+b~", Ok("a+b~")),
            (&long, Ok(&long[7..])),
            ("reason=", Err(REASON)),
            ("reason=%0a", Err(REASON)),
            ("reason=%7f", Err(REASON)),
            ("reason=%C3%A9", Err(REASON)),
            ("reason=a&reason=b", Err(REASON)),
        ];
        assert!(!table.is_empty());
        for (query, wanted) in table {
            assert_eq!(reason(query.as_bytes()), wanted.map(Into::into), "{query}");
        }
        assert_eq!(reason(format!("{long}x").as_bytes()), Err(REASON));
    }
}
