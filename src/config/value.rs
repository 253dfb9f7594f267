//! The forms of single values: sizes, durations, words.
//!
//! Owns their reading from TOML, each with the words that say what was expected, and their writing, which is read
//! back to the same. What values must be to each other is left to `rules.rs`.

use std::{ops::RangeInclusive, time::Duration};

use log::LevelFilter;
use toml::de::DeValue;

use crate::{
    address::RealIpHeader,
    limits::{Access, Kinds, OnRate, OnSlow},
    logging::Format,
};

use super::nearest;

/// From one tick of the timers to longer than any wait is of use.
pub(super) const WAIT: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);

/// Longest piece of a value that a message repeats, in characters: the line is shown anyway.
const MAX_REPEATED: usize = 40;

/// A value, or what was expected in its place.
pub(super) type Reading<T> = Result<T, Expected>;

/// What was expected, and perhaps what was meant.
pub(super) struct Expected {
    pub what: String,
    /// "; did you mean ...", or empty.
    pub hint: String,
}

impl From<String> for Expected {
    fn from(what: String) -> Self {
        Self { what, hint: String::new() }
    }
}

/// Values that are written as one of a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Every value and its word. Never empty.
    const WORDS: &[(&str, Self)];
}

/// Not `trace`, which is not compiled in: it would format every frame.
impl Word for LevelFilter {
    const WORDS: &[(&str, Self)] = &[
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];
}

impl Word for OnSlow {
    const WORDS: &[(&str, Self)] = &[("disconnect", Self::Disconnect), ("skip", Self::Skip)];
}

impl Word for Access {
    const WORDS: &[(&str, Self)] =
        &[("anyone", Self::Anyone), ("token", Self::Token), ("nobody", Self::Nobody)];
}

impl Word for Kinds {
    const WORDS: &[(&str, Self)] = &[("both", Self::Both), ("text", Self::Text), ("binary", Self::Binary)];
}

impl Word for OnRate {
    const WORDS: &[(&str, Self)] = &[("wait", Self::Wait), ("disconnect", Self::Disconnect)];
}

impl Word for RealIpHeader {
    const WORDS: &[(&str, Self)] = &[
        (Self::XForwardedFor.name(), Self::XForwardedFor),
        (Self::XRealIp.name(), Self::XRealIp),
        (Self::Forwarded.name(), Self::Forwarded),
    ];
}

impl Word for Format {
    const WORDS: &[(&str, Self)] =
        &[("auto", Self::Auto), ("human", Self::Human), ("journal", Self::Journal), ("json", Self::Json)];
}

pub(super) fn read_word<T: Word>(value: &DeValue<'_>) -> Reading<T> {
    let text = value.as_str().unwrap_or_default();
    let found = T::WORDS.iter().find(|(word, _)| *word == text);
    found.map(|&(_, value)| value).ok_or_else(|| {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let hint = nearest::hint(text, T::WORDS.iter().map(|&(word, _)| word));
        Expected { what: format!("one of {}", words.join(", ")), hint }
    })
}

pub(super) fn write_word<T: Word>(value: T) -> String {
    let found = T::WORDS.iter().find(|(_, one)| *one == value);
    format!("\"{}\"", found.map_or("", |(word, _)| word))
}

pub(super) fn read_flag(value: &DeValue<'_>) -> Reading<bool> {
    value.as_bool().ok_or_else(|| "true or false".to_owned().into())
}

pub(super) fn read_number(value: &DeValue<'_>, range: &RangeInclusive<usize>) -> Reading<usize> {
    let number = integer(value).filter(|number| range.contains(number));
    number.ok_or_else(|| format!("a number from {} to {}", range.start(), range.end()).into())
}

pub(super) fn read_size(value: &DeValue<'_>, range: &RangeInclusive<usize>) -> Reading<usize> {
    let size = value.as_str().and_then(parse_size).or_else(|| integer(value));
    let size = size.ok_or_else(|| {
        "a size: a whole number with KiB, MiB or GiB, such as \"64 KiB\", or a number of bytes".to_owned()
    })?;
    let expected = || format!("a size from {} to {}", write_size(*range.start()), write_size(*range.end()));
    if range.contains(&size) { Ok(size) } else { Err(expected().into()) }
}

