//! The configuration, from the text of a file and the arguments to values that the rest of the program believes.
//!
//! Owns the keys, their defaults (those of the core are in `limits.rs`) and what may stand for each. Two types:
//! `RawConfig` is what was written, `Config` is checked, and there is no way from one to the other but the check.
//! Promises: no input panics; every mistake is told, not only the first, each with its place, what was expected and
//! what to do; a key that is left out has its default. Leaves to others: acting on it.

mod change;
mod channel;
mod heartbeat;
mod keys;
mod list;
mod listen;
mod machine;
mod memory;
mod mistake;
mod nearest;
mod relations;
mod rules;
mod secret;
mod source;
mod text;
mod value;
mod written;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use log::LevelFilter;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    address::{Proxies, RealIpHeader, Trusted},
    limits::Limits,
    logging::Format,
    rules::Pattern,
    token::Gate,
};
use channel::RawRule;
use keys::{KEYS, Key};
use mistake::Mistake;
use source::{MAX_FILE, bytes_of};
use written::Written;

pub use listen::{Listen, NoPlace, Place, parse_listen};
pub use machine::Machine;
pub use memory::Examination;
pub use mistake::ConfigError;
pub use rules::Lowered;
pub use secret::Exposed;
pub use source::ConfigSource;
pub(crate) use value::{size, span};

/// The checked configuration. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen for peers. Never empty, and no place twice, those of `admin` included.
    pub listen: Vec<Listen>,
    /// Where to listen for operators; nowhere if empty.
    pub admin: Vec<Listen>,
    /// Who is believed when it says for whom it asks.
    pub trusted_proxies: Trusted,
    /// Where it says so.
    pub real_ip_header: RealIpHeader,
    /// The limits of the core, and the rules.
    pub limits: Limits,
    /// The files of the keys that tokens are signed with.
    pub token_keys: Vec<Box<str>>,
    /// What tokens are held against. Its keys are those of the files once these were read.
    pub gate: Gate,
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
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9310)).into()],
            admin: vec![SocketAddr::from(([127, 0, 0, 1], 9311)).into()],
            trusted_proxies: Trusted::default(),
            real_ip_header: RealIpHeader::default(),
            limits: Limits::default(),
            token_keys: Vec::new(),
            gate: Gate { leeway: Duration::from_secs(30), ..Gate::default() },
            send_buffer: 64 << 10,
            receive_buffer: 64 << 10,
            log: LevelFilter::Info,
            log_format: Format::Auto,
        }
    }
}

impl Config {
    /// What is believed from whom.
    pub fn proxies(&self) -> Proxies {
        Proxies { trusted: self.trusted_proxies.clone(), header: self.real_ip_header }
    }

    /// Every key with its value, and every rule with what it says of its own, as a file that is read to the same again.
    pub fn to_toml(&self) -> String {
        let mut values = self.clone();
        let mut text = String::new();
        for key in KEYS {
            // A string takes everything.
            let _ = writeln!(text, "{} = {}", key.name, key.write(&mut values));
        }
        text + &channel::write_all(self)
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
    /// What stands at the top of the file.
    written: Written,
    /// The tables `[[channel]]`, in their order.
    rules: Vec<RawRule>,
    /// Where each entry of a list stands in `text`, in their order; none where the list is not of the file.
    entry_places: BTreeMap<&'static str, Vec<Range<usize>>>,
    /// Keys whose value is that of the arguments.
    elsewhere: Vec<&'static str>,
    mistakes: Vec<Mistake>,
    /// Files of secrets that everybody may read.
    exposed: Vec<Exposed>,
    /// A file could not be read for a reason that may pass.
    may_pass: bool,
}

impl RawConfig {
    /// Reads a file. What is wrong with it is told by `check`.
    pub fn read(file: &Path) -> Self {
        Self::of_bytes(file, bytes_of(file))
    }

