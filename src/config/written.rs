//! What was written in one table: which keys, where, and which of them were refused.
//!
//! Knows nothing of what the values mean; what they must be to each other is left to `rules.rs`.

use std::{collections::BTreeMap, ops::Range};

use toml::{Spanned, de::DeValue};

use super::{
    Config,
    keys::{KEYS, Key},
    mistake::Mistake,
};

/// The keys of one table, the top of the file included.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Where each key's value stands. A key stands here exactly when the table has it.
    places: BTreeMap<&'static str, Range<usize>>,
    /// Keys whose value was refused, so that nothing is concluded from what stands in its place.
    refused: Vec<&'static str>,
}

impl Written {
    /// Notes a key, and puts its value where it belongs or says what is wrong with it.
    pub(super) fn take(
        &mut self,
        key: &Key,
        value: &Spanned<DeValue<'_>>,
        values: &mut Config,
    ) -> Vec<Mistake> {
        let mistakes = key.read(value, values);
        if !mistakes.is_empty() {
            self.refused.push(key.name);
        }
        self.places.insert(key.name, value.span());
        mistakes
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    pub(super) fn refuses(&self, key: &str) -> bool {
        self.refused.contains(&key)
    }

    /// Where the first of these stands that is here.
    pub(super) fn place(&self, keys: &[&str]) -> Option<Range<usize>> {
        keys.iter().find_map(|key| self.places.get(key)).cloned()
    }

    /// From now on nothing is concluded from any key.
    pub(super) fn refuse_all(&mut self) {
        self.refused = KEYS.iter().map(|key| key.name).collect();
    }

    /// As if the table did not have it.
    pub(super) fn forget(&mut self, key: &str) {
        self.places.remove(key);
        self.refused.retain(|&refused| refused != key);
    }
}
