//! nginx's words: what its configuration is made of before anybody asks what it means.
//!
//! Owns quotes, escapes, comments and variables, as nginx reads them. Promises: any text at all is cut without a panic
//! in linear time, and every piece knows its line.

use std::mem;

/// A piece of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A word, without its quotes, and with escaped quotes and backslashes resolved.
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// What is no configuration, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// Where it began. From 1.
    pub line: usize,
    pub quote: char,
}

/// Cuts a text. Remembers where it stands.
#[derive(Debug)]
pub(super) struct Words<'t> {
    rest: &'t str,
    /// Of the next character. From 1.
    line: usize,
}

impl<'t> Words<'t> {
    pub(super) fn new(text: &'t str, line: usize) -> Self {
        Self { rest: text, line }
    }

    /// The next piece and the line on which it begins; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Piece)>, Unclosed> {
        self.skip_nothing();
        let line = self.line;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let piece = match first {
            ';' => self.sign(Piece::End),
            '{' => self.sign(Piece::Open),
            '}' => self.sign(Piece::Close),
            quote @ ('"' | '\'') => Piece::Word(self.quoted(quote)?),
            _ => Piece::Word(self.bare()),
        };
        Ok(Some((line, piece)))
    }

    /// Passes over a block in Lua, from behind its `{` to behind its `}`. Braces in its strings and comments are none.
    pub(super) fn skip_lua_block(&mut self) {
        let mut depth = 1_usize;
        while let Some(c) = self.take() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                '"' | '\'' => self.skip_lua_string(c),
                '-' if self.rest.starts_with("-[[") || self.rest.starts_with("-[=") => {}
                '-' if self.rest.starts_with('-') => self.skip_line(),
                '[' => self.skip_lua_brackets(),
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Ends with its line at the latest, as all of Lua's do that are not continued.
    fn skip_lua_string(&mut self, quote: char) {
        while let Some(c) = self.take() {
            match c {
                '\\' => _ = self.take(),
                c if c == quote || c == '\n' => return,
                _ => {}
            }
        }
    }

    /// From behind the first bracket of `[[` or `[==[` to behind its counterpart; nothing where that is another bracket.
    fn skip_lua_brackets(&mut self) {
        let signs = self.rest.bytes().take_while(|&byte| byte == b'=').count();
        if self.rest.as_bytes().get(signs) != Some(&b'[') {
            return;
        }
        let end = format!("]{}]", "=".repeat(signs));
        let length = self.rest.find(&end).map_or(self.rest.len(), |at| at + end.len());
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
    }

    fn skip_line(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn sign(&mut self, piece: Piece) -> Piece {
        self.take();
        piece
    }

    /// White space and comments.
    fn skip_nothing(&mut self) {
        while let Some(c) = self.rest.chars().next() {
            if c == '#' {
                self.skip_line();
            } else if is_space(c) {
                self.take();
            } else {
                return;
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, Unclosed> {
        let line = self.line;
        self.take();
        let mut word = String::new();
        while let Some(c) = self.take() {
            match c {
                '\\' => self.escaped(&mut word),
                c if c == quote => return Ok(word),
                c => word.push(c),
            }
        }
        Err(Unclosed { line, quote })
    }

    /// Up to white space, `;` or `{`; the brace of `${name}` belongs to the word.
    fn bare(&mut self) -> String {
        let mut word = String::new();
        let mut after_dollar = false;
        while let Some(c) = self.rest.chars().next() {
            if is_space(c) || c == ';' || (c == '{' && !after_dollar) {
                break;
            }
            self.take();
            after_dollar = c == '$';
            if c == '\\' { self.escaped(&mut word) } else { word.push(c) }
        }
        word
    }

    /// What follows a backslash: nginx resolves few, and leaves the others to regular expressions.
    fn escaped(&mut self, word: &mut String) {
        match self.take() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => word.extend(['\\', c]),
            None => word.push('\\'),
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// A value split at its first character that is not a digit: `10m` is 10 and `m`.
pub(super) fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Milliseconds of a time such as `60`, `1m 30s` or `500ms`, as nginx reads it.
pub(crate) fn millis(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = number_and_unit(rest)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        sum = sum.checked_add(number.checked_mul(unit_millis(unit)?)?)?;
        rest = after.trim_start();
    }
    Some(sum)
}

fn unit_millis(unit: &str) -> Option<u64> {
    const DAY: u64 = 86_400_000;
    Some(match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY,
        "w" => 7 * DAY,
        "M" => 30 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    })
}

/// The words of a file name pattern: `*` and `?` stay within a folder, `[...]` is one of some characters.
pub(super) fn glob_matches(pattern: &str, name: &str) -> bool {
    let (patterns, names): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), name.split('/').collect());
    patterns.len() == names.len()
        && patterns.iter().zip(names).all(|(pattern, name)| part_matches(pattern, name))
}

/// One folder or file. In work that is at most the product of both lengths.
fn part_matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    // The places of the pattern that can be reached with what was read of the name.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    pass_stars(&pattern, &mut reached);
    for c in name.chars() {
        let before = mem::replace(&mut reached, vec![false; pattern.len() + 1]);
        for at in (0..pattern.len()).filter(|&at| before[at]) {
            match step(&pattern[at..], c) {
                Some(0) => reached[at] = true,
                Some(length) => reached[at + length] = true,
                None => {}
            }
        }
        pass_stars(&pattern, &mut reached);
    }
    reached[pattern.len()]
}

fn pass_stars(pattern: &[char], reached: &mut [bool]) {
    for at in 0..pattern.len() {
        if reached[at] && pattern[at] == '*' {
            reached[at + 1] = true;
        }
    }
}

/// How far the pattern moves on when `c` is read: not at all in `*`; `None` when it does not fit.
fn step(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '*' => Some(0),
        '?' => Some(1),
        '[' => {
            let end = pattern.iter().skip(2).position(|&one| one == ']')? + 2;
            let (inverse, set) =
                if pattern[1] == '!' { (true, &pattern[2..end]) } else { (false, &pattern[1..end]) };
            (is_among(set, c) != inverse).then_some(end + 1)
        }
        one => (one == c).then_some(1),
    }
}

