//! The keys that tokens are signed with, from the files that the configuration names.
//!
//! Owns the reading of these files and what is said of those that cannot be, each in the place of its entry. Promises:
//! nothing that stands in place of a file keeps the program waiting; what is in a file is told to nobody. What a key is,
//! is left to `crate::token`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{RawConfig, may_pass, mistake::Mistake, source};

/// Bytes of a file at most: a key is a hundredth of that.
const MOST_BYTES: u64 = 16 << 10;

/// The mode's bit for everybody.
const ALL_MAY_READ: u32 = 0o004;

/// The name of a key whose both sides have the same ends so.
const SECRET: &str = "(HS256)";

const KEY: &str = "token_keys";

/// A file of a secret that everybody on the machine may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    file: PathBuf,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{KEY}: everybody on this machine may read the secret {}, and make tokens with it. Take that away \
             (chmod o-r), and let the relay's group alone read it",
            self.file.display()
        )
    }
}

/// Reads every key. Where a path is no absolute one, the file is looked for beside that of the configuration.
pub(super) fn read_all(raw: &mut RawConfig) {
    if raw.written.refuses(KEY) {
        return;
    }
    let beside = raw.file.parent().unwrap_or(Path::new("")).to_owned();
    for (nth, written) in std::mem::take(&mut raw.values.token_keys).into_iter().enumerate() {
        let file = beside.join(&*written);
        if let Err(message) = read_one(raw, &file) {
            let message = format!("{KEY}: {}: {message}", file.display());
            let place = raw.entry_places.get(KEY).and_then(|places| places.get(nth)).cloned();
            raw.mistakes.push(match place {
                Some(place) => Mistake::at(place, message),
                None => Mistake::of_file(message),
            });
        }
        // What is printed may be read from elsewhere.
        let found = std::path::absolute(&file).ok().and_then(|file| file.to_str().map(Into::into));
        raw.values.token_keys.push(found.unwrap_or(written));
    }
}

fn read_one(raw: &mut RawConfig, file: &Path) -> Result<(), String> {
    let (bytes, mode) = source::bytes_of_file(file, MOST_BYTES).map_err(|error| {
        raw.may_pass |= may_pass(&error);
        unreadable(&error)
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err("longer than 16 KiB, so this is no key. Name the file of a key".to_owned());
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    raw.values.gate.keys.add(&name, &bytes).map_err(|bad| bad.to_string())?;
    let is_secret = raw.values.gate.keys.names().last().is_some_and(|name| name.ends_with(SECRET));
    if is_secret && mode & ALL_MAY_READ != 0 {
        raw.exposed.push(Exposed { file: file.to_owned() });
    }
    Ok(())
}

fn unreadable(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "Who runs wsrelayd must be allowed to read it: give the file a group of which it is a member, and mode 0640 \
             (a public key may be read by everybody: 0644)"
        }
        io::ErrorKind::NotFound => "Put the key there, or name the file where it is",
        _ => "Name the file of a key",
    };
    format!("cannot be read: {error}. {advice}")
}
