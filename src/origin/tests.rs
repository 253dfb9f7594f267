//! Who may ask from which page, case by case; and that what is written is read again.

use super::*;
use proptest::{collection::vec, prelude::*};

/// A request: what it says of its page and of its host. `why` is for whoever reads a failure.
struct Case<'c> {
    origin: &'c [u8],
    host: &'c [u8],
    is_allowed: bool,
    why: &'static str,
}

const fn yes<'c>(origin: &'c str, host: &'c str, why: &'static str) -> Case<'c> {
    Case { origin: origin.as_bytes(), host: host.as_bytes(), is_allowed: true, why }
}

const fn no<'c>(origin: &'c str, host: &'c str, why: &'static str) -> Case<'c> {
    Case { origin: origin.as_bytes(), host: host.as_bytes(), is_allowed: false, why }
}

fn assert_cases(origins: &Origins, desk: &Desk, cases: &[Case<'_>]) {
    assert!(!cases.is_empty());
    for Case { origin, host, is_allowed, why } in cases {
        let found = origins.allow(origin, host, desk);
        let (origin, host) = (origin.escape_ascii(), host.escape_ascii());
        assert_eq!(found, *is_allowed, "{origin} at {host}: {why}");
    }
}

const NOWHERE: Desk = Desk { places: Vec::new() };

#[test]
fn a_page_of_the_same_host_may_ask() {
    let cases = [
        yes("https://good.com", "good.com", "the usual case behind a proxy that ends TLS"),
        yes("http://good.com", "good.com", "and without TLS"),
        yes("ws://good.com", "good.com", "a client that names its own scheme"),
        yes("wss://good.com", "good.com", "and with TLS"),
        yes("https://good.com", "good.com:443", "the default port of the scheme, written in Host"),
        yes("https://good.com:443", "good.com", "or in Origin"),
        yes("https://good.com:443", "good.com:443", "or in both"),
        yes("wss://good.com", "good.com:443", "the same for wss"),
        yes("wss://good.com:443", "good.com", "the same for wss"),
        yes("http://good.com", "good.com:80", "the same for http"),
        yes("http://good.com:80", "good.com", "the same for http"),
        yes("ws://good.com", "good.com:80", "the same for ws"),
        yes("ws://good.com:80", "good.com:80", "the same for ws"),
        yes("http://good.com:8080", "good.com:8080", "another port, in both"),
        yes("https://good.com:8443", "good.com:8443", "another port, in both"),
        yes("http://good.com:443", "good.com:443", "a port is a port"),
        yes("https://good.com:80", "good.com:80", "a port is a port"),
        yes("http://good.com:65535", "good.com:65535", "the greatest port"),
        yes("https://good.com", "GOOD.com", "hosts have no case"),
        yes("https://Good.Com", "good.com", "hosts have no case, though browsers write lower case"),
        yes("HTTPS://good.com", "good.com:443", "schemes have no case"),
        yes("http://localhost:9310", "localhost:9310", "a developer's machine"),
        yes("http://127.0.0.1:9310", "127.0.0.1:9310", "by its address"),
        yes("http://[::1]:9310", "[::1]:9310", "by its address"),
        yes("http://[::1]", "[::1]", "without a port"),
        yes("https://[2001:db8::1]", "[2001:db8::1]:443", "with the default port"),
        yes("https://[2001:db8::1]", "[2001:DB8:0:0::0:1]", "one address, however it is written"),
        yes("http://[::ffff:c000:201]", "[::ffff:192.0.2.1]", "one address, however it is written"),
        yes(
            "https://xn--bcher-kva.example",
            "xn--bcher-kva.example",
            "an international name, as browsers send it",
        ),
        yes("https://XN--bcher-kva.example", "xn--BCHER-kva.example", "and its case"),
        yes("https://a-b.c_d.example", "a-b.c_d.example", "names with dashes and lines"),
        yes("https://good.com.", "good.com.", "a final dot in both"),
        yes("http://0", "0", "a name of one digit"),
        no("https://evil.com", "good.com", "another host"),
        no("http://evil.com", "good.com", "another host"),
        no("https://good.com.evil", "good.com", "ours is only how it begins"),
        no("https://good.com.evil.com", "good.com", "ours is only how it begins"),
        no("https://evilgood.com", "good.com", "ours is only how it ends"),
        no("https://evil.good.com", "good.com", "a host below ours"),
        no("https://good.com", "evil.good.com", "a host above ours"),
        no("https://com", "good.com", "far above ours"),
        no("https://good.co", "good.com", "less than ours"),
        no("https://good.comm", "good.com", "more than ours"),
        no("https://good-com", "good.com", "no pattern"),
        no("https://goodxcom", "good.com", "no pattern"),
        no("https://.com", "good.com", "no pattern"),
        no("https://*.com", "good.com", "no pattern"),
        no("https://*", "good.com", "no pattern"),
        no("https://good.com.", "good.com", "a final dot makes another origin"),
        no("https://good.com", "good.com.", "in Host too"),
        no("https://good.com:8443", "good.com", "another port"),
        no("https://good.com", "good.com:8443", "another port"),
        no("https://good.com:8443", "good.com:8444", "another port"),
        no("https://good.com:80", "good.com", "the default port of the other scheme"),
        no("https://good.com", "good.com:80", "the default port of the other scheme"),
        no("http://good.com:443", "good.com", "the default port of the other scheme"),
        no("http://good.com", "good.com:443", "the default port of the other scheme"),
        no("http://good.com:8080", "good.com", "nobody knows the port that a proxy left out"),
        no("http://good.com:44", "good.com:443", "how a port begins"),
        no("http://good.com:65536", "good.com:65536", "no port"),
        no("http://good.com:65616", "good.com:80", "80 and 2^16"),
        no("http://good.com:080", "good.com:80", "a port with a zero before it"),
        no("http://good.com:80", "good.com:080", "in Host too"),
        no("http://good.com:+80", "good.com:80", "a port with a sign"),
        no("http://good.com:-80", "good.com:80", "a port with a sign"),
        no("http://good.com: 80", "good.com:80", "a port with a space"),
        no("http://good.com:", "good.com", "an empty port, which no browser sends"),
        no("http://good.com", "good.com:", "an empty port, which no browser sends"),
        no("http://good.com:8 0", "good.com:80", "a port with a space"),
        no("http://good.com:http", "good.com:80", "a port by its name"),
        no("http://good.com:80:80", "good.com:80", "two ports"),
        no("http://good.com:\u{661}", "good.com:1", "a digit of another script"),
        no("ftp://good.com", "good.com", "no page comes so"),
        no("file://good.com", "good.com", "no page comes so"),
        no("capacitor://localhost", "localhost", "an app's own scheme, where localhost is not this one"),
        no("capacitor://localhost:80", "localhost:80", "the same with a port"),
        no("chrome-extension://good.com", "good.com", "the same of an extension"),
        no("httpss://good.com", "good.com", "another scheme"),
        no("ahttps://good.com", "good.com", "another scheme"),
        no("http", "good.com", "a scheme alone"),
        no("https:", "good.com", "a scheme alone"),
        no("https:/", "good.com", "a scheme alone"),
        no("https://", "good.com", "a scheme alone"),
        no("https://", "", "two nothings are not the same"),
        no("://good.com", "good.com", "no scheme"),
        no("//good.com", "good.com", "no scheme"),
        no("good.com", "good.com", "no scheme"),
        no("good.com:443", "good.com:443", "no scheme"),
        no("https:good.com", "good.com", "no slashes"),
        no("https:/good.com", "good.com", "one slash"),
        no("https:///good.com", "good.com", "three slashes"),
        no("https:\\\\good.com", "good.com", "slashes that lean the other way"),
        no("https://good.com/", "good.com", "a slash at the end, which is of a URL"),
        no("https://good.com/a", "good.com", "a path"),
        no("https://good.com\\", "good.com", "a slash that leans the other way"),
        no("https://good.com?a", "good.com", "a query"),
        no("https://good.com#a", "good.com", "a fragment"),
        no("https://evil.com/good.com", "good.com", "ours in a path"),
        no("https://evil.com?good.com", "good.com", "ours in a query"),
        no("https://evil.com#good.com", "good.com", "ours in a fragment"),
        no("https://evil.com/https://good.com", "good.com", "ours in a path"),
        no("https://good.com@evil.com", "good.com", "ours as a user"),
        no("https://evil.com@good.com", "good.com", "a user"),
        no("https://user:80@good.com", "good.com", "a user with a password"),
        no("https://good.com:443@evil.com", "good.com:443", "ours as a user with a password"),
        no("https://@good.com", "good.com", "an empty user"),
        no("https://good.com https://evil.com", "good.com", "two in one line"),
        no("https://evil.com https://good.com", "good.com", "two in one line"),
        no("https://good.com https://good.com", "good.com", "twice the same in one line"),
        no("https://good.com, https://evil.com", "good.com", "two in one line, as fields are joined"),
        no("https://good.com,https://good.com", "good.com", "two in one line, as fields are joined"),
        no("https://good.com;a", "good.com", "a parameter"),
        no(" https://good.com", "good.com", "a space before it"),
        no("https://good.com ", "good.com", "a space behind it"),
        no("https:// good.com", "good.com", "a space within"),
        no("https://good .com", "good.com", "a space within"),
        no("https://good.com\t", "good.com", "a tabulator"),
        no("https://good.com\0", "good.com", "a NUL"),
        no("https://good.com\0.evil", "good.com", "a NUL within"),
        no("https://good.com\r\n", "good.com", "a line end"),
        no("https://good%2Ecom", "good.com", "an escape"),
        no("https://good.com%00", "good.com", "an escape"),
        no("\"https://good.com\"", "good.com", "quotes"),
        no("<https://good.com>", "good.com", "brackets"),
        no("https://\u{261}ood.com", "good.com", "a letter that looks like ours"),
        no("https://good\u{3002}com", "good.com", "a dot of another script"),
        no("https://\u{ff47}ood.com", "good.com", "a wide letter"),
        no("https://b\u{fc}cher.example", "xn--bcher-kva.example", "a name that no browser has written"),
        no("https://b\u{fc}cher.example", "b\u{fc}cher.example", "nor would it in Host"),
        no("https://xn--bcher-kva.example", "b\u{fc}cher.example", "raw UTF-8 in Host"),
        no("https://xn--bcher-kva.example", "bucher.example", "another name"),
        no("https://\u{212a}.com", "k.com", "a letter that is k in lower case"),
        no("http://[::1]", "::1", "an address without its brackets"),
        no("http://::1", "[::1]", "an address without its brackets"),
        no("http://[::1", "[::1", "one bracket"),
        no("http://::1]", "::1]", "one bracket"),
        no("http://[::1]a", "[::1]a", "something behind the bracket"),
        no("http://[::1]80", "[::1]:80", "no colon"),
        no("http://[::1]:", "[::1]", "an empty port"),
        no("http://[[::1]]", "[::1]", "too many brackets"),
        no("http://[::1%25eth0]", "[::1]", "a zone"),
        no("http://[::1%eth0]", "[::1%eth0]", "a zone"),
        no("http://[127.0.0.1]", "[127.0.0.1]", "an IPv4 address in brackets"),
        no("http://[good.com]", "[good.com]", "a name in brackets"),
        no("http://[]", "[]", "nothing in brackets"),
        no("http://[::2]", "[::1]", "another address"),
        no("http://[::ffff:127.0.0.1]", "127.0.0.1", "another form of the address, which is another origin"),
        no("http://127.0.0.1", "localhost", "the same machine is not the same origin"),
        no("http://localhost", "127.0.0.1", "the same machine is not the same origin"),
        no("http://127.1", "127.0.0.1", "a form that no browser sends"),
        no("http://2130706433", "127.0.0.1", "a form that no browser sends"),
        no("http://0x7f.1", "127.0.0.1", "a form that no browser sends"),
        no("https://good.com", "", "an empty Host"),
        no("https://good.com", "evil.com", "the Host of another"),
        no("https://good.com", "good.com, evil.com", "two in Host"),
        no("https://good.com", "good.com good.com", "two in Host"),
        no("https://good.com", "user@good.com", "a user in Host"),
        no("https://good.com", "https://good.com", "a scheme in Host"),
        no("https://good.com", "good.com/", "a path in Host"),
        no("https://good.com", " good.com", "a space in Host"),
        no("https://good.com", "good.com:443:443", "two ports in Host"),
        no("https://good.com", "good.com:https", "a port by its name in Host"),
        no("https://good.com", "*", "no pattern in Host"),
        no("https://good.com", "[good.com]", "a name in brackets in Host"),
        no("null", "good.com", "a page without an origin"),
        no("null", "null", "even at a host of that name"),
        no("NULL", "good.com", "and in upper case"),
        no("null://null", "null", "nor as a scheme"),
        no("", "good.com", "an empty line"),
        no("", "", "two nothings"),
        no("*", "good.com", "a star"),
        no("any", "good.com", "a word of the configuration"),
        no("same-host", "same-host", "a word of the configuration"),
        Case { origin: b"https://good.com\xff", host: b"good.com", is_allowed: false, why: "no UTF-8" },
        Case { origin: b"\xff\xfe", host: b"good.com", is_allowed: false, why: "no UTF-8" },
        Case {
            origin: b"https://good.com",
            host: b"good.com\xff",
            is_allowed: false,
            why: "no UTF-8 in Host",
        },
        Case { origin: b"https://\xff", host: b"\xff", is_allowed: false, why: "the same, but no host" },
    ];
    assert!(cases.len() >= 150);
    assert_cases(&Origins::default(), &NOWHERE, &cases);
    let nobody = Origins { same_host: false, ..Origins::default() };
    for case in &cases {
        assert!(!nobody.allow(case.origin, case.host, &NOWHERE), "{}", case.why);
    }
}

fn listed(origins: &[&str]) -> Origins {
    let listed = origins.iter().map(|text| text.parse().unwrap()).collect();
    Origins { same_host: false, listed, ..Origins::default() }
}

#[test]
fn a_page_that_is_listed_may_ask_whatever_the_host() {
    let origins = listed(&[
        "https://good.com",
        "http://Good.net:8080",
        "https://[2001:DB8::1]:8443",
        "https://xn--bcher-kva.example:443",
        "capacitor://localhost",
        "http://192.0.2.1",
    ]);
    let cases = [
        yes("https://good.com", "relay.example", "it is listed"),
        yes("https://good.com:443", "relay.example", "with its default port"),
        yes("https://good.com", "", "Host is not asked"),
        yes("https://GOOD.COM", "relay.example", "hosts have no case"),
        yes("HTTPS://good.com", "relay.example", "schemes have no case"),
        yes("http://good.net:8080", "relay.example", "with its port"),
        yes("https://[2001:db8:0::1]:8443", "relay.example", "one address, however it is written"),
        yes("https://xn--bcher-kva.example", "relay.example", "listed with the default port"),
        yes("capacitor://localhost", "relay.example", "an app's own scheme"),
        yes("http://192.0.2.1:80", "relay.example", "an address"),
        no("http://good.com", "relay.example", "another scheme"),
        no("wss://good.com", "relay.example", "another scheme"),
        no("http://good.com:443", "relay.example", "another scheme, with the same port"),
        no("https://good.com:8443", "relay.example", "another port"),
        no("https://good.com:80", "relay.example", "another port"),
        no("https://good.com.evil", "relay.example", "listed is only how it begins"),
        no("https://evilgood.com", "relay.example", "listed is only how it ends"),
        no("https://www.good.com", "relay.example", "a host below"),
        no("https://com", "relay.example", "a host above"),
        no("https://good.com.", "relay.example", "a final dot"),
        no("https://good.com/", "relay.example", "a slash at the end"),
        no("https://good.com https://good.com", "relay.example", "two in one line"),
        no("https://good.com@evil.com", "relay.example", "listed as a user"),
        no("http://good.net", "relay.example", "without its port"),
        no("http://good.net:80", "relay.example", "another port"),
        no("https://good.net:8080", "relay.example", "another scheme"),
        no("https://[2001:db8::1]", "relay.example", "without its port"),
        no("https://[2001:db8::2]:8443", "relay.example", "another address"),
        no("https://b\u{fc}cher.example", "relay.example", "raw UTF-8"),
        no("capacitor://localhost:80", "relay.example", "with a port that is the default one of others"),
        no("http://localhost", "relay.example", "another scheme"),
        no("http://192.0.2.10", "relay.example", "listed is only how it begins"),
        no("https://relay.example", "relay.example", "the same host is not listed"),
        no("null", "relay.example", "not listed"),
        no("", "relay.example", "nothing"),
    ];
    assert_cases(&origins, &NOWHERE, &cases);
    let both = Origins { same_host: true, ..origins };
    assert_cases(&both, &NOWHERE, &[yes("https://relay.example", "relay.example", "both are asked")]);
}

#[test]
fn null_may_ask_only_where_it_is_listed_and_anything_where_any_may() {
    let null = Origins { same_host: false, null: true, ..Origins::default() };
    let cases = [
        yes("null", "good.com", "it is listed"),
        yes("null", "", "Host is not asked"),
        no("NULL", "good.com", "browsers write it in lower case"),
        no("null ", "good.com", "with a space"),
        no("null, null", "good.com", "twice"),
        no("nul", "good.com", "less"),
        no("https://null", "good.com", "a host of that name"),
        no("https://good.com", "good.com", "the same host is not listed"),
        no("", "good.com", "nothing"),
    ];
    assert_cases(&null, &NOWHERE, &cases);
    let any = Origins { any: true, same_host: false, ..Origins::default() };
    let cases = [
        yes("https://evil.com", "good.com", "any"),
        yes("null", "good.com", "null included"),
        yes("", "", "and what is no origin"),
        Case { origin: b"\xff", host: b"\xff", is_allowed: true, why: "and what is no text" },
    ];
    assert_cases(&any, &NOWHERE, &cases);
}

fn desk(places: &[&str]) -> Desk {
    Desk { places: places.iter().map(|place| place.parse().unwrap()).collect() }
}

#[test]
fn the_pages_of_the_desk_may_always_ask() {
    let table: &[(&[&str], &[Case<'_>])] = &[
        (&[], &[no("http://127.0.0.1:9311", "127.0.0.1:9310", "there is no desk")]),
        (
            &["127.0.0.1:9311"],
            &[
                yes("http://127.0.0.1:9311", "127.0.0.1:9310", "its address"),
                yes("http://127.0.0.1:9311", "", "whatever the host"),
                yes("http://localhost:9311", "good.com", "this machine by its name"),
                yes("HTTP://LOCALHOST:9311", "good.com", "names have no case"),
                no("https://127.0.0.1:9311", "127.0.0.1:9310", "it has no TLS"),
                no("ws://127.0.0.1:9311", "127.0.0.1:9310", "a page comes by http"),
                no("http://127.0.0.1:9312", "127.0.0.1:9310", "another port"),
                no("http://127.0.0.1", "127.0.0.1:9310", "another port"),
                no("http://127.0.0.2:9311", "127.0.0.1:9310", "another address"),
                no("http://[::1]:9311", "127.0.0.1:9310", "it does not listen there"),
                no("http://good.com:9311", "good.com", "a name that somebody may have bent to it"),
                no("http://localhost.evil:9311", "good.com", "localhost is only how it begins"),
                no("http://127.0.0.1.evil:9311", "good.com", "its address is only how it begins"),
                no("http://localhost.:9311", "good.com", "a final dot"),
                no("http://localhost:9311/", "good.com", "no origin"),
                no("null", "127.0.0.1:9310", "a page without an origin"),
            ],
        ),
        (
            &["[::1]:9311"],
            &[
                yes("http://[::1]:9311", "good.com", "its address"),
                yes("http://[0:0::1]:9311", "good.com", "however it is written"),
                yes("http://localhost:9311", "good.com", "this machine by its name"),
                no("http://127.0.0.1:9311", "good.com", "it does not listen there"),
            ],
        ),
        (
            &["192.0.2.7:80", "127.0.0.2:8080"],
            &[
                yes("http://192.0.2.7", "good.com", "the default port"),
                yes("http://192.0.2.7:80", "good.com", "the default port, written"),
                yes("http://127.0.0.2:8080", "good.com", "the second place"),
                yes("http://localhost:8080", "good.com", "loopback is more than one address"),
                no("http://localhost", "good.com", "the first place is not this machine alone"),
                no("http://192.0.2.7:8080", "good.com", "one place's address with the other's port"),
                no("https://192.0.2.7:80", "good.com", "it has no TLS"),
                no("http://good.com", "good.com:8080", "a name of the first place"),
            ],
        ),
        (
            &["0.0.0.0:9311"],
            &[
                yes("http://localhost:9311", "good.com", "everywhere is here too"),
                no("http://good.com:9311", "good.com", "a name that somebody may have bent to it"),
                no("http://good.com:9311", "GOOD.com:9310", "whatever its port and case"),
                yes("http://127.0.0.1:9311", "127.0.0.1:9310", "the host that is asked, by address"),
                yes("http://0.0.0.0:9311", "good.com", "its literal"),
                no("http://evil.com:9311", "good.com", "another host"),
                no("http://good.com", "good.com:9310", "another port"),
                no("https://good.com:9311", "good.com", "it has no TLS"),
                no("http://good.com.evil:9311", "good.com", "ours is only how it begins"),
                no("http://good.com:9311", "", "nobody is asked"),
                no("http://good.com:9311", "good.com good.com", "an odd Host names nobody"),
            ],
        ),
        (
            &["[::]:9311"],
            &[
                yes("http://localhost:9311", "good.com", "everywhere is here too"),
                yes("http://[2001:db8::1]:9311", "[2001:db8:0::1]:9310", "the host that is asked"),
                yes("http://[::]:9311", "good.com", "its literal"),
                no("http://[2001:db8::2]:9311", "[2001:db8::1]", "another host"),
            ],
        ),
        (
            &["[::ffff:127.0.0.1]:9311"],
            &[
                yes("http://127.0.0.1:9311", "good.com", "what is mapped into IPv6 is IPv4"),
                yes("http://localhost:9311", "good.com", "and loopback"),
            ],
        ),
    ];
    assert!(!table.is_empty());
    let nobody = Origins { same_host: false, ..Origins::default() };
    for (places, cases) in table {
        assert_cases(&nobody, &desk(places), cases);
    }
}

#[test]
fn an_origin_is_written_as_browsers_write_it() {
    let table = [
        ("https://example.com", "https://example.com"),
        ("HTTPS://Example.COM", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:80", "https://example.com:80"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:8080", "http://example.com:8080"),
        ("wss://example.com:443", "wss://example.com"),
        ("ws://example.com:80", "ws://example.com"),
        ("http://[2001:DB8:0:0::1]:80", "http://[2001:db8::1]"),
        ("http://[::1]:9310", "http://[::1]:9310"),
        ("http://192.0.2.1:0", "http://192.0.2.1:0"),
        ("capacitor://localhost:80", "capacitor://localhost:80"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ("a+b-c.1://h", "a+b-c.1://h"),
    ];
    assert!(!table.is_empty());
    for (text, written) in table {
        assert_eq!(text.parse::<Origin>().unwrap().to_string(), written);
    }
}

#[test]
fn what_is_no_origin_is_told_what_is_expected() {
    let table = [
        ("", NO_SCHEME),
        ("null", NO_SCHEME),
        ("example.com", NO_SCHEME),
        ("example.com:443", NO_SCHEME),
        ("//example.com", NO_SCHEME),
        ("://example.com", NO_SCHEME),
        ("1http://example.com", NO_SCHEME),
        ("ht tp://example.com", NO_SCHEME),
        ("h\u{e9}://example.com", NO_SCHEME),
        ("https://", BAD_HOST),
        ("https://:443", BAD_HOST),
        ("https://[::1", BAD_HOST),
        ("https://[::g]", BAD_HOST),
        ("https://[::1]a", BAD_HOST),
        ("https://a%41", BAD_HOST),
        ("https://a:b", BAD_PORT),
        ("https://a:", BAD_PORT),
        ("https://::1", BAD_HOST),
        ("https://a:65536", BAD_PORT),
        ("https://a:0443", BAD_PORT),
        ("https://[::1]:99999", BAD_PORT),
        ("https://b\u{fc}cher.example", NOT_ASCII),
        ("https://a:\u{661}", NOT_ASCII),
        ("https://user@example.com", USER),
        ("https://user:password@example.com", USER),
        ("https://example.com/", PATH),
        ("https://example.com:443/", PATH),
        ("https://example.com/app", PATH),
        ("https://example.com?a", PATH),
        ("https://example.com#a", PATH),
        ("https://[::1]/", PATH),
        ("https://[::1]:80/", PATH),
        ("https://*.example.com", STAR),
        ("https://*", STAR),
        ("https://example.com:*", STAR),
        ("https://a, https://b", PATH),
        ("https://a b", TWO),
        ("https://a ", TWO),
        ("https://a,b", TWO),
    ];
    assert!(!table.is_empty());
    for (text, expected) in table {
        assert_eq!(text.parse::<Origin>(), Err(expected), "{text}");
    }
    assert!(NO_SCHEME.to_string().starts_with("expected an origin"));
}

fn any_piece() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "http",
        "https",
        "ws",
        "://",
        ":",
        "/",
        "[::1]",
        "[",
        "]",
        "good.com",
        "a",
        ".",
        "80",
        "443",
        "65536",
        "@",
        " ",
        ",",
        "null",
        "localhost",
        "127.0.0.1",
        "9311",
        "%",
        "\u{fc}",
        "*",
    ]);
    prop_oneof![8 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..3)]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any_piece(), 0..7).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged_without_a_panic(origin in any_bytes(), host in any_bytes()) {
        let origins = Origins { null: true, ..listed(&["https://good.com"]) };
        let desk = desk(&["127.0.0.1:9311", "[::]:443"]);
        let _ = Origins { same_host: true, ..origins.clone() }.allow(&origin, &host, &desk);
        let any = Origins { any: true, ..origins };
        prop_assert!(any.allow(&origin, &host, &desk));
    }

    #[test]
    fn what_is_written_is_read_again_as_the_same(text in any_bytes()) {
        let read = String::from_utf8(text).ok().and_then(|text| text.parse::<Origin>().ok());
        if let Some(origin) = read {
            let written = origin.to_string();
            prop_assert_eq!(written.parse(), Ok(origin.clone()));
            prop_assert!(listed(&[&written]).allow(written.as_bytes(), b"", &NOWHERE));
            prop_assert!(!written.bytes().any(|b| b.is_ascii_uppercase() || b.is_ascii_whitespace()));
        }
    }

    #[test]
    fn a_page_is_at_its_own_host_and_at_no_other(
        host in "[a-c]{1,2}(\\.[a-c]{1,2}){0,1}", other in "[a-c]{1,2}(\\.[a-c]{1,2}){0,1}",
        port in prop::sample::select(vec!["", ":80", ":443", ":8080"]),
        others_port in prop::sample::select(vec!["", ":80", ":443", ":8080"]),
        scheme in prop::sample::select(vec![("http", ":80"), ("https", ":443")]),
    ) {
        let (scheme, default) = scheme;
        let whole = |port: &'static str| if port.is_empty() { default } else { port };
        let is_same = host == other && whole(port) == whole(others_port);
        let (origin, asked) = (format!("{scheme}://{host}{port}"), format!("{other}{others_port}"));
        prop_assert_eq!(Origins::default().allow(origin.as_bytes(), asked.as_bytes(), &NOWHERE), is_same);
    }
}
