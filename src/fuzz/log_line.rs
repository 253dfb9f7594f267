//! Target: a line of the log, whatever stands in it. Promises: one record is one line, in each form, and nothing in it
//! moves a cursor or turns the writing; a JSON line is read back to what was logged, or to its beginning and a mark, and
//! so is a pair of the journal's; no value takes more than its share.

use crate::logging::Form;
use log::Level;
use std::{str::Chars, time::SystemTime};

/// Bytes of a line that a key or value, or a text, may take (`logging/form.rs`).
const VALUE_BYTES: usize = 200;
const TEXT_BYTES: usize = 4096;

const FORMS: [Form; 4] =
    [Form::Human { colours: false }, Form::Human { colours: true }, Form::Journal, Form::Json];

/// Takes two bytes for the lengths of key and value, the rest for these and the text.
pub fn log_line(data: &[u8]) {
    let Some((&[key, value], text)) = data.split_first_chunk() else { return };
    let (key, text) = text.split_at(text.len().min(usize::from(key)));
    let (value, text) = text.split_at(text.len().min(2 * usize::from(value)));
    let [key, value, text] = [key, value, text].map(String::from_utf8_lossy);
    for form in FORMS {
        check_harmless(&line(form, &text, &key, &value), form);
    }
    check_json(&line(Form::Json, &text, &key, &value), &text, &key, &value);
    check_pair(&line(Form::Journal, "", &key, &value), &key, &value);
}

fn line(form: Form, text: &str, key: &str, value: &str) -> String {
    form.line(SystemTime::UNIX_EPOCH, Level::Info, text, &(key, value))
}

fn check_harmless(line: &str, form: Form) {
    let body = line.strip_suffix('\n').expect("a line");
    let ours = if form == FORMS[1] { 2 } else { 0 };
    assert_eq!(body.matches('\x1b').count(), ours, "{line:?}");
    let is_harmful = |c: char| c != '\x1b' && c.is_control() || "\u{2028}\u{2029}\u{feff}".contains(c);
    let turns =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!body.contains(is_harmful) && !body.contains(turns), "{line:?}");
    assert!(body.len() <= TEXT_BYTES + 2 * VALUE_BYTES + 100);
}

fn check_json(line: &str, text: &str, key: &str, value: &str) {
    let rest = line.strip_prefix(r#"{"time":"1970-01-01T00:00:00.000Z","level":"info","message":""#);
    let mut rest = rest.expect("what a line begins with").chars();
    check_back(&mut rest, text, TEXT_BYTES);
    assert!(rest.as_str().starts_with(",\""), "{line}");
    let mut rest = rest.as_str()[2..].chars();
    let own = if ["time", "level", "message"].contains(&key) { "_" } else { "" };
    check_back(&mut rest, &format!("{key}{own}"), VALUE_BYTES);
    let mut rest = rest.as_str().strip_prefix(":\"").expect("a field").chars();
    check_back(&mut rest, value, VALUE_BYTES);
    assert_eq!(rest.as_str(), "}\n");
}

fn check_pair(line: &str, key: &str, value: &str) {
    let rest = line.strip_prefix("<6> ").expect("a pair");
    let rest = check_word(rest, key).strip_prefix('=').expect("its value");
    assert_eq!(check_word(rest, value), "\n");
}

/// A word as it is, or between quotes. Answers with what comes after it.
fn check_word<'l>(rest: &'l str, said: &str) -> &'l str {
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut letters = quoted.chars();
        check_back(&mut letters, said, VALUE_BYTES);
        return letters.as_str();
    }
    let end = rest.find(['=', '\n']).expect("an end");
    // No harm and no quotes: as it was, or cut.
    check_back(&mut format!("{}\"", &rest[..end]).chars(), said, VALUE_BYTES);
    &rest[end..]
}

/// Reads to the quote; what was escaped is `said`, or its beginning if that would have taken more than `limit`.
fn check_back(line: &mut Chars<'_>, said: &str, limit: usize) {
    let before = line.as_str();
    let back = unescaped(line);
    let taken = before.len() - line.as_str().len() - 1;
    assert!(taken <= limit);
    if back != said {
        let beginning = back.strip_suffix('…').expect("a mark where it was cut");
        assert!(said.starts_with(beginning), "{back:?} of {said:?}");
        assert!(taken + 12 > limit, "cut where there was room");
    }
}

/// Undoes the escapes up to the closing quote: those of JSON, and `\u{…}`.
fn unescaped(letters: &mut Chars<'_>) -> String {
    let mut units = Vec::new();
    loop {
        let letter = match letters.next().expect("a closing quote") {
            '"' => return String::from_utf16(&units).expect("whole letters"),
            '\\' => match letters.next().expect("what is escaped") {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' if letters.as_str().starts_with('{') => {
                    let (hex, rest) = letters.as_str()[1..].split_once('}').expect("its end");
                    *letters = rest.chars();
                    char::from_u32(code(hex)).expect("a letter")
                }
                'u' => {
                    let (hex, rest) = letters.as_str().split_at(4);
                    *letters = rest.chars();
                    units.push(code(hex) as u16);
                    continue;
                }
                letter @ ('"' | '\\') => letter,
                other => panic!("\\{other}"),
            },
            letter => letter,
        };
        units.extend_from_slice(letter.encode_utf16(&mut [0; 2]));
    }
}

fn code(hex: &str) -> u32 {
    u32::from_str_radix(hex, 16).expect("hexadecimal digits")
}
