//! What `nginx -T` prints, or a single file of a configuration, as a tree of directives.
//!
//! Owns the files of a dump, the blocks, and the includes, which are put where they stand. Promises: any text ends in a
//! tree or in a reason, without a panic and in bounded work; every directive knows its file and line. Leaves to others:
//! what a directive means.

use std::{collections::HashMap, fmt, rc::Rc};

use super::words::{Piece, Words, glob_matches};

/// A dump of this size is no configuration that anybody wrote.
pub const MAX_TEXT_BYTES: usize = 4 << 20;

/// Blocks within blocks. nginx itself has no use for more than half a dozen.
const MAX_DEPTH: usize = 32;

/// Text in all, files that are included twice counted twice.
const MAX_READ_BYTES: usize = 4 * MAX_TEXT_BYTES;

/// How `nginx -T` begins each file.
const MARK: &str = "# configuration file ";

/// A place in a configuration. Shown as `FILE:LINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// As nginx names it.
    pub file: Rc<str>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A directive, and what stands in its block if it has one.
#[derive(Clone, Debug)]
pub struct Directive {
    /// Its first word.
    pub name: String,
    /// The other words.
    pub words: Vec<String>,
    /// Where it stands.
    pub spot: Spot,
    /// What stands between its braces, includes resolved.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// The first word behind its name, or nothing.
    pub fn value(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// As it stands in the file, on one line, without its block.
impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for word in &self.words {
            if word.is_empty() || word.contains([' ', ';', '{', '"']) {
                write!(f, " '{word}'")?;
            } else {
                write!(f, " {word}")?;
            }
        }
        f.write_str(if self.block.is_some() { " { ... }" } else { ";" })
    }
}

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Tree {
    /// What stands outside of all blocks.
    pub top: Vec<Directive>,
    /// Files that are included and were not in the text.
    pub missing: Vec<String>,
}

/// Why a text is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub spot: Spot,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.spot, self.what)
    }
}

/// Reads what `nginx -T` printed, or a file of the given name.
///
/// # Errors
/// The first thing that is no configuration.
pub fn read(text: &str, name: &str) -> Result<Tree, Unreadable> {
    let name: Rc<str> = name.into();
    if text.len() > MAX_TEXT_BYTES {
        let what = format!("longer than {} MiB, so this is no configuration", MAX_TEXT_BYTES >> 20);
        return Err(Unreadable { spot: Spot { file: name, line: 1 }, what });
    }
    let files = files_of(text, &name);
    let folder = files[0].name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    // A file that somebody named does not include itself by any pattern that it has.
    let marked = if text.contains(MARK) { files.as_slice() } else { &[] };
    let by_name = marked.iter().map(|file| (file.name.clone(), file)).collect();
    let mut reader = Reader { files: marked, by_name, folder, read_bytes: 0, missing: Vec::new() };
    let top = reader.file(&files[0], 0)?;
    Ok(Tree { top, missing: reader.missing })
}

/// A file of a dump.
struct File<'t> {
    name: Rc<str>,
    text: &'t str,
}

/// Never empty: a text without marks is one file.
fn files_of<'t>(text: &'t str, name: &Rc<str>) -> Vec<File<'t>> {
    let mut files: Vec<File<'t>> = Vec::new();
    let (mut begin, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.trim_end().strip_prefix(MARK).and_then(|rest| rest.strip_suffix(':')) {
            close_file(&mut files, &text[begin..at]);
            files.push(File { name: name.into(), text: "" });
            begin = at + line.len();
        }
        at += line.len();
    }
    if files.is_empty() {
        files.push(File { name: name.clone(), text: "" });
    }
    close_file(&mut files, &text[begin..]);
    files
}

fn close_file<'t>(files: &mut [File<'t>], text: &'t str) {
    if let Some(file) = files.last_mut() {
        file.text = text;
    }
}

struct Reader<'t> {
    /// Those that can be included.
    files: &'t [File<'t>],
    by_name: HashMap<Rc<str>, &'t File<'t>>,
    /// Of the first file: includes are relative to it.
    folder: String,
    read_bytes: usize,
    missing: Vec<String>,
}

impl<'t> Reader<'t> {
    fn file(&mut self, file: &'t File<'t>, depth: usize) -> Result<Vec<Directive>, Unreadable> {
        self.read_bytes += file.text.len() + 1;
        if self.read_bytes > MAX_READ_BYTES || depth > MAX_DEPTH {
            let spot = Spot { file: file.name.clone(), line: 1 };
            return Err(unreadable(spot, "files include each other, or the same ones, without end"));
        }
        self.block(&mut Words::new(file.text, 1), &file.name, depth, None)
    }