pub(super) fn read_span(value: &DeValue<'_>, range: &RangeInclusive<Duration>) -> Reading<Duration> {
    let span = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
    let span =
        span.ok_or_else(|| "a duration with its unit, such as \"25s\", \"500ms\" or \"1m 30s\"".to_owned())?;
    let expected =
        || format!("a duration from {} to {}", write_span(*range.start()), write_span(*range.end()));
    if range.contains(&span) { Ok(span) } else { Err(expected().into()) }
}

fn integer(value: &DeValue<'_>) -> Option<usize> {
    let number = value.as_integer()?;
    let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
    usize::try_from(number).ok()
}

fn parse_size(text: &str) -> Option<usize> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(unit_at);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    count.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// A size as it would be written in the file: exact, in the largest unit that it is a multiple of.
pub(super) fn write_size(bytes: usize) -> String {
    format!("\"{}\"", size(bytes))
}

/// The same for people.
pub(crate) fn size(size: usize) -> String {
    let (count, unit) = match size {
        0 => (0, "B"),
        _ if size.is_multiple_of(1 << 30) => (size >> 30, "GiB"),
        _ if size.is_multiple_of(1 << 20) => (size >> 20, "MiB"),
        _ if size.is_multiple_of(1 << 10) => (size >> 10, "KiB"),
        _ => (size, "B"),
    };
    format!("{count} {unit}")
}

pub(super) fn write_list(entries: &[String]) -> String {
    let entries: Vec<_> = entries.iter().map(|entry| format!("\"{entry}\"")).collect();
    format!("[{}]", entries.join(", "))
}

/// Any text as a basic string: what may not stand in one is escaped.
pub(super) fn write_text(text: &str) -> String {
    let mut written = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            _ if letter.is_control() => written += &format!("\\u{:04X}", u32::from(letter)),
            _ => written.push(letter),
        }
    }
    written.push('"');
    written
}

/// A duration as it would be written in the file: exact.
pub(super) fn write_span(duration: Duration) -> String {
    format!("\"{}\"", span(duration))
}

/// The same for people.
pub(crate) fn span(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// What the parser takes for a number need not be one where it has found a mistake.
fn number_as_written(text: &str) -> String {
    format!("the number {}", cut(&text.escape_debug().to_string()))
}

/// What stands where something else was expected.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quote(text),
        DeValue::Integer(number) => number_as_written(&number.to_string()),
        DeValue::Float(number) => number_as_written(&number.to_string()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date or a time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Text from the file for a message: in quotes, escaped and cut.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", cut(text).escape_debug())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_REPEATED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly_or_not_at_all() {
        let table = [
            ("0", Some(0)),
            ("65536", Some(65536)),
            ("64 KiB", Some(64 << 10)),
            ("64KiB", Some(64 << 10)),
            ("1 MiB", Some(1 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("7 B", Some(7)),
            ("", None),
            ("KiB", None),
            ("64 KB", None),
            ("64 kib", None),
            ("1.5 MiB", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("1 KiB ", None),
            ("99999999999999999999", None),
            ("18446744073709551615 KiB", None),
            ("٣ KiB", None),
        ];
        assert!(!table.is_empty());
        for (text, size) in table {
            assert_eq!(parse_size(text), size, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_written_in_the_largest_unit_that_loses_nothing() {
        let table = [
            (0, "\"0 B\""),
            (1, "\"1 B\""),
            (1023, "\"1023 B\""),
            (1536, "\"1536 B\""),
            (64 << 10, "\"64 KiB\""),
            (3 << 20, "\"3 MiB\""),
            (5 << 30, "\"5 GiB\""),
        ];
        assert!(!table.is_empty());
        for (size, written) in table {
            assert_eq!(write_size(size), written);
            assert_eq!(parse_size(written.trim_matches('"')), Some(size));
        }
    }
}
