//! The log's JSON form, read back by a parser that others wrote.

// Clippy takes the helpers for ordinary code; they are tests.
#![allow(clippy::unwrap_used)]

use log::{Level, kv::Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::time::{Duration, SystemTime};
use wsrelayd::logging::Form;

/// What stands where the rest of a value was cut off.
const MARK: &str = "…";

/// Bytes that a value always has, however many of them are escaped: 200, six for each.
const WHOLE_BYTES: usize = 200 / 6;

/// 2023-11-14T22:13:20.123Z
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
}

fn parsed(line: &str) -> Json {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn json_keeps_the_types_of_values() {
    let table = [
        (Value::from(u64::MAX), json!(u64::MAX)),
        (Value::from(i64::MIN), json!(i64::MIN)),
        (Value::from(1.5), json!(1.5)),
        (Value::from(1e300), json!(1e300)),
        (Value::from(f64::NAN), json!("NaN")),
        (Value::from(u128::MAX), json!(u128::MAX.to_string())),
        (Value::from(true), json!(true)),
        (Value::from('"'), json!("\"")),
        (Value::from_display(&"\u{1b}"), json!("\u{1b}")),
        (Value::from_debug(&"\n"), json!("\"\\n\"")),
        (Value::null(), json!(null)),
    ];
    assert!(!table.is_empty());
    for (value, expected) in table {
        assert_eq!(parsed(&Form::Json.line(then(), Level::Info, "it", &("key", &value)))["key"], expected);
    }
}

#[test]
fn pairs_cannot_take_the_place_of_the_line_s_own_fields() {
    let pairs = [("level", "error"), ("time", "never"), ("message", "forged"), ("_", "")];
    let object = parsed(&Form::Json.line(then(), Level::Info, "it", &pairs));
    assert_eq!(
        object,
        json!({"time": "2023-11-14T22:13:20.123Z", "level": "info", "message": "it",
               "level_": "error", "time_": "never", "message_": "forged", "_": ""})
    );
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

/// Whether `shown` is `whole`, or a beginning of it and the mark.
fn is_beginning(shown: &str, whole: &str) -> bool {
    shown == whole || shown.strip_suffix(MARK).is_some_and(|beginning| whole.starts_with(beginning))
}

proptest! {
    #[test]
    fn json_can_be_read_back(message in text(), value in text()) {
        let line = Form::Json.line(then(), Level::Info, &message, &("key", value.as_str()));
        let object = parsed(&line);
        prop_assert!(is_beginning(object["message"].as_str().unwrap(), &message), "{line}");
        prop_assert!(is_beginning(object["key"].as_str().unwrap(), &value), "{line}");
        prop_assert!(value.len() > WHOLE_BYTES || object["key"] == value.as_str(), "short values are whole");
    }
}
