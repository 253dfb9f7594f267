//! The configuration, from the text of a file and the arguments to values that the rest of the program believes.
//!
//! Owns the keys, their defaults (those of the core are in `limits.rs`) and what may stand for each. Two types:
//! `RawConfig` is what was written, `Config` is checked, and there is no way from one to the other but the check.
//! Promises: no input panics; every mistake is told, not only the first, each with its place, what was expected and
//! what to do; a key that is left out has its default. Leaves to others: acting on it.

mod keys;
mod machine;
mod memory;
mod mistake;
mod nearest;
mod rules;
mod value;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Read},
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use log::LevelFilter;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{limits::Limits, logging::Format};
use keys::{KEYS, Key};
use mistake::Mistake;

pub use machine::Machine;
pub use memory::Examination;
pub use mistake::ConfigError;
pub use rules::Lowered;
pub use value::parse_address;

/// A configuration file is a few kilobytes; one of a hundred megabytes is a mistake and is not read to its end.
const MAX_FILE: u64 = 1 << 20;

/// The checked configuration. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. Never empty, and no address twice.
    pub listen: Vec<SocketAddr>,
    /// The limits of the core.
    pub limits: Limits,
    /// The kernel's send buffer of each connection: what stands there is out of our sight, so it is kept small.
    pub send_buffer: usize,
    /// The kernel's receive buffer of each connection.
    pub receive_buffer: usize,
    /// What is logged.
    pub log: LevelFilter,
    /// How a line of the log looks.
    pub log_format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9310))],
            limits: Limits::default(),
            send_buffer: 64 << 10,
            receive_buffer: 64 << 10,
            log: LevelFilter::Info,
            log_format: Format::Auto,
        }
    }
}

impl Config {
    /// Every key with its value, as a file that is read to the same again.
    pub fn to_toml(&self) -> String {
        let mut values = self.clone();
        let mut text = String::new();
        for key in KEYS {
            // A string takes everything.
            let _ = writeln!(text, "{} = {}", key.name, key.write(&mut values));
        }
        text
    }
}

/// The configuration as written: values of the right form, each in its range, that may not fit together; and what
/// was wrong with the others.
#[derive(Debug, Default)]
pub struct RawConfig {
    /// Its path, as it is told; empty without a file.
    file: PathBuf,
    text: String,
    /// What was written, and the defaults where nothing was, or nothing right.
    values: Config,
    /// Where each key's value stands in `text`. A key stands here exactly when the file has it.
    places: BTreeMap<&'static str, Range<usize>>,
    /// Where each address stands in `text`, in the order of `values.listen`; none where these are not of the file.
    address_places: Vec<Range<usize>>,
    /// Keys whose value was refused, so that nothing is concluded from the default in its place.
    refused: Vec<&'static str>,
    /// The addresses are those of the arguments.
    listens_elsewhere: bool,
    mistakes: Vec<Mistake>,
}

impl RawConfig {
    /// Reads a file. What is wrong with it is told by `check`.
    pub fn read(file: &Path) -> Self {
        match text_of(file) {
            Ok(text) => Self { file: file.to_owned(), ..Self::parse(text) },
            Err(message) => {
                let mistakes = vec![Mistake::of_file(message)];
                Self { file: file.to_owned(), mistakes, ..Self::default() }
            }
        }
    }

