//! Where the configuration comes from: a file or none, and the arguments that win over it.
//!
//! Owns the reading of the file. Promises: while the relay runs, nothing that stands in place of the file can stop it: a
//! file is read again only if it is one, and only up to its limit.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{Config, ConfigError, Listen, Lowered, RawConfig};

/// A configuration file is a few kilobytes; one of a hundred megabytes is a mistake and is not read to its end. What is
/// read is checked within a turn, so a file that is all mistakes must not be long either.
pub(super) const MAX_FILE: u64 = 64 << 10;

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

impl ConfigSource {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(&self) -> Result<(Config, Option<Lowered>), ConfigError> {
        self.read_with(RawConfig::read)
    }

    /// The same, for a relay that runs: something else than a file could keep it waiting.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read_again(&self) -> Result<(Config, Option<Lowered>), ConfigError> {
        self.read_with(|file| RawConfig::of_bytes(file, bytes_of_file(file)))
    }

    fn read_with(&self, read: impl Fn(&Path) -> RawConfig) -> Result<(Config, Option<Lowered>), ConfigError> {
        let mut raw = self.file.as_deref().map(read).unwrap_or_default();
        if !self.listen.is_empty() {
            raw = raw.listening_on(self.listen.clone());
        }
        if !self.admin.is_empty() {
            raw = raw.administered_on(self.admin.clone());
        }
        raw.check(self.descriptors)
    }
}

/// The bytes of anything that can be read, up to one more than there may be.
pub(super) fn bytes_of(file: &Path) -> io::Result<Vec<u8>> {
    read_from(File::open(file)?)
}

fn bytes_of_file(file: &Path) -> io::Result<Vec<u8>> {
    // A pipe would wait for somebody who writes.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(file)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"));
    }
    read_from(file)
}

fn read_from(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
