//! `[[channel]]`: what holds on the paths that a pattern matches, instead of the general settings.
//!
//! Owns the tables' reading and their writing. Each begins as a copy of what is written at the top and is read by the same
//! table of keys. What values must be to each other is left to `rules.rs` here, which rule a path comes under to
//! `crate::rules`.

use std::{fmt::Write as _, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Config, RawConfig,
    keys::{KEYS, Key},
    mistake::Mistake,
    nearest, value,
    written::Written,
};
use crate::rules::{Ambiguity, BadPattern, MOST_RULES, Pattern, Rule, Rules};

/// The name of the tables.
pub(super) const KEY: &str = "channel";

/// The key of its pattern.
const PATH: &str = "path";

/// Pairs of rules that are told at once; each is looked for among all rules.
const MOST_AMBIGUITIES: usize = 10;

/// One table as written.
#[derive(Debug)]
pub(super) struct RawRule {
    /// None where it was refused, or nothing is to be concluded.
    pub pattern: Option<Pattern>,
    /// What is written at the top, and over it what is written here.
    pub values: Config,
    /// What is written here.
    pub written: Written,
    /// Where its path stands, or else its header.
    pub place: Range<usize>,
}

/// Reads all tables, and tells all that is wrong in them. `is_whole`: whether what stands in a place can be believed.
pub(super) fn read(
    name: Range<usize>,
    tables: &Spanned<DeValue<'_>>,
    general: &Config,
    is_whole: &dyn Fn(Range<usize>) -> bool,
) -> (Vec<RawRule>, Vec<Mistake>) {
    let Some(list) = tables.get_ref().as_array() else {
        let whole = is_whole(name.clone());
        let mistake = || Mistake::at(name, format!("{KEY}: {}", no_tables(tables.get_ref())));
        return (Vec::new(), whole.then(mistake).into_iter().collect());
    };
    let (mut rules, mut mistakes) = (Vec::new(), Vec::new());
    for one in list.iter().take(MOST_RULES) {
        match one.get_ref() {
            DeValue::Table(table) => {
                rules.push(read_one(one.span(), table, general, is_whole, &mut mistakes))
            }
            other if is_whole(one.span()) => {
                mistakes.push(Mistake::at(one.span(), format!("{KEY}: {}", no_tables(other))));
            }
            _ => {}
        }
    }
    if let Some(surplus) = list.get(MOST_RULES) {
        let message = format!("{KEY}: expected at most {MOST_RULES} [[channel]], not {}", list.len());
        mistakes.push(Mistake::at(surplus.span(), message));
    }
    (rules, mistakes)
}

fn no_tables(found: &DeValue<'_>) -> String {
    let written = match found {
        DeValue::Table(_) => "a single [channel]: write its brackets twice".to_owned(),
        other => value::describe(other),
    };
    format!("expected a table [[channel]] for each pattern of paths, not {written}")
}

fn read_one(
    place: Range<usize>,
    table: &DeTable<'_>,
    general: &Config,
    is_whole: &dyn Fn(Range<usize>) -> bool,
    mistakes: &mut Vec<Mistake>,
) -> RawRule {
    let mut rule = RawRule { pattern: None, values: general.clone(), written: Written::default(), place };
    let mut has_path = false;
    for (name, value) in table {
        let written = name.get_ref().as_ref();
        if !is_whole(name.span().start..value.span().end) {
            continue;
        }
        has_path |= written == PATH;
        match Key::named(written) {
            _ if written == PATH => mistakes.extend(rule.take_path(value)),
            Some(key) if key.is_of_channel => {
                mistakes.extend(rule.written.take(key, value, &mut rule.values));
            }
            Some(key) => mistakes.push(Mistake::at(name.span(), elsewhere(key))),
            None => mistakes.push(unknown(name)),
        }
    }
    // Of a file with a broken line the path may have been in that.
    if !has_path && is_whole(0..usize::MAX) {
        let message = "channel: expected a `path` in the table, such as path = \"/feed/*\"".to_owned();
        mistakes.push(Mistake::at(rule.place.clone(), message));
    }
    rule
}