    /// Up to its `}`, or, where it has no `opened`, up to the end of the file.
    fn block(
        &mut self,
        words: &mut Words<'t>,
        file: &Rc<str>,
        depth: usize,
        opened: Option<usize>,
    ) -> Result<Vec<Directive>, Unreadable> {
        let at = |line| Spot { file: file.clone(), line };
        let mut directives = Vec::new();
        let mut pending: Option<(usize, Vec<String>)> = None;
        loop {
            let next = words.next().map_err(|unclosed| {
                unreadable(at(unclosed.line), format!("the quote {} is never closed", unclosed.quote))
            })?;
            let Some((line, piece)) = next else {
                let open = pending.map(|(line, _)| line).or(opened);
                return open.map_or(Ok(directives), |line| {
                    Err(unreadable(at(line), "the file ends before this does: ; or } is missing"))
                });
            };
            match (piece, pending.take()) {
                (Piece::Word(word), None) => pending = Some((line, vec![word])),
                (Piece::Word(word), Some((line, mut list))) => {
                    list.push(word);
                    pending = Some((line, list));
                }
                (Piece::End, Some((line, list))) => {
                    self.take(directive(list, at(line), None), depth, &mut directives)?;
                }
                (Piece::Open, Some((begun, list))) => {
                    let block = self.inner_block(&list[0], words, file, depth, line)?;
                    self.take(directive(list, at(begun), Some(block)), depth, &mut directives)?;
                }
                (Piece::Close, None) if opened.is_some() => return Ok(directives),
                (piece, _) => {
                    return Err(unreadable(at(line), format!("{} is unexpected here", sign(&piece))));
                }
            }
        }
    }

    fn inner_block(
        &mut self,
        name: &str,
        words: &mut Words<'t>,
        file: &Rc<str>,
        depth: usize,
        line: usize,
    ) -> Result<Vec<Directive>, Unreadable> {
        if name.ends_with("_by_lua_block") {
            words.skip_lua_block();
            return Ok(Vec::new());
        }
        if depth >= MAX_DEPTH {
            let spot = Spot { file: file.clone(), line };
            return Err(unreadable(spot, format!("more than {MAX_DEPTH} blocks within each other")));
        }
        self.block(words, file, depth + 1, Some(line))
    }

    /// Puts a directive into its block, and what a file has in place of its include.
    fn take(&mut self, one: Directive, depth: usize, into: &mut Vec<Directive>) -> Result<(), Unreadable> {
        if one.name != "include" || one.block.is_some() {
            into.push(one);
            return Ok(());
        }
        for file in self.included(one.value()) {
            into.extend(self.file(file, depth + 1)?);
        }
        Ok(())
    }

