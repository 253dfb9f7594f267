//! Rules against a naive search, and ambiguity against brute force.

use super::{
    pattern::tests::{any_path, any_pattern, short_paths},
    *,
};
use proptest::{collection::vec, prelude::*};

/// Each rule has its place in the list as its limit on messages.
fn rules(patterns: &[impl AsRef<str>]) -> Result<Rules, Ambiguity> {
    let limits = |nth| Limits { max_message: nth, ..Limits::default() };
    let rule = |(nth, text): (usize, &_)| Rule { pattern: pattern(text), limits: limits(nth) };
    Rules::new(patterns.iter().enumerate().map(rule).collect())
}

fn pattern(text: &impl AsRef<str>) -> Pattern {
    text.as_ref().parse().unwrap()
}

fn limits(rules: Rules) -> Limits {
    Limits { rules, max_message: usize::MAX, ..Limits::default() }
}

#[test]
fn the_most_specific_rule_holds() {
    let limits = limits(rules(&["/**", "/feed/**", "/feed/*", "/feed/news", "/room/*/chat", "/*"]).unwrap());
    let table = [
        ("/", 0),
        ("/other", 5),
        ("/feed", 5),
        ("/feed/", 1),
        ("/feed/a/b", 1),
        ("/feed/a", 2),
        ("/feed/news", 3),
        ("/feed/news/", 1),
        ("/room/a/chat", 4),
        ("/room/a/chat/", 0),
        ("/room/chat", 0),
    ];
    assert!(!table.is_empty());
    for (path, nth) in table {
        let id = limits.rule_for(path).unwrap();
        assert_eq!(limits.under(id).max_message, nth, "{path}");
        assert!(limits.pattern_of(id).unwrap().matches(path), "{path}");
    }
    let order: Vec<_> = limits.rules.iter().map(|rule| rule.pattern.to_string()).collect();
    assert_eq!(order, ["/feed/news", "/feed/*", "/feed/**", "/room/*/chat", "/*", "/**"]);
}

#[test]
fn without_rules_the_general_limits_hold_and_with_rules_on_no_other_path() {
    let general = limits(rules(&[""; 0]).unwrap());
    assert_eq!(general.rule_for("/a"), Some(RuleId::default()));
    assert_eq!(general.under(RuleId::default()).max_message, usize::MAX);
    assert_eq!(general.pattern_of(RuleId::default()), None);
    assert!(general.rules.is_empty() && general.anywhere(|limits| limits.max_message == usize::MAX));
    assert_eq!(general.greatest(|limits| limits.max_message), usize::MAX);
    let ruled = limits(rules(&["/a", "/b", "/c"]).unwrap());
    assert_eq!(ruled.rule_for("/d"), None);
    assert!(!ruled.rules.is_empty() && !ruled.anywhere(|limits| limits.max_message == usize::MAX));
    assert!(ruled.anywhere(|limits| limits.max_message == 1));
    assert_eq!(ruled.greatest(|limits| limits.max_message), 2);
}

#[test]
fn a_rule_that_is_gone_leaves_the_general_limits() {
    let before = limits(rules(&["/a", "/b"]).unwrap());
    let id = before.rule_for("/b").unwrap();
    let after = limits(rules(&["/a"]).unwrap());
    assert_eq!(after.under(id).max_message, usize::MAX);
    assert_eq!(after.pattern_of(id), None);
}

