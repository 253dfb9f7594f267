//! Which channel a request target names, and the tag in its query.
//!
//! A channel is the path as received. Two paths that nginx, a browser or RFC 3986 could take for one would be two
//! channels here, so every path that has a second spelling in their eyes is refused instead of being made canonical.
//! Nothing is decoded and nothing is rewritten.

use super::refusal::Refusal::{self, BadRequest};
use crate::rules::path::{self, PathFault};

/// The path of `target`, which must be in origin-form (RFC 9112 3.2.1); its query is left out.
///
/// # Errors
/// 400 for a target that could be read in two ways; 414 for a path over 255 bytes.
pub(super) fn channel(target: &[u8]) -> Result<&str, Refusal> {
    let target = std::str::from_utf8(target).map_err(|_| NOT_ASCII)?;
    if !path::is_visible(target) {
        return Err(NOT_ASCII);
    }
    let end = target.bytes().position(|b| b == b'?').unwrap_or(target.len());
    let path = &target[..end];
    path::check(path).map_err(refusal)?;
    Ok(path)
}

/// What the request wants to be found by, where its query says so: a page does not see the headers of its own 101. A
/// tag that is none is left to whoever else reads the query.
pub(super) fn tag(target: &[u8]) -> Option<u64> {
    tag_of(in_query(target, "wsrelayd-tag").next()?)
}

/// What stands in the query of `target` under this name, as it stands there.
pub(super) fn in_query<'h>(target: &'h [u8], name: &str) -> impl Iterator<Item = &'h [u8]> {
    let end = target.iter().position(|&b| b == b'?').map_or(target.len(), |at| at + 1);
    let value = |part: &'h [u8]| part.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    target[end..].split(|&b| b == b'&').filter_map(value)
}

/// The tag that these bytes are: 1 to 16 hex digits, and nothing else.
pub(crate) fn tag_of(digits: &[u8]) -> Option<u64> {
    let is_tag = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = str::from_utf8(digits).ok().filter(|_| is_tag)?;
    u64::from_str_radix(digits, 16).ok()
}

const NOT_ASCII: Refusal = BadRequest("the target holds a # or a byte that is not visible ASCII");

/// What a request for such a path is answered.
fn refusal(fault: PathFault) -> Refusal {
    match fault {
        PathFault::NoSlash => BadRequest("the target does not begin with a slash"),
        PathFault::DotSegment => BadRequest("the path has a segment . or .."),
        PathFault::TwoSlashes => BadRequest("the path has two slashes in a row"),
        PathFault::BrokenEscape => BadRequest("a % in the path does not begin two hex digits"),
        PathFault::HiddenSlash => BadRequest("the path holds %00 or %2F"),
        PathFault::NeedlessEscape => BadRequest("the path escapes a byte that needs no escape"),
        PathFault::TooLong => Refusal::TargetTooLong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_with_one_reading_names_its_path() {
        let table = [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a/b/c", "/a/b/c"),
            ("/A", "/A"),
            ("/a?b", "/a"),
            ("/?", "/"),
            ("/a?b/../c//d%zz%2F", "/a"),
            ("/a?b?c", "/a"),
            ("/.hidden", "/.hidden"),
            ("/...", "/..."),
            ("/a../b", "/a../b"),
            ("/a.b-c_d~e", "/a.b-c_d~e"),
            ("/a;b=c,d", "/a;b=c,d"),
            ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
            ("/%20", "/%20"),
            ("/%C3%A9", "/%C3%A9"),
            ("/%c3%a9", "/%c3%a9"),
            ("/%25", "/%25"),
            ("/%252F", "/%252F"),
            ("/%3F%23", "/%3F%23"),
            ("/%0A", "/%0A"),
        ];
        assert_eq!(table.len(), 22);
        for (target, path) in table {
            assert_eq!(channel(target.as_bytes()), Ok(path), "{target}");
        }
    }

    #[test]
    fn a_target_with_two_readings_is_refused() {
        let table = [
            "",
            "*",
            "a",
            "?",
            "?/a",
            "http://a/b",
            "//a",
            "//",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/./",
            "/../",
            "/a/.",
            "/a/..",
            "/a/./b",
            "/a/../b",
            "/..?a",
            "/%",
            "/%4",
            "/%zz",
            "/%4z",
            "/%z4",
            "/%+1",
            "/%%41",
            "/a%?41",
            "/%2F",
            "/a%2fb",
            "/%00",
            "/%41",
            "/%7A",
            "/%7a",
            "/%30",
            "/%2D",
            "/%2d",
            "/%2E",
            "/%2e%2e/",
            "/%5F",
            "/%7E",
            "/%7e",
            "/#",
            "/a#b",
            "/a?b#c",
            "/a b",
            "/\t",
            "/\u{7f}",
            "/\u{e9}",
            "/a?\u{e9}",
            "/%\u{e9}",
        ];
        assert_eq!(table.len(), 50);
        for target in table {
            assert!(matches!(channel(target.as_bytes()), Err(BadRequest(_))), "{target}");
        }
        assert!(matches!(channel(b"/\xff"), Err(BadRequest(_))));
    }

    #[test]
    fn every_escape_of_an_unreserved_byte_is_refused_and_no_other_but_two() {
        for byte in 0..=u8::MAX {
            let is_refused = channel(format!("/%{byte:02X}").as_bytes()).is_err();
            let is_unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            assert_eq!(is_refused, is_unreserved || byte == 0 || byte == b'/', "%{byte:02X}");
        }
    }

    #[test]
    fn a_tag_is_one_to_sixteen_hex_digits_of_the_query() {
        let table: &[(&str, Option<u64>)] = &[
            ("/a?wsrelayd-tag=1", Some(1)),
            ("/a?wsrelayd-tag=00ff", Some(255)),
            ("/a?b=c&wsrelayd-tag=0123456789abCDEF&d", Some(0x0123_4567_89ab_cdef)),
            ("/a?wsrelayd-tag=ffffffffffffffff", Some(u64::MAX)),
            ("/a?wsrelayd-tag=1&wsrelayd-tag=2", Some(1)),
            ("/a?wsrelayd-tag=x&wsrelayd-tag=2", None),
            ("/a?wsrelayd-tag=10000000000000000", None),
            ("/a?wsrelayd-tag=", None),
            ("/a?wsrelayd-tag", None),
            ("/a?wsrelayd-tag=+1", None),
            ("/a?wsrelayd-tag=-1", None),
            ("/a?xwsrelayd-tag=1", None),
            ("/a?Wsrelayd-Tag=1", None),
            ("/a/wsrelayd-tag=1", None),
            ("/wsrelayd-tag=1?", None),
            ("/a", None),
        ];
        assert!(!table.is_empty());
        for &(target, found) in table {
            assert_eq!(tag(target.as_bytes()), found, "{target}");
        }
    }

    #[test]
    fn a_path_of_255_bytes_is_the_longest() {
        let path = format!("/{}", "a".repeat(254));
        assert_eq!(channel(format!("{path}?{path}").as_bytes()), Ok(path.as_str()));
        assert_eq!(channel(format!("{path}a").as_bytes()), Err(Refusal::TargetTooLong));
    }
}
