//! The word that a misspelt one was meant to be.
//!
//! Owns the measure, an edit distance, and how far off a word may be. Knows nothing about keys.

/// Longer than any word of the configuration, so that a megabyte of a key is not compared at all.
const MAX_WORD: usize = 40;

/// "; did you mean "this"?", or nothing when no candidate is near.
pub(super) fn hint<'w>(written: &str, candidates: impl Iterator<Item = &'w str>) -> String {
    nearest(written, candidates).map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default()
}

/// The candidate that fewest edits lead to, where these are few for the length of the word.
fn nearest<'w>(written: &str, candidates: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let written: Vec<char> = written.chars().take(MAX_WORD).flat_map(char::to_lowercase).collect();
    let near = (written.len() / 3).clamp(1, 4);
    let alike = candidates.filter(|word| word.len().abs_diff(written.len()) <= near);
    let measured = alike.map(|word| (distance(&written, word), word));
    let (edits, word) = measured.min_by_key(|&(edits, _)| edits)?;
    (edits <= near && written.len() > 1).then_some(word)
}

/// Insertions, deletions, replacements and swaps of neighbours.
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for (i, &a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in to.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(a != b);
            let mut least = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == to[j - 1] && from[i - 1] == b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_leads_to_the_word_and_another_word_to_nothing() {
        let words = ["listen", "log", "log_format", "echo", "max_connections", "ping_interval"];
        let table = [
            ("max_conections", Some("max_connections")),
            ("maxConnections", Some("max_connections")),
            ("max-connections", Some("max_connections")),
            ("PING_INTERVALL", Some("ping_interval")),
            ("ehco", Some("echo")),
            ("lgo", Some("log")),
            ("logformat", Some("log_format")),
            ("listener", Some("listen")),
            ("port", None),
            ("tls_certificate", None),
            ("", None),
            ("x", None),
            ("eee", None),
        ];
        assert!(!table.is_empty());
        for (written, word) in table {
            assert_eq!(nearest(written, words.into_iter()), word, "{written:?}");
        }
    }

    #[test]
    fn distances_are_counted_in_edits() {
        let table = [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("ab", "ba", 1),
            ("abc", "axc", 1),
            ("kitten", "sitting", 3),
        ];
        assert!(!table.is_empty());
        for (from, to, edits) in table {
            assert_eq!(distance(&from.chars().collect::<Vec<_>>(), to), edits, "{from} {to}");
        }
    }
}
