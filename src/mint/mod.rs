//! `wsrelayd token`: tokens and secrets made, and tokens looked at, for trying out.
//!
//! Owns what a person is told of a token. Promises: a key is read and never shown; a token is made for at most the time that
//! was asked for; text of unknown origin does nothing to a terminal. Leaves to others: what makes a token good (`token/`).

mod inspect;
mod make;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    logging::escape,
    token::{BadKey, crypto, jws},
};

pub use self::{
    inspect::{Inspection, inspect},
    make::{Order, make, subject},
};

/// Why there is no token, or no look at one.
#[derive(Debug)]
pub enum Mistake {
    /// A key file cannot be read.
    File(PathBuf, io::Error),
    /// A key file holds nothing to sign with.
    Key(PathBuf, BadKey),
    /// Standard input cannot be read.
    Input(io::Error),
    /// The system gives no random bytes, or the key does not sign after all.
    Signing,
    /// The token would be longer than any that is looked at.
    Long,
    /// More paths than a token may hold.
    Paths,
}

impl Mistake {
    /// Whether it lies in what was asked for, not in the machine.
    pub fn is_of_arguments(&self) -> bool {
        !matches!(self, Self::Input(_) | Self::Signing)
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file, error) => write!(f, "cannot read {}: {error}", file.display()),
            Self::Key(file, fault) => write!(f, "{}: {fault}", file.display()),
            Self::Input(error) => write!(f, "cannot read standard input: {error}"),
            Self::Signing => f.write_str("cannot sign: the system gives no random bytes"),
            Self::Long => {
                write!(
                    f,
                    "expected a token of at most {} bytes: ask for fewer or shorter paths",
                    jws::MOST_BYTES
                )
            }
            Self::Paths => {
                f.write_str("expected at most 64 patterns to publish and 64 to subscribe. Use * or **")
            }
        }
    }
}

/// A new secret, in letters that need no quotes anywhere.
///
/// # Errors
/// The system gives no random bytes.
pub fn secret() -> Result<String, Mistake> {
    let bytes = crypto::random_bytes().ok_or(Mistake::Signing)?;
    Ok(data_encoding::BASE64URL_NOPAD.encode(&bytes))
}

/// The token of the command line; without one, or for `-`, what standard input holds.
///
/// # Errors
/// Standard input cannot be read.
pub fn token(argument: Option<&str>) -> Result<String, Mistake> {
    let bytes = match argument.filter(|argument| *argument != "-") {
        Some(argument) => argument.as_bytes().to_vec(),
        None => read(io::stdin().lock(), jws::MOST_BYTES).map_err(Mistake::Input)?,
    };
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// As much as may be of a file, and a byte more.
fn read(from: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_file(file: &Path, most: usize) -> Result<Vec<u8>, Mistake> {
    File::open(file)
        .and_then(|opened| read(opened, most))
        .map_err(|error| Mistake::File(file.to_owned(), error))
}

/// The last second of the last year that is written with four digits.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// A date to read, as far as there is one.
fn calendar(at: Duration) -> String {
    if at > LATEST {
        return "after the year 9999".to_owned();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string()
}

/// How far one time is from another, to the second.
fn distance(from: Duration, to: Duration) -> String {
    let whole = |span: Duration| humantime::format_duration(Duration::from_secs(span.as_secs()));
    if to >= from { format!("in {}", whole(to - from)) } else { format!("{} ago", whole(from - to)) }
}

/// Text that whoever wrote a token may have chosen.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        if escape::is_unsafe(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown
}