fn is_among(set: &[char], c: char) -> bool {
    let range = |three: &[char]| three[1] == '-' && (three[0]..=three[2]).contains(&c);
    set.contains(&c) || set.windows(3).any(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(usize, Piece)> {
        let mut words = Words::new(text, 1);
        let mut pieces = Vec::new();
        while let Some(piece) = words.next().unwrap() {
            pieces.push(piece);
        }
        pieces
    }

    fn word(text: &str) -> Piece {
        Piece::Word(text.to_owned())
    }

    #[test]
    fn words_are_cut_as_nginx_cuts_them() {
        let table: &[(&str, &[Piece])] = &[
            ("a b;", &[word("a"), word("b"), Piece::End]),
            ("a{b}", &[word("a"), Piece::Open, word("b}")]),
            ("a { b; }", &[word("a"), Piece::Open, word("b"), Piece::End, Piece::Close]),
            ("a ${b}c;", &[word("a"), word("${b}c"), Piece::End]),
            ("a \"b ; { # c\";", &[word("a"), word("b ; { # c"), Piece::End]),
            ("a 'b\"c' '';", &[word("a"), word("b\"c"), word(""), Piece::End]),
            (r#"a "b\"c\\" \.d;"#, &[word("a"), word("b\"c\\"), word("\\.d"), Piece::End]),
            ("a#b # c\n;", &[word("a#b"), Piece::End]),
            ("# all\r\n", &[]),
            ("é\u{a0}é;", &[word("é\u{a0}é"), Piece::End]),
        ];
        assert!(!table.is_empty());
        for (text, pieces) in table {
            let found: Vec<_> = cut(text).into_iter().map(|(_, piece)| piece).collect();
            assert_eq!(&found, pieces, "{text}");
        }
    }

    #[test]
    fn each_piece_knows_its_line() {
        let lines: Vec<_> = cut("a\n'b\nc' # d\n\n;").into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 2, 5]);
        assert_eq!(Words::new("\n 'a\n", 1).next(), Err(Unclosed { line: 2, quote: '\'' }));
    }

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        let table = [
            ("60", Some(60_000)),
            ("60s", Some(60_000)),
            ("1m", Some(60_000)),
            ("1m30s", Some(90_000)),
            ("1h 30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1d", Some(86_400_000)),
            ("", None),
            ("s", None),
            ("1x", None),
            ("$time", None),
            ("99999999999999999999", None),
            ("18446744073709551615y", None),
        ];
        assert!(!table.is_empty());
        for (text, expected) in table {
            assert_eq!(millis(text), expected, "{text:?}");
        }
    }

    #[test]
    fn patterns_of_file_names_match_as_in_a_shell() {
        let table = [
            ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/a.conf", true),
            ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/a/b.conf", false),
            ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/.a.conf", false),
            ("/etc/nginx/sites-enabled/*", "/etc/nginx/sites-enabled/default", true),
            ("/a/*b*c", "/a/xbybzc", true),
            ("/a/*b*c", "/a/xbybz", false),
            ("/a/?", "/a/b", true),
            ("/a/?", "/a/bc", false),
            ("/a/[a-c]1", "/a/b1", true),
            ("/a/[!a-c]1", "/a/b1", false),
            ("/a/[", "/a/[", false),
            ("/a/mime.types", "/a/mime.types", true),
        ];
        assert!(!table.is_empty());
        for (pattern, name, expected) in table {
            assert_eq!(glob_matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
