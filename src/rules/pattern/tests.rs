//! Patterns against a naive matcher, and against all short paths.

use super::*;
use proptest::{collection::vec, prelude::*, sample::select};

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

#[test]
fn a_pattern_matches_what_it_says() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("/", &["/"], &["/a", "/a/"]),
        ("/a", &["/a"], &["/", "/A", "/a/", "/ab", "/a/b"]),
        ("/a/", &["/a/"], &["/a", "/a/b"]),
        ("/*", &["/a", "/abc", "/*", "/%2A"], &["/", "/a/", "/a/b"]),
        ("/*/", &["/a/"], &["/a", "/", "/a/b"]),
        ("/a/*", &["/a/b", "/a/**"], &["/a", "/a/", "/a/b/", "/a/b/c", "/b/b"]),
        ("/*/b", &["/a/b", "/b/b"], &["/b", "/a/c", "/a/b/", "/a/bb"]),
        ("/a/*/c", &["/a/b/c"], &["/a/c", "/a/b/b/c", "/a/b/d", "/a/b/"]),
        ("/*/*", &["/a/b"], &["/a", "/a/", "/a/b/c"]),
        ("/**", &["/", "/a", "/a/", "/a/b/c"], &[]),
        (
            "/feed/**",
            &["/feed/", "/feed/a", "/feed/a/b", "/feed/a/"],
            &["/feed", "/feeds/a", "/", "/a/feed/b"],
        ),
        ("/*/**", &["/a/", "/a/b", "/a/b/c"], &["/", "/a"]),
        ("/a/*/**", &["/a/b/", "/a/b/c/d"], &["/a/b", "/a/", "/a"]),
        ("/%C3%A9", &["/%C3%A9"], &["/%c3%a9", "/\u{e9}"]),
        ("/a.b~c-d_e", &["/a.b~c-d_e"], &["/axb~c-d_e"]),
    ];
    assert!(!table.is_empty());
    for (text, matching, others) in table {
        assert_eq!(pattern(text).to_string(), *text);
        assert!(
            matching.iter().all(|path| pattern(text).matches(path)),
            "{text}: one of {matching:?} does not match"
        );
        assert!(!others.iter().any(|path| pattern(text).matches(path)), "{text}: one of {others:?} matches");
    }
}

#[test]
fn what_is_no_pattern_is_told_what_is_expected() {
    let table = [
        ("", "begins with a slash"),
        ("a", "begins with a slash"),
        ("*", "begins with a slash"),
        ("**", "begins with a slash"),
        ("http://a/b", "begins with a slash"),
        ("/a*", "a part of a segment cannot be left open"),
        ("/*a", "a part of a segment cannot be left open"),
        ("/a*b/c", "a part of a segment cannot be left open"),
        ("/a**", "a part of a segment cannot be left open"),
        ("/***", "a part of a segment cannot be left open"),
        ("/a/***", "a part of a segment cannot be left open"),
        ("/***/**", "a part of a segment cannot be left open"),
        ("/**/", "in the last place only"),
        ("/**/a", "in the last place only"),
        ("/**/**", "in the last place only"),
        ("/a/**/*", "in the last place only"),
        ("//", "two slashes"),
        ("//**", "two slashes"),
        ("/a//b", "two slashes"),
        ("/a//**", "two slashes"),
        ("/.", "segments \".\""),
        ("/../a", "segments \".\""),
        ("/./**", "segments \".\""),
        ("/a b", "visible ASCII"),
        ("/a\n", "visible ASCII"),
        ("/\u{e9}", "visible ASCII"),
        ("/a?b", "visible ASCII"),
        ("/a#b", "visible ASCII"),
        ("/%", "two hex digits"),
        ("/%4/**", "two hex digits"),
        ("/%00", "%00 and %2F"),
        ("/a%2fb", "%00 and %2F"),
        ("/%41", "as they are"),
        ("/%7e/*", "as they are"),
    ];
    assert!(!table.is_empty());
    for (text, words) in table {
        let said = text.parse::<Pattern>().unwrap_err().to_string();
        assert!(said.starts_with("expected ") && said.contains(words), "{text}: {said}");
    }
}

#[test]
fn a_pattern_is_as_long_as_the_longest_path_that_it_matches() {
    let longest = format!("/{}", "a".repeat(253));
    for text in [format!("{longest}b"), format!("{longest}/"), format!("{longest}/**"), "/*".repeat(127)] {
        assert_eq!(text.parse::<Pattern>().map(|pattern| pattern.to_string()), Ok(text));
    }
    for text in [format!("{longest}bc"), format!("{longest}b/**"), format!("{}/", "/*".repeat(128))] {
        assert_eq!(text.parse::<Pattern>(), Err(expected(PathFault::TooLong)), "{text}");
    }
}

#[test]
fn two_patterns_whose_common_paths_are_all_too_long_have_none() {
    let (left, right) = (format!("/{}/*", "a".repeat(126)), format!("/*/{}", "b".repeat(127)));
    let common = pattern(&left).overlap(&pattern(&right)).unwrap();
    assert_eq!(common.len(), 255);
    assert_eq!(pattern(&left).overlap(&pattern(&format!("{right}b"))), None);
}

