//! Tests of `rulebook`: what is said, to the letter where it matters at night.

use super::*;

const FILE: &str = "
token_keys = [\"/etc/wsrelayd/keys/main.pem\"]
token_audience = [\"relay\"]
heartbeat = { request = \"ping\", reply = \"pong\" }
[[channel]]
path = \"/**\"
subscribe = \"nobody\"
publish = \"nobody\"
[[channel]]
path = \"/feed/*\"
publish = \"token\"
event_stream = true
origins = [\"same-host\", \"https://example.org\"]
subprotocols = [\"feed.v1\"]
subprotocol_required = true
max_peers = 100
messages_per_sec = 10
kinds = \"text\"
max_message = \"1 KiB\"
echo = true
";

/// What is said of a configuration, as if it stood in this file.
fn with_book<T>(text: &str, ask: impl FnOnce(Rulebook<'_>) -> T) -> T {
    let raw = || crate::config::RawConfig::parse(text.into());
    let (config, _) = raw().check(None).unwrap();
    let lines = raw().lines_of_rules();
    ask(Rulebook { config: &config, file: Some(Path::new("relay.toml")), lines: &lines })
}

#[test]
fn what_follows_from_a_rule_is_said_in_words() {
    let said = with_book(FILE, |book| book.tell("/feed/a")).unwrap();
    let wanted = "\
/feed/a comes under the rule /feed/* (relay.toml, line 10).

  who may listen   anyone, by WebSocket or as an event stream (GET)
  who may publish  whoever brings a token whose `publish` names this path, by WebSocket
  a token          as Authorization: Bearer TOKEN, as the subprotocol bearer.TOKEN; signed with /etc/wsrelayd/keys/main.pem; for relay; clocks may be 30s apart
  pages of         the host that was asked for, https://example.org; the console; others: 403. Programs that send no Origin are not asked
  subprotocol      the first one that is offered of feed.v1; whoever offers none of them: 400
  peers            at most 100 on this channel, further ones: 503 (and 10000 on all together)
  a message        at most 1 KiB, else 1009; text only, else 1003 text-only
  its sender       gets it too
  heartbeat        \"ping\" is answered \"pong\" and not relayed
  rate of a peer   10 messages a second, 5s worth of it at once; beyond that its sender is not read until it may go on
  of an address    any
  a slow peer      is closed, 1008 slow-consumer: one that lags 1 MiB, or 256 KiB for 10s, or takes nothing for 30s
";
    assert_eq!(said, wanted);
}

#[test]
fn where_nobody_may_do_anything_nobody_comes_in() {
    let said = with_book(FILE, |book| book.tell("/x")).unwrap();
    let wanted = "\
/x comes under the rule /** (relay.toml, line 6).

  who may come in  nobody: every request gets 403
";
    assert_eq!(said, wanted);
}

#[test]
fn without_rules_every_path_is_a_channel() {
    let said = with_book("", |book| book.tell("/x")).unwrap();
    let head = "/x is a channel, as every path is: there are no rules (relay.toml).\n\n  who may listen   anyone, by WebSocket\n";
    assert!(said.starts_with(head) && !said.contains("token"), "{said}");
    let said = with_book("", |book| book.list());
    assert!(
        said.starts_with("No rules (relay.toml): every path is a channel, and on all of them holds\n\n  who"),
        "{said}"
    );
}

#[test]
fn rules_are_listed_as_they_are_tried() {
    let said = with_book(FILE, |book| book.list());
    let wanted = "\
The rules of relay.toml, the most specific first. The first one that matches holds; a path that none matches gets 404.

  /feed/*  line 10    listen: anyone  publish: token
  /**      line 6     listen: nobody  publish: nobody
";
    assert_eq!(said, wanted);
}

#[test]
fn a_path_that_no_channel_has_is_said_to_be_none() {
    let rules = "[[channel]]\npath = \"/a\"\n";
    let table = [
        (
            "/b",
            "/b comes under no rule of relay.toml, and gets 404. `wsrelayd rules` lists them; a rule for all other",
        ),
        ("a", "\"a\" can be the path of no channel: it does not begin with a slash (400). Leave out"),
        ("/a?b", "what begins with a ? is a query"),
        ("/a b", "it holds a #, a space or"),
        ("/é", "it holds a #, a space or"),
        ("//", "it has two slashes in a row (400)"),
        ("/..", "it has a segment . or .. (400)"),
        ("/%41", "it escapes a letter"),
        ("/%2f", "it holds %00 or %2F (400)"),
        ("/%", "it has a % that"),
    ];
    assert!(!table.is_empty());
    for (path, words) in table {
        let said = with_book(rules, |book| book.tell(path)).unwrap_err();
        assert!(said.contains(words), "{path}: {said}");
    }
}
