//! Mistakes in a configuration, and how they are shown: file, line, column, the line itself, a mark under the place.
//!
//! Promises: all of them are shown in the order of the file, each cut to what fits in a terminal; control characters
//! of the file reach nobody. Leaves to others: finding them.

use std::{fmt, ops::Range, path::PathBuf};

/// Characters of a line that are shown.
const MAX_SHOWN: usize = 100;

/// Characters of a long line that are shown before the mark.
const BEFORE_MARK: usize = 40;

/// Mistakes that are shown; a file with more is no configuration.
const MAX_MISTAKES: usize = 100;

/// Where a mistake was made. Ordered as they are told.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// In the arguments, or in what the machine allows.
    Elsewhere,
    /// The file as such.
    File,
    /// Bytes of the file, which stand in its text.
    At(Range<usize>),
}

/// One mistake, with what was expected and what to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mistake {
    place: Place,
    message: String,
}

impl Mistake {
    pub(super) fn at(place: Range<usize>, message: String) -> Self {
        Self { place: Place::At(place), message }
    }

    pub(super) fn of_file(message: String) -> Self {
        Self { place: Place::File, message }
    }

    pub(super) fn elsewhere(message: String) -> Self {
        Self { place: Place::Elsewhere, message }
    }

    fn order(&self) -> (bool, usize) {
        match &self.place {
            Place::Elsewhere => (true, 0),
            Place::File => (false, 0),
            Place::At(place) => (false, place.start),
        }
    }
}

/// Why a configuration was refused: every mistake, each on its own with what to do.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    text: String,
    /// Never empty.
    mistakes: Vec<Mistake>,
    may_pass: bool,
}

impl ConfigError {
    /// `text` is that of the file, which the mistakes point into.
    pub(super) fn new(file: PathBuf, text: String, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(Mistake::order);
        Self { file, text, mistakes, may_pass: false }
    }

    /// The same; `may_pass`: for a reason that is not the configuration's.
    pub(super) fn passing(self, may_pass: bool) -> Self {
        Self { may_pass, ..self }
    }

    /// Whether another try may succeed although nobody has edited anything.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// A line for each mistake, for the log: file, line, column and message, without the text itself.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.mistakes.iter().map(|mistake| {
            let mut line = String::new();
            // A string takes everything.
            let _ = self.show_line(mistake, &mut line);
            line
        })
    }

    fn show(&self, mistake: &Mistake, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show_line(mistake, f)?;
        match &mistake.place {
            Place::At(place) => write!(f, "\n{}", Spot::find(&self.text, place.clone())),
            Place::Elsewhere | Place::File => Ok(()),
        }
    }

    fn show_line(&self, mistake: &Mistake, f: &mut impl fmt::Write) -> fmt::Result {
        let (file, message) = (self.file.display(), &mistake.message);
        match &mistake.place {
            Place::Elsewhere => f.write_str(message),
            Place::File => write!(f, "{file}: {message}"),
            Place::At(place) => {
                let spot = Spot::find(&self.text, place.clone());
                write!(f, "{file}, line {}, column {}: {message}", spot.line, spot.column)
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        if count > 1 {
            writeln!(f, "{count} mistakes in the configuration:")?;
        }
        for (nth, mistake) in self.mistakes.iter().take(MAX_MISTAKES).enumerate() {
            f.write_str(if nth == 0 { "" } else { "\n" })?;
            self.show(mistake, f)?;
        }
        if count > MAX_MISTAKES { write!(f, "\nand {} more", count - MAX_MISTAKES) } else { Ok(()) }
    }
}

impl std::error::Error for ConfigError {}

/// A place as people count, and its line. Shown as the line with a mark under the place.
struct Spot {
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// At most `MAX_SHOWN` characters and two ellipses.
    shown: String,
    /// Characters of `shown` before the mark.
    indent: usize,
    /// Characters of the mark, at least 1.
    width: usize,
}

impl Spot {
    fn find(text: &str, place: Range<usize>) -> Self {
        let mut start = text.floor_char_boundary(place.start);
        // What is missing at the end of a file is missing in its last line, not in an empty one after it.
        if start == text.len() && text.ends_with('\n') {
            start -= 1;
        }
        let before = &text[..start];
        let line_at = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_at..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
        // The LF of a CR LF is a place behind the line's end: the mark stands right after its last letter.
        let line_end = line_at + line.len();
        let start = start.min(line_end);
        let end = text.floor_char_boundary(place.end).clamp(start, line_end);
        let column = text[line_at..start].chars().count();
        let width = text[start..end].chars().count();
        Self::cut(before.matches('\n').count() + 1, line, column, width)
    }

    /// Takes the piece around the mark out of a long line.
    fn cut(line_number: usize, line: &str, column: usize, width: usize) -> Self {
        let length = line.chars().count();
        let from = if length <= MAX_SHOWN { 0 } else { column.saturating_sub(BEFORE_MARK) };
        let piece = line.chars().skip(from).take(MAX_SHOWN).map(printable);
        let (head, tail) = (mark_cut(from > 0), mark_cut(length > from + MAX_SHOWN));
        let indent = head.len() + column - from;
        let width = width.min(MAX_SHOWN.saturating_sub(column - from)).max(1);
        let shown = head.chars().chain(piece).chain(tail.chars()).collect();
        Self { line: line_number, column: column + 1, shown, indent, width }
    }
}

fn mark_cut(cut: bool) -> &'static str {
    if cut { "..." } else { "" }
}

