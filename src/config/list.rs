//! Keys whose value is a list: listeners, networks, origins, texts.
//!
//! Owns how a list is read, so that every entry that is wrong is told in its place, and how it is written. What an entry
//! may be is left to who owns the entry.

use toml::{Spanned, de::DeValue};

use super::{
    keys::mistake,
    listen::{self, Listen},
    mistake::Mistake,
    nearest,
    text::Text,
    value::{self, Expected},
};
use crate::{
    address::Trusted,
    origin::{BadOrigin, Origins},
};

type Value<'v> = Spanned<DeValue<'v>>;

/// Origins at most: each request of a browser walks over them.
const MOST_ORIGINS: usize = 256;

/// Takes each entry of a list, or says that there is none, such as `example`; what is said of entries is told.
fn each(
    key: &str,
    value: &Value<'_>,
    example: &str,
    mut take: impl FnMut(&Value<'_>) -> Vec<Mistake>,
) -> Vec<Mistake> {
    match value.get_ref().as_array() {
        Some(list) => list.iter().flat_map(&mut take).collect(),
        None => vec![mistake(key, value, format!("a list of {example}").into())],
    }
}

pub(super) fn read_listeners(place: &mut Vec<Listen>, key: &str, value: &Value<'_>) -> Vec<Mistake> {
    let mut entries = Vec::new();
    let mistakes = each(key, value, "addresses, such as [\"127.0.0.1:9310\"]", |one| {
        listen::read(key, one).map(|entry| entries.push(entry)).err().unwrap_or_default()
    });
    put(place, value, entries);
    mistakes
}

pub(super) fn read_trusted(place: &mut Trusted, key: &str, value: &Value<'_>) -> Vec<Mistake> {
    let mut trusted = Trusted::nobody();
    let mistakes = each(key, value, "networks, such as [\"127.0.0.0/8\", \"::1\", \"unix:\"]", |one| {
        let read = trusted.add(one.get_ref().as_str().unwrap_or_default());
        told(key, one, read.map_err(Into::into))
    });
    put(place, value, trusted);
    mistakes
}

pub(super) fn read_origins(place: &mut Origins, key: &str, value: &Value<'_>) -> Vec<Mistake> {
    let mut origins = Origins { any: false, same_host: false, null: false, listed: Vec::new() };
    let mistakes = each(key, value, "origins, such as [\"same-host\", \"https://example.org\"]", |one| {
        told(key, one, take_origin(&mut origins, one.get_ref().as_str().unwrap_or_default()))
    });
    put(place, value, origins);
    mistakes
}

/// Puts an entry where it belongs.
fn take_origin(origins: &mut Origins, text: &str) -> Result<(), Expected> {
    let flag = match text {
        "any" => &mut origins.any,
        "same-host" => &mut origins.same_host,
        "null" => &mut origins.null,
        _ => {
            let origin = text.parse().map_err(|bad| no_origin(text, &bad))?;
            if origins.listed.contains(&origin) {
                return Err(once());
            }
            origins.listed.push(origin);
            return at_most(MOST_ORIGINS, origins.listed.len());
        }
    };
    if std::mem::replace(flag, true) { Err(once()) } else { Ok(()) }
}

fn no_origin(text: &str, BadOrigin(why): &BadOrigin) -> Expected {
    if text.contains("://") {
        return why.to_string().into();
    }
    let hint = nearest::hint(text, ["any", "same-host", "null"].into_iter());
    Expected { what: format!("{why}, or \"same-host\", \"any\" or \"null\""), hint }
}

pub(super) fn write_origins(origins: &Origins) -> String {
    let flags = [("any", origins.any), ("same-host", origins.same_host), ("null", origins.null)].into_iter();
    let flags = flags.filter(|(_, is_in)| *is_in).map(|(word, _)| word.to_owned());
    value::write_list(&flags.chain(origins.listed.iter().map(ToString::to_string)).collect::<Vec<_>>())
}

pub(super) fn read_texts(
    place: &mut Vec<Box<str>>,
    key: &str,
    value: &Value<'_>,
    kind: &Text,
) -> Vec<Mistake> {
    let mut texts: Vec<Box<str>> = Vec::new();
    let mistakes = each(key, value, kind.list, |one| told(key, one, take_text(&mut texts, one, kind)));
    put(place, value, texts);
    mistakes
}

fn take_text(texts: &mut Vec<Box<str>>, one: &Value<'_>, kind: &Text) -> Result<(), Expected> {
    let text = kind.read(one.get_ref())?;
    if texts.contains(&text) {
        return Err(once());
    }
    texts.push(text);
    at_most(kind.most_entries, texts.len())
}

pub(super) fn write_texts(texts: &[Box<str>]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| value::write_text(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn once() -> Expected {
    "each entry once".to_owned().into()
}

/// Told once, at the first that is too many.
fn at_most(most: usize, entries: usize) -> Result<(), Expected> {
    if entries == most + 1 { Err(format!("at most {most} entries").into()) } else { Ok(()) }
}

fn told(key: &str, one: &Value<'_>, read: Result<(), Expected>) -> Vec<Mistake> {
    read.err().map(|expected| mistake(key, one, expected)).into_iter().collect()
}

/// What is no list leaves the place as it was.
fn put<T>(place: &mut T, value: &Value<'_>, read: T) {
    if value.get_ref().as_array().is_some() {
        *place = read;
    }
}
