//! Tables of what each field says, and what stands left of a proxy's own words.

use super::*;
use crate::address::Trusted;
use httparse::Header;
use proptest::prelude::*;

const PROXY: &str = "198.51.100.1";

fn source(text: &str) -> Source {
    if text == UNIX { Source::Unix } else { text.parse::<IpAddr>().unwrap().into() }
}

/// Believes 198.51.100.0/24, 2001:db8:f::/48 and this machine.
fn proxies(header: RealIpHeader) -> Proxies {
    let mut trusted = Trusted::default();
    assert_eq!(trusted.add("198.51.100.0/24"), Ok(()));
    assert_eq!(trusted.add("2001:db8:f::/48"), Ok(()));
    Proxies { trusted, header }
}

/// Name and value of a field.
type Line<'l> = (&'l str, &'l [u8]);

fn claim(lines: &[Line<'_>], from: &str, header: RealIpHeader) -> Claim {
    let headers: Vec<_> = lines.iter().map(|&(name, value)| Header { name, value }).collect();
    read(&Fields::sort(&headers), Some(source(from)), &proxies(header))
}

/// What lines of the believed field say, from a proxy that is trusted.
fn said(header: RealIpHeader, lines: &[&str]) -> Claim {
    let lines: Vec<_> = lines.iter().map(|line| (header.name(), line.as_bytes())).collect();
    claim(&lines, PROXY, header)
}

fn client(text: &str) -> Claim {
    Claim::Client(source(text))
}

#[test]
fn the_right_most_hop_that_is_not_trusted_is_the_client() {
    let table: &[(&[&str], Claim)] = &[
        (&["203.0.113.7"], client("203.0.113.7")),
        (&["1.1.1.1, 203.0.113.7"], client("203.0.113.7")),
        (&["1.1.1.1", "203.0.113.7"], client("203.0.113.7")),
        (&["203.0.113.7, 198.51.100.2"], client("203.0.113.7")),
        (&["1.1.1.1, 203.0.113.7", "198.51.100.2,127.0.0.1"], client("203.0.113.7")),
        (&["203.0.113.7:1234"], client("203.0.113.7")),
        (&["2001:db8::7"], client("2001:db8::7")),
        (&["[2001:db8::7]"], client("2001:db8::7")),
        (&["[2001:db8::7]:55"], client("2001:db8::7")),
        (&["::ffff:203.0.113.7"], client("203.0.113.7")),
        (&["203.0.113.7, ::ffff:198.51.100.9"], client("203.0.113.7")),
        (&["203.0.113.7, 2001:db8:f::9"], client("203.0.113.7")),
        (&["203.0.113.7, unix:"], client("203.0.113.7")),
        (&["\t203.0.113.7 ,, "], client("203.0.113.7")),
        (&["unix:"], client("unix:")),
        // All are trusted: the farthest.
        (&["127.0.0.1"], client("127.0.0.1")),
        (&["198.51.100.3, 198.51.100.2"], client("198.51.100.3")),
        // What is left of the client is not looked at, and what is right of it must be readable.
        (&["unknown, \"x, 203.0.113.7"], client("203.0.113.7")),
        (&["203.0.113.7, unknown"], Claim::Unreadable),
        (&["203.0.113.7, unknown, 198.51.100.2"], Claim::Unreadable),
        (&["203.0.113.7, unknown", "198.51.100.2"], Claim::Unreadable),
        (&["localhost"], Claim::Unreadable),
        (&["203.0.113.7:"], Claim::Unreadable),
        (&["203.0.113.7:99999"], Claim::Unreadable),
        (&["203.0.113.7:80x"], Claim::Unreadable),
        (&["203.0.113"], Claim::Unreadable),
        (&["0203.0.113.7"], Claim::Unreadable),
        (&["[2001:db8::7"], Claim::Unreadable),
        (&["[2001:db8::7]55"], Claim::Unreadable),
        (&["[203.0.113.7]"], Claim::Unreadable),
        (&["fe80::1%eth0"], Claim::Unreadable),
        (&["203.0.113.7 203.0.113.8"], Claim::Unreadable),
        (&["203.0.113.7\u{e9}"], Claim::Unreadable),
        // Nothing was said.
        (&[], Claim::Nothing),
        (&[""], Claim::Nothing),
        (&[" ", "\t"], Claim::Nothing),
    ];
    assert!(!table.is_empty());
    for (lines, expected) in table {
        assert_eq!(said(RealIpHeader::XForwardedFor, lines), *expected, "{lines:?}");
    }
}

#[test]
fn a_single_address_is_one_line() {
    let table: &[(&[&str], Claim)] = &[
        (&["203.0.113.7"], client("203.0.113.7")),
        (&["198.51.100.7"], client("198.51.100.7")),
        (&["[2001:db8::7]:1"], client("2001:db8::7")),
        (&["203.0.113.7, 203.0.113.8"], Claim::Unreadable),
        (&["203.0.113.7", "203.0.113.7"], Claim::Unreadable),
        (&["nobody"], Claim::Unreadable),
        (&[""], Claim::Nothing),
    ];
    assert!(!table.is_empty());
    for (lines, expected) in table {
        assert_eq!(said(RealIpHeader::XRealIp, lines), *expected, "{lines:?}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_says() {
    let table: &[(&[&str], Claim)] = &[
        (&["for=203.0.113.7"], client("203.0.113.7")),
        (&["FOR=\"203.0.113.7:80\""], client("203.0.113.7")),
        (&["for=\"[2001:db8::7]:4711\""], client("2001:db8::7")),
        (&["For=\"[2001:db8::7]\";proto=https;by=203.0.113.43"], client("2001:db8::7")),
        (&["for=203.0.113.7:_port"], client("203.0.113.7")),
        (&["by=203.0.113.9; for=203.0.113.7 ;host=\"a,b;for=9.9.9.9\""], client("203.0.113.7")),
        (&["host=\"a\\\",for=9.9.9.9\";for=203.0.113.7"], client("203.0.113.7")),
        (&["for=1.1.1.1, for=203.0.113.7, for=198.51.100.2;by=_b"], client("203.0.113.7")),
        (&["for=203.0.113.7", "for=198.51.100.2"], client("203.0.113.7")),
        (&["for=\"unclosed, for=203.0.113.7"], client("203.0.113.7")),
        (&["for=\"unclosed, for=\"[2001:db8::7]\""], client("2001:db8::7")),
        (&["for=198.51.100.3"], client("198.51.100.3")),
        (&["for=_hidden"], Claim::Unreadable),
        (&["for=unknown"], Claim::Unreadable),
        (&["for=203.0.113.7, for=unknown"], Claim::Unreadable),
        (&["proto=https"], Claim::Unreadable),
        (&["203.0.113.7"], Claim::Unreadable),
        (&["for="], Claim::Unreadable),
        (&["for=\""], Claim::Unreadable),
        (&["for=203.0.113.7;for=203.0.113.8"], Claim::Unreadable),
        (&["for=\"203.0.113.\\7\""], Claim::Unreadable),
        (&["for=203.0.113.7:_"], Claim::Unreadable),
        (&[""], Claim::Nothing),
    ];
    assert!(!table.is_empty());
    for (lines, expected) in table {
        assert_eq!(said(RealIpHeader::Forwarded, lines), *expected, "{lines:?}");
    }
}

#[test]
fn only_the_trusted_are_believed_and_only_in_the_one_field() {
    let field: Line<'_> = ("x-FORWARDED-for", b"203.0.113.7");
    let table = [
        (PROXY, client("203.0.113.7")),
        ("127.0.0.1", client("203.0.113.7")),
        ("::1", client("203.0.113.7")),
        ("unix:", client("203.0.113.7")),
        ("203.0.113.9", Claim::Ignored),
        ("198.51.101.1", Claim::Ignored),
    ];
    assert!(!table.is_empty());
    for (from, expected) in table {
        assert_eq!(claim(&[field], from, RealIpHeader::XForwardedFor), expected, "{from}");
        let other = claim(&[field, ("Host", b"localhost")], from, RealIpHeader::XRealIp);
        let seen = Claim::Missing(Evidence::Other(RealIpHeader::XForwardedFor));
        assert_eq!(other, if expected == Claim::Ignored { Claim::Nothing } else { seen }, "{from}");
    }
}

#[test]
fn a_proxy_that_names_nobody_is_seen_by_what_it_leaves() {
    let host: Line<'_> = ("Host", b"localhost:9310");
    let table: &[(&str, &[Line<'_>], Claim)] = &[
        ("127.0.0.1", &[host], Claim::Nothing),
        ("127.0.0.1", &[("Host", b"127.0.0.1:9310")], Claim::Nothing),
        ("127.0.0.1", &[("Host", b"[::1]:9310")], Claim::Nothing),
        ("127.0.0.1", &[("Host", b"LOCALHOST")], Claim::Nothing),
        ("127.0.0.1", &[("Host", b"relay.localhost:80")], Claim::Nothing),
        ("127.0.0.1", &[("Host", b"relay.example")], Claim::Missing(Evidence::Host)),
        ("unix:", &[("Host", b"relay.example:443")], Claim::Missing(Evidence::Host)),
        ("::1", &[("Host", b"192.0.2.1")], Claim::Missing(Evidence::Host)),
        // A proxy on another machine asks for what it was configured with.
        (PROXY, &[("Host", b"relay.example")], Claim::Nothing),
        (PROXY, &[host, ("Via", b"1.1 x")], Claim::Missing(Evidence::Field("Via"))),
        (
            "unix:",
            &[host, ("X-Forwarded-Proto", b"https")],
            Claim::Missing(Evidence::Field("X-Forwarded-Proto")),
        ),
        (PROXY, &[host, ("x-forwarded-host", b"a")], Claim::Missing(Evidence::Field("X-Forwarded-Host"))),
        (PROXY, &[host, ("Forwarded", b"for=x")], Claim::Missing(Evidence::Other(RealIpHeader::Forwarded))),
        (
            "127.0.0.1",
            &[("Host", b"a.example"), ("X-Real-IP", b"")],
            Claim::Missing(Evidence::Other(RealIpHeader::XRealIp)),
        ),
        ("203.0.113.9", &[("Host", b"relay.example"), ("Via", b"1.1 x")], Claim::Nothing),
    ];
    assert!(!table.is_empty());
    for (from, lines, expected) in table {
        assert_eq!(claim(lines, from, RealIpHeader::XForwardedFor), *expected, "{from} {lines:?}");
    }
}

/// Quotes that nobody closes are looked for once, and not by each of those that come after them.
#[test]
fn work_is_linear_in_the_longest_field() {
    let mut worst = "for=127.0.0.1;a=\\\",".repeat(8000 / 19 * 40);
    worst.truncate(300_000);
    #[allow(clippy::disallowed_methods)]
    let begin = std::time::Instant::now();
    for line in [&worst, &"\\\"".repeat(150_000), &"\"".repeat(300_000), &",".repeat(300_000)] {
        said(RealIpHeader::Forwarded, &[line]);
        said(RealIpHeader::XForwardedFor, &[line]);
    }
    assert!(begin.elapsed().as_secs() < 5, "took {:?}", begin.elapsed());
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![0x20u8..=0xff, Just(b'"'), Just(b'\\'), Just(b','), Just(b';'), Just(b'=')];
    proptest::collection::vec(byte, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a client sends, what the proxy appends is read as if it stood alone.
    #[test]
    fn nothing_left_of_a_proxys_own_word_changes_it(garbage in garbage(), lines: bool) {
        let table = [
            (RealIpHeader::XForwardedFor, "203.0.113.7"),
            (RealIpHeader::Forwarded, "for=203.0.113.7"),
            (RealIpHeader::Forwarded, "by=_x;for=\"203.0.113.7:80\";host=\"a, b\\\"\""),
        ];
        for (header, word) in table {
            let name = header.name();
            let joined = [&garbage[..], b", ", word.as_bytes()].concat();
            let found = if lines {
                claim(&[(name, &garbage), (name, word.as_bytes())], PROXY, header)
            } else {
                claim(&[(name, &joined)], PROXY, header)
            };
            prop_assert_eq!(found, client("203.0.113.7"), "{}", word);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(a in garbage(), b in garbage(), host in garbage(), local: bool) {
        for header in RealIpHeader::ALL {
            let from = if local { "127.0.0.1" } else { PROXY };
            claim(&[(header.name(), &a), ("Host", &host), (header.name(), &b)], from, header);
            claim(&[("Host", &host), ("host", &a)], from, header);
        }
    }
}