    /// What was read from a file, or why it could not be.
    fn of_bytes(file: &Path, bytes: io::Result<Vec<u8>>) -> Self {
        let may_pass = bytes.as_ref().is_err_and(may_pass);
        match text_of(bytes) {
            Ok(text) => Self { file: file.to_owned(), ..Self::parse(text) },
            Err(message) => {
                let mistakes = vec![Mistake::of_file(message)];
                Self { file: file.to_owned(), mistakes, may_pass, ..Self::default() }
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
        let (rules, keys): (Vec<_>, Vec<_>) =
            document.get_ref().iter().partition(|(name, _)| name.get_ref() == channel::KEY);
        for (name, value) in keys {
            if is_whole(name.span().start..value.span().end) {
                self.take(name, value);
            }
        }
        for (name, tables) in rules {
            let (rules, mistakes) = channel::read(name.span(), tables, &self.values, &is_whole);
            self.rules = rules;
            self.mistakes.extend(mistakes);
        }
        if !broken.is_empty() {
            self.believe_nothing();
        }
    }

    /// A key may have been lost with its line: nothing is concluded from any value.
    fn believe_nothing(&mut self) {
        let written =
            [&mut self.written].into_iter().chain(self.rules.iter_mut().map(|rule| &mut rule.written));
        written.for_each(Written::refuse_all);
        // A header may have been lost too, and then keys stand in another table than was meant.
        self.rules.iter_mut().for_each(|rule| rule.pattern = None);
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
        self.mistakes.extend(self.written.take(key, value, &mut self.values));
        if let Some(list) = value.get_ref().as_array() {
            self.entry_places.insert(key.name, list.iter().map(Spanned::span).collect());
        }
    }

    /// The same, listening elsewhere: where the file does not say where operators are heard, nowhere.
    #[must_use]
    pub fn listening_on(mut self, listen: Vec<Listen>) -> Self {
        self.values.listen = listen;
        self.take_elsewhere("listen");
        if !self.written.has("admin") {
            self.values.admin.clear();
        }
        self
    }

    /// The same, listening for operators elsewhere.
    #[must_use]
    pub fn administered_on(mut self, admin: Vec<Listen>) -> Self {
        self.values.admin = admin;
        self.take_elsewhere("admin");
        self
    }

    fn take_elsewhere(&mut self, key: &'static str) {
        self.entry_places.remove(key);
        self.written.forget(key);
        self.elsewhere.push(key);
    }

    /// The line in which each rule begins.
    pub(crate) fn lines_of_rules(self) -> Vec<(Pattern, usize)> {
        let Self { rules, text, .. } = self;
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        rules.into_iter().filter_map(|rule| Some((rule.pattern?, line(rule.place.start)))).collect()
    }

    /// Checks what values are to each other and to the number of `descriptors` that the process may have, `None` for
    /// any number. A default that does not fit in is lowered.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn check(mut self, descriptors: Option<u64>) -> Result<(Config, Vec<Warning>), ConfigError> {
        let lowered = rules::fit(&mut self, descriptors);
        rules::check(&mut self);
        channel::put_in_order(&mut self);
        if self.mistakes.is_empty() {
            let lowered = lowered.map(Warning::Lowered);
            Ok((
                self.values,
                lowered.into_iter().chain(self.exposed.into_iter().map(Warning::Exposed)).collect(),
            ))
        } else {
            Err(ConfigError::new(self.file, self.text, self.mistakes).passing(self.may_pass))
        }
    }
}

/// What an operator should know of a configuration that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// There are fewer descriptors than connections by default.
    Lowered(Lowered),
    /// A secret is none.
    Exposed(Exposed),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lowered(lowered) => lowered.fmt(f),
            Self::Exposed(exposed) => exposed.fmt(f),
        }
    }
}

/// A key that is none, and which one was perhaps meant.
fn unknown(name: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) -> Mistake {
    let written = name.get_ref().as_ref();
    let hint = nearest::hint(written, KEYS.iter().map(|key| key.name).chain([channel::KEY]));
    let quoted = value::quote(written);
    let message = match value.get_ref() {
        DeValue::Table(_) => {
            format!(
                "unknown table {quoted}: every key stands at the top, in no table, or in a [[channel]]{hint}"
            )
        }
        _ => format!("unknown key {quoted}{hint}"),
    };
    Mistake::at(name.span(), message)
}

/// Whether a line ends after `=`: the parser would speak of quotes there.
fn lacks_value(text: &str, at: usize) -> bool {
    let Some((before, after)) = text.split_at_checked(at) else { return false };
    before.trim_end_matches([' ', '\t']).ends_with('=')
        && after.trim_start_matches([' ', '\t', '\r']).starts_with(['\n', '#'])
}

/// Whether another try may find what this one did not: the machine lacks something, or a disk fails.
fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let lasting = [
        Kind::NotFound,
        Kind::PermissionDenied,
        Kind::NotADirectory,
        Kind::IsADirectory,
        Kind::InvalidInput,
        Kind::InvalidFilename,
    ];
    !lasting.contains(&error.kind())
}

/// The bytes of a file, or why there are none.
fn text_of(bytes: io::Result<Vec<u8>>) -> Result<Vec<u8>, String> {
    let bytes = bytes.map_err(|error| {
        format!("cannot be read: {error}. Check the path given to --config and who may read it")
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(
            "longer than 128 KiB, so this is no configuration. Check the path given to --config".to_owned()
        );
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