#[test]
fn the_one_inside_the_other_is_the_more_specific_one() {
    let table = [
        ("/a", "/*", true),
        ("/a", "/**", true),
        ("/", "/**", true),
        ("/*", "/**", true),
        ("/a/b", "/a/*", true),
        ("/a/*", "/a/**", true),
        ("/a/", "/a/**", true),
        ("/a/*", "/*/*", true),
        ("/*/b", "/*/*", true),
        ("/*/b", "/*/**", true),
        ("/*/**", "/**", true),
        ("/a/**", "/*/**", true),
        ("/a/b/**", "/a/**", true),
        ("/a", "/a", false),
        ("/**", "/**", false),
        ("/a", "/b", false),
        ("/a", "/a/**", false),
        ("/a/", "/a/*", false),
        ("/", "/*", false),
        ("/*/b", "/a/*", false),
        ("/*/b", "/a/**", false),
        ("/a/*/c", "/a/b/**", false),
    ];
    assert!(!table.is_empty());
    for (one, other, is_more_specific) in table {
        assert_eq!(
            pattern(one).is_more_specific_than(&pattern(other)),
            is_more_specific,
            "{one} than {other}"
        );
        assert!(!pattern(other).is_more_specific_than(&pattern(one)), "{other} than {one}");
        assert!(!is_more_specific || pattern(one) < pattern(other), "{one} before {other}");
    }
}

/// By the words of the manual, one segment after the other.
fn naive(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], [_, ..]) => true,
        ([first, pattern @ ..], [text, path @ ..]) => {
            (first == text || *first == "*" && !text.is_empty()) && naive(pattern, path)
        }
        _ => false,
    }
}

fn segments(text: &str) -> Vec<&str> {
    text.split('/').skip(1).collect()
}

/// Every path of up to four segments of these, the last of which may be empty. A pattern of three that does not match one of
/// them matches none.
pub(in crate::rules) fn short_paths() -> Vec<String> {
    let (mut longest, mut paths) = (vec![String::new()], Vec::new());
    for _ in 0..4 {
        paths.extend(longest.iter().map(|path| format!("{path}/")));
        longest =
            longest.iter().flat_map(|path| ["a", "b", "x"].map(|text| format!("{path}/{text}"))).collect();
        paths.extend(longest.iter().cloned());
    }
    paths
}

pub(in crate::rules) fn any_pattern() -> impl Strategy<Value = String> {
    let last = select(vec!["", "a", "b", "*", "**", "**"]);
    (vec(select(vec!["a", "b", "*", "*"]), 0..3), last).prop_map(|(mut all, last)| {
        all.push(last);
        format!("/{}", all.join("/"))
    })
}

pub(in crate::rules) fn any_path() -> impl Strategy<Value = String> {
    (vec(select(vec!["a", "b", "x", "ab", "*"]), 0..4), select(vec!["", "a", "b"]))
        .prop_map(|(all, last)| format!("/{}", [all, vec![last]].concat().join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn it_matches_what_a_naive_matcher_matches(text in any_pattern(), path in any_path()) {
        prop_assert_eq!(pattern(&text).matches(&path), naive(&segments(&text), &segments(&path)));
    }

    #[test]
    fn any_text_at_all_is_matched_or_not_without_a_panic(text in any_pattern(), path in any::<String>()) {
        let _ = pattern(&text).matches(&path);
    }

    #[test]
    fn any_text_is_a_pattern_or_none_and_is_written_as_it_was_read(text in "[/a*.%2F?\u{e9} ]{0,12}") {
        if let Ok(pattern) = text.parse::<Pattern>() {
            prop_assert_eq!(pattern.to_string(), text);
        }
    }

    #[test]
    fn what_could_never_be_a_path_is_no_pattern(text in "/[/a.%2F ]{0,8}") {
        let is_path = text.bytes().all(|b| b.is_ascii_graphic()) && path::check(&text).is_ok();
        prop_assert_eq!(text.parse::<Pattern>().is_ok(), is_path);
    }

    #[test]
    fn two_patterns_overlap_where_a_short_path_comes_under_both(one in any_pattern(), other in any_pattern()) {
        let (one, other) = (pattern(&one), pattern(&other));
        let is_shared = short_paths().iter().any(|path| one.matches(path) && other.matches(path));
        let common = one.overlap(&other);
        prop_assert_eq!(common.is_some(), is_shared);
        prop_assert_eq!(common.is_some(), other.overlap(&one).is_some());
        if let Some(path) = common {
            prop_assert!(path::check(&path).is_ok() && one.matches(&path) && other.matches(&path), "{}", path);
        }
    }

    #[test]
    fn more_specific_is_what_matches_fewer_of_the_short_paths(one in any_pattern(), other in any_pattern()) {
        let (one, other) = (pattern(&one), pattern(&other));
        let paths = short_paths();
        let is_within = paths.iter().all(|path| !one.matches(path) || other.matches(path));
        prop_assert_eq!(one.is_more_specific_than(&other), is_within && one != other);
        if one.is_more_specific_than(&other) {
            prop_assert!(one < other);
        }
    }

    #[test]
    fn the_order_is_one(all in vec(any_pattern(), 3)) {
        let [a, b, c] = [&all[0], &all[1], &all[2]].map(|text| pattern(text));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
        prop_assert!(!(a <= b && b <= c) || a <= c);
    }
}
