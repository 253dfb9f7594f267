//! Tests of requests: each with its page or its status.

use super::*;

fn asked(request: &str, entrance: Entrance) -> Asked {
    receive(&mut Head::default(), request.as_bytes(), entrance).expect("a whole head")
}

fn status(request: &str, entrance: Entrance) -> u16 {
    asked(request, entrance).page.err().map_or(200, |denial| denial.status)
}

#[test]
fn each_request_has_its_page_or_its_status() {
    let table = [
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        ("GET /readyz?full HTTP/1.1\r\nHost: [::1]:9311\r\n\r\n", 200),
        ("HEAD /api/status HTTP/1.1\r\nHost: localhost:9311\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n", 421),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: ::1\r\nHost: ::1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: null\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        ("GET /healthz/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        ("GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        ("POST /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        ("get /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        ("GET /healthz HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 505),
        ("GET /healthz\r\n\r\n", 505),
        ("GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n", 400),
        ("\x16\x03\x01", 400),
    ];
    assert!(!table.is_empty());
    for (request, wanted) in table {
        assert_eq!(status(request, Entrance::Tcp), wanted, "{request:?}");
    }
}

#[test]
fn over_tcp_a_host_is_an_address_and_over_a_unix_socket_anything() {
    let good = ["127.0.0.1", "127.0.0.1:0", "10.1.2.3:65535", "[::]", "[fe80::1]:80", "LocalHost:1"];
    let bad = [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:+1",
        "localhost:80:80",
        "::1",
        "[::1",
        "[::1]x",
        "[127.0.0.1]",
        "[::1]:",
        "127.1",
        "0x7f.0.0.1",
        "localhost, evil.example",
        "evil@127.0.0.1",
    ];
    assert!(!good.is_empty() && !bad.is_empty());
    let rows = good.map(|host| (host, 200)).into_iter().chain(bad.map(|host| (host, 421)));
    for (host, wanted) in rows {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&request, Entrance::Tcp), wanted, "{host:?}");
        assert_eq!(status(&request, Entrance::Unix), 200, "{host:?}");
    }
    assert_eq!(status("GET /healthz HTTP/1.1\r\n\r\n", Entrance::Unix), 200);
}

#[test]
fn heads_have_a_limit() {
    let request = |n: usize| format!("GET /healthz HTTP/1.1\r\nHost: [::1]\r\nA: {}\r\n\r\n", "a".repeat(n));
    let spare = (8 << 10) - request(0).len();
    assert_eq!(status(&request(spare), Entrance::Tcp), 200);
    assert_eq!(status(&request(spare + 1), Entrance::Tcp), 431);
    assert_eq!(status(&format!("GET /{}", "a".repeat(5000)), Entrance::Tcp), 414);
}

fn page_of(request: &str) -> Page {
    asked(request, Entrance::Tcp).page.unwrap()
}

#[test]
fn what_an_answer_depends_on_is_read_from_the_request() {
    let peers = |most| Question::Peers(super::super::question::Search { channel: None, tag: None, most });
    let asked = |target: &str| page_of(&format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
    assert_eq!(asked("/api/peers"), Page::Costly(peers(100)));
    assert_eq!(asked("/api/peers?limit=7&x"), Page::Costly(peers(7)));
    assert_eq!(asked("/api/log?"), Page::Costly(Question::Log));
    assert_eq!(status("GET /api/peers?tag=x HTTP/1.1\r\nHost: [::1]\r\n\r\n", Entrance::Tcp), 400);
}

#[test]
fn metrics_are_told_in_the_form_that_is_liked_best() {
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let table = [
        (prometheus, Exposition::OpenMetrics),
        ("application/openmetrics-text", Exposition::OpenMetrics),
        ("Application/OpenMetrics-Text; q=0.5", Exposition::OpenMetrics),
        ("text/plain, application/openmetrics-text", Exposition::OpenMetrics),
        ("text/plain, application/openmetrics-text;q=0.9", Exposition::Plain),
        ("application/openmetrics-text;q=0", Exposition::Plain),
        ("application/openmetrics-text;q=much", Exposition::Plain),
        ("application/openmetrics-texts, x/application/openmetrics-text", Exposition::Plain),
        ("*/*", Exposition::Plain),
        ("", Exposition::Plain),
    ];
    assert!(!table.is_empty());
    for (accept, wanted) in table {
        let page = page_of(&format!("GET /metrics HTTP/1.1\r\nHost: [::1]\r\nAccept: {accept}\r\n\r\n"));
        assert_eq!(page, Page::Costly(Question::Metrics(wanted)), "{accept}");
    }
}

#[test]
fn a_file_is_not_sent_to_who_has_it() {
    let fetched =
        |known: &str| page_of(&format!("GET / HTTP/1.1\r\nHost: [::1]\r\nIf-None-Match: {known}\r\n\r\n"));
    let Page::File { file, is_known: false } = fetched("\"0\"") else {
        panic!("the page at the top is a file")
    };
    let fields = file.fields();
    let etag = fields.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    assert_eq!(fetched(etag), Page::File { file, is_known: true });
}

#[test]
fn a_page_may_ask_only_where_it_came_from_and_never_under_a_name() {
    let good = [
        ("127.0.0.1:9311", "http://127.0.0.1:9311"),
        ("localhost", "https://LOCALHOST"),
        ("[::1]:80", "http://[::1]:80"),
    ];
    let bad = [
        ("127.0.0.1:9311", "http://127.0.0.1:9312"),
        ("127.0.0.1:9311", "http://localhost:9311"),
        ("127.0.0.1:9311", "http://127.0.0.1"),
        ("127.0.0.1", "http://evil.example"),
        ("127.0.0.1", "http://127.0.0.1.evil.example"),
        ("127.0.0.1", "http://127.0.0.1\r\nOrigin: http://127.0.0.1"),
        ("127.0.0.1", "ftp://127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "null"),
        ("127.0.0.1", ""),
    ];
    assert!(!good.is_empty() && !bad.is_empty());
    let rows = good.map(|row| (row, 200)).into_iter().chain(bad.map(|row| (row, 403)));
    for ((host, origin), wanted) in rows {
        for line in ["GET /api/status", "DELETE /api/peers/1.2"] {
            let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
            assert_eq!(status(&request, Entrance::Tcp), wanted, "{request}");
            assert_eq!(status(&request, Entrance::Unix), wanted, "{request}");
        }
    }
    let rebound =
        "DELETE /api/peers/1.2 HTTP/1.1\r\nHost: rebound.example\r\nOrigin: http://rebound.example\r\n\r\n";
    assert_eq!((status(rebound, Entrance::Tcp), status(rebound, Entrance::Unix)), (421, 403));
    assert_eq!(status("DELETE /api/peers/1.2 HTTP/1.0\r\nOrigin: http://a\r\n\r\n", Entrance::Tcp), 403);
}

#[test]
fn a_peer_is_sent_away_by_its_name_and_in_no_other_way() {
    let id = PeerId { slot: 12, serial: 3 };
    let dismissal = |reason: &str| Ok(Page::Dismissal { id, reason: reason.into() });
    let table = [
        ("DELETE /api/peers/12.3", "", dismissal("operator")),
        ("DELETE /api/peers/12.3?reason=too%20loud", "Content-Length: 0\r\n", dismissal("too loud")),
        ("DELETE /api/peers/12.3?reason=%00", "", Err(400)),
        ("DELETE /api/peers/12.3", "Content-Length: 1\r\n", Err(400)),
        ("DELETE /api/peers/12.3", "Content-Length: 0\r\nContent-Length: 5\r\n", Err(400)),
        ("DELETE /api/peers/12.3", "Transfer-Encoding: chunked\r\n", Err(400)),
        ("DELETE /api/peers/12", "", Err(404)),
        ("DELETE /api/peers/012.3", "", Err(404)),
        ("DELETE /api/peers/12.3/", "", Err(404)),
        ("DELETE /api/peers/", "", Err(404)),
        ("DELETE /api/peers", "", Err(405)),
        ("DELETE /healthz", "", Err(405)),
        ("GET /api/peers/12.3", "", Err(405)),
        ("HEAD /api/peers/12.3", "", Err(405)),
        ("POST /api/peers/12.3", "", Err(405)),
    ];
    assert!(!table.is_empty());
    for (line, fields, wanted) in table {
        let asked = asked(&format!("{line} HTTP/1.1\r\nHost: [::1]\r\n{fields}\r\n"), Entrance::Tcp);
        assert_eq!(asked.page.map_err(|denial| denial.status), wanted, "{line} {fields}");
    }
    let allowed = |line: &str| {
        let asked = asked(&format!("{line} HTTP/1.1\r\nHost: [::1]\r\n\r\n"), Entrance::Tcp);
        asked.page.unwrap_err().fields
    };
    assert_eq!(allowed("GET /api/peers/12.3"), "Allow: DELETE\r\n");
    assert_eq!(allowed("DELETE /api/peers"), "Allow: GET, HEAD\r\n");
}

#[test]
fn what_a_foreign_page_shows_of_here_is_refused_and_what_it_leads_to_is_not() {
    let table = [
        ("cross-site", "no-cors", 403),
        ("Same-Site", "cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ];
    assert!(!table.is_empty());
    for (site, mode, wanted) in table {
        let request = format!(
            "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\n\r\n"
        );
        assert_eq!(status(&request, Entrance::Tcp), wanted, "{site}, {mode}");
    }
}
