//! Rules: what holds on the channels of some paths instead of the general limits.
//!
//! Owns the order of the rules, the most specific first, and the search for the one that a path comes under. Promises: no
//! path comes under two rules of which neither is more specific than the other. Leaves to others: what the limits mean.

pub(crate) mod path;
mod pattern;

use std::fmt;

pub use self::pattern::{BadPattern, Pattern};
use crate::{
    canary::{self, Canary},
    limits::Limits,
};

/// The name of a rule, good as long as the `Rules` are that it came from: the general limits, or one of theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(u16);

/// Rules at most; each request walks over them.
pub const MOST_RULES: usize = 256;

/// A pattern and what holds on the paths that it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of the paths.
    pub pattern: Pattern,
    /// All limits; those that are not of a channel are the general ones.
    pub limits: Limits,
}

/// All rules, the most specific first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// Two rules of which neither is more specific, by their places in the list that was given, and a path that comes under both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    /// The place of the earlier one.
    pub earlier: usize,
    /// The place of the later one.
    pub later: usize,
    /// A path that both are for.
    pub path: String,
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "both match {}", self.path)
    }
}

impl Rules {
    /// These rules, of which there are at most `MOST_RULES`, in their order.
    ///
    /// # Errors
    /// The first that is for a path which one before it is for too, while neither of the two is more specific than the other.
    pub fn new(rules: Vec<Rule>) -> Result<Self, Ambiguity> {
        debug_assert!(rules.len() <= MOST_RULES);
        for (later, rule) in rules.iter().enumerate() {
            let clash =
                |(earlier, other): (usize, &Rule)| Some((earlier, clash(&other.pattern, &rule.pattern)?));
            if let Some((earlier, path)) = rules[..later].iter().enumerate().find_map(clash) {
                return Err(Ambiguity { earlier, later, path });
            }
        }
        let mut rules = rules;
        rules.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        Ok(Self(rules))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, the most specific first.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }
}

/// A path for which it is not clear which of two patterns it comes under.
fn clash(one: &Pattern, other: &Pattern) -> Option<String> {
    if one.is_at_odds_with(other) { one.overlap(other) } else { None }
}

impl Limits {
    /// What a path comes under: the most specific rule that matches it, or the general limits if there are no rules.
    pub fn rule_for(&self, path: &str) -> Option<RuleId> {
        if self.rules.is_empty() {
            return Some(RuleId::default());
        }
        let mut rules = self.rules.0.iter();
        let is_for = |rule: &Rule| rule.pattern.matches(path);
        let nth = match canary::sings(Canary::OtherRule) {
            true => rules.rposition(is_for)?,
            false => rules.position(is_for)?,
        };
        Some(RuleId(nth as u16 + 1))
    }

    /// What holds under a rule.
    pub fn under(&self, RuleId(id): RuleId) -> &Self {
        let rule = usize::from(id).checked_sub(1).and_then(|nth| self.rules.0.get(nth));
        rule.map_or(self, |rule| &rule.limits)
    }

    /// The pattern of a rule; none of the general limits.
    pub fn pattern_of(&self, RuleId(id): RuleId) -> Option<&Pattern> {
        let nth = usize::from(id).checked_sub(1)?;
        self.rules.0.get(nth).map(|rule| &rule.pattern)
    }

    /// Whether this holds under any rule; if there are none: in general.
    pub fn anywhere(&self, what: impl Fn(&Self) -> bool) -> bool {
        if self.rules.is_empty() { what(self) } else { self.rules.iter().any(|rule| what(&rule.limits)) }
    }

    /// The greatest of this that holds under any rule; if there are none: in general.
    pub fn greatest(&self, what: impl Fn(&Self) -> usize) -> usize {
        let of_rules = self.rules.iter().map(|rule| what(&rule.limits)).max();
        of_rules.unwrap_or_else(|| what(self))
    }
}

#[cfg(test)]
mod tests;
