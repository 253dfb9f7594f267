//! Rules, origins, keys for tokens and rates in the configuration: what is read, what is refused, what is written.

use super::{KEYS, complaint, config, raw};
use crate::{
    config::{Config, channel},
    limits::{Access, Kinds, Limits, OnRate, OnSlow},
    origin::Origins,
    rules::{MOST_RULES, Rule, Rules},
};
use proptest::prelude::*;
use std::time::Duration;

/// Access to be judged needs a key.
const KEYED: &str = "token_keys = [\"a.pem\"]\n";

#[test]
fn a_rule_has_what_it_says_and_else_what_holds_in_general() {
    let text = "
        echo = true
        token_keys = ['main.pem']
        max_lag = '2 MiB'
        [[channel]]
        path = '/feed'
        publish = 'token'
        kinds = 'text'
        max_peers = 7
        [[channel]]
        path = '/chat/*'
        echo = false
        on_slow = 'skip'
        heartbeat = { request = 'a', reply = 'b' }
        origins = ['https://example.org']
        [[channel]]
        path = '/**'
    ";
    let config = config(text);
    let general = Limits { rules: Rules::default(), ..config.limits.clone() };
    let under = |path: &str| config.limits.under(config.limits.rule_for(path).unwrap()).clone();
    assert_eq!(under("/x/y"), general, "nothing said");
    let feed = Limits { publish: Access::Token, kinds: Kinds::Text, max_peers: 7, ..general.clone() };
    assert_eq!(under("/feed"), feed);
    let chat = under("/chat/a");
    assert_eq!((chat.echo, chat.on_slow, chat.max_lag), (false, OnSlow::Skip, 2 << 20));
    assert!(chat.heartbeat.is_some() && !chat.origins.same_host && chat.origins.listed.len() == 1);
}

#[test]
fn what_may_stand_in_a_rule_is_what_the_table_of_keys_says() {
    let (mut in_rules, mut others) = (0, 0);
    let mut defaults = Config::default();
    for key in KEYS {
        let text = format!("[[channel]]\npath = \"/a\"\n{} = {}\n", key.name, key.write(&mut defaults));
        if key.is_of_channel {
            in_rules += 1;
            assert_eq!(config(&text).limits.rules.iter().count(), 1, "{text}");
        } else {
            others += 1;
            let said = complaint(&text);
            assert!(said.contains(&format!("{}: stands below [[channel]]", key.name)), "{said}");
        }
    }
    assert!(in_rules >= 23 && others >= 20, "{in_rules} {others}");
}

