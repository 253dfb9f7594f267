//! Where the configuration comes from: a file or none, and the arguments that win over it.
//!
//! Owns the reading of the file, and when the keys for tokens are read (`secret.rs`). Promises: while the relay runs, nothing that stands in place of the file can stop it: a
//! file is read again only if it is one, and only up to its limit.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::rules::Pattern;

use super::{Config, ConfigError, Listen, RawConfig, Warning, secret};

/// A configuration file is a few kilobytes, some tens with all the rules that there may be; one of a hundred megabytes is
/// a mistake and is not read to its end. What is read is checked within a turn, so a file that is all mistakes must not
/// be long either.
pub(super) const MAX_FILE: u64 = 128 << 10;

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    /// The file; without one the built-in defaults hold.
    pub file: Option<PathBuf>,
    /// Where to listen instead, if anywhere.
    pub listen: Vec<Listen>,
    /// Where to answer operators instead, if anywhere.
    pub admin: Vec<Listen>,
    /// How many descriptors the process may have; `None` for any number.
    pub descriptors: Option<u64>,
}

/// What is read, and what an operator should know of it.
type Outcome = Result<(Config, Vec<Warning>), ConfigError>;

impl ConfigSource {
    /// Reads and checks everything, the keys for tokens included.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(&self) -> Outcome {
        self.read_with(RawConfig::read, secret::read_all)
    }

    /// The same, for a relay that runs: something else than a file could keep it waiting.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read_again(&self) -> Outcome {
        let read =
            |file: &Path| RawConfig::of_bytes(file, bytes_of_file(file, MAX_FILE).map(|(bytes, _)| bytes));
        self.read_with(read, secret::read_all)
    }

    /// The same without the keys, which are not for everybody to read who may ask what is configured.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read_without_keys(&self) -> Outcome {
        self.read_with(RawConfig::read, |_| ())
    }

    fn read_with(&self, read: impl Fn(&Path) -> RawConfig, keys: impl Fn(&mut RawConfig)) -> Outcome {
        let mut raw = self.file.as_deref().map(read).unwrap_or_default();
        if !self.listen.is_empty() {
            raw = raw.listening_on(self.listen.clone());
        }
        if !self.admin.is_empty() {
            raw = raw.administered_on(self.admin.clone());
        }
        keys(&mut raw);
        raw.check(self.descriptors)
    }

    /// The line of the file in which each rule begins, by its pattern; none of a file that cannot be read.
    pub fn lines_of_rules(&self) -> Vec<(Pattern, usize)> {
        self.file.as_deref().map(RawConfig::read).unwrap_or_default().lines_of_rules()
    }
}

/// The bytes of anything that can be read, up to one more than there may be.
pub(super) fn bytes_of(file: &Path) -> io::Result<Vec<u8>> {
    read_from(File::open(file)?, MAX_FILE)
}

/// The bytes of a regular file, up to one more than `most`, and its mode.
pub(super) fn bytes_of_file(file: &Path, most: u64) -> io::Result<(Vec<u8>, u32)> {
    // A pipe would wait for somebody who writes.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"));
    }
    Ok((read_from(file, most)?, metadata.permissions().mode()))
}

fn read_from(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
