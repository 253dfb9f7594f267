//! The one key whose value is a table: what the application heartbeat is asked with, and answered.
//!
//! Owns its form, `{ request = "ping", reply = "pong" }` or `false`, and its bounds. Every mistake in the table is told.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{mistake::Mistake, nearest, value};
use crate::limits::Heartbeat;

const EXPECTED: &str =
    "false, or what is asked and what is answered, { request = \"ping\", reply = \"pong\" }";

const OPTIONS: [&str; 2] = ["request", "reply"];

/// Puts what was read in its place, or says what is wrong with it; then the place keeps what it had.
pub(super) fn read_into(
    place: &mut Option<Heartbeat>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Vec<Mistake> {
    match read(key, value) {
        Ok(heartbeat) => {
            *place = heartbeat;
            Vec::new()
        }
        Err(mistakes) => mistakes,
    }
}

fn read(key: &str, value: &Spanned<DeValue<'_>>) -> Result<Option<Heartbeat>, Vec<Mistake>> {
    match value.get_ref() {
        DeValue::Boolean(false) => Ok(None),
        DeValue::Table(table) => read_table(key, value, table).map(Some),
        _ => Err(vec![wrong(key, value, EXPECTED)]),
    }
}

fn wrong(key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Mistake {
    let found = value::describe(value.get_ref());
    Mistake::at(value.span(), format!("{key}: expected {expected}, not {found}"))
}

fn read_table(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
) -> Result<Heartbeat, Vec<Mistake>> {
    let mut mistakes = unknown(key, table);
    let mut read =
        |option| read_text(key, value, table, option).map_err(|mistake| mistakes.push(mistake)).ok();
    let (request, reply) = (read(OPTIONS[0]), read(OPTIONS[1]));
    if request.is_some() && request == reply {
        let message = format!(
            "{key}: expected a reply other than the request: whoever sends back what it hears would go on for ever"
        );
        mistakes.push(Mistake::at(value.span(), message));
    }
    match (request, reply) {
        (Some(request), Some(reply)) if mistakes.is_empty() => Ok(Heartbeat { request, reply }),
        _ => Err(mistakes),
    }
}

fn unknown(key: &str, table: &DeTable<'_>) -> Vec<Mistake> {
    let others = table.iter().filter(|(name, _)| !OPTIONS.contains(&name.get_ref().as_ref()));
    let told = others.map(|(name, _)| {
        let option = name.get_ref().as_ref();
        let hint = nearest::hint(option, OPTIONS.into_iter());
        Mistake::at(name.span(), format!("{key}: unknown option {}{hint}", value::quote(option)))
    });
    told.collect()
}

fn read_text(
    key: &str,
    whole: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
    option: &str,
) -> Result<Box<str>, Mistake> {
    let Some(value) = table.get(option) else {
        let message = format!(
            "{key}: expected a `{option}` in the table, such as {{ request = \"ping\", reply = \"pong\" }}"
        );
        return Err(Mistake::at(whole.span(), message));
    };
    let text = value.get_ref().as_str().filter(|text| (1..=Heartbeat::MOST).contains(&text.len()));
    let expected = || wrong(key, value, &format!("a {option} of 1 to {} bytes", Heartbeat::MOST));
    text.map(Into::into).ok_or_else(expected)
}

/// As it would stand in the file.
pub(super) fn write(heartbeat: Option<&Heartbeat>) -> String {
    match heartbeat {
        Some(Heartbeat { request, reply }) => {
            format!("{{ request = {}, reply = {} }}", value::write_text(request), value::write_text(reply))
        }
        None => "false".to_owned(),
    }
}