#[test]
fn what_may_not_stand_is_told_in_its_place() {
    let table = [
        (
            "subscribe = \"tokn\"",
            "line 1, column 13: subscribe: expected one of \"anyone\", \"token\", \"nobody\", not \"tokn\"; did you mean \"token\"?",
        ),
        ("kinds = 1", "kinds: expected one of \"both\", \"text\", \"binary\", not the number 1"),
        ("on_rate = \"skip\"", "on_rate: expected one of \"wait\", \"disconnect\", not \"skip\""),
        ("rate_burst = \"500ms\"", "rate_burst: expected a duration from \"1s\" to \"1h\", not \"500ms\""),
        ("token_leeway = \"2h\"", "token_leeway: expected a duration from \"0s\" to \"1h\", not \"2h\""),
        ("max_peers = -1", "max_peers: expected a number from 0 to 1000000"),
        ("origins = \"any\"", "origins: expected a list of origins, such as [\"same-host\","),
        (
            "origins = [\"any\", \"anny\"]",
            "column 19: origins: expected an origin with its scheme, such as \"https://example.com\", or \"same-host\", \"any\" or \"null\", not \"anny\"; did",
        ),
        ("origins = [\"anny\"]", "not \"anny\"; did you mean \"any\"?"),
        ("origins = [\"null\", \"null\"]", "column 20: origins: expected each entry once, not \"null\""),
        ("subprotocols = [\"a b\"]", "subprotocols: expected the name of a subprotocol"),
        ("subprotocols = [\"bearer.x\"]", "not beginning with \"bearer.\""),
        ("subprotocols = [\"a\", \"a\"]", "column 22: subprotocols: expected each entry once"),
        ("token_keys = \"a\"", "token_keys: expected a list of files, such as"),
        ("token_keys = [\"\"]", "token_keys: expected the path of a file, such as"),
        ("token_keys = [\"keys/\"]", "token_keys: expected the path of a file, such as"),
        ("token_issuers = [1]", "token_issuers: expected what stands in the claim `iss`"),
        ("token_audience = [\"a\\u0007\"]", "token_audience: expected what stands in the claim `aud`"),
        ("token_query = true", "token_query: expected false, or the name of a query parameter"),
        ("token_query = \"a&b\"", "token_query: expected false, or the name of a query parameter"),
        ("token_query = \"wsrelayd-tag\"", "token_query: expected false, or the name of a query parameter"),
        ("identity_header = \"X User\"", "identity_header: expected false, or the name of a header"),
        ("identity_header = \"AUTHORIZATION\"", "identity_header: expected false, or the name of a header"),
        (
            "identity_header = \"Sec-WebSocket-Key\"",
            "identity_header: expected false, or the name of a header",
        ),
        (
            "channel = 5",
            "line 1, column 1: channel: expected a table [[channel]] for each pattern of paths, not the number 5",
        ),
        ("channel = [1]", "column 12: channel: expected a table [[channel]]"),
        ("[channel]\npath = \"/a\"", "not a single [channel]: write its brackets twice"),
        (
            "[channels]\npath = \"/a\"",
            "unknown table \"channels\": every key stands at the top, in no table, or in a [[channel]]; did you mean \"channel\"?",
        ),
        ("[[chanel]]\npath = \"/a\"", "unknown key \"chanel\"; did you mean \"channel\"?"),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        let said = complaint(text);
        assert!(said.contains(words) && !said.contains("mistakes"), "{text}: {said}");
    }
}

