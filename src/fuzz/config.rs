//! Target: a configuration file. Promises: a good one says the same when it is written out and read again; of a bad one
//! each mistake has a place that exists, whose line is shown as it stands; no control character of the file is shown;
//! the same mistakes, one line further down, when the file has an empty line before it.

use crate::config::RawConfig;

/// As many as the process may have.
const DESCRIPTORS: Option<u64> = Some(20_000);

/// Takes the bytes for the file.
pub fn config(data: &[u8]) {
    let Err(said) = verdict(data) else { return };
    assert!(!said.contains(|c: char| c != '\n' && c.is_control()), "{said:?}");
    let text = String::from_utf8_lossy(data);
    let spots = Spot::all(&said);
    assert!(spots.len() <= 100 && !said.is_empty());
    spots.iter().for_each(|spot| spot.check(&text));
    assert!(spots.is_sorted_by_key(|spot| (spot.line, spot.column)), "{said}");
    // A byte order mark is one only where a file begins.
    if !data.starts_with(b"\xEF\xBB\xBF") {
        check_moved(data, &spots);
    }
}

/// Whether the file is good, or what was said of it.
fn verdict(data: &[u8]) -> Result<(), String> {
    let (config, warnings) =
        RawConfig::parse(data.to_vec()).check(DESCRIPTORS).map_err(|error| error.to_string())?;
    let written = config.to_toml();
    let again = RawConfig::parse(written.clone().into_bytes()).check(None).expect("what we wrote");
    assert_eq!(again, (config, Vec::new()), "{written} {warnings:?}");
    Ok(())
}

fn check_moved(data: &[u8], spots: &[Spot<'_>]) {
    let moved = [b"\n", data].concat();
    let said = verdict(&moved).expect_err("an empty line mends nothing");
    let moved: Vec<_> =
        Spot::all(&said).into_iter().map(|spot| (spot.line - 1, spot.column, spot.what)).collect();
    let spots: Vec<_> = spots.iter().map(|spot| (spot.line, spot.column, spot.what)).collect();
    assert_eq!(moved, spots);
}

/// A mistake, read back from what was said.
struct Spot<'s> {
    line: usize,
    column: usize,
    what: &'s str,
    /// The line as it was shown, and the mark under it; nothing for what has no place.
    shown: &'s str,
    mark: &'s str,
}

impl<'s> Spot<'s> {
    fn all(said: &'s str) -> Vec<Self> {
        let lines: Vec<_> = said.split('\n').collect();
        lines.windows(4).filter_map(Self::read).collect()
    }

    /// Reads `, line 3, column 5: what` and the three lines after it. The file has no name here.
    fn read(lines: &[&'s str]) -> Option<Self> {
        let (line, rest) = lines[0].strip_prefix(", line ")?.split_once(", column ")?;
        let (column, what) = rest.split_once(": ")?;
        let shown = lines[2].split_once(" |").expect("the line is shown").1;
        let mark = lines[3].split_once(" |").expect("and marked").1;
        let number = |text: &str| text.parse().expect("a number");
        Some(Self { line: number(line), column: number(column), what, shown, mark })
    }

    fn check(&self, text: &str) {
        let line = text.split('\n').nth(self.line - 1).expect("a line that exists").trim_end_matches('\r');
        let length = line.chars().count();
        assert!((1..=length + 1).contains(&self.column), "column {} of {line:?}", self.column);
        let mark = self.mark.trim_start();
        assert!(!mark.is_empty() && mark.chars().all(|c| c == '^'), "{mark:?}");
        if length <= 100 {
            let seen: String = line.chars().map(seen).collect();
            assert_eq!(self.shown.strip_prefix(' ').unwrap_or(self.shown), seen.trim_end());
            assert_eq!(self.mark.chars().count() - mark.len(), self.column, "one space, and the place");
            assert!(self.column + mark.len() <= length.max(self.column) + 1);
        }
    }
}

/// What stands for a letter in a terminal.
fn seen(letter: char) -> char {
    match letter {
        '\t' => ' ',
        letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
        letter => letter,
    }
}
