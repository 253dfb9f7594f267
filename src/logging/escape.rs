//! Text of unknown origin, made fit to be a part of one line.
//!
//! Promises: what is appended holds no character that ends a line, moves a cursor, turns the writing direction or
//! cannot be seen, and is no longer than its limit; no escape is ever cut in two. Leaves to others: which limit.

use std::fmt::{self, Display, Write};

/// Stands where the rest was cut off.
pub(super) const MARK: &str = "…";

/// What is escaped, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// Prose: what is unsafe becomes `\n` or `\u{1b}`. A backslash stays, so this cannot be undone exactly.
    Prose,
    /// Between double quotes: as prose, and quotes and backslashes as well. Can be undone.
    Quoted,
    /// Between the quotes of a JSON string (RFC 8259 section 7). Can be undone.
    Json,
}

/// Appends `text`, which takes at most `limit` bytes of the line, escapes and mark counted.
pub(super) fn append(line: &mut String, text: &(impl Display + ?Sized), escape: Escape, limit: usize) {
    let start = line.len();
    let mut clip = Clip { end: start + limit, cut: start, full: false, line, escape };
    // A `Display` that fails has said what it could.
    let _ = write!(clip, "{text}");
}

/// Appends `text` as it is where that is clear, else between quotes.
pub(super) fn append_word(line: &mut String, text: &(impl Display + ?Sized), limit: usize) {
    let start = line.len();
    line.push('"');
    append(line, text, Escape::Quoted, limit);
    if is_clear(&line[start + 1..]) {
        line.remove(start);
    } else {
        line.push('"');
    }
}

fn is_clear(word: &str) -> bool {
    !word.is_empty() && !word.contains(|letter: char| letter.is_whitespace() || "\"\\=".contains(letter))
}

/// Whether a letter does something to a line other than standing in it: controls (C0, DEL, C1), line and paragraph
/// separators, marks of direction, what has no width, and tags.
pub(crate) fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A line that takes so much and no more.
struct Clip<'l> {
    line: &'l mut String,
    escape: Escape,
    /// The line never grows beyond this length.
    end: usize,
    /// The last place between two letters where the mark still fits.
    cut: usize,
    /// The mark stands; the rest is ignored.
    full: bool,
}

impl Clip<'_> {
    fn push(&mut self, letter: char) {
        if self.line.len() + MARK.len() <= self.end {
            self.cut = self.line.len();
        }
        self.escape.push(self.line, letter);
        if self.line.len() > self.end {
            self.line.truncate(self.cut);
            self.line.push_str(MARK);
            self.full = true;
        }
    }
}

impl Write for Clip<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            if self.full {
                break;
            }
            self.push(letter);
        }
        Ok(())
    }
}

impl Escape {
    fn push(self, line: &mut String, letter: char) {
        match letter {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '"' | '\\' if self != Self::Prose => line.extend(['\\', letter]),
            _ if !is_unsafe(letter) => line.push(letter),
            _ if self == Self::Json => push_units(line, letter),
            _ => line.extend(letter.escape_unicode()),
        }
    }
}

/// JSON knows UTF-16 units only; what lies beyond 16 bits takes two.
fn push_units(line: &mut String, letter: char) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        let _ = write!(line, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, escape: Escape, limit: usize) -> String {
        let mut line = String::new();
        append(&mut line, text, escape, limit);
        line
    }

    #[test]
    fn each_unsafe_letter_is_escaped_in_each_way() {
        let table = [
            ("\r\n\t", r"\r\n\t", r"\r\n\t", r"\r\n\t"),
            ("\0\x1b[31m", r"\u{0}\u{1b}[31m", r"\u{0}\u{1b}[31m", r"\u0000\u001b[31m"),
            ("\x7f\u{85}\u{9b}", r"\u{7f}\u{85}\u{9b}", r"\u{7f}\u{85}\u{9b}", r"\u007f\u0085\u009b"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}", r"\u{2028}\u{2029}", r"\u2028\u2029"),
            ("\u{202e}\u{2066}", r"\u{202e}\u{2066}", r"\u{202e}\u{2066}", r"\u202e\u2066"),
            ("\u{200b}\u{feff}", r"\u{200b}\u{feff}", r"\u{200b}\u{feff}", r"\u200b\ufeff"),
            ("\u{e0041}", r"\u{e0041}", r"\u{e0041}", r"\udb40\udc41"),
            (r#"a\"b"#, r#"a\"b"#, r#"a\\\"b"#, r#"a\\\"b"#),
            (
                "Grüße 東京 😀 \u{fffd}",
                "Grüße 東京 😀 \u{fffd}",
                "Grüße 東京 😀 \u{fffd}",
                "Grüße 東京 😀 \u{fffd}",
            ),
        ];
        assert!(!table.is_empty());
        for (text, prose, quoted, json) in table {
            let ways = [(Escape::Prose, prose), (Escape::Quoted, quoted), (Escape::Json, json)];
            for (escape, expected) in ways {
                assert_eq!(escaped(text, escape, 200), expected, "{text:?} {escape:?}");
            }
        }
    }

    #[test]
    fn a_cut_is_marked_and_falls_between_letters() {
        let table = [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc…"),
            ("", 6, ""),
            ("ab東東", 8, "ab東東"),
            ("ab東東c", 8, "ab東…"),
            ("abcd\n", 6, "abcd\\n"),
            ("abcd\x1b", 6, "abc…"),
            ("a\x1b\x1b", 10, "a\\u{1b}…"),
            ("東東", 3, "…"),
        ];
        assert!(!table.is_empty());
        for (text, limit, expected) in table {
            assert_eq!(escaped(text, Escape::Prose, limit), expected, "{text:?} in {limit}");
        }
    }

    #[test]
    fn words_are_quoted_where_they_would_not_be_clear() {
        let table = [
            ("/room/1", "/room/1"),
            ("[::1]:80", "[::1]:80"),
            ("", r#""""#),
            ("two words", r#""two words""#),
            ("no\u{a0}break", "\"no\u{a0}break\""),
            ("a=b", r#""a=b""#),
            (r#"""#, r#""\"""#),
            (r"\n", r#""\\n""#),
            ("\n", r#""\n""#),
        ];
        assert!(!table.is_empty());
        for (text, expected) in table {
            let mut line = String::new();
            append_word(&mut line, text, 200);
            assert_eq!(line, expected, "{text:?}");
        }
    }
}