#[test]
fn what_may_not_stand_in_a_rule_is_told_in_its_place() {
    let table = [
        (
            "[[channel]]\necho = true",
            "line 1, column 1: channel: expected a `path` in the table, such as path = \"/feed/*\"",
        ),
        (
            "[[channel]]\npath = 1",
            "line 2, column 8: path: expected a pattern of paths, such as \"/feed/*\", not the number 1",
        ),
        (
            "[[channel]]\npath = \"feed\"",
            "line 2, column 8: path: expected a pattern that begins with a slash, such as \"/feed/*\", not \"feed\"",
        ),
        (
            "[[channel]]\npath = \"/a\"\nechoo = true",
            "line 3, column 1: unknown key \"echoo\" in [[channel]]; did you mean \"echo\"?",
        ),
        (
            "[[channel]]\npth = \"/a\"\npath = \"/a\"",
            "unknown key \"pth\" in [[channel]]; did you mean \"path\"?",
        ),
        (
            "[[channel]]\npath = \"/a\"\necho = 1",
            "line 3, column 8: echo: expected true or false, not the number 1",
        ),
        (
            "[[channel]]\npath = \"/a\"\nlog = \"debug\"",
            "line 3, column 1: log: stands below [[channel]] and so is taken for one of its keys, but holds for the whole relay. Move it up, above the first [[channel]]",
        ),
        (
            "max_message = 5\n[[channel]]\npath = \"/a\"\nmax_message = \"512 KiB\"\nmax_inflight_read = 5",
            "max_inflight_read: stands below",
        ),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        let said = complaint(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn what_does_not_fit_together_is_told_where_it_was_said() {
    let rule = |keys: &str| format!("[[channel]]\npath = \"/a\"\n{keys}");
    let table = [
        (
            rule("max_message = \"1 MiB\""),
            "line 3, column 15: max_lag: expected at least 2 x max_message, \"2 MiB\", not \"1 MiB\", its default.",
        ),
        (
            format!("hold = \"1 KiB\"\n{}", rule("max_lag = \"100 KiB\"\nsoft_lag = \"1 KiB\"")),
            "line 4, column 11: max_lag: expected at least 2 x max_message",
        ),
        (rule("soft_lag = \"2 MiB\""), "line 3, column 12: max_lag: expected at least soft_lag"),
        (
            format!("max_message = \"500 KiB\"\n{}", rule("event_stream = true")),
            "line 4, column 16: max_lag: expected at least 4 x max_message + 2 KiB",
        ),
        (rule("max_lag = \"1 GiB\""), "line 3, column 11: max_backlog: expected at least 2 x max_lag"),
        (
            rule("bytes_per_sec = 1000"),
            "line 3, column 17: bytes_per_sec: expected 0 for any rate, or at least max_message in a minute, \"1093 B\", not \"1000 B\".",
        ),
        (rule("address_bytes_per_sec = 1000"), "address_bytes_per_sec: expected 0 for any rate, or"),
        ("bytes_per_sec = 1000".to_owned(), "line 1, column 17: bytes_per_sec: expected 0"),
        (
            format!("max_inflight_read = \"1 MiB\"\n{}", rule("messages_per_sec = 1")),
            "line 1, column 21: max_inflight_read: expected at least 8 KiB x max_connections where there are rates, \"80000 KiB\", not \"1 MiB\".",
        ),
        (
            rule("publish = \"token\""),
            "line 3, column 11: publish: expected \"anyone\" or \"nobody\" while there are no token_keys, not \"token\".",
        ),
        (
            "subscribe = \"token\"".to_owned(),
            "line 1, column 13: subscribe: expected \"anyone\" or \"nobody\" while there are no token_keys",
        ),
        (
            format!("subscribe = \"token\"\n{}[[channel]]\npath = \"/b\"", rule("")),
            "line 1, column 13: subscribe: expected",
        ),
        (
            rule("subprotocol_required = true"),
            "line 3, column 24: subprotocol_required: expected false while subprotocols is empty, not true.",
        ),
        (
            "subprotocol_required = true".to_owned(),
            "line 1, column 24: subprotocol_required: expected false while",
        ),
        (
            "identity_header = \"X-User\"\ntrusted_proxies = []".to_owned(),
            "line 1, column 19: identity_header: expected false while trusted_proxies is empty, not \"X-User\".",
        ),
        (
            format!("{KEYED}[[channel]]\npath = \"/a\"\n{}", rule("")),
            "line 5, column 8: path: expected each pattern once, not \"/a\" again. Put both tables together",
        ),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        let said = complaint(&text);
        assert!(said.contains(words), "{text}: {said}");
        assert!(!said.contains("mistakes in"), "told once: {said}");
    }
}

#[test]
fn what_nobody_comes_under_may_ask_for_anything() {
    for general in ["subscribe = \"token\"", "subprotocol_required = true"] {
        let text = format!(
            "{general}\n[[channel]]\npath = \"/a\"\nsubscribe = \"anyone\"\nsubprotocols = [\"a\"]\n"
        );
        assert_eq!(config(&text).limits.rules.iter().count(), 1);
    }
}

#[test]
fn so_many_rules_are_taken_and_no_more() {
    let rules =
        |count: usize| (0..count).map(|n| format!("[[channel]]\npath = \"/{n}\"\n")).collect::<String>();
    let most = config(&rules(MOST_RULES));
    assert_eq!(most.limits.rules.iter().count(), MOST_RULES);
    let said = complaint(&rules(MOST_RULES + 1));
    assert!(
        said.contains("line 513, column 1: channel: expected at most 256 [[channel]], not 257"),
        "{said}"
    );
}

/// The default that was lowered is that of the rules too.
#[test]
fn all_of_a_rule_that_is_of_no_channel_is_as_in_general() {
    let text = "[[channel]]\npath = \"/a\"\n";
    let (config, _) = raw(text).check(Some(1024)).unwrap();
    let rule = config.limits.rules.iter().next().unwrap();
    assert_eq!(rule.limits, Limits { rules: Rules::default(), ..config.limits.clone() });
    assert!(config.limits.max_connections < 1000);
}

#[test]
fn nothing_is_concluded_about_a_rule_from_a_line_that_is_none() {
    for text in
        ["[[channel]]\npath = \n", "[[channel]]\npath = \"/a\"\n[[channel]]\npath = \"/a\"\necho = \n"]
    {
        let said = complaint(text);
        assert!(said.contains("a value is missing") && !said.contains("mistakes"), "{said}");
    }
}

#[test]
fn changes_of_rules_are_told_with_their_pattern() {
    let before =
        config(&format!("{KEYED}[[channel]]\npath = \"/a\"\necho = true\n[[channel]]\npath = \"/b\"\n"));
    let table = [
        ("[[channel]]\npath = \"/a\"\necho = true\n[[channel]]\npath = \"/b\"\n", vec![]),
        (
            "[[channel]]\npath = \"/a\"\npublish = \"token\"\n[[channel]]\npath = \"/b\"\n",
            vec!["[[channel]] /a: publish = \"anyone\" -> \"token\"", "[[channel]] /a: echo = true -> false"],
        ),
        (
            "[[channel]]\npath = \"/a\"\necho = true\n[[channel]]\npath = \"/c/*\"\nmax_peers = 2\n",
            vec!["[[channel]] /c/*: new (max_peers = 2)", "[[channel]] /b: taken out"],
        ),
        (
            "hold = \"1 KiB\"\nmax_message = \"1 KiB\"\n[[channel]]\npath = \"/a\"\necho = true\nmax_message = \"2 KiB\"\n[[channel]]\npath = \"/b\"\n",
            vec![
                "max_message = \"64 KiB\" -> \"1 KiB\"",
                "hold = \"256 KiB\" -> \"1 KiB\"",
                "[[channel]] /a: max_message = \"64 KiB\" -> \"2 KiB\"",
            ],
        ),
        (
            "echo = true\n[[channel]]\npath = \"/a\"\necho = true\n[[channel]]\npath = \"/b\"\n",
            vec!["echo = false -> true"],
        ),
        ("", vec!["[[channel]] /a: taken out", "[[channel]] /b: taken out"]),
    ];
    assert!(!table.is_empty());
    for (text, told) in table {
        let mut changes = config(&format!("{KEYED}{text}")).changes_since(&before);
        changes.sort_by_key(|change| told.iter().position(|one| one == change));
        assert_eq!(changes, told, "{text}");
    }
}

#[test]
fn a_key_that_is_another_is_a_change_and_is_told_by_its_name() {
    let before = config(KEYED);
    let mut after = before.clone();
    after.gate.keys.add("next", &[b'x'; 40]).unwrap();
    assert_eq!(after.changes_since(&before), ["keys that tokens are held against: next (HS256)"]);
    assert_eq!(before.changes_since(&after), ["keys that tokens are held against: none"]);
}

proptest! {
    #[test]
    fn configurations_without_a_change_are_the_same(one in permissions(), other in permissions()) {
        let [mut one, mut other] = [one, other].map(|permissions| {
            let mut config = Config::default();
            permissions.put_into(&mut config);
            config
        });
        prop_assert_eq!(one.changes_since(&other).is_empty(), one == other);
        // As far as the keys of rules go, which may agree by chance.
        (one.limits.rules, other.limits.rules) = (Rules::default(), Rules::default());
        prop_assert_eq!(one.changes_since(&other).is_empty(), one == other);
    }
}

/// What is permitted, in general and under some rules.
#[derive(Clone, Debug)]
pub(super) struct Permissions {
    general: Changes,
    rules: Vec<(String, Changes)>,
    names: Vec<Box<str>>,
    leeway: u64,
    name: Option<Box<str>>,
}

/// Values of a rule, none of which breaks a relation.
#[derive(Clone, Debug)]
struct Changes {
    access: [usize; 2],
    words: [bool; 6],
    texts: Vec<Box<str>>,
    numbers: [u32; 3],
    burst: u64,
}

pub(super) fn permissions() -> BoxedStrategy<Permissions> {
    let rules = prop::collection::btree_map("/[a-z]{1,3}(/[a-z]{1,3}|/\\*|/\\*\\*)?", changes(), 0..4);
    let texts = prop::collection::btree_set("[a-zA-Zé\"\\\\ ]{1,9}", 1..4);
    (changes(), rules, texts, 0..=3_600_000_u64, prop::option::of("[a-z]{1,9}"))
        .prop_map(|(general, rules, names, leeway, name)| Permissions {
            general,
            rules: rules.into_iter().collect(),
            names: names.into_iter().map(Into::into).collect(),
            leeway,
            name: name.map(|name| format!("x-{name}").into()),
        })
        .boxed()
}

fn changes() -> BoxedStrategy<Changes> {
    let texts = prop::collection::btree_set("[a-z.+-]{1,6}", 1..4);
    let texts = texts.prop_map(|texts| texts.into_iter().map(Into::into).collect());
    (any::<[usize; 2]>(), any::<[bool; 6]>(), texts, any::<[u32; 3]>(), 1000..=3_600_000_u64)
        .prop_map(|(access, words, texts, numbers, burst)| Changes { access, words, texts, numbers, burst })
        .boxed()
}

impl Permissions {
    pub(super) fn put_into(self, config: &mut Config) {
        config.token_keys = self.names.clone();
        config.gate.issuers = self.names.clone();
        config.gate.audience = self.names;
        config.gate.leeway = Duration::from_millis(self.leeway);
        config.gate.query.clone_from(&self.name);
        config.gate.identity_header = self.name.filter(|_| !config.trusted_proxies.entries().is_empty());
        self.general.put_into(&mut config.limits);
        let rules = self.rules.into_iter().map(|(path, changes)| {
            let mut limits = channel::without_rules(config).limits;
            changes.put_into(&mut limits);
            Rule { pattern: path.parse().unwrap(), limits }
        });
        config.limits.rules = Rules::new(rules.collect()).unwrap();
        // Where there are rates.
        config.limits.max_connections = config.limits.max_connections.min(1000);
        let most = config.limits.max_connections;
        let rules = config.limits.rules.iter().cloned().map(|mut rule| {
            rule.limits.max_connections = most;
            rule
        });
        config.limits.rules = Rules::new(rules.collect()).unwrap();
    }
}

impl Changes {
    fn put_into(self, limits: &mut Limits) {
        let access = [Access::Anyone, Access::Token, Access::Nobody];
        let [echo, required, any, same_host, null, rated] = self.words;
        limits.subscribe = access[self.access[0] % 3];
        limits.publish = access[self.access[1] % 3];
        limits.kinds = [Kinds::Both, Kinds::Text, Kinds::Binary][self.access[0] % 3];
        limits.on_rate = if null { OnRate::Wait } else { OnRate::Disconnect };
        limits.echo = echo;
        limits.subprotocol_required = required;
        limits.subprotocols = self.texts;
        limits.origins = Origins { any, same_host, null, listed: Vec::new() };
        limits.rate_burst = Duration::from_millis(self.burst);
        limits.max_peers = self.numbers[0] as usize % 1_000_001;
        if rated && limits.max_inflight_read >= 8 << 20 {
            limits.messages_per_sec = self.numbers[1] % 1_000_001;
            limits.address_messages_per_sec = self.numbers[2] % 1_000_001;
            limits.bytes_per_sec = limits.max_message;
        }
    }
}
