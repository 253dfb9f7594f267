//! How a line of the log looks, in each of its forms.
//!
//! Owns the choice of the form and the making of lines. Promises: one record is one line, whatever text and pairs
//! come from outside; each value of a pair takes at most 200 bytes, each text 4 KiB. Leaves to others: the clock, and
//! where lines go. Text can look like pairs, so what comes from outside belongs into pairs.

use std::{
    env,
    ffi::OsStr,
    fmt::{Display, Write},
    io::{self, IsTerminal},
    os::fd::AsFd,
    time::SystemTime,
};

use log::{
    Level,
    kv::{Error, Key, Source, Value, VisitSource, VisitValue},
};

use super::escape::{Escape, append, append_word};

/// Bytes of the line that a key or value may take, escapes counted. A path or a user agent is shorter; an attack is
/// not.
const VALUE_BYTES: usize = 200;

/// Bytes of the line that a text may take: all counters fit, and a kilobyte of lines a full queue holds is bounded.
const TEXT_BYTES: usize = 4096;

/// Keys that each JSON line has of its own. A pair of that name gets an underscore behind it.
const OWN_KEYS: [&str; 3] = ["time", "level", "message"];

/// How a line of the log looks, as the configuration says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For the journal when `JOURNAL_STREAM` names what standard error is (systemd.exec(5)), else for people.
    #[default]
    Auto,
    /// Time, level, text, pairs; the level in colours on a terminal.
    Human,
    /// The level as the journal's prefix (`<6>`, sd-daemon(3)), and no time: the journal has its own.
    Journal,
    /// One JSON object a line, with `time`, `level`, `message` and the pairs as its fields.
    Json,
}

/// How lines look here: `Format` with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Time, level, text, pairs.
    Human {
        /// The level is coloured.
        colours: bool,
    },
    /// Priority, text, pairs.
    Journal,
    /// One object.
    Json,
}

impl Form {
    /// What `format` means with this environment and this standard error.
    pub fn here(format: Format) -> Self {
        let journal = env::var_os("JOURNAL_STREAM").is_some_and(|name| is_stream(io::stderr(), &name));
        let variables = [env::var_os("NO_COLOR"), env::var_os("TERM")];
        let [no_color, term] = variables.each_ref().map(|variable| variable.as_deref());
        Self::choose(format, journal, io::stderr().is_terminal() && colours_wanted(no_color, term))
    }

    fn choose(format: Format, journal: bool, colours: bool) -> Self {
        match format {
            Format::Auto if journal => Self::Journal,
            Format::Auto | Format::Human => Self::Human { colours },
            Format::Journal => Self::Journal,
            Format::Json => Self::Json,
        }
    }

    /// One record as one line, the newline included.
    #[must_use]
    pub fn line(
        self,
        now: SystemTime,
        level: Level,
        text: &(impl Display + ?Sized),
        pairs: &dyn Source,
    ) -> String {
        let mut line = String::with_capacity(160);
        self.begin(&mut line, now, level);
        match self {
            Self::Json => append(&mut line, text, Escape::Json, TEXT_BYTES),
            Self::Human { .. } | Self::Journal => append(&mut line, text, Escape::Prose, TEXT_BYTES),
        }
        self.end(&mut line, pairs);
        line
    }

    /// What stands before the text.
    fn begin(self, line: &mut String, now: SystemTime, level: Level) {
        // `humantime` panics before 1970 and fails after 9999, where the time is left empty.
        let time = humantime::format_rfc3339_millis(now.max(SystemTime::UNIX_EPOCH));
        let _ = match self {
            Self::Human { colours: false } => write!(line, "{time} {level:<5} "),
            Self::Human { colours: true } => write!(line, "{time} \x1b[{}m{level:<5}\x1b[0m ", colour(level)),
            Self::Journal => write!(line, "<{}>", priority(level)),
            Self::Json => write!(line, r#"{{"time":"{time}","level":"{}","message":""#, lower(level)),
        };
    }

    /// The pairs, and what ends the line.
    fn end(self, line: &mut String, pairs: &dyn Source) {
        if self == Self::Json {
            line.push('"');
            let _ = pairs.visit(&mut Fields(line));
            line.push('}');
        } else {
            let _ = pairs.visit(&mut Words(line));
        }
        line.push('\n');
    }
}

/// Pairs as they stand behind a text: ` key=value`.
struct Words<'l>(&'l mut String);

impl<'k> VisitSource<'k> for Words<'_> {
    fn visit_pair(&mut self, key: Key<'k>, value: Value<'k>) -> Result<(), Error> {
        self.0.push(' ');
        append_word(self.0, &key, VALUE_BYTES);
        self.0.push('=');
        append_word(self.0, &value, VALUE_BYTES);
        Ok(())
    }
}

/// Pairs as fields of a JSON object that has some already: `,"key":value`.
struct Fields<'l>(&'l mut String);

impl<'k> VisitSource<'k> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'k>, value: Value<'k>) -> Result<(), Error> {
        self.0.push_str(",\"");
        append(self.0, &key, Escape::Json, VALUE_BYTES);
        self.0.push_str(if OWN_KEYS.contains(&key.as_str()) { "_\":" } else { "\":" });
        value.visit(Field(self.0))
    }
}

/// The value of one field. Numbers of more than 64 bits and those that JSON does not have become strings.
struct Field<'l>(&'l mut String);

impl Field<'_> {
    fn put(&mut self, literal: impl Display) -> Result<(), Error> {
        Ok(write!(self.0, "{literal}")?)
    }
}

impl VisitValue<'_> for Field<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0.push('"');
        append(self.0, &value, Escape::Json, VALUE_BYTES);
        self.0.push('"');
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.put("null")
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.put(value)
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.put(value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.put(value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        if value.is_finite() { self.put(format_args!("{value:?}")) } else { self.visit_any(value.into()) }
    }
}

/// Whether `name`, a value of `JOURNAL_STREAM`, is device and inode of what is open there (systemd.exec(5)): a
/// program that inherits the variable may have another standard error.
fn is_stream(open: impl AsFd, name: &OsStr) -> bool {
    rustix::fs::fstat(open).is_ok_and(|stat| name == OsStr::new(&format!("{}:{}", stat.st_dev, stat.st_ino)))
}

/// What the user says of colours: `NO_COLOR` with any value (no-color.org), or a terminal that has none.
fn colours_wanted(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
}

/// syslog's number, by which the journal sorts.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The foreground of ECMA-48, "select graphic rendition".
fn colour(level: Level) -> u8 {
    match level {
        Level::Error => 31,
        Level::Warn => 33,
        Level::Info => 32,
        Level::Debug => 34,
        Level::Trace => 36,
    }
}

fn lower(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