    /// In the order of their names, as nginx takes them.
    fn included(&mut self, pattern: &str) -> Vec<&'t File<'t>> {
        let whole = if pattern.starts_with('/') || self.folder.is_empty() {
            pattern.to_owned()
        } else {
            format!("{}/{pattern}", self.folder)
        };
        if !whole.contains(['*', '?', '[']) {
            let found = self.by_name.get(whole.as_str()).copied();
            if found.is_none() {
                self.missing.push(whole);
            }
            return found.into_iter().collect();
        }
        let mut found: Vec<_> = self.files.iter().filter(|file| glob_matches(&whole, &file.name)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        // A pattern may match nothing; in a single file nobody knows.
        if found.is_empty() && self.files.is_empty() {
            self.missing.push(whole);
        }
        found
    }
}

fn directive(list: Vec<String>, spot: Spot, block: Option<Vec<Directive>>) -> Directive {
    let mut list = list.into_iter();
    Directive { name: list.next().unwrap_or_default(), words: list.collect(), spot, block }
}

fn unreadable(spot: Spot, what: impl Into<String>) -> Unreadable {
    Unreadable { spot, what: what.into() }
}

fn sign(piece: &Piece) -> &'static str {
    match piece {
        Piece::Word(_) => "a word",
        Piece::End => "\";\"",
        Piece::Open => "\"{\"",
        Piece::Close => "\"}\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DUMP: &str = "\
# configuration file /etc/nginx/nginx.conf:
user www-data; include modules/*.conf;
http {
    include mime.types;
    include /etc/nginx/sites-enabled/*;
    include conf.d/*.conf;
}

# configuration file /etc/nginx/mime.types:
types { text/html html; }

# configuration file /etc/nginx/sites-enabled/b:
server { listen 2; }

# configuration file /etc/nginx/sites-enabled/a:
server {
    # a comment
    listen 1;
}
";

    fn shape(block: &[Directive]) -> String {
        let one = |directive: &Directive| {
            let inner = directive.block.as_deref().map(|block| format!("[{}]", shape(block)));
            format!("{}@{}{}", directive.name, directive.spot, inner.unwrap_or_default())
        };
        block.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn included_files_stand_where_they_are_included_and_keep_their_lines() {
        let tree = read(DUMP, "-").unwrap();
        let folder = "/etc/nginx";
        let expected = format!(
            "user@{folder}/nginx.conf:1 http@{folder}/nginx.conf:2[types@{folder}/mime.types:1[text/html@{folder}\
             /mime.types:1] server@{folder}/sites-enabled/a:1[listen@{folder}/sites-enabled/a:3] \
             server@{folder}/sites-enabled/b:1[listen@{folder}/sites-enabled/b:1]]"
        );
        assert_eq!(shape(&tree.top), expected);
        assert_eq!(tree.missing, Vec::<String>::new());
    }

    #[test]
    fn a_single_file_is_read_and_what_it_includes_is_missing() {
        let tree = read("include snippets/x.conf; include *.conf;\nserver { }", "site.conf").unwrap();
        assert_eq!(shape(&tree.top), "server@site.conf:2[]");
        assert_eq!(tree.missing, ["snippets/x.conf", "*.conf"]);
    }

    #[test]
    fn a_block_in_another_language_is_passed_over() {
        let text = "a_by_lua_block { if x then y = { \"\\\"\" } end } b 1;";
        assert_eq!(shape(&read(text, "f").unwrap().top), "a_by_lua_block@f:1[] b@f:1");
    }

    #[test]
    fn braces_in_strings_and_comments_of_lua_are_none() {
        let table = [
            "s = \"}\" x = 'it\\'s }'",
            "-- don't } {\nx = 1",
            "--[[ it's\n } ]] x = 1",
            "--[=[ ]] }\n ]=] x = a[1]",
            "s = [[ } ' \n]] t = { [1] = 2 }",
            "a = 1 - 2 -- }\n",
        ];
        assert!(!table.is_empty());
        for lua in table {
            let lines = lua.matches('\n').count() + 1;
            let tree = read(&format!("a_by_lua_block {{ {lua} }} b 'it is';"), "f").unwrap();
            assert_eq!(shape(&tree.top), format!("a_by_lua_block@f:1[] b@f:{lines}"), "{lua}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_told_with_its_place() {
        let deep = "a {".repeat(50);
        let round = "# configuration file f:\ninclude f;";
        let table = [
            ("a b", "f:1: the file ends before this does: ; or } is missing"),
            ("\na {\n b;", "f:2: the file ends before this does: ; or } is missing"),
            ("a;\n}", "f:2: \"}\" is unexpected here"),
            (";", "f:1: \";\" is unexpected here"),
            ("{", "f:1: \"{\" is unexpected here"),
            ("a { b }", "f:1: \"}\" is unexpected here"),
            ("a 'b;", "f:1: the quote ' is never closed"),
            (deep.as_str(), "f:1: more than 32 blocks within each other"),
            (round, "f:1: files include each other, or the same ones, without end"),
        ];
        assert!(!table.is_empty());
        for (text, expected) in table {
            assert_eq!(read(text, "f").unwrap_err().to_string(), expected, "{text}");
        }
        let long = "#".repeat(MAX_TEXT_BYTES + 1);
        assert!(read(&long, "f").unwrap_err().what.contains("longer than 4 MiB"));
    }

    #[test]
    fn files_that_include_each_other_end_although_they_multiply() {
        let text = format!("# configuration file f:\n{}", "include f;".repeat(20));
        assert!(read(&text, "f").is_err());
    }

    proptest! {
        #[test]
        fn any_text_at_all_has_an_end(text in r#"([a-z]{0,3}|a_by_lua_block \{|--|\[=?\[|[;{}#'" \n\\$]|# configuration file f:\n|include f;){0,60}"#) {
            let _ = read(&text, "f");
        }
    }
}
