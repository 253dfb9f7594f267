//! What is another in one configuration than in the one before it.
//!
//! Promises: two configurations that are not the same have a change that is told, or one that needs a restart. Of keys for
//! tokens names and algorithms are told, never what is in them.

use std::collections::BTreeMap;

use super::{
    Config, channel,
    keys::{Applies, KEYS, Key},
};

impl Config {
    /// What is another than in `before`: "key = old -> new" for each.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let (mut after, mut old) = (channel::without_rules(self), channel::without_rules(before));
        let mut said: Vec<_> = KEYS.iter().filter_map(|key| changed(key, &mut old, &mut after)).collect();
        if self.gate.keys != before.gate.keys {
            let names: Vec<_> = self.gate.keys.names().collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            said.push(format!("keys that tokens are held against: {names}"));
        }
        said.extend(self.rules_since(before, &mut old, &mut after));
        said
    }

    /// The same, but what only a restart changes as it is in `running`; and the keys in which that is another.
    #[must_use]
    pub fn fixed_to(mut self, running: &Self) -> (Self, Vec<&'static str>) {
        let mut running = running.clone();
        let fixed = KEYS.iter().filter(|key| key.applies == Applies::AtRestart);
        let changed: Vec<_> = fixed.filter(|key| key.write(&mut self) != key.write(&mut running)).collect();
        changed.iter().for_each(|key| key.copy(&mut running, &mut self));
        (self, changed.iter().map(|key| key.name).collect())
    }

    /// Rules that came, that are another, that went. `old` and `new`: what held in general, and what holds.
    fn rules_since(&self, before: &Self, old: &mut Self, new: &mut Self) -> Vec<String> {
        let mut gone: BTreeMap<_, _> = before.limits.rules.iter().map(|rule| (&rule.pattern, rule)).collect();
        let mut said = Vec::new();
        for rule in self.limits.rules.iter() {
            let mut after = channel::under(new, rule);
            let told = match gone.remove(&rule.pattern) {
                Some(rule) => {
                    let mut before = channel::under(old, rule);
                    own_changes([old, new], &mut before, &mut after)
                }
                None => vec![format!("new{}", own_settings(new, &mut after))],
            };
            said.extend(told.into_iter().map(|told| format!("[[channel]] {}: {told}", rule.pattern)));
        }
        said.extend(gone.keys().map(|pattern| format!("[[channel]] {pattern}: taken out")));
        said
    }
}

fn changed(key: &Key, old: &mut Config, new: &mut Config) -> Option<String> {
    let (old, new) = (key.write(old), key.write(new));
    (old != new).then(|| format!("{} = {old} -> {new}", key.name))
}

/// What is another under a rule, and not only because it is another in general.
fn own_changes(general: [&mut Config; 2], old: &mut Config, new: &mut Config) -> Vec<String> {
    let [general_old, general_new] = general;
    let mut is_own = |key: &Key, old: &mut Config, new: &mut Config| {
        key.write(old) != key.write(general_old) || key.write(new) != key.write(general_new)
    };
    let keys = KEYS.iter().filter(|key| key.is_of_channel);
    let keys: Vec<_> = keys.filter(|key| is_own(key, old, new)).collect();
    keys.into_iter().filter_map(|key| changed(key, old, new)).collect()
}

/// What a rule has otherwise than in general, in brackets.
fn own_settings(general: &mut Config, own: &mut Config) -> String {
    let told = channel::own_settings(general, own);
    let told: Vec<_> = told.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}
