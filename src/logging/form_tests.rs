//! Tests of `form`: each form by table, and by property that one record is one line whatever stands in it.

use super::*;
use crate::logging::escape::{MARK, is_unsafe};
use proptest::prelude::*;
use std::time::Duration;

const FORMS: [Form; 4] =
    [Form::Human { colours: false }, Form::Human { colours: true }, Form::Journal, Form::Json];

/// 2023-11-14T22:13:20.123Z
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
}

#[test]
fn a_record_in_each_form() {
    let pairs = [("peer", Value::from(7)), ("channel", Value::from("/a b")), ("none", Value::null())];
    let table = [
        (FORMS[0], "2023-11-14T22:13:20.123Z WARN  slow: \"so\" peer=7 channel=\"/a b\" none=None\n"),
        (
            FORMS[1],
            "2023-11-14T22:13:20.123Z \x1b[33mWARN \x1b[0m slow: \"so\" peer=7 channel=\"/a b\" none=None\n",
        ),
        (FORMS[2], "<4>slow: \"so\" peer=7 channel=\"/a b\" none=None\n"),
        (
            FORMS[3],
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"message\":\"slow: \\\"so\\\"\",\
             \"peer\":7,\"channel\":\"/a b\",\"none\":null}\n",
        ),
    ];
    assert_eq!(table.len(), FORMS.len());
    for (form, expected) in table {
        assert_eq!(form.line(then(), Level::Warn, "slow: \"so\"", &pairs), expected);
    }
}

#[test]
fn each_level_in_each_form() {
    let table = [
        (Level::Error, "ERROR", "<3>", "error"),
        (Level::Warn, "WARN ", "<4>", "warn"),
        (Level::Info, "INFO ", "<6>", "info"),
        (Level::Debug, "DEBUG", "<7>", "debug"),
        (Level::Trace, "TRACE", "<7>", "trace"),
    ];
    assert_eq!(table.len(), Level::iter().count());
    for (level, human, prefix, word) in table {
        let [plain, coloured, journal, json] =
            FORMS.map(|form| form.line(then(), level, "it", &None::<(&str, u8)>));
        assert!(plain.ends_with(&format!("Z {human} it\n")), "{plain}");
        assert!(coloured.contains(&format!("m{human}\x1b[0m it\n")), "{coloured}");
        assert_eq!(journal, format!("{prefix}it\n"));
        assert!(json.contains(&format!("\"level\":\"{word}\",")), "{json}");
    }
}

#[test]
fn a_clock_that_is_far_off_costs_the_time_and_not_the_line() {
    let table = [
        SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1)),
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1 << 40)),
    ];
    assert!(!table.is_empty());
    for (now, form) in table.into_iter().flatten().flat_map(|now| FORMS.map(|form| (now, form))) {
        let line = form.line(now, Level::Info, "still said", &None::<(&str, u8)>);
        assert!(line.contains("still said"), "{line}");
    }
}

#[test]
fn the_form_follows_the_format_and_the_surroundings() {
    let table = [
        (Format::Auto, false, false, FORMS[0]),
        (Format::Auto, false, true, FORMS[1]),
        (Format::Auto, true, false, Form::Journal),
        (Format::Human, true, false, FORMS[0]),
        (Format::Human, true, true, FORMS[1]),
        (Format::Journal, false, true, Form::Journal),
        (Format::Json, true, true, Form::Json),
    ];
    assert!(!table.is_empty());
    for (format, journal, colours, expected) in table {
        assert_eq!(Form::choose(format, journal, colours), expected, "{format:?} {journal} {colours}");
    }
}

#[test]
fn only_device_and_inode_make_the_journal() {
    let (reader, writer) = io::pipe().unwrap();
    let (other, _end) = io::pipe().unwrap();
    let stat = rustix::fs::fstat(&writer).unwrap();
    let name = format!("{}:{}", stat.st_dev, stat.st_ino);
    assert!(is_stream(&writer, OsStr::new(&name)) && is_stream(&reader, OsStr::new(&name)));
    assert!(!is_stream(&other, OsStr::new(&name)), "another pipe");
    let table = ["", ":", "1", &name[1..], &format!("{name}0"), &format!("{name} "), "journal"];
    assert!(!table.is_empty());
    for wrong in table {
        assert!(!is_stream(&writer, OsStr::new(wrong)), "{wrong:?}");
    }
}

#[test]
fn colours_can_be_declined() {
    let table = [
        (None, None, true),
        (None, Some("xterm"), true),
        (Some(""), Some("xterm"), true),
        (Some("0"), Some("xterm"), false),
        (None, Some("dumb"), false),
    ];
    assert!(!table.is_empty());
    for (no_color, term, wanted) in table {
        assert_eq!(
            colours_wanted(no_color.map(OsStr::new), term.map(OsStr::new)),
            wanted,
            "{no_color:?} {term:?}"
        );
    }
}

/// Row 8 of the fault matrix.
#[test]
fn what_is_injected_stays_within_its_line_and_its_limit() {
    let long = "x".repeat(8192);
    let table = [
        "\r\n2023-11-14 ERROR forged",
        "\x1b]0;title\x07",
        "\0",
        "\u{fffd}",
        "\u{2028}<3>",
        "\u{202e}gpj",
        &long,
    ];
    assert!(!table.is_empty());
    for (text, form) in table.into_iter().flat_map(|text| FORMS.map(|form| (text, form))) {
        let bare = form.line(then(), Level::Info, "", &("agent", "")).len();
        let line = form.line(then(), Level::Info, "", &("agent", text));
        assert!(is_one_safe_line(&line, form), "{line:?}");
        assert!(line.len() <= bare + VALUE_BYTES, "{}", line.len());
        assert_eq!(line.contains(MARK), text == long);
        assert!(is_one_safe_line(&form.line(then(), Level::Info, text, &(text, 1)), form));
    }
}

/// Our own colours are the one escape that is allowed, and the newline stands at the end only.
fn is_one_safe_line(line: &str, form: Form) -> bool {
    let Some(body) = line.strip_suffix('\n') else { return false };
    let body = if form == FORMS[1] {
        body.replacen("\x1b[32m", "", 1).replacen("\x1b[0m", "", 1)
    } else {
        body.into()
    };
    !body.contains(is_unsafe)
}

/// Letters that do harm more often than chance would have them.
fn text() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        4 => any::<char>(),
        2 => proptest::char::range('\0', '\u{a0}'),
        1 => proptest::char::range('\u{2000}', '\u{2070}'),
        1 => proptest::sample::select(vec!['"', '\\', '=', ' ', '\n', '\u{feff}', '\u{e0020}', '…']),
    ];
    proptest::collection::vec(letter, 0..300).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn one_record_is_one_safe_line(message in text(), key in text(), value in text()) {
        for form in FORMS {
            let line = form.line(then(), Level::Info, &message, &(key.as_str(), value.as_str()));
            prop_assert!(is_one_safe_line(&line, form), "{line:?}");
            prop_assert!(line.len() < TEXT_BYTES + 2 * VALUE_BYTES + 100);
        }
    }
}