/// One column each, and nothing that a terminal would obey.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = self.line.to_string().len();
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{}", format!("{} | {}", self.line, self.shown).trim_end())?;
        write!(f, "{:gutter$} | {:indent$}{}", "", "", "^".repeat(self.width), indent = self.indent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, place: Range<usize>) -> String {
        let mistakes = vec![Mistake::at(place, "wrong".to_owned())];
        ConfigError::new("f".into(), text.to_owned(), mistakes).to_string()
    }

    #[test]
    fn the_mark_stands_under_the_place() {
        let table = [
            ("a = 1", 4..5, "f, line 1, column 5: wrong\n  |\n1 | a = 1\n  |     ^"),
            ("\n\nab = 1\n", 2..4, "f, line 3, column 1: wrong\n  |\n3 | ab = 1\n  | ^^"),
            ("a\r\nb\r\n", 3..4, "f, line 2, column 1: wrong\n  |\n2 | b\n  | ^"),
            ("\té = 1", 6..7, "f, line 1, column 6: wrong\n  |\n1 |  é = 1\n  |      ^"),
            ("a = ", 4..4, "f, line 1, column 5: wrong\n  |\n1 | a =\n  |     ^"),
            ("a =\n", 4..4, "f, line 1, column 4: wrong\n  |\n1 | a =\n  |    ^"),
            ("a = \"\r\nb", 6..7, "f, line 1, column 6: wrong\n  |\n1 | a = \"\n  |      ^"),
            ("a = [\n1,\n]", 4..10, "f, line 1, column 5: wrong\n  |\n1 | a = [\n  |     ^"),
            ("\u{1b}[1m", 0..1, "f, line 1, column 1: wrong\n  |\n1 | \u{fffd}[1m\n  | ^"),
            ("", 0..0, "f, line 1, column 1: wrong\n  |\n1 |\n  | ^"),
            ("a", 7..9, "f, line 1, column 2: wrong\n  |\n1 | a\n  |  ^"),
        ];
        assert!(!table.is_empty());
        for (text, place, expected) in table {
            assert_eq!(shown(text, place), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("{} = {}", "a".repeat(300), "b".repeat(300));
        let said = shown(&text, 303..603);
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[2].len() < 120 && lines[3].len() < 120, "{said}");
        assert_eq!(lines[2].find('b'), lines[3].find('^'), "{said}");
        assert_eq!(lines[2].rfind('b'), lines[3].rfind('^'), "{said}");
    }

    #[test]
    fn mistakes_are_told_in_the_order_of_the_file_and_counted() {
        let mistake = |at: usize| Mistake::at(at..at + 1, format!("nr. {at}"));
        let mistakes = (0..150).rev().map(mistake).chain([Mistake::elsewhere("last".to_owned())]);
        let said = ConfigError::new("f".into(), "x".repeat(200), mistakes.collect()).to_string();
        assert!(
            said.starts_with("151 mistakes in the configuration:\nf, line 1, column 1: nr. 0\n"),
            "{said}"
        );
        assert!(said.ends_with("\nand 51 more"), "{said}");
    }
}