/// Everything after a header belongs to its table, to the end of the file.
fn elsewhere(key: &Key) -> String {
    format!(
        "{}: stands below [[channel]] and so is taken for one of its keys, but holds for the whole relay. Move it up, \
         above the first [[channel]]",
        key.name
    )
}

fn unknown(name: &Spanned<impl AsRef<str>>) -> Mistake {
    let written = name.get_ref().as_ref();
    let hint = nearest::hint(written, KEYS.iter().map(|key| key.name).chain([PATH]));
    Mistake::at(name.span(), format!("unknown key {} in [[channel]]{hint}", value::quote(written)))
}

impl RawRule {
    fn take_path(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Mistake> {
        self.place = value.span();
        let found = value::describe(value.get_ref());
        let Some(text) = value.get_ref().as_str() else {
            let message = format!("{PATH}: expected a pattern of paths, such as \"/feed/*\", not {found}");
            return Some(Mistake::at(value.span(), message));
        };
        match text.parse() {
            Ok(pattern) => {
                self.pattern = Some(pattern);
                None
            }
            Err(BadPattern(why)) => {
                Some(Mistake::at(value.span(), format!("{PATH}: expected {why}, not {found}")))
            }
        }
    }
}

/// Makes the rules of the tables, the most specific first, or says which are not.
pub(super) fn put_in_order(raw: &mut RawConfig) {
    let connections = raw.values.limits.max_connections;
    let mut places = Vec::new();
    let mut rules = Vec::new();
    for RawRule { pattern, mut values, place, .. } in std::mem::take(&mut raw.rules) {
        // It may have been lowered since.
        values.limits.max_connections = connections;
        if let Some(pattern) = pattern {
            rules.push(Rule { pattern, limits: values.limits });
            places.push(place);
        }
    }
    for _ in 0..MOST_AMBIGUITIES {
        match Rules::new(rules.clone()) {
            Ok(rules) => return raw.values.limits.rules = rules,
            Err(ambiguity) => {
                let message = ambiguous(&rules, &ambiguity);
                rules.remove(ambiguity.later);
                raw.mistakes.push(Mistake::at(places.remove(ambiguity.later), message));
            }
        }
    }
}

fn ambiguous(rules: &[Rule], Ambiguity { earlier, later, path }: &Ambiguity) -> String {
    let (earlier, later) = (&rules[*earlier].pattern, &rules[*later].pattern);
    if earlier == later {
        return format!(
            "{PATH}: expected each pattern once, not \"{later}\" again. Put both tables together"
        );
    }
    format!(
        "{PATH}: \"{later}\" and \"{earlier}\" above both match {path}, and neither is more specific. Take one of them \
         out, or make it so specific that no path comes under both"
    )
}

/// The rules as tables, each with the keys in which it is not as in general.
pub(super) fn write_all(config: &Config) -> String {
    let mut general = without_rules(config);
    let mut text = String::new();
    for rule in config.limits.rules.iter() {
        let mut own = under(&general, rule);
        // A string takes everything.
        let _ = writeln!(text, "\n[[{KEY}]]\n{PATH} = {}", value::write_text(&rule.pattern.to_string()));
        for (name, value) in own_settings(&mut general, &mut own) {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
    text
}

/// What is otherwise under a rule than in general: keys and values.
pub(super) fn own_settings(general: &mut Config, own: &mut Config) -> Vec<(&'static str, String)> {
    let written = KEYS.iter().filter(|key| key.is_of_channel).map(|key| (key, key.write(own)));
    written.filter_map(|(key, value)| (value != key.write(general)).then_some((key.name, value))).collect()
}

/// What holds in general.
pub(super) fn without_rules(config: &Config) -> Config {
    let mut general = config.clone();
    general.limits.rules = Rules::default();
    general
}

/// What holds under a rule.
pub(super) fn under(general: &Config, rule: &Rule) -> Config {
    Config { limits: rule.limits.clone(), ..general.clone() }
}