#[test]
fn of_two_rules_for_one_path_one_must_be_more_specific() {
    let table: &[(&[&str], usize, usize, &str)] = &[
        (&["/a", "/a"], 0, 1, "/a"),
        (&["/**", "/**"], 0, 1, "/"),
        (&["/*", "/b", "/*"], 0, 2, "/x"),
        (&["/a/*", "/*/b"], 0, 1, "/a/b"),
        (&["/a/**", "/*/b"], 0, 1, "/a/b"),
        (&["/a/b", "/a/*", "/*/b"], 1, 2, "/a/b"),
        (&["/**", "/a/**", "/*/b/*"], 1, 2, "/a/b/x"),
        (&["/a/*/**", "/*/b/**"], 0, 1, "/a/b/"),
        (&["/x/**", "/*/"], 0, 1, "/x/"),
        (&["/a/*", "/*/c", "/*/b", "/a/*"], 0, 1, "/a/c"),
        (&["/c", "/a/*/c/*", "/*/b/*/d"], 1, 2, "/a/b/c/d"),
    ];
    assert!(!table.is_empty());
    for &(patterns, earlier, later, path) in table {
        let ambiguity = Ambiguity { earlier, later, path: path.to_owned() };
        assert_eq!(rules(patterns), Err(ambiguity), "{patterns:?}");
    }
    assert_eq!(rules(&["/a", "/a"]).unwrap_err().to_string(), "both match /a");
}

#[test]
fn as_many_rules_as_there_may_be_are_held_apart_and_each_is_found() {
    let patterns: Vec<_> = (0..MOST_RULES).map(|nth| format!("/room/{nth}/*/log/**")).collect();
    let limits = limits(rules(&patterns).unwrap());
    for nth in 0..MOST_RULES {
        let id = limits.rule_for(&format!("/room/{nth}/a/log/b/c")).unwrap();
        assert_eq!(limits.under(id).max_message, nth);
    }
}

/// The first two in the list that share a short path while neither has all its short paths in the other.
fn first_clash(patterns: &[Pattern], paths: &[String]) -> Option<(usize, usize)> {
    let of = |nth: usize| paths.iter().filter(move |path| patterns[nth].matches(path));
    let is_within = |one: usize, other: usize| of(one).all(|path| patterns[other].matches(path));
    let is_clash = |&(earlier, later): &(usize, usize)| {
        let is_shared = of(earlier).any(|path| patterns[later].matches(path));
        is_shared && is_within(earlier, later) == is_within(later, earlier)
    };
    let pairs = (0..patterns.len()).flat_map(|later| (0..later).map(move |earlier| (earlier, later)));
    pairs.into_iter().find(is_clash)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_ambiguous_is_what_brute_force_finds(texts in vec(any_pattern(), 0..6)) {
        let patterns: Vec<_> = texts.iter().map(pattern).collect();
        let refused = rules(&texts).err();
        let places = refused.as_ref().map(|ambiguity| (ambiguity.earlier, ambiguity.later));
        prop_assert_eq!(places, first_clash(&patterns, &short_paths()));
        if let Some(Ambiguity { earlier, later, path }) = refused {
            prop_assert!(path::check(&path).is_ok(), "{}", path);
            prop_assert!(patterns[earlier].matches(&path) && patterns[later].matches(&path), "{}", path);
        }
    }

    #[test]
    fn the_rule_for_a_path_is_the_one_that_no_other_is_more_specific_than(
        texts in vec(any_pattern(), 0..12),
        paths in vec(any_path(), 1..20),
    ) {
        // Those that are not ambiguous with one before them.
        let texts = texts.iter().fold(Vec::new(), |kept, text| {
            let more = [kept.clone(), vec![text]].concat();
            if rules(&more).is_ok() { more } else { kept }
        });
        let patterns: Vec<_> = texts.iter().map(pattern).collect();
        let limits = limits(rules(&texts).unwrap());
        for path in paths {
            let matching = || patterns.iter().filter(|pattern| pattern.matches(&path));
            let is_last = |one: &&Pattern| !matching().any(|other| other.is_more_specific_than(one));
            let best: Vec<_> = matching().filter(is_last).collect();
            prop_assert!(best.len() <= 1);
            let is_found = limits.rule_for(&path);
            if texts.is_empty() {
                prop_assert_eq!(is_found, Some(RuleId::default()));
            } else {
                prop_assert_eq!(is_found.and_then(|id| limits.pattern_of(id)), best.first().copied());
            }
        }
    }
}