    /// Reads the text of a file that may not be UTF-8.
    pub(crate) fn parse(bytes: Vec<u8>) -> Self {
        let mut raw = Self::default();
        match String::from_utf8(bytes) {
            Ok(text) => raw.take_document(&text),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                raw.text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let end = raw.text[at..].chars().next().map_or(at, |bad| at + bad.len_utf8());
                raw.mistakes
                    .push(Mistake::at(at..end, "this is not UTF-8 text. Save the file as UTF-8".into()));
            }
        }
        raw
    }

    fn take_document(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        let (document, errors) = DeTable::parse_recoverable(text);
        let broken: Vec<_> = errors.iter().map(|error| self.take_error(error)).collect();
        // What the parser puts where a value is missing has no place: it would end before its key.
        let is_whole = |place: Range<usize>| {
            place.start < place.end
                && !broken.iter().any(|line| place.start < line.end && line.start < place.end)
        };
        for (name, value) in document.get_ref() {
            if is_whole(name.span().start..value.span().end) {
                self.take(name, value);
            }
        }
        if !broken.is_empty() {
            // A key may have been lost with its line: nothing is concluded from any value.
            self.refused = KEYS.iter().map(|key| key.name).collect();
        }
    }

    /// Notes what is not TOML, and answers with the line in which nothing can be believed.
    fn take_error(&mut self, error: &toml::de::Error) -> Range<usize> {
        let Some(place) = error.span() else {
            self.mistakes.push(Mistake::elsewhere(format!("this is not TOML: {}", error.message())));
            return 0..self.text.len();
        };
        let what = if lacks_value(&self.text, place.start) { "a value is missing" } else { error.message() };
        let line = self.text.get(..place.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let end = self
            .text
            .get(place.end..)
            .and_then(|after| after.find('\n'))
            .map_or(self.text.len(), |at| place.end + at);
        self.mistakes.push(Mistake::at(place, format!("this is not TOML: {}", what.trim_end())));
        line..end.max(line + 1)
    }

    fn take(&mut self, name: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let Some(key) = Key::named(name.get_ref().as_ref()) else {
            return self.mistakes.push(unknown(name, value));
        };
        let mistakes = key.read(value, &mut self.values);
        if !mistakes.is_empty() {
            self.refused.push(key.name);
        }
        self.mistakes.extend(mistakes);
        self.places.insert(key.name, value.span());
        if key.name == "listen" {
            let addresses = value.get_ref().as_array();
            self.address_places = addresses.into_iter().flatten().map(Spanned::span).collect();
        }
    }

    /// The same, listening elsewhere.
    #[must_use]
    pub fn listening_on(mut self, listen: Vec<SocketAddr>) -> Self {
        self.values.listen = listen;
        self.address_places.clear();
        self.places.remove("listen");
        self.refused.retain(|&key| key != "listen");
        self.listens_elsewhere = true;
        self
    }

    /// Checks what values are to each other and to the number of `descriptors` that the process may have, `None` for
    /// any number. A default that does not fit in is lowered.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn check(mut self, descriptors: Option<u64>) -> Result<(Config, Option<Lowered>), ConfigError> {
        rules::check(&mut self);
        let lowered = rules::fit(&mut self, descriptors);
        if self.mistakes.is_empty() {
            Ok((self.values, lowered))
        } else {
            Err(ConfigError::new(self.file, self.text, self.mistakes))
        }
    }
}

/// A key that is none, and which one was perhaps meant.
fn unknown(name: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) -> Mistake {
    let written = name.get_ref().as_ref();
    let hint = nearest::hint(written, KEYS.iter().map(|key| key.name));
    let message = match value.get_ref() {
        DeValue::Table(_) => {
            format!("unknown table {}: every key stands at the top, in no table", value::quote(written))
        }
        _ => format!("unknown key {}{hint}", value::quote(written)),
    };
    Mistake::at(name.span(), message)
}

/// Whether a line ends after `=`: the parser would speak of quotes there.
fn lacks_value(text: &str, at: usize) -> bool {
    let Some((before, after)) = text.split_at_checked(at) else { return false };
    before.trim_end_matches([' ', '\t']).ends_with('=')
        && after.trim_start_matches([' ', '\t', '\r']).starts_with(['\n', '#'])
}

/// The bytes of a file, or why there are none.
fn text_of(file: &Path) -> Result<Vec<u8>, String> {
    let bytes = bytes_of(file).map_err(|error| {
        format!("cannot be read: {error}. Check the path given to --config and who may read it")
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(
            "longer than 1 MiB, so this is no configuration. Check the path given to --config".to_owned()
        );
    }
    Ok(bytes)
}

fn bytes_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
