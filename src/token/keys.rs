//! Keys that signatures are held against.

use std::fmt;

/// Keys that signatures are held against.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<(Box<str>, Vec<u8>)>);

/// Why bytes are no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadKey(&'static str);

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Keys {
    /// Takes what a file holds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BadKey> {
        if bytes.len() < 32 {
            return Err(BadKey("a secret has at least 32 bytes"));
        }
        self.0.push((name.into(), bytes.to_vec()));
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each is called, and the algorithm it is for: `feed (ES256)`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, _)| format!("{name} (HS256)"))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
